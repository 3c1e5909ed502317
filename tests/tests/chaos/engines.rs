//! What the engines really have, asked over their unix sockets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use zun_common::id::ContainerId;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A container in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Real {
    /// The host.
    pub host: usize,
    /// The container that its label names.
    pub id: ContainerId,
    /// The token of its create request, from the test's own label.
    pub token: String,
    /// Docker's state, such as `running`.
    pub state: String,
}

/// The engines of all hosts.
#[derive(Debug, Clone)]
pub struct Engines {
    sockets: Vec<PathBuf>,
}

impl Engines {
    /// Creates it from the engines' sockets.
    pub const fn new(sockets: Vec<PathBuf>) -> Self {
        Self { sockets }
    }

    /// Returns the containers of all engines. The lists of engines that do not answer are missing, and counted.
    pub async fn containers(&self) -> (Vec<Real>, usize) {
        let (mut all, mut silent) = (Vec::new(), 0);
        for (host, socket) in self.sockets.iter().enumerate() {
            match tokio::time::timeout(TIMEOUT, list(socket)).await {
                Ok(Ok(list)) => all.extend(list.iter().filter_map(|one| real(host, one))),
                Ok(Err(_)) | Err(_) => silent += 1,
            }
        }
        (all, silent)
    }
}

async fn list(socket: &Path) -> std::io::Result<Vec<Value>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /containers/json?all=1 HTTP/1.0\r\nHost: engine\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    if head.split_whitespace().nth(1) != Some("200") {
        return Err(std::io::Error::other(head.to_owned()));
    }
    Ok(serde_json::from_str(body)?)
}

fn real(host: usize, one: &Value) -> Option<Real> {
    let labels = &one["Labels"];
    let id = labels["zun.container"].as_str()?.parse().ok()?;
    let token = labels["chaos"].as_str().unwrap_or_default().to_owned();
    Some(Real { host, id, token, state: one["State"].as_str().unwrap_or_default().to_owned() })
}

/// Returns the containers that exist more than once, with their hosts.
pub fn doubled(all: &[Real]) -> BTreeMap<ContainerId, Vec<usize>> {
    let mut hosts: BTreeMap<ContainerId, Vec<usize>> = BTreeMap::new();
    for one in all {
        hosts.entry(one.id).or_default().push(one.host);
    }
    hosts.retain(|_, hosts| hosts.len() > 1);
    hosts
}
