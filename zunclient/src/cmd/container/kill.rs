//! `zun kill`

use clap::Args;

use super::each::each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Send containers a signal
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zun kill test\n  zun kill --signal HUP web")]
pub(in crate::cmd) struct Kill {
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        each(context, &self.containers, async |name: String| {
            Ok(context.api.kill(&name, &self.signal).await?)
        })
        .await
    }
}
