//! `zun host`: hosts, for administrators.

use clap::{Args, Subcommand};
use zun_common::api::v1;

use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Column, Table};

/// Show and manage hosts (administrators)
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun host list
  zun host show compute1"
)]
pub(super) struct Host {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Recover(Recover),
    Replace(Replace),
}

/// List the hosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun host list
  zun host list --format json

States:
  up          The host takes containers
  down        Its agent sends no heartbeats
  recovering  The database was restored from a copy that is older than what the
              host has carried out: see zun host recover --help")]
struct List {}

/// Show the details of a host
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun host show compute1")]
struct Show {
    /// Name or UUID of the host
    host: String,
}

/// Let a host carry out operations again after the database was restored
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun host recover compute1

If the database was restored from an older copy, a host that knows more is
recovering: it reports its containers, and nothing is created, changed or
removed on it. Compare zun list --host with its containers first. After this,
the host carries out what the database has as open, such as a removal that was
accepted before the copy was made.")]
struct Recover {
    /// Name of the host
    host: String,
}

/// Confirm that a host's machine or Docker data was replaced
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun host replace compute1

A host with another Docker engine than before is refused while it has
containers, because these are lost. Confirm the loss, then its agent registers
by itself. The lost containers are shown in status Error.")]
struct Replace {
    /// Name of the host
    host: String,
}

impl Host {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::List(List {}) => {
                let hosts = context.api.hosts().await?;
                context.printer.show(&hosts, || table(&hosts))?;
            }
            Verb::Show(Show { host }) => {
                let host = context.api.host(&host).await?;
                context.printer.show(&host, || Table::of_fields(&host))?;
            }
            Verb::Recover(Recover { host }) => {
                context.api.recover_host(&host).await?;
                context.printer.line(&host)?;
            }
            Verb::Replace(Replace { host }) => {
                context.api.replace_host(&host).await?;
                context.printer.line(&host)?;
            }
        }
        Ok(Exit::OK)
    }
}

fn table(hosts: &[v1::host::Host]) -> Table {
    let mut table = Table::new(vec![
        Column::firm("hostname"),
        Column::whole("state"),
        Column::whole("containers"),
        Column::firm("cpus"),
        Column::firm("memory"),
        "state_reason".into(),
        Column::wide("address"),
        Column::wide("engine"),
        Column::wide("os"),
        Column::wide("kernel"),
    ]);
    for host in hosts {
        table.row(vec![
            host.hostname.clone().into(),
            host.state.clone().into(),
            host.total_containers.to_string().into(),
            format!("{} of {}", host.cpu_used, host.cpus).into(),
            format!("{} of {} MiB", host.mem_used, host.mem_total).into(),
            host.state_reason.clone().into(),
            host.console.clone().into(),
            host.engine.clone().into(),
            host.os.clone().into(),
            host.kernel_version.clone().into(),
        ]);
    }
    table
}
