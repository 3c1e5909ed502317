//! A fake zun-api: an HTTP/1.1 server with keep-alive, whose answers come from a function.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use zun_common::shutdown::Tasks;

/// The one container of the fake service.
pub(crate) const ID: &str = "5bb9ee06-1b6a-4a38-b0b9-c8b651638bd6";

/// The status of an answer that gets lost: the connection is closed instead.
pub(crate) const DROP: u16 = 0;

/// The status of an answer that is a stream: the body is an event, which is sent at each notification of the service.
pub(crate) const EVENTS: u16 = 1;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct ServiceRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) token: Option<String>,
    /// The idempotency key.
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

impl ServiceRequest {
    /// Returns the method and the target, with `ID` for the container's UUID.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target.replace(ID, "ID"))
    }
}

/// A fake service.
pub(crate) struct Service {
    pub(crate) port: u16,
    /// Sends an event on the stream of events.
    pub(crate) new_event: Arc<Notify>,
    requests: Arc<Mutex<Vec<ServiceRequest>>>,
}

impl Service {
    /// Starts a service. `answer` returns the status and the body for each request.
    pub(crate) async fn start(
        answer: impl Fn(ServiceRequest) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (tasks, held) = (Tasks::new(), Arc::clone(&requests));
        let noted = move |request: ServiceRequest| {
            held.lock().expect("whole").push(request.clone());
            answer(request)
        };
        let (own, noted) = (tasks.clone(), Arc::new(noted));
        let new_event = Arc::new(Notify::new());
        let sent = Arc::clone(&new_event);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.spawn(serve(stream, Arc::clone(&noted), Arc::clone(&sent)));
            }
        });
        Self { port, new_event, requests }
    }

    /// Returns the requests so far.
    pub(crate) fn requests(&self) -> Vec<ServiceRequest> {
        self.requests.lock().expect("whole").clone()
    }
}

async fn serve(
    stream: TcpStream,
    answer: Arc<impl Fn(ServiceRequest) -> (u16, Value)>,
    new_event: Arc<Notify>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let (status, body) = answer(request);
        if status == DROP {
            return;
        }
        if status == EVENTS {
            stream_events(&mut stream, (&new_event, &body)).await;
            return;
        }
        let body = if status == 204 { String::new() } else { body.to_string() };
        let retry = if status == 503 { "Retry-After: 1\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             {retry}X-OpenStack-Request-Id: req-fake\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Streams an event for each notification, until the client leaves.
async fn stream_events(stream: &mut BufReader<TcpStream>, (new_event, event): (&Notify, &Value)) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let mut text = head.to_owned();
    while stream.write_all(text.as_bytes()).await.is_ok() {
        tokio::select! {
            () = new_event.notified() => text = format!("id: 1\ndata: {event}\n\n"),
            _left = stream.read_u8() => return,
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<ServiceRequest> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| {
            let (held, value) = line.split_once(": ")?;
            held.eq_ignore_ascii_case(name).then_some(value)
        });
        found.map(str::to_owned)
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut first = lines.first()?.split(' ');
    Some(ServiceRequest {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        token: header("x-auth-token"),
        key: header("idempotency-key"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
