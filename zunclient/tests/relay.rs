//! Tests of the relay against a scripted console: input and output never wait for each other.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use zun_common::units::TerminalSize;
use zunclient::console::{Console, ConsoleError, Control, Event, Events, Input};
use zunclient::relay::{Ended, RelayContext, Remote, SignalRouting, Terminal, relay};
use zunclient::tty::escape::{EscapeScanner, Leave};
use zunclient::tty::keys::Keys;
use zunclient::tty::link_status::LinkStatus;
use zunclient::tty::screen::{Closed, Output, Screen};
use zunclient::tty::signals::Signals;

const TIMEOUT: Duration = Duration::from_secs(10);

struct ScriptedEvents(mpsc::Receiver<Event>);

#[async_trait]
impl Events for ScriptedEvents {
    async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Typed(Vec<u8>),
    Eof,
    Detached,
    Size(u16, u16),
}

struct RecordingInput {
    sent: mpsc::UnboundedSender<Sent>,
    stalled: bool,
}

#[async_trait]
impl Input for RecordingInput {
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError> {
        if self.stalled {
            std::future::pending::<()>().await;
        }
        self.sent.send(Sent::Typed(typed.to_vec())).expect("the test listens");
        Ok(())
    }

    async fn eof(&mut self) -> Result<(), ConsoleError> {
        self.sent.send(Sent::Eof).expect("the test listens");
        Ok(())
    }

    async fn detach(&mut self) {
        self.sent.send(Sent::Detached).expect("the test listens");
    }
}

struct RecordingControl {
    sent: mpsc::UnboundedSender<Sent>,
    refusals: Mutex<u32>,
}

#[async_trait]
impl Control for RecordingControl {
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError> {
        let mut refusals = self.refusals.lock().expect("whole");
        if *refusals > 0 {
            *refusals -= 1;
            return Err(ConsoleError::Refused { status: 409, message: "not running".to_owned() });
        }
        self.sent.send(Sent::Size(size.rows, size.columns)).expect("the test listens");
        Ok(())
    }

    async fn signal(&self, _name: &str) -> Result<(), ConsoleError> {
        Err(ConsoleError::Unsupported("signals"))
    }
}

struct NoRemote;

#[async_trait]
impl Remote for NoRemote {
    async fn signal(&self, _name: &str) -> bool {
        false
    }
}

/// Both ends of a session, which the test controls.
struct TestSession {
    prints: mpsc::Sender<Event>,
    keyboard: Option<mpsc::Sender<Bytes>>,
    shown: mpsc::Receiver<(Output, Bytes)>,
    sent: mpsc::UnboundedReceiver<Sent>,
    sizes: watch::Sender<Option<TerminalSize>>,
    session: Option<(Console, Terminal)>,
}

#[derive(Default, Clone, Copy)]
struct Options {
    stalled_input: bool,
    refused_sizes: u32,
    size: Option<TerminalSize>,
    redraws: bool,
}

fn test(conditions: Options) -> TestSession {
    let (prints, script) = mpsc::channel(8);
    let (keyboard, keys) = mpsc::channel(8);
    let (screen, shown) = mpsc::channel(2);
    let (sent_by_client, sent) = mpsc::unbounded_channel();
    let (sizes, following) = watch::channel(conditions.size);
    let control = RecordingControl {
        sent: sent_by_client.clone(),
        refusals: Mutex::new(conditions.refused_sizes),
    };
    let console = Console {
        events: Box::new(ScriptedEvents(script)),
        input: Box::new(RecordingInput { sent: sent_by_client, stalled: conditions.stalled_input }),
        control: Box::new(control),
        running: None,
        has_screen: false,
        acts_on_disconnect: false,
    };
    let keys_that_leave = EscapeScanner::new(
        &"ctrl-p,ctrl-q".parse().expect("keys"),
        "~".parse().expect("an escape"),
    );
    let terminal = Terminal {
        keys: Some(Keys::from_channel(keys)),
        scanner: Some(keys_that_leave),
        screen: Screen::to_channel(screen),
        sizes: following,
        raw: None,
        redraws: conditions.redraws,
        link_status: LinkStatus::in_line(Some(b'~')),
        letterbox: None,
    };
    let session = Some((console, terminal));
    TestSession { prints, keyboard: Some(keyboard), shown, sent, sizes, session }
}

impl TestSession {
    /// Returns the session's future, which runs concurrently with the test.
    fn session(&mut self) -> impl Future<Output = Ended> + use<> {
        let (console, terminal) = self.session.take().expect("once");
        async move {
            let mut signals = Signals::catch().expect("signals");
            let begun = Notify::new();
            let relay_context = RelayContext {
                signals: &mut signals,
                signal_routing: SignalRouting::ToProcess,
                remote: &NoRemote,
                process_started: &begun,
            };
            relay(console, terminal, relay_context).await.0
        }
    }

    async fn types(&self, keys: &'static [u8]) {
        let keyboard = self.keyboard.as_ref().expect("not yet closed");
        keyboard.send(Bytes::from_static(keys)).await.expect("somebody reads");
    }

    async fn sent(&mut self) -> Sent {
        timeout(TIMEOUT, self.sent.recv()).await.expect("in time").expect("something")
    }
}

fn out(text: &'static str) -> Event {
    Event::Stdout(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn output_is_shown_in_order_and_the_exit_code_is_returned() {
    let mut test = test(Options::default());
    let session = test.session();
    let script = async {
        for event in [out("o"), Event::Stderr(Bytes::from_static(b"e")), Event::Exit(3)] {
            test.prints.send(event).await.expect("somebody reads");
        }
        let mut shown = Vec::new();
        while let Some(piece) = test.shown.recv().await {
            shown.push(piece);
        }
        shown
    };
    let (shown, ended) = tokio::join!(script, session);
    assert_eq!(
        shown,
        [(Output::Stdout, Bytes::from_static(b"o")), (Output::Stderr, Bytes::from_static(b"e"))]
    );
    assert_eq!(ended, Ended::Exited(3));
}

#[tokio::test]
async fn keys_still_flow_while_the_screen_is_stalled() {
    let mut test = test(Options::default());
    let session = test.session();
    let person = async {
        // The test reads nothing from the screen, and this is more than the screen can buffer.
        for _ in 0..8 {
            test.prints.send(out("more")).await.expect("somebody reads");
        }
        test.types(b"a").await;
        assert_eq!(test.sent().await, Sent::Typed(b"a".to_vec()));
        test.types(b"\x10\x11").await;
    };
    let (ended, ()) = tokio::join!(session, person);
    assert_eq!(ended, Ended::Detached(Leave::Detach));
    assert_eq!(test.sent().await, Sent::Detached);
}

#[tokio::test]
async fn the_escape_sequence_leaves_a_dead_link() {
    let mut test = test(Options { stalled_input: true, ..Options::default() });
    let session = test.session();
    let person = async {
        test.types(b"ls\r").await;
        test.types(b"~.").await;
    };
    let both = Box::pin(async { tokio::join!(session, person) });
    let (ended, ()) = timeout(TIMEOUT, both).await.expect("left");
    assert_eq!(ended, Ended::Detached(Leave::Escape));
}

#[tokio::test]
async fn the_end_of_the_input_is_forwarded_and_later_output_still_arrives() {
    let mut test = test(Options::default());
    let session = test.session();
    let script = async {
        test.types(b"x\x10").await;
        test.keyboard.take();
        assert_eq!(test.sent().await, Sent::Typed(b"x".to_vec()));
        assert_eq!(test.sent().await, Sent::Typed(b"\x10".to_vec()));
        assert_eq!(test.sent().await, Sent::Eof);
        test.prints.send(out("late")).await.expect("somebody reads");
        assert_eq!(test.shown.recv().await, Some((Output::Stdout, Bytes::from_static(b"late"))));
        test.prints.send(Event::Exit(0)).await.expect("somebody reads");
    };
    let (ended, ()) = tokio::join!(session, script);
    assert_eq!(ended, Ended::Exited(0));
}

#[tokio::test]
async fn a_refused_size_is_retried_and_the_last_size_wins() {
    let first = TerminalSize { rows: 24, columns: 80 };
    let last = TerminalSize { rows: 30, columns: 90 };
    let refused = Options { refused_sizes: 3, size: Some(first), ..Options::default() };
    let mut test = test(refused);
    let session = test.session();
    let person = async {
        assert_eq!(test.sent().await, Sent::Size(24, 80));
        for rows in 1..30 {
            test.sizes.send_replace(Some(TerminalSize { rows, columns: 1 }));
        }
        test.sizes.send_replace(Some(last));
        assert_eq!(test.sent().await, Sent::Size(30, 90));
        test.prints.send(Event::Exit(0)).await.expect("somebody reads");
    };
    let (ended, ()) = tokio::join!(session, person);
    assert_eq!(ended, Ended::Exited(0));
}

#[tokio::test]
async fn a_redraw_is_requested_until_something_is_printed() {
    let size = TerminalSize { rows: 24, columns: 80 };
    let mut test = test(Options { size: Some(size), redraws: true, ..Options::default() });
    let session = test.session();
    let process = async {
        // The first two changes have no effect, as with a shell that does not handle them yet.
        for _change in 0..3 {
            assert_eq!(test.sent().await, Sent::Size(23, 80));
            assert_eq!(test.sent().await, Sent::Size(24, 80));
        }
        test.prints.send(out("/ # ")).await.expect("somebody reads");
        test.shown.recv().await.expect("the prompt");
        // This is longer than the pause before the next retry.
        let more = timeout(Duration::from_millis(1500), test.sent.recv()).await;
        assert!(more.is_err(), "{more:?}");
        test.prints.send(Event::Exit(0)).await.expect("somebody reads");
    };
    let (ended, ()) = tokio::join!(session, process);
    assert_eq!(ended, Ended::Exited(0));
}

#[tokio::test]
async fn a_closed_output_detaches_and_leaves_the_container_running() {
    let mut test = test(Options::default());
    let session = test.session();
    test.shown.close();
    let script = async {
        test.prints.send(out("lost")).await.expect("somebody reads");
    };
    let (ended, ()) = tokio::join!(session, script);
    assert_eq!(ended, Ended::OutputClosed(Closed { cause: None }));
    assert_eq!(test.sent().await, Sent::Detached);
}

#[tokio::test]
async fn a_lost_link_is_returned_with_its_reason() {
    let mut test = test(Options::default());
    let session = test.session();
    let TestSession { prints, .. } = test;
    let script = async move {
        prints.send(Event::Lost("reset by peer".to_owned())).await.expect("somebody reads");
    };
    let (ended, ()) = tokio::join!(session, script);
    assert_eq!(ended, Ended::WithoutExitCode(Some("reset by peer".to_owned())));
}

#[tokio::test]
async fn a_half_typed_sequence_is_sent_after_a_timeout() {
    let mut test = test(Options::default());
    let session = test.session();
    let person = async {
        test.types(b"\x10").await;
        assert_eq!(test.sent().await, Sent::Typed(b"\x10".to_vec()));
        // Keys that were sent no longer count as the start of a sequence.
        test.types(b"\x11").await;
        assert_eq!(test.sent().await, Sent::Typed(b"\x11".to_vec()));
        test.types(b"\x10\x11").await;
    };
    let (ended, ()) = tokio::join!(session, person);
    assert_eq!(ended, Ended::Detached(Leave::Detach));
}

#[tokio::test]
async fn an_exit_code_after_a_lost_link_is_distinct_from_a_plain_exit() {
    let mut test = test(Options::default());
    let session = test.session();
    let script = async {
        for event in [out("some of it"), Event::Lost("timed out".to_owned()), Event::Exit(0)] {
            test.prints.send(event).await.expect("somebody reads");
        }
        while test.shown.recv().await.is_some() {}
    };
    let ((), ended) = tokio::join!(script, session);
    assert_eq!(ended, Ended::ExitedLinkLost(0, "timed out".to_owned()));
}

#[tokio::test]
async fn a_status_line_is_shown_while_the_link_is_away_and_removed_when_it_is_back() {
    let mut test = test(Options::default());
    let session = test.session();
    let play = async {
        let reconnecting = Event::Reconnecting { host: "h:1".to_owned() };
        for event in [out("$ "), reconnecting] {
            test.prints.send(event).await.expect("somebody reads");
        }
        assert_eq!(shown(&mut test).await, "$ ");
        let line = shown(&mut test).await;
        assert!(line.contains("zun: connection to h:1 lost, reconnecting (0 s)"), "{line:?}");
        test.prints.send(Event::Reconnected).await.expect("somebody reads");
        assert_eq!(shown(&mut test).await, "\x1b7\x1bE\x1b[2K\x1b8");
        test.prints.send(Event::Exit(0)).await.expect("somebody reads");
    };
    let (ended, ()) = tokio::join!(session, play);
    assert_eq!(ended, Ended::Exited(0));
}

#[tokio::test]
async fn the_user_asks_for_the_escapes_and_leaves_while_the_link_is_away() {
    let mut test = test(Options { stalled_input: true, ..Options::default() });
    let session = test.session();
    let play = async {
        let reconnecting = Event::Reconnecting { host: "h:1".to_owned() };
        test.prints.send(reconnecting).await.expect("somebody reads");
        test.types(b"x\r~?").await;
        let help = shown(&mut test).await;
        assert!(help.contains("~.  disconnect"), "{help:?}");
        test.types(b"~.").await;
    };
    let (ended, ()) = tokio::join!(session, play);
    assert_eq!(ended, Ended::Detached(Leave::Escape));
}

async fn shown(test: &mut TestSession) -> String {
    let (_, bytes) = timeout(TIMEOUT, test.shown.recv()).await.expect("in time").expect("output");
    String::from_utf8(bytes.to_vec()).expect("text")
}
