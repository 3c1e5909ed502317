//! Tests of `zun exec` on a terminal and without one, also if `-t` requests one.

use std::process::Stdio;

use zun_tests::profile::times;
use zun_tests::recorder;
use zun_tests::zun_cli::{Finished, ZunCli};

#[test]
fn c13_an_execs_terminal_has_its_size_before_the_first_instruction() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c13");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    let count = times(50);
    for _ in 0..count {
        let mut term = zun.term(&["exec", "-i", name.as_str(), "stty", "size"], (33, 101));
        assert_eq!(term.exit(), 0);
        assert_eq!(term.transcript().trim(), "33 101");
    }
    recorder.measured(format!("{count} of {count}"));
}

#[test]
fn c25_an_exec_without_a_terminal_warns_and_continues() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c25");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    let output = zun.piped(&["exec", "-i", "-t", name.as_str(), "cat"], b"hi\n");
    let finished = Finished::from(output);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "hi\n"), "{finished:?}");
    assert!(finished.stderr.contains("not a terminal"), "{finished:?}");
}

#[test]
fn c34_an_exec_keeps_running_when_its_window_is_closed() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c34-exec");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    let script = "trap '' HUP; echo be''gun; exec sleep 7777";
    let mut term = zun.term(&["exec", "-i", name.as_str(), "sh", "-c", script], (24, 80));
    term.shows("begun");
    term.close();
    assert_eq!(term.exit(), 129);
    let processes = zun.must(&["exec", name.as_str(), "ps"]);
    assert!(processes.contains("sleep 7777"), "{processes}");
}

#[test]
fn c13_a_command_in_the_background_gets_no_terminal() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c13-none");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    let exec = ["exec", "-i", name.as_str(), "sh", "-c", "test -t 0 || echo none"];
    let output = zun.command(&exec).stdin(Stdio::null()).output().expect("zun runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "none\n");
}

#[test]
fn c20_dockers_detach_keys_reach_the_program_of_an_exec_at_once() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c20-exec");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    // Each key is shown before the next one is typed.
    let script = "stty raw -echo; echo ready; for n in 1 2; do dd bs=1 count=1 2>/dev/null | od -An -tx1; done";
    let exec = ["exec", "-i", "--detach-keys", "", name.as_str(), "sh", "-c", script];
    let mut term = zun.term(&exec, (24, 80));
    term.shows("ready");
    term.types(b"\x10");
    term.shows("10");
    term.types(b"\x11");
    term.shows("11");
    assert_eq!(term.exit(), 0);
}
