//! `zun list`

use clap::Args;
use zun_common::api::v1::container::Container;
use zun_common::status::Status;

use crate::api::ListQuery;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Format, Table};

/// List containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zun list\n  zun ps --status Running --format json")]
pub(in crate::cmd) struct List {
    /// Those of all projects; for administrators
    #[arg(long)]
    all_projects: bool,
    /// Only the one of this name
    #[arg(long)]
    name: Option<String>,
    /// Only those of this image
    #[arg(long)]
    image: Option<String>,
    /// Only those in this status, such as Running
    #[arg(long)]
    status: Option<Status>,
    /// Only those on this host; for administrators
    #[arg(long)]
    host: Option<String>,
    /// At most so many a request; all are shown anyway
    #[arg(long, hide = true)]
    limit: Option<u32>,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let quiet = self.quiet;
        let containers = context.api.list(&self.query()).await?;
        if quiet {
            let ids: Vec<String> =
                containers.iter().map(|container| container.uuid.to_string()).collect();
            if !ids.is_empty() || context.printer.format() != Format::Table {
                context.printer.value(&ids, || ids.join("\n"))?;
            }
        } else {
            context.printer.show(&containers, || table(&containers))?;
        }
        Ok(Exit::OK)
    }

    fn query(self) -> ListQuery {
        let parameters = [
            ("all_projects", self.all_projects.then(|| "true".to_owned())),
            ("name", self.name),
            ("image", self.image),
            ("status", self.status.map(|status| status.to_string())),
            ("host", self.host),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        let given = parameters.into_iter().filter_map(|(key, value)| Some((key, value?)));
        ListQuery { parameters: given.collect() }
    }
}

fn table(containers: &[Container]) -> Table {
    let with_host = containers.iter().any(|container| container.host.is_some());
    let mut header = vec!["uuid", "name", "image", "status", "task_state", "attached"];
    if with_host {
        header.push("host");
    }
    let mut table = Table::new(header);
    for container in containers {
        let mut row = vec![
            container.uuid.to_string().into(),
            container.name.clone().into(),
            container.image.clone().into(),
            container.status.into(),
            container.task_state.map(|task| task.to_string()).into(),
            container.attached.to_string().into(),
        ];
        if with_host {
            row.push(container.host.as_ref().map(ToString::to_string).into());
        }
        table.row(row);
    }
    table
}
