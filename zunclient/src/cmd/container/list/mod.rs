//! `zun list`

mod changes;
mod columns;
mod filter;
mod watch;

use std::str::FromStr;

use clap::Args;
use zun_common::api::v1::container::Container;
use zun_common::status::Status;

use self::columns::{Shown, table};
use self::filter::{Filter, Filters};
use super::record::records;
use crate::api::{ApiError, Client, ListQuery};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Format, PrintError, Printer};

/// List containers, running or not, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun list
  zun ps --filter status=running --filter label=tier=web
  zun ls --sort name --wide
  zun list -q --filter name~=test   Print the IDs, such as for zun delete
  zun list --watch                  Follow the list; ctrl-c ends it

Filters: name=NAME, name~=PART, id=PREFIX, label=KEY[=VALUE], status=STATUS,
exited=CODE, health=HEALTH, image=IMAGE, host=HOST (administrators),
since=CONTAINER, before=CONTAINER. Filters with the same key are combined with
OR, except labels, which are combined with AND. Filters with different keys are
combined with AND.

On a terminal, long values are shortened; in a pipe they are whole.")]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(in crate::cmd) struct List {
    /// No effect: zun always lists stopped containers too
    #[arg(short, long)]
    all: bool,
    /// Show only the newest N containers
    #[arg(short = 'n', long, visible_alias = "last", value_name = "N", value_parser = limit)]
    limit: Option<Limit>,
    /// Show only the newest container
    #[arg(short, long, conflicts_with = "limit")]
    latest: bool,
    /// Show only containers that match, such as name~=web (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
    /// The same as --filter, or as --format for a value without `=`
    #[arg(short, value_name = "FILTER|FORMAT")]
    f: Vec<FilterOrFormat>,
    /// Show only this column (repeatable)
    #[arg(short, long, value_name = "NAME")]
    column: Vec<String>,
    /// Show only the container with this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Show only containers of this image
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Show only containers with this status, such as running
    #[arg(long, value_name = "STATUS", value_parser = filter::status)]
    status: Option<Status>,
    /// Show only containers on this host (administrators only)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// List the containers of all projects (administrators only)
    #[arg(long)]
    all_projects: bool,
    /// Order: created, name, image, status, memory, cpu or updated, with :desc for descending (default created:desc)
    #[arg(long, value_name = "KEY", value_parser = sort)]
    sort: Option<Sort>,
    /// Show more columns, and shorten nothing
    #[arg(long)]
    wide: bool,
    /// Show whole IDs, and shorten nothing
    #[arg(long)]
    no_trunc: bool,
    /// Print only UUIDs
    #[arg(short, long)]
    quiet: bool,
    /// Show the list again when it changes
    #[arg(long, conflicts_with = "quiet")]
    watch: bool,
    #[arg(skip)]
    format: Option<Format>,
}

/// The value of `-f`, which is short for another flag in each of the commands that people know.
#[derive(Debug, Clone)]
enum FilterOrFormat {
    /// Of Docker's command.
    Filter(Filter),
    /// Of OpenStack's command.
    Format(Format),
}

impl FromStr for FilterOrFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('=') && !text.contains("{{") {
            return text.parse().map(Self::Filter);
        }
        text.parse().map(Self::Format)
    }
}

/// How many containers to show; all if `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<usize>);

/// Parses a limit. -1 is Docker's form for all.
fn limit(text: &str) -> Result<Limit, String> {
    // As in Docker, 0 and negative numbers mean all.
    if text.parse::<i64>().is_ok_and(|number| number <= 0) {
        return Ok(Limit(None));
    }
    text.parse().map(|number| Limit(Some(number))).map_err(|_invalid| "use a number".to_owned())
}

/// What a list is ordered by, in the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sort {
    key: &'static str,
    direction: &'static str,
}

const NEWEST_FIRST: Sort = Sort { key: "id", direction: "desc" };

/// The keys of `--sort`, and the API's.
const SORT_KEYS: [(&str, &str); 7] = [
    ("created", "id"),
    ("name", "name"),
    ("image", "image"),
    ("status", "status"),
    ("memory", "memory"),
    ("cpu", "cpu"),
    ("updated", "updated_at"),
];

fn sort(text: &str) -> Result<Sort, String> {
    let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let key = SORT_KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let direction = ["asc", "desc"].into_iter().find(|known| *known == direction);
    let known = key.zip(direction).map(|((_, key), direction)| Sort { key, direction });
    known.ok_or_else(|| {
        let names = SORT_KEYS.map(|(name, _)| name);
        format!("use one of {}, with :asc or :desc", names.join(", "))
    })
}

impl List {
    pub(in crate::cmd) async fn run(mut self, context: &Context) -> Result<Exit, Failure> {
        let mut filters = self.filters();
        filters.read_times(&context.api).await?;
        let printer = context.printer.select(self.format.as_ref(), &self.column);
        let printer = printer.wide(self.wide).unshortened(self.no_trunc);
        if self.watch {
            return Box::pin(watch::watch(&context.api, &printer, (&self, &filters))).await;
        }
        let containers = self.fetch(&context.api, &filters).await?;
        self.print(&printer, &containers)?;
        Ok(Exit::OK)
    }

    fn print(&self, printer: &Printer, containers: &[Container]) -> Result<(), Failure> {
        if !self.quiet {
            return Ok(printer.show(&records(containers), || table(containers, self.shown()))?);
        }
        let ids = containers.iter().map(|container| container.uuid.to_string());
        Ok(printer.keys(&ids.collect::<Vec<_>>())?)
    }

    fn rendered(&self, printer: &Printer, containers: &[Container]) -> Result<String, PrintError> {
        printer.rendered(&records(containers), table(containers, self.shown()))
    }

    const fn shown(&self) -> Shown {
        Shown { whole_ids: self.no_trunc, projects: self.all_projects }
    }

    /// Takes the filters, also those that have a flag of their own.
    fn filters(&mut self) -> Filters {
        let mut filters = std::mem::take(&mut self.filter);
        for given in std::mem::take(&mut self.f) {
            match given {
                FilterOrFormat::Filter(filter) => filters.push(filter),
                FilterOrFormat::Format(format) => self.format = Some(format),
            }
        }
        filters.extend(self.name.take().map(Filter::Name));
        filters.extend(self.image.take().map(Filter::Image));
        filters.extend(self.status.take().map(Filter::Status));
        filters.extend(self.host.take().map(Filter::Host));
        Filters::new(filters)
    }

    /// Fetches no more pages than are needed.
    async fn fetch(&self, api: &Client, filters: &Filters) -> Result<Vec<Container>, ApiError> {
        let limit = if self.latest { Some(1) } else { self.limit.and_then(|Limit(limit)| limit) };
        let mut containers = Vec::new();
        let mut last = None;
        loop {
            let left = limit.map(|limit| limit.saturating_sub(containers.len()));
            let query = self.query(filters, left);
            let page = api.list_page(&query, last.as_ref()).await?;
            last = page.containers.last().cloned().filter(|_| page.next.is_some());
            let matching = |container: &Container| filters.match_container(container);
            containers.extend(page.containers.into_iter().filter(matching));
            containers.truncate(limit.unwrap_or(usize::MAX));
            if last.is_none() || limit == Some(containers.len()) {
                return Ok(containers);
            }
        }
    }

    /// The query for the next page, if `left` containers are still wanted.
    fn query(&self, filters: &Filters, left: Option<usize>) -> ListQuery {
        let Sort { key, direction } = self.sort.unwrap_or(NEWEST_FIRST);
        let mut parameters = filters.parameters();
        parameters.push(("sort_key", key.to_owned()));
        parameters.push(("sort_dir", direction.to_owned()));
        if self.all_projects {
            parameters.push(("all_projects", "true".to_owned()));
        }
        if let Some(left) = left.filter(|_| filters.are_the_services()) {
            parameters.push(("limit", left.to_string()));
        }
        ListQuery { parameters }
    }
}
