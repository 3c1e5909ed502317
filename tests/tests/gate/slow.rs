//! Clients that do not read (C29, C77).

use std::time::Instant;

use zun_common::grant::Mode;
use zun_common::pty::{ClientHello, Frame};
use zun_tests::eventually::eventually;
use zun_tests::recorder;

use super::bench::{Bench, console};
use super::client::{Session, hello};

#[tokio::test(flavor = "multi_thread")]
async fn c29_on_a_terminal_a_client_that_stops_reading_stalls_nobody_and_gets_a_gap_and_the_screen()
{
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let script = "echo begun; read x; seq 1000000; echo all done; read y";
    let id = bench.shell(true, script);
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    let asked = ClientHello { window: 64 << 10, ..hello() };
    let mut stalled = connect(asked).await.expect("a session");
    let mut other = connect(hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    other.until("begun").await;
    other.types(b"\r").await;
    other.until("all done").await;
    assert!(other.stdout.len() > 7_000_000, "{}", other.stdout.len());
    let (_, drawn) = stalled.screen().await;
    let [Frame::Gap { from, to, .. }, Frame::Snapshot { offset, .. }] = stalled.other.as_slice()
    else {
        panic!("{:?}", stalled.other)
    };
    assert!(*from < 200_000 && *to > 2_000_000 && offset >= to, "{from} {to} {offset}");
    let drawn = String::from_utf8_lossy(&drawn).into_owned();
    assert!(drawn.contains("999999\r\n1000000\r\nall done"), "{drawn:?}");
    other.types(b"\r").await;
    assert_eq!(other.ending().await.zun.exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn c77_without_a_terminal_a_stalled_client_loses_nothing_and_can_be_killed() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let id = bench.shell(false, "seq 2000000; sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let mut stalled =
        Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    // 14.9 MB are more than the ring: the process waits in a write.
    let mut waits = 0;
    eventually("the process is stopped by its full pipe", || {
        let shown = bench.docker(&["top", &id, "-o", "pid,comm,wchan"]);
        let is_stopped =
            shown.lines().any(|line| line.contains("seq") && line.contains("pipe_write"));
        waits = if is_stopped { waits + 1 } else { 0 };
        waits == 20
    });
    let begun = Instant::now();
    bench.docker(&["kill", &id]);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let ending = stalled.ending().await;
    assert_eq!(ending.zun.exit_code, Some(137));
    let text = String::from_utf8(stalled.stdout).expect("text");
    let complete = text.rsplit_once('\n').expect("lines").0;
    let last: u64 = complete.rsplit('\n').next().expect("a line").parse().expect("a number");
    let numbers = complete.lines().map(|line| line.parse::<u64>().expect("a number"));
    assert!(numbers.eq(1..=last), "some lines are missing before {last}");
    assert!(last > 500_000, "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c77_output_for_a_stalled_pipe_is_kept_on_disk_while_its_process_continues() {
    let _recorder = recorder!();
    let directory = std::env::temp_dir();
    let bench = Bench::start_with(|settings| settings.state_directory = Some(directory)).await;
    let id = bench.shell(false, "seq 2000000; touch /tmp/done; sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let mut stalled =
        Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    eventually("the process has written its output", || {
        let found = bench.command(&["exec", &id, "test", "-e", "/tmp/done"]).output();
        found.expect("docker runs").status.success()
    });
    bench.docker(&["kill", &id]);
    assert_eq!(stalled.ending().await.zun.exit_code, Some(137));
    let text = String::from_utf8(stalled.stdout).expect("text");
    assert!(text.lines().map(|line| line.parse::<u64>().expect("a number")).eq(1..=2_000_000));
}
