//! Connections to the logs and files of a container, and to recordings. The service grants them; the host serves them.

use zun_common::api::v1::console::{ConsoleEndpoint, DataRequest};
use zun_common::grant::Mode;
use zun_common::pki::signing_request;

use crate::api::{ApiError, Client};
use crate::cmd::{Context, Failure};
use crate::console::Dial;
use crate::console::docker::address::Address;
use crate::console::docker::direct::Direct;

/// A granted connection to the logs or files of a container.
pub(in crate::cmd) struct DataChannel {
    pub(in crate::cmd) direct: Direct,
    pub(in crate::cmd) address: Address,
    /// The address of the root filesystem, if the grant is for files.
    pub(super) export: Option<Address>,
    /// Whether the container has a terminal.
    pub(super) tty: bool,
}

/// Gets a grant for the logs.
pub(super) async fn open_logs(context: &Context, container: &str) -> Result<DataChannel, Failure> {
    let ask = async |api: &Client, ask: DataRequest| api.logs(container, &ask).await;
    open(context, None, ask).await
}

/// Gets a grant for the files.
pub(super) async fn open_files(
    context: &Context,
    container: &str,
    mode: Mode,
) -> Result<DataChannel, Failure> {
    let ask = async |api: &Client, ask: DataRequest| api.archive(container, &ask).await;
    open(context, Some(mode), ask).await
}

/// Gets a grant for a recording, which the console gate of its host serves.
pub(in crate::cmd) async fn open_recording(
    context: &Context,
    recording: &str,
) -> Result<DataChannel, Failure> {
    let ask =
        async |api: &Client, ask: DataRequest| api.download_recording(recording, &ask.csr).await;
    open(context, None, ask).await
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
    let export = endpoint.calls.export.as_deref().map(Address::parse).transpose()?;
    let tty = endpoint.tty;
    let direct = Direct::new(&Dial {
        input: false,
        proxies: context.proxies.clone(),
        ..Dial::new(endpoint, request.key, context.tasks.clone())
    })?;
    Ok(DataChannel { direct, address, export, tty })
}
