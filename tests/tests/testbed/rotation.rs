//! Rotation of the CA on real hosts, as docs/security.md describes.

use std::path::Path;

use chrono::Utc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zun_api::ca::{CERTIFICATE_FILE, CertificateAuthority, KEY_FILE};
use zun_common::grant::{Call, Grant, WaitCondition};
use zun_tests::eventually::eventually;
use zun_tests::tls::{Identity, TlsDialer};

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host, zun};

const HOSTS: [(Host, &str); 2] = [(COMPUTE1, "1.41"), (COMPUTE2, "1.45")];
const LIST: &str = "/etc/zun/pki/ca.pem";
const SETUP: &str =
    "/usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup 2>/dev/null";

/// Returns a copy of the CA, like an attacker who stole its key before the rotation.
fn stolen_ca(directory: &Path) -> CertificateAuthority {
    for name in [CERTIFICATE_FILE, KEY_FILE] {
        let text = CONTROLLER.must(&["cat", &format!("/var/lib/zun/ca/{name}")]);
        std::fs::write(directory.join(name), text + "\n").expect("written");
    }
    let key = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(directory.join(KEY_FILE), key).expect("set");
    CertificateAuthority::load(directory).expect("a CA")
}

/// Returns the status of a host's Docker for a grant that the CA signs now; `None` if the handshake is refused.
fn answered((host, version): (Host, &str), ca: &CertificateAuthority) -> Option<u16> {
    let grant = Grant::probe(host.0.parse().expect("a name"));
    let identity = Identity::granted(ca, &grant, "stolen", Utc::now());
    let call = Call::Wait(WaitCondition::NextExit);
    let (method, target) = grant.call(version.parse().expect("a version"), call).expect("a call");
    let line =
        format!("{} {target} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method.as_str());
    let dialer = TlsDialer {
        address: (host.address(), 2376).into(),
        name: host.0.to_owned(),
        ca: host.must(&["cat", LIST]),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut stream = dialer.dial(Some(&identity)).await.ok()?;
        stream.write_all(line.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    })
}

fn consoles_open() {
    for (host, _) in HOSTS {
        let greeting = zun().must(&["run", "--rm", "--host", host.0, "cirros", "echo", "open"]);
        assert_eq!(greeting, "open\n", "{host:?}");
    }
}

/// Runs a rotation step on the controller. Consoles can be opened before any host knows of it.
fn rotate(step: &str) {
    let place = "--directory /var/lib/zun/ca";
    let command = format!("runuser -u zun-api -- zun-api ca rotate {step} {place} 2>&1");
    let output = CONTROLLER.must(&["sh", "-c", &command]);
    assert!(output.contains("restart zun-api"), "{output}");
    CONTROLLER.restart("zun-api.service");
    for (host, _) in HOSTS {
        host.comes_up();
    }
    consoles_open();
}

/// Distributes the new CA list: by the agent on one host, by docker-setup on the other. Neither restarts Docker or the
/// plugin.
fn distribute() {
    let trusted = CONTROLLER.must(&["cat", "/var/lib/zun/ca/ca.pem"]);
    for (host, _) in HOSTS {
        let pids = || ["docker", "zun-authz"].map(|unit| host.property(unit, "MainPID"));
        let before = pids();
        if host == COMPUTE1 {
            host.restart("zun-compute.service");
        } else {
            host.must(&["systemctl", "stop", "zun-compute.service"]);
            let output = host.must(&["sh", "-c", SETUP]);
            let expected = ["Installed a new", "Docker uses it after its next restart"];
            assert!(expected.iter().all(|message| output.contains(message)), "{output}");
            let again = host.must(&["sh", "-c", SETUP]);
            assert!(again.contains("nothing was changed"), "{again}");
            host.must(&["systemctl", "start", "zun-compute.service"]);
        }
        eventually("the new CA list has arrived", || host.must(&["cat", LIST]) == trusted);
        assert_eq!(pids(), before, "{host:?}");
        host.comes_up();
    }
    consoles_open();
}

fn restart_docker() {
    for (host, _) in HOSTS {
        host.must(&["systemctl", "reset-failed", "docker.service"]);
        host.restart("docker.service");
        host.comes_up();
    }
    consoles_open();
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn consoles_open_during_a_ca_rotation_and_afterwards_the_old_ca_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let old = stolen_ca(directory.path());
    let answers = || HOSTS.map(|host| answered(host, &old));
    // The engine's own answer: no such container.
    assert_eq!(answers(), [Some(404), Some(404)]);
    for step in ["prepare", "switch"] {
        rotate(step);
        distribute();
        restart_docker();
        assert_eq!(answers(), [Some(404), Some(404)], "{step}");
    }
    rotate("finish");
    assert_eq!(answers(), [Some(404), Some(404)], "the hosts still trust the old CA");
    distribute();
    assert_eq!(
        answers(),
        [Some(403), Some(403)],
        "zun-authz has dropped the old CA, Docker not yet"
    );
    restart_docker();
    assert_eq!(answers(), [None, None], "refused at the handshake");
}
