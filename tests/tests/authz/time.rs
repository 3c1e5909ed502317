//! A grant expires for new dials and for requests on an open connection, but not for a session.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, interval};
use zun_api::ca::GRANT_LIFETIME_SECONDS;
use zun_common::grant::{Call, Mode, SessionEventKind};
use zun_common::units::TerminalSize;
use zun_tests::tls::Identity;

use super::bench::{Bench, console};
use super::request::{Outcome, RequestLine, frame, open, outcome, send, until};

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_expired_grant_opens_nothing_but_its_session_continues() {
    let bench = Bench::start().await;
    let id = bench.container(&["--interactive", "--tty", "small", "sh"]);
    bench.docker(&["start", &id]);
    let grant = console(&id, Mode::ReadWrite);
    // The grant expires in three seconds.
    let signed = Utc::now() - TimeDelta::seconds(GRANT_LIFETIME_SECONDS - 3);
    let identity = Identity::granted(&bench.ca, &grant, "short", signed);
    let attach = RequestLine::of(&grant, bench.version, Call::AttachWebsocket);
    let resize = RequestLine::of(&grant, bench.version, Call::Resize(SIZE));
    let mut shell = open(&bench.dialer, Some(&identity), &attach).await.expect("an answer");
    assert_eq!(shell.status, 101);
    assert_eq!(bench.next_event().kind, SessionEventKind::Begin);

    // On a keep-alive connection, requests pass until the grant expires and are refused afterwards.
    let mut kept = open(&bench.dialer, Some(&identity), &resize).await.expect("an answer");
    assert_eq!(kept.status, 200);
    let (begun, mut tick) = (Instant::now(), interval(Duration::from_millis(100)));
    while kept.status == 200 {
        assert!(begun.elapsed() < TIMEOUT, "still allowed");
        tick.tick().await;
        kept = send(kept.stream, &resize).await.expect("an answer");
    }
    assert_eq!(kept.status, 403);
    assert_eq!(outcome(&bench.dialer, Some(&identity), &attach).await, Outcome::Handshake);

    // The session continues, and its end is reported.
    shell.stream.write_all(&frame(2, b"echo a$((1+1))b\n")).await.expect("typed");
    until(&mut shell.stream, "a2b").await;
    bench.expect_no_event();
    shell.stream.write_all(&frame(2, b"exit\n")).await.expect("typed");
    assert_eq!(bench.next_event().kind, SessionEventKind::End);
    let log = bench.stop().await;
    assert!(log.contains("the grant has expired or is not valid yet"), "{log}");
    assert!(
        log.lines().all(|line| !line.contains("\"answer\"") || line.contains("\"allowed\"")),
        "{log}"
    );
}
