//! `zun show`

use chrono::{NaiveDateTime, Utc};
use clap::Args;
use serde_json::Value;
use zun_common::api::v1::container::Container;
use zun_common::api::v1::run::Run;
use zun_common::status::Status;

use super::record::record;
use super::status_words::status_cell;
use crate::api::ApiError;
use crate::cmd::missing::with_similar_name;
use crate::cmd::select::Select;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Format, Table, notice};

/// Show the details and last runs of containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun show test
  zun show test --format json
  zun show web1 web2 -o yaml      Several containers are a list
  zun show test --format '{{.Status}} {{json .Labels}}'
  zun show test -f value -c exit_code")]
pub(in crate::cmd) struct Show {
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
    #[command(flatten)]
    select: Select,
}

impl Show {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let printer = self.select.printer(context);
        if let [container] = self.containers.as_slice() {
            let shown = Shown::of(context, container).await?;
            printer.show(&shown.record(), || shown.table())?;
            return Ok(Exit::OK);
        }
        let mut all = Vec::new();
        let mut exit = Exit::OK;
        for container in &self.containers {
            match Shown::of(context, container).await {
                Ok(shown) => all.push(shown),
                Err(error) => {
                    let failure = with_similar_name(context, error.into()).await;
                    notice(&failure.message.unwrap_or_default());
                    exit = Exit::FAILED;
                }
            }
        }
        if !printer.format().is_text() {
            printer.show(&all.iter().map(Shown::record).collect::<Vec<_>>(), Table::default)?;
            return Ok(exit);
        }
        let are_tables = matches!(printer.format(), Format::Table | Format::Wide);
        for (index, shown) in all.iter().enumerate() {
            if index > 0 && are_tables {
                printer.line("")?;
            }
            printer.show(&shown.record(), || shown.table())?;
        }
        Ok(exit)
    }
}

/// How many runs the table lists.
const LISTED_RUNS: usize = 5;

/// A container and its newest runs.
struct Shown {
    container: Container,
    runs: Vec<Run>,
}

impl Shown {
    async fn of(context: &Context, container: &str) -> Result<Self, ApiError> {
        let (shown, runs) = tokio::join!(context.api.show(container), context.api.runs(container));
        // An older service has no runs.
        Ok(Self { container: shown?, runs: runs.unwrap_or_default() })
    }

    fn record(&self) -> Value {
        let mut record = record(&self.container);
        if let Some(fields) = record.as_object_mut() {
            fields.insert("runs".to_owned(), serde_json::to_value(&self.runs).unwrap_or_default());
        }
        record
    }

    fn table(&self) -> Table {
        let mut table = table(&self.container);
        // A link that opens the console is a secret, so this is the command that prints one.
        if matches!(self.container.status, Status::Running | Status::Paused) {
            let command = format!("zun console {}", self.container.name);
            table.row(vec!["console".into(), command.into()]);
        }
        for run in self.runs.iter().take(LISTED_RUNS) {
            table.row(vec![format!("run {}", run.number).into(), summary(run).into()]);
        }
        table
    }
}

/// Describes a run in one line.
pub(super) fn summary(run: &Run) -> String {
    let began = run.started_at.map(|at| format!("since {}", seconds(at)));
    let Some(reason) = run.reason else { return began.unwrap_or_else(|| "starting".to_owned()) };
    let code = run.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let times = match (run.started_at, run.finished_at) {
        (Some(began), Some(ended)) if began.date() == ended.date() => {
            format!(", {} to {}", seconds(began), ended.format("%H:%M:%S"))
        }
        (Some(began), Some(ended)) => format!(", {} to {}", seconds(began), seconds(ended)),
        (None, Some(ended)) => format!(", {}", seconds(ended)),
        (_, None) => String::new(),
    };
    let message = run.message.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    let reason = match reason.as_str() {
        "unseen" => "end not observed".to_owned(),
        other => other.replace('_', " "),
    };
    format!("{reason}{code}{times}{message}")
}

fn seconds(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns a table with a row for each field of the API, without the links. The status is in Docker's words.
pub(super) fn table(container: &Container) -> Table {
    let mut table = Table::of_fields(&record(container));
    table.set_property("status", &status_cell(container, Utc::now().naive_utc()));
    table
}
