//! A shell on a terminal.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use zun_tests::eventually::eventually;
use zun_tests::profile::is_long;
use zun_tests::pty::Pty;
use zun_tests::recorder;
use zun_tests::zun_cli::{Finished, ZunCli};

const SIZE: (u16, u16) = (33, 101);

#[test]
fn c01_a_shell_prompts_without_enter_and_the_terminal_is_restored() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c01");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    let before = term.first_modes();
    term.shows("/ #");
    assert_ne!(term.modes(), before, "the terminal is raw while the shell runs");
    term.types("echo h''i\r");
    term.shows("hi");
    term.types("exit\r");
    assert_eq!(term.exit(), 0);
    assert_eq!(term.modes(), before);
}

#[test]
fn c02_the_cli_exits_with_the_exit_code_of_the_shell() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c02");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    term.types("exit 42\r");
    assert_eq!(term.exit(), 42);
}

#[test]
fn c14_a_resize_reaches_the_container_at_once() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c14");
    let script = "trap 'stty size' WINCH; echo re''ady; while :; do sleep 0.01; done";
    let run = ["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh", "-c", script];
    let mut term = zun.term(&run, SIZE);
    term.shows("ready");
    let mut took: Vec<Duration> = (30..41)
        .map(|rows| {
            let begun = Instant::now();
            term.resize(rows, 90);
            term.shows(&format!("{rows} 90"));
            begun.elapsed()
        })
        .collect();
    took.sort();
    let median = took[took.len() / 2];
    recorder.measured(format!("median {} ms", median.as_millis()));
    assert!(median < Duration::from_millis(200), "{took:?}");
    if is_long() {
        // The grant is valid for two minutes and is renewed silently.
        std::thread::park_timeout(Duration::from_secs(130));
        term.resize(50, 120);
        term.shows("50 120");
        recorder.measured(format!("median {} ms; also after 130 s", median.as_millis()));
    }
    assert!(!term.transcript().contains("zun:"), "{}", term.transcript());
    term.types("\x03");
}

#[test]
fn c15_the_last_of_many_resizes_wins_silently() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c15");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    for columns in 20..220 {
        term.resize(40, columns);
    }
    term.resize(41, 99);
    term.types("until [ \"$(stty size)\" = '41 99' ]; do :; done; echo re''sized\r");
    term.shows("resized");
    term.types("exit\r");
    assert_eq!(term.exit(), 0);
    assert!(!term.transcript().contains("zun:"), "{}", term.transcript());
}

#[test]
fn c19_custom_detach_keys_leave_ctrl_p_to_the_shell() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c19");
    let keys =
        ["run", "-i", "--detach-keys", "ctrl-a,d", "--name", name.as_str(), "cirros", "/bin/sh"];
    let mut term = zun.term(&keys, SIZE);
    term.shows("/ #");
    term.types("echo fir''st\r");
    term.shows("first");
    term.types("\x10\r");
    term.shows("first");
    term.types("\x01d");
    assert_eq!(term.exit(), 0);
    eventually("it runs", || zun.field(name.as_str(), "status") == "Running");
}

#[test]
fn c20_without_detach_keys_both_reach_the_program() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c20");
    let script = "stty raw -echo; echo ready; head -c 2 | od -An -tx1";
    let run = [
        "run",
        "-i",
        "--detach-keys",
        "",
        "--name",
        name.as_str(),
        "cirros",
        "/bin/sh",
        "-c",
        script,
    ];
    let mut term = zun.term(&run, SIZE);
    term.shows("ready");
    term.types("\x10\x11");
    term.shows("10 11");
    assert_eq!(term.exit(), 0);
}

#[test]
fn c25_a_missing_terminal_is_a_clear_error() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let finished = zun.run(&["run", "-i", "-t", "--rm", "cirros", "/bin/sh"]);
    // As docker.
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("terminal"), "{finished:?}");
    let output = zun.piped(&["run", "-i", "-t", "--rm", "cirros", "/bin/sh"], b"exit 0\n");
    let finished = Finished::from(output);
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""), "{finished:?}");
    assert!(finished.stderr.contains("terminal"), "{finished:?}");
}

#[test]
fn c31_control_characters_go_to_the_program() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c31");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    term.types("trap 'echo caug''ht' INT\r");
    term.shows("/ #");
    term.types("\x03");
    term.shows("caught");
    // The shell reads single keys only at its prompt.
    term.shows("/ #");
    term.types("\x04");
    assert_eq!(term.exit(), 0);
}

#[test]
fn c31_each_control_character_reaches_a_program_that_reads_bytes() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c31-bytes");
    let script = "stty raw -echo; echo ready; head -c 5 | od -An -tx1";
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    for start in [&["run", "-i", "--rm", "cirros"][..], &["exec", "-i", name.as_str()]] {
        let mut term = zun.term(&[start, &["sh", "-c", script]].concat(), SIZE);
        term.shows("ready");
        term.types("\x03\x1a\x1c\x04\x11");
        term.shows("03 1a 1c 04 11");
        assert_eq!(term.exit(), 0);
    }
}

#[test]
fn c31_the_terminal_turns_control_characters_into_signals_of_the_program() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c31-signals");
    // A terminal discards pending data when a signal key is typed, unless `noflsh` is set. A `read` that a signal
    // interrupts fails like at the end of the input.
    let script = "stty noflsh; for s in INT QUIT TSTP; do trap \"echo got-$s; seen=1\" $s; done; echo ready; \
                  while :; do seen=; if read -r line; then echo \"line $line\"; \
                  elif [ -z \"$seen\" ]; then exit 6; fi; done";
    let run = ["run", "-i", "--name", name.as_str(), "cirros", "sh", "-c", script];
    let mut term = zun.term(&run, SIZE);
    term.shows("ready");
    for (key, word) in [("\x03", "got-INT"), ("\x1c", "got-QUIT"), ("\x1a", "got-TSTP")] {
        term.types(key);
        // If the shell is not reading now, it handles the signal with the next line.
        term.types("\r");
        term.shows(word);
        term.types("on\r");
        term.shows("line on");
    }
    term.types("\x04");
    assert_eq!(term.exit(), 6);
}

#[test]
fn c32_a_terminated_cli_restores_the_terminal() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let name = zun.name("c32");
        let run = ["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"];
        for verb in [&run[..], &["attach", name.as_str()], &["exec", "-i", name.as_str(), "sh"]] {
            let mut term = zun.term(verb, SIZE);
            let before = term.first_modes();
            term.shows("/ #");
            term.signal(signal);
            assert_eq!(term.exit(), code, "{verb:?}");
            assert_eq!(term.modes(), before, "{verb:?}");
        }
    }
}

#[test]
fn c49_characters_split_over_writes_arrive_whole() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c49");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    term.types("printf '\\xe6'; printf '\\x97'; printf '\\xa5'; printf '\\xf0\\x9f'; printf '\\x98\\x80'; echo\r");
    term.shows("日😀");
    term.types("exit\r");
    assert_eq!(term.exit(), 0);
}

#[test]
fn c32_a_stopped_cli_restores_the_terminal_and_makes_it_raw_again() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c32-stop");
    let mut term = zun.term(&["run", "-i", "--name", name.as_str(), "cirros", "/bin/sh"], SIZE);
    let before = term.first_modes();
    term.shows("/ #");
    let raw = term.modes();
    term.signal(Signal::TSTP);
    eventually("the terminal is restored", || term.modes() == before);
    // The CLI restores the terminal before it stops. A SIGCONT in between would be lost.
    eventually("it has stopped", || term.is_stopped());
    term.signal(Signal::CONT);
    eventually("the terminal is raw again", || term.modes() == raw);
    term.types("echo ba''ck; exit 4\r");
    term.shows("back");
    assert_eq!(term.exit(), 4);
    assert_eq!(term.modes(), before);
}

/// Not a test: the test below runs it on a terminal.
#[test]
#[ignore = "it panics on purpose"]
fn panics_with_a_raw_terminal() {
    let stdin =
        std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().expect("a terminal");
    let _raw = zunclient::tty::raw::RawMode::enter(stdin).expect("raw");
    println!("it is raw");
    let mut key = [0];
    std::io::Read::read_exact(&mut std::io::stdin(), &mut key).expect("a key");
    panic!("injected");
}

#[test]
fn c32_a_panic_restores_the_terminal_before_its_message() {
    let _recorder = recorder!();
    let program = std::env::current_exe().expect("this program");
    let name = "interactive::terminal::panics_with_a_raw_terminal";
    let arguments = ["--ignored", "--exact", name, "--nocapture", "--test-threads=1"];
    let mut term = Pty::spawn(&program.to_string_lossy(), &arguments, &[], SIZE);
    let before = term.first_modes();
    term.shows("it is raw");
    assert_ne!(term.modes(), before);
    term.types("x");
    // A restored terminal begins each line at the left margin.
    term.shows("injected\r\n");
    assert_eq!(term.exit(), 101);
    assert_eq!(term.modes(), before);
}
