//! The listener under load: clients without a grant must not block the engine for others. `make test` runs a tenth and
//! `make test-long` runs all.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zun_tests::profile;
use zun_tests::tls::{Identity, RogueCa};

use super::keep_alive::{KeepAliveClient, Outcome};
use super::site::Site;
use crate::authz::request::RequestLine;

/// Time within which the engine's unix socket must answer.
const USABLE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Concurrent clients.
const ABREAST: usize = 20;
const MIB: usize = 1 << 20;

struct Load {
    site: Site,
    grant: String,
    resize: RequestLine,
}

impl Load {
    async fn new() -> Self {
        let site = Site::open().await;
        let fixture = &site.fixture;
        let grant = format!("zun://{}/containers/{}/attach?mode=rw", fixture.host, fixture.ours);
        let target = format!("{}/containers/{}/resize?h=24&w=80", fixture.prefix(), fixture.ours);
        Self { site, grant, resize: RequestLine::new("POST", target) }
    }

    /// Issues a grant that is valid from now.
    fn good(&self) -> Identity {
        self.site.rogue_ca.identity(&self.grant, |_| {})
    }

    /// Checks that the unix socket and a granted call over TLS still work. Returns how long the first took.
    async fn is_usable(&self) -> Duration {
        let command = self.site.client().to_vec();
        let begun = Instant::now();
        let local = tokio::task::spawn_blocking(move || {
            let (program, first) = command.split_first().expect("a program");
            let output = std::process::Command::new(program).args(first).arg("version").output();
            output.expect("docker runs").status.success()
        });
        let local = timeout(USABLE, local).await.expect("an answer in time").expect("no panic");
        let took = begun.elapsed();
        assert!(local, "the unix socket does not answer");
        let mut client = KeepAliveClient::new(&self.site.dialer, || Some(self.good()));
        assert_eq!(client.send(&self.resize).await, Outcome::Passed(200));
        took
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.site.dialer.address).await.expect("a connection")
    }

    /// Writes `piece` until `most` bytes are written or the engine has closed the connection. Returns the number of
    /// bytes.
    async fn pour(
        mut stream: impl AsyncWriteExt + Unpin,
        first: &[u8],
        piece: &[u8],
        most: usize,
    ) -> usize {
        let mut gone = 0;
        let pouring = async {
            if stream.write_all(first).await.is_err() {
                return;
            }
            while gone < most && stream.write_all(piece).await.is_ok() {
                gone += piece.len();
            }
        };
        // An engine that neither reads nor closes the connection is fine.
        drop(timeout(TIMEOUT, pouring).await);
        gone
    }
}

#[tokio::test]
async fn slow_clients_do_not_block_the_engine() {
    let load = Load::new().await;
    let many = profile::times(3000);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut held = Vec::new();
    for number in 0..many {
        let mut stream = load.dial().await;
        // Nothing, one byte, or the beginning of a TLS hello.
        let part = match number % 3 {
            0 => &hello[..0],
            1 => &hello[..1],
            _ => &hello[..],
        };
        stream.write_all(part).await.expect("sent");
        held.push(stream);
    }
    let mut holders = Vec::new();
    let good = load.good();
    for number in 0..many / 10 {
        let mut stream = load.site.dialer.dial(Some(&good)).await.expect("a handshake");
        // Part of a head, or a head whose body never comes.
        let head = load.resize.head();
        let part = if number % 2 == 0 {
            head.split_at(head.len() / 2).0.to_owned()
        } else {
            head.replace("Content-Length: 16", "Content-Length: 900000")
        };
        stream.write_all(part.as_bytes()).await.expect("sent");
        holders.push(stream);
    }
    let took = load.is_usable().await;
    println!("{} slow clients: docker version took {took:?}", held.len() + holders.len());
    drop((held, holders));
    load.is_usable().await;
    load.site.close().await;
}

#[tokio::test]
async fn refused_handshakes_do_not_block_the_engine() {
    let load = Load::new().await;
    let stranger = RogueCa::named("theirs").identity("zun://x/exec/x", |_| {});
    let line = RequestLine::new("GET", "/_ping");
    let (many, mut slowest, begun) = (profile::times(10_000), Duration::ZERO, Instant::now());
    let mut refused = 0;
    while refused < many {
        let dials = (0..ABREAST).map(|number| {
            let identity = (number % 2 == 0).then_some(&stranger);
            let (dialer, line) = (&load.site.dialer, &line);
            async move { KeepAliveClient::new(dialer, || identity.cloned()).send(line).await }
        });
        for outcome in join_all(dials).await {
            assert_eq!(outcome, Outcome::Handshake);
            refused += 1;
        }
        if refused % (many / 5) < ABREAST {
            slowest = slowest.max(load.is_usable().await);
        }
    }
    let took = begun.elapsed();
    println!("{refused} handshakes refused in {took:?}; docker version took {slowest:?} at most");
    load.site.close().await;
}

#[tokio::test]
async fn garbage_does_not_block_the_engine() {
    let load = Load::new().await;
    let most = profile::times(1024) * MIB;
    let mut piece = vec![0; MIB / 4];
    rand::fill(&mut piece[..]);
    let text = vec![b'x'; MIB / 4];
    let (target, mut gone, mut slowest, mut rounds) = (&load.resize.target, 0, Duration::ZERO, 0);
    let long_line = b"GET /".to_vec();
    let long_header = format!("POST {target} HTTP/1.1\r\nHost: x\r\nX: ").into_bytes();
    let body = |target: &str, kind: &str| {
        let length = usize::MAX / 4;
        format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes()
    };
    let import = format!("{}/images/load", load.site.fixture.prefix());
    while gone < most {
        let good = load.good();
        let plain = Load::pour(load.dial().await, b"", &piece, 8 * MIB).await;
        let opened = || async { load.site.dialer.dial(Some(&good)).await.expect("a handshake") };
        let mut inside = 0;
        for (first, piece) in [
            (Vec::new(), &piece),
            (long_line.clone(), &text),
            (long_header.clone(), &text),
            (body(target, "application/json"), &text),
            (body(target, "application/x-tar"), &piece),
            (body(&import, "application/x-tar"), &piece),
            (body(&import, "application/json"), &text),
        ] {
            inside += Load::pour(opened().await, &first, piece, 8 * MIB).await;
        }
        gone += plain + inside;
        assert!(plain + inside > 0, "the engine no longer accepts bytes");
        rounds += 1;
        if rounds % 10 == 1 {
            slowest = slowest.max(load.is_usable().await);
        }
    }
    slowest = slowest.max(load.is_usable().await);
    println!("{} MiB in {rounds} rounds; docker version took {slowest:?} at most", gone / MIB);
    load.site.close().await;
}
