//! Detach and attach.

use zun_tests::eventually::eventually;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (24, 80);

#[test]
fn c18_a_detached_shell_keeps_running_and_redraws_its_prompt_on_attach() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c18");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    eventually("one console is counted", || zun.field(name.as_str(), "attached") == 1);
    term.types("\x10\x11");
    term.shows(&format!("zun attach {}", name.as_str()));
    assert_eq!(term.exit(), 0);
    eventually("it runs", || zun.field(name.as_str(), "status") == "Running");
    eventually("no console is counted", || zun.field(name.as_str(), "attached") == 0);
    let mut again = zun.term(&["attach", name.as_str()], SIZE);
    again.shows("/ #");
    again.types("echo ba''ck; exit 9\r");
    again.shows("back");
    assert_eq!(again.exit(), 9);
}

#[test]
fn c18_a_program_that_handles_sigwinch_late_is_still_drawn() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c18-late");
    let script = "until [ -n \"$(stty size 2>/dev/null)\" ]; do sleep 0.05; done; \
        sleep 0.4; trap 'echo drawn; exit 6' WINCH; while :; do sleep 0.1; done";
    zun.must(&["run", "-d", "-i", "-t", "--name", name.as_str(), "cirros", "sh", "-c", script]);
    let mut term = zun.term(&["attach", name.as_str()], SIZE);
    term.shows("drawn");
    assert_eq!(term.exit(), 6);
}

#[test]
fn c24_attach_to_a_created_container_waits_for_its_start() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c24-created");
    zun.must(&["create", "-i", "-t", "--name", name.as_str(), "cirros", "/bin/sh"]);
    let mut term = zun.term(&["attach", name.as_str()], SIZE);
    eventually("the console is open", || zun.field(name.as_str(), "attached") == 1);
    zun.must(&["start", name.as_str()]);
    term.shows("/ #");
    term.types("exit 4\r");
    assert_eq!(term.exit(), 4);
}

#[test]
fn c24_the_size_of_a_quiet_program_changes_at_most_once() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c24-quiet");
    let script = "n=0; trap 'n=$((n + 1))' WINCH; i=0; \
        while [ $i -lt 20 ]; do sleep 0.1; i=$((i + 1)); done; echo changed $n times to $(stty size); exit 6";
    zun.must(&["create", "-i", "-t", "--name", name.as_str(), "cirros", "sh", "-c", script]);
    let mut term = zun.term(&["attach", name.as_str()], SIZE);
    term.shows("waiting for ");
    zun.must(&["start", name.as_str()]);
    term.shows("times to 24 80");
    let screen = term.transcript();
    assert!(
        ["changed 0 times", "changed 1 times"].iter().any(|message| screen.contains(message)),
        "{screen}"
    );
    assert_eq!(term.exit(), 6);
}

#[test]
fn c24_an_impossible_attach_fails_at_once_with_a_clear_error() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c24-paused");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    zun.must(&["pause", name.as_str()]);
    let paused = zun.run(&["attach", name.as_str()]);
    assert_eq!(paused.code, 1, "{paused:?}");
    assert!(paused.stderr.contains("in Paused state"), "{paused:?}");
    zun.must(&["unpause", name.as_str()]);
    zun.must(&["stop", "-t", "0", name.as_str()]);
    let stopped = zun.run(&["attach", name.as_str()]);
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert!(stopped.stderr.contains("in Stopped state"), "{stopped:?}");
    let missing = zun.run(&["attach", "no-such-container"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("no-such-container"), "{missing:?}");
}

#[test]
fn c26_two_consoles_each_show_the_input_and_output_of_both() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c26");
    let mut first = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    first.shows("/ #");
    let mut second = zun.term(&["attach", name.as_str()], SIZE);
    eventually("two consoles are counted", || zun.field(name.as_str(), "attached") == 2);
    first.types("echo from-fir''st\r");
    first.shows("from-first");
    second.shows("from-first");
    second.types("echo from-sec''ond\r");
    second.shows("from-second");
    first.shows("from-second");
    second.types("exit 3\r");
    assert_eq!((first.exit(), second.exit()), (3, 3));
}
