//! The settings of a run, from the environment.

use std::str::FromStr;

use rand::RngExt as _;
use zun_tests::postgres::Database;

/// The settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The seed of the schedule of requests and faults.
    pub seed: u64,
    /// How many requests that change something the clients send, in total.
    pub operations: usize,
    /// Number of clients. Each has at most one request open.
    pub clients: usize,
    /// Number of hosts.
    pub hosts: usize,
    /// Whether zun-api uses PostgreSQL, and not SQLite.
    pub postgres: bool,
    /// Whether some outages last longer than every deadline.
    pub long_outages: bool,
}

impl Settings {
    /// Reads `ZUN_CHAOS_SEED`, `ZUN_CHAOS_OPERATIONS` and `ZUN_CHAOS_DATABASE`. `operations` is the default.
    pub fn read(operations: usize, long_outages: bool) -> Self {
        let database = variable::<String>("ZUN_CHAOS_DATABASE");
        let postgres = match database.as_deref() {
            None | Some("sqlite") => false,
            Some("postgres") => true,
            Some(other) => panic!("ZUN_CHAOS_DATABASE is `{other}`, not sqlite or postgres"),
        };
        Self {
            postgres,
            seed: variable("ZUN_CHAOS_SEED").unwrap_or_else(|| rand::rng().random()),
            operations: variable("ZUN_CHAOS_OPERATIONS").unwrap_or(operations),
            clients: 6,
            hosts: 2,
            long_outages,
        }
    }

    /// Creates the database of a run; None for SQLite.
    pub fn database(&self) -> Option<Database> {
        self.postgres.then(Database::create)
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    let value = value.into_string().ok().and_then(|value| value.parse().ok());
    Some(value.unwrap_or_else(|| panic!("{name} has a wrong value")))
}
