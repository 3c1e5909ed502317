//! Request smuggling with a valid grant: requests hidden in headers, bodies, pipelines and other protocols of a granted
//! one. Each case has its own grant, so the plugin's log shows what passed.

use std::time::{Duration, Instant};

use zun_tests::eventually::eventually;
use zun_tests::tls::{Identity, common_name};

use super::raw;
use super::site::Site;

const LAG: Duration = Duration::from_secs(20);

/// The bytes to send, and the minimum and maximum number of granted calls that may pass.
struct Case {
    name: String,
    bytes: Vec<u8>,
    passes: (usize, usize),
}

/// The granted request and the forbidden request of all cases.
struct Requests {
    good: String,
    good_target: String,
    bad: String,
    bad_target: String,
    version: String,
}

impl Requests {
    fn of(site: &Site) -> Self {
        let fixture = &site.fixture;
        let version = fixture.prefix();
        let good_target = format!("{version}/containers/{}/resize?h=24&w=80", fixture.ours);
        let bad_target = format!("{version}/containers/{}/json", fixture.victim);
        Self {
            good: post(&good_target, ""),
            bad: format!("GET {bad_target} HTTP/1.1\r\nHost: x\r\n\r\n"),
            good_target,
            bad_target,
            version,
        }
    }

    /// Returns the granted request with other headers and a body.
    fn with(&self, headers: &str, body: &str) -> String {
        format!("POST {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}", self.good_target)
    }

    /// Returns the forbidden request with more headers.
    fn forbidden(&self, headers: &str) -> String {
        format!("GET {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n", self.bad_target)
    }
}

fn post(target: &str, headers: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 0\r\n\r\n")
}

fn case(name: impl Into<String>, bytes: impl Into<Vec<u8>>, passes: (usize, usize)) -> Case {
    Case { name: name.into(), bytes: bytes.into(), passes }
}

fn pipelines(requests: &Requests) -> Vec<Case> {
    let Requests { good, bad, .. } = requests;
    vec![
        case("good, bad, good", format!("{good}{bad}{good}"), (2, 2)),
        case("bad, good", format!("{bad}{good}"), (1, 1)),
        case("fifty of each", format!("{good}{bad}").repeat(50), (50, 50)),
        case("line breaks between requests", format!("{good}\r\n\r\n{bad}\r\n{good}"), (1, 2)),
    ]
}

fn bodies(requests: &Requests) -> Vec<Case> {
    let bad = &requests.bad;
    let (length, chunk) = (bad.len(), format!("{:x}\r\n{bad}\r\n0\r\n\r\n", bad.len()));
    let with = |headers: &str, body: &str| requests.with(headers, body);
    let mut cases = vec![
        case("a request as the body", with(&format!("Content-Length: {length}\r\n"), bad), (1, 1)),
        case("a request after an empty body", with("Content-Length: 0\r\n", bad), (1, 1)),
        case("a request in a chunk", with("Transfer-Encoding: chunked\r\n", &chunk), (1, 1)),
        case(
            "a request after the last chunk",
            with("Transfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{bad}")),
            (1, 1),
        ),
        case(
            "a request as a trailer",
            with("Transfer-Encoding: chunked\r\nTrailer: GET\r\n", &format!("0\r\n{bad}\r\n")),
            (0, 1),
        ),
        case(
            "a request as a chunk extension",
            with("Transfer-Encoding: chunked\r\n", &format!("0;x=\"{}\r\n\r\n", bad.trim())),
            (0, 1),
        ),
        case(
            "short length, chunked",
            with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &chunk),
            (0, 1),
        ),
        case(
            "long length, chunked",
            with(
                &format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", length + 5),
                &format!("0\r\n\r\n{bad}"),
            ),
            (0, 1),
        ),
        case(
            "a request after a body with 100-continue",
            with("Expect: 100-continue\r\nContent-Length: 4\r\n", &format!("abcd{bad}")),
            (0, 1),
        ),
    ];
    for encoding in ["xchunked", "identity", "chunked, identity", "chunked\r\nTransfer-Encoding: x"]
    {
        let headers = format!("Transfer-Encoding: {encoding}\r\nContent-Length: 4\r\n");
        cases.push(case(format!("encoding {encoding:?}"), with(&headers, &chunk), (0, 1)));
    }
    for header in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding:\n chunked",
        " Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 0",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 0, 4",
        "Content-Length: +0",
        "Content-Length: -1",
        "Content-Length: 0x4",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
    ] {
        cases.push(case(format!("{header:?}"), with(&format!("{header}\r\n"), &chunk), (0, 1)));
    }
    cases
}

fn headers(requests: &Requests) -> Vec<Case> {
    let mut cases = Vec::new();
    let granted = &requests.good_target;
    for header in [
        "X-HTTP-Method-Override: POST",
        "X-Method-Override: POST",
        &format!("X-Original-URL: {granted}"),
        &format!("X-Rewrite-URL: {granted}"),
        &format!("X-Forwarded-Uri: {granted}"),
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;proto=http",
        "X-Forwarded-Client-Cert: Hash=0",
        "X-SSL-Client-S-DN: CN=root",
        "User: root",
        "Authorization: Basic cm9vdDpyb290",
        "X-Registry-Auth: e30=",
        "Connection: close, X-Forwarded-For",
        "Connection: Upgrade\r\nUpgrade: tcp",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Upgrade: TLS/1.2\r\nConnection: Upgrade",
        "Expect: 100-continue",
        "X: \0",
        "X: y\rZ: w",
        ": empty",
        "X Y: z",
    ] {
        let headers = format!("{header}\r\n");
        cases.push(case(format!("bad with {header:?}"), requests.forbidden(&headers), (0, 0)));
        let good = post(granted, &headers);
        cases.push(case(format!("good with {header:?}"), good, (0, 1)));
    }
    let many = "X-Many: many\r\n".repeat(9_000);
    cases.push(case("bad with thousands of headers", requests.forbidden(&many), (0, 0)));
    cases.push(case("good with thousands of headers", post(granted, &many), (0, 1)));
    let long = format!("X: {}\r\n", "y".repeat(2 << 20));
    cases.push(case("bad with a header of two MiB", requests.forbidden(&long), (0, 0)));
    cases
}

fn first_lines(requests: &Requests) -> Vec<Case> {
    let (good, bad, version) = (&requests.good_target, &requests.bad_target, &requests.version);
    let rest = "\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let mut cases = Vec::new();
    for line in [
        format!("GET {bad} {good} HTTP/1.1"),
        format!("GET {bad}\tHTTP/1.1"),
        format!("GET  {bad} HTTP/1.1"),
        format!("\tGET {bad} HTTP/1.1"),
        format!("GET {bad} HTTP/1.1 "),
        format!("GET {bad} http/1.1"),
        format!("GET {bad} HTTP/1.0"),
        format!("GET {bad} HTTP/0.9"),
        format!("GET {bad} HTTP/1.2"),
        format!("GET {bad} HTTP/2.0"),
        format!("GET {bad} HTTP/3"),
        format!("GET {bad}"),
        format!("GET {bad}\0{good} HTTP/1.1"),
        format!("GET {bad}\r{good} HTTP/1.1"),
        format!("GET {bad}\u{85} HTTP/1.1"),
        format!("GET {bad}\n{good} HTTP/1.1"),
        "CONNECT engine:443 HTTP/1.1".to_owned(),
        format!("CONNECT {version}/info HTTP/1.1"),
        "GET * HTTP/1.1".to_owned(),
        format!("GET {} HTTP/1.1", bad.trim_start_matches('/')),
        format!("GET \\{bad} HTTP/1.1"),
        format!("POST {good} {bad} HTTP/1.1"),
    ] {
        cases.push(case(format!("{line:?}"), format!("{line}{rest}"), (0, 0)));
    }
    for (line, most) in [("HTTP/1.0", 1), ("HTTP/1.2", 1), ("HTTP/2.0", 0), ("http/1.1", 0)] {
        let bytes = format!("POST {good} {line}{rest}");
        cases.push(case(format!("good by {line}"), bytes, (0, most)));
    }
    let unix = requests.good.replace("\r\n", "\n");
    cases.push(case("good with bare line feeds", unix, (0, 1)));
    for host in ["", "Host: x\r\nHost: y\r\n", "Host: a b\r\n", "Host: http://y/info\r\n"] {
        let bytes = format!("GET {bad} HTTP/1.1\r\n{host}\r\n");
        cases.push(case(format!("bad with host {host:?}"), bytes, (0, 0)));
    }
    cases
}

fn other_protocols(requests: &Requests) -> Vec<Case> {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = "\0\0\0\u{4}\0\0\0\0\0";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let upgraded = |request: String| format!("{request}{preface}{settings}");
    let version = &requests.version;
    let mut cases = vec![
        case("HTTP/2 with prior knowledge", format!("{preface}{settings}"), (0, 0)),
        case(
            "HTTP/2 after a good request",
            format!("{}{preface}{settings}", requests.good),
            (1, 1),
        ),
        case(
            "a good request that upgrades to HTTP/2",
            upgraded(post(&requests.good_target, h2c)),
            (0, 1),
        ),
        case("a bad request that upgrades to HTTP/2", upgraded(requests.forbidden(h2c)), (0, 0)),
        case("TLS within TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), (0, 0)),
        case("nothing", "", (0, 0)),
        case("zeroes", vec![0; 1 << 16], (0, 0)),
    ];
    for place in ["/session", "/grpc", "/moby.filesync.v1.FileSync/DiffCopy"] {
        for place in [place.to_owned(), format!("{version}{place}")] {
            let request = post(&place, h2c);
            cases.push(case(format!("{place} to HTTP/2"), upgraded(request), (0, 0)));
        }
    }
    cases
}

fn identity(site: &Site, id: &str) -> Identity {
    let grant =
        format!("zun://{}/containers/{}/attach?mode=rw", site.fixture.host, site.fixture.ours);
    site.rogue_ca.identity(&grant, |params| params.distinguished_name = common_name(id))
}

/// Returns the requests that the plugin allowed with this grant.
fn passed_by(site: &Site, id: &str) -> Vec<(String, String)> {
    let all = site.allowed().into_iter().filter(|line| line.grant == id);
    all.map(|line| (line.method, line.target)).collect()
}

#[tokio::test]
async fn nothing_gets_through_hidden_in_a_granted_request() {
    let site = Site::open().await;
    let requests = Requests::of(&site);
    let cases: Vec<_> = [
        pipelines(&requests),
        bodies(&requests),
        headers(&requests),
        first_lines(&requests),
        other_protocols(&requests),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut wrong = Vec::new();
    let (mut answers, mut through) = (0, 0);
    for (number, Case { name, bytes, passes: (least, most) }) in cases.iter().enumerate() {
        let id = format!("hidden-{number}");
        let answer = raw::exchange(&site.dialer, &identity(&site, &id), bytes).await;
        let statuses = raw::statuses(&answer);
        // 2xx and 3xx, except redirects that come before the plugin is asked.
        let good = statuses.iter().filter(|status| matches!(status, 101 | 200 | 204)).count();
        let begun = Instant::now();
        let mut passed = passed_by(&site, &id);
        // The plugin may write its log after the answer.
        while passed.len() < good && begun.elapsed() < LAG {
            passed = passed_by(&site, &id);
        }
        let exact = passed
            .iter()
            .all(|(method, target)| (method.as_str(), target) == ("POST", &requests.good_target));
        if !exact || good != passed.len() || !(*least..=*most).contains(&good) {
            wrong.push(format!("{name}: {statuses:?}, passed {passed:?}"));
        }
        if answer.contains(&site.fixture.victim) {
            wrong.push(format!("{name}: reveals the victim"));
        }
        answers += statuses.len();
        through += good;
    }
    println!("{} cases, {answers} answers, {through} granted calls passed", cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    site.close().await;
}

#[tokio::test]
async fn options_requests_get_an_empty_answer_from_the_http_server() {
    let site = Site::open().await;
    let bytes = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = raw::exchange(&site.dialer, &identity(&site, "star"), bytes).await;
    // The request reaches neither the engine's handlers nor the plugin.
    assert_eq!(raw::statuses(&answer), [200], "{answer}");
    assert!(answer.contains("Content-Length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(passed_by(&site, "star").is_empty());
    site.close().await;
}

#[tokio::test]
async fn bytes_after_a_granted_attach_go_to_the_container() {
    let site = Site::open().await;
    let requests = Requests::of(&site);
    let (version, ours) = (site.fixture.prefix(), &site.fixture.ours);
    let streams = "logs=0&stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FD,%FC,%FB,%FA";
    let target = format!("{version}/containers/{ours}/attach?{streams}");
    let headers = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let bytes = format!("{}{}{}", post(&target, headers), requests.bad, requests.good);
    let answer = raw::exchange(&site.dialer, &identity(&site, "attached"), bytes.as_bytes()).await;
    assert_eq!(raw::statuses(&answer).first(), Some(&101), "{answer}");
    eventually("the log has the attach", || !passed_by(&site, "attached").is_empty());
    assert_eq!(passed_by(&site, "attached"), [("POST".to_owned(), target)]);
    site.close().await;
}

#[tokio::test]
async fn http_2_is_not_offered() {
    let site = Site::open().await;
    let requests = Requests::of(&site);
    let identity = identity(&site, "h2");
    let protocols = [b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = site.dialer.dial_offering(Some(&identity), &protocols).await.expect("a handshake");
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    assert_ne!(agreed, Some(b"h2".to_vec()));
    let answer = raw::talk(stream, requests.bad.as_bytes()).await;
    assert_eq!(raw::statuses(&answer), [403], "{answer}");
    // A client that speaks only HTTP/2 is refused or not understood.
    if let Ok(stream) = site.dialer.dial_offering(Some(&identity), &protocols[..1]).await {
        let bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let answer = raw::talk(stream, bytes).await;
        assert!(!answer.starts_with('\0'), "{answer}");
    }
    assert!(passed_by(&site, "h2").is_empty());
    site.close().await;
}
