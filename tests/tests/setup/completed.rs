//! Setup of a new host, its probe, and undo.

use zun_compute::docker_setup::{Outcome, dry_run, undo};

use super::host::Host;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_set_up_once_and_undone_byte_for_byte_and_its_containers_keep_running() {
    let settings = "{ \"debug\": false,\n\n  \"max-concurrent-downloads\" : 2 }";
    let host = Host::start(settings).await;
    let container = host.container();
    let (pid, files) = (host.pid(&container), host.files());

    let shown = dry_run(&host.machine, &host.settings, Some(host.address())).await.expect("shown");
    let Outcome::DryRun(text) = &shown else { panic!("{shown:?}") };
    let added = format!(
        "+  \"hosts\": [\"unix://{}\", \"tcp://{}\"]",
        host.layout.socket().display(),
        host.address()
    );
    for message in [&added, "+++ ", "request a certificate", "would restart docker.service"] {
        assert!(text.contains(message), "{message} is not in {text}");
    }
    assert_eq!(host.files(), files, "a dry run changes nothing");

    let done = host.set_up().await.expect("set up");
    let Outcome::Done(summary) = &done else { panic!("{done:?}") };
    assert!(summary.restarted && summary.signed, "{summary:?}");
    assert_eq!((summary.running, summary.kept, summary.written.len()), (1, 1, 5));
    assert_eq!(host.pid(&container), pid);
    let after = host.files();
    let text = std::fs::read_to_string(host.layout.config()).expect("settings");
    assert!(
        text.starts_with("{ \"debug\": false,\n\n  \"max-concurrent-downloads\" : 2,"),
        "{text}"
    );
    assert!(host.dialer().dial(None).await.is_err() || no_answer(&host).await);

    assert_eq!(host.set_up().await.expect("set up"), Outcome::Unchanged);
    assert_eq!(host.files(), after, "a second run changes nothing");

    let undone = undo(&host.machine).await.expect("undone");
    assert!(matches!(&undone, Outcome::Undone(undone) if undone.files.len() == 8), "{undone:?}");
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    assert_eq!(host.pid(&container), pid);
    assert_eq!(host.docker(&["info", "-f", "{{.LiveRestoreEnabled}}"]), "false");
    assert!(std::net::TcpStream::connect(host.address()).is_err(), "nothing may listen");
    let marker = &host.machine.paths.undo_marker;
    assert!(marker.exists(), "the unit zun-docker-setup must not set Docker up again");
    host.set_up().await.expect("set up by hand");
    assert!(!marker.exists(), "a setup by hand must remove the marker");
    host.stop().await;
}

/// With TLS 1.3, a refused client only gets the error when it reads.
async fn no_answer(host: &Host) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = host.dialer().dial(None).await.expect("a stream");
    let sent = stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    answer.is_empty() && (sent.is_err() || read.is_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_does_not_overwrite_a_file_that_changed_since() {
    let host = Host::start("{}").await;
    host.set_up().await.expect("set up");
    let ours = std::fs::read_to_string(host.layout.config()).expect("settings");
    let theirs = ours.replacen('{', "{\n  \"debug\": true,", 1);
    std::fs::write(host.layout.config(), &theirs).expect("written");
    let message = undo(&host.machine).await.expect_err("changed").to_string();
    assert!(message.contains("daemon.json was changed after"), "{message}");
    assert_eq!(std::fs::read_to_string(host.layout.config()).expect("settings"), theirs);
    // Another setup keeps the key and changes nothing.
    assert_eq!(host.set_up().await.expect("set up"), Outcome::Unchanged);
    std::fs::write(host.layout.config(), &ours).expect("written");
    undo(&host.machine).await.expect("undone");
    let former = std::fs::read_to_string(host.layout.config()).expect("settings");
    assert_eq!(former, "{}", "as it was before");
    let again = undo(&host.machine).await.expect("nothing to undo");
    assert!(again.to_string().contains("nothing to undo"), "{again}");
    host.stop().await;
}
