//! The flags of OpenStack's commands that select a format and columns.

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
