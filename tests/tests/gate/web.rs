//! The web console in Chromium, with this gate and the engine of the test run. The tests themselves are in
//! `web/tests/gate`.

use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;
use zun_tests::documents::root;

use super::bench::{Bench, PUBLIC};

/// How long the tests may take; with `ZUN_TEST_LONG`, one of them takes a minute.
const LIMIT: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn the_web_console_works_in_chromium() {
    let bench = Bench::start().await;
    let place = json!({
        "port": bench.address().port(),
        "name": PUBLIC,
        "control": bench.settings.control_socket,
        "docker": bench.socket(),
    });
    let mut tests = Command::new(root().join("deploy/web.sh"));
    tests.arg("test-gate").env("ZUN_TEST_WEB", place.to_string()).kill_on_drop(true);
    let output = timeout(LIMIT, tests.output()).await.expect("in time").expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}
