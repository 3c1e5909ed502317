//! Tests of the relay against a scripted console: input and output never wait for each other.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use zun_common::screen::{Care, Screen as Emulator};
use zun_common::units::TerminalSize;
use zunclient::console::{Console, ConsoleError, Control, Event, Events, Input};
use zunclient::relay::{Ended, RelayContext, Remote, SignalRouting, Terminal, relay};
use zunclient::tty::escape::{EscapeScanner, Leave};
use zunclient::tty::keys::Keys;
use zunclient::tty::letterbox::Letterbox;
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
        quiet: None,
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

/// The window of a test with a program, whose terminal has the same size.
struct Window {
    test: TestSession,
    shown: Emulator,
}

const WINDOW: TerminalSize = TerminalSize { rows: 10, columns: 70 };
/// A program that draws the whole normal screen, and one on the alternate screen.
const MONITOR: &str = "\x1b[?25l\x1b[H\x1b[2Jup 1 day\r\n\n  PID COMMAND\x1b[10;1Hthe last row";
const EDITOR: &str = "\x1b[?1049h\x1b[H\x1b[2Jfirst\r\n~\r\n~\x1b[10;1H-- INSERT --\x1b[2;1H";

impl Window {
    fn new() -> Self {
        let options = Options { size: Some(WINDOW), ..Options::default() };
        let mut shown = Emulator::new(WINDOW.into());
        shown.feed(b"host$ zun attach test\r\n", Care::Whole);
        let mut test = test(options);
        if let Some((_, terminal)) = &mut test.session {
            terminal.letterbox = Some(Letterbox::new(true));
        }
        Self { test, shown }
    }

    async fn happens(&self, event: Event) {
        self.test.prints.send(event).await.expect("somebody reads");
    }

    fn rows(&self) -> Vec<String> {
        self.shown.rows(0..WINDOW.rows.into(), &(0..WINDOW.columns.into()))
    }

    fn shows(&self, words: &str) -> bool {
        self.rows().iter().any(|row| row.contains(words))
    }

    /// Waits until the window shows what is wanted.
    async fn until(&mut self, is_reached: impl Fn(&Self) -> bool) {
        while !is_reached(self) {
            let next = timeout(6 * TIMEOUT, self.test.shown.recv()).await;
            assert!(next.is_ok(), "it shows {:#?}", self.rows());
            let (_, bytes) = next.ok().flatten().expect("it is open");
            self.shown.feed(&bytes, Care::Whole);
        }
    }

    /// Begins a program, and returns what it shows.
    async fn begins(&mut self, program: &'static str, last: &str) -> Vec<String> {
        self.happens(Event::TerminalSize { size: WINDOW, is_own: true }).await;
        self.happens(out(program)).await;
        self.until(|window| window.shows(last)).await;
        self.rows()
    }

    async fn loses_the_link(&mut self) {
        self.happens(Event::Reconnecting { host: "h:1".to_owned() }).await;
        self.until(|window| window.shows("connection to h:1 lost")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_full_screen_program_shows_what_it_showed_before() {
    for (program, last) in [(MONITOR, "the last row"), (EDITOR, "INSERT")] {
        let mut window = Window::new();
        let session = window.test.session();
        let play = async {
            let before = window.begins(program, last).await;
            window.loses_the_link().await;
            window.happens(Event::Reconnected).await;
            window.until(|window| window.rows() == before).await;
            window.happens(Event::Exit(0)).await;
        };
        let (ended, ()) = Box::pin(async { tokio::join!(session, play) }).await;
        assert_eq!(ended, Ended::Exited(0));
        // It was not asked to draw its screen again, which some programs do not do.
        let mut sizes = Vec::new();
        while let Ok(sent) = window.test.sent.try_recv() {
            sizes.push(sent);
        }
        assert!(!sizes.contains(&Sent::Size(WINDOW.rows - 1, WINDOW.columns)), "{sizes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_help_over_a_full_screen_program_goes_with_the_next_key() {
    for (program, last) in [(MONITOR, "the last row"), (EDITOR, "INSERT")] {
        let mut window = Window::new();
        let session = window.test.session();
        let play = async {
            let before = window.begins(program, last).await;
            window.test.types(b"\r~?").await;
            window.until(|window| window.shows("~.  disconnect")).await;
            assert_eq!(window.rows()[0], before[0]);
            window.test.types(b"j").await;
            window.until(|window| window.rows() == before).await;
            window.happens(Event::Exit(0)).await;
        };
        let (ended, ()) = Box::pin(async { tokio::join!(session, play) }).await;
        assert_eq!(ended, Ended::Exited(0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_help_during_an_outage_replaces_the_status_line_which_comes_again_below() {
    let mut window = Window::new();
    let session = window.test.session();
    let play = async {
        window.begins("$ ", "$ ").await;
        window.loses_the_link().await;
        window.test.types(b"\r~?").await;
        window.until(|window| window.shows("show this help")).await;
        let rows = window.rows();
        assert_eq!(rows[1..3], ["$ ~?", "Sequences at the start of a line:"], "{rows:#?}");
        window.until(|window| window.shows("connection to h:1 lost")).await;
        // The prompt is there again, and the line is below it.
        assert_eq!(window.rows()[5], "$");
        assert!(window.rows()[6].contains("lost"), "{:#?}", window.rows());
        window.happens(Event::Exit(0)).await;
    };
    let (ended, ()) = Box::pin(async { tokio::join!(session, play) }).await;
    assert_eq!(ended, Ended::Exited(0));
}

#[tokio::test(start_paused = true)]
async fn a_notice_stays_for_a_while_when_the_size_of_another_client_begins_and_ends() {
    let mut window = Window::new();
    let session = window.test.session();
    let play = async {
        window.begins("$ half a comm", "comm").await;
        window.happens(Event::Notice("client 6 joined".to_owned())).await;
        window.until(|window| window.shows("client 6 joined")).await;
        // What the user was typing continues below it.
        assert_eq!(window.rows()[3], "$ half a comm");
        assert_eq!(window.shown.cursor().column, 13);
        let size = TerminalSize { rows: 6, columns: 40 };
        window.happens(Event::TerminalSize { size, is_own: false }).await;
        let label = "40x6: the size of another client";
        window.until(|window| window.shows(label) && window.shows("client 6 joined")).await;
        window.until(|window| window.shows(label) && !window.shows("client 6 joined")).await;
        window.happens(Event::Notice("client 6 left".to_owned())).await;
        window.until(|window| window.shows(label) && window.shows("client 6 left")).await;
        window.happens(Event::TerminalSize { size: WINDOW, is_own: true }).await;
        window.until(|window| !window.shows(label) && window.shows("client 6 left")).await;
        window.until(|window| window.rows().concat() == "$ half a comm").await;
        window.happens(Event::Exit(0)).await;
    };
    let (ended, ()) = Box::pin(async { tokio::join!(session, play) }).await;
    assert_eq!(ended, Ended::Exited(0));
}

#[tokio::test]
async fn a_message_about_the_end_begins_a_line_but_the_end_of_the_output_is_not_changed() {
    let lost = || Event::Lost("reset".to_owned());
    assert_eq!(written_until("$ ", lost()).await, "$ \r\n");
    assert_eq!(written_until("bye\r\n", lost()).await, "bye\r\n");
    assert_eq!(written_until("$ ", Event::Exit(0)).await, "$ ");
}

/// Returns what is written to the window until a session has ended.
async fn written_until(output: &'static str, end: Event) -> String {
    let mut window = Window::new();
    let session = window.test.session();
    let TestSession { prints, mut shown, .. } = window.test;
    let play = async move {
        for event in [out(output), end] {
            prints.send(event).await.expect("somebody reads");
        }
    };
    let written = async {
        let mut written = String::new();
        while let Some((_, bytes)) = shown.recv().await {
            written.push_str(&String::from_utf8_lossy(&bytes));
        }
        written
    };
    Box::pin(async { tokio::join!(session, play, written) }).await.2
}
