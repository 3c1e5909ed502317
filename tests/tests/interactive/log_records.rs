//! `zun logs`: lines that the engine splits into several records, and the end of a followed log.

use zun_tests::zun_cli::{Finished, Name, ZunCli};

/// Repetitions of a test, because the end of a followed log is a race.
const TIMES: usize = 15;

fn run(zun: &ZunCli, test: &str, flags: &[&str], script: &str) -> Name {
    let name = zun.name(test);
    let run = [&["run", "-d", "--name", name.as_str()], flags, &["cirros", "sh", "-c", script]];
    zun.must(&run.concat());
    name
}

/// Returns the lines without their timestamps. Fails if a line does not begin with one.
fn texts(output: &str) -> Vec<&str> {
    let text = |line| {
        let (stamp, text) = str::split_once(line, ' ').expect("a timestamp");
        assert!(stamp.starts_with("20") && stamp.ends_with('Z'), "{stamp}");
        text
    };
    output.lines().map(text).collect()
}

#[test]
fn a_line_of_several_records_has_one_timestamp() {
    let zun = ZunCli::shared();
    for tty in [&[][..], &["-t"]] {
        for length in [16_383, 16_384, 16_385, 100_000] {
            let line = format!("head -c {length} /dev/zero | tr '\\0' a");
            let script = format!("{line}; echo; echo short; {line}");
            let name = run(&zun, "log-records", tty, &script);
            zun.must(&["wait", name.as_str()]);
            let long = "a".repeat(length);
            for flags in ["-t", "-ft"] {
                let shown = zun.must(&["logs", flags, name.as_str()]);
                assert!(texts(&shown) == [&long, "short", &long], "{tty:?} {flags} {length}");
            }
        }
    }
}

#[test]
fn a_record_continues_the_line_of_its_own_stream() {
    let zun = ZunCli::shared();
    let piece = |to: &str, letter: char| {
        format!("head -c 16384 /dev/zero | tr '\\0' {letter} >&{to}; sleep 0.2; ")
    };
    let script = [piece("1", 'a'), piece("2", 'b'), piece("1", 'c'), "echo; echo d >&2".to_owned()];
    let name = run(&zun, "log-outputs", &[], &script.concat());
    zun.must(&["wait", name.as_str()]);
    let Finished { stdout, stderr, .. } = zun.run(&["logs", "-t", name.as_str()]);
    let of = |letter: &str| letter.repeat(16_384);
    assert!(texts(&stdout) == [of("a") + &of("c")], "{}", stdout.len());
    assert!(texts(&stderr) == [of("b") + "d"], "{}", stderr.len());
}

#[test]
fn a_followed_log_includes_a_last_line_without_a_newline() {
    let zun = ZunCli::shared();
    let script = "echo first; sleep 0.4; echo oops >&2; printf last";
    for tty in [&[][..], &["-t"]] {
        for flags in [&[][..], &["--tail", "1"], &["--since", "1m"], &["-t"]] {
            for _ in 0..if tty.is_empty() && flags.is_empty() { TIMES } else { 4 } {
                let name = run(&zun, "log-end", tty, script);
                let logs = [&["logs", "-f"], flags, &[name.as_str()]].concat();
                let Finished { code, stdout, stderr } = zun.run(&logs);
                let stdout = if flags == ["-t"] { texts(&stdout).join("\n") } else { stdout };
                let stderr = if flags == ["-t"] { texts(&stderr).join("\n") } else { stderr };
                let expected = if tty.is_empty() {
                    ("first\nlast", "oops")
                } else {
                    ("first\noops\nlast", "")
                };
                let stdout = stdout.replace('\r', "");
                if flags == ["--tail", "1"] {
                    // How much comes before it depends on how fast the container starts.
                    assert!(code == 0 && stdout.ends_with("last"), "{stdout}");
                    continue;
                }
                assert_eq!((code, stdout.as_str(), stderr.trim_end()), (0, expected.0, expected.1));
            }
        }
    }
}

#[test]
fn a_followed_log_prints_each_line_once() {
    let zun = ZunCli::shared();
    let flood = run(&zun, "log-flood", &[], "yes 0123456789 | head -n 200000; printf end");
    let shown = zun.must(&["logs", "-f", flood.as_str()]);
    assert_eq!(shown.len(), 200_000 * 11 + 3);
    assert!(shown.ends_with("0123456789\nend"));
    // The log is the same if the container has already ended.
    assert!(zun.must(&["logs", "-f", flood.as_str()]) == shown);
    assert_eq!(zun.must(&["logs", "-f", "--tail", "1", flood.as_str()]), "end");
    assert_eq!(zun.must(&["logs", "-f", "--tail", "0", flood.as_str()]), "");
    let silent = run(&zun, "log-silent", &[], "sleep 0.3");
    assert_eq!(zun.must(&["logs", "-f", silent.as_str()]), "");
}
