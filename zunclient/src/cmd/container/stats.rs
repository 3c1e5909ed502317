//! `zun stats`: resource usage, updated in place on a terminal.

use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;
use zun_common::api::v1::container::{Container, ContainerStats};
use zun_common::status::Status;

use super::starting::unless_ended;
use crate::api::{ApiError, ListQuery};
use crate::cmd::select::ListSelect;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Column, Live, Printer, Table, size_words};
use crate::tty::signals::Signals;

/// How long zun waits between two measurements if they may take no time.
const PAUSE: Duration = Duration::from_secs(1);

/// Show the resource usage of running containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun stats                      Follow all running containers; ctrl-c ends it
  zun stats --no-stream web db   Measure two containers once
  zun stats --no-stream -a       Also list stopped containers, with zeros
  zun stats --format json web    Measure one container once, as JSON")]
pub(in crate::cmd) struct Stats {
    /// Show stopped containers too, with zeros
    #[arg(short, long)]
    all: bool,
    /// Measure once instead of updating the table
    #[arg(long)]
    no_stream: bool,
    /// Names or UUIDs of the containers (default all running ones)
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
    #[command(flatten)]
    select: ListSelect,
}

impl Stats {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let printer = self.select.printer(context);
        if self.no_stream || !printer.is_live() {
            let (measured, refusals) = self.measure(context).await?;
            for (name, refusal) in &refusals {
                let failure = Failure::from(refusal).context(name);
                out::notice(&failure.message.unwrap_or_default());
            }
            if refusals.is_empty() || !measured.is_empty() {
                printer.show(&records(&measured), || table(&measured))?;
            }
            return Ok(if refusals.is_empty() { Exit::OK } else { Exit::FAILED });
        }
        let mut signals = Signals::catch()?;
        unless_ended(&mut signals, self.follow(context, &printer)).await
    }

    /// Shows the usage until no container runs.
    async fn follow(&self, context: &Context, printer: &Printer) -> Result<Exit, Failure> {
        let mut live = Live::new(printer);
        // Without -a there is no pause: measuring takes the host a second or two.
        let mut first = true;
        loop {
            let (measured, refusals) = self.measure(context).await?;
            // A wrong name fails in the first round. Later a container may stop while others run.
            let enough = first || measured.is_empty();
            first = false;
            if let (true, Some((name, refusal))) = (enough, refusals.first()) {
                return Err(Failure::from(refusal).context(name));
            }
            live.draw(&printer.rendered(&records(&measured), table(&measured))?)?;
            if measured.is_empty() {
                return Ok(Exit::OK);
            }
            if self.all {
                sleep(PAUSE).await;
            }
        }
    }

    /// Returns the containers to show, and whether each is to be measured. Those that were not named are known to run or
    /// not to run; the newest one comes first, as in all lists.
    async fn wanted(&self, context: &Context) -> Result<Vec<(String, bool)>, Failure> {
        if !self.containers.is_empty() {
            return Ok(self.containers.iter().map(|name| (name.clone(), true)).collect());
        }
        let running = ("status", Status::Running.to_string());
        let parameters = if self.all { Vec::new() } else { vec![running] };
        let listed = context.api.list(&ListQuery { parameters }).await?.into_iter().rev();
        let wanted = |container: Container| match container.status {
            Status::Running | Status::Paused => (container.uuid.to_string(), true),
            Status::Creating
            | Status::Created
            | Status::Restarting
            | Status::Rebuilding
            | Status::Stopped
            | Status::Deleting
            | Status::Deleted
            | Status::Dead
            | Status::Error
            | Status::Unknown => (container.name, false),
        };
        Ok(listed.map(wanted).collect())
    }

    /// Measures all containers at the same time, and returns the refusals separately.
    async fn measure(
        &self,
        context: &Context,
    ) -> Result<(Vec<ContainerStats>, Vec<(String, ApiError)>), Failure> {
        let wanted = self.wanted(context).await?;
        let asked =
            wanted.iter().map(
                async |(name, runs)| {
                    if *runs { context.api.stats(name).await } else { Ok(zeros(name)) }
                },
            );
        let mut measured = Vec::new();
        let mut refusals = Vec::new();
        for ((name, _), outcome) in wanted.iter().zip(join_all(asked).await) {
            match outcome {
                Ok(stats) => measured.push(stats),
                // Most likely, the container has stopped since it was listed.
                Err(_ended) if self.containers.is_empty() => {}
                Err(refusal) => refusals.push((name.clone(), refusal)),
            }
        }
        Ok((measured, refusals))
    }
}

/// Returns what a container that does not run uses.
fn zeros(name: &str) -> ContainerStats {
    ContainerStats {
        container: name.to_owned(),
        cpu_percent: 0.0,
        memory_usage: 0.0,
        memory_limit: 0.0,
        memory_percent: 0.0,
        block: "0/0".to_owned(),
        network: "0/0".to_owned(),
        processes: 0,
    }
}

/// Returns the JSON of the figures, with units in the names.
fn records(measured: &[ContainerStats]) -> Vec<Value> {
    measured.iter().map(record).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole bytes of a size"
)]
fn record(stats: &ContainerStats) -> Value {
    let ContainerStats {
        container,
        cpu_percent,
        memory_usage,
        memory_limit,
        memory_percent,
        block,
        network,
        processes,
    } = stats;
    let bytes = |mebibytes: f64| (mebibytes * f64::from(1 << 20)).round() as u64;
    let (block_read, block_write) = pair(block);
    let (net_rx, net_tx) = pair(network);
    json!({
        "name": container,
        "cpu_percent": cpu_percent,
        "memory_bytes": bytes(*memory_usage),
        "memory_limit_bytes": bytes(*memory_limit),
        "memory_percent": memory_percent,
        "block_read_bytes": block_read,
        "block_write_bytes": block_write,
        "net_rx_bytes": net_rx,
        "net_tx_bytes": net_tx,
        "pids": processes,
    })
}

/// Parses `RECEIVED/SENT` in bytes.
fn pair(text: &str) -> (Option<u64>, Option<u64>) {
    let (one, other) = text.split_once('/').unwrap_or((text, ""));
    (one.trim().parse().ok(), other.trim().parse().ok())
}

/// Writes `RECEIVED/SENT` as Docker does: `1.27kB / 138B`.
fn transferred(text: &str) -> String {
    match pair(text) {
        (Some(one), Some(other)) => format!("{} / {}", size_words(one), size_words(other)),
        (_, None) | (None, _) => text.to_owned(),
    }
}

fn table(measured: &[ContainerStats]) -> Table {
    let figures = ["cpu", "memory", "limit", "memory share", "block i/o", "net i/o", "pids"];
    let columns = std::iter::once(Column::from("name")).chain(figures.map(Column::firm));
    let mut table = Table::new(columns.collect::<Vec<_>>());
    for stats in measured {
        table.row(vec![
            stats.container.as_str().into(),
            format!("{:.2} %", stats.cpu_percent).into(),
            format!("{:.1} MiB", stats.memory_usage).into(),
            format!("{:.1} MiB", stats.memory_limit).into(),
            format!("{:.2} %", stats.memory_percent).into(),
            transferred(&stats.block).into(),
            transferred(&stats.network).into(),
            stats.processes.to_string().into(),
        ]);
    }
    table
}
