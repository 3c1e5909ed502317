//! Certificates, paths, headers and tokens that are refused.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use zun_common::grant::{DataKind, Grant, Mode, Target};
use zun_common::pty::{ClientHello, PROTOCOL, Resume};
use zun_tests::eventually::eventually_some;
use zun_tests::recorder;
use zun_tests::tls::{Identity, RogueCa, uri};

use super::bench::{Bench, console, exec, host};
use super::client::{Refused, Session, TIMEOUT, hello, open, path};

fn offered() -> String {
    format!("{PROTOCOL}, {}", hello().subprotocol())
}

async fn refusal(bench: &Bench, identity: &Identity, path: &str, offered: &str) -> Option<Refused> {
    open(&bench.dialer, Some(identity), path, offered).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_that_zun_api_signs_pass_the_handshake() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let (ours, text) = (bench.rogue_ca(), grant.to_string());
    let good = ours.identity(&text, |_| {});
    assert_eq!(refusal(&bench, &good, &path(&grant), &offered()).await, None);
    let days = |days| Utc::now() + TimeDelta::days(days);
    let moment = |at: chrono::DateTime<Utc>| {
        time::OffsetDateTime::from_unix_timestamp(at.timestamp()).expect("a time")
    };
    for (name, bad) in [
        ("another CA", RogueCa::named("zun").identity(&text, |_| {})),
        ("our CA's name with another key", ours.with_another_key().identity(&text, |_| {})),
        ("a grant as CA", good.as_ca().identity(&text, |_| {}).followed_by(&good)),
        ("the CA itself", ours.itself()),
        ("a stolen certificate", good.stolen()),
        (
            "a server certificate",
            ours.identity(&text, |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("two names", ours.identity(&text, |params| params.subject_alt_names.push(uri(&text)))),
        ("no grant", ours.identity("https://example.org/", |_| {})),
        ("a week of validity", ours.identity(&text, |params| params.not_after = moment(days(7)))),
    ] {
        let refused = refusal(&bench, &bad, &path(&grant), &offered()).await;
        assert_eq!(refused, Some(Refused::Tls), "{name}");
    }
    let none = open(&bench.dialer, None, &path(&grant), &offered()).await.err();
    assert_eq!(none, Some(Refused::Tls));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_only_its_own_target_on_its_own_host_while_it_is_valid() {
    let bench = Bench::start().await;
    let (id, other) = (bench.shell(true, "sleep 600"), bench.shell(true, "sleep 600"));
    let own = console(&id, Mode::ReadWrite);
    let elsewhere = Grant { host: "compute2".parse().expect("a host"), ..own.clone() };
    let data = Target::Data { id: id.parse().expect("an id"), data: DataKind::Logs };
    let logs = Grant { host: host(), target: data, gate_only: false };
    let expired = Identity::granted(&bench.ca, &own, "g1", Utc::now() - TimeDelta::seconds(600));
    let early = Identity::granted(&bench.ca, &own, "g1", Utc::now() + TimeDelta::seconds(600));
    let spelled = path(&own);
    for (name, identity, path) in [
        ("another container", bench.granted(&own), path(&console(&other, Mode::ReadWrite))),
        ("an exec's path", bench.granted(&own), path(&exec(&id))),
        ("an exec's grant", bench.granted(&exec(&id)), spelled.clone()),
        ("another host", bench.granted(&elsewhere), spelled.clone()),
        ("the logs' grant", bench.granted(&logs), spelled.clone()),
        ("an expired grant", expired, spelled.clone()),
        ("a grant of the future", early, spelled.clone()),
        ("a query", bench.granted(&own), format!("{spelled}?x=1")),
        ("a slash more", bench.granted(&own), format!("{spelled}/")),
        ("two slashes", bench.granted(&own), spelled.replacen('/', "//", 1)),
        ("dots", bench.granted(&own), spelled.replacen("/pty", "/x/../pty", 1)),
        ("an encoded letter", bench.granted(&own), spelled.replacen("pty", "%70ty", 1)),
        ("upper case", bench.granted(&own), spelled.replacen("pty", "PTY", 1)),
        ("the root", bench.granted(&own), "/".to_owned()),
    ] {
        let refused = refusal(&bench, &identity, &path, &offered()).await;
        assert_eq!(refused, Some(Refused::Status(403)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_or_exec_that_is_not_there_is_404() {
    let bench = Bench::start().await;
    let unknown = "ab".repeat(32);
    for grant in [console(&unknown, Mode::ReadWrite), exec(&unknown)] {
        let refused = refusal(&bench, &bench.granted(&grant), &path(&grant), &offered()).await;
        assert_eq!(refused, Some(Refused::Status(404)), "{grant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_without_the_protocol_or_a_readable_hello_is_400() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    for offer in ["binary", PROTOCOL, "zun.pty.v1, zun.hello.!", &hello().subprotocol()] {
        let refused = refusal(&bench, &identity, &path(&grant), offer).await;
        assert_eq!(refused, Some(Refused::Status(400)), "{offer}");
    }
}

/// Sends a request as it is, and returns the status.
async fn status(bench: &Bench, grant: &Grant, request: &str) -> Option<u16> {
    let mut stream = bench.dialer.dial(Some(&bench.granted(grant))).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    String::from_utf8(answer).ok()?.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_proper_upgrade_is_refused() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let line = format!("GET {} HTTP/1.1\r\nHost: compute1\r\n", path(&grant));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let offer = format!("Sec-WebSocket-Protocol: {}\r\n", offered());
    let good = format!("{line}{upgrade}{key}{version}{offer}\r\n");
    assert_eq!(status(&bench, &grant, &good).await, Some(101));
    for origin in ["https://compute1", "https://compute1:None"] {
        let request = good.replacen("Host", &format!("Origin: {origin}\r\nHost"), 1);
        let expected = if origin.ends_with("None") { 403 } else { 101 };
        assert_eq!(status(&bench, &grant, &request).await, Some(expected), "{origin}");
    }
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    for (name, request, expected) in [
        ("no upgrade", format!("{line}{key}{version}{offer}\r\n"), Some(400)),
        ("no key", format!("{line}{upgrade}{version}{offer}\r\n"), Some(400)),
        ("two keys", format!("{line}{upgrade}{key}{key}{version}{offer}\r\n"), Some(400)),
        (
            "another version",
            format!("{line}{upgrade}{key}Sec-WebSocket-Version: 8\r\n{offer}\r\n"),
            Some(400),
        ),
        (
            "another site's page",
            format!("{line}Origin: https://x\r\n{upgrade}{key}{version}{offer}\r\n"),
            Some(403),
        ),
        ("POST", good.replacen("GET", "POST", 1), Some(405)),
        ("a long header", format!("{line}{long}{upgrade}{key}{version}{offer}\r\n"), Some(431)),
        ("no HTTP", "\x01\x02\x03\r\n\r\n".to_owned(), Some(400)),
    ] {
        assert_eq!(status(&bench, &grant, &request).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c79_an_expired_grant_resumes_with_its_key_and_token_and_nothing_else_does() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    // Of two certificates with one key, one is valid and one has expired.
    let (valid, expired) = bench.rogue_ca().two_ages(&grant.to_string());
    let mut session =
        Session::connect(&bench.dialer, &valid, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    session.until("begun").await;
    let resume = session.resume();
    drop(session);
    let fresh = Session::connect(&bench.dialer, &expired, &grant, hello()).await;
    assert_eq!(fresh.map(|_| ()).unwrap_err(), Refused::Status(403));
    let token = |token: &str| {
        let resume = resume.resume.clone().expect("a resume");
        ClientHello { resume: Some(Resume { token: token.to_owned(), ..resume }), ..hello() }
    };
    let other_key = bench.granted(&grant);
    for (name, identity, hello, expected) in [
        ("expired, another token", &expired, token("x"), Refused::Status(403)),
        ("another token", &valid, token("x"), Refused::Close(4404)),
        ("another key", &other_key, resume.clone(), Refused::Close(4404)),
    ] {
        let refused = Session::connect(&bench.dialer, identity, &grant, hello).await;
        assert_eq!(refused.map(|_| ()).unwrap_err(), expected, "{name}");
    }
    let again = Session::connect(&bench.dialer, &expired, &grant, resume).await.expect("resumed");
    assert!(again.hello.resumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_ca_is_accepted_and_an_old_one_refused_without_a_restart() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let new = RogueCa::named("new");
    let (ours, theirs) = (bench.granted(&grant), new.identity(&grant.to_string(), |_| {}));
    let refused = async |identity| refusal(&bench, identity, &path(&grant), &offered()).await;
    assert_eq!((refused(&ours).await, refused(&theirs).await), (None, Some(Refused::Tls)));
    let both = format!("{}\n{}", bench.ca.certificate_pem(), new.ca_pem());
    std::fs::write(&bench.settings.tls.ca, both).expect("written");
    assert_eq!((refused(&ours).await, refused(&theirs).await), (None, None));
    std::fs::write(&bench.settings.tls.ca, "garbage").expect("written");
    assert_eq!((refused(&ours).await, refused(&theirs).await), (None, None));
    std::fs::write(&bench.settings.tls.ca, new.ca_pem()).expect("written");
    assert_eq!((refused(&ours).await, refused(&theirs).await), (Some(Refused::Tls), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_docker_does_not_open_keep_nobody_from_connecting() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("docker.sock");
    let _stalled = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let bench = Bench::start_with(|settings| settings.docker.socket = socket).await;
    let grant = console(&"ab".repeat(32), Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: gate\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: zun.pty.v1, {}\r\n\r\n",
        path(&grant),
        hello().subprotocol(),
    );
    let mut waiting = Vec::new();
    for _ in 0..80 {
        let dialing = bench.dialer.dial(Some(&identity));
        let mut stream = timeout(TIMEOUT, dialing).await.expect("in time").expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        waiting.push(stream);
    }
}

/// Opens connections from this address that send nothing.
async fn silent(bench: &Bench, from: [u8; 4]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    // More than the gate serves of one address.
    for _ in 0..200 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("a local address");
        all.push(socket.connect(bench.address()).await.expect("accepted by the kernel"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_keep_other_clients_out() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    // Sooner than the handshakes of the silent ones time out.
    let soon = Duration::from_secs(6);
    let dials = || Session::connect(&bench.dialer, &identity, &grant, hello());
    let _silent = silent(&bench, [127, 0, 0, 2]).await;
    let first = timeout(soon, dials()).await.expect("in time");
    assert!(first.is_ok(), "from another address: {:?}", first.err());
    let _own = silent(&bench, [127, 0, 0, 1]).await;
    let again = eventually_some("the oldest silent one is closed", async || dials().await.ok());
    timeout(soon, again).await.expect("in time");
}
