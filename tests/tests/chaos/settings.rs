//! The settings of a run, from the environment.

use std::str::FromStr;

use rand::RngExt as _;

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
    /// Whether some outages last longer than every deadline.
    pub long_outages: bool,
}

impl Settings {
    /// Reads `ZUN_CHAOS_SEED` and `ZUN_CHAOS_OPERATIONS`. `operations` is the default.
    pub fn read(operations: usize, long_outages: bool) -> Self {
        let database = variable::<String>("ZUN_CHAOS_DATABASE");
        let database = database.as_deref().unwrap_or("sqlite");
        assert_eq!(database, "sqlite", "ZUN_CHAOS_DATABASE: zun-api supports only sqlite");
        Self {
            seed: variable("ZUN_CHAOS_SEED").unwrap_or_else(|| rand::rng().random()),
            operations: variable("ZUN_CHAOS_OPERATIONS").unwrap_or(operations),
            clients: 6,
            hosts: 2,
            long_outages,
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    let value = value.into_string().ok().and_then(|value| value.parse().ok());
    Some(value.unwrap_or_else(|| panic!("{name} has a wrong value")))
}
