//! Sends short HTTP requests over a unix socket, to Docker and to its plugin.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zun_common::grant::ApiVersion;

use crate::driver::docker::LABEL_CONTAINER;

/// The time limit of a request. Docker itself tries for 15 s to connect to a plugin.
const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_ANSWER: u64 = 16 << 20;

/// Docker's version and the settings that docker-setup checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Engine {
    pub(super) newest: ApiVersion,
    pub(super) oldest: ApiVersion,
    pub(super) live_restore: bool,
    pub(super) swarm: bool,
    pub(super) plugins: Vec<String>,
    pub(super) default_runtime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    api_version: ApiVersion,
    #[serde(rename = "MinAPIVersion")]
    oldest: ApiVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    live_restore_enabled: bool,
    #[serde(default)]
    swarm: Swarm,
    plugins: Plugins,
    #[serde(default)]
    default_runtime: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Swarm {
    local_node_state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Plugins {
    authorization: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    runtime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    pid: i64,
}

/// Asks Docker for its version and settings.
pub(super) async fn engine(socket: &Path) -> io::Result<Engine> {
    let version: Version = get(socket, "/version").await?;
    let info: Info = get(socket, "/info").await?;
    Ok(Engine {
        newest: version.api_version,
        oldest: version.oldest,
        live_restore: info.live_restore_enabled,
        swarm: !matches!(info.swarm.local_node_state.as_str(), "" | "inactive"),
        plugins: info.plugins.authorization.unwrap_or_default(),
        default_runtime: info.default_runtime,
    })
}

/// Returns the running containers and the IDs of their processes.
pub(super) async fn running_pids(socket: &Path) -> io::Result<BTreeMap<String, i64>> {
    let listed: Vec<Listed> = get(socket, "/containers/json").await?;
    let mut found = BTreeMap::new();
    for Listed { id, labels: _ } in listed {
        // A container that was removed in the meantime is skipped.
        if let Ok(seen) = get::<Inspected>(socket, &format!("/containers/{id}/json")).await {
            found.insert(id, seen.state.pid);
        }
    }
    Ok(found)
}

/// Whether there are containers, running or not, that are not Zun's.
pub(super) async fn has_other_containers(socket: &Path) -> io::Result<bool> {
    let listed: Vec<Listed> = get(socket, "/containers/json?all=1").await?;
    let is_ours = |listed: &Listed| {
        listed.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL_CONTAINER))
    };
    Ok(!listed.iter().all(is_ours))
}

/// Counts the containers, running or not, that were created with this runtime.
pub(super) async fn count_with_runtime(socket: &Path, runtime: &str) -> io::Result<usize> {
    let listed: Vec<Listed> = get(socket, "/containers/json?all=1").await?;
    let mut count = 0;
    for Listed { id, labels: _ } in listed {
        let seen = get::<Inspected>(socket, &format!("/containers/{id}/json")).await;
        count += usize::from(seen.is_ok_and(|seen| seen.host_config.runtime == runtime));
    }
    Ok(count)
}

/// Sends a GET and parses the JSON answer. Fails on any status but 200.
async fn get<T: DeserializeOwned>(socket: &Path, target: &str) -> io::Result<T> {
    let (status, body) = ask(socket, &format!("GET {target}"), "").await?;
    if status != 200 {
        return Err(io::Error::other(format!(
            "Docker answered {target} with {status}: {}",
            body.trim()
        )));
    }
    serde_json::from_str(&body).map_err(io::Error::other)
}

/// Sends a request and returns status and body. Uses HTTP/1.0, so that the answer ends with the connection.
pub(super) async fn ask(socket: &Path, line: &str, body: &str) -> io::Result<(u16, String)> {
    let request = format!(
        "{line} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let asking = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer: io::Result<String> = match tokio::time::timeout(TIMEOUT, asking).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    };
    let answer = answer?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_head, body))) => Ok((status, body.to_owned())),
        _ => Err(io::Error::other("the answer is not HTTP")),
    }
}
