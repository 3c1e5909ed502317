//! Full-screen programs, closed windows and stalled terminals.

use zun_tests::eventually::eventually;
use zun_tests::profile::times;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (24, 80);

/// Returns what a terminal of 33 rows and 101 columns shows of a command that succeeds.
fn shown(zun: &ZunCli, run: &[&str]) -> String {
    let run = || {
        let mut term = zun.term(run, (33, 101));
        assert_eq!(term.exit(), 0, "{}", term.transcript());
        term.transcript().trim().to_owned()
    };
    zun.retry_if_engine_lost_output(run, |shown| !shown.is_empty())
}

#[test]
fn c12_the_first_command_sees_the_terminals_size() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let count = times(50);
    for _ in 0..count {
        assert_eq!(shown(&zun, &["run", "-i", "--rm", "cirros", "stty", "size"]), "33 101");
    }
    recorder.measured(format!("{count} of {count}"));
}

#[test]
fn c12_the_size_is_right_for_another_user_and_a_read_only_root() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for flags in [&["--user", "65534:65534"][..], &["--read-only"], &["--entrypoint", "stty"]] {
        let command: &[&str] =
            if flags[0] == "--entrypoint" { &["size"] } else { &["stty", "size"] };
        let run = [&["run", "-i", "--rm"][..], flags, &["cirros"], command].concat();
        assert_eq!(shown(&zun, &run), "33 101", "{flags:?}");
    }
    for (command, code) in [("/no/such", 127), ("/etc/passwd", 126)] {
        let mut term = zun.term(&["run", "-i", "--rm", "cirros", command], SIZE);
        assert_eq!(term.exit(), code);
        assert!(term.transcript().contains(command), "{}", term.transcript());
        assert_eq!(term.transcript().trim().lines().count(), 1, "{}", term.transcript());
    }
}

#[test]
fn c16_a_resize_at_the_last_moment_is_no_error() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let count = times(50);
    let name = zun.name("c16");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    for round in 0..count {
        let script = "echo re''ady; read x; exit 6";
        let run = ["run", "-i", "--rm", "cirros", "sh", "-c", script];
        let exec = ["exec", "-i", name.as_str(), "sh", "-c", script];
        let mut term = zun.term(if round % 2 == 0 { &run } else { &exec }, SIZE);
        term.shows("ready");
        term.types("\r");
        term.resize(30, 90);
        assert_eq!(term.exit(), 6, "{}", term.transcript());
        assert!(!term.transcript().contains("zun:"), "{}", term.transcript());
    }
    recorder.measured(format!("{count} of {count}"));
}

#[test]
fn c17_a_full_screen_program_draws_resizes_and_quits() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c17");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    for start in [&["run", "-i", "--rm", "cirros"][..], &["exec", "-i", name.as_str()]] {
        let mut term = zun.term(&[start, &["vi", "/etc/passwd"]].concat(), SIZE);
        let before = term.first_modes();
        term.shows("\x1b[?1049h");
        term.shows("root:x:0:0");
        term.resize(12, 60);
        // The program redraws the whole screen, down to the new last line.
        term.shows("root:x:0:0");
        term.shows("\x1b[12;1H");
        term.types(":q\r");
        term.shows("\x1b[?1049l");
        assert_eq!(term.exit(), 0);
        assert_eq!(term.modes(), before);
        let mut term = zun.term(&[start, &["less", "/etc/passwd"]].concat(), SIZE);
        term.shows("root:x:0:0");
        term.shows("\x1b[7m");
        term.types("q");
        assert_eq!(term.exit(), 0);
        assert_eq!(term.modes(), before);
        let mut term = zun.term(&[start, &["top"]].concat(), SIZE);
        term.shows("Load average");
        term.types("q");
        assert_eq!(term.exit(), 0);
        assert_eq!(term.modes(), before);
    }
}

#[test]
fn c34_a_container_keeps_running_when_its_window_is_closed() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c34");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    term.close();
    assert_eq!(term.exit(), 129);
    let is_running = || eventually("it runs", || zun.field(name.as_str(), "status") == "Running");
    is_running();
    eventually("no console is counted", || zun.field(name.as_str(), "attached") == 0);
    let mut again = zun.term(&["attach", name.as_str()], SIZE);
    again.shows("/ #");
    again.close();
    assert_eq!(again.exit(), 129);
    is_running();
}
