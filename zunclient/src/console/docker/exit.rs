//! The exit code, which comes on a connection of its own.

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

/// The exit code to come; `None` where the wait broke.
pub type ExitCode = oneshot::Receiver<Option<i64>>;

/// How often a wait is dialled: with something between that cuts after a minute, for a day.
const MAX_DIALS: u32 = 1440;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

/// Registers the wait. When this returns, an end from now on is told. A link that breaks before the answer
/// is dialled again: it is another than the stream's, and as long quiet as the session lasts.
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
        // Whoever left does not want to know.
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
