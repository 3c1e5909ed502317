//! The settings of a run, from the environment.

use std::str::FromStr;

use rand::RngExt as _;
use zun_tests::cluster::Shape;
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
    /// Number of zun-api: two, or one with SQLite.
    pub apis: usize,
    /// Number of RabbitMQ nodes.
    pub brokers: usize,
    /// Whether some outages last longer than every deadline, and the database is restored from older copies.
    pub is_long: bool,
}

impl Settings {
    /// Reads `ZUN_CHAOS_SEED`, `ZUN_CHAOS_OPERATIONS`, `ZUN_CHAOS_DATABASE` and `ZUN_CHAOS_BROKERS`. `operations` is the
    /// default.
    pub fn read(operations: usize, is_long: bool) -> Self {
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
            clients: if is_long { 12 } else { 6 },
            hosts: 2,
            apis: if postgres { 2 } else { 1 },
            brokers: variable("ZUN_CHAOS_BROKERS").unwrap_or(1),
            is_long,
        }
    }

    /// Returns the cluster to start, with a new database.
    pub fn shape(&self) -> Shape {
        let database = self.postgres.then(Database::create);
        Shape { hosts: self.hosts, apis: self.apis, brokers: self.brokers, database }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    let value = value.into_string().ok().and_then(|value| value.parse().ok());
    Some(value.unwrap_or_else(|| panic!("{name} has a wrong value")))
}
