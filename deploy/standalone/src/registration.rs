//! Waits until zun-api knows this host, which is the last condition before the service is ready.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::state::Token;

/// How long the first heartbeat may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The first heartbeat of the agent did not reach zun-api in time.
#[derive(Debug, thiserror::Error)]
#[error("zun-api received no heartbeat from this host within {} s", TIMEOUT.as_secs())]
pub struct NotRegistered;

/// Waits until zun-api lists the host with this console address and with its processors. A host from an earlier start
/// has another address, and a host without a heartbeat has 0 processors.
pub(crate) async fn wait_for_host(
    api: SocketAddr,
    token: &Token,
    console: SocketAddr,
) -> Result<(), NotRegistered> {
    let console = console.to_string();
    let shown = async {
        let mut tick = interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if hosts(api, token).await.is_ok_and(|hosts| shows(&hosts, &console)) {
                return;
            }
        }
    };
    match timeout(TIMEOUT, shown).await {
        Ok(()) => Ok(()),
        Err(_elapsed) => Err(NotRegistered),
    }
}

fn shows(hosts: &Value, console: &str) -> bool {
    let hosts = hosts.get("hosts").and_then(Value::as_array);
    hosts.into_iter().flatten().any(|host| {
        host.get("console").and_then(Value::as_str) == Some(console)
            && host.get("cpus").and_then(Value::as_f64).is_some_and(|cpus| cpus > 0.0)
    })
}

async fn hosts(api: SocketAddr, token: &Token) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(api).await?;
    let token = token.expose();
    let request = format!("GET /v1/hosts HTTP/1.0\r\nHost: {api}\r\nX-Auth-Token: {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_of_an_earlier_start_does_not_count() {
        let hosts = json!({"hosts": [{"console": "127.0.0.1:1", "cpus": 2.0}]});
        assert!(shows(&hosts, "127.0.0.1:1"));
        assert!(!shows(&hosts, "127.0.0.1:2"));
        let unknown = json!({"hosts": [{"console": "127.0.0.1:1", "cpus": 0.0}]});
        assert!(!shows(&unknown, "127.0.0.1:1"));
        assert!(!shows(&json!({"errors": []}), "127.0.0.1:1"));
    }
}
