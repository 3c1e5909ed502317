//! The units that are written: those of `deploy/systemd/`, and what is this host's own in them.

use std::path::Path;

use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

/// The socket on which Docker asks the plugin.
pub(super) const SOCKET_UNIT: &str = "zun-authz.socket";
/// The plugin.
pub(super) const PLUGIN_UNIT: &str = "zun-authz.service";
/// Docker.
pub(super) const DOCKER_UNIT: &str = "docker.service";

pub(super) const SOCKET: &str = include_str!("../../../deploy/systemd/zun-authz.socket");
pub(super) const PLUGIN: &str = include_str!("../../../deploy/systemd/zun-authz.service");
const DROP_IN: &str = include_str!("../../../deploy/systemd/docker.service.d/zun.conf");
/// What Debian's docker.service is started with, less `-H`.
const DEBIANS: &str = "/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock $DOCKER_OPTS";

/// What is this host's own about the plugin.
#[derive(Debug, Clone)]
pub(super) struct PluginOptions<'a> {
    pub(super) host: &'a HostName,
    pub(super) api_version: ApiVersion,
    pub(super) authority: &'a Path,
    pub(super) notify: Option<&'a Path>,
}

/// Docker's drop-in: after and with the plugin's socket, and started by this command.
pub(super) fn drop_in(command: &str) -> String {
    DROP_IN.replace(DEBIANS, command)
}

/// The plugin's drop-in.
pub(super) fn host(options: &PluginOptions<'_>) -> String {
    let PluginOptions { host, api_version, authority, notify } = options;
    let authority = authority.display();
    let notify = notify.map(|path| format!(" --notify {}", path.display())).unwrap_or_default();
    format!(
        "# This host. Written by `zun-compute docker-setup`; `docker-setup --undo` takes it away.\n\
         [Service]\n\
         Environment=\"ZUN_AUTHZ_OPTIONS=--host {host} --api-version {api_version} --ca {authority}{notify}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drop_in_has_the_units_own_command() {
        let text = drop_in("/opt/dockerd --debug");
        assert!(text.contains("\nExecStart=\nExecStart=/opt/dockerd --debug\n"), "{text}");
        assert!(text.contains("\nRequires=zun-authz.socket\nAfter=zun-authz.socket\n"), "{text}");
        assert_eq!(drop_in(DEBIANS), DROP_IN);
    }

    #[test]
    fn the_plugin_is_told_of_its_host() {
        let host_name = "c1".parse().expect("a name");
        let options = PluginOptions {
            host: &host_name,
            api_version: "1.41".parse().expect("a version"),
            authority: Path::new("/etc/zun/pki/ca.pem"),
            notify: Some(Path::new("/run/n.sock")),
        };
        let text = host(&options);
        let words = "--host c1 --api-version 1.41 --ca /etc/zun/pki/ca.pem --notify /run/n.sock\"";
        assert!(text.contains(words), "{text}");
    }
}
