//! Tests of links that are idle, lost or go to another address. They use the CLI's library, so that they can shorten
//! its timeouts.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;
use zun_common::shutdown::Tasks;
use zun_tests::profile::is_long;
use zun_tests::proxy::Proxy;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;
use zunclient::console::docker::address::Address;
use zunclient::console::{Console, ConsoleError, Dial, Event, LinkTimeouts, connection};

use super::library::{endpoint, running, shell};

/// Opens a console at this address instead of the engine's.
async fn dial(
    zun: &ZunCli,
    name: &str,
    instead: &str,
    link: LinkTimeouts,
) -> Result<Console, ConsoleError> {
    let (mut endpoint, key) = endpoint(zun, name).await;
    let own = Address::parse(&endpoint.url).expect("an address").authority();
    let calls = &mut endpoint.calls;
    for url in [
        &mut calls.websocket,
        &mut calls.attach,
        &mut calls.output,
        &mut calls.wait,
        &mut calls.resize,
    ]
    .into_iter()
    .flatten()
    {
        *url = url.replace(&own, instead);
    }
    let dial = Dial { link, ..Dial::new(endpoint, key, Tasks::new()) };
    connection(dial)?.open().await
}

async fn listener(zun: &ZunCli, name: &str) -> SocketAddr {
    let (endpoint, _) = endpoint(zun, name).await;
    let address = Address::parse(&endpoint.url).expect("an address");
    address.authority().parse().expect("the engine is dialled by its address")
}

/// Checks that the process echoes input.
async fn echoes(console: &mut Console, word: &str) {
    console.input.write(Bytes::from(format!("echo {word}\n"))).await.expect("sent");
    let mut seen = String::new();
    while !seen.contains(word) {
        match timeout(Duration::from_secs(10), console.events.next()).await.expect("in time") {
            Some(Event::Stdout(bytes)) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
}

async fn idle_behind_a_proxy_with_a_timeout(name: &str, zun: &ZunCli) -> Duration {
    let target = listener(zun, name).await;
    let (idle_timeout, link, quiet) = if is_long() {
        (Duration::from_mins(1), LinkTimeouts::default(), Duration::from_mins(10))
    } else {
        let link =
            LinkTimeouts { keepalive: Duration::from_millis(300), ..LinkTimeouts::default() };
        (Duration::from_millis(900), link, Duration::from_secs(6))
    };
    let proxy = Proxy::with_idle_timeout(target, idle_timeout).await;
    let mut console = dial(zun, name, &proxy.address().to_string(), link).await.expect("a console");
    echoes(&mut console, "before").await;
    // Late output of the first input may still arrive. The loop ends when the link has been idle for `quiet`.
    while let Ok(event) = timeout(quiet, console.events.next()).await {
        assert!(matches!(event, Some(Event::Stdout(_))), "{event:?}");
    }
    echoes(&mut console, "after").await;
    quiet
}

#[tokio::test]
async fn c46_an_idle_terminal_survives_a_proxy_with_an_idle_timeout() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let name = shell(&zun, "c46-tty");
    let quiet = idle_behind_a_proxy_with_a_timeout(name.as_str(), &zun).await;
    recorder.measured(format!("terminal: idle for {} s", quiet.as_secs()));
}

#[tokio::test]
async fn c46_an_idle_pipe_survives_a_proxy_with_an_idle_timeout() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let name = running(&zun, "c46-pipe");
    let quiet = idle_behind_a_proxy_with_a_timeout(name.as_str(), &zun).await;
    recorder.measured(format!("pipe: idle for {} s", quiet.as_secs()));
}

/// The iptables rules that drop all packets to and from a loopback port. They are removed on drop.
pub(super) struct Dropped(u16);

impl Dropped {
    pub(super) fn packets_of(port: u16) -> Self {
        let dropped = Self(port);
        dropped.rules("-I");
        dropped
    }

    fn rules(&self, verb: &str) {
        // The comment names this process, so that a later run can clean up after a killed one.
        let (port, own) = (self.0.to_string(), format!("zun-test-dropped-{}", std::process::id()));
        for side in ["--dport", "--sport"] {
            let rule = ["INPUT", "-i", "lo", "-p", "tcp", side, &port];
            let rest = ["-m", "comment", "--comment", &own, "-j", "DROP"];
            let iptables = ["-w", "10", verb];
            let message = [&iptables[..], &rule, &rest].concat();
            let done = Command::new("iptables").args(message).status();
            assert!(done.expect("iptables runs").success(), "{verb} {rule:?}");
        }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.rules("-D");
    }
}

async fn vanishes(zun: &ZunCli, name: &str, typing: bool) -> Duration {
    let proxy = Proxy::to(listener(zun, name).await).await;
    let mut console = dial(zun, name, &proxy.address().to_string(), LinkTimeouts::default())
        .await
        .expect("a console");
    echoes(&mut console, "before").await;
    let _dropped = Dropped::packets_of(proxy.address().port());
    let begun = Instant::now();
    if typing {
        console.input.write(Bytes::from_static(b"into the void\n")).await.expect("accepted");
    }
    let mut lost = None;
    let ended = async {
        while let Some(event) = console.events.next().await {
            if let Event::Lost(why) = event {
                lost = Some(why);
            }
        }
    };
    timeout(Duration::from_secs(30), ended).await.expect("noticed");
    assert!(lost.is_some(), "the lost link must be reported");
    begun.elapsed()
}

#[tokio::test]
async fn c47_a_peer_that_vanishes_is_noticed_in_time() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let mut slowest = Duration::ZERO;
    for (tty, typing) in [(true, false), (true, true), (false, false), (false, true)] {
        let name = if tty { shell(&zun, "c47-tty") } else { running(&zun, "c47-pipe") };
        let took = vanishes(&zun, name.as_str(), typing).await;
        assert!(took < Duration::from_secs(15), "{took:?}, typing: {typing}");
        slowest = slowest.max(took);
    }
    recorder.measured(format!("{:.1} s at most", slowest.as_secs_f64()));
}

#[tokio::test]
async fn c47_a_process_that_does_not_read_is_not_a_vanished_peer() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c47-full");
    let script = "read first; echo sleeping; sleep 14; cat | wc -c";
    zun.must(&["create", "-i", "--name", name.as_str(), "cirros", "sh", "-c", script]);
    zun.must(&["start", name.as_str()]);
    let target = listener(&zun, name.as_str()).await.to_string();
    // The writer is blocked for longer than a peer may be silent.
    let mut console =
        dial(&zun, name.as_str(), &target, LinkTimeouts::default()).await.expect("a console");
    console.input.write(Bytes::from_static(b"go\n")).await.expect("sent");
    let mut input = console.input;
    let size = 32 << 20;
    let typing = async move {
        input.write(Bytes::from(vec![b'x'; size])).await.expect("sent in the end");
        input.eof().await.expect("ended");
    };
    let mut events = console.events;
    let mut seen = String::new();
    let reading = async {
        while let Some(event) = events.next().await {
            match event {
                Event::Stdout(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                event @ (Event::Lost(_)
                | Event::Closed(_)
                | Event::Gap(_)
                | Event::Reconnecting { .. }) => {
                    panic!("{event:?}")
                }
                Event::Stderr(_)
                | Event::Snapshot(_)
                | Event::Notice(_)
                | Event::TerminalSize { .. }
                | Event::Reconnected
                | Event::Exit(_)
                | Event::NotStarted { .. } => {}
            }
            if seen.contains(&size.to_string()) {
                return;
            }
        }
    };
    let both = async { tokio::join!(typing, reading) };
    timeout(Duration::from_mins(1), both).await.expect("in time");
    assert!(seen.contains(&size.to_string()), "{seen}");
}

#[tokio::test]
async fn c58_ipv6_and_an_advertised_name_are_dialled_and_an_error_names_what_was_tried() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = shell(&zun, "c58");
    let target = listener(&zun, name.as_str()).await;
    let proxy = Proxy::on(std::net::Ipv6Addr::LOCALHOST.into(), target).await;
    let port = target.port();
    for instead in [proxy.address().to_string(), format!("localhost:{port}")] {
        let mut console =
            dial(&zun, name.as_str(), &instead, LinkTimeouts::default()).await.expect("a console");
        echoes(&mut console, "dialled").await;
    }
    for (nowhere, tried) in [
        ("[::1]:1", "[::1]:1"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("localhost:1", "localhost:1 (tried "),
        ("no-such-host.invalid:1", "no-such-host.invalid:1"),
    ] {
        let refused = dial(&zun, name.as_str(), nowhere, LinkTimeouts::default()).await;
        let message = refused.err().expect("nothing listens there").to_string();
        assert!(message.contains(tried), "{message}");
    }
}
