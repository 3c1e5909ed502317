//! The hosts of the testbed, and the CLI for its service.

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use zun_tests::eventually::eventually;
use zun_tests::zun_cli::ZunCli;

/// A host of the testbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host(pub(super) &'static str);

pub(super) const CONTROLLER: Host = Host("controller");
pub(super) const COMPUTE1: Host = Host("compute1");
pub(super) const COMPUTE2: Host = Host("compute2");

/// Returns the CLI with the administrator's token.
pub(super) fn zun() -> ZunCli {
    ZunCli::from_file(Path::new(&variable("ZUN_TESTBED")))
}

/// Copies the new controller's CA and its administrator's token into the files that `zun` reads.
pub(super) fn new_token() {
    let (file, former) = (variable("ZUN_TESTBED"), zun());
    let ca_file = former.variable("OS_CACERT");
    std::fs::write(ca_file, CONTROLLER.must(&["cat", "/etc/zun/ca.pem"])).expect("written");
    let former = std::fs::read_to_string(&file).expect("an environment file");
    let path = former.lines().find(|line| line.starts_with("export PATH=")).unwrap_or_default();
    let output = CONTROLLER
        .must(&["cat", "/etc/zun/admin.env"])
        .replace("//controller:", &format!("//{}:", CONTROLLER.address()))
        .replace("/etc/zun/ca.pem", ca_file);
    std::fs::write(file, format!("{output}\n{path}\n")).expect("written");
}

impl Host {
    /// Runs a command on the host, asserts that it succeeds, and returns its stdout.
    pub(super) fn must(self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{self:?} {arguments:?}: {out}{err}");
        out.trim().to_owned()
    }

    /// Runs a script on the host, asserts that it succeeds, and returns its stdout and stderr.
    pub(super) fn script(self, text: &str) -> String {
        self.must(&["sh", "-c", &format!("{{ {text}; }} 2>&1")])
    }

    /// Writes a file on the host that only root can read.
    pub(super) fn receives(self, file: &str, bytes: &[u8]) {
        let mut command = Command::new("docker");
        command.args(["--host", &variable("ZUN_TESTBED_ENGINE"), "exec", "-i", self.0]);
        let mut child = command
            .args(["sh", "-c", &format!("umask 077; cat >{file}")])
            .stdin(Stdio::piped())
            .spawn()
            .expect("docker runs");
        child.stdin.take().expect("a pipe").write_all(bytes).expect("written");
        assert!(child.wait().expect("it ends").success(), "{self:?} {file}");
    }

    /// Runs a command on the host.
    pub(super) fn run(self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["--host", &variable("ZUN_TESTBED_ENGINE"), "exec", self.0]).args(arguments);
        command.stdin(Stdio::null()).output().expect("docker runs")
    }

    /// Waits for a new heartbeat of the host, and until zun-api reports the host as up and without console trouble. An
    /// old heartbeat does not count: the host may be about to be reported as down.
    pub(super) fn comes_up(self) {
        let mut first_seen = None;
        eventually("the host is up", || {
            let Some(service) = self.service() else { return false };
            let seen = service["last_seen_up"].clone();
            let ready = service["state"] == "up" && service["console_trouble"].is_null();
            *first_seen.get_or_insert(seen.clone()) != seen && ready
        });
    }

    /// Returns the reason why no console can be opened, as zun-api reports it.
    pub(super) fn trouble(self) -> Option<String> {
        self.service()?["console_trouble"].as_str().map(str::to_owned)
    }

    /// Returns its agent, as zun-api shows it.
    fn service(self) -> Option<Value> {
        let zun = zun();
        let url = format!("{}/services", zun.variable("OS_ENDPOINT"));
        let token = format!("X-Auth-Token: {}", zun.variable("OS_TOKEN"));
        let ca_file = zun.variable("OS_CACERT");
        let options = ["-sf", "-m", "5", "--cacert", ca_file, "-H", &token, &url];
        let asked = Command::new("curl").args(options).output();
        let list: Value = serde_json::from_slice(&asked.expect("curl runs").stdout).ok()?;
        let services = list["services"].as_array()?;
        services.iter().find(|service| service["host"] == self.0).cloned()
    }

    /// Returns the pid of its init on this machine.
    pub(super) fn init(self) -> u32 {
        let output = engine(&["inspect", "-f", "{{.State.Pid}}", self.0]);
        output.parse().expect("a process")
    }

    /// Returns its address.
    pub(super) fn address(self) -> IpAddr {
        let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        engine(&["inspect", "-f", template, self.0]).parse().expect("an address")
    }

    /// Reboots the host.
    pub(super) fn boot(self) {
        engine(&["restart", "--time", "20", self.0]);
    }

    /// Returns a property of a unit.
    pub(super) fn property(self, unit: &str, name: &str) -> String {
        self.must(&["systemctl", "show", "-P", name, unit])
    }

    /// Restarts a unit and waits until it is active.
    pub(super) fn restart(self, unit: &str) {
        self.must(&["systemctl", "restart", unit]);
        eventually("the unit is active", || self.property(unit, "ActiveState") == "active");
    }
}

/// Runs Docker's client on the testbed's engine.
fn engine(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(["--host", &variable("ZUN_TESTBED_ENGINE")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("docker runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn variable(name: &str) -> String {
    let value = std::env::var_os(name).unwrap_or_else(|| {
        panic!(
            "{name} is not set: run these tests with `make test-testbed`, after `make testbed-up`"
        )
    });
    value.into_string().expect("text")
}
