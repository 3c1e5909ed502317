//! Granted calls work, and the plugin notifies the agent when a console begins and ends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zun_common::grant::{Call, Mode, SessionEventKind, WaitCondition};
use zun_common::units::TerminalSize;

use super::bench::{Bench, console, exec};
use super::request::{Answer, RequestLine, frame, open, until};

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 101 };

impl Bench {
    async fn call(&self, grant: &zun_common::grant::Grant, id: &str, call: Call) -> Answer {
        let line = RequestLine::of(grant, self.version, call);
        open(&self.dialer, Some(&self.granted(grant, id)), &line).await.expect("an answer")
    }

    fn began(&self, grant: &str, container: &str) {
        self.noted(SessionEventKind::Begin, grant, container);
    }

    fn ended(&self, grant: &str, container: &str) {
        self.noted(SessionEventKind::End, grant, container);
    }

    fn noted(&self, kind: SessionEventKind, grant: &str, container: &str) {
        let note = self.next_event();
        assert_eq!(
            (note.kind, note.grant.as_str(), note.container.as_str()),
            (kind, grant, container)
        );
    }
}

#[tokio::test]
async fn a_terminal_over_websocket_types_resizes_and_returns_its_exit_code() {
    let bench = Bench::start().await;
    let id = bench.container(&["--interactive", "--tty", "small", "sh"]);
    let grant = console(&id, Mode::ReadWrite);
    let mut shell = bench.call(&grant, "g1", Call::AttachWebsocket).await;
    assert_eq!(shell.status, 101);
    bench.began("g1", &id);
    let wait = {
        let line = RequestLine::of(&grant, bench.version, Call::Wait(WaitCondition::NextExit));
        let (dialer, identity) = (bench.dialer.clone(), bench.granted(&grant, "g1"));
        async move { open(&dialer, Some(&identity), &line).await.expect("an answer") }
    };
    bench.docker(&["start", &id]);
    assert_eq!(bench.call(&grant, "g1", Call::Resize(SIZE)).await.status, 200);
    shell.stream.write_all(&frame(2, b"stty size; echo a$((1+1))b\n")).await.expect("typed");
    assert!(until(&mut shell.stream, "a2b").await.contains("33 101"));
    bench.expect_no_event();
    let end = async {
        shell.stream.write_all(&frame(2, b"exit 3\n")).await.expect("typed");
        let mut rest = Vec::new();
        // The engine closes the connection without a TLS close_notify.
        drop(shell.stream.read_to_end(&mut rest).await);
    };
    // The answer comes when the wait is registered. An earlier end would not be reported.
    let mut waited = wait.await;
    assert!(waited.status == 200, "{}", waited.body);
    end.await;
    until(&mut waited.stream, "\"StatusCode\":3").await;
    // The two ends come in any order.
    let mut notes = [bench.next_event(), bench.next_event(), bench.next_event()]
        .map(|note| format!("{:?}", note.kind));
    notes.sort();
    assert_eq!(notes, ["End", "WaitBegin", "WaitEnd"]);
    bench.expect_no_event();
    bench.stop().await;
}

#[tokio::test]
async fn a_hijacked_pipe_half_closes_and_separates_streams() {
    let bench = Bench::start().await;
    let script = "cat; echo later; echo apart >&2";
    let id = bench.container(&["--interactive", "small", "sh", "-c", script]);
    let grant = console(&id, Mode::ReadWrite);
    let mut pipe = bench.call(&grant, "g2", Call::Attach).await;
    assert_eq!(pipe.status, 101);
    bench.began("g2", &id);
    bench.docker(&["start", &id]);
    pipe.stream.write_all(b"piped\n").await.expect("written");
    pipe.stream.shutdown().await.expect("half-closed");
    let mut output = Vec::new();
    drop(pipe.stream.read_to_end(&mut output).await);
    assert_eq!(demultiplex(&output), ["piped\nlater\n", "apart\n"]);
    bench.ended("g2", &id);
    bench.stop().await;
}

/// Splits the engine's frames into stdout and stderr. One frame may contain several lines.
fn demultiplex(mut frames: &[u8]) -> [String; 2] {
    let mut streams = [String::new(), String::new()];
    while let Some(([stream, 0, 0, 0, length @ ..], rest)) = frames.split_first_chunk::<8>() {
        let (line, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        streams[usize::from(*stream) - 1].push_str(std::str::from_utf8(line).expect("text"));
        frames = rest;
    }
    assert!(frames.is_empty(), "{frames:?}");
    streams
}

#[tokio::test]
async fn the_agent_is_notified_of_the_end_of_a_console_however_it_ends() {
    let bench = Bench::start().await;
    let id = bench.container(&["--interactive", "--tty", "small", "sh"]);
    bench.docker(&["start", &id]);
    let grant = console(&id, Mode::ReadWrite);
    // The client closes the connection without a TLS close_notify.
    for call in [Call::AttachWebsocket, Call::Attach] {
        let shell = bench.call(&grant, "cut", call).await;
        bench.began("cut", &id);
        drop(shell);
        bench.ended("cut", &id);
    }
    // The client sends a WebSocket close frame.
    let mut shell = bench.call(&grant, "bye", Call::AttachWebsocket).await;
    bench.began("bye", &id);
    shell.stream.write_all(&frame(8, &[3, 232])).await.expect("sent");
    bench.ended("bye", &id);
    // Two at once. The end of the container ends both.
    let _one = bench.call(&grant, "one", Call::AttachWebsocket).await;
    bench.began("one", &id);
    let _two = bench.call(&console(&id, Mode::ReadOnly), "two", Call::AttachOutput).await;
    bench.began("two", &id);
    bench.expect_no_event();
    bench.docker(&["kill", &id]);
    let mut ended = [bench.next_event(), bench.next_event()].map(|note| (note.kind, note.grant));
    ended.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(ended, ["one", "two"].map(|name| (SessionEventKind::End, name.to_owned())));
    // An attach that the engine refuses is also reported, with begin and end.
    let missing = "d".repeat(64);
    let grant = console(&missing, Mode::ReadWrite);
    assert_eq!(bench.call(&grant, "none", Call::Attach).await.status, 404);
    bench.began("none", &missing);
    bench.ended("none", &missing);
    bench.stop().await;
}

#[tokio::test]
async fn the_agent_is_notified_of_a_read_only_viewer_by_its_wait() {
    let bench = Bench::start().await;
    let id = bench.container(&["small", "sleep", "600"]);
    bench.docker(&["start", &id]);
    let grant = console(&id, Mode::ReadOnly);
    let output = bench.call(&grant, "w1", Call::AttachOutput).await;
    let began = bench.next_event();
    assert_eq!((began.kind, began.watches), (SessionEventKind::Begin, true));
    let wait = bench.call(&grant, "w1", Call::Wait(WaitCondition::NotRunning)).await;
    assert_eq!((output.status, wait.status), (101, 200));
    bench.noted(SessionEventKind::WaitBegin, "w1", &id);
    // The engine has nothing to send to the viewer, so it does not notice that the viewer is gone.
    drop((output, wait));
    bench.noted(SessionEventKind::WaitEnd, "w1", &id);
    bench.expect_no_event();
    bench.stop().await;
}

#[tokio::test]
async fn an_exec_is_started_resized_and_read() {
    let bench = Bench::start().await;
    let id = bench.container(&["--interactive", "--tty", "small", "sh"]);
    bench.docker(&["start", &id]);
    let exec_id = bench.exec(&id, &["sh", "-c", "read line; echo got $line; exit 7"]).await;
    let grant = exec(&exec_id);
    let mut started = bench.call(&grant, "g3", Call::ExecStart).await;
    assert_eq!(started.status, 101, "{}", started.body);
    assert_eq!(bench.call(&grant, "g3", Call::ExecResize(SIZE)).await.status, 200);
    started.stream.write_all(b"typed\n").await.expect("typed");
    until(&mut started.stream, "got typed").await;
    drop(started.stream.read_to_end(&mut Vec::new()).await);
    let read = bench.call(&grant, "g3", Call::ExecInspect).await;
    assert_eq!(read.status, 200);
    assert!(read.body.contains("\"ExitCode\":7"), "{}", read.body);
    bench.expect_no_event();
    bench.stop().await;
}

#[tokio::test]
async fn while_the_plugin_is_dead_nothing_gets_through() {
    let bench = Bench::start().await;
    let id = bench.container(&["--interactive", "--tty", "small", "sh"]);
    bench.docker(&["start", &id]);
    let grant = console(&id, Mode::ReadWrite);
    assert_eq!(bench.call(&grant, "g1", Call::Resize(SIZE)).await.status, 200);
    bench.kill_plugin();
    let identity = bench.granted(&grant, "g1");
    let forbidden = RequestLine::new("GET", format!("/v{}/containers/{id}/json", bench.version));
    let (dialer, granted) = (&bench.dialer, bench.call(&grant, "g2", Call::Resize(SIZE)));
    let (granted, forbidden) = tokio::join!(granted, open(dialer, Some(&identity), &forbidden));
    assert_eq!(granted.status, 500);
    let forbidden = forbidden.expect("an answer");
    assert_eq!(forbidden.status, 500);
    assert!(!forbidden.body.contains(&id), "{}", forbidden.body);
    // A client without a grant does not get even this error.
    assert!(open(dialer, None, &RequestLine::new("GET", "/_ping")).await.is_none());
}
