//! `zun logs`

use clap::Args;

use crate::api::LogsQuery;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Show what a container printed, byte by byte
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zun logs test\n  zun logs --tail 20 --timestamps web\n  zun logs --stderr web"
)]
pub(in crate::cmd) struct Logs {
    /// Only its stdout
    #[arg(long)]
    stdout: bool,
    /// Only its stderr
    #[arg(long, conflicts_with = "stdout")]
    stderr: bool,
    #[command(flatten)]
    part: Part,
    /// Name or id
    container: String,
}

#[derive(Debug, Args)]
struct Part {
    /// Each line begins with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Only what was printed since, in seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

impl Logs {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let query = self.query();
        context.printer.bytes(&context.api.logs(&self.container, &query).await?)?;
        Ok(Exit::OK)
    }

    fn query(&self) -> LogsQuery {
        let flag = |value: bool| Some(value.to_string());
        let parameters = [
            ("stdout", flag(!self.stderr)),
            ("stderr", flag(!self.stdout)),
            ("timestamps", flag(self.part.timestamps)),
            ("tail", self.part.tail.map(|lines| lines.to_string())),
            ("since", self.part.since.clone()),
        ];
        let given = parameters.into_iter().filter_map(|(key, value)| Some((key, value?)));
        LogsQuery { parameters: given.collect() }
    }
}
