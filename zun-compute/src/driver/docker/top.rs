//! Lists the processes of a container.

use bollard::query_parameters::TopOptions;
use zun_common::id::ContainerId;
use zun_common::rpc::container::Top;

use super::DockerDriver;
use super::deadline::{QUICK, within};
use super::errors::RequestFailure;
use crate::driver::DriverError;

const DOING: &str = "list the processes";

impl DockerDriver {
    pub(super) async fn list_processes(
        &self,
        container: ContainerId,
        ps_args: Option<&str>,
    ) -> Result<Top, DriverError> {
        let api = self.api().await?;
        let options = ps_args.map(|ps_args| TopOptions { ps_args: ps_args.to_owned() });
        let name = container.engine_name();
        let listing = api.docker.top_processes(&name, options);
        let shown = match within(QUICK, listing).await {
            Ok(shown) => shown,
            Err(failure) => return Err(refused(failure, container)),
        };
        Ok(Top {
            titles: shown.titles.unwrap_or_default(),
            processes: shown.processes.unwrap_or_default(),
        })
    }
}

/// Converts an error. Docker runs `ps`, and returns the failures of `ps` with status 500.
fn refused(failure: RequestFailure, container: ContainerId) -> DriverError {
    let says = |part| failure.says(500, part);
    if says("is not running") {
        return DriverError::Conflict { words: format!("Container {container} is not running") };
    }
    match failure {
        RequestFailure::Refused { status: 500, words } if is_about_arguments(&words) => {
            DriverError::Invalid { words }
        }
        failure @ (RequestFailure::Refused { .. }
        | RequestFailure::Unreachable(_)
        | RequestFailure::TimedOut(_)
        | RequestFailure::Unexpected(_)) => failure.about_container(DOING, container),
    }
}

fn is_about_arguments(words: &str) -> bool {
    ["ps: ", "PID field", "ps_args"].iter().any(|part| words.contains(part))
}
