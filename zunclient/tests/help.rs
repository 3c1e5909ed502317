//! The words of `--help`, and the one line of a wrong command line, of the real binary.

use std::process::{Command, Output};

fn zun(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(arguments)
        .env_clear()
        .output()
        .expect("the binary runs")
}

fn help(arguments: &[&str]) -> String {
    let shown = zun(arguments);
    assert!(shown.status.success() && shown.stderr.is_empty());
    String::from_utf8(shown.stdout).expect("text")
}

#[test]
fn zun_help() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn zun_run_help() {
    insta::assert_snapshot!(help(&["run", "--help"]));
}

#[test]
fn every_verb_shows_an_example() {
    for verb in [
        "run", "create", "start", "stop", "restart", "pause", "unpause", "kill", "delete", "rm",
        "list", "ls", "ps", "show", "logs", "top", "stats", "cp", "rename", "update", "attach",
        "exec", "wait", "version",
    ] {
        assert!(help(&[verb, "--help"]).contains("Example"), "{verb}");
    }
}

#[test]
fn a_wrong_command_line_is_one_line_and_its_exit_code_is_told_apart() {
    for (arguments, code) in [
        (&["run", "--bogus", "cirros"][..], 125),
        (&["run"], 125),
        (&["attach"], 125),
        (&["exec", "test"], 125),
        (&["run", "-t", "-T", "cirros"], 125),
        (&["run", "--memory", "much", "cirros"], 125),
        (&["list", "--bogus"], 2),
        (&["nonsense"], 2),
    ] {
        let shown = zun(arguments);
        let words = String::from_utf8(shown.stderr).expect("text");
        assert_eq!(shown.status.code(), Some(code), "{arguments:?}: {words}");
        assert!(words.starts_with("zun: ") && words.lines().count() == 1, "{words}");
        assert!(shown.stdout.is_empty());
    }
}

#[test]
fn a_service_that_is_not_there_is_one_line_and_125_for_run() {
    for (verb, code) in
        [(&["run", "cirros"][..], 125), (&["list"], 1), (&["start", "-a", "x"], 125)]
    {
        let shown = Command::new(env!("CARGO_BIN_EXE_zun"))
            .args(verb)
            .env_clear()
            .env("OS_ENDPOINT", "http://127.0.0.1:1/v1")
            .output()
            .expect("the binary runs");
        let words = String::from_utf8(shown.stderr).expect("text");
        assert_eq!(shown.status.code(), Some(code), "{words}");
        assert!(
            words.starts_with("zun: cannot reach the service at http://127.0.0.1:1/v1"),
            "{words}"
        );
        assert_eq!(words.lines().count(), 1, "{words}");
    }
}

#[test]
fn the_token_is_no_flag_and_is_never_shown() {
    let shown = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(["--debug", "list"])
        .env_clear()
        .env("OS_ENDPOINT", "http://127.0.0.1:1/v1")
        .env("OS_TOKEN", "verysecret")
        .output()
        .expect("the binary runs");
    let words = String::from_utf8(shown.stderr).expect("text");
    assert!(!words.contains("verysecret"), "{words}");
    assert!(!help(&["--help"]).contains("--os-token"));
}
