//! The wait for a container's exit code, on its own connection.

use hyper::body::Incoming;
use hyper::{Method, Response};
use serde::Deserialize;
use tokio::sync::oneshot;
use zun_common::grant::WaitCondition;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::call::body;
use super::control_calls::ControlCalls;
use crate::console::ConsoleError;

/// Receives the exit code, or `None` if the wait failed.
pub type ExitCode = oneshot::Receiver<Option<i64>>;

/// How many times a wait may connect. This covers a day if a proxy closes the connection every minute.
const MAX_DIALS: u32 = 1440;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

/// Registers the wait. An exit after this returns is never missed. If the link is lost before the answer, the wait
/// connects again: this link is idle for the whole session, and its loss says nothing about the stream.
pub async fn wait(
    control_calls: &ControlCalls,
    address: &Address,
    until: WaitCondition,
    tasks: &Tasks,
) -> Result<ExitCode, ConsoleError> {
    let address = address.with(&format!("?condition={}", until.as_str()));
    let answer = control_calls.send(Method::POST, &address).await?;
    let (mut send_code, exit) = oneshot::channel();
    let (own, control_calls) = (tasks.clone(), control_calls.clone());
    tasks.spawn(async move {
        let code = tokio::select! {
            code = wait_for_code(&control_calls, &address, answer) => code,
            () = send_code.closed() => return,
            () = own.cancelled() => None,
        };
        // The receiver is gone if the session has ended.
        send_code.send(code).ok();
    });
    Ok(exit)
}

async fn wait_for_code(
    control_calls: &ControlCalls,
    address: &Address,
    mut answer: Response<Incoming>,
) -> Option<i64> {
    for _ in 0..MAX_DIALS {
        if let Some(body) = body(answer).await {
            let waited: Option<Waited> = serde_json::from_slice(&body).ok();
            return waited.map(|waited| waited.status_code);
        }
        answer = control_calls.send(Method::POST, address).await.ok()?;
    }
    None
}
