//! Run, attach and exec, with and without a terminal.

use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use zun_common::grant::Mode;
use zun_common::pty::{ClientHello, EndingReason, Frame, Size};
use zun_tests::eventually::{eventually, eventually_some};
use zun_tests::profile::is_long;
use zun_tests::recorder;

use super::bench::{Bench, console, exec};
use super::client::{Refused, Session, hello};

const SIZE: Size = Size { width: 101, height: 33 };

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_attached_before_its_start_types_resizes_and_returns_its_exit_code() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; read x; stty size; echo got $x; exit 42");
    let grant = console(&id, Mode::ReadWrite);
    let asked = ClientHello { size: Some(SIZE), ..hello() };
    let mut shell =
        Session::connect(&bench.dialer, &bench.granted(&grant), &grant, asked).await.expect("one");
    assert!(shell.hello.tty && !shell.hello.running && shell.hello.writes && shell.hello.signals);
    bench.docker(&["start", &id]);
    shell.until("begun").await;
    eventually("the terminal has its size", || {
        bench.docker(&["exec", &id, "stty", "-F", "/proc/1/fd/0", "size"]) == "33 101"
    });
    shell.types(b"hello\r").await;
    let ending = shell.ending().await;
    let shown = String::from_utf8_lossy(&shell.stdout).into_owned();
    assert!(shown.contains("33 101") && shown.contains("got hello"), "{shown:?}");
    assert_eq!((ending.zun.reason, ending.zun.exit_code), (EndingReason::Exited, Some(42)));
    assert_eq!(ending.zun.stdout_bytes, shell.stdout.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_keeps_its_streams_apart_and_ends_its_stdin_only_when_it_is_marked() {
    let bench = Bench::start().await;
    let id = bench.shell(false, "cat; echo later; echo apart >&2; exit 3");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let mut pipe =
        Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    pipe.types(b"one\n").await;
    pipe.until("one\n").await;
    let resume = pipe.resume();
    // The link is lost: that is no end of stdin.
    drop(pipe);
    let mut pipe =
        Session::connect(&bench.dialer, &identity, &grant, resume).await.expect("resumed");
    assert!(pipe.hello.resumed);
    assert_eq!((pipe.hello.stdin_next, pipe.hello.stdout_next), (4, 4));
    pipe.types(b"two\n").await;
    pipe.until("two\n").await;
    assert!(!String::from_utf8_lossy(&pipe.stdout).contains("later"));
    pipe.send(Frame::StdinEnd).await;
    let ending = pipe.ending().await;
    assert_eq!(
        (pipe.stdout.as_slice(), pipe.stderr.as_slice()),
        (&b"two\nlater\n"[..], &b"apart\n"[..])
    );
    assert_eq!(ending.zun.exit_code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_removes_itself_still_has_an_exit_code() {
    let bench = Bench::start().await;
    let id = bench.container(&["--rm", "-i", "busybox", "sh", "-c", "exit 7"]);
    let grant = console(&id, Mode::ReadWrite);
    let mut run = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("a session");
    bench.docker(&["start", &id]);
    assert_eq!(run.ending().await.zun.exit_code, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_ends_the_session_with_its_code_and_reason() {
    let bench = Bench::start().await;
    let id = bench.container(&["-i", "busybox", "/no/such/program"]);
    let grant = console(&id, Mode::ReadWrite);
    let mut run = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("a session");
    let started = bench.command(&["start", &id]).output().expect("docker runs");
    assert!(!started.status.success());
    let ending = run.ending().await;
    assert_eq!((ending.zun.reason, ending.zun.exit_code), (EndingReason::NotStarted, Some(127)));
    assert!(ending.message.contains("/no/such/program"), "{}", ending.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_removed_before_its_start_ends_the_session() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "true");
    let grant = console(&id, Mode::ReadWrite);
    let mut run = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("a session");
    bench.docker(&["rm", &id]);
    assert_eq!(run.ending().await.zun.reason, EndingReason::Removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_ends_with_its_signal_and_a_signal_is_sent_once() {
    let bench = Bench::start().await;
    let id = bench.shell(false, "trap 'echo caught' USR1; echo ready; while :; do sleep 0.1; done");
    let grant = console(&id, Mode::ReadWrite);
    let mut run = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("a session");
    bench.docker(&["start", &id]);
    run.until("ready").await;
    for _ in 0..2 {
        run.send(Frame::Signal { number: 1, name: "SIGUSR1".to_owned() }).await;
    }
    run.until("caught").await;
    run.send(Frame::Signal { number: 2, name: "SIGKILL".to_owned() }).await;
    assert_eq!(run.ending().await.zun.exit_code, Some(137));
    assert_eq!(run.stdout, b"ready\ncaught\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn execs_with_and_without_a_terminal_return_their_exit_codes() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    bench.docker(&["start", &id]);
    for (tty, command, code) in [
        (true, &["sh", "-c", "read x; stty size; echo got $x; exit 5"][..], 5),
        (false, &["sh", "-c", "read x; echo got $x; exit 6"], 6),
    ] {
        let process = bench.exec(&id, tty, command);
        let grant = exec(&process);
        let asked = ClientHello { size: Some(SIZE), ..hello() };
        let mut session = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, asked)
            .await
            .expect("a session");
        assert!(session.hello.signals && session.hello.tty == tty);
        session.types(b"hello\n").await;
        let ending = session.ending().await;
        assert_eq!(ending.zun.exit_code, Some(code), "{command:?}");
        let shown = String::from_utf8_lossy(&session.stdout).into_owned();
        assert!(shown.contains("got hello"), "{shown:?}");
    }
    let script = "trap 'echo caught' USR1; sleep 345 & echo $! > /tmp/child; echo ready; while :; do wait; done";
    let grant = exec(&bench.exec(&id, false, &["sh", "-c", script]));
    let mut signalled = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("a session");
    signalled.until("ready").await;
    // The second one is a repetition.
    for _ in 0..2 {
        signalled.send(Frame::Signal { number: 1, name: "SIGUSR1".to_owned() }).await;
    }
    signalled.until("caught").await;
    signalled.send(Frame::Signal { number: 2, name: "SIGKILL".to_owned() }).await;
    eventually("it is killed", || !bench.docker(&["top", &id]).contains("echo caught"));
    assert!(bench.docker(&["top", &id]).contains("sleep 345"), "only the process gets signals");
    bench.docker(&["exec", &id, "sh", "-c", "kill $(cat /tmp/child)"]);
    assert_eq!(signalled.ending().await.zun.exit_code, Some(137));
    assert_eq!(signalled.stdout, b"ready\ncaught\n");
    for tty in [true, false] {
        let process = bench.exec(&id, tty, &["no-such-program"]);
        let grant = exec(&process);
        let mut session = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
            .await
            .expect("a session");
        let ending = session.ending().await;
        let reason = (ending.zun.reason, ending.zun.exit_code);
        assert_eq!(reason, (EndingReason::NotStarted, Some(127)), "{}", ending.message);
        assert!(ending.message.contains("executable file not found"), "{}", ending.message);
        assert_eq!((session.stdout.len(), session.stderr.len()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_outlives_its_client_and_is_started_only_once() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    bench.docker(&["start", &id]);
    let process = bench.exec(&id, false, &["sh", "-c", "read x; echo got $x; exit 9"]);
    let grant = exec(&process);
    let identity = bench.granted(&grant);
    let first = Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("one");
    let resume = first.resume();
    drop(first);
    let mut second =
        Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("two");
    let mut first = Session::connect(&bench.dialer, &identity, &grant, resume).await.expect("one");
    first.types(b"x\n").await;
    assert_eq!(first.ending().await.zun.exit_code, Some(9));
    assert_eq!(second.ending().await.zun.exit_code, Some(9));
    assert_eq!(
        (first.stdout.as_slice(), second.stdout.as_slice()),
        (&b"got x\n"[..], &b"got x\n"[..])
    );
    eventually_some("a new client is refused, because an exec cannot run again", async || {
        let late = Session::connect(&bench.dialer, &identity, &grant, hello()).await;
        match late {
            Err(refused) => {
                assert_eq!(refused, Refused::Status(409));
                Some(())
            }
            // The former session is just ending.
            Ok(mut late) => {
                late.ending().await;
                None
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_an_unwatched_terminal_is_kept_and_each_run_begins_anew() {
    let bench = Bench::start().await;
    let id = bench.shell(
        true,
        "read x; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; read y",
    );
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    let mut first = connect(hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    first.types(b"\r").await;
    first.detach().await;
    let mut second = connect(hello()).await.expect("a session");
    let shown = second.until("line 1999").await;
    assert!(shown.contains("line 0\r\n"), "{shown}");
    second.types(b"\r").await;
    assert_eq!(second.ending().await.zun.exit_code, Some(0));
    let mut third = connect(hello()).await.expect("a session");
    assert_eq!((third.hello.stdout_next, third.hello.running), (0, false));
    bench.docker(&["start", &id]);
    third.types(b"\r").await;
    third.until("line 1999").await;
    third.types(b"\r").await;
    assert_eq!(third.ending().await.zun.exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn c27_a_read_only_viewer_sees_all_and_nothing_that_it_sends_arrives() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; read x; stty size; echo got $x");
    let (rw, ro) = (console(&id, Mode::ReadWrite), console(&id, Mode::ReadOnly));
    let asked = ClientHello { size: Some(Size { width: 80, height: 24 }), ..hello() };
    let mut writer =
        Session::connect(&bench.dialer, &bench.granted(&rw), &rw, asked).await.expect("a writer");
    let asked = ClientHello { size: Some(SIZE), ..hello() };
    let mut viewer =
        Session::connect(&bench.dialer, &bench.granted(&ro), &ro, asked).await.expect("a viewer");
    assert!(!viewer.hello.writes && !viewer.hello.signals);
    bench.docker(&["start", &id]);
    viewer.until("begun").await;
    viewer.types(b"stolen\r").await;
    viewer.send(Frame::Resize(SIZE)).await;
    viewer.send(Frame::Signal { number: 1, name: "SIGKILL".to_owned() }).await;
    viewer.send(Frame::StdinEnd).await;
    // The answer proves that the messages before it were handled.
    viewer.send(Frame::Ping(1)).await;
    while !viewer.other.contains(&Frame::Pong(1)) {
        assert!(viewer.receive().await);
    }
    eventually("the terminal has its size", || {
        bench.docker(&["exec", &id, "stty", "-F", "/proc/1/fd/0", "size"]) == "24 80"
    });
    writer.types(b"typed\r").await;
    assert_eq!(writer.ending().await.zun.exit_code, Some(0));
    assert_eq!(viewer.ending().await.zun.exit_code, Some(0));
    let shown = String::from_utf8_lossy(&viewer.stdout).into_owned();
    assert!(shown.contains("got typed") && shown.contains("24 80"), "{shown:?}");
    assert!(!shown.contains("stolen"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_stops_asks_its_clients_to_come_back() {
    let mut bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let mut session = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("a session");
    bench.docker(&["start", &id]);
    session.until("begun").await;
    let stopping = bench.gate.take().expect("it runs").stop();
    let (closed, ()) = tokio::join!(session.finish(), stopping);
    assert_eq!(closed, Some(1012));
}

#[tokio::test(flavor = "multi_thread")]
async fn c23_a_client_that_attaches_later_gets_every_byte_since_the_start() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    // Less than the largest ring: more output would be kept only while a client still needs it.
    let id = bench.shell(
        false,
        "head -c 3000000 /dev/urandom | tee /tmp/copy; sha256sum /tmp/copy >&2; read x",
    );
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    // `zun run -d` with a gate: somebody was there at the start.
    let mut first = connect(hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    let printed = async {
        while first.stderr.is_empty() {
            assert!(first.receive().await);
            first.acknowledge().await.expect("sent");
        }
    };
    tokio::time::timeout(super::client::TIMEOUT, printed).await.expect("in time");
    first.detach().await;
    let mut second = connect(hello()).await.expect("a session");
    assert_eq!((second.hello.stdout_next, second.hello.stderr_next), (0, 0));
    second.types(b"\n").await;
    assert_eq!(second.ending().await.zun.exit_code, Some(0));
    assert_eq!(second.stdout.len(), 3_000_000);
    let sum = String::from_utf8_lossy(&second.stderr).into_owned();
    let sum = sum.split(' ').next().expect("a sum");
    assert_eq!(hex::encode(Sha256::digest(&second.stdout)), sum);
}

#[tokio::test(flavor = "multi_thread")]
async fn c67_many_sessions_that_print_a_megabyte_a_second_are_complete_and_keys_still_echo() {
    let mut recorder = recorder!();
    let bench = Bench::start().await;
    let (count, seconds) = if is_long() { (200, 30) } else { (20, 3) };
    let id = bench.shell(true, "stty raw -echo; echo ready; exec cat");
    bench.docker(&["start", &id]);
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let mut typist =
        Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("a session");
    let script = format!(
        "for i in $(seq {seconds}); do dd if=/dev/zero bs=1000000 count=1 2>/dev/null; sleep 1; done"
    );
    let mut sessions = JoinSet::new();
    for _ in 0..count {
        let grant = exec(&bench.exec(&id, false, &["sh", "-c", &script]));
        let identity = bench.granted(&grant);
        let mut session =
            Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("a session");
        sessions.spawn(async move {
            let ending = session.ending().await;
            (ending.zun.exit_code, session.stdout.len())
        });
    }
    let mut times = Vec::new();
    while !sessions.is_empty() {
        typist.stdout.clear();
        typist.hello.stdout_next = 0;
        let begun = Instant::now();
        typist.types(b"x").await;
        let echoed = async {
            while !typist.stdout.contains(&b'x') {
                assert!(typist.receive().await);
            }
        };
        tokio::time::timeout(super::client::TIMEOUT, echoed).await.expect("in time");
        times.push(begun.elapsed());
        while let Some(ended) = sessions.try_join_next() {
            assert_eq!(ended.expect("no panic"), (Some(0), seconds * 1_000_000));
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    recorder.measured(format!("{count} sessions, 99 % of the echoes in {} ms", p99.as_millis()));
}
