//! `zun top`

use clap::Args;
use serde_json::Value;

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::Table;

/// List the processes of a running container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun top test
  zun top test -eo pid,comm
  zun top --format '{{.PID}} {{.CMD}}' test")]
pub(in crate::cmd) struct Top {
    /// Name or UUID of the container
    container: String,
    /// Options for ps on the host, such as -eo pid,comm
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PS_OPTIONS")]
    ps_arguments: Vec<String>,
}

impl Top {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let ps_args = Some(self.ps_arguments.join(" ")).filter(|message| !message.is_empty());
        let top = context.api.top(&self.container, ps_args.as_deref()).await?;
        // One object for each process, as a table has one row.
        let titles = || top.titles.iter();
        let processes: Vec<Value> = top
            .processes
            .iter()
            .map(|process| titles().cloned().zip(process.iter().cloned()))
            .map(|fields| fields.map(|(title, text)| (title, Value::String(text))).collect())
            .collect();
        context.printer.show(&processes, || {
            let mut table = Table::titled(&top.titles);
            for process in &top.processes {
                table.row(process.iter().map(|cell| cell.as_str().into()).collect());
            }
            table
        })?;
        Ok(Exit::OK)
    }
}
