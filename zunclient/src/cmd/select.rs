//! The flags that select a format, columns, and how much of each value is shown.

use clap::Args;

use super::Context;
use crate::out::{Format, Printer};

/// What to show of a result.
#[derive(Debug, Args)]
pub(super) struct Select {
    /// The same as --format
    #[arg(short, value_name = "FORMAT")]
    f: Option<Format>,
    /// Show only this column (repeatable)
    #[arg(short, long, value_name = "NAME")]
    column: Vec<String>,
}

impl Select {
    /// Returns the printer for it.
    pub(super) fn printer(&self, context: &Context) -> Printer {
        context.printer.select(self.f.as_ref(), &self.column)
    }
}

/// What to show of a list.
#[derive(Debug, Args)]
pub(super) struct ListSelect {
    #[command(flatten)]
    select: Select,
    /// Show more columns, and shorten nothing
    #[arg(long)]
    wide: bool,
    /// Shorten nothing
    #[arg(long)]
    no_trunc: bool,
}

impl ListSelect {
    /// Returns the printer for it.
    pub(super) fn printer(&self, context: &Context) -> Printer {
        self.select.printer(context).wide(self.wide).unshortened(self.no_trunc)
    }
}
