//! Asks zun-api for the login that an image is pulled with. The login stays in memory until the pull has ended.

use std::time::Duration;

use zun_common::backoff::Backoff;
use zun_common::bus::CallError;
use zun_common::chain;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::registry::{FoundLogin, GetRegistryLogin, RegistryLogin};
use zun_common::rpc::{Code, Problem};

use super::work::Work;
use crate::driver::DriverError;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Asks until zun-api answers. A refusal is final.
pub(super) async fn login(work: &Work<'_>) -> Result<Option<RegistryLogin>, DriverError> {
    let call = GetRegistryLogin {
        host: work.host.name.clone(),
        epoch: work.epoch,
        operation: work.operation.id,
    };
    let context =
        CallContext { request: work.operation.request.clone(), ..CallContext::internal() };
    let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
    loop {
        let error = match work.host.bus.call_controller(&call, &context).await {
            Ok(FoundLogin { login }) => return Ok(login),
            Err(CallError::Refused { problem, .. }) if is_final(&problem) => {
                return Err(DriverError::Invalid { words: problem.message });
            }
            Err(error) => error,
        };
        tracing::warn!(
            container.id = %work.container(), error = %chain(&error),
            "cannot get the login to the registry; will retry"
        );
        backoff.wait().await;
    }
}

const fn is_final(problem: &Problem) -> bool {
    !matches!(problem.code, Code::Busy | Code::Closing | Code::Expired)
}
