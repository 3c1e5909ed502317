//! The exit code, which comes on a connection of its own.

use hyper::Method;
use serde::Deserialize;
use tokio::sync::oneshot;
use zun_common::grant::WaitCondition;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::side::{Side, body};
use crate::console::ConsoleError;

/// The exit code to come; `None` where the wait broke.
pub type ExitCode = oneshot::Receiver<Option<i64>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

/// Registers the wait. When this returns, an end from now on is told.
pub async fn wait(
    side: &Side,
    address: &Address,
    until: WaitCondition,
    tasks: &Tasks,
) -> Result<ExitCode, ConsoleError> {
    let address = address.with(&format!("?condition={}", until.as_str()));
    let answer = side.begin(Method::POST, &address).await?;
    let (tell, exit) = oneshot::channel();
    let own = tasks.clone();
    tasks.spawn(async move {
        let body = tokio::select! {
            body = body(answer) => body,
            () = own.cancelled() => None,
        };
        let code = body.and_then(|body| serde_json::from_slice::<Waited>(&body).ok());
        // Whoever left does not want to know.
        tell.send(code.map(|waited| waited.status_code)).ok();
    });
    Ok(exit)
}
