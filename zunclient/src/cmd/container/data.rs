//! The way to a container's output and files: granted by the service, dialled on the host.

use zun_common::api::v1::console::{ConsoleEndpoint, DataRequest};
use zun_common::grant::{Mode, WaitCondition};
use zun_common::pki::signing_request;

use crate::api::{ApiError, Client};
use crate::cmd::{Context, Failure};
use crate::console::docker::address::Address;
use crate::console::docker::direct::Direct;
use crate::console::{Dial, LinkTimeouts};

/// What is dialled, and with what.
pub(super) struct DataChannel {
    pub(super) direct: Direct,
    pub(super) address: Address,
    /// The container has a terminal.
    pub(super) tty: bool,
}

/// To its output.
pub(super) async fn open_logs(context: &Context, container: &str) -> Result<DataChannel, Failure> {
    let ask = async |api: &Client, ask: DataRequest| api.logs(container, &ask).await;
    open(context, None, ask).await
}

/// To its files.
pub(super) async fn open_files(
    context: &Context,
    container: &str,
    mode: Mode,
) -> Result<DataChannel, Failure> {
    let ask = async |api: &Client, ask: DataRequest| api.archive(container, &ask).await;
    open(context, Some(mode), ask).await
}

async fn open(
    context: &Context,
    mode: Option<Mode>,
    ask: impl AsyncFnOnce(&Client, DataRequest) -> Result<ConsoleEndpoint, ApiError>,
) -> Result<DataChannel, Failure> {
    let request = signing_request("zun", Vec::new())
        .map_err(|error| Failure::new(zun_common::chain(&error)))?;
    let endpoint = ask(&context.api, DataRequest { csr: request.csr, mode }).await?;
    let address = Address::parse(&endpoint.url)?;
    let tty = endpoint.tty;
    let direct = Direct::new(&Dial {
        endpoint,
        key: request.key,
        input: false,
        until: WaitCondition::NextExit,
        renewal: None,
        link: LinkTimeouts::default(),
        proxies: context.proxies.clone(),
        tasks: context.tasks.clone(),
    })?;
    Ok(DataChannel { direct, address, tty })
}
