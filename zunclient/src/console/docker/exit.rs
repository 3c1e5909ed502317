//! The exit code, which comes on a connection of its own.

use hyper::body::Incoming;
use hyper::{Method, Response};
use serde::Deserialize;
use tokio::sync::oneshot;
use zun_common::grant::WaitCondition;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::call::body;
use super::side::Side;
use crate::console::ConsoleError;

/// The exit code to come; `None` where the wait broke.
pub type ExitCode = oneshot::Receiver<Option<i64>>;

/// How often a wait is dialled: with something between that cuts after a minute, for a day.
const DIALS: u32 = 1440;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

/// Registers the wait. When this returns, an end from now on is told. A link that breaks before the answer
/// is dialled again: it is another than the stream's, and as long quiet as the session lasts.
pub async fn wait(
    side: &Side,
    address: &Address,
    until: WaitCondition,
    tasks: &Tasks,
) -> Result<ExitCode, ConsoleError> {
    let address = address.with(&format!("?condition={}", until.as_str()));
    let answer = side.begin(Method::POST, &address).await?;
    let (mut tell, exit) = oneshot::channel();
    let (own, side) = (tasks.clone(), side.clone());
    tasks.spawn(async move {
        let code = tokio::select! {
            code = answered(&side, &address, answer) => code,
            () = tell.closed() => return,
            () = own.cancelled() => None,
        };
        // Whoever left does not want to know.
        tell.send(code).ok();
    });
    Ok(exit)
}

async fn answered(side: &Side, address: &Address, mut answer: Response<Incoming>) -> Option<i64> {
    for _ in 0..DIALS {
        if let Some(body) = body(answer).await {
            let waited: Option<Waited> = serde_json::from_slice(&body).ok();
            return waited.map(|waited| waited.status_code);
        }
        answer = side.begin(Method::POST, address).await.ok()?;
    }
    None
}
