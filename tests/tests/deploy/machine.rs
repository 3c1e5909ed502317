//! A standalone service of a test, and what this machine shows of it.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;
use zun_tests::zun_cli::binary;

/// A state directory and the programs for it. On drop, the service is stopped and removed.
pub(super) struct Machine {
    directory: TempDir,
}

impl Machine {
    pub(super) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("zd-").tempdir().expect("a directory");
        Self { directory }
    }

    pub(super) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(super) fn env_file(&self) -> PathBuf {
        self.directory.path().join("zun.env")
    }

    /// Returns the command `zun-standalone VERB` for this state directory.
    pub(super) fn standalone(&self, verb: &str) -> Command {
        let mut command = Command::new(binary("zun-standalone"));
        command.arg(verb).arg("--state").arg(self.state()).arg("--env-file").arg(self.env_file());
        if matches!(verb, "run" | "up") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts it in the background and waits until it is ready.
    pub(super) fn up(&self) {
        succeed(&mut self.standalone("up"));
    }

    pub(super) fn down(&self) {
        succeed(&mut self.standalone("down"));
    }

    /// Starts it as a child of the test and waits until it is ready. Its log is the child's stderr.
    pub(super) fn run(&self) -> Child {
        let mut child = self
            .standalone("run")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("zun-standalone runs");
        let mut ready = [0; 6];
        let stdout = child.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(stdout, &mut ready).expect("it becomes ready");
        assert_eq!(&ready, b"ready\n");
        child
    }

    /// Returns the pid of the service.
    pub(super) fn pid(&self) -> i32 {
        let text = std::fs::read_to_string(self.state().join("lock")).expect("a lock");
        text.trim().parse().expect("a pid")
    }

    /// Runs a shell command with the environment file sourced and the built programs first in `PATH`.
    pub(super) fn shell(&self, line: &str) -> Output {
        let script = format!(". '{}'; {line}", self.env_file().display());
        Command::new("/bin/sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output()
            .expect("a shell")
    }

    /// The same in the background, with pipes.
    pub(super) fn spawn(&self, line: &str) -> Child {
        let script = format!(". '{}'; {line}", self.env_file().display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().expect("a shell")
    }

    /// Runs a docker command on the private engine.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        let socket = format!("unix://{}/engine/docker.sock", self.state().display());
        succeed(Command::new("docker").args(["--host", &socket]).args(arguments))
    }

    /// Loads the image of the tests into the private engine.
    pub(super) fn load_image(&self) {
        let socket = self.state().join("engine/docker.sock");
        let script = r#"docker --host "$0" save cirros:latest | docker --host "unix://$1" load"#;
        succeed(Command::new("/bin/sh").args(["-c", script]).arg(test_engine()).arg(socket));
    }

    /// Returns the processes that run in the private engine's directories or name them on their command line.
    pub(super) fn processes(&self) -> Vec<String> {
        let state = self.state();
        let own = identity(&state.join("engine/run/docker"));
        numbers()
            .filter(|pid| *pid != std::process::id())
            .filter_map(|pid| {
                let process = PathBuf::from(format!("/proc/{pid}"));
                let line = std::fs::read(process.join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let sees = identity(&process.join("root/run/docker"));
                let ours = (own.is_some() && sees == own) || names(&line, &state);
                ours.then(|| format!("{pid} {line}"))
            })
            .collect()
    }

    /// Returns the processes, mounts and files of this state directory. None may be left.
    pub(super) fn traces(&self) -> Vec<String> {
        let mut traces = self.processes();
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
        let state = self.state().display().to_string();
        traces.extend(mounts.lines().filter(|line| line.contains(&state)).map(str::to_owned));
        for path in [self.state(), self.env_file()] {
            if path.exists() {
                traces.push(path.display().to_string());
            }
        }
        traces
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.state().exists() {
            let output = self.standalone("down").output().expect("zun-standalone runs");
            assert!(output.status.success() || std::thread::panicking(), "{output:?}");
        }
    }
}

/// Returns the marks of all private engines. A mark is a name `zun-engine-…`: the alias of the engine's bridge and the
/// comment of its iptables rules.
pub(super) fn marks() -> Vec<String> {
    let mut marks: Vec<String> = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").expect("interfaces").flatten() {
        let alias = std::fs::read_to_string(entry.path().join("ifalias")).unwrap_or_default();
        marks.extend(alias.trim().starts_with("zun-engine-").then(|| alias.trim().to_owned()));
    }
    for table in ["filter", "nat"] {
        let rules = succeed(Command::new("iptables").args(["-w", "-t", table, "-S"]));
        let parts = rules.split_whitespace().map(|word| word.trim_matches('"'));
        marks.extend(parts.filter(|word| word.starts_with("zun-engine-")).map(str::to_owned));
    }
    marks
}

/// Returns the engine that all tests of the run share.
pub(super) fn test_engine() -> String {
    let engine = std::env::var_os("ZUN_TEST_DOCKER").expect("run the tests with `make test`");
    engine.into_string().expect("text")
}

/// Runs a command, asserts that it succeeds, and returns its stdout.
pub(super) fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", printed(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Returns its stderr as text.
pub(super) fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Kills a process and waits until it is gone.
pub(super) fn kill(pid: i32) {
    let process =
        pidfd_open(Pid::from_raw(pid).expect("a pid"), PidfdFlags::empty()).expect("it runs");
    pidfd_send_signal(&process, Signal::KILL).expect("killed");
    let time = Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut wanted = [PollFd::new(&process, PollFlags::IN)];
    assert_eq!(poll(&mut wanted, Some(&time)), Ok(1), "process {pid} is gone");
}

/// Returns the pid of the private engine's dockerd.
pub(super) fn engine_pid(machine: &Machine) -> i32 {
    let file = machine.state().join("engine/dockerd.pid");
    std::fs::read_to_string(file).expect("a pid").trim().parse().expect("a number")
}

/// Returns the pid of the console gate that this process has started, if it is running.
pub(super) fn gate_pid(parent: i32) -> Option<i32> {
    let parent = format!("PPid:\t{parent}\n");
    let gate = numbers().find(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.starts_with("Name:\tzun-console\n") && status.contains(&parent)
    });
    i32::try_from(gate?).ok()
}

/// Returns a loopback address that is in use.
pub(super) fn taken_address() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").expect("processes");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn names(line: &str, state: &Path) -> bool {
    line.contains(&format!("{}/", state.display()))
        || line.contains(&format!("{} ", state.display()))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
