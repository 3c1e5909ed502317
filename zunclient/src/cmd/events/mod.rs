//! `zun events`: what happens to containers, images, volumes and networks, as it happens.

mod filter;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::SecondsFormat;
use clap::Args;
use tokio::time::sleep;
use zun_common::api::v1::event::{Event, EventsEndReason};
use zun_common::grant::LogTime;

use self::filter::Filter;
use super::container::starting::is_unreachable;
use super::{Context, Failure, time};
use crate::api::{ApiError, EventQuery, EventStream, Streamed};
use crate::exit::Exit;
use crate::out::{self, Format, Printer, Table};
use crate::tty::signals::Signals;

/// The pauses between attempts to connect again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Show what happens to containers, images, volumes and networks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun events                                    Follow events until ctrl-c
  zun events --since 10m --filter container=web
  zun events --filter event=die --filter event=oom
  zun events --since 1h --until 0s              Show the last hour
  zun events --format '{{.Action}} {{.Actor.Attributes.name}}'

Filters: container=NAME|ID, event=EVENT, type=container|image|volume|network,
host=HOST (administrators), label=KEY[=VALUE], image=IMAGE. Filters with the
same key are combined with OR, except labels, which are combined with AND.
Filters with different keys are combined with AND.

Events: create, start, die, oom, stop, kill, restart, rebuild, pause, unpause,
rename, update, health_status and destroy of containers; pull and delete of
images; create and destroy of volumes and networks.

TIME is a date, a date and time, Unix seconds, or how long ago (90s, 10m,
1h30m). Without a time zone it is UTC. The service keeps events for 7 days by
default.

If the connection is lost, zun reconnects and misses no event.")]
pub(super) struct Events {
    /// Show only events that match, such as event=die (repeatable)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
    /// Begin with the events since this time (default only new events)
    #[arg(long, value_name = "TIME", value_parser = time::stamp)]
    since: Option<LogTime>,
    /// Show only events before this time, and end then (default never)
    #[arg(long, value_name = "TIME", value_parser = time::stamp)]
    until: Option<LogTime>,
    /// Show the events of all projects (administrators only)
    #[arg(long)]
    all_projects: bool,
}

impl Events {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let query = self.query();
        let follow = async {
            // A wrong address or token fails at once. Only a stream that has begun is continued.
            let stream = context.api.events(&query, None).await?;
            follow(context, (&query, stream)).await
        };
        tokio::select! {
            outcome = follow => outcome,
            number = signals.ended() => Err(Failure::silent(Exit(number.exit_code()))),
        }
    }

    fn query(self) -> EventQuery {
        let Self { filter, since, until, all_projects } = self;
        let mut filters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Filter { key, value } in filter {
            filters.entry(key).or_default().push(value);
        }
        let text = |time: LogTime| time.to_string();
        EventQuery { since: since.map(text), until: until.map(text), filters, all_projects }
    }
}

/// Prints events until the service says that there are no more.
async fn follow(
    context: &Context,
    (query, mut stream): (&EventQuery, EventStream),
) -> Result<Exit, Failure> {
    let mut is_first = true;
    loop {
        let lost = match stream.next().await {
            Ok(Streamed::Event(event)) => {
                show(&context.printer, &event, std::mem::take(&mut is_first))?;
                continue;
            }
            Ok(Streamed::End(EventsEndReason::Until)) => return Ok(Exit::OK),
            // The service asks for another login.
            Ok(Streamed::End(EventsEndReason::Expired)) => None,
            Ok(Streamed::End(EventsEndReason::Closing)) => {
                Some("the service is shutting down".to_owned())
            }
            Ok(Streamed::End(EventsEndReason::Slow)) => {
                Some("the service has ended the connection, because zun was too slow".to_owned())
            }
            Ok(Streamed::End(EventsEndReason::Failed | EventsEndReason::Unknown)) => {
                Some("the service cannot read the events".to_owned())
            }
            Err(error) => Some(error.to_string()),
        };
        let after = stream.last_id().map(str::to_owned);
        stream = again(context, (query, after.as_deref()), lost).await?;
    }
}

/// Connects again, for as long as the service is unavailable. Prints why once.
async fn again(
    context: &Context,
    (query, after): (&EventQuery, Option<&str>),
    mut lost: Option<String>,
) -> Result<EventStream, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(why) = lost.take() {
            out::notice(&format!("{why}; connecting again"));
        }
        sleep(pause).await;
        match context.api.events(query, after).await {
            Ok(stream) => return Ok(stream),
            Err(error) if is_unreachable(&error) || is_busy(&error) => {}
            Err(error) => return Err(error.into()),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_busy(error: &ApiError) -> bool {
    error.status() == Some(503)
}

fn show(printer: &Printer, event: &Event, is_first: bool) -> Result<(), Failure> {
    match printer.format() {
        Format::Csv | Format::Name => {
            let rendered = printer.rendered(&[event], table(event))?;
            // The titles come once.
            let titles = usize::from(*printer.format() == Format::Csv && !is_first);
            let lines = rendered.split('\n').skip(titles).collect::<Vec<_>>().join("\n");
            Ok(printer.line(&lines)?)
        }
        Format::Table
        | Format::Wide
        | Format::Json
        | Format::Yaml
        | Format::Value
        | Format::Template(_) => Ok(printer.item(event, || line(event))?),
    }
}

/// An event in a row.
fn table(event: &Event) -> Table {
    let Event { time, kind, action, actor, project_id, host } = event;
    let name = actor.attributes.get("name").unwrap_or(&actor.id);
    let others = actor.attributes.iter().filter(|(key, _)| *key != "name");
    let attributes = others.map(|(key, value)| format!("{key}={value}"));
    let mut table = Table::new(
        ["time", "type", "action", "id", "name", "attributes", "host", "project_id"].to_vec(),
    );
    table.row(vec![
        time.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
        kind.clone().into(),
        action.clone().into(),
        actor.id.clone().into(),
        name.clone().into(),
        attributes.collect::<Vec<_>>().join(",").into(),
        host.as_ref().map(ToString::to_string).into(),
        project_id.clone().into(),
    ]);
    table
}

/// An event in a line, as in Docker.
fn line(event: &Event) -> String {
    let Event { time, kind, action, actor, project_id: _, host: _ } = event;
    let pairs = actor.attributes.iter().map(|(name, value)| format!("{name}={value}"));
    let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{time} {kind} {action} {} ({})", actor.id, pairs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use zun_common::api::v1::event::Actor;

    use super::*;

    #[test]
    fn a_line_is_as_dockers() {
        let pairs = [("name", "web"), ("exitCode", "3")];
        let event = Event {
            time: "2026-11-29T18:00:00.5Z".parse().expect("a time"),
            kind: "container".to_owned(),
            action: "die".to_owned(),
            actor: Actor {
                id: "5bb9ee06".to_owned(),
                attributes: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            },
            project_id: "p".to_owned(),
            host: None,
        };
        assert_eq!(
            line(&event),
            "2026-11-29T18:00:00.500000Z container die 5bb9ee06 (exitCode=3, name=web)"
        );
    }
}
