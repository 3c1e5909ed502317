//! `zun list`

use clap::Args;
use zun_common::api::v1::container::Container;
use zun_common::status::Status;

use crate::api::ListQuery;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Format, Table};

/// List containers, running or not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun list
  zun ps --status Running --format json")]
pub(in crate::cmd) struct List {
    /// List the containers of all projects (administrators only)
    #[arg(long)]
    all_projects: bool,
    /// Show only the container with this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Show only containers of this image
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Show only containers with this status, such as Running
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Show only containers on this host (administrators only)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Containers per request; all are shown anyway
    #[arg(long, hide = true)]
    limit: Option<u32>,
    /// Print only UUIDs
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
            container.into(),
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
