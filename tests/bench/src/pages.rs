//! Pages of long lists over pages of short ones, on both databases: each sort key, each filter in the default order, and
//! each filter with each other sort key. Of each, the first page, one in the middle and the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::Connection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use crate::figures::{Figure, Summary};
use crate::fill;
use crate::http::Connection;
use crate::run::{Run, timed};
use crate::server::{Database, Kind, Servers};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["page-"];

/// The last part of a row's name, and the filter.
const FILTERS: [(&str, &str); 7] = [
    ("running", "&status=Running"),
    ("error", "&status=Error"),
    ("image", "&image=image4"),
    ("user", "&user_id=user2"),
    ("memory", "&memory=64"),
    ("host", "&host=host1"),
    ("auto-remove", "&auto_remove=true"),
];

/// The last part of the name of the row for all sort keys without a filter.
const ORDERS: &str = "orders";
/// The last part of the name of the row for all filters with all sort keys but the default.
const COMBINED: &str = "combined";

/// The default sort key of the API, and its column.
const DEFAULT: (&str, &str) = ("id", "id");
/// The other sort keys of the API, and their columns.
const OTHERS: [(&str, &str); 8] = [
    ("uuid", "uuid"),
    ("name", "name"),
    ("image", "image"),
    ("status", "status"),
    ("memory", "memory_mib"),
    ("cpu", "cpu_millis"),
    ("created_at", "created_at"),
    ("updated_at", "updated_at"),
];

const SHORT: usize = 1000;
const LONG: usize = 100_000;
const VERY_LONG: usize = 1_000_000;
const PAGE: usize = 100;
const ROUNDS: usize = 12;

/// A page that takes longer than this is measured three times only.
const SLOW: Duration = Duration::from_millis(200);

/// A list of a certain length.
struct List {
    servers: Servers,
    client: Connection,
    length: usize,
}

/// The slowest page of a row.
struct Worst {
    figure: Figure,
    at: String,
}

/// Measures both databases.
pub fn measure(run: &Run) {
    for (kind, name) in [(Kind::Sqlite, "sqlite"), (Kind::Postgres, "postgres")] {
        let wanted =
            |prefix: &str| names().any(|last| run.wants(&format!("{prefix}-{name}-{last}")));
        let long = wanted("page-1m");
        if !long && !wanted("page") {
            continue;
        }
        let mut short = List::start(run, kind, SHORT);
        let mut list = List::start(run, kind, LONG);
        if wanted("page") {
            compare(run, (&mut short, &mut list), &format!("page-{name}"));
        }
        if long {
            list.grow(VERY_LONG);
            compare(run, (&mut short, &mut list), &format!("page-1m-{name}"));
        }
        list.servers.stop(run);
        short.servers.stop(run);
    }
}

impl List {
    fn start(run: &Run, kind: Kind, length: usize) -> Self {
        let servers = Servers::start(run, kind, 1);
        let agent = fill::agent(run, &servers, fill::HOST);
        fill::agent(run, &servers, "host1");
        fill::first(run, &servers, &agent);
        fill::copies(&servers.database, (0, length));
        let client = servers.connect(0);
        Self { servers, client, length }
    }

    fn grow(&mut self, length: usize) {
        fill::copies(&self.servers.database, (self.length, length));
        self.length = length;
    }

    /// Returns the rest of the query for the first page, one in the middle and the last one of the project's list.
    fn places(&self, column: &str) -> [String; 3] {
        let rows = self.length / 2;
        let marker = |offset: usize| {
            let statement = format!(
                "SELECT uuid FROM containers WHERE project_id = 'blue' ORDER BY {column}, id LIMIT 1 OFFSET {offset}"
            );
            format!("&marker={}", text(&self.servers.database, &statement))
        };
        [String::new(), marker(rows / 2), marker(rows - PAGE)]
    }
}

/// The last parts of the names of the rows.
fn names() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().map(|(name, _)| *name).chain([ORDERS, COMBINED])
}

/// Compares the pages of two lists, and records the slowest page of each row. The short list's pages have no filter.
fn compare(run: &Run, (short, long): (&mut List, &mut List), prefix: &str) {
    let mut worst: BTreeMap<&str, Worst> = BTreeMap::new();
    for (key, column) in [DEFAULT].into_iter().chain(OTHERS) {
        let places = short.places(column).into_iter().zip(long.places(column));
        for (place, (near, far)) in ["first", "middle", "last"].into_iter().zip(places) {
            let path = |rest: &str| format!("/v1/containers?limit={PAGE}&sort_key={key}{rest}");
            let base = path(&near);
            for (name, filter) in FILTERS.into_iter().chain([(ORDERS, "")]) {
                let is_combined = name != ORDERS && key != DEFAULT.0;
                let row = if is_combined { COMBINED } else { name };
                if !run.wants(&format!("{prefix}-{row}")) {
                    continue;
                }
                let page = path(&format!("{far}{filter}"));
                let mut near = Page { client: &mut short.client, path: &base };
                let mut far = Page { client: &mut long.client, path: &page };
                let figure = pair(run, &mut far, &mut near);
                if worst.get(row).is_none_or(|worst| worst.figure.value < figure.value) {
                    let of = if is_combined { format!(", filter {name}") } else { String::new() };
                    let at = format!("slowest: {place} page by {key}{of}");
                    worst.insert(row, Worst { figure, at });
                }
            }
        }
    }
    for (row, Worst { figure, at }) in worst {
        run.record(&format!("{prefix}-{row}"), figure.with_note(at));
    }
}

/// A page of a list.
struct Page<'a> {
    client: &'a mut Connection,
    path: &'a str,
}

impl Page<'_> {
    fn take(&mut self) -> Duration {
        timed(|| self.client.fetch(self.path))
    }
}

/// Measures two pages in turn.
fn pair(run: &Run, long: &mut Page<'_>, short: &mut Page<'_>) -> Figure {
    let usual = run.samples(ROUNDS);
    let rounds = if long.take() > SLOW { usual.min(3) } else { usual };
    short.take();
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        times.0.push(long.take());
        times.1.push(short.take());
    }
    Figure::ratio(Summary::of_times(&times.0), Summary::of_times(&times.1))
}

#[derive(QueryableByName)]
struct Uuid {
    #[diesel(sql_type = Text)]
    uuid: String,
}

/// Reads one text from a database.
fn text(database: &Database, statement: &str) -> String {
    match database {
        Database::Sqlite(file) => {
            let mut conn =
                SqliteConnection::establish(&file.display().to_string()).expect("the database");
            let found: Uuid = diesel::sql_query(statement).get_result(&mut conn).expect("a row");
            found.uuid
        }
        Database::Postgres(database) => database.query(statement).trim().to_owned(),
    }
}
