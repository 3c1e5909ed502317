//! Fills a database with containers: copies of one that was created through the API, so that they are as zun-api writes
//! them, with other names, states and times.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;
use serde_json::json;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources};
use zun_tests::scripted_agent::ScriptedAgent;

use crate::run::Run;
use crate::server::{Database, Servers};

/// The host of the containers.
pub const HOST: &str = "host0";

/// The columns that differ between the copies: half of them are in the project of the token, 20 % are stopped, 0.2 % in
/// Error. `n` is the number of the copy, `base` the row that is copied.
const DIFFERENT: [(&str, &str); 11] = [
    ("project_id", "CASE n % 2 WHEN 0 THEN 'blue' ELSE 'red' END"),
    ("user_id", "'user' || (n % 10)"),
    ("name", "'c' || ((n * 7919) % 1000003) || '-' || n"),
    ("image", "'image' || (n % 20)"),
    ("cpu_millis", "100 * (1 + n % 8)"),
    ("memory_mib", "64 * (1 + n % 8)"),
    ("auto_remove", "(n % 3 = 0)"),
    (
        "status",
        "CASE WHEN n % 1000 < 2 THEN 'Error' WHEN n % 10 < 2 THEN 'Stopped' ELSE 'Running' END",
    ),
    ("host", "CASE WHEN n % 20 = 0 THEN 'host1' ELSE base.host END"),
    ("created_at", "TIME"),
    ("updated_at", "TIME"),
];

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Starts an agent with much room, and sends its heartbeat, which is valid for ten minutes.
///
/// # Panics
/// Panics if zun-api refuses.
pub fn agent(run: &Run, servers: &Servers, host: &str) -> ScriptedAgent {
    run.runtime.block_on(async {
        let bus = zun_common::bus::connect(&servers.bus.settings(), host, &servers.tasks);
        let bus = bus.expect("a bus");
        let connected = async || bus.transport().is_connected().then_some(());
        zun_tests::eventually::eventually_some("the bus is connected", connected).await;
        let agent = ScriptedAgent::start(&bus, host, &servers.tasks).await;
        let total = Resources { cpus: Cpus::from_millis(4_000_000), memory: Mebibytes(16 << 20) };
        let roomy = agent.heartbeat(|heartbeat| {
            heartbeat.interval = 600;
            if let Some(inventory) = &mut heartbeat.inventory {
                inventory.total = total;
            }
        });
        roomy.await.expect("zun-api accepts the heartbeat");
        agent
    })
}

/// Creates the first container, running on [`HOST`], and returns the uuid.
///
/// # Panics
/// Panics if zun-api refuses.
pub fn first(run: &Run, servers: &Servers, agent: &ScriptedAgent) -> String {
    let body = json!({
        "image": "cirros", "name": "first", "command": ["sh", "-c", "sleep 1000"], "cpu": 0.1, "memory": 64,
        "environment": {"A": "1"}, "labels": {"role": "demo"}, "host": HOST,
    });
    let mut api = servers.connect(0);
    let created = api.request("POST", "/v1/containers", &body.to_string());
    assert_eq!(created.status, 202, "{}", String::from_utf8_lossy(created.body));
    let shown: serde_json::Value = serde_json::from_slice(created.body).expect("JSON");
    let id = shown["uuid"].as_str().expect("a uuid").to_owned();
    let parsed = id.parse().expect("a uuid");
    run.runtime.block_on(async {
        agent.receives_about("container.create", parsed).await;
        agent.report(parsed, Status::Running, |_| {}).await;
    });
    id
}

/// Copies the first container, so that there are copies with the numbers `from` to `to`, exclusive.
///
/// # Panics
/// Panics if the database refuses.
pub fn copies(database: &Database, (from, to): (usize, usize)) {
    match database {
        Database::Sqlite(file) => {
            let file = file.display().to_string();
            let mut conn = SqliteConnection::establish(&file).expect("the database");
            let pragmas = "PRAGMA busy_timeout = 20000; PRAGMA cache_size = -500000; PRAGMA synchronous = OFF;";
            conn.batch_execute(pragmas).expect("set");
            let names = diesel::sql_query("SELECT name FROM pragma_table_info('containers')");
            let columns: Vec<Column> = names.load(&mut conn).expect("the columns");
            let columns = columns.into_iter().map(|column| column.name).collect();
            let series = format!(
                "WITH RECURSIVE g(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM g WHERE n + 1 < {to})"
            );
            let uuid = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) \
                        || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))";
            let time = "datetime('2026-01-01', ((n * 7919) % 1000003) || ' seconds') || '.000001'";
            let insert = insert(columns, (uuid, time));
            conn.batch_execute(&format!("{series} {insert}; PRAGMA wal_checkpoint(TRUNCATE);"))
                .expect("filled");
        }
        Database::Postgres(database) => {
            let columns = database.query(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'containers'",
            );
            let columns = columns.lines().map(str::to_owned).collect();
            let series =
                format!("WITH g(n) AS (SELECT * FROM generate_series({from}::BIGINT, {to} - 1))");
            let time = "TIMESTAMP '2026-01-01 00:00:00.000001' + ((n * 7919) % 1000003) * INTERVAL '1 second'";
            let insert = insert(columns, ("gen_random_uuid()::TEXT", time));
            database.query(&format!("{series} {insert}"));
            database.query("VACUUM ANALYZE");
        }
    }
}

fn insert(columns: Vec<String>, (uuid, time): (&str, &str)) -> String {
    let columns: Vec<String> = columns.into_iter().filter(|column| column != "id").collect();
    let values: Vec<String> = columns
        .iter()
        .map(|column| {
            let other = DIFFERENT.iter().find(|(name, _)| name == column);
            match other {
                Some((_, value)) => value.replace("TIME", time),
                None if column == "uuid" => uuid.to_owned(),
                None => format!("base.{column}"),
            }
        })
        .collect();
    format!(
        "INSERT INTO containers ({}) SELECT {} FROM g, containers AS base WHERE base.name = 'first'",
        columns.join(", "),
        values.join(", ")
    )
}
