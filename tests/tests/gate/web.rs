//! The web console in Chromium, with the program `zun-console` and the engine of the test run. The tests themselves are in
//! `web/tests/gate`.

use std::convert::Infallible;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::time::timeout;
use zun_tests::documents::root;
use zun_tests::recorder;

use super::bench::{Bench, PUBLIC};
use super::restarts::Program;

/// How long the tests may take; with `ZUN_TEST_LONG`, one of them takes a minute.
const LIMIT: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn c80_the_web_console_works_in_chromium() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let program = Program::start(&bench).await;
    let restart = bench.directory.path().join("restart.sock");
    let requests = UnixListener::bind(&restart).expect("a socket");
    let place = json!({
        "port": program.dialer.address.port(),
        "name": PUBLIC,
        "control": Program::control(&bench),
        "docker": bench.socket(),
        "restart": restart,
    });
    let mut tests = Command::new(root().join("deploy/web.sh"));
    tests.arg("test-gate").env("ZUN_TEST_WEB", place.to_string()).kill_on_drop(true);
    let output = tokio::select! {
        output = timeout(LIMIT, tests.output()) => output.expect("in time").expect("it runs"),
        never = keep(program, requests) => match never {},
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}

/// Keeps the program's descriptors, as systemd does, and restarts it for each connection to the socket.
async fn keep(mut program: Program, requests: UnixListener) -> Infallible {
    loop {
        tokio::select! {
            handled = program.holder.handle() => drop(handled.expect("a message")),
            accepted = requests.accept() => {
                program.restart(Signal::TERM).await;
                drop(accepted.expect("a connection"));
            }
        }
    }
}
