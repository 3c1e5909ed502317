//! Checks for untrusted input. Each function takes one input and panics if a check fails. `fuzz/targets` passes them to
//! libFuzzer, and a test replays the corpus.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use zun_authz::{AuthzRequest, Decision, JsonTruncator, Phase, Policy, read_certificate};
use zun_common::client_certificate::{GrantCertificate, TrustedCas};
use zun_common::docker_stream::Stream as EngineStream;
use zun_common::grant::{ApiVersion, Grant};
use zun_common::pty::{ClientHello, Frame, Replay, SessionKind, Size, Ticket};
use zun_common::screen::{Care, Screen, Snapshot};
use zun_common::terminal::{Piece, Scanner, Sequence};
use zun_gate::replies::{Question, ReplyFilter};
use zun_gate::ring::Memory;
use zun_gate::session::{
    ConnectionId, Files, Join, KeyHash, Limits, Next, Process, Progress, Session, SessionRecord,
    SpillLimits, Token,
};
use zun_gate::stats::Stats;

/// A CA certificate. Its key was deleted after it signed the grants of the corpus.
const CA: &[u8] = include_bytes!("../ca.pem");
/// A time at which those grants are valid.
const NOW: i64 = 1_800_000_000;
const HOST: &str = "compute1";
const VERSION: ApiVersion = ApiVersion { major: 1, minor: 41 };
/// The longest lifetime of a grant, in seconds.
const LONGEST_GRANT: i64 = 180;
/// The longest string that may remain after filtering, in bytes.
const LONGEST_STRING: usize = 20 << 10;

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    host: HOST.parse().expect("a host"),
    version: VERSION,
    cas: TrustedCas::from_pem(CA).expect("a CA certificate"),
});

/// Checks the body of an authorization request from the engine. The first byte says where to split it into two chunks.
pub fn request(bytes: &[u8]) {
    let Some((cut, body)) = bytes.split_first() else { return };
    let whole = truncated(&[body]);
    let (first, second) = body.split_at(body.len() * usize::from(*cut) / 256);
    assert_eq!(whole, truncated(&[first, second]), "the chunks change the result");
    assert!(whole.len() <= body.len());
    let Ok(request) = serde_json::from_slice::<AuthzRequest>(&whole) else { return };
    for text in [&request.user, &request.auth_method, &request.method, &request.uri] {
        assert!(text.len() < LONGEST_STRING);
    }
    for phase in [Phase::Request, Phase::Answer] {
        match POLICY.decide(&request, phase, NOW) {
            Decision::Local => {
                assert!(request.user.is_empty() && request.auth_method.is_empty());
                assert!(request.leaf().is_none());
            }
            Decision::Granted(granted) => {
                assert_eq!((&granted.id, "TLS"), (&request.user, request.auth_method.as_str()));
                assert_eq!(granted.grant.host.as_str(), HOST);
                if phase == Phase::Request {
                    assert!(granted.is_valid_at(NOW));
                    assert_no_form(&whole, &request.uri);
                }
                assert_allowed(&granted.grant, &request.method, &request.uri);
            }
            Decision::Refused(..) => {}
        }
    }
}

/// Asserts that the request has no content type, except JSON in a request that starts an exec.
fn assert_no_form(request: &[u8], target: &str) {
    // Omitted parts of the request may have left invalid UTF-8.
    let text = String::from_utf8_lossy(request);
    let Ok(request) = serde_json::from_str::<Value>(&text) else { return };
    let headers = request.get("RequestHeaders").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        if name.eq_ignore_ascii_case("content-type") {
            assert!(target.starts_with("/v1.41/exec/") && target.ends_with("/start"), "{target}");
            assert_eq!(value, "application/json");
        }
    }
}

fn truncated(chunks: &[&[u8]]) -> Vec<u8> {
    let (mut truncator, mut kept) = (JsonTruncator::default(), Vec::new());
    for chunk in chunks {
        truncator.feed(chunk, &mut kept);
    }
    kept
}

/// Checks the file of CA certificates.
pub fn trusted_cas(bytes: &[u8]) {
    if let Some(all) = TrustedCas::from_pem(bytes) {
        assert!(all.count() > 0);
        let labels = String::from_utf8_lossy(bytes).matches("BEGIN CERTIFICATE").count();
        assert!(all.count() <= labels);
    }
}

/// Checks a client certificate: as DER, and in the encodings that the engine may send.
pub fn certificate(bytes: &[u8]) {
    if let Ok(granted) = GrantCertificate::read_unverified(bytes) {
        assert_valid(&granted);
    }
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(bytes)
    );
    for leaf in [STANDARD.encode(pem), STANDARD.encode(bytes)] {
        if let Ok(granted) = read_certificate(&leaf, &POLICY.cas) {
            assert_valid(&granted);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(read_certificate(text, &POLICY.cas).is_err() || text.len() > 400);
    }
}

fn assert_valid(granted: &GrantCertificate) {
    assert!((1..=64).contains(&granted.id.len()));
    assert!(granted.until - granted.from <= LONGEST_GRANT);
    assert!(granted.id.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(granted.grant.to_string().parse(), Ok(granted.grant.clone()));
}

/// Checks three lines: a grant, a method and a target.
pub fn line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (grant, method, target) = (next(), next(), next());
    let Ok(parsed) = grant.parse::<Grant>() else { return };
    assert_eq!(parsed.to_string(), grant, "two spellings of one grant");
    if parsed.permits(VERSION, method, target) {
        assert_allowed(&parsed, method, target);
    }
}

/// Asserts that an allowed line is one of the lines listed here. The list is independent of the tested code.
fn assert_allowed(grant: &Grant, method: &str, target: &str) {
    let uri = grant.to_string();
    let (_, thing) = uri.strip_prefix("zun://").and_then(|rest| rest.split_once('/')).expect("one");
    let is = |granted: &str| format!("{method} {target}") == granted;
    let resize = |path: &str| {
        let numbers = target.strip_prefix(&format!("{path}/resize?h=")).unwrap_or_default();
        let numbers: Vec<_> = numbers.split("&w=").collect();
        let good =
            |number: &&str| number.parse::<u16>().is_ok_and(|value| value.to_string() == **number);
        method == "POST" && numbers.len() == 2 && numbers.iter().all(good)
    };
    let passes = if let Some(path) = thing.strip_suffix("/attach?mode=rw") {
        let path = format!("/v1.41/{path}");
        let keys = "detachKeys=%FF,%FE,%FD,%FC,%FB,%FA";
        let streams = format!("logs=0&stream=1&stdin=1&stdout=1&stderr=1&{keys}");
        is(&format!("GET {path}/attach/ws?{streams}"))
            || is(&format!("POST {path}/attach?{streams}"))
            || resize(&path)
            || reads(&path, &is)
    } else if let Some(path) = thing.strip_suffix("/attach?mode=ro") {
        reads(&format!("/v1.41/{path}"), &is)
    } else if let Some(path) = thing.strip_suffix("/logs") {
        method == "GET" && target.strip_prefix(&format!("/v1.41/{path}/logs?")).is_some_and(is_logs)
    } else if let Some((path, mode)) = thing.split_once("/archive?mode=") {
        let path = format!("/v1.41/{path}/archive?");
        target.strip_prefix(&path).is_some_and(|query| match method {
            "GET" | "HEAD" => query.strip_prefix("path=").is_some_and(is_path),
            "PUT" if mode == "rw" => {
                query.strip_prefix("noOverwriteDirNonDir=1&path=").is_some_and(is_path)
            }
            _ => false,
        })
    } else {
        let path = format!("/v1.41/{thing}");
        is(&format!("POST {path}/start")) || is(&format!("GET {path}/json")) || resize(&path)
    };
    assert!(passes, "{uri}: {method} {target}");
}

fn reads(path: &str, is: &impl Fn(&str) -> bool) -> bool {
    is(&format!("POST {path}/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1"))
        || ["not-running", "next-exit", "removed"]
            .iter()
            .any(|condition| is(&format!("POST {path}/wait?condition={condition}")))
}

/// Returns whether the query has the seven keys in order, each with a valid value in its canonical spelling.
fn is_logs(query: &str) -> bool {
    let keys = ["follow", "stdout", "stderr", "timestamps", "since", "until", "tail"];
    let pairs: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| digits(text) && (text == "0" || !text.starts_with('0'));
    let time = |text: &str| {
        let parts = text.split_once('.');
        text == "0"
            || parts.is_some_and(|(whole, part)| number(whole) && digits(part) && part.len() >= 9)
    };
    let good = |(index, (key, value)): (usize, &(&str, &str))| {
        keys.get(index) == Some(key)
            && match index {
                0..=3 => matches!(*value, "0" | "1"),
                4 | 5 => time(value),
                _ => *value == "all" || number(value),
            }
    };
    query.split('&').count() == keys.len()
        && pairs.len() == keys.len()
        && pairs.iter().enumerate().all(good)
}

/// Returns whether the text is an absolute path with canonical percent-encoding: only where needed, upper-case, no
/// zero byte.
fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap_or_default();
    first.starts_with('/')
        && first.bytes().all(plain)
        && pieces.all(|piece| match piece.as_bytes() {
            [high, low, rest @ ..] => {
                let code = u8::from_str_radix(&piece[..2], 16);
                digit(*high)
                    && digit(*low)
                    && code.is_ok_and(|code| code != 0 && !plain(code))
                    && rest.iter().all(|byte| plain(*byte))
            }
            _ => false,
        })
}

/// The largest drawing of a screen, in bytes.
const LARGEST_DRAWING: usize = 64 << 10;

/// Checks the output of a terminal's process. The first three bytes are the terminal's size, and the length of the reads.
pub fn screen(bytes: &[u8]) {
    let [width, height, length, output @ ..] = bytes else { return };
    let size = Size { width: u16::from(width % 100) + 1, height: u16::from(height % 50) + 1 };
    let mut original = Screen::new(size);
    for read in output.chunks(usize::from(*length).max(1)) {
        original.feed(read, Care::Whole);
    }
    // A byte of output costs no more than the whole screen.
    let cells = usize::from(size.width) * usize::from(size.height);
    assert!(original.take_work() <= output.len() * (cells + 64));
    let drawn = original.snapshot(LARGEST_DRAWING);
    assert!(drawn.draw.len() <= LARGEST_DRAWING);
    assert_no_question(&drawn.draw);
    let mut copy = Screen::new(size);
    copy.feed(&drawn.draw, Care::Whole);
    let Snapshot { draw, is_exact, .. } = copy.snapshot(LARGEST_DRAWING);
    if drawn.is_exact {
        assert!(is_exact && draw == drawn.draw, "a snapshot shows something else");
    }
}

fn assert_no_question(drawing: &[u8]) {
    Scanner::default().feed(drawing, |piece| {
        let Piece::Sequence(bytes) = piece else { return };
        let question = Sequence::read(bytes).as_ref().and_then(Question::asked);
        assert_eq!(question, None, "{bytes:?}");
    });
}

/// Checks what viewers type. The first byte is the length of the messages.
pub fn replies(bytes: &[u8]) {
    let Some((length, input)) = bytes.split_first() else { return };
    for passes in [true, false] {
        let (mut filter, now) = (ReplyFilter::default(), Instant::now());
        let (mut passed, mut settled) = (Vec::new(), 0);
        let mut add = |filtered: zun_gate::replies::Filtered| {
            passed.extend(filtered.bytes);
            settled += filtered.settled;
        };
        for message in input.chunks(usize::from(*length).max(1)) {
            add(filter.feed(message, now, |_| passes));
        }
        if let Some(at) = filter.expires_at() {
            add(filter.expired(at));
        }
        assert_eq!(settled, input.len(), "a byte is settled twice or never");
        assert!(!passes || passed == input, "input is changed");
        assert!(passed.len() <= input.len());
    }
}

/// The number of a session's clients.
const CLIENTS: usize = 2;
/// The memory of its rings, in bytes.
const MEMORY: usize = 1 << 20;

/// Checks what clients send in a session. The first byte says what the process is. Then each message has a byte that says
/// whose it is, and what the process does meanwhile, and two bytes for its length.
pub fn frames(bytes: &[u8]) {
    let Some((kind, mut rest)) = bytes.split_first() else { return };
    let now = Instant::now();
    let (mut session, memory) = new_session(*kind);
    let mut clients: Vec<_> = (0..CLIENTS).filter_map(|id| joined(&mut session, id, now)).collect();
    let mut printed = 0_usize;
    while let [what, high, low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (message, next) = more.split_at(length);
        rest = next;
        let message = Bytes::copy_from_slice(message);
        let Ok(Some(frame)) = Frame::decode(&message) else { continue };
        let again = Frame::decode(&frame.encode());
        assert_eq!(again, Ok(Some(frame.clone())), "another message after it was encoded");
        if let Some(client) = clients.get_mut(usize::from(what & 1)) {
            session.receive(client.0, frame, now);
        }
        if what & 2 != 0 {
            printed += 1000;
            session.wants_output();
            session.output(EngineStream::Stdout, &[b'x'; 1000], now);
            session.recorded();
        }
        if what & 4 != 0 {
            while session.next_input().is_some() {
                session.wrote(now);
            }
        }
        if what & 8 != 0 {
            while session.next_control(now).is_some() {
                session.signalled(now);
            }
        }
        for (client, sent) in &mut clients {
            *sent += output_sent(&mut session, *client, now);
            assert!(*sent <= printed, "a byte was sent twice");
        }
        let progress = session.progress();
        assert_eq!(Progress::read(&progress.numbers()), progress);
        let record = serde_json::to_vec(&session.record()).expect("JSON");
        serde_json::from_slice::<SessionRecord>(&record).expect("a record");
        assert!(record.len() < 1 << 20);
    }
    drop(session);
    assert_eq!(memory.left(), MEMORY, "memory is not given back");
}

fn new_session(kind: u8) -> (Session, Memory) {
    let is_exec = kind & 1 != 0;
    let process = Process {
        kind: if is_exec { SessionKind::Exec } else { SessionKind::Container },
        tty: kind & 2 != 0,
        stdin: kind & 4 == 0,
        running: kind & 8 == 0,
    };
    let memory = Memory::of(MEMORY);
    let spill = SpillLimits { directory: None, stream: 0, space: Memory::of(0) };
    let (resume, stats) = (Duration::from_mins(15), Stats::default());
    let limits = Limits {
        ring: 256 << 10,
        memory: memory.clone(),
        spill,
        resume,
        attachments: CLIENTS,
        files: 0,
        stats,
    };
    let files = Files::create(process, &limits.spill).expect("files");
    (Session::new(process, limits, files), memory)
}

/// A client's connection, and how much output it has got.
fn joined(session: &mut Session, id: usize, now: Instant) -> Option<(ConnectionId, usize)> {
    let join = Join {
        name: format!("1-{id}"),
        token: Token::random().ok()?,
        key: KeyHash::of(&[u8::try_from(id).ok()?]),
        grant: format!("g{id}"),
        may_write: true,
        files: None,
        hello: ClientHello {
            writes: true,
            replay: Replay::All,
            window: 8 << 10,
            ..ClientHello::default()
        },
    };
    Some((session.join(join, now).ok()?, 0))
}

fn output_sent(session: &mut Session, client: ConnectionId, now: Instant) -> usize {
    let mut sent = 0;
    while let Next::Message(message) = session.next(client, now + Duration::from_millis(20)) {
        let frame = Frame::decode(&message).expect("valid").expect("known");
        if let Frame::Stdout(bytes) = frame {
            sent += bytes.len();
        }
    }
    sent
}

/// Checks what a client offers in `Sec-WebSocket-Protocol`.
pub fn hello(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let offered: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Ok(Some(hello)) = ClientHello::of(offered.iter().copied()) {
        let own = hello.subprotocol();
        assert_eq!(ClientHello::of([own.as_str()]), Ok(Some(hello.clone())));
        if let Some(resume) = &hello.resume {
            assert!(
                resume.token.is_empty()
                    || !format!("{hello:?}").contains(&format!("{:?}", resume.token))
            );
        }
    }
    if let Some(Ok(ticket)) = Ticket::of(offered.iter().copied()) {
        let own = ticket.subprotocol();
        assert_eq!(Ticket::of([own.as_str()]), Some(Ok(ticket.clone())));
        assert!(!format!("{ticket:?}").contains(ticket.expose()), "a secret in a log");
    }
}
