//! `zun diff`

use clap::Args;
use zun_common::api::v1::files::{ChangeKind, ContainerChanges, FileChange};

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;

/// List the files of a container that differ from its image
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun diff test

A stands for added, C for changed and D for deleted.")]
pub(in crate::cmd) struct Diff {
    /// Name or UUID of the container
    container: String,
}

impl Diff {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let ContainerChanges { changes, truncated } = context.api.changes(&self.container).await?;
        let lines = || changes.iter().map(line).collect::<Vec<_>>().join("\n");
        context.printer.value(&changes, lines)?;
        if truncated {
            out::notice("there are more: only the first 100,000 are shown");
        }
        Ok(Exit::OK)
    }
}

fn line(change: &FileChange) -> String {
    let kind = match change.kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Deleted => 'D',
    };
    format!("{kind} {}", change.path)
}
