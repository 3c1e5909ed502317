//! Signals to the CLI without a terminal.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use zun_tests::eventually::eventually;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SCRIPT: &str = "for s in INT HUP QUIT USR1 USR2; do trap \"echo got-$s\" $s; done; trap 'echo got-TERM; exit 9' TERM; \
                      echo ready; while :; do sleep 0.1; done";

/// A script that ignores SIGINT and SIGTERM.
const IGNORES: &str = "trap '' INT TERM; echo ready; while :; do sleep 1; done";

/// A CLI whose output is a pipe.
struct Cli {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Cli {
    fn run(zun: &ZunCli, arguments: &[&str]) -> Self {
        let mut child = zun
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("zun runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    fn says(&mut self, line: &str) {
        assert_eq!(self.lines.next().expect("a line").expect("text"), line);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("zun runs");
    }

    /// Checks that each signal reaches the process. The last one ends it.
    fn passes_signals_on(mut self) {
        for (signal, line) in [
            (Signal::INT, "got-INT"),
            (Signal::HUP, "got-HUP"),
            (Signal::QUIT, "got-QUIT"),
            (Signal::USR1, "got-USR1"),
            (Signal::USR2, "got-USR2"),
            (Signal::TERM, "got-TERM"),
        ] {
            self.signal(signal);
            self.says(line);
        }
        assert_eq!(self.child.wait().expect("zun ends").code(), Some(9));
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("cannot wait for zun");
        }
    }
}

#[test]
fn c30_signals_to_a_run_reach_its_process() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c30-run");
    let mut cli =
        Cli::run(&zun, &["run", "--rm", "--name", name.as_str(), "cirros", "sh", "-c", SCRIPT]);
    cli.says("ready");
    cli.passes_signals_on();
}

#[test]
fn c30_signals_to_an_attach_reach_its_process() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c30-attach");
    for input in [&[][..], &["-i"]] {
        let create = [&["create"], input, &["--name", name.as_str(), "cirros"]].concat();
        zun.must(&[&create[..], &["sh", "-c", SCRIPT]].concat());
        let mut cli = Cli::run(&zun, &["attach", name.as_str()]);
        eventually("the console is open", || zun.field(name.as_str(), "attached") == 1);
        zun.must(&["start", name.as_str()]);
        cli.says("ready");
        cli.passes_signals_on();
        zun.must(&["delete", "--force", name.as_str()]);
    }
}

#[test]
fn c30_signals_to_an_exec_reach_its_process_but_not_the_containers() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c30-exec");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    let mut cli = Cli::run(&zun, &["exec", "-i", name.as_str(), "sh", "-c", SCRIPT]);
    cli.says("ready");
    cli.passes_signals_on();
    assert_eq!(zun.field(name.as_str(), "status"), "Running");
}

#[test]
fn c30_a_signal_ends_an_attach_without_stdin_or_signal_proxy() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c30-watch");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sh", "-c", SCRIPT]);
    for flag in ["--no-stdin", "--no-sig-proxy"] {
        let mut cli = Cli::run(&zun, &["attach", flag, name.as_str()]);
        eventually("the console is open", || zun.field(name.as_str(), "attached") == 1);
        cli.signal(Signal::INT);
        assert_eq!(cli.child.wait().expect("zun ends").code(), Some(130), "{flag}");
        eventually("no console is counted", || zun.field(name.as_str(), "attached") == 0);
        assert_eq!(zun.field(name.as_str(), "status"), "Running");
    }
}

#[test]
fn the_third_sigint_ends_the_session_but_not_a_process_that_ignores_it() {
    let zun = ZunCli::shared();
    let name = zun.name("insist");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sh", "-c", IGNORES]);
    eventually("it runs", || zun.run(&["logs", name.as_str()]).stdout == "ready\n");
    for arguments in [
        &["attach", name.as_str()][..],
        &["exec", name.as_str(), "sh", "-c", IGNORES],
        &["exec", "--on-disconnect", "kill:1s", name.as_str(), "sh", "-c", IGNORES],
    ] {
        let attached = || zun.field(name.as_str(), "attached") == 1;
        let is_exec = arguments[0] == "exec";
        let mut child = zun
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("zun runs");
        if is_exec {
            let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            assert_eq!(lines.next().expect("a line").expect("text"), "ready");
        } else {
            eventually("it is attached", attached);
        }
        let process = Pid::from_child(&child);
        // Signals can merge if they arrive faster than zun handles them, so three may not be enough.
        eventually("zun leaves", || {
            kill_process(process, Signal::INT).expect("zun runs");
            child.try_wait().expect("a child").is_some()
        });
        let output = child.wait_with_output().expect("zun ends");
        let code = if is_exec { 130 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected =
            if is_exec { "it may still be running" } else { "it is still running; reattach with" };
        assert!(words.contains("after 3 signals") && words.contains(expected), "{words}");
    }
    assert_eq!(zun.field(name.as_str(), "status"), "Running");
}
