//! The latency of a key's echo.

use std::process::Command;
use std::time::{Duration, Instant};

use zun_tests::pty::Pty;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const KEYS: usize = 300;
const SIZE: (u16, u16) = (24, 80);

/// Returns the latency of each key's echo, sorted.
fn echoes(term: &mut Pty) -> Vec<Duration> {
    term.shows("ready");
    let mut took: Vec<Duration> = (0..KEYS)
        .map(|index| {
            let key = [b'a' + u8::try_from(index % 26).expect("a letter")];
            let begun = Instant::now();
            term.types(key);
            term.shows(&String::from_utf8_lossy(&key));
            begun.elapsed()
        })
        .collect();
    took.sort();
    took
}

#[test]
fn c68_a_keys_echo_is_about_as_fast_as_on_the_unix_socket() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c68");
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "600"]);
    let socket = zun.engine_socket();
    let host = format!("unix://{}", socket.display());
    let id = zun.field(name.as_str(), "uuid");
    let engine_name = format!("zun-{}", id.as_str().expect("an id"));
    // The terminal does not echo, so this output is from the process.
    let script = ["sh", "-c", "stty raw -echo; echo ready; exec cat"];
    let ours = [&["exec", "-i", name.as_str()][..], &script].concat();
    let theirs = [&["-H", host.as_str(), "exec", "-i", "-t", engine_name.as_str()][..], &script];
    let mut here = zun.term(&ours, SIZE);
    let mut there = Pty::spawn("docker", &theirs.concat(), &[], SIZE);
    let (ours, theirs) = (echoes(&mut here), echoes(&mut there));
    let (our, their) = (ours[KEYS / 2], theirs[KEYS / 2]);
    let ratio = our.as_secs_f64() / their.as_secs_f64();
    recorder.measured(format!(
        "median {} µs against {} µs, {ratio:.2} times",
        our.as_micros(),
        their.as_micros()
    ));
    assert!(our < Duration::from_millis(20), "a key takes {our:?}");
    // Both clients hold their terminals until the processes in the container end.
    let killed = Command::new("docker").args(["-H", &host, "kill", &engine_name]).output();
    assert!(killed.expect("docker runs").status.success());
}
