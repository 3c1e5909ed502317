//! How a session ends, and what the CLI's exit code says of it.

use zun_tests::bed::Bed;

#[test]
fn c03_a_killed_command_is_128_and_the_signal() {
    let bed = Bed::shared();
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        // A shell as process 1 ignores signals that it has no handler for, so a child of it dies.
        let script = format!("sh -c 'kill -{signal} $$'; exit $?");
        let finished = bed.zun(&["run", "-i", "--rm", "cirros", "sh", "-c", &script]);
        assert_eq!(finished.code, code, "{finished:?}");
    }
}

#[test]
fn c04_what_cannot_run_is_127_126_or_125_with_one_line() {
    let bed = Bed::shared();
    for (arguments, code) in [
        (vec!["run", "-i", "--rm", "cirros", "/no/such/program"], 127),
        (vec!["run", "-i", "--rm", "cirros", "/etc/passwd"], 126),
        (vec!["run", "-i", "--rm", "--cpu", "a-lot", "cirros"], 125),
    ] {
        let finished = bed.zun(&arguments);
        assert_eq!(finished.code, code, "{arguments:?}: {finished:?}");
        assert_eq!(finished.stdout, "");
        assert!(
            finished.stderr.contains("zun: ") || finished.stderr.contains("error: "),
            "{finished:?}"
        );
    }
    let nowhere = Bed::at("http://127.0.0.1:1/v1", "none");
    let finished = nowhere.zun(&["run", "-i", "--rm", "cirros", "/bin/sh"]);
    assert_eq!(finished.code, 125, "{finished:?}");
    assert!(finished.stderr.contains("127.0.0.1:1"), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
}

#[test]
fn c45_a_container_with_rm_is_gone_when_its_shell_exits() {
    let bed = Bed::shared();
    let name = bed.name("c45");
    let mut term =
        bed.term(&["run", "-i", "--rm", "--name", name.as_str(), "cirros", "/bin/sh"], (24, 80));
    term.shows("/ #");
    term.types("exit 5\r");
    assert_eq!(term.exit(), 5);
    let gone = || bed.zun(&["show", name.as_str()]).code != 0;
    zun_tests::eventually::eventually("the container is gone", gone);
}

#[test]
fn c44_a_container_removed_by_another_ends_the_session_with_137() {
    let bed = Bed::shared();
    let name = bed.name("c44");
    let mut term = bed.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], (24, 80));
    term.shows("/ #");
    bed.must(&["delete", "--force", name.as_str()]);
    assert_eq!(term.exit(), 137);
}
