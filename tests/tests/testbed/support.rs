//! The testbed's hosts, and its service as a person calls it.

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

/// The CLI with the administrator's token.
pub(super) fn zun() -> ZunCli {
    ZunCli::from_file(Path::new(&variable("ZUN_TESTBED")))
}

/// The controller has made a new administrator's token: takes it into the file that `zun` reads.
pub(super) fn new_token() {
    let file = variable("ZUN_TESTBED");
    let former = std::fs::read_to_string(&file).expect("an environment file");
    let path = former.lines().find(|line| line.starts_with("export PATH=")).unwrap_or_default();
    let output = CONTROLLER.must(&["cat", "/etc/zun/admin.env"]);
    let told = told.replace("//controller:", &format!("//{}:", CONTROLLER.address()));
    std::fs::write(file, format!("{output}\n{path}\n")).expect("written");
}

impl Host {
    /// Runs a command on the host and insists on success; its stdout.
    pub(super) fn must(self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{self:?} {arguments:?}: {out}{err}");
        out.trim().to_owned()
    }

    /// Runs a script on the host and insists on success; all that it says.
    pub(super) fn script(self, text: &str) -> String {
        self.must(&["sh", "-c", &format!("{{ {text}; }} 2>&1")])
    }

    /// Writes a file on the host, for root alone.
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

    /// Waits until zun-api hears from the host anew and takes it as up, with a console endpoint that is safe. One
    /// that was heard a while ago may be up for a moment more only.
    pub(super) fn comes_up(self) {
        let mut heard = None;
        eventually("the host is up", || {
            let Some(service) = self.service() else { return false };
            let seen = service["last_seen_up"].clone();
            let ready = service["state"] == "up" && service["console_trouble"].is_null();
            *heard.get_or_insert(seen.clone()) != seen && ready
        });
    }

    /// Why no console can be opened there, as zun-api knows it.
    pub(super) fn trouble(self) -> Option<String> {
        self.service()?["console_trouble"].as_str().map(str::to_owned)
    }

    /// Its agent, as zun-api shows it.
    fn service(self) -> Option<Value> {
        let zun = zun();
        let url = format!("{}/services", zun.variable("OS_ENDPOINT"));
        let token = format!("X-Auth-Token: {}", zun.variable("OS_TOKEN"));
        let asked = Command::new("curl").args(["-sf", "-m", "5", "-H", &token, &url]).output();
        let list: Value = serde_json::from_slice(&asked.expect("curl runs").stdout).ok()?;
        let services = list["services"].as_array()?;
        services.iter().find(|service| service["host"] == self.0).cloned()
    }

    /// Its first process, as this machine counts it.
    pub(super) fn init(self) -> u32 {
        let output = engine(&["inspect", "-f", "{{.State.Pid}}", self.0]);
        output.parse().expect("a process")
    }

    /// Where it is reached from this machine.
    pub(super) fn address(self) -> IpAddr {
        let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        engine(&["inspect", "-f", template, self.0]).parse().expect("an address")
    }

    /// Boots it anew: the whole host, with all that runs on it.
    pub(super) fn boot(self) {
        engine(&["restart", "--time", "20", self.0]);
    }

    /// One property of a unit.
    pub(super) fn property(self, unit: &str, name: &str) -> String {
        self.must(&["systemctl", "show", "-P", name, unit])
    }

    /// Restarts a unit; it is ready when this returns.
    pub(super) fn restart(self, unit: &str) {
        self.must(&["systemctl", "restart", unit]);
        eventually("the unit is active", || self.property(unit, "ActiveState") == "active");
    }
}

/// A command of the engine that the hosts run in.
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
