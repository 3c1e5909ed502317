//! Times of a page in lists of different lengths. Not a check: prints a table.
//!
//! `tests/services/postgres.sh cargo test --release -p zun-api --lib figures -- --ignored --nocapture --test-threads 1`

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::Fixture;
use super::claims::{add_host, name};
use super::pages::spec;
use crate::db::container::{Filter, Page, Scope, SortKey, page};
use crate::db::schema::containers::dsl;
use crate::db::{Conn, migrate};

const LENGTHS: [i64; 3] = [1_000, 100_000, 1_000_000];
const ROUNDS: usize = 30;

/// Adds rows up to this number: half of them in the project `blue`, a tenth stopped, one in a thousand in Error.
fn fill(conn: &mut Conn, from: i64, to: i64) {
    let resources = Resources { cpus: Cpus::from_millis(500), memory: Mebibytes(64) };
    let spec = serde_json::to_string(&spec("a-name", "cirros", resources)).expect("JSON");
    let (series, hash) = match conn {
        Conn::Sqlite(_) => (
            format!(
                "WITH RECURSIVE g(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM g WHERE n + 1 < {to})"
            ),
            "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) \
             || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))",
        ),
        Conn::Postgres(_) => (
            format!("WITH g(n) AS (SELECT * FROM generate_series({from}::BIGINT, {to} - 1))"),
            "gen_random_uuid()::TEXT",
        ),
    };
    let time = match conn {
        Conn::Sqlite(_) => {
            "datetime('2026-01-01', ((n * 7919) % 1000003) || ' seconds') || '.000001'"
        }
        Conn::Postgres(_) => {
            "TIMESTAMP '2026-01-01 00:00:00.000001' + ((n * 7919) % 1000003) * INTERVAL '1 second'"
        }
    };
    let statement = format!(
        "{series} INSERT INTO containers (uuid, project_id, user_id, name, image, cpu_millis, memory_mib, tty, \
         interactive, auto_remove, spec, start_wanted, generation, status, oom_killed, attached, \
         created_at, updated_at, host) SELECT {hash}, CASE n % 2 WHEN 0 THEN 'blue' ELSE 'red' END, 'user' || (n % 10), \
         'c' || ((n * 7919) % 1000003) || '-' || n, 'image' || (n % 20), 100 * (1 + n % 8), 64 * (1 + n % 8), false, \
         false, n % 3 = 0, '{spec}', true, 1, CASE WHEN n % 1000 < 2 THEN 'Error' WHEN n % 10 < 2 THEN 'Stopped' \
         ELSE 'Running' END, false, 0, {time}, {time}, 'h' || (n % 20) FROM g"
    );
    if matches!(conn, Conn::Sqlite(_)) {
        conn.batch_execute("PRAGMA cache_size = -1000000").expect("a large cache");
    }
    conn.batch_execute(&statement).expect("filled");
    if matches!(conn, Conn::Sqlite(_)) {
        conn.batch_execute("PRAGMA cache_size = -512").expect("the cache of zun-api");
    }
    // zun-api leaves SQLite without statistics.
    if matches!(conn, Conn::Postgres(_)) {
        conn.batch_execute("ANALYZE").expect("analyzed");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn measure(conn: &mut Conn, scope: &Scope, filter: &Filter, wanted: &Page) -> Duration {
    let mut once = || {
        let begun = Instant::now();
        let found = page(conn, scope, filter, wanted).expect("a page").expect("the marker exists");
        assert!(!found.is_empty());
        begun.elapsed()
    };
    let first = once();
    if first > Duration::from_millis(500) {
        return first;
    }
    median((0..ROUNDS).map(|_| once()).collect())
}

/// The markers of the middle page and of the last one.
fn markers(conn: &mut Conn, key: SortKey, count: i64) -> [Option<String>; 3] {
    let mut at = |offset: i64| -> Option<String> {
        let rows = dsl::containers.filter(dsl::project_id.eq("blue")).select(dsl::uuid);
        macro_rules! find {
            ($column:ident) => {
                rows.order((dsl::$column, dsl::id)).offset(offset).limit(1).first(conn)
            };
        }
        let found: QueryResult<String> = match key {
            SortKey::Id => find!(id),
            SortKey::Uuid => find!(uuid),
            SortKey::Name => find!(name),
            SortKey::Image => find!(image),
            SortKey::Status => find!(status),
            SortKey::Memory => find!(memory_mib),
            SortKey::Cpu => find!(cpu_millis),
            SortKey::CreatedAt => find!(created_at),
            SortKey::UpdatedAt => find!(updated_at),
        };
        Some(found.expect("a row"))
    };
    [None, at(count / 4), at(count / 2 - 101)]
}

fn cell(conn: &mut Conn, filter: &Filter, (key, marker): (SortKey, Option<String>)) -> String {
    let blue = Scope::Project("blue".parse().expect("a project"));
    let marker = marker.map(|uuid| uuid.parse().expect("a uuid"));
    let wanted = Page { key, descending: false, marker, limit: 100 };
    // The last page of all containers may have none that the filter matches.
    match page(conn, &blue, filter, &wanted).expect("a page") {
        Some(found) if !found.is_empty() => {
            let time = measure(conn, &blue, filter, &wanted);
            format!("{:.2}", time.as_secs_f64() * 1000.0)
        }
        Some(_) | None => "-".to_owned(),
    }
}

fn table(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    (0..20).for_each(|host| add_host(&mut conn, &name(host), Resources::default()));
    let filters = [
        ("none", Filter::default()),
        ("status Running (80 %)", Filter { status: Some(Status::Running), ..Filter::default() }),
        ("status Error (0.2 %)", Filter { status: Some(Status::Error), ..Filter::default() }),
        ("image (5 %)", Filter { image: Some("image4".to_owned()), ..Filter::default() }),
        ("user (10 %)", Filter { user: Some("user2".to_owned()), ..Filter::default() }),
        ("memory (13 %)", Filter { memory: Some(64), ..Filter::default() }),
        ("host (10 %)", Filter { host: Some(name(4)), ..Filter::default() }),
        ("auto_remove (33 %)", Filter { auto_remove: Some(true), ..Filter::default() }),
    ];
    let mut filled = 0;
    for length in LENGTHS {
        fill(&mut conn, filled, length);
        filled = length;
        for (name, key) in SortKey::NAMES {
            let markers = markers(&mut conn, key, length);
            for (what, filter) in &filters {
                let times = markers.clone().map(|marker| cell(&mut conn, filter, (key, marker)));
                println!("{length:>8} {name:<11} {what:<22} {} ms", times.join(" "));
            }
        }
    }
}

#[test]
#[ignore = "prints a table; takes minutes"]
fn sqlite_pages() {
    table(&Fixture::sqlite());
}

#[test]
#[ignore = "prints a table; takes minutes"]
fn postgres_pages() {
    table(&Fixture::postgres());
}
