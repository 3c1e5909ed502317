//! `zun recording`: recordings of sessions.

mod cast;
mod download;
mod play;

use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use serde_json::Value;
use zun_common::api::v1::recording::Recording as Shown;

use super::for_each::for_each;
use super::select::{ListSelect, Select};
use super::sessions::warn_of_unresponsive;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Cell, Column, Table, Unit, size_words, with_units};

/// List, play and download recordings of sessions
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun run --record -i --name test cirros sh   Record the sessions of a container
  zun recording list
  zun recording play 5c2d8a4e --speed 2

The host of a container keeps its recordings, even after the container was
deleted, until they expire or their space is needed."
)]
pub(super) struct Recording {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Play(play::Play),
    Download(download::Download),
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// List the recordings, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun recording list
  zun recording list test -o wide     Also hosts, policies, sizes and exec IDs

Times are in UTC.")]
struct List {
    /// List only the recordings of this container: its UUID, or the name that it had
    container: Option<String>,
    /// List the recordings of all projects (administrators only)
    #[arg(long)]
    all_projects: bool,
    #[command(flatten)]
    select: ListSelect,
}

/// Show the details of a recording
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun recording show 5c2d8a4e")]
struct Show {
    /// ID of the recording (a prefix is enough)
    recording: String,
    #[command(flatten)]
    select: Select,
}

/// Delete recordings of ended sessions (administrators by default)
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun recording delete 5c2d8a4e")]
struct Delete {
    /// IDs of the recordings (a prefix is enough)
    #[arg(required = true, value_name = "RECORDING")]
    recordings: Vec<String>,
}

impl Recording {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::List(List { container, all_projects, select }) => {
                let mut filters: Vec<_> =
                    container.map(|container| ("container", container)).into_iter().collect();
                filters.extend(all_projects.then(|| ("all_projects", "true".to_owned())));
                let mut list = context.api.recordings(&filters).await?;
                list.recordings.reverse();
                warn_of_unresponsive(&list.unresponsive_hosts);
                if list.more {
                    out::notice("only the 1000 newest recordings of each host are listed");
                }
                let records: Vec<_> = list.recordings.iter().map(record).collect();
                select.printer(context).show(&records, || table(&list.recordings))?;
            }
            Verb::Show(Show { recording, select }) => {
                let shown = find(context, &recording).await?;
                let record = record(&shown);
                select.printer(context).show(&record, || Table::of_fields(&record))?;
            }
            Verb::Play(play) => return Box::pin(play.run(context)).await,
            Verb::Download(download) => return Box::pin(download.run(context)).await,
            Verb::Delete(Delete { recordings }) => {
                return for_each(context, &recordings, async |recording| {
                    let id = find(context, &recording).await?.id;
                    Ok(context.api.delete_recording(&id.to_string()).await?)
                })
                .await;
            }
        }
        Ok(Exit::OK)
    }
}

/// Finds a recording by its ID or the beginning of it.
async fn find(context: &Context, id: &str) -> Result<Shown, Failure> {
    if id.parse::<zun_common::id::RecordingId>().is_ok() {
        return Ok(context.api.recording(id).await?);
    }
    let mut found = context.api.recordings(&[]).await?.recordings;
    found.retain(|recording| !id.is_empty() && recording.id.to_string().starts_with(id));
    match found.as_slice() {
        [_] => found.pop().ok_or_else(|| missing(id)),
        [] => Err(missing(id)),
        several => {
            let ids: Vec<_> = several.iter().map(|recording| recording.id.to_string()).collect();
            Err(Failure::new(format!(
                "several recordings have IDs that begin with `{id}`: {}; use more characters",
                ids.join(", ")
            )))
        }
    }
}

fn missing(id: &str) -> Failure {
    Failure::new(format!(
        "no recording of the project has an ID that begins with `{id}`; `zun recording list` shows them"
    ))
}

/// The fields whose names in results carry units.
const UNITS: [Unit; 1] = [("size", "size_bytes", 1)];

fn record(recording: &Shown) -> Value {
    with_units(recording, &UNITS)
}

fn table(recordings: &[Shown]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("id"),
        Column::firm("container"),
        Column::whole("kind"),
        Column::firm("started_at"),
        Column::whole("duration"),
        "end".into(),
        Column::wide("policy"),
        Column::wide("tty"),
        Column::wide("size"),
        Column::wide("exec_id"),
        Column::wide("host"),
        Column::wide("project_id"),
    ]);
    for recording in recordings {
        let kind = if recording.exec_id.is_some() { "exec" } else { "container" };
        table.row(vec![
            recording.id.to_string().into(),
            recording.container_name.clone().into(),
            kind.to_owned().into(),
            Cell::from(recording.started_at.format("%F %T").to_string())
                .exact(recording.started_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            duration(recording).into(),
            recording.end.clone().into(),
            recording.policy.to_string().into(),
            recording.tty.to_string().into(),
            size_words(recording.size).into(),
            recording.exec_id.clone().into(),
            recording.host.to_string().into(),
            recording.project_id.clone().into(),
        ]);
    }
    table
}

/// How long a recording is, such as 1:02:03. One in progress has no length yet.
fn duration(recording: &Shown) -> String {
    let Some(ended) = recording.ended_at else { return "recording".to_owned() };
    let seconds = (ended - recording.started_at).num_seconds().max(0);
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
