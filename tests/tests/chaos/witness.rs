//! The witness: each run of a container and each exec sends it one line over the bridge of its engine. So what really ran
//! is known also after the container was deleted.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use zun_common::shutdown::Tasks;

/// How long a sender may take.
const SENDER_TIMEOUT: Duration = Duration::from_mins(1);

/// Counts the lines that it got.
#[derive(Debug, Clone)]
pub struct Witness {
    port: u16,
    lines: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Witness {
    /// Listens until the tasks are cancelled.
    pub async fn start(tasks: &Tasks) -> Self {
        let any = (Ipv4Addr::UNSPECIFIED, 0);
        let listener = TcpListener::bind(any).await.expect("a listener for the containers");
        let port = listener.local_addr().expect("its address").port();
        let witness = Self { port, lines: Arc::default() };
        let (here, senders, token) = (witness.clone(), tasks.clone(), tasks.token().clone());
        tasks.spawn(async move {
            while let Some(accepted) = token.run_until_cancelled(listener.accept()).await {
                let (stream, _) = accepted.expect("a connection");
                let here = here.clone();
                senders.spawn(async move {
                    drop(tokio::time::timeout(SENDER_TIMEOUT, here.read(stream)).await);
                });
            }
        });
        witness
    }

    /// Reads lines until the sender has closed its side. Closing our side confirms that all of them are counted.
    async fn read(&self, stream: TcpStream) {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut counts = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(line).or_default() += 1;
        }
    }

    /// Returns a shell command that sends one line. It succeeds only if the witness has counted the line.
    pub fn send(&self, line: &str) -> String {
        let gateway = r"$(ip route | sed -n 's/^default via \([0-9.]*\).*/\1/p')";
        format!("echo {line} | nc -w 10 {gateway} {}", self.port)
    }

    /// Returns how often each line came.
    pub fn lines(&self) -> BTreeMap<String, usize> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
