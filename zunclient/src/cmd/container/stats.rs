//! `zun stats`: resource usage, updated in place on a terminal.

use clap::Args;
use futures_util::future::join_all;
use zun_common::api::v1::container::ContainerStats;
use zun_common::status::Status;

use super::starting::unless_ended;
use crate::api::{ApiError, ListQuery};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Column, Live, Table};
use crate::tty::signals::Signals;

/// Show the resource usage of running containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun stats                      Follow all running containers; ctrl-c ends it
  zun stats --no-stream web db   Measure two containers once
  zun stats --format json web    Measure one container once, as JSON")]
pub(in crate::cmd) struct Stats {
    /// Measure once instead of updating the table
    #[arg(long)]
    no_stream: bool,
    /// Names or UUIDs of the containers (default all running ones)
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stats {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.no_stream || !context.printer.is_live() {
            let (measured, refusals) = self.measure(context).await?;
            for (name, refusal) in &refusals {
                let failure = Failure::from(refusal).context(name);
                out::notice(&failure.message.unwrap_or_default());
            }
            context.printer.show(&measured, || table(&measured))?;
            return Ok(if refusals.is_empty() { Exit::OK } else { Exit::FAILED });
        }
        let mut signals = Signals::catch()?;
        unless_ended(&mut signals, self.follow(context)).await
    }

    /// Shows the usage until no container runs.
    async fn follow(&self, context: &Context) -> Result<Exit, Failure> {
        let mut live = Live::new(&context.printer);
        // There is no pause: measuring takes the host a second or two.
        let mut first = true;
        loop {
            let (measured, refusals) = self.measure(context).await?;
            // A wrong name fails in the first round. Later a container may stop while others run.
            let enough = first || measured.is_empty();
            first = false;
            if let (true, Some((name, refusal))) = (enough, refusals.first()) {
                return Err(Failure::from(refusal).context(name));
            }
            live.draw(&context.printer.render(&table(&measured)))?;
            if measured.is_empty() {
                return Ok(Exit::OK);
            }
        }
    }

    /// Measures all containers at the same time, and returns the refusals separately.
    async fn measure(
        &self,
        context: &Context,
    ) -> Result<(Vec<ContainerStats>, Vec<(String, ApiError)>), Failure> {
        let names = if self.containers.is_empty() {
            let parameters = vec![("status", Status::Running.to_string())];
            let running = context.api.list(&ListQuery { parameters }).await?;
            running.into_iter().map(|container| container.uuid.to_string()).collect()
        } else {
            self.containers.clone()
        };
        let asked = names.iter().map(|name| context.api.stats(name));
        let mut measured = Vec::new();
        let mut refusals = Vec::new();
        for (name, outcome) in names.iter().zip(join_all(asked).await) {
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

fn table(measured: &[ContainerStats]) -> Table {
    let figures = ["cpu", "memory", "limit", "memory share", "block i/o", "net i/o", "pids"];
    let columns = std::iter::once(Column::from("container")).chain(figures.map(Column::firm));
    let mut table = Table::new(columns.collect::<Vec<_>>());
    for stats in measured {
        table.row(vec![
            stats.container.as_str().into(),
            format!("{:.2} %", stats.cpu_percent).into(),
            format!("{:.1} MiB", stats.memory_usage).into(),
            format!("{:.1} MiB", stats.memory_limit).into(),
            format!("{:.2} %", stats.memory_percent).into(),
            stats.block.as_str().into(),
            stats.network.as_str().into(),
            stats.processes.to_string().into(),
        ]);
    }
    table
}
