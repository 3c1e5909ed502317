//! Sessions at a host's console gate, with the real programs, while their links are cut.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use zun_tests::cluster::{Cluster, Front};
use zun_tests::eventually::eventually;
use zun_tests::profile::is_long;
use zun_tests::pty::Pty;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (24, 100);
const LOST: &str = "zun: connection to ";

/// How long a link stays lost.
fn outage() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 5 })
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Cuts all links, refuses others for this time, and then lets them pass.
async fn cut(cluster: &Cluster, time: Duration) {
    cluster.gate().refuse();
    pause(time).await;
    cluster.gate().restore();
}

/// Runs the CLI with this input in the background.
fn begin(zun: &ZunCli, arguments: &[&str], input: Vec<u8>) -> std::thread::JoinHandle<Output> {
    let (zun, arguments) = (zun.clone(), arguments.iter().map(|word| (*word).to_owned()));
    let arguments: Vec<String> = arguments.collect();
    std::thread::spawn(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        zun.piped(&arguments, &input)
    })
}

fn ended(running: std::thread::JoinHandle<Output>) -> (Option<i32>, String, String) {
    let output = running.join().expect("zun ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Starts a shell on a terminal.
fn shell(zun: &ZunCli, name: &str) -> Pty {
    let mut term = zun.term(&["run", "-i", "--name", name, "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    term
}

fn numbers(count: usize) -> String {
    let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    numbers.join("\n") + "\n"
}

/// Prints a number ten times a second, up to this one.
fn counting(count: usize) -> String {
    format!("i=0; while [ $i -lt {count} ]; do i=$((i + 1)); echo $i; sleep 0.1; done; exit 3")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c35_a_stream_is_complete_after_the_link_and_the_services_were_away() {
    let _recorder = recorder!();
    let mut cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let count = if is_long() { 900 } else { 120 };
    let run = ["run", "--name", "stream", "cirros", "sh", "-c", &counting(count)];
    let stream = begin(&zun, &run, Vec::new());
    eventually("it runs", || zun.run(&["logs", "stream"]).stdout.contains("5\n"));
    cut(&cluster, outage()).await;
    cluster.end_agent(0, Signal::KILL);
    cluster.end_api(0, Signal::KILL);
    cut(&cluster, Duration::from_secs(1)).await;
    let (code, stdout, stderr) = ended(stream);
    assert_eq!((code, stdout), (Some(3), numbers(count)), "{stderr}");
    assert!(stderr.starts_with(LOST), "{stderr}");
    assert!(stderr.contains(" again after "), "{stderr}");
    cluster.start_api(0);
    cluster.start_agent(0);
    zun.must(&["delete", "--force", "stream"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c35_a_terminal_shows_a_line_while_the_link_is_away() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "line");
    term.types("echo before\r");
    term.shows("before\r\n");
    cluster.gate().refuse();
    term.shows(LOST);
    term.shows("press Enter, then ~., to disconnect");
    term.types("echo mean''while\r");
    cluster.gate().restore();
    term.shows("meanwhile\r\n");
    assert_eq!(term.transcript().matches("meanwhile").count(), 1, "{}", term.transcript());
    // A silent link is noticed too.
    cluster.gate().stall();
    let begun = Instant::now();
    term.types("echo la''st\r");
    term.shows(LOST);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    cluster.gate().restore();
    term.shows("last\r\n");
    term.types("exit 7\r");
    assert_eq!(term.exit(), 7);
    assert_eq!(term.modes(), term.first_modes());
    zun.must(&["delete", "--force", "line"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c36_each_key_arrives_once_if_the_link_is_reset_while_typing() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "keys");
    term.types("cat > /tmp/typed\r");
    let count = 300;
    for number in 1..=count {
        term.types(format!("{number}\r"));
        if number % 20 == 0 {
            cluster.gate().disconnect();
        }
        pause(Duration::from_millis(10)).await;
    }
    term.types("\x04");
    term.shows("/ #");
    let typed = zun.must(&["exec", "keys", "cat", "/tmp/typed"]);
    assert_eq!(typed, numbers(count));
    term.types("exit\r");
    assert_eq!(term.exit(), 0);
    zun.must(&["delete", "--force", "keys"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c37_a_cut_link_does_not_end_the_input_of_a_pipe() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let run = ["run", "-i", "--name", "pipe", "cirros", "sh", "-c", "cat; echo end"];
    let mut child = zun
        .command(&run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zun runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = || {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        line
    };
    writeln!(stdin, "before").expect("written");
    assert_eq!(line(), "before\n");
    cluster.gate().refuse();
    writeln!(stdin, "meanwhile").expect("written");
    pause(outage()).await;
    cluster.gate().restore();
    assert_eq!(line(), "meanwhile\n");
    drop(stdin);
    assert_eq!(line(), "end\n");
    assert_eq!(child.wait().expect("zun ends").code(), Some(0));
    zun.must(&["delete", "--force", "pipe"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c37_megabytes_through_a_pipe_arrive_once_over_links_that_are_cut() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    zun.must(&["run", "-d", "--name", "pipes", "cirros", "sleep", "600"]);
    let input = numbers(if is_long() { 20_000_000 } else { 3_000_000 }).into_bytes();
    let exec = ["exec", "-i", "pipes", "sh", "-c", "tee /tmp/copy"];
    let running = begin(&zun, &exec, input.clone());
    eventually("it runs", || zun.run(&["exec", "pipes", "test", "-s", "/tmp/copy"]).code == 0);
    for _ in 0..10 {
        if running.is_finished() {
            break;
        }
        cluster.gate().disconnect();
        pause(Duration::from_millis(150)).await;
    }
    let output = running.join().expect("zun ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == input, "{} of {} bytes", output.stdout.len(), input.len());
    zun.must(&["delete", "--force", "pipes"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_leaves_while_the_link_is_away_and_comes_back() {
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "left");
    term.types("echo vis''ible\r");
    term.shows("visible");
    cluster.gate().refuse();
    term.shows(LOST);
    let begun = Instant::now();
    term.types("\r~.");
    assert_eq!(term.exit(), 0);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(term.modes(), term.first_modes());
    cluster.gate().restore();
    let mut again = zun.term(&["attach", "left"], SIZE);
    again.shows("/ #");
    again.types("echo ba''ck\r");
    again.shows("back");
    again.types("~?");
    again.shows("~.  disconnect");
    again.types("exit 4\r");
    assert_eq!(again.exit(), 4);
    zun.must(&["delete", "--force", "left"]);
    cluster.stop().await;
}

/// What a terminal of [`SIZE`] shows to which this was written.
fn terminal(transcript: &str) -> vt100::Parser {
    let mut terminal = vt100::Parser::new(SIZE.0, SIZE.1, 0);
    terminal.process(transcript.as_bytes());
    terminal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_a_prompt_that_was_printed_before_is_visible_at_once() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let script = "printf 'PROMPT> '; read x; echo got $x; exit 5";
    let mut term = zun.term(&["run", "-i", "--name", "prompt", "cirros", "sh", "-c", script], SIZE);
    term.shows("PROMPT> ");
    term.types("\x10\x11");
    assert_eq!(term.exit(), 0);
    let mut again = zun.term(&["attach", "prompt"], SIZE);
    again.shows("PROMPT>");
    assert_eq!(terminal(&again.transcript()).screen().cursor_position(), (0, 8));
    again.types("x\r");
    again.shows("got x");
    assert_eq!(again.exit(), 5);
    zun.must(&["delete", "--force", "prompt"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c74_leaving_an_editor_restores_the_terminal_and_coming_back_shows_the_editor() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "editor");
    term.types("echo be''fore; printf '\\033[?1000h\\033[?2004h'; vi /etc/passwd\r");
    term.shows("root:x:0:0");
    term.types("itext-\x1b");
    term.shows("text-");
    term.types("\x10\x11");
    assert_eq!(term.exit(), 0);
    let left = terminal(&term.transcript());
    assert!(!left.screen().alternate_screen() && !left.screen().bracketed_paste());
    assert_eq!(left.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    let mut again = zun.term(&["attach", "editor"], SIZE);
    again.shows("root:x:0:0");
    eventually("the editor is shown with its modes", || {
        let shown = terminal(&again.transcript());
        let screen = shown.screen();
        let row = screen.rows(0, SIZE.1).next().unwrap_or_default();
        row.starts_with("text-root:x:0:0")
            && screen.alternate_screen()
            && screen.bracketed_paste()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::PressRelease
    });
    again.types(":q!\r");
    eventually("the shell is shown again", || {
        let shown = terminal(&again.transcript());
        let text = shown.screen().contents();
        !shown.screen().alternate_screen()
            && text.contains("before")
            && text.trim_end().ends_with("/ #")
    });
    again.types("exit 6\r");
    assert_eq!(again.exit(), 6);
    assert_eq!(again.modes(), again.first_modes());
    zun.must(&["delete", "--force", "editor"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_gate_no_longer_has_ends_with_the_reason() {
    let mut cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "gone");
    cluster.restart_gate(Signal::KILL);
    assert_eq!(term.exit(), 125);
    let said = "gone: the host no longer has the session; reattach with `zun attach gone`";
    assert!(term.transcript().contains(said), "{}", term.transcript());
    zun.must(&["delete", "--force", "gone"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c42_a_session_continues_after_a_restart_of_docker_and_says_so() {
    let _recorder = recorder!();
    let mut cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    cluster.set_live_restore(0);
    let mut term = shell(&zun, "restored");
    term.types("echo be''fore\r");
    term.shows("before\r\n");
    cluster.kill_engine(0);
    cluster.start_engine(0).await;
    term.shows("the container engine has restarted: output may be missing here");
    term.types("echo af''ter\r");
    term.shows("after\r\n");
    term.types("exit 5\r");
    assert_eq!(term.exit(), 5);
    assert_eq!(term.modes(), term.first_modes());
    zun.must(&["delete", "--force", "restored"]);
    cluster.stop().await;
}
