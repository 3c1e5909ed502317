//! A client for HTTP/1.1 that costs little: it shares the processors with the server that it measures.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// The time limit of a read or write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// zun-api closes a connection that is idle for 10 seconds. After half of that, a request opens a new one.
const IDLE: Duration = Duration::from_secs(5);

/// An open connection with a token.
pub struct Connection {
    server: SocketAddr,
    stream: TcpStream,
    used: Instant,
    token: String,
    buffer: Vec<u8>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Panics if the server refuses.
    pub fn open(server: SocketAddr, token: &str) -> Self {
        Self {
            server,
            stream: dial(server),
            used: Instant::now(),
            token: token.to_owned(),
            buffer: vec![0; 1 << 20],
        }
    }

    /// Sends a request and reads the answer. An empty body is none.
    ///
    /// # Panics
    /// Panics if there is no answer.
    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Answer<'_> {
        let token = &self.token;
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nx-auth-token: {token}\r\nopenstack-api-version: container latest\r\n{length}\r\n{body}"
        );
        if self.used.elapsed() > IDLE {
            self.stream = dial(self.server);
        }
        self.stream.write_all(request.as_bytes()).expect("sent");
        self.read()
    }

    /// Gets a page that must exist.
    ///
    /// # Panics
    /// Panics if the status is not 200.
    pub fn get(&mut self, path: &str) -> &[u8] {
        let Answer { status, body } = self.request("GET", path, "");
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(body));
        body
    }

    /// Like [`Self::get`], without the page.
    ///
    /// # Panics
    /// Panics if the status is not 200.
    pub fn fetch(&mut self, path: &str) {
        self.get(path);
    }

    /// Gets JSON.
    ///
    /// # Panics
    /// Panics if it is not JSON.
    pub fn json(&mut self, path: &str) -> serde_json::Value {
        serde_json::from_slice(self.get(path)).expect("JSON")
    }

    fn read(&mut self) -> Answer<'_> {
        let mut filled = 0;
        let head = loop {
            filled += self.fill(filled);
            let found = self.buffer[..filled].windows(4).position(|part| part == b"\r\n\r\n");
            if let Some(at) = found {
                break at + 4;
            }
        };
        let (status, length) = read_head(&self.buffer[..head]);
        let end = head + length;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while filled < end {
            filled += self.fill(filled);
        }
        self.used = Instant::now();
        Answer { status, body: &self.buffer[head..end] }
    }

    fn fill(&mut self, from: usize) -> usize {
        let count = self.stream.read(&mut self.buffer[from..]).expect("an answer in time");
        assert!(count > 0, "the server closed the connection");
        count
    }
}

fn dial(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the server listens");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream.set_write_timeout(Some(TIMEOUT)).expect("set");
    stream
}

/// Returns the status and the length of the body.
fn read_head(head: &[u8]) -> (u16, usize) {
    let head = std::str::from_utf8(head).expect("a head");
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    let lengths = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().map_or(0, |(_, it)| it.trim().parse().expect("a length"));
    (status, length)
}

/// What clients saw who sent requests for some time.
#[derive(Debug)]
pub struct Load {
    /// Answers per second.
    pub per_second: f64,
    /// How long each answer took.
    pub took: Vec<Duration>,
}

/// Lets clients send requests, each one after the answer to the one before, for this time.
///
/// # Panics
/// Panics if a client does.
#[expect(clippy::cast_precision_loss, reason = "there are far fewer answers than 2^52")]
pub fn load(
    connections: &mut [Connection],
    time: Duration,
    request: impl Fn(&mut Connection) + Sync,
) -> Load {
    let barrier = Barrier::new(connections.len() + 1);
    let (took, elapsed) = std::thread::scope(|scope| {
        let clients: Vec<_> = connections
            .iter_mut()
            .map(|connection| {
                scope.spawn(|| {
                    barrier.wait();
                    repeat(connection, time, &request)
                })
            })
            .collect();
        barrier.wait();
        let begun = Instant::now();
        let took: Vec<Duration> =
            clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        (took, begun.elapsed())
    });
    Load { per_second: took.len() as f64 / elapsed.as_secs_f64(), took }
}

fn repeat(
    connection: &mut Connection,
    time: Duration,
    request: &impl Fn(&mut Connection),
) -> Vec<Duration> {
    let until = Instant::now() + time;
    let mut took = Vec::new();
    let mut now = Instant::now();
    while now < until {
        request(connection);
        let end = Instant::now();
        took.push(end - now);
        now = end;
    }
    took
}
