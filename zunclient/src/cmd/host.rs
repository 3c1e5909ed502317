//! `zun host`: hosts, for administrators.

use std::io::IsTerminal as _;

use clap::{Args, Subcommand};
use serde_json::Value;
use zun_common::api::v1;

use super::select::{ListSelect, Select};
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Column, GIB, MIB, Table, Unit, notice, with_units};

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
    Clean(Clean),
}

/// List the hosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun host list
  zun host list --format json

States:
  up          Its agent sends heartbeats
  disabled    It gets no new containers (zun service disable). Shown next to the
              other states
  down        Its agent sends no heartbeats, has shut down, or was forced
              down (zun service force-down)
  recovering  The database was restored from a copy that is older than what the
              host has carried out: see zun host recover --help")]
struct List {
    #[command(flatten)]
    select: ListSelect,
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

A host is recovering if the database was restored from a copy that is older than
the operations that the host has carried out. It then reports its containers,
but creates, changes and removes nothing.

First compare `zun list --host HOST` with the containers on the host. Then run
this command: the host carries out the operations that are open in the restored
database, such as a removal that was accepted before the copy was made.")]
struct Recover {
    /// Name of the host
    host: String,
}

/// Confirm that a host's machine or Docker data was replaced
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun host replace compute1

Run this after the machine or Docker's data of a host with containers was
replaced. Until then, zun-api refuses the agent, because those containers are
lost. Afterwards the agent registers by itself, and the lost containers get the
status Error.")]
struct Replace {
    /// Name of the host
    host: String,
}

/// Remove the containers of this cluster that the database does not know
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun host clean compute1
  zun host clean compute1 --yes

After the database was restored from an older copy, containers that were created
later stay on their hosts. zun host show lists them as strays, and their CPU and
memory limits count against the capacity of the host. This command removes them,
even running ones, after asking for confirmation. It never removes containers of
other clusters, or other Docker containers.")]
struct Clean {
    /// Name of the host
    host: String,
    /// Do not ask for confirmation
    #[arg(long, short = 'y')]
    yes: bool,
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
            Verb::Clean(clean) => clean.run(context).await?,
        }
        Ok(Exit::OK)
    }
}

impl Clean {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { host, yes } = self;
        let strays = context.api.host(&host).await?.strays;
        if strays.is_empty() {
            notice(&format!("host {host} has no strays"));
            return Ok(());
        }
        if !yes {
            for stray in &strays {
                let name = stray.name.as_deref().unwrap_or("without a name");
                notice(&format!("{} ({name}, {})", stray.uuid, stray.status));
            }
            confirm(&format!(
                "Remove the containers listed above ({}) from host {host}?",
                strays.len()
            ))
            .await?;
        }
        for stray in strays {
            context.api.remove_stray(&host, &stray.uuid).await?;
            context.printer.line(&stray.uuid)?;
        }
        Ok(())
    }
}

/// Asks on the terminal. Fails unless the answer is yes.
async fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "cannot ask for confirmation without a terminal: check the strays in `zun host show`, then use --yes",
        ));
    }
    notice(&format!("{question} [y/N]"));
    let read = || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    };
    let answer = tokio::task::spawn_blocking(read).await;
    match answer {
        Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new("nothing was removed")),
    }
}

/// The fields whose names in results carry units.
const UNITS: [Unit; 5] = [
    ("mem_total", "memory_total_bytes", MIB),
    ("mem_used", "memory_used_bytes", MIB),
    ("disk_total", "disk_total_bytes", GIB),
    ("disk_used", "disk_used_bytes", GIB),
    ("strays.memory", "memory_bytes", MIB),
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
            if host.disabled {
                format!("{}, disabled", host.state).into()
            } else {
                host.state.clone().into()
            },
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
