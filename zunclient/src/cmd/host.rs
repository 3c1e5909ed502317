//! `zun host`: hosts, for administrators.

use clap::{Args, Subcommand};
use serde_json::Value;
use zun_common::api::v1;

use super::select::Select;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Column, GIB, MIB, Table, Unit, with_units};

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
struct List {
    #[command(flatten)]
    select: Select,
}

/// Show the details of a host
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun host show compute1")]
struct Show {
    /// Name or UUID of the host
    host: String,
    #[command(flatten)]
    select: Select,
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
            Verb::List(List { select }) => {
                let hosts = context.api.hosts().await?;
                let records: Vec<Value> = hosts.iter().map(record).collect();
                select.printer(context).show(&records, || table(&hosts))?;
            }
            Verb::Show(Show { host, select }) => {
                let host = record(&context.api.host(&host).await?);
                select.printer(context).show(&host, || Table::of_fields(&host))?;
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

/// The fields whose names in results carry units.
const UNITS: [Unit; 4] = [
    ("mem_total", "memory_total_bytes", MIB),
    ("mem_used", "memory_used_bytes", MIB),
    ("disk_total", "disk_total_bytes", GIB),
    ("disk_used", "disk_used_bytes", GIB),
];

fn record(host: &v1::host::Host) -> Value {
    with_units(host, &UNITS)
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
