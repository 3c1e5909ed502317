//! The engine that the matrix runs against: a private one, or an existing one.
//!
//! For an existing engine with `zun-authz` and a TLS listener, set
//!
//! | variable | value |
//! |---|---|
//! | `ZUN_TEST_SITE` | `ADDRESS:PORT` of the listener |
//! | `ZUN_TEST_SITE_HOST` | the host's name, in grants and in its certificate |
//! | `ZUN_TEST_SITE_API` | the API version of its zun-authz, such as `1.45` |
//! | `ZUN_TEST_SITE_CA` | a directory with the CA's `ca.pem` and `ca.key` |
//! | `ZUN_TEST_SITE_DOCKER` | the command that runs Docker's client there, such as `docker exec compute2 docker` |
//! | `ZUN_TEST_SITE_LOG` | the command that prints the plugin's log, such as `docker exec compute2 journalctl -u zun-authz -o cat` |
//! | `ZUN_TEST_SITE_IMAGE` | an image there with `sh` |
//!
//! and run `cargo test --test authz matrix -- --test-threads 1`, because all tests use the same two container names
//! there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use zun_tests::tls::{RogueCa, TlsDialer};

use super::callers::Fixture;
use crate::authz::bench::Bench;

/// An engine with its plugin, and two running containers on it.
pub(super) struct Site {
    pub(super) dialer: TlsDialer,
    pub(super) rogue_ca: RogueCa,
    pub(super) fixture: Fixture,
    docker: Vec<String>,
    image: String,
    log: Log,
    bench: Option<Bench>,
}

enum Log {
    File(PathBuf),
    Command(Vec<String>),
}

/// A line of the plugin's log about an allowed request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Allowed {
    pub(super) grant: String,
    pub(super) method: String,
    pub(super) target: String,
}

impl Site {
    /// Returns the existing engine that the environment names, or starts a private one.
    pub(super) async fn open() -> Self {
        match variable("") {
            Some(address) => Self::given(&address),
            None => Self::private().await,
        }
    }

    async fn private() -> Self {
        let bench = Bench::start().await;
        let docker = bench.client();
        let log = Log::File(bench.log());
        let dialer = bench.dialer.clone();
        let rogue_ca = RogueCa::of(&bench.ca_directory());
        let mut fixture = fixture(&docker, &dialer.name, &bench.version.to_string(), "small");
        fixture.exec = bench.exec(&fixture.ours, &["sh"]).await;
        let image = "small".to_owned();
        Self { dialer, rogue_ca, fixture, docker, image, log, bench: Some(bench) }
    }

    fn given(address: &str) -> Self {
        let variable =
            |name: &str| variable(name).unwrap_or_else(|| panic!("ZUN_TEST_SITE{name} is not set"));
        let ca = PathBuf::from(variable("_CA"));
        let rogue_ca = RogueCa::of(&ca);
        let dialer = TlsDialer {
            address: address.parse().expect("an address with a port"),
            name: variable("_HOST"),
            ca: rogue_ca.ca_pem().to_owned(),
        };
        let (docker, log) =
            (split_words(&variable("_DOCKER")), Log::Command(split_words(&variable("_LOG"))));
        let image = variable("_IMAGE");
        let mut fixture = fixture(&docker, &dialer.name, &variable("_API"), &image);
        // Docker's client cannot create an exec without starting it.
        self::docker(&docker, &["exec", "--detach", "--tty", &fixture.ours, "sh"]);
        let first = ["inspect", "-f", "{{index .ExecIDs 0}}", &fixture.ours];
        fixture.exec = self::docker(&docker, &first);
        Self { dialer, rogue_ca, fixture, docker, image, log, bench: None }
    }

    /// Runs Docker's client on the engine's unix socket and returns its stdout.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        docker(&self.docker, arguments)
    }

    /// Runs `docker VERB` for another container of the site's image, without network, and returns its ID. Removes an
    /// older container of that name first.
    pub(super) fn container(&self, verb: &[&str], name: &str, command: &[&str]) -> String {
        if !self
            .docker(&["ps", "--all", "--quiet", "--filter", &format!("name=^{name}$")])
            .is_empty()
        {
            self.docker(&["rm", "--force", name]);
        }
        let options = ["--interactive", "--network", "none", "--name", name, &self.image];
        self.docker(&[verb, &options, command].concat())
    }

    /// Returns whether the fixture's exec has not started yet.
    pub(super) const fn has_new_exec(&self) -> bool {
        self.bench.is_some()
    }

    /// Returns the command of Docker's client.
    pub(super) fn client(&self) -> &[String] {
        &self.docker
    }

    /// Returns every request over TLS that the plugin has allowed.
    pub(super) fn allowed(&self) -> Vec<Allowed> {
        let lines = self.log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| allowed(&line)).collect()
    }

    /// Returns the plugin's log. No line may be missing.
    pub(super) fn log(&self) -> String {
        let text = match &self.log {
            Log::File(file) => std::fs::read_to_string(file).expect("the plugin's log"),
            Log::Command(command) => run(command, &[]),
        };
        assert!(!text.contains("lost_lines"), "the log has lost lines");
        text
    }

    pub(super) async fn close(self) {
        self.docker(&["rm", "--force", &self.fixture.ours, &self.fixture.victim]);
        if let Some(bench) = self.bench {
            bench.stop().await;
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(format!("ZUN_TEST_SITE{name}"))?.into_string().ok()
}

fn allowed(line: &Value) -> Option<Allowed> {
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    if text("message")? != "allowed" || text("phase")? != "request" {
        return None;
    }
    Some(Allowed { grant: text("grant.id")?, method: text("method")?, target: text("uri")? })
}

fn fixture(command: &[String], host: &str, version: &str, image: &str) -> Fixture {
    let run = |name: &str| {
        let made = ["run", "--detach", "--interactive", "--tty", "--network", "none", "--name"];
        docker(command, &[&made[..], &[name, image, "sh"]].concat())
    };
    // Left over from an interrupted run.
    if !docker(command, &["ps", "--all", "--quiet", "--filter", "name=^matrix-"]).is_empty() {
        docker(command, &["rm", "--force", "matrix-ours", "matrix-victim"]);
    }
    let (ours, victim) = (run("matrix-ours"), run("matrix-victim"));
    let version = version.parse().expect("a version of the API");
    Fixture { host: host.to_owned(), version, ours, victim, exec: "e".repeat(64) }
}

fn docker(command: &[String], arguments: &[&str]) -> String {
    run(command, arguments).trim().to_owned()
}

fn run(command: &[String], arguments: &[&str]) -> String {
    let (program, first) = command.split_first().expect("a program");
    let output = Command::new(program).args(first).args(arguments).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn split_words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Returns a fixture for tests without an engine.
pub(super) fn without_engine(directory: &Path) -> (Fixture, RogueCa) {
    zun_api::ca::CertificateAuthority::init(directory).expect("a CA");
    let fixture = Fixture {
        host: "compute1".to_owned(),
        version: "1.41".parse().expect("a version"),
        ours: "0123456789abcdef".repeat(4),
        victim: "fedcba9876543210".repeat(4),
        exec: "e".repeat(64),
    };
    (fixture, RogueCa::of(directory))
}
