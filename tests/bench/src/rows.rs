//! The rows of the table: what is measured, and the goal.

use serde::{Deserialize, Serialize};

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, by which `ZUN_BENCH_ROWS` selects it.
    pub name: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// The unit of its value.
    pub unit: Unit,
    /// The goal, if it has one.
    pub goal: Option<Goal>,
}

/// The rows about one subject.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The rows.
    pub rows: &'static [Row],
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Zun's time over that of its baseline.
    Ratio,
    /// Round trips over the network.
    RoundTrips,
    /// Requests per second.
    PerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Percent.
    Percent,
    /// Mebibytes.
    Mebibytes,
    /// A number of events.
    Count,
}

/// A limit that the value must keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// It must be at most this.
    AtMost(f64),
    /// It must be at least this.
    AtLeast(f64),
}

impl Goal {
    /// Returns whether the value meets the goal.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl Unit {
    /// Writes a value in this unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}"),
            Self::RoundTrips => format!("{value:.1}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Percent => format!("{value:.1} %"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

const fn row(name: &'static str, what: &'static str, unit: Unit) -> Row {
    Row { name, what, unit, goal: None }
}

impl Row {
    const fn at_most(self, limit: f64) -> Self {
        Self { goal: Some(Goal::AtMost(limit)), ..self }
    }

    const fn at_least(self, limit: f64) -> Self {
        Self { goal: Some(Goal::AtLeast(limit)), ..self }
    }
}

/// All rows.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Commands, compared with docker's on the same engine",
        rows: &[
            row(
                "cli-run",
                "`zun run -i --rm IMAGE true`, compared with `docker run -i --rm`",
                Unit::Ratio,
            )
            .at_most(1.0),
            row(
                "cli-run-terminal",
                "the same on a terminal, compared with `docker run -it --rm`",
                Unit::Ratio,
            )
            .at_most(1.0),
            row("cli-exec", "`zun exec`, compared with `docker exec`", Unit::Ratio).at_most(0.9),
            row("cli-list", "`zun list`, compared with `docker ps`", Unit::Ratio).at_most(0.3),
        ],
    },
    Group {
        title: "Commands on a network with a round trip of 50 ms, beyond their time without it",
        rows: &[
            row("rtt-run", "`zun run -i --rm IMAGE true`", Unit::RoundTrips).at_most(7.0),
            row("rtt-exec", "`zun exec -i`", Unit::RoundTrips).at_most(6.0),
            row("rtt-logs", "`zun logs`", Unit::RoundTrips).at_most(5.0),
            row("rtt-list", "`zun list`", Unit::RoundTrips).at_most(2.0),
        ],
    },
    Group {
        title: "The console gate, compared with a direct connection to Docker",
        rows: &[
            row("gate-echo", "echo of a key, compared with a direct connection", Unit::Ratio)
                .at_most(1.3),
            row(
                "gate-echo-added",
                "echo of a key, beyond that of an attach on Docker's unix socket",
                Unit::Milliseconds,
            )
            .at_most(0.06),
            row("gate-echo-p99", "time of 99 % of the echoes", Unit::Milliseconds),
            row("gate-bulk-out", "output, of the rate of a direct connection", Unit::Percent)
                .at_least(95.0),
            row("gate-bulk-in", "input, of the rate of a direct connection", Unit::Percent)
                .at_least(95.0),
            row("gate-memory", "memory of an idle session", Unit::Mebibytes).at_most(0.125),
            row(
                "gate-resume",
                "99 % of the times until a lost link is replaced, with a round trip of 50 ms",
                Unit::Milliseconds,
            )
            .at_most(250.0),
            row("gate-join", "time until a late client has the screen", Unit::Milliseconds)
                .at_most(50.0),
            row("gate-join-size", "size of that screen, 120 columns by 40 rows", Unit::Mebibytes)
                .at_most(0.0625),
            row(
                "gate-restart",
                "from the signal that restarts the gate to the next echo",
                Unit::Milliseconds,
            )
            .at_most(300.0),
            row(
                "gate-load",
                "99 % of the echoes, 200 sessions printing 1 MB/s each, over one session",
                Unit::Ratio,
            )
            .at_most(3.0),
            row("gate-cuts", "bytes lost or repeated over 500 links cut at random", Unit::Count)
                .at_most(0.0),
        ],
    },
    Group {
        title: "Requests to zun-api, on SQLite",
        rows: &[
            row("api-list-100", "list of 100 containers, 8 clients", Unit::PerSecond)
                .at_least(3000.0),
            row("api-list-1000", "list of 1,000 containers, 8 clients", Unit::PerSecond)
                .at_least(1000.0),
            row("api-show", "one container, one client", Unit::Milliseconds).at_most(0.2),
        ],
    },
    Group {
        title: "Pages of 100 of 100,000 containers, over pages of 100 of 1,000",
        rows: &[
            row("page-sqlite-orders", "SQLite, each sort key, no filter", Unit::Ratio).at_most(1.2),
            row(
                "page-sqlite-running",
                "SQLite, status Running (80 % of the containers)",
                Unit::Ratio,
            )
            .at_most(1.2),
            row("page-sqlite-error", "SQLite, status Error (0.2 %)", Unit::Ratio).at_most(1.2),
            row("page-sqlite-image", "SQLite, image (10 %)", Unit::Ratio).at_most(1.2),
            row("page-sqlite-user", "SQLite, user (20 %)", Unit::Ratio).at_most(1.2),
            row("page-sqlite-memory", "SQLite, memory (25 %)", Unit::Ratio).at_most(1.2),
            row("page-sqlite-host", "SQLite, host (10 %)", Unit::Ratio).at_most(1.2),
            row("page-sqlite-auto-remove", "SQLite, auto_remove (33 %)", Unit::Ratio).at_most(1.2),
            row(
                "page-sqlite-combined",
                "SQLite, each filter with each other sort key",
                Unit::Ratio,
            ),
            row("page-postgres-orders", "PostgreSQL, each sort key, no filter", Unit::Ratio)
                .at_most(1.2),
            row(
                "page-postgres-running",
                "PostgreSQL, status Running (80 % of the containers)",
                Unit::Ratio,
            )
            .at_most(1.2),
            row("page-postgres-error", "PostgreSQL, status Error (0.2 %)", Unit::Ratio)
                .at_most(1.2),
            row("page-postgres-image", "PostgreSQL, image (10 %)", Unit::Ratio).at_most(1.2),
            row("page-postgres-user", "PostgreSQL, user (20 %)", Unit::Ratio).at_most(1.2),
            row("page-postgres-memory", "PostgreSQL, memory (25 %)", Unit::Ratio).at_most(1.2),
            row("page-postgres-host", "PostgreSQL, host (10 %)", Unit::Ratio).at_most(1.2),
            row("page-postgres-auto-remove", "PostgreSQL, auto_remove (33 %)", Unit::Ratio)
                .at_most(1.2),
            row(
                "page-postgres-combined",
                "PostgreSQL, each filter with each other sort key",
                Unit::Ratio,
            ),
        ],
    },
    Group {
        title: "Pages of 100 of 1,000,000 containers, over pages of 100 of 1,000",
        rows: &[
            row("page-1m-sqlite-orders", "SQLite, each sort key, no filter", Unit::Ratio)
                .at_most(1.2),
            row(
                "page-1m-sqlite-running",
                "SQLite, status Running (80 % of the containers)",
                Unit::Ratio,
            )
            .at_most(1.2),
            row("page-1m-sqlite-error", "SQLite, status Error (0.2 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-sqlite-image", "SQLite, image (10 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-sqlite-user", "SQLite, user (20 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-sqlite-memory", "SQLite, memory (25 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-sqlite-host", "SQLite, host (10 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-sqlite-auto-remove", "SQLite, auto_remove (33 %)", Unit::Ratio)
                .at_most(1.2),
            row(
                "page-1m-sqlite-combined",
                "SQLite, each filter with each other sort key",
                Unit::Ratio,
            ),
            row("page-1m-postgres-orders", "PostgreSQL, each sort key, no filter", Unit::Ratio)
                .at_most(1.2),
            row(
                "page-1m-postgres-running",
                "PostgreSQL, status Running (80 % of the containers)",
                Unit::Ratio,
            )
            .at_most(1.2),
            row("page-1m-postgres-error", "PostgreSQL, status Error (0.2 %)", Unit::Ratio)
                .at_most(1.2),
            row("page-1m-postgres-image", "PostgreSQL, image (10 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-postgres-user", "PostgreSQL, user (20 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-postgres-memory", "PostgreSQL, memory (25 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-postgres-host", "PostgreSQL, host (10 %)", Unit::Ratio).at_most(1.2),
            row("page-1m-postgres-auto-remove", "PostgreSQL, auto_remove (33 %)", Unit::Ratio)
                .at_most(1.2),
            row(
                "page-1m-postgres-combined",
                "PostgreSQL, each filter with each other sort key",
                Unit::Ratio,
            ),
        ],
    },
    Group {
        title: "Creates, and reports of agents",
        rows: &[
            row("create-sqlite", "creates accepted on SQLite, 8 clients, 4 hosts", Unit::PerSecond),
            row(
                "create-postgres",
                "creates accepted on PostgreSQL, 8 clients, 4 hosts",
                Unit::PerSecond,
            ),
            row(
                "report-to-client",
                "from an agent's report to the answer of the client that waits for it",
                Unit::Milliseconds,
            ),
        ],
    },
    Group {
        title: "The bus",
        rows: &[row(
            "rpc",
            "a call over RabbitMQ, over the same two messages with lapin alone",
            Unit::Ratio,
        )
        .at_most(1.2)],
    },
    Group {
        title: "1,000 simulated hosts: one RabbitMQ, two zun-api on PostgreSQL, all on this machine",
        rows: &[
            row(
                "agents-heartbeats",
                "processor time of both zun-api for heartbeats alone, of one core",
                Unit::Percent,
            )
            .at_most(5.0),
            row("agents-creates", "creates accepted and carried out, 8 clients", Unit::PerSecond)
                .at_least(100.0),
            row("agents-p99", "time of 99 % of their answers", Unit::Milliseconds).at_most(250.0),
            row("agents-flaps", "hosts that were shown as down meanwhile", Unit::Count)
                .at_most(0.0),
        ],
    },
    Group {
        title: "What a small installation costs",
        rows: &[
            row(
                "ledger",
                "all commits to the database during `zun run -i --rm IMAGE true`, over its time",
                Unit::Percent,
            )
            .at_most(3.0),
            row("memory-zun-api", "idle memory of zun-api", Unit::Mebibytes),
            row("memory-zun-compute", "idle memory of zun-compute", Unit::Mebibytes),
            row("memory-zun-authz", "idle memory of zun-authz", Unit::Mebibytes),
        ],
    },
];

/// Returns all rows, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|group| group.rows)
}

/// Returns the row of this name.
///
/// # Panics
/// Panics if there is none.
pub fn named(name: &str) -> &'static Row {
    all().find(|row| row.name == name).unwrap_or_else(|| panic!("there is no row {name}"))
}
