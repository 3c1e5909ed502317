//! `zun service`: the agents of the hosts, for administrators.

use clap::{Args, Subcommand};
use zun_common::api::v1;

use super::select::ListSelect;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Cell, Column, Table};

/// Show and manage the services on hosts (administrators)
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun service list
  zun service disable compute1 --reason maintenance
  zun service enable compute1"
)]
pub(super) struct Service {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Enable(Enable),
    Disable(Disable),
    ForceDown(ForceDown),
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// List the services
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun service list --format json")]
struct List {
    #[command(flatten)]
    select: ListSelect,
}

/// Allow new containers on a host
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun service enable compute1")]
struct Enable {
    /// Name of the host
    host: String,
}

/// Keep new containers off a host
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun service disable compute1 --reason maintenance

The containers of the host stay, and can be used and changed.")]
struct Disable {
    /// Name of the host
    host: String,
    /// Why, for other administrators
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Mark a host as down, even if it sends heartbeats
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun service force-down compute1
  zun service force-down compute1 --unset

A host that is down gets no new containers. zun-api accepts removals of its
containers, but no other changes.")]
struct ForceDown {
    /// Name of the host
    host: String,
    /// Remove the mark: the host is up if it sends heartbeats
    #[arg(long)]
    unset: bool,
}

/// Remove a host that will not return
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun service delete compute1

The agent must have stopped, and all containers of the host must have been
deleted; zun-api does not wait until the host confirms it. If the host comes
back, it removes its remaining containers and appears in the list again.")]
struct Delete {
    /// Name of the host
    host: String,
}

impl Service {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let host = match self.verb {
            Verb::List(List { select }) => {
                let services = context.api.services().await?;
                select.printer(context).show(&services, || table(&services))?;
                return Ok(Exit::OK);
            }
            Verb::Enable(Enable { host }) => {
                context.api.enable_service(&host).await?;
                host
            }
            Verb::Disable(Disable { host, reason }) => {
                context.api.disable_service(&host, reason.as_deref()).await?;
                host
            }
            Verb::ForceDown(ForceDown { host, unset }) => {
                context.api.force_down_service(&host, !unset).await?;
                host
            }
            Verb::Delete(Delete { host }) => {
                context.api.delete_service(&host).await?;
                host
            }
        };
        context.printer.line(&host)?;
        Ok(Exit::OK)
    }
}

fn table(services: &[v1::host::Service]) -> Table {
    let mut table = Table::new(vec![
        Column::firm("host"),
        Column::whole("state"),
        Column::whole("disabled"),
        Column::whole("forced_down"),
        Column::firm("zone"),
        "reason".into(),
        "console_error".into(),
        Column::wide("binary"),
        Column::wide("last_seen_up"),
    ]);
    for service in services {
        let seen = Cell::time(|time| time.format("%F %T").to_string(), service.last_seen_up);
        table.row(vec![
            service.host.clone().into(),
            service.state.clone().into(),
            service.disabled.to_string().into(),
            service.forced_down.to_string().into(),
            service.availability_zone.clone().into(),
            service.disabled_reason.clone().into(),
            service.console_trouble.clone().into(),
            service.binary.clone().into(),
            seen,
        ]);
    }
    table
}
