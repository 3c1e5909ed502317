//! Ways to leave a session other than the detach keys, and verbs other than `run` that attach.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use zun_tests::eventually::eventually;
use zun_tests::recorder;
use zun_tests::zun_cli::{Finished, ZunCli};

const SIZE: (u16, u16) = (24, 80);

#[test]
fn c47_the_escape_sequence_disconnects_only_at_the_start_of_a_line() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c47-escape");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    term.types("echo a~.b''c\r");
    term.shows("a~.bc");
    term.shows("/ #");
    term.types("~.");
    assert_eq!(term.exit(), 0);
    eventually("it runs", || zun.field(name.as_str(), "status") == "Running");
    let mut term = zun.term(&["attach", "--escape", "none", name.as_str()], SIZE);
    term.shows("/ #");
    term.types("\r~.\r");
    term.shows("not found");
    term.types("exit 3\r");
    assert_eq!(term.exit(), 3);
}

#[test]
fn c18_a_half_typed_sequence_reaches_the_program() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let script = "stty raw -echo; echo ready; head -c 1 | od -An -tx1";
    let mut term = zun.term(&["run", "-i", "--rm", "cirros", "sh", "-c", script], SIZE);
    term.shows("ready");
    term.types("\x10");
    term.shows("10");
    assert_eq!(term.exit(), 0);
}

#[test]
fn c34_a_reader_that_closes_its_pipe_ends_the_command_quietly() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c34-pipe");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    for start in [&["run", "--rm", "cirros"][..], &["exec", name.as_str()]] {
        let mut child = zun
            .command(&[start, &["sh", "-c", "trap '' PIPE; yes | head -c 10000000"]].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("zun runs");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
        reader.read_line(&mut line).expect("a line");
        drop(reader);
        let finished = Finished::from(child.wait_with_output().expect("zun ends"));
        assert_eq!((finished.code, finished.stderr.as_str()), (141, ""), "{finished:?}");
    }
}

#[test]
fn c08_a_started_container_reads_a_pipe_to_its_end() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c08-start");
    let script = "cat; sleep 1; echo late; exit 4";
    zun.must(&["create", "-i", "--name", name.as_str(), "cirros", "sh", "-c", script]);
    let output = zun.piped(&["start", "-a", "-i", name.as_str()], b"piped\n");
    let finished = Finished::from(output);
    assert_eq!((finished.code, finished.stdout.as_str()), (4, "piped\nlate\n"), "{finished:?}");
}

#[test]
fn an_attach_without_a_name_comes_back_to_the_last_session_that_was_left() {
    let state = tempfile::tempdir().expect("a directory");
    let zun = ZunCli::shared().with("XDG_STATE_HOME", &state.path().display().to_string());
    let [first, second] = [zun.name("left-first"), zun.name("left-second")];
    for name in [&first, &second] {
        let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
        term.shows("/ #");
        term.types("\x10\x11");
        assert_eq!(term.exit(), 0);
    }
    let mut term = zun.term(&["attach", first.as_str()], SIZE);
    term.shows("/ #");
    term.types("\x10\x11");
    assert_eq!(term.exit(), 0);
    let mut term = zun.term(&["attach"], SIZE);
    term.shows(&format!("coming back to {}", first.as_str()));
    term.shows("/ #");
    term.types("exit 5\r");
    assert_eq!(term.exit(), 5);
    // It has ended. The other one still runs.
    let mut term = zun.term(&["attach"], SIZE);
    term.shows(&format!("coming back to {}", second.as_str()));
    term.shows("/ #");
    term.types("exit 6\r");
    assert_eq!(term.exit(), 6);
    let ended = zun.run(&["attach"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("there is no session to reattach to"), "{ended:?}");
}
