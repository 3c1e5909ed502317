//! The texts of the units that docker-setup writes: those of `deploy/systemd/` with the settings of this host.

use std::path::Path;

use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

/// The unit of the plugin's socket.
pub(super) const SOCKET_UNIT: &str = "zun-authz.socket";
/// The plugin's unit.
pub(super) const PLUGIN_UNIT: &str = "zun-authz.service";
/// Docker's unit.
pub(super) const DOCKER_UNIT: &str = "docker.service";

pub(super) const SOCKET: &str = include_str!("../../../deploy/systemd/zun-authz.socket");
pub(super) const PLUGIN: &str = include_str!("../../../deploy/systemd/zun-authz.service");
const DROP_IN: &str = include_str!("../../../deploy/systemd/docker.service.d/zun.conf");
/// The command line of Debian's docker.service without `-H`.
const DEBIAN_COMMAND: &str =
    "/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock $DOCKER_OPTS";

/// The plugin's options on this host.
#[derive(Debug, Clone)]
pub(super) struct PluginOptions<'a> {
    pub(super) host: &'a HostName,
    pub(super) api_version: ApiVersion,
    pub(super) ca: &'a Path,
    pub(super) notify: Option<&'a Path>,
}

/// Returns Docker's drop-in, which requires the plugin's socket and starts Docker with `command`.
pub(super) fn drop_in(command: &str) -> String {
    DROP_IN.replace(DEBIAN_COMMAND, command)
}

/// Returns the plugin's drop-in.
pub(super) fn host(options: &PluginOptions<'_>) -> String {
    let PluginOptions { host, api_version, ca, notify } = options;
    let ca = ca.display();
    let notify = notify.map(|path| format!(" --notify {}", path.display())).unwrap_or_default();
    format!(
        "# Options of this host. Written by `zun-compute docker-setup`; `docker-setup --undo` removes this file.\n\
         [Service]\n\
         Environment=\"ZUN_AUTHZ_OPTIONS=--host {host} --api-version {api_version} --ca {ca}{notify}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drop_in_has_the_command_of_the_unit() {
        let text = drop_in("/opt/dockerd --debug");
        assert!(text.contains("\nExecStart=\nExecStart=/opt/dockerd --debug\n"), "{text}");
        assert!(text.contains("\nRequires=zun-authz.socket\nAfter=zun-authz.socket\n"), "{text}");
        assert_eq!(drop_in(DEBIAN_COMMAND), DROP_IN);
    }

    #[test]
    fn the_plugin_gets_the_options_of_its_host() {
        let host_name = "c1".parse().expect("a name");
        let options = PluginOptions {
            host: &host_name,
            api_version: "1.41".parse().expect("a version"),
            ca: Path::new("/etc/zun/pki/ca.pem"),
            notify: Some(Path::new("/run/n.sock")),
        };
        let text = host(&options);
        let words = "--host c1 --api-version 1.41 --ca /etc/zun/pki/ca.pem --notify /run/n.sock\"";
        assert!(text.contains(words), "{text}");
    }
}
