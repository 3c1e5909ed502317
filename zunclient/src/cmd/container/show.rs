//! `zun show`

use clap::Args;
use serde_json::Value;
use zun_common::api::v1::container::Container;

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::Table;

/// Show the details of a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun show test
  zun show test --format json")]
pub(in crate::cmd) struct Show {
    /// Name or UUID of the container
    container: String,
}

impl Show {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let container = context.api.show(&self.container).await?;
        context.printer.show(&container, || table(&container))?;
        Ok(Exit::OK)
    }
}

/// Returns a table with a row for each field of the API, without the links.
pub(super) fn table(container: &Container) -> Table {
    let mut table = Table::new(vec!["property", "value"]);
    let fields = match serde_json::to_value(container) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    for (name, value) in fields {
        if name == "links" {
            continue;
        }
        let shown = match (name.as_str(), value) {
            ("status", _) => container.status.into(),
            (_, Value::Null) => "".into(),
            (_, Value::String(text)) => text.into(),
            (_, other) => other.to_string().into(),
        };
        table.row(vec![name.into(), shown]);
    }
    table
}
