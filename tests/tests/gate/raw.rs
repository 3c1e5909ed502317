//! Clients of OpenStack Zun, which present a ticket in the URL and get the bytes of the terminal.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use zun_common::pty::TICKET_PATH;
use zun_tests::eventually::eventually;
use zun_tests::recorder;

use super::bench::{Bench, PUBLIC};
use super::client::{Socket, TIMEOUT};

/// Prints each of the 256 bytes once, on a terminal that changes none.
const ALL_BYTES: &str = "stty raw -echo; i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i + 1)); done; read x; exit 3";

fn container(id: &str) -> Value {
    json!({ "container": id })
}

struct Raw {
    socket: Socket,
    protocol: Option<String>,
    messages: Vec<Vec<u8>>,
    closed: Option<u16>,
}

impl Raw {
    async fn connect(bench: &Bench, ticket: &str, offered: Option<&str>) -> Result<Self, u16> {
        let dialer = bench.public();
        let stream = dialer.dial(None).await.expect("a connection");
        let url = format!("wss://{PUBLIC}{TICKET_PATH}?token={ticket}");
        let mut request = url.into_client_request().expect("a request");
        if let Some(offered) = offered {
            request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse().expect("text"));
        }
        match timeout(TIMEOUT, client_async(request, stream)).await.expect("an answer") {
            Ok((socket, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|text| text.to_str().expect("text").to_owned());
                Ok(Self { socket, protocol, messages: Vec::new(), closed: None })
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            // tungstenite refuses an answer without one of the offered subprotocols.
            Err(error) => panic!("{error}"),
        }
    }

    async fn types(&mut self, text: &str) {
        self.socket.send(Message::Binary(text.to_owned().into())).await.expect("sent");
    }

    /// Receives until the output contains this, or until the end.
    async fn until(&mut self, wanted: &str) -> Vec<u8> {
        let reading = async {
            while !self.output().windows(wanted.len()).any(|part| part == wanted.as_bytes()) {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(message))) => self.messages.push(message.to_vec()),
                    Some(Ok(Message::Close(frame))) => {
                        self.closed = frame.map(|frame| frame.code.into());
                        return;
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        timeout(TIMEOUT, reading).await.expect("in time");
        self.output()
    }

    /// Receives until there is this much output.
    async fn until_length(&mut self, length: usize) {
        let reading = async {
            while self.output().len() < length {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(message))) => self.messages.push(message.to_vec()),
                    other => panic!("{other:?}"),
                }
            }
        };
        timeout(TIMEOUT, reading).await.expect("in time");
    }

    fn output(&self) -> Vec<u8> {
        self.messages.concat()
    }
}

const NEVER: &str = "this is never printed";

#[tokio::test(flavor = "multi_thread")]
async fn c72_all_bytes_arrive_as_text_with_binary_and_exactly_without_a_subprotocol() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let all: Vec<u8> = (0..=255).collect();
    for (offered, protocol, expected) in [
        (
            Some("binary,base64"),
            Some("binary"),
            String::from_utf8_lossy(&all).into_owned().into_bytes(),
        ),
        (None, None, all.clone()),
    ] {
        let id = bench.shell(true, ALL_BYTES);
        let ticket = bench.ticket(&container(&id), "rw", "t1");
        let mut raw = Raw::connect(&bench, &ticket, offered).await.expect("a websocket");
        assert_eq!(raw.protocol.as_deref(), protocol);
        bench.docker(&["start", &id]);
        raw.until_length(expected.len()).await;
        raw.types("\n").await;
        let output = raw.until(NEVER).await;
        assert_eq!(output, expected, "{offered:?}");
        assert_eq!(raw.closed, Some(4003), "{offered:?}");
        assert!(raw.messages.iter().all(|message| !message.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c71_a_burst_of_characters_arrives_in_small_messages_that_are_text() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let script = "read x; i=0; while [ $i -lt 4000 ]; do echo \"$i äöü€😀äöü€😀\"; i=$((i + 1)); done; read x";
    let id = bench.shell(true, script);
    bench.docker(&["start", &id]);
    let ticket = bench.ticket(&container(&id), "rw", "t1");
    let mut raw = Raw::connect(&bench, &ticket, Some("binary, base64")).await.expect("a websocket");
    raw.types("\r").await;
    let output = raw.until("3999 äöü€😀äöü€😀").await;
    let text = String::from_utf8(output).expect("text");
    assert_eq!(text.matches("äöü€😀äöü€😀").count(), 4000);
    for message in &raw.messages {
        assert!((1..=8192).contains(&message.len()), "{}", message.len());
        assert!(str::from_utf8(message).is_ok(), "a character is split");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_in_a_url_opens_one_session_and_nothing_else_does() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "read x; echo got $x; sleep 600");
    bench.docker(&["start", &id]);
    let ticket = bench.ticket(&container(&id), "rw", "t1");
    for (name, ticket, offered, expected) in [
        ("a forged ticket", "A".repeat(43), Some("binary"), 403),
        ("half a ticket", "A".repeat(20), Some("binary"), 403),
        ("more than a ticket", format!("{ticket}&uuid=1"), Some("binary"), 403),
        ("another encoding", ticket.clone(), Some("base64"), 400),
    ] {
        let refused = Raw::connect(&bench, &ticket, offered).await.err();
        assert_eq!(refused, Some(expected), "{name}");
    }
    let mut raw = Raw::connect(&bench, &ticket, Some("binary")).await.expect("a websocket");
    assert_eq!(Raw::connect(&bench, &ticket, Some("binary")).await.err(), Some(403), "used up");
    raw.types("it\r").await;
    raw.until("got it").await;
    let sized = json!({"target": container(&id), "size": {"Width": 101, "Height": 33}});
    assert_eq!(bench.control("POST", "/size", &sized).1, json!({"sessions": 1}));
    eventually("the terminal has its size", || {
        bench.docker(&["exec", &id, "stty", "-F", "/proc/1/fd/0", "size"]) == "33 101"
    });
    assert_eq!(bench.control("DELETE", "/grants/t1", &json!(null)).1, json!({"sessions": 1}));
    raw.until(NEVER).await;
    assert_eq!(raw.closed, Some(4403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_ticket_in_a_url_passes_no_input() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "read x; echo got $x; sleep 600");
    bench.docker(&["start", &id]);
    let ticket = bench.ticket(&container(&id), "ro", "t1");
    let mut viewer = Raw::connect(&bench, &ticket, Some("binary")).await.expect("a websocket");
    viewer.types("forged\r").await;
    let ticket = bench.ticket(&container(&id), "rw", "t2");
    let mut writer = Raw::connect(&bench, &ticket, Some("binary")).await.expect("a websocket");
    writer.types("true\r").await;
    let output = viewer.until("got true").await;
    assert!(!String::from_utf8_lossy(&output).contains("forged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_that_cannot_start_says_why_and_megabytes_of_input_are_taken() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "sleep 600");
    bench.docker(&["start", &id]);
    let exec = bench.exec(&id, true, &["no-such-program"]);
    let ticket = bench.ticket(&json!({ "exec": exec }), "rw", "t1");
    let mut raw = Raw::connect(&bench, &ticket, Some("binary")).await.expect("a websocket");
    let said = raw.until(NEVER).await;
    assert!(String::from_utf8_lossy(&said).contains("no-such-program"), "{said:?}");
    let exec = bench.exec(&id, false, &["sh", "-c", "head -c 3000000 | wc -c"]);
    let ticket = bench.ticket(&json!({ "exec": exec }), "rw", "t2");
    let mut raw = Raw::connect(&bench, &ticket, Some("binary")).await.expect("a websocket");
    for _ in 0..3 {
        raw.types(&"x".repeat(1_000_000)).await;
    }
    raw.until("3000000").await;
}
