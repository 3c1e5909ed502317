//! How a session ends, and the exit code of the CLI.

use std::process::Command;

use rustix::process::Signal;
use zun_tests::eventually::eventually;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (24, 80);

#[test]
fn c03_a_killed_command_exits_with_128_plus_the_signal() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        // A shell as process 1 ignores signals without a handler, so a child is killed.
        let script = format!("sh -c 'kill -{signal} $$'; exit $?");
        let finished = zun.run(&["run", "-i", "--rm", "cirros", "sh", "-c", &script]);
        assert_eq!(finished.code, code, "{finished:?}");
    }
    // Process 1 itself, killed by another process.
    let name = zun.name("c03");
    let script = "trap 'exit 143' TERM; echo re''ady; while :; do sleep 0.1; done";
    let run = ["run", "-i", "--name", name.as_str(), "cirros", "sh", "-c", script];
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let mut term = zun.term(&run, SIZE);
        term.shows("ready");
        eventually("it runs", || zun.field(name.as_str(), "status") == "Running");
        zun.must(&["kill", "--signal", signal, name.as_str()]);
        assert_eq!(term.exit(), code, "{}", term.transcript());
        zun.must(&["delete", "--force", name.as_str()]);
    }
}

#[test]
fn c04_a_run_that_fails_exits_with_127_126_or_125_and_one_line() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for (arguments, code) in [
        (vec!["run", "-i", "--rm", "cirros", "/no/such/program"], 127),
        (vec!["run", "-i", "--rm", "cirros", "/etc/passwd"], 126),
        (vec!["run", "-i", "--rm", "--cpu", "a-lot", "cirros"], 125),
    ] {
        let finished = zun.run(&arguments);
        assert_eq!(finished.code, code, "{arguments:?}: {finished:?}");
        assert_eq!(finished.stdout, "");
        assert!(
            finished.stderr.contains("zun: ") || finished.stderr.contains("error: "),
            "{finished:?}"
        );
    }
    let nowhere = ZunCli::at("http://127.0.0.1:1/v1", "none");
    let finished = nowhere.run(&["run", "-i", "--rm", "cirros", "/bin/sh"]);
    assert_eq!(finished.code, 125, "{finished:?}");
    assert!(finished.stderr.contains("127.0.0.1:1"), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
}

#[test]
fn exit_codes_are_those_of_docker() {
    let zun = ZunCli::shared();
    let socket = format!("unix://{}", zun.engine_socket().display());
    let runs = [
        &["cirros", "/no/such"][..],
        &["cirros", "no-such-command"],
        &["cirros", "/etc"],
        &["--entrypoint", "/no/such", "cirros"],
        &["-u", "nobody-such", "cirros", "true"],
        &["-w", "/etc/passwd", "cirros", "true"],
        &["--pull", "never", "no-such-image:v0", "true"],
        &["--no-such-flag", "cirros"],
        &["cirros", "sh", "-c", "exit 7"],
        &["cirros", "sh", "-c", "sh -c 'kill -9 $$'"],
    ];
    let runs = runs.into_iter().map(|words| [&["run", "--rm"], words].concat());
    let others = [
        vec!["exec", "no-such-container", "true"],
        vec!["attach", "no-such-container"],
        vec!["start", "-a", "no-such-container"],
        vec!["exec", "--no-such-flag", "no-such-container", "true"],
        vec!["exec", "no-such-container"],
        vec!["run"],
        vec!["run", "-i", "-t", "cirros"],
        vec!["ps", "--no-such-flag"],
        vec!["ps", "--filter"],
        vec!["ps", "an-argument"],
        vec!["rm", "--no-such-flag", "no-such-container"],
        vec!["stop"],
        vec!["logs"],
        vec!["create"],
        vec!["no-such-command"],
    ];
    // A container of this name for zun and for Docker. Newer versions of Docker return 127 for a command that they do not
    // find, as zun does.
    let name = zun.name("codes");
    let own = name.as_str();
    zun.must(&["run", "-d", "--name", own, "cirros", "sleep", "1000"]);
    let for_docker = ["-H", &socket, "run", "-d", "--rm", "--name", own, "cirros", "sleep", "1000"];
    assert!(
        Command::new("docker").args(for_docker).output().expect("docker runs").status.success()
    );
    let execs = [
        &["-w", "no/path", own, "true"][..],
        &["-w", "/no/such", own, "true"],
        &["-u", "nobody-such", own, "true"],
        &[own, ""],
        &["-d", own, "no-such-command"],
        &["-d", "-w", "no/path", own, "true"],
        &["-d", "-u", "nobody-such", own, "true"],
        &["-e", "=x", own, "true"],
        &["--detach-keys", "no-key", own, "true"],
    ];
    let execs = execs.into_iter().map(|words| [&["exec"], words].concat());
    for words in runs.chain(others).chain(execs) {
        let docker = Command::new("docker").args(["-H", &socket]).args(&words).output();
        let docker = docker.expect("docker runs");
        let finished = zun.run(&words);
        assert_eq!(Some(finished.code), docker.status.code(), "{words:?}: {finished:?} {docker:?}");
    }
    let removed = Command::new("docker").args(["-H", &socket, "rm", "-f", own]).output();
    assert!(removed.expect("docker runs").status.success());
}

#[test]
fn c45_a_container_with_rm_is_gone_when_its_shell_exits() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c45");
    let mut term =
        zun.term(&["run", "-i", "--rm", "--name", name.as_str(), "cirros", "/bin/sh"], (24, 80));
    term.shows("/ #");
    term.types("exit 5\r");
    assert_eq!(term.exit(), 5);
    let gone = || zun.run(&["show", name.as_str()]).code != 0;
    eventually("the container is gone", gone);
}

#[test]
fn c44_removing_the_container_ends_the_session_with_137() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c44");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], (24, 80));
    term.shows("/ #");
    zun.must(&["delete", "--force", name.as_str()]);
    assert_eq!(term.exit(), 137);
}

#[test]
fn c04_a_run_that_fails_leaves_no_container() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for (command, code, message) in
        [("/no/such", 127, "no such file"), ("/etc/passwd", 126, "permission denied")]
    {
        let name = zun.name("c04");
        let run = ["run", "-i", "--rm", "--name", name.as_str(), "cirros", command];
        let finished = zun.run(&run);
        assert_eq!(finished.code, code, "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        assert!(finished.stderr.contains(message), "{finished:?}");
        eventually("nothing is left", || zun.run(&["show", name.as_str()]).code != 0);
    }
}

#[test]
fn c04_a_container_that_docker_cannot_start_gets_one_line_with_the_reason() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let long = "h".repeat(70);
    let host = ["--hostname", long.as_str()];
    for (flags, words) in [
        (&["-u", "nobody-such"][..], "unable to find user nobody-such"),
        (&host, "sethostname: invalid argument"),
        (&["-u", "root:nogroup-such"], "unable to find group nogroup-such"),
        (&["-w", "/etc/passwd/x"], "lstat /etc/passwd/x: not a directory"),
    ] {
        for ways in [&["--rm"][..], &["--rm", "-i"], &["--rm", "-d"], &[]] {
            for _ in 0..4 {
                let finished = zun.run(&[&["run"], ways, flags, &["cirros", "true"]].concat());
                assert_eq!((finished.code, finished.stdout.as_str()), (125, ""), "{finished:?}");
                assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
                assert!(finished.stderr.contains(words), "{finished:?}");
                for inner in ["runc", "overlay2", "unknown"] {
                    assert!(!finished.stderr.contains(inner), "{finished:?}");
                }
            }
        }
    }
    // The command's own exit code is kept.
    for code in [125, 126, 127, 128] {
        let script = format!("exit {code}");
        let finished = zun.run(&["run", "--rm", "cirros", "sh", "-c", &script]);
        assert_eq!(finished.code, code, "{finished:?}");
    }
}

#[test]
fn c04_a_container_that_docker_cannot_start_is_in_error_with_the_reason() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c04-error");
    zun.must(&["create", "-u", "nobody-such", "--name", name.as_str(), "cirros", "true"]);
    for verb in [&["start"][..], &["start", "-a"], &["start"]] {
        let finished = zun.run(&[verb, &[name.as_str()]].concat());
        assert_eq!((finished.code, finished.stderr.lines().count()), (1, 1), "{finished:?}");
        assert!(finished.stderr.contains("unable to find user nobody-such"), "{finished:?}");
        assert_eq!(zun.field(name.as_str(), "status"), "Error");
        let reason = zun.field(name.as_str(), "status_reason");
        assert!(reason.as_str().is_some_and(|words| words.contains("nobody-such")), "{reason}");
    }
}

#[test]
fn c43_a_restart_while_attached_is_reported_and_never_exits_with_0() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c43");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    zun.must(&["restart", "-t", "0", name.as_str()]);
    // If the engine restarts the container at once, its answer to a wait may have the exit code of the new run: 0, while
    // that run lasts. The service knows the code of the run that ended.
    assert_eq!(term.exit(), 137, "{}", term.transcript());
    assert!(term.transcript().contains("was restarted"), "{}", term.transcript());
    let name = zun.name("c43-policy");
    let script = "echo once; sleep 1; exit 0";
    let policy = ["--restart", "always", "--name", name.as_str()];
    let run = [&["run", "-i"][..], &policy, &["cirros", "sh", "-c", script]].concat();
    let finished = zun.run(&run);
    assert_eq!((finished.code, finished.stdout.as_str()), (125, "once\n"), "{finished:?}");
    assert!(finished.stderr.contains("was restarted"), "{finished:?}");
}

/// Returns whether the engine reports that the container ran out of memory.
fn engine_knows(zun: &ZunCli, name: &str) -> bool {
    let socket = format!("unix://{}", zun.engine_socket().display());
    let container = format!("zun-{}", zun.field(name, "uuid").as_str().expect("an id"));
    let inspect = ["-H", &socket, "inspect", "-f", "{{.State.OOMKilled}}", &container];
    let shown = Command::new("docker").args(inspect).output().expect("docker runs");
    assert!(shown.status.success(), "{shown:?}");
    shown.stdout == b"true\n"
}

#[test]
fn c44_a_process_killed_out_of_memory_gets_one_line_that_says_so() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let says_so = |flag: &str| {
        let name = zun.name("c44-oom");
        let run = ["run", flag, "--memory", "16", "--name", name.as_str(), "cirros"];
        let finished = zun.run(&[&run[..], &["tail", "/dev/zero"]].concat());
        assert_eq!(finished.code, 137, "{finished:?}");
        assert!(finished.stderr.lines().count() <= 1, "{finished:?}");
        let says_why = finished.stderr.contains("memory");
        // The CLI may be silent only if the engine does not report it either. With --rm the container is gone, so the
        // engine cannot be asked.
        assert!(says_why || flag == "--rm" || !engine_knows(&zun, name.as_str()), "{finished:?}");
        says_why
    };
    // The engine sometimes misses an OOM kill, and with auto-remove it may report it only after the removal.
    for flag in ["-i", "--rm"] {
        assert!((0..5).any(|_| says_so(flag)), "{flag}");
    }
}

#[test]
fn c45_a_container_with_rm_is_kept_after_detach_or_a_killed_client() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for way in ["detach", "kill"] {
        let name = zun.name("c45");
        let run = ["run", "-i", "--rm", "--name", name.as_str(), "cirros", "/bin/sh"];
        let mut term = zun.term(&run, SIZE);
        term.shows("/ #");
        if way == "detach" {
            term.types("\x10\x11");
            assert_eq!(term.exit(), 0);
        } else {
            term.signal(Signal::KILL);
            assert_eq!(term.exit(), 137);
        }
        eventually("no console is open", || zun.field(name.as_str(), "attached") == 0);
        eventually("it runs", || zun.field(name.as_str(), "status") == "Running");
        let mut again = zun.term(&["attach", name.as_str()], SIZE);
        again.shows("/ #");
        again.types("exit 3\r");
        assert_eq!(again.exit(), 3);
        eventually("it is gone", || zun.run(&["show", name.as_str()]).code != 0);
    }
}
