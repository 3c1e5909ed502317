//! Verifies that the listener serves what a grant permits and nothing else.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use zun_common::grant::{Call, Grant, Method, Mode, Target, WaitCondition};

use super::PLUGIN;
use super::docker_api::{self, ask};
use super::plan::Wanted;
use crate::probe::{Identity, Listener, ProbeError, ProbeResult};

/// Docker's message if the plugin refuses a request.
const DENIED: &str = "authorization denied by plugin zun-authz";

/// Why the verification failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Docker does not answer on its unix socket.
    #[error("Docker does not answer on its unix socket")]
    Local(#[source] io::Error),
    /// Docker does not use the plugin.
    #[error("Docker does not use the authorization plugin {PLUGIN}; it uses {0:?}")]
    NoPlugin(Vec<String>),
    /// live-restore is off, so containers would stop with Docker.
    #[error("live-restore is off")]
    NoLiveRestore,
    /// The plugin does not answer.
    #[error("{PLUGIN} does not answer on its socket")]
    Plugin(#[source] io::Error),
    /// The plugin's decision is wrong.
    #[error("{PLUGIN} gave the wrong answer to {asked}: {answered}")]
    Decision {
        /// The request.
        asked: &'static str,
        /// The answer.
        answered: String,
    },
    /// The listener accepts unauthorized clients, or does not answer.
    #[error("cannot verify that the listener accepts only authorized clients")]
    Listener(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The listener's answer to a request with a grant is wrong.
    #[error("`{line}` with {grant} was {actual}; it must be {expected}")]
    Answer {
        /// The request.
        line: String,
        /// The grant.
        grant: &'static str,
        /// The answer.
        actual: String,
        /// The expected answer.
        expected: &'static str,
    },
}

impl From<ProbeError> for VerifyError {
    fn from(error: ProbeError) -> Self {
        Self::Listener(Box::new(error))
    }
}

/// Verifies that the plugin answers, allows local requests, and refuses a TLS request without a certificate.
pub(super) async fn plugin(socket: &Path) -> Result<(), VerifyError> {
    let (_, text) = ask(socket, "POST /Plugin.Activate", "").await.map_err(VerifyError::Plugin)?;
    if !text.contains("authz") {
        return Err(VerifyError::Decision { asked: "the activation request", answered: text });
    }
    let question = |method: &str| {
        json!({
            "User": "", "UserAuthNMethod": method,
            "RequestMethod": "GET", "RequestUri": "/v1.41/containers/json",
        })
    };
    decides(socket, ("a local request", question("")), true).await?;
    decides(socket, ("a request over TLS without a certificate", question("TLS")), false).await
}

async fn decides(
    socket: &Path,
    (asked, question): (&'static str, Value),
    wanted: bool,
) -> Result<(), VerifyError> {
    let (_, answered) = ask(socket, "POST /AuthZPlugin.AuthZReq", &question.to_string())
        .await
        .map_err(VerifyError::Plugin)?;
    let allowed = serde_json::from_str::<Value>(&answered)
        .ok()
        .and_then(|answer| answer.get("Allow").and_then(Value::as_bool));
    if allowed == Some(wanted) { Ok(()) } else { Err(VerifyError::Decision { asked, answered }) }
}

/// Verifies Docker's settings after its restart.
pub(super) async fn docker(socket: &Path) -> Result<(), VerifyError> {
    let engine = docker_api::engine(socket).await.map_err(VerifyError::Local)?;
    if !engine.plugins.iter().any(|plugin| plugin == PLUGIN) {
        return Err(VerifyError::NoPlugin(engine.plugins));
    }
    if engine.live_restore { Ok(()) } else { Err(VerifyError::NoLiveRestore) }
}

/// Verifies that unauthorized clients are rejected, that a grant permits its request, and that it does not permit five
/// others.
pub(super) async fn listener(
    listener: &Listener,
    wanted: &Wanted,
    identity: &Identity,
) -> Result<(), VerifyError> {
    listener.rejects_unauthorized().await?;
    let (granted, others) = lines(wanted);
    let result = listener.ask(Some(identity), &granted).await?;
    // Docker's own answer: no such container.
    if !matches!(&result, ProbeResult::Answered { status: 404, text } if !text.contains("page not found"))
    {
        let grant = "a grant that permits it";
        return Err(wrong_answer(granted, grant, (&result, "answered 404 by Docker")));
    }
    for line in others {
        let result = listener.ask(Some(identity), &line).await?;
        if !matches!(&result, ProbeResult::Answered { status: 403, text } if text.contains(DENIED))
        {
            let grant = "a grant that does not permit it";
            return Err(wrong_answer(line, grant, (&result, "refused (403) by zun-authz")));
        }
    }
    Ok(())
}

fn wrong_answer(
    line: String,
    grant: &'static str,
    (result, expected): (&ProbeResult, &'static str),
) -> VerifyError {
    let actual = match result {
        ProbeResult::Refused => "rejected in the TLS handshake".to_owned(),
        ProbeResult::Answered { status, text } => {
            let body = text.rsplit("\r\n\r\n").next().unwrap_or_default().trim();
            format!("answered {status} ({})", body.chars().take(120).collect::<String>())
        }
    };
    VerifyError::Answer { line, grant, actual, expected }
}

/// Returns the request that the probe grant permits, and five that it does not.
fn lines(wanted: &Wanted) -> (String, Vec<String>) {
    let version = wanted.api_version;
    let probe = Grant::probe(wanted.host.clone());
    let target = match &probe.target {
        Target::Container { id, .. } | Target::Data { id, .. } => {
            Target::Container { id: id.clone(), mode: Mode::ReadWrite }
        }
        other @ (Target::Exec { .. } | Target::Recording { .. }) => other.clone(),
    };
    let writer = Grant { host: wanted.host.clone(), target, gate_only: false };
    let line = |grant: &Grant, call| {
        let (method, target) = grant.call(version, call).unwrap_or((Method::Get, "/".to_owned()));
        format!("{} {target}", method.as_str())
    };
    let granted = line(&probe, Call::Wait(WaitCondition::NextExit));
    let inspected = granted.replace("/wait?condition=next-exit", "/json").replace("POST", "GET");
    let others = vec![
        "GET /_ping".to_owned(),
        format!("GET /v{version}/containers/json"),
        format!("POST /v{version}/containers/create"),
        inspected,
        line(&writer, Call::Attach),
    ];
    (granted, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_grant_permits_one_request_and_none_of_five_others() {
        let certificates = crate::certificate::CertificateFiles {
            ca: "/c".into(),
            certificate: "/c".into(),
            key: "/c".into(),
        };
        let wanted = Wanted {
            host: "h".parse().expect("a name"),
            listen: "0.0.0.0:1".parse().expect("an address"),
            address: "h:1".to_owned(),
            api_version: "1.45".parse().expect("a version"),
            certificates,
            notify: None,
        };
        let probe = Grant::probe(wanted.host.clone());
        let permitted = |line: &str| {
            let (method, target) = line.split_once(' ').expect("a line");
            probe.permits(wanted.api_version, method, target)
        };
        let (granted, others) = lines(&wanted);
        assert!(permitted(&granted), "{granted}");
        assert_eq!(others.len(), 5);
        for line in others {
            assert!(!permitted(&line), "{line}");
        }
    }
}
