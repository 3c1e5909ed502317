//! The CLI as a user runs it, against the standalone service that all tests of a run share or another service.
//!
//! `tests/services/with-services.sh` starts the standalone and names its environment file in `ZUN_TEST_STANDALONE`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use crate::pty::Pty;

/// The CLI with the environment variables that select a service and a user.
#[derive(Debug, Clone)]
pub struct ZunCli {
    environment: Vec<(String, String)>,
}

/// The exit code and output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; -1 if a signal killed it.
    pub code: i32,
    /// Its stdout, as text.
    pub stdout: String,
    /// Its stderr, as text.
    pub stderr: String,
}

/// A unique container name. The container of that name is removed on drop.
#[derive(Debug)]
pub struct Name {
    zun: ZunCli,
    name: String,
}

impl ZunCli {
    /// Returns the CLI for the standalone of this test run.
    pub fn shared() -> Self {
        let file = std::env::var_os("ZUN_TEST_STANDALONE").expect(
            "ZUN_TEST_STANDALONE names no environment file; run the tests with `make test`",
        );
        Self::from_file(Path::new(&file))
    }

    /// Returns the CLI with the variables of an environment file.
    pub fn from_file(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("an environment file");
        Self { environment: parse(&text) }
    }

    /// Returns the CLI for another service and token.
    pub fn at(endpoint: &str, token: &str) -> Self {
        let pairs =
            [("OS_AUTH_TYPE", "admin_token"), ("OS_ENDPOINT", endpoint), ("OS_TOKEN", token)];
        Self {
            environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    /// Returns the environment variables.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the unix socket of the standalone's engine.
    pub fn engine_socket(&self) -> PathBuf {
        let file = std::env::var_os("ZUN_TEST_STANDALONE").expect("the shared standalone's file");
        PathBuf::from(file).with_file_name("standalone/engine/docker.sock")
    }

    /// Returns whether the engine's log says, at or after `since`, that the engine closed a process's streams before it
    /// had read them.
    pub fn engine_lost_output(&self, since: DateTime<Utc>) -> bool {
        let log = self.engine_socket().with_file_name("dockerd.log");
        let log = std::fs::read_to_string(log).expect("the engine's log");
        let since = since.format("time=\"%FT%T%.3f").to_string();
        let lost = |line: &&str| line.contains("stream copy error: reading from a closed fifo");
        log.lines().rev().find(lost).is_some_and(|line| *line >= *since)
    }

    /// Runs a command whose process prints and ends. Runs it a second time if its output is incomplete and the engine
    /// has logged that it lost output: no client can recover output that the engine did not read.
    pub fn retry_if_engine_lost_output<T>(
        &self,
        run: impl Fn() -> T,
        is_whole: impl Fn(&T) -> bool,
    ) -> T {
        let since = Utc::now();
        let output = run();
        if is_whole(&output) || !self.engine_lost_output(since) {
            return output;
        }
        run()
    }

    /// Returns the value of an environment variable, such as `OS_ENDPOINT`.
    pub fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(key, _)| key == name);
        &found.unwrap_or_else(|| panic!("{name} is not in the environment file")).1
    }

    /// Returns a unique name for a container of this test.
    pub fn name(&self, prefix: &str) -> Name {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Name { zun: self.clone(), name: format!("{prefix}-{}-{count}", std::process::id()) }
    }

    /// Returns the command of the CLI with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("zun"));
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the CLI with an empty stdin and waits for it.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("zun runs");
        Finished::from(output)
    }

    /// Runs the CLI, asserts that it succeeds, and returns its stdout.
    pub fn must(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, 0, "zun {arguments:?}: {finished:?}");
        finished.stdout
    }

    /// Runs the CLI with `input` on its stdin, a pipe, and returns its raw output.
    pub fn piped(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("zun runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || stdin.write_all(input));
            let output = child.wait_with_output().expect("zun ends");
            if let Err(cause) = writer.join().expect("the writer ends") {
                eprintln!("zun did not read all of its stdin: {cause}");
            }
            output
        })
    }

    /// Runs the CLI on a terminal.
    pub fn term(&self, arguments: &[&str], size: (u16, u16)) -> Pty {
        let program = binary("zun");
        Pty::spawn(&program.to_string_lossy(), arguments, &self.environment, size)
    }

    /// Returns one field of `zun show` as JSON.
    pub fn field(&self, container: &str, field: &str) -> serde_json::Value {
        let text = self.must(&["show", container, "--format", "json"]);
        let shown: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        shown[field].clone()
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Name {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let finished = self.zun.run(&["delete", "--force", &self.name]);
        if finished.code != 0
            && !finished.stderr.contains("404")
            && !finished.stderr.contains("found")
        {
            eprintln!("cannot remove the container {}: {}", self.name, finished.stderr);
        }
    }
}

/// Returns the path of a program of this workspace. Looks in the directory that `ZUN_TEST_PROGRAMS` names, and without
/// that variable in the build directory of the tests.
pub fn binary(name: &str) -> PathBuf {
    let directory =
        std::env::var_os("ZUN_TEST_PROGRAMS").map_or_else(build_directory, PathBuf::from);
    let path = directory.join(name);
    assert!(path.exists(), "{} is not built: run the tests with `make test`", path.display());
    path
}

fn build_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the running test");
    let directory = test.parent().and_then(Path::parent).expect("target/debug/deps/test");
    directory.to_owned()
}

fn parse(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("export ").or(Some(line.trim())))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("OS_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
        .collect()
}
