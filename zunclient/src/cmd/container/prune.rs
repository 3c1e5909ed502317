//! `zun prune`

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use zun_common::status::Action;

use crate::api::{self, ListQuery};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;

/// Remove all stopped containers of the project
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun prune
  zun prune --force   Do not ask

As in Docker, this includes containers that have never run, or that could not
start. Containers with an operation in progress are kept.")]
pub(in crate::cmd) struct Prune {
    /// Do not ask for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Prune {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut stopped = context.api.list(&ListQuery::default()).await?;
        stopped.retain(|it| it.status.allows(Action::Delete) && it.task_state.is_none());
        if stopped.is_empty() {
            out::notice("there are no stopped containers");
            return Ok(Exit::OK);
        }
        if !self.force && !confirmed(stopped.len())? {
            return Ok(Exit::FAILED);
        }
        // By their UUIDs: a name may be taken again.
        let ids: Vec<String> = stopped.iter().map(|it| it.uuid.to_string()).collect();
        for_each(context, &ids, async |id: String| {
            Ok(context.api.delete(&id, api::Delete::OnlyStopped).await?)
        })
        .await
    }
}

fn confirmed(count: usize) -> Result<bool, Failure> {
    let mut stdin = std::io::stdin().lock();
    if !stdin.is_terminal() {
        return Err(Failure::new("cannot ask for confirmation without a terminal: use --force"));
    }
    out::notice(&format!("stopped containers to remove: {count}. Continue? [y/N]"));
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
