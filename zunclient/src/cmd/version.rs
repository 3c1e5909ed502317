//! `zun version`

use clap::Args;
use serde_json::json;

use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::Table;

/// Show the versions of the client and the service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun version
  zun version --format json")]
pub(super) struct Version {}

impl Version {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let root = context.api.versions().await?;
        let client = env!("CARGO_PKG_VERSION");
        let service = &root.default_version;
        let value = json!({ "client": client, "endpoint": context.api.endpoint().as_str(), "service": root });
        context.printer.show(&value, || {
            let mut table = Table::properties();
            table.row(vec!["client".into(), client.into()]);
            table.row(vec!["service".into(), service.id.clone().into()]);
            let range = format!("{} to {}", service.min_version, service.max_version);
            table.row(vec!["microversions".into(), range.into()]);
            table
        })?;
        Ok(Exit::OK)
    }
}
