//! Tests of links: renewed grants, keepalives and proxies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use zun_common::api::v1::console::DOCKER_EXEC;
use zun_common::pki::signing_request;
use zun_common::shutdown::Tasks;
use zun_common::units::TerminalSize;
use zunclient::console::{
    Console, ConsoleError, Dial, Event, LinkTimeouts, Proxies, Renewal, Renewed, connection,
};

use crate::fake::{Engine, EngineRequest};

const UPGRADED: &[u8] = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Echoes input on a hijacked connection with a terminal. It accepts sizes, and its wait never ends.
async fn echo(mut request: EngineRequest) {
    if request.head.starts_with("POST /c/wait") {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        request.stream.write_all(head).await.expect("answered");
        return drop(request.stream.read_u8().await);
    }
    if request.head.starts_with("POST /c/resize") {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        request.stream.write_all(answer).await.expect("answered");
        return request.stream.shutdown().await.expect("ended");
    }
    request.stream.write_all(UPGRADED).await.expect("upgraded");
    let mut buffer = [0; 64];
    while let Ok(count @ 1..) = request.stream.read(&mut buffer).await {
        if request.stream.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

/// Returns a dial that uses a hijacked connection although there is a terminal.
fn dial(engine: &Engine) -> Dial {
    let mut dial = engine.dial(true, "127.0.0.1");
    dial.endpoint.calls.websocket = None;
    dial
}

async fn open(dial: Dial) -> Result<Console, ConsoleError> {
    connection(dial)?.open().await
}

async fn check_echo(console: &mut Console, word: &'static str) {
    console.input.write(Bytes::from_static(word.as_bytes())).await.expect("sent");
    let echoed = timeout(TIMEOUT, console.events.next()).await.expect("in time");
    assert_eq!(echoed, Some(Event::Stdout(Bytes::from_static(word.as_bytes()))));
}

struct CountingRenewal {
    engine: Arc<Engine>,
    renewed: AtomicU32,
    /// How many seconds each new grant is valid.
    seconds: i64,
}

#[async_trait]
impl Renewal for CountingRenewal {
    async fn renew(&self) -> Result<Renewed, String> {
        let request = signing_request("client", Vec::new()).expect("a request");
        let tls = self.engine.grant(&request.csr);
        self.renewed.fetch_add(1, Ordering::Relaxed);
        let expires_at = chrono::Utc::now() + chrono::TimeDelta::seconds(self.seconds);
        Ok(Renewed { tls, key: request.key, expires_at })
    }
}

#[tokio::test]
async fn a_call_after_its_grant_expired_renews_the_grant() {
    let engine = Arc::new(Engine::start(&["127.0.0.1"], echo).await);
    let renewing = Arc::new(CountingRenewal {
        engine: Arc::clone(&engine),
        renewed: AtomicU32::new(0),
        seconds: 60,
    });
    let mut dial = dial(&engine);
    dial.endpoint.expires_at = chrono::Utc::now() + chrono::TimeDelta::milliseconds(3200);
    dial.renewal = Some(Arc::<CountingRenewal>::clone(&renewing));
    let mut console = open(dial).await.expect("a console");
    let size = TerminalSize { rows: 30, columns: 90 };
    // zun renews the grant three seconds before it expires.
    timeout(TIMEOUT, async {
        while renewing.renewed.load(Ordering::Relaxed) == 0 {
            console.control.resize(size).await.expect("resized");
        }
    })
    .await
    .expect("renewed");
    for _ in 0..3 {
        console.control.resize(size).await.expect("resized");
    }
    assert_eq!(
        renewing.renewed.load(Ordering::Relaxed),
        1,
        "one renewed grant must serve many calls"
    );
    check_echo(&mut console, "still here").await;
}

#[tokio::test]
async fn an_expired_grant_that_cannot_be_renewed_is_an_error() {
    let engine = Engine::start(&["127.0.0.1"], echo).await;
    let mut dial = dial(&engine);
    dial.endpoint.expires_at = chrono::Utc::now();
    let refusal = open(dial).await.err().expect("expired");
    assert!(matches!(refusal, ConsoleError::Expired), "{refusal}");
}

/// A proxy that counts the reads from the client and can require CONNECT.
struct CountingProxy {
    port: u16,
    client_bytes: Arc<AtomicU32>,
}

impl CountingProxy {
    async fn start(target: u16, tunnels: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let client_bytes = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&client_bytes);
        let tasks = Tasks::new();
        let own = tasks.clone();
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                own.spawn(relay(client, target, tunnels, Arc::clone(&count)));
            }
        });
        Self { port, client_bytes }
    }
}

async fn relay(mut client: TcpStream, target: u16, tunnels: bool, count: Arc<AtomicU32>) {
    if tunnels {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("CONNECT host.test:2376 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n"), "{head}");
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("opened");
    }
    let mut server = TcpStream::connect(("127.0.0.1", target)).await.expect("the engine");
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            count.fetch_add(1, Ordering::Relaxed);
            if to_server.write_all(buffer.get(..read).unwrap_or_default()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ended = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

#[tokio::test]
async fn an_idle_session_sends_keepalives_that_do_not_change_its_data() {
    let engine = Engine::start(&["127.0.0.1"], echo).await;
    let proxy = CountingProxy::start(engine.port, false).await;
    let mut dial = dial(&engine);
    let calls = &mut dial.endpoint.calls;
    for url in [&mut calls.attach, &mut calls.wait].into_iter().flatten() {
        *url = url.replace(&format!(":{}/", engine.port), &format!(":{}/", proxy.port));
    }
    dial.link = LinkTimeouts { keepalive: Duration::from_millis(20), ..LinkTimeouts::default() };
    let mut console = open(dial).await.expect("a console");
    check_echo(&mut console, "before").await;
    let before = proxy.client_bytes.load(Ordering::Relaxed);
    let quiet = async {
        while proxy.client_bytes.load(Ordering::Relaxed) < before + 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, async {
        tokio::select! {
            event = console.events.next() => panic!("a keepalive became an event: {event:?}"),
            () = quiet => {}
        }
    })
    .await
    .expect("twenty keepalives");
    check_echo(&mut console, "after").await;
}

#[tokio::test]
async fn keepalives_stop_before_tls_rejects_them() {
    let engine = Engine::start(&["127.0.0.1"], echo).await;
    let mut dial = dial(&engine);
    dial.link = LinkTimeouts { keepalive: Duration::from_millis(1), ..LinkTimeouts::default() };
    let mut console = open(dial).await.expect("a console");
    let quiet = timeout(Duration::from_millis(500), console.events.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    check_echo(&mut console, "still here").await;
}

#[tokio::test]
async fn a_console_connects_through_a_proxy() {
    let engine = Engine::start(&["host.test"], echo).await;
    let proxy = CountingProxy::start(engine.port, true).await;
    let mut dial = dial(&engine);
    let calls = &mut dial.endpoint.calls;
    for url in [&mut calls.attach, &mut calls.wait].into_iter().flatten() {
        *url = url.replace(&format!("127.0.0.1:{}/", engine.port), "host.test:2376/");
    }
    dial.proxies = Proxies::through(&format!("http://user:word@127.0.0.1:{}", proxy.port), "");
    let mut console = open(dial).await.expect("a console");
    check_echo(&mut console, "through").await;
}

#[tokio::test]
async fn an_unreachable_proxy_is_named_together_with_the_host() {
    let engine = Engine::start(&["host.test"], echo).await;
    let mut dial = dial(&engine);
    dial.endpoint.calls.attach = Some("https://host.test:2376/c/attach".to_owned());
    dial.proxies = Proxies::through("http://127.0.0.1:1", "");
    let message = open(dial).await.err().expect("unreachable").to_string();
    assert!(message.contains("host.test:2376 (through the proxy 127.0.0.1:1)"), "{message}");
}

#[tokio::test]
async fn an_exec_connects_for_its_exit_code_while_it_starts() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        if request.head.starts_with("GET /c/json") {
            let body = r#"{"Running":false,"ExitCode":3,"Pid":7}"#;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            request.stream.write_all(answer.as_bytes()).await.expect("answered");
            return request.stream.shutdown().await.expect("ended");
        }
        // The start is answered only when both connections are open.
        let both = request.opened.wait_for(|opened| *opened == 2);
        drop(timeout(TIMEOUT, both).await.expect("a second connection").expect("an engine"));
        request.stream.write_all(UPGRADED).await.expect("upgraded");
        request.stream.shutdown().await.expect("ended");
    })
    .await;
    let mut dial = engine.dial(true, "127.0.0.1");
    dial.endpoint.protocol = DOCKER_EXEC.to_owned();
    let at = |tail| Some(format!("https://127.0.0.1:{}/c/{tail}", engine.port));
    dial.endpoint.calls.start = at("start");
    dial.endpoint.calls.inspect = at("json");
    let mut console = open(dial).await.expect("open");
    let ended = timeout(TIMEOUT, console.events.next()).await.expect("in time");
    assert_eq!(ended, Some(Event::Exit(3)));
}
