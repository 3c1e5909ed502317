//! The testbed's hosts, and its service as a person calls it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use zun_tests::bed::Bed;
use zun_tests::eventually::eventually;

/// A host of the testbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host(pub(super) &'static str);

pub(super) const CONTROLLER: Host = Host("controller");
pub(super) const COMPUTE1: Host = Host("compute1");
pub(super) const COMPUTE2: Host = Host("compute2");

/// The CLI with the administrator's token.
pub(super) fn bed() -> Bed {
    Bed::of_file(Path::new(&variable("ZUN_TESTBED")))
}

impl Host {
    /// Runs a command on the host and insists on success; its stdout.
    pub(super) fn must(self, words: &[&str]) -> String {
        let output = self.run(words);
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{self:?} {words:?}: {out}{err}");
        out.trim().to_owned()
    }

    /// Runs a command on the host.
    pub(super) fn run(self, words: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["--host", &variable("ZUN_TESTBED_ENGINE"), "exec", self.0]).args(words);
        command.stdin(Stdio::null()).output().expect("docker runs")
    }

    /// Waits until zun-api takes the host as up.
    pub(super) fn comes_up(self) {
        let bed = bed();
        let url = format!("{}/services", bed.variable("OS_ENDPOINT"));
        let token = format!("X-Auth-Token: {}", bed.variable("OS_TOKEN"));
        eventually("the host is up", || {
            let asked = Command::new("curl").args(["-sf", "-m", "5", "-H", &token, &url]).output();
            let answer = asked.expect("curl runs").stdout;
            let Ok(list) = serde_json::from_slice::<serde_json::Value>(&answer) else {
                return false;
            };
            let services = list["services"].as_array().cloned().unwrap_or_default();
            services.iter().any(|service| service["host"] == self.0 && service["state"] == "up")
        });
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

fn variable(name: &str) -> String {
    let value = std::env::var_os(name).unwrap_or_else(|| {
        panic!(
            "{name} is not set: run these tests with `make test-testbed`, after `make testbed-up`"
        )
    });
    value.into_string().expect("text")
}
