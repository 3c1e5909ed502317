//! Writes dockerd's settings file. It has all settings, so the command line needs only one flag.

use serde_json::{Value, json};
use zun_compute::driver::docker::RUNTIME;

use super::error::{EngineError, at};
use super::settings::{EngineSettings, Layout, TlsListener};

/// The plugin's name. Its socket is `/run/docker/plugins/zun-authz.sock` in the engine's mount namespace.
pub(super) const PLUGIN: &str = "zun-authz";

/// Writes the settings file.
pub(super) fn write(
    layout: &Layout,
    bridge: &str,
    engine: &EngineSettings,
) -> Result<(), EngineError> {
    let path = layout.config();
    let text = format!("{:#}\n", settings(layout, bridge, engine));
    std::fs::write(&path, text).map_err(at("write", &path))
}

fn settings(layout: &Layout, bridge: &str, engine: &EngineSettings) -> Value {
    let EngineSettings { directory: _, listener, runtime } = engine;
    let mut hosts = vec![format!("unix://{}", layout.socket().display())];
    let mut settings = json!({
        "data-root": layout.data(),
        "exec-root": "/run/docker",
        "pidfile": layout.pidfile(),
        // Access to the socket is equivalent to root, so only root may use it.
        "group": "root",
        "bridge": bridge,
        // The module `bridge` manages rules and forwarding.
        "iptables": false,
        "ip6tables": false,
        "ip-forward": false,
    });
    let Some(keys) = settings.as_object_mut() else { return settings };
    if let Some(TlsListener { address, ca, certificate, key, plugin: _ }) = listener {
        hosts.push(format!("tcp://{address}"));
        keys.insert("tlsverify".to_owned(), json!(true));
        keys.insert("tlscacert".to_owned(), json!(ca));
        keys.insert("tlscert".to_owned(), json!(certificate));
        keys.insert("tlskey".to_owned(), json!(key));
        keys.insert("authorization-plugins".to_owned(), json!([PLUGIN]));
    }
    keys.insert("hosts".to_owned(), json!(hosts));
    if let Some(program) = runtime {
        let arguments = json!(["--sizes", layout.sizes()]);
        let runtimes = json!({ RUNTIME: { "path": program, "runtimeArgs": arguments } });
        keys.insert("runtimes".to_owned(), runtimes);
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::Plugin;

    #[test]
    fn a_tcp_listener_always_has_tls_and_the_plugin() {
        let layout = Layout::new(Path::new("/s"));
        let listener = TlsListener {
            address: "127.0.0.1:2376".parse().expect("an address"),
            ca: "/c/ca.pem".into(),
            certificate: "/c/cert.pem".into(),
            key: "/c/key.pem".into(),
            plugin: Plugin {
                program: "/p".into(),
                host: "h".parse().expect("a name"),
                api_version: "1.41".parse().expect("a version"),
                notify: None,
            },
        };
        let engine =
            |listener, runtime| EngineSettings { directory: "/s".into(), listener, runtime };
        let with =
            settings(&layout, "zun0", &engine(Some(listener), Some("/p/zun-runtime".into())));
        assert_eq!(with["hosts"], json!(["unix:///s/docker.sock", "tcp://127.0.0.1:2376"]));
        assert_eq!(with["tlsverify"], json!(true));
        assert_eq!(with["authorization-plugins"], json!(["zun-authz"]));
        let runtime = &with["runtimes"]["zun-sized"];
        assert_eq!(runtime["path"], json!("/p/zun-runtime"));
        assert_eq!(runtime["runtimeArgs"], json!(["--sizes", "/s/sizes"]));
        let without = settings(&layout, "zun0", &engine(None, None));
        assert_eq!(without["hosts"], json!(["unix:///s/docker.sock"]));
        assert!(without.get("tlsverify").is_none() && without.get("runtimes").is_none());
    }
}
