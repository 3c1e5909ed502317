//! `zun action`: the operations on a container.

use chrono::{NaiveDateTime, Utc};
use clap::{Args, Subcommand};
use zun_common::api::v1::action::ContainerAction;

use super::container::status_words::ago_words;
use super::select::{ListSelect, Select};
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Cell, Column, Table};

/// What stands in for the end of an operation that has not ended.
const OPEN: &str = "open";
/// The outcome of an operation that has ended and has nothing to say.
const DONE: &str = "done";

/// Show the operations on a container and how they ended
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun action list test
  zun action show test req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11"
)]
pub(super) struct Action {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
}

/// List the operations on a container, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun action list test
  zun action list 5bb9ee06-1b6a-4a38-b0b9-c8b651638bd6 --format json

An operation is open until it has an outcome: done, or a message that says why
it failed, expired or is unknown. --format wide shows when it began and ended,
in UTC.")]
struct List {
    /// Name or UUID of the container (UUID if it was deleted)
    container: String,
    #[command(flatten)]
    select: ListSelect,
}

/// Show the operation that a request started
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun action show test req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11

Results:
  open     The host has not reported how it ended
  Success  The host carried it out
  Error    The host refused it or failed; the message has the reason
  Expired  The host did not begin it in time
  Unknown  The host did not report the outcome: the operation may or may not
           have been carried out")]
struct Show {
    /// Name or UUID of the container (UUID if it was deleted)
    container: String,
    /// Request ID, as in the list and in error messages (a prefix is enough)
    request: String,
    #[command(flatten)]
    select: Select,
}

impl Action {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::List(verb) => verb.run(context).await,
            Verb::Show(verb) => verb.run(context).await,
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let actions = context.api.actions(&self.container).await?;
        self.select.printer(context).show(&actions, || list_table(&actions))?;
        Ok(Exit::OK)
    }
}

impl Show {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let action = match context.api.action(&self.container, &self.request).await {
            // Perhaps only the beginning was given, of one operation.
            Err(error) if error.is_not_found() => {
                let mut all = context.api.actions(&self.container).await?;
                all.retain(|action| action.request_id.starts_with(&self.request));
                match all.as_slice() {
                    [one] => context.api.action(&self.container, &one.request_id).await?,
                    [] => return Err(error.into()),
                    several => return Err(ambiguous(&self.request, several)),
                }
            }
            found => found?,
        };
        self.select.printer(context).show(&action, || detail_table(&action))?;
        Ok(Exit::OK)
    }
}

fn ambiguous(beginning: &str, several: &[ContainerAction]) -> Failure {
    let named = several.iter().map(|it| format!("{} ({})", it.request_id, it.action));
    Failure::new(format!(
        "several operations have request IDs that begin with `{beginning}`: {}; use more characters",
        named.collect::<Vec<_>>().join(", ")
    ))
}

/// Returns the table of operations.
pub(super) fn list_table(actions: &[ContainerAction]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("action"),
        Column::whole("request_id"),
        Column::firm("started"),
        "outcome".into(),
        Column::wide("start_time"),
        Column::wide("finish_time"),
    ]);
    let now = Utc::now().naive_utc();
    for action in actions {
        let started = Cell::time(|time| ago_words(now - time), action.start_time);
        let outcome = if action.finish_time.is_some() { DONE } else { OPEN };
        table.row(vec![
            action.action.clone().into(),
            action.request_id.clone().into(),
            started,
            action.message.clone().unwrap_or_else(|| outcome.to_owned()).into(),
            Cell::time(seconds, action.start_time),
            match action.finish_time {
                Some(time) => Cell::time(seconds, Some(time)),
                None => finish_time(action).into(),
            },
        ]);
    }
    table
}

fn detail_table(action: &ContainerAction) -> Table {
    let event = action.events.iter().flatten().last();
    let result = event.and_then(|event| event.result.clone());
    let mut table = Table::properties();
    for (name, value) in [
        ("action", Some(action.action.clone())),
        ("request_id", Some(action.request_id.clone())),
        ("container_uuid", Some(action.container_uuid.clone())),
        ("project_id", Some(action.project_id.clone())),
        ("user_id", Some(action.user_id.clone())),
        ("start_time", action.start_time.map(seconds)),
        ("finish_time", Some(finish_time(action))),
        ("result", result.or_else(|| action.finish_time.is_none().then(|| OPEN.to_owned()))),
        ("message", action.message.clone()),
    ] {
        table.row(vec![name.into(), value.into()]);
    }
    table
}

fn finish_time(action: &ContainerAction) -> String {
    action.finish_time.map_or_else(|| OPEN.to_owned(), seconds)
}

fn seconds(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
