//! Clients with tickets instead of certificates, and the control socket.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zun_common::grant::Mode;
use zun_common::id::ContainerId;
use zun_common::pty::{ClientHello, PROTOCOL, Resume, TICKET_PATH};
use zun_tests::eventually::{eventually, eventually_some};

use super::bench::{Bench, PUBLIC, console, exec};
use super::client::{Refused, Session, hello, open};

fn container(id: &str) -> Value {
    json!({ "container": id })
}

async fn refusal(bench: &Bench, ticket: &str, hello: ClientHello) -> Option<Refused> {
    Session::with_ticket(&bench.public(), ticket, hello).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_session_which_resumes_with_the_same_ticket_and_its_token() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; read x; echo got $x; sleep 600");
    let ticket = bench.ticket(&container(&id), "rw", "t1");
    let mut first =
        Session::with_ticket(&bench.public(), &ticket, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    first.until("begun").await;
    assert_eq!(refusal(&bench, &ticket, hello()).await, Some(Refused::Status(403)), "used up");
    let resume = first.resume();
    drop(first);
    let another = bench.ticket(&container(&id), "rw", "t2");
    let token = |token: &str| {
        let resume = resume.resume.clone().expect("a resume");
        ClientHello { resume: Some(Resume { token: token.to_owned(), ..resume }), ..hello() }
    };
    for (name, ticket, hello) in [
        ("another ticket", another.as_str(), resume.clone()),
        ("another token", &ticket, token("x")),
        ("a forged ticket", &"A".repeat(43), resume.clone()),
    ] {
        assert_eq!(refusal(&bench, ticket, hello).await, Some(Refused::Close(4404)), "{name}");
    }
    let mut again =
        Session::with_ticket(&bench.public(), &ticket, resume.clone()).await.expect("resumed");
    assert!(again.hello.resumed);
    again.types(b"it\r").await;
    again.until("got it").await;
    // A certificate for the same container does not open the ticket's session.
    let grant = console(&id, Mode::ReadWrite);
    let certified = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, resume).await;
    assert_eq!(certified.err(), Some(Refused::Close(4404)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_lost_before_it_knew_its_session_gets_it_again_with_the_same_ticket() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "read x; echo got $x; sleep 600");
    bench.docker(&["start", &id]);
    let ticket = bench.ticket(&container(&id), "rw", "t1");
    drop(Session::with_ticket(&bench.public(), &ticket, hello()).await.expect("a session"));
    let mut again = eventually_some("the gate has noticed the loss", async || {
        Session::with_ticket(&bench.public(), &ticket, hello()).await.ok()
    })
    .await;
    assert!(!again.hello.resumed);
    again.types(b"it\r").await;
    again.until("got it").await;
    assert_eq!(refusal(&bench, &ticket, hello()).await, Some(Refused::Status(403)));
    let (_, listed) = bench.control("GET", "/sessions", &Value::Null);
    assert_eq!(listed["attachments"].as_array().map(Vec::len), Some(1), "{listed}");
    drop(again);
    eventually("the gate has noticed the loss", || {
        let (_, listed) = bench.control("GET", "/sessions", &Value::Null);
        listed["attachments"][0]["connected"] == false
    });
    assert_eq!(refusal(&bench, &ticket, hello()).await, Some(Refused::Status(403)), "it was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificates_session_is_not_resumed_without_the_certificate() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let session = Session::connect(&bench.dialer, &bench.granted(&grant), &grant, hello())
        .await
        .expect("one");
    let ticket = bench.ticket(&container(&id), "rw", "t1");
    assert_eq!(refusal(&bench, &ticket, session.resume()).await, Some(Refused::Close(4404)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_valid_ticket_in_its_place_is_let_in_at_the_public_name() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let ticket = || format!("zun.ticket.{}", bench.ticket(&container(&id), "rw", "t1"));
    let (own, hello) = (TICKET_PATH.to_owned(), hello().subprotocol());
    let certified = format!("/pty/v1/containers/{id}");
    let forged = format!("zun.ticket.{}", "A".repeat(43));
    for (name, path, offered, expected) in [
        ("no ticket", own.clone(), format!("{PROTOCOL}, {hello}"), 403),
        ("a forged ticket", own.clone(), format!("{PROTOCOL}, {hello}, {forged}"), 403),
        ("half a ticket", own.clone(), format!("{PROTOCOL}, {hello}, zun.ticket.AAAA"), 403),
        ("no hello", own.clone(), format!("{PROTOCOL}, {}", ticket()), 400),
        ("no protocol", own.clone(), format!("{hello}, {}", ticket()), 400),
        ("a query", format!("{own}?a=1"), format!("{PROTOCOL}, {hello}, {}", ticket()), 400),
        ("two slashes", format!("/{own}"), format!("{PROTOCOL}, {hello}, {}", ticket()), 404),
        ("the certificates' path", certified, format!("{PROTOCOL}, {hello}, {}", ticket()), 404),
    ] {
        let refused = open(&bench.public(), None, &path, &offered).await.err();
        assert_eq!(refused, Some(Refused::Status(expected)), "{name}");
    }
    // At the other names, a certificate is needed, and a ticket is worth nothing.
    let offered = format!("{PROTOCOL}, {hello}, {}", ticket());
    let refused = open(&bench.dialer, None, &own, &offered).await.err();
    assert_eq!(refused, Some(Refused::Tls));
    let other = bench.shell(true, "sleep 600");
    let identity = bench.granted(&console(&other, Mode::ReadWrite));
    for path in [own, format!("/pty/v1/containers/{id}")] {
        let refused = open(&bench.dialer, Some(&identity), &path, &offered).await.err();
        assert_eq!(refused, Some(Refused::Status(403)), "{path}");
    }
}

/// Sends the request of a page with this origin, and returns the status.
async fn from_page(bench: &Bench, ticket: &str, origin: &str) -> u16 {
    let port = bench.address().port();
    let request = format!(
        "GET {TICKET_PATH} HTTP/1.1\r\nHost: {PUBLIC}:{port}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: {PROTOCOL}, {}, zun.ticket.{ticket}\r\n\r\n",
        hello().subprotocol()
    );
    let mut stream = bench.public().dial(None).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    let text = String::from_utf8(answer).expect("text");
    text.split(' ').nth(1).expect("a status").parse().expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_refused_and_do_not_use_the_ticket_up() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    let ticket = bench.ticket(&container(&id), "rw", "t1");
    let port = bench.address().port();
    for origin in [
        "https://evil.test",
        "null",
        &format!("http://{PUBLIC}:{port}"),
        &format!("https://{PUBLIC}"),
    ] {
        assert_eq!(from_page(&bench, &ticket, origin).await, 403, "{origin}");
    }
    let own = format!("https://{PUBLIC}:{port}");
    assert_eq!(from_page(&bench, &ticket, &own).await, 101);
    let ticket = bench.ticket(&container(&id), "rw", "t2");
    assert_eq!(from_page(&bench, &ticket, "https://horizon.test").await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_ticket_shows_output_and_passes_no_input() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; read x; echo got $x; sleep 600");
    let writer = bench.ticket(&container(&id), "rw", "t1");
    let mut writer =
        Session::with_ticket(&bench.public(), &writer, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    writer.until("begun").await;
    let viewer = bench.ticket(&container(&id), "ro", "t2");
    let mut viewer =
        Session::with_ticket(&bench.public(), &viewer, hello()).await.expect("a session");
    assert!(!viewer.hello.writes);
    viewer.types(b"forged\r").await;
    viewer.until("begun").await;
    writer.types(b"true\r").await;
    assert!(!writer.until("got true").await.contains("forged"));
    assert!(!viewer.until("got true").await.contains("forged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_revoked_with_their_ids_within_a_second() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; sleep 600");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let mut certified =
        Session::connect(&bench.dialer, &identity, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    let ticket = bench.ticket(&container(&id), "ro", "t1");
    let mut viewer =
        Session::with_ticket(&bench.public(), &ticket, hello()).await.expect("a session");
    certified.until("begun").await;
    viewer.until("begun").await;
    let (status, listed) = bench.control("GET", "/sessions", &json!(null));
    assert_eq!(status, 200);
    let all: Vec<_> = listed["attachments"].as_array().expect("a list").clone();
    let shown = |number: usize| {
        let one = &all[number];
        (one["grant"].clone(), one["writes"].clone(), one["connected"].clone())
    };
    assert_eq!(all.len(), 2);
    assert_eq!(shown(0), (json!("g1"), json!(true), json!(true)));
    assert_eq!(shown(1), (json!("t1"), json!(false), json!(true)));
    assert_eq!(all[0]["target"], container(&id));
    assert_eq!(all[1]["id"], json!(viewer.hello.session));
    let socket = bench.settings.control_socket.as_deref().expect("a socket");
    let metrics = zun_gate::control::metrics(socket).expect("metrics");
    for line in ["zun_console_sessions 1", "zun_console_viewers 2", "zun_console_resumes_total 0"] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }

    let waiting = bench.ticket(&container(&id), "ro", "t1");
    let begun = Instant::now();
    assert_eq!(bench.control("DELETE", "/grants/t1", &json!(null)).1, json!({"sessions": 1}));
    assert_eq!(viewer.finish().await, Some(4403));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(refusal(&bench, &waiting, hello()).await, Some(Refused::Status(403)));
    assert_eq!(refusal(&bench, &ticket, viewer.resume()).await, Some(Refused::Close(4404)));

    assert_eq!(bench.control("DELETE", "/grants/g1", &json!(null)).1, json!({"sessions": 1}));
    assert_eq!(certified.finish().await, Some(4403));
    for hello in [hello(), certified.resume()] {
        let refused = Session::connect(&bench.dialer, &identity, &grant, hello).await.err();
        assert_eq!(refused, Some(Refused::Status(403)));
    }
    assert_eq!(
        bench.control("GET", "/sessions", &json!(null)).1,
        json!({"attachments": [], "tickets": [], "recordings": []})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_refuses_what_it_does_not_know_and_other_users() {
    let bench = Bench::start().await;
    let socket = bench.settings.control_socket.clone().expect("a socket");
    let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (method, path, body, expected) in [
        ("GET", "/", json!(null), 404),
        ("GET", "/tickets", json!(null), 404),
        ("POST", "/tickets", json!({}), 400),
        ("POST", "/size", json!({"target": {"container": "x"}}), 400),
    ] {
        let (status, answer) = bench.control(method, path, &body);
        assert_eq!(status, expected, "{method} {path}");
        assert!(answer["message"].is_string(), "{answer}");
    }
    // Also if the file's mode would let others in.
    let directory = socket.parent().expect("a directory");
    for path in [directory, &*socket] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("set");
    }
    let curl = format!("curl --silent --unix-socket {} http://gate/sessions", socket.display());
    let as_nobody = |user: &str| {
        let command = ["--reuid", user, "--clear-groups", "sh", "-c", &curl];
        let output = Command::new("setpriv").args(command).output().expect("setpriv runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(as_nobody("65534"), "");
    assert_eq!(as_nobody("0"), r#"{"attachments":[],"tickets":[],"recordings":[]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_without_a_public_name_issues_no_tickets_and_names_the_setting() {
    let bench = Bench::start_with(|settings| settings.public = None).await;
    let request = json!({
        "target": container(&"ab".repeat(32)), "mode": "rw", "project": "p1", "grant": "t1",
        "seconds": 60, "uses": 1,
    });
    let (status, answer) = bench.control("POST", "/tickets", &request);
    assert_eq!(status, 501);
    assert!(answer["message"].as_str().is_some_and(|words| words.contains("[public]")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_has_reached_its_limits_is_told_so_and_leaves_room_for_others() {
    let bench = Bench::start_with(|settings| {
        settings.limits.project_sessions = 2;
        settings.limits.project_attachments = 3;
    })
    .await;
    let of = |project: &str| {
        let label = format!("zun.project={project}");
        let id = format!("zun.container={}", ContainerId::random());
        let all = ["-i", "--label", &label, "--label", &id, "busybox", "sleep", "600"];
        let id = bench.container(&all);
        bench.docker(&["start", &id]);
        id
    };
    let ids = [of("p1"), of("p1"), of("p2")];
    let connect = async |grant: &zun_common::grant::Grant| {
        Session::connect(&bench.dialer, &bench.granted(grant), grant, hello()).await
    };
    let grants = ids.each_ref().map(|id| console(id, Mode::ReadWrite));
    let process = exec(&bench.exec(&ids[1], false, &["sleep", "600"]));
    let full = Some(Refused::Close(1013));
    let _first = connect(&grants[0]).await.expect("the first session");
    let second = connect(&process).await.expect("an exec is one of its container's project");
    assert_eq!(connect(&grants[1]).await.err(), full, "a third session");
    let _other = connect(&grants[2]).await.expect("another project's session");
    let _third = connect(&grants[0]).await.expect("the third client");
    assert_eq!(connect(&grants[0]).await.err(), full, "a fourth client");
    second.detach().await;
    let _fourth = connect(&grants[0]).await.expect("there is room again");
    let socket = bench.settings.control_socket.as_deref().expect("a socket");
    let metrics = zun_gate::control::metrics(socket).expect("metrics");
    for limit in ["project_sessions", "project_attachments"] {
        let line = format!("zun_console_refused_total{{limit=\"limits.{limit}\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}
