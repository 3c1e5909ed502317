//! Tests of `zun exec`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use zun_tests::eventually::eventually;
use zun_tests::profile::times;
use zun_tests::recorder;
use zun_tests::zun_cli::{Finished, Name, ZunCli};

fn idle(zun: &ZunCli, test: &str) -> Name {
    let name = zun.name(test);
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "1000"]);
    name
}

/// The exit code if a command cannot be started. As with Docker, it is 1 in the background.
fn exit_code(flags: &[&str], code: i32) -> i32 {
    if flags.contains(&"-d") { 1 } else { code }
}

#[test]
fn c05_an_exec_that_fails_exits_with_127_or_126_and_a_line_on_stderr() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c05");
    for flags in [&["exec"][..], &["exec", "-i"], &["exec", "-d"]] {
        for (command, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
            let finished = zun.run(&[flags, &[name.as_str(), command]].concat());
            let code = exit_code(flags, code);
            assert_eq!((finished.code, finished.stdout.as_str()), (code, ""), "{finished:?}");
            assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        }
    }
}

#[test]
fn c05_an_exec_that_docker_cannot_start_is_one_line_on_stderr() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c05b");
    for (flags, command, code, words) in [
        (&["-u", "nobody-such"][..], "id", 126, "unable to find user nobody-such"),
        (&["-u", "root:nogroup-such"], "id", 126, "unable to find group nogroup-such"),
        (&["-u", "99999999999"], "id", 126, "uids and gids must be in range"),
        (&["-w", "/no/such"], "id", 126, "/no/such"),
        (&["-w", "/etc/passwd"], "id", 126, "not a directory"),
        (&[], "no-such", 127, "executable file not found"),
        (&[], "/etc", 126, "permission denied"),
    ] {
        for ways in [&[][..], &["-i"], &["-t"], &["-d"], &["--format", "json"]] {
            let exec = [&["exec"], ways, flags, &[name.as_str(), command]].concat();
            let finished = zun.run(&exec);
            let code = exit_code(ways, code);
            assert_eq!((finished.code, finished.stdout.as_str()), (code, ""), "{finished:?}");
            assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
            assert!(finished.stderr.starts_with("zun: "), "{finished:?}");
            assert!(finished.stderr.contains(words), "{finished:?}");
            for inner in ["OCI runtime", "unknown", "\r"] {
                assert!(!finished.stderr.contains(inner), "{finished:?}");
            }
        }
    }
}

#[test]
fn c05_a_command_that_prints_dockers_words_itself_keeps_them() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c05c");
    for words in ["OCI runtime exec failed: exec failed: x\r\n", "unable to find user x\r\n"] {
        for code in [126, 127] {
            let script = format!("printf '{}'; exit {code}", words.escape_default());
            let finished = zun.run(&["exec", name.as_str(), "sh", "-c", &script]);
            let expected = Finished { code, stdout: words.to_owned(), stderr: String::new() };
            assert_eq!(finished, expected);
        }
    }
    // The CLI does not hold the output back until the command ends.
    let script = "printf 'ready\\r\\n'; exec sleep 1000";
    let mut term = zun.term(&["exec", name.as_str(), "sh", "-c", script], (24, 80));
    term.shows("ready");
    term.signal(rustix::process::Signal::KILL);
    term.exit();
}

#[test]
fn c09_a_file_comes_back_equal_each_time() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c09");
    let mut bytes = (0..=255).cycle().take(300_000).collect::<Vec<u8>>();
    bytes.extend(b"\r\n\0\x04\x10\x11");
    let count = times(100);
    for time in 0..count {
        let output = zun.piped(&["exec", "-i", name.as_str(), "cat"], &bytes);
        assert!(output.stdout == bytes && output.status.success(), "{time}: {:?}", output.stderr);
    }
    recorder.measured(format!("{count} of {count}"));
}

#[test]
fn c63_the_environment_user_and_directory_are_as_requested() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c63");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "# a comment\nFROM_FILE=file\nBOTH=file").expect("written");
    let path = file.path().to_str().expect("text");
    let options =
        ["-e", "A=b=c", "-e", "BOTH=flag", "--env-file", path, "-w", "/etc", "-u", "65534:65533"];
    let script = "echo $A $BOTH $FROM_FILE; pwd; id -u; id -g; grep CapEff /proc/self/status";
    let shown = zun.must(&[&["exec"], &options[..], &[name.as_str(), "sh", "-c", script]].concat());
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[..4], ["b=c flag file", "/etc", "65534", "65533"], "{shown}");
    let plain = zun.must(&["exec", name.as_str(), "sh", "-c", script]);
    let privileged = zun.run(&["exec", "--privileged", name.as_str(), "sh", "-c", script]);
    let capabilities = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("a line");
        u64::from_str_radix(line.trim(), 16).expect("a mask").count_ones()
    };
    // If root lacks capabilities here, an old engine refuses --privileged, and a newer one grants only those that root
    // has.
    let own = std::fs::read_to_string("/proc/self/status").expect("our own state");
    let last =
        std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("the last capability");
    let lacks = capabilities(&own) <= last.trim().parse().expect("a number");
    if lacks && privileged.code != 0 {
        assert!(privileged.stderr.contains("unable to apply caps"), "{privileged:?}");
    } else {
        assert!(capabilities(&privileged.stdout) > capabilities(&plain), "{privileged:?}");
    }
}

#[test]
fn c64_output_is_live_and_its_streams_are_separate() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c64");
    let script = "echo now; echo oops >&2; sleep 3; printf '\\377\\000'; exit 9";
    let mut child = zun
        .command(&["exec", name.as_str(), "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zun runs");
    let begun = Instant::now();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "now\n");
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    assert_eq!(rest, b"\xff\0");
    let mut message = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut message).expect("text");
    assert_eq!((message.as_str(), child.wait().expect("its end").code()), ("oops\n", Some(9)));
}

#[test]
fn c64_output_beyond_the_control_planes_limit_is_complete() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c64b");
    let count = zun.must(&["exec", name.as_str(), "sh", "-c", "yes | head -c 20000000"]).len();
    assert_eq!(count, 20_000_000);
}

#[test]
fn c64_json_output_has_the_exit_code_and_both_streams() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c64c");
    let script = "cat; echo oops >&2; exit 9";
    let exec = ["exec", "-i", "--format", "json", name.as_str(), "sh", "-c", script];
    let finished = Finished::from(zun.piped(&exec, "grüße\n".as_bytes()));
    assert_eq!((finished.code, finished.stderr.as_str()), (9, ""), "{finished:?}");
    let printed: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let expected = serde_json::json!({"exit_code": 9, "stdout": "grüße\n", "stderr": "oops\n"});
    assert_eq!(printed, expected);
    let refused = zun.run(&["exec", "-t", "--format", "json", name.as_str(), "sh"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
}

#[test]
fn a_detached_command_keeps_running_after_its_client_exits() {
    let zun = ZunCli::shared();
    let name = idle(&zun, "detached");
    let script = "sleep 1; echo done > /tmp/mark; echo nobody reads this";
    let finished = zun.run(&["exec", "-d", name.as_str(), "sh", "-c", script]);
    assert_eq!(finished, Finished { code: 0, stdout: String::new(), stderr: String::new() });
    eventually("the command has done its work", || {
        zun.run(&["exec", name.as_str(), "cat", "/tmp/mark"]).stdout == "done\n"
    });
    // As in docker, -t with -d creates a terminal, but nobody can type into it.
    let script = "tty > /tmp/tty";
    zun.must(&["exec", "-dit", name.as_str(), "sh", "-c", script]);
    eventually("it has a terminal", || {
        let shown = zun.run(&["exec", name.as_str(), "cat", "/tmp/tty"]);
        shown.stdout.starts_with("/dev/")
    });
}

/// A command that writes its PID to a file, prints a line, and keeps running.
const MARKED: &str = "echo $$ > /tmp/pid; echo begun; exec sleep 1000";

#[test]
fn c34_on_disconnect_keeps_or_kills_the_command_when_its_client_exits() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = idle(&zun, "c34");
    for (policy, runs) in [("keep", true), ("kill:1s", false), ("hup:1s", false)] {
        let exec = ["exec", "-i", "--on-disconnect", policy, name.as_str(), "sh", "-c", MARKED];
        let mut term = zun.term(&exec, (24, 80));
        term.shows("begun");
        term.signal(rustix::process::Signal::HUP);
        assert_eq!(term.exit(), 129);
        let alive = "kill -0 $(cat /tmp/pid)";
        let is_alive = || zun.run(&["exec", name.as_str(), "sh", "-c", alive]).code == 0;
        eventually("the policy is applied", || is_alive() == runs);
        assert_eq!(is_alive(), runs, "{policy}");
    }
}
