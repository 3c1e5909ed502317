//! Files that clients with tickets copy in and out.

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use zun_common::pty::ARCHIVE_PATH;

use super::bench::{Bench, PUBLIC};
use super::client::{Session, TIMEOUT, hello};

/// A session whose client may copy files, in a running container.
struct Copier {
    bench: Bench,
    container: String,
    session: Session,
    ticket: String,
}

impl Copier {
    async fn start() -> Self {
        let bench = Bench::start_with(|settings| settings.limits.files = 1).await;
        let container = bench.shell(true, "sleep 600");
        bench.docker(&["start", &container]);
        let ticket = ticket(&bench, &container, "rw", "t1");
        let session =
            Session::with_ticket(&bench.public(), &ticket, hello()).await.expect("a session");
        assert_eq!(session.hello.files, Some(1 << 20));
        Self { bench, container, session, ticket }
    }

    fn credentials(&self) -> String {
        credentials(&self.ticket, &self.session)
    }

    /// A request with these options of curl. The status is the last line of the output.
    fn curl(&self, credentials: &str, query: &str, options: &[&str]) -> Command {
        let port = self.bench.address().port();
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--max-time", "30", "--write-out", "\n%{http_code}", "--cacert"])
            .arg(self.bench.directory.path().join("ca.pem"))
            .args(["--resolve", &format!("{PUBLIC}:{port}:127.0.0.1"), "--header"])
            .arg(format!("Authorization: Zun-Session {credentials}"))
            .args(options)
            .arg(format!("https://{PUBLIC}:{port}{ARCHIVE_PATH}?{query}"));
        command
    }

    fn status(&self, credentials: &str, query: &str, options: &[&str]) -> (u16, String) {
        let output = self.curl(credentials, query, options).output().expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (status.parse().expect("a status"), body.to_owned())
    }

    /// Begins an upload of 512 KiB. The gate has begun it too: it asks for the body.
    async fn begin_upload(&self) -> TlsStream<TcpStream> {
        let mut stream = self.bench.public().dial(None).await.expect("a connection");
        let head = format!(
            "PUT {ARCHIVE_PATH}?{IN_TMP} HTTP/1.1\r\nHost: {PUBLIC}\r\nAuthorization: Zun-Session {}\r\n\
             Content-Length: 524288\r\nExpect: 100-continue\r\n\r\n",
            self.credentials()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = vec![0; 25];
        timeout(TIMEOUT, stream.read_exact(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }
}

fn credentials(ticket: &str, session: &Session) -> String {
    format!("{ticket}.{}.{}", session.hello.session, session.hello.token)
}

/// Asks for a ticket that also allows to copy files.
fn ticket(bench: &Bench, container: &str, mode: &str, id: &str) -> String {
    let request = json!({
        "target": { "container": container }, "mode": mode, "project": "p1", "grant": id, "seconds": 60, "uses": 1,
        "files": container,
    });
    let (status, answer) = bench.control("POST", "/tickets", &request);
    assert_eq!(status, 200, "{answer}");
    answer["ticket"].as_str().expect("a ticket").to_owned()
}

fn tar(directory: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("tar").current_dir(directory).args(arguments).output();
    let output = output.expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

const IN_TMP: &str = "noOverwriteDirNonDir=1&path=/tmp";

#[tokio::test(flavor = "multi_thread")]
async fn files_are_copied_in_and_out_within_the_limit_until_the_ticket_is_revoked() {
    let copier = Copier::start().await;
    let directory = copier.bench.directory.path().join("files");
    std::fs::create_dir(&directory).expect("a directory");
    std::fs::write(directory.join("a b"), "it is here").expect("written");
    std::fs::write(directory.join("large"), vec![b'x'; 2 << 20]).expect("written");
    tar(&directory, &["-cf", "small.tar", "a b"]);
    tar(&directory, &["-cf", "large.tar", "large"]);
    let file = |name: &str| directory.join(name).display().to_string();
    let right = copier.credentials();

    let put =
        |query: &str, name: &str| copier.status(&right, query, &["--upload-file", &file(name)]);
    assert_eq!(put(IN_TMP, "small.tar"), (200, String::new()));
    let seen = copier.bench.docker(&["exec", &copier.container, "cat", "/tmp/a b"]);
    assert_eq!(seen, "it is here");
    let (status, words) = put(IN_TMP, "large.tar");
    assert_eq!((status, words.contains("1 MiB")), (413, true), "{words}");
    let nowhere = put("noOverwriteDirNonDir=1&path=/nowhere", "small.tar");
    assert_eq!(nowhere, (404, "no such file or directory".to_owned()));

    let fetched = file("fetched.tar");
    let query = "path=/tmp/a%20b";
    assert_eq!(copier.status(&right, query, &["--output", &fetched]).0, 200);
    assert_eq!(tar(&directory, &["-xOf", "fetched.tar", "a b"]).stdout, b"it is here");
    let (status, head) = copier.status(&right, query, &["--head"]);
    let stat = head.lines().find_map(|line| line.strip_prefix("x-docker-container-path-stat: "));
    let stat = STANDARD.decode(stat.expect("a header").trim()).expect("base64");
    let stat: Value = serde_json::from_slice(&stat).expect("JSON");
    assert_eq!((status, &stat["size"]), (200, &json!(10)));
    // A download that is too large is aborted, so that nobody takes the part for the whole.
    copier.bench.docker(&[
        "exec",
        &copier.container,
        "dd",
        "if=/dev/zero",
        "of=/tmp/l",
        "bs=1M",
        "count=3",
    ]);
    let broken = copier.curl(&right, "path=/tmp/l", &["--output", &fetched]).status();
    assert!(!broken.expect("curl runs").success());

    let copies = [copier.begin_upload().await, copier.begin_upload().await];
    // The third one at the same time.
    assert_eq!(copier.status(&right, query, &["--head"]).0, 503);
    let (_, shown) = copier.bench.control("GET", "/sessions", &json!(null));
    assert_eq!(shown["attachments"][0]["files"], json!(true));
    copier.bench.control("DELETE", "/grants/t1", &json!(null));
    for mut copy in copies {
        let mut rest = Vec::new();
        let read = timeout(TIMEOUT, copy.read_to_end(&mut rest)).await.expect("it ends");
        assert!(read.is_err() || rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(copier.status(&right, query, &[]).0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_session_of_a_ticket_that_allows_files_copies_and_only_paths() {
    let copier = Copier::start().await;
    let Copier { bench, container, .. } = &copier;
    let (right, query) = (copier.credentials(), "path=/etc/hosts");
    assert_eq!(copier.status(&right, query, &["--output", "/dev/null"]).0, 200);
    let mut others = Vec::new();
    for (id, ticket) in [
        ("without files", bench.ticket(&json!({ "container": container }), "rw", "t2")),
        ("read-only", ticket(bench, container, "ro", "t3")),
    ] {
        let session = Session::with_ticket(&bench.public(), &ticket, hello()).await;
        let session = session.expect("a session");
        assert_eq!(session.hello.files, None, "{id}");
        others.push((id, credentials(&ticket, &session)));
    }
    let unused = ticket(bench, container, "rw", "t4");
    let forged = |number: usize, with: &str| {
        let mut parts: Vec<_> = right.split('.').collect();
        parts[number] = with;
        parts.join(".")
    };
    others.extend([
        ("another ticket", forged(0, &unused)),
        ("another session", forged(1, "1-x")),
        ("another token", forged(2, &"A".repeat(43))),
        ("a part less", copier.ticket.clone()),
        ("a part more", format!("{right}.x")),
        ("nothing", String::new()),
    ]);
    for (name, credentials) in others {
        let refused = (403, "this session may not copy files".to_owned());
        assert_eq!(copier.status(&credentials, query, &[]), refused, "{name}");
    }
    let foreign = ["--header", "Origin: https://evil.test"];
    assert_eq!(copier.status(&right, query, &foreign).0, 403);
    for (query, method) in [
        ("path=etc", "GET"),
        ("path=/etc/hosts&x=1", "GET"),
        ("path=/etc/%68osts", "GET"),
        ("path=/etc/hosts", "PUT"),
        ("path=/etc/hosts", "DELETE"),
        ("path=/a%00", "GET"),
    ] {
        assert_eq!(copier.status(&right, query, &["--request", method]).0, 400, "{method} {query}");
    }
}
