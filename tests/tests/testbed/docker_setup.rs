//! Tests of `zun-compute docker-setup` with the real docker.service, on both Debian releases.

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host};

const SETUP: &str = "/usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup";
/// Lists the files that it may write, with modes, owners and checksums. Keys are excluded: they are new each time.
const FILES: &str = "cd / && find etc/docker etc/systemd/system var/lib/zun-docker-setup etc/zun/pki -xdev \
    ! -name lock -printf '%p %y %m %U:%G %l\\n' 2>/dev/null | sort; \
    find etc/docker etc/systemd/system -xdev -type f -exec sha256sum {} + 2>/dev/null | sort";

impl Host {
    fn shell(self, command: &str) -> String {
        self.must(&["sh", "-c", command])
    }

    /// Runs a command, asserts that it fails, and returns its output.
    fn refusal(self, command: &str) -> String {
        let output = self.run(&["sh", "-c", &format!("({command}) 2>&1")]);
        let message = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{self:?} {command}: {message}");
        message
    }

    fn listens(self) -> bool {
        !self.shell("ss -Hltn 'sport = :2376'").is_empty()
    }
}

/// Enrols the host with its name and address, and with further arguments.
fn enrol(host: Host, more: &str) {
    let (name, address) = (host.0, host.address());
    let place = "--directory /var/lib/zun/ca";
    CONTROLLER.script(&format!(
        "runuser -u zun-api -- zun-api host enrol {name} --name {address} {more} {place}"
    ));
}

fn set_up_and_back(host: Host) {
    let begin = host.shell(FILES);
    host.shell("docker rm -f keeps-running >/dev/null 2>&1 || :");
    host.shell("docker run -d --name keeps-running cirros sleep 100000");
    let process =
        || host.shell("docker inspect -f '{{.State.Running}} {{.State.Pid}}' keeps-running");
    let before = process();
    assert!(before.starts_with("true "), "{before}");

    assert!(host.shell(SETUP).contains("nothing was changed"));
    assert!(host.shell(&format!("{SETUP} --dry-run")).contains("nothing was changed"));
    assert_eq!(host.shell(FILES), begin);

    let message = host.shell(&format!("{SETUP} --undo"));
    assert!(message.contains("restored: /etc/docker/daemon.json"), "{message}");
    assert!(!host.listens());
    assert_eq!(process(), before, "containers must keep running");
    let undone = host.shell(FILES);
    let shown = host.shell(&format!("{SETUP} --dry-run"));
    assert!(shown.contains("+  \"hosts\": [\"fd://\", \"tcp://0.0.0.0:2376\"]"), "{shown}");

    // Clients would dial an address where nothing listens. The probe after Docker's restart detects it.
    let elsewhere = format!("ZUN_COMPUTE__CONSOLE__ADDRESS=controller:2376 {SETUP}");
    let unsigned = host.refusal(&elsewhere);
    assert!(
        unsigned.contains("zun-api did not sign"),
        "it is not enrolled with this name: {unsigned}"
    );
    enrol(host, "--name controller");
    let message = host.refusal(&elsewhere);
    enrol(host, "");
    assert!(message.contains("every change was rolled back: verification failed"), "{message}");
    assert_eq!(host.shell(FILES), undone, "rolled back byte for byte");
    assert!(!host.listens());
    assert_eq!(process(), before, "containers must keep running during a rollback");

    let message = host.shell(SETUP);
    assert!(
        message.contains("1 of 1 running containers kept running") && message.contains("verified:"),
        "{message}"
    );
    assert!(host.listens());
    assert_eq!(process(), before);
    assert_eq!(host.shell(FILES), begin);
    host.shell("docker rm -f keeps-running");
    host.restart("zun-compute.service");
    host.comes_up();
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn docker_setup_on_debian_12_can_be_undone_and_rolled_back_byte_for_byte() {
    set_up_and_back(COMPUTE1);
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn docker_setup_on_debian_13_can_be_undone_and_rolled_back_byte_for_byte() {
    set_up_and_back(COMPUTE2);
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn without_root_nothing_is_changed() {
    let message = COMPUTE1.refusal(&format!(
        "cp /etc/zun/zun-compute.toml /tmp/c.toml; chmod 644 /tmp/c.toml; \
         setpriv --reuid 65534 --clear-groups {}; code=$?; rm /tmp/c.toml; exit $code",
        SETUP.replace("/etc/zun/zun-compute.toml", "/tmp/c.toml")
    ));
    assert!(message.contains("run it as root"), "{message}");
}
