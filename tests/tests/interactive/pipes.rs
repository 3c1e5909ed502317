//! Pipes, as scripts use them.

use std::io::Seek as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use zun_tests::profile::times;
use zun_tests::recorder;
use zun_tests::zun_cli::{Finished, ZunCli};

#[test]
fn c06_the_end_of_a_pipe_ends_cat() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    // A busy machine makes single runs slow, so the test compares the fastest of a few runs with the fastest of
    // docker.
    let socket = format!("unix://{}", zun.engine_socket().display());
    let (mut ours, mut dockers) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let run = || {
            let begun = Instant::now();
            let output = zun.piped(&["run", "-i", "--rm", "cirros", "cat"], b"hi\n");
            (Finished::from(output), begun.elapsed())
        };
        let (finished, took) =
            zun.retry_if_engine_lost_output(run, |(finished, _)| finished.stdout == "hi\n");
        ours = ours.min(took);
        assert_eq!((finished.code, finished.stdout.as_str()), (0, "hi\n"), "{finished:?}");
        let begun = Instant::now();
        let run = "echo hi | docker -H \"$0\" run -i --rm cirros cat";
        let output = Command::new("sh").args(["-c", run, &socket]).output().expect("docker runs");
        dockers = dockers.min(begun.elapsed());
        // The test does not check docker's own output.
        assert!(output.status.success(), "{output:?}");
    }
    assert!(ours < Duration::from_secs(2) + dockers, "{ours:?}; docker {dockers:?}");
    recorder.measured(format!("{} ms; docker {} ms", ours.as_millis(), dockers.as_millis()));
}

#[test]
fn c07_fifty_mebibytes_of_input_arrive_unchanged() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let mut input = vec![0_u8; 50 << 20];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for chunk in input.chunks_mut(8) {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    let mut local = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum runs");
    std::io::Write::write_all(&mut local.stdin.take().expect("a pipe"), &input).expect("written");
    let local = local.wait_with_output().expect("sha256sum ends").stdout;
    let output = zun.piped(&["run", "-i", "--rm", "cirros", "sha256sum"], &input);
    assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&local));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn c08_output_after_the_end_of_the_input_still_arrives() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let finished = zun.run(&["run", "-i", "--rm", "cirros", "sh", "-c", "cat; sleep 2; echo late"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "late\n"), "{finished:?}");
}

#[test]
fn c10_stdout_and_stderr_stay_separate() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let run = ["run", "-i", "-T", "--rm", "cirros", "sh", "-c", "echo o; echo e >&2"];
    let expected = Finished { code: 0, stdout: "o\n".to_owned(), stderr: "e\n".to_owned() };
    let finished =
        zun.retry_if_engine_lost_output(|| zun.run(&run), |finished| *finished == expected);
    assert_eq!(finished, expected);
    let into_files = || {
        let file = || tempfile::tempfile().expect("a file");
        let (mut o, mut e) = (file(), file());
        let code = zun
            .command(&run)
            .stdin(Stdio::null())
            .stdout(o.try_clone().expect("a file"))
            .stderr(e.try_clone().expect("a file"))
            .status()
            .expect("zun runs");
        let [stdout, stderr] = [&mut o, &mut e].map(|file| {
            file.rewind().expect("its beginning");
            std::io::read_to_string(file).expect("text")
        });
        Finished { code: code.code().expect("another handle"), stdout, stderr }
    };
    assert_eq!(
        zun.retry_if_engine_lost_output(into_files, |finished| *finished == expected),
        expected
    );
}

#[test]
fn c08_a_closed_stdin_is_an_empty_stdin() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c08-closed");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    for start in [&["run", "-i", "--rm", "cirros"][..], &["exec", "-i", name.as_str()]] {
        let command = zun.command(&[start, &["sh", "-c", "cat; echo end"]].concat());
        let run = || {
            let output = Command::new("sh")
                .args(["-c", "exec \"$0\" \"$@\" <&-"])
                .arg(command.get_program())
                .args(command.get_args())
                .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
                .output()
                .expect("zun runs");
            Finished::from(output)
        };
        let finished = zun.retry_if_engine_lost_output(run, |finished| finished.stdout == "end\n");
        assert_eq!((finished.code, finished.stdout.as_str()), (0, "end\n"), "{finished:?}");
        assert_eq!(finished.stderr, "", "{start:?}");
    }
}

#[test]
fn c50_every_byte_of_output_arrives_unchanged() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let script = "head -c 10485760 /dev/urandom > /tmp/x; sha256sum < /tmp/x >&2; cat /tmp/x";
    let output = zun.piped(&["run", "-i", "-T", "--rm", "cirros", "sh", "-c", script], b"");
    assert_eq!(output.stdout.len(), 10 << 20);
    let finished =
        Finished::from(zun.piped(&["run", "-i", "--rm", "cirros", "sha256sum"], &output.stdout));
    assert_eq!(finished.stdout, String::from_utf8_lossy(&output.stderr));
}

#[test]
fn c10_the_first_output_is_complete() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let count = times(1000);
    let expected = Finished { code: 7, stdout: "first\n".to_owned(), stderr: "err\n".to_owned() };
    let run = ["run", "--rm", "cirros", "sh", "-c", "echo first; echo err >&2; exit 7"];
    // dockerd may close the streams of a short process before it has read them, and logs it.
    let lost = AtomicUsize::new(0);
    let run_once = || {
        let since = Utc::now();
        let finished = zun.run(&run);
        if finished != expected {
            assert!(finished.code == 7 && zun.engine_lost_output(since), "{finished:?}");
            lost.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..count.div_ceil(4)).for_each(|_| run_once()));
        }
    });
    let lost = lost.into_inner();
    let whole = count - lost;
    recorder.measured(format!("first output complete in {whole} of {count}"));
    assert!(lost * 100 <= count, "the engine lost the output of {lost} of {count}");
}

#[test]
fn output_that_cannot_be_written_is_an_error_with_its_reason() {
    let zun = ZunCli::shared();
    let name = zun.name("full-disk");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sh", "-c", "seq 9; sleep 600"]);
    let name = name.as_str();
    zun_tests::eventually::eventually("it has printed", || zun.must(&["logs", name]).contains('9'));
    let inside = format!("{name}:/etc/passwd");
    for (words, code) in [
        (&["logs", name][..], 1),
        (&["logs", "-t", name], 1),
        (&["cp", &inside, "-"], 1),
        (&["export", name], 1),
        (&["exec", name, "echo", "hi"], 1),
        (&["run", "--rm", "cirros", "sh", "-c", "echo hi; sleep 1"], 125),
        (&["diff", name, "-o", "json"], 1),
        (&["top", name], 1),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
        let mut command = zun.command(words);
        let output = command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).output();
        let finished = Finished::from(output.expect("zun runs"));
        let message = "zun: cannot write the output: No space left on device (os error 28)\n";
        assert_eq!((finished.code, finished.stderr.as_str()), (code, message), "{words:?}");
    }
}

#[test]
fn c10_the_first_output_of_a_second_run_is_complete() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c10-again");
    let script = "echo first; echo err >&2; exit 7";
    zun.must(&["create", "--name", name.as_str(), "cirros", "sh", "-c", script]);
    let expected = Finished { code: 7, stdout: "first\n".to_owned(), stderr: "err\n".to_owned() };
    for _ in 0..5 {
        let start = || zun.run(&["start", "-a", name.as_str()]);
        assert_eq!(
            zun.retry_if_engine_lost_output(start, |finished| *finished == expected),
            expected
        );
    }
}
