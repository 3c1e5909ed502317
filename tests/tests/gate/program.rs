//! The program `zun-console`: settings, service manager, stop, memory.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use zun_api::ca::CertificateAuthority;
use zun_common::grant::Mode;
use zun_tests::tls::TlsDialer;
use zun_tests::zun_cli::binary;

use super::bench::{Bench, HOST, console, settings};
use super::client::{Session, hello};

#[test]
fn invalid_settings_are_named_and_valid_ones_pass() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("zun-console.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let checked = Command::new(binary("zun-console"))
            .arg("--check-config")
            .arg("--config")
            .arg(&file)
            .output()
            .expect("it runs");
        (checked.status.success(), String::from_utf8(checked.stderr).expect("text"))
    };
    assert_eq!(check("host = 'compute1'\nlisten = '127.0.0.1:0'"), (true, String::new()));
    for (bad, named) in
        [("lisen = 1", "lisen"), ("[limits]\nmemory = 0", "memory"), ("host = 'A B'", "host")]
    {
        let (passed, words) = check(bad);
        assert!(!passed && words.contains(named), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_the_service_manager_serves_and_stops_in_time_without_a_secret_in_its_log() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let directory = tempfile::tempdir().expect("a directory");
    let ca = CertificateAuthority::init(&directory.path().join("ca")).expect("a CA");
    let files = settings(directory.path(), &ca).tls;
    let notify = directory.path().join("notify");
    let manager = UnixDatagram::bind(&notify).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let mut program = Command::new(binary("zun-console"))
        .env("ZUN_CONSOLE__HOST", HOST)
        .env("ZUN_CONSOLE__LISTEN", "127.0.0.1:0")
        .env("ZUN_CONSOLE__DOCKER__SOCKET", bench.socket())
        .env("ZUN_CONSOLE__TLS__CA", files.ca)
        .env("ZUN_CONSOLE__TLS__CERTIFICATE", files.certificate)
        .env("ZUN_CONSOLE__TLS__KEY", files.key)
        .env("NOTIFY_SOCKET", &notify)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut log = BufReader::new(program.stderr.take().expect("a pipe")).lines();
    let first = log.next().expect("a line").expect("text");
    let address = first.rsplit(' ').next().expect("an address").parse().expect("an address");
    let mut message = [0; 1024];
    // It stores descriptors too.
    let is_ready = std::iter::from_fn(|| {
        manager.recv(&mut message).ok().map(|length| message[..length].to_vec())
    })
    .any(|message| message.starts_with(b"READY=1"));
    assert!(is_ready);
    let dialer = TlsDialer { address, name: HOST.to_owned(), ca: ca.certificate_pem().to_owned() };
    let identity = zun_tests::tls::Identity::granted(&ca, &grant, "g1", chrono::Utc::now());
    let mut session =
        Session::connect(&dialer, &identity, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    session.until("begun").await;
    let token = session.hello.token.clone();
    let pid = Pid::from_raw(i32::try_from(program.id()).expect("small")).expect("a process");
    kill_process(pid, Signal::TERM).expect("sent");
    assert_eq!(session.finish().await, Some(1012));
    assert!(program.wait().expect("ended").success());
    let log: Vec<_> = log.map(|line| line.expect("text")).collect();
    assert!(log.iter().any(|line| line.contains("session begins") && line.contains(&id)));
    assert!(!log.iter().any(|line| line.contains(&token)), "{log:?}");
}
