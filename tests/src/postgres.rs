//! A PostgreSQL database per test, on the server of this test run. `tests/services/postgres.sh` starts it and passes its
//! URL in the environment.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use url::Url;
use uuid::Uuid;

use crate::eventually::eventually;

/// A database that no other test uses. It is removed when this is dropped.
#[derive(Debug)]
pub struct Database {
    server: Url,
    name: String,
}

impl Database {
    /// Creates an empty database.
    ///
    /// # Panics
    /// Panics if there is no server.
    pub fn create() -> Self {
        let server = std::env::var_os("ZUN_TEST_POSTGRES").and_then(|url| url.into_string().ok());
        let server = server.expect(
            "ZUN_TEST_POSTGRES is not set: run the tests with `make test`, or with `tests/services/postgres.sh cargo test …`",
        );
        let server = server.parse().expect("a URL");
        let name = format!("test_{}", Uuid::new_v4().simple());
        query(&server, &format!("CREATE DATABASE {name}"));
        Self { server, name }
    }

    /// Returns the URL for `database.url`.
    pub fn url(&self) -> String {
        self.at().to_string()
    }

    /// Returns the URL for `database.url` that connects to another address.
    ///
    /// # Panics
    /// Panics if the URL has no room for it.
    pub fn url_through(&self, way: SocketAddr) -> String {
        let mut url = self.at();
        url.set_ip_host(way.ip()).expect("an address");
        url.set_port(Some(way.port())).expect("a port");
        url.to_string()
    }

    /// Returns the address on which the server listens.
    ///
    /// # Panics
    /// Panics if it is not an address on this machine.
    pub fn address(&self) -> SocketAddr {
        let ip = self.server.host_str().and_then(|host| host.parse().ok()).expect("an IP address");
        SocketAddr::new(ip, self.server.port().expect("a port"))
    }

    /// Kills the process of one connection with SIGKILL. The server then ends all connections, also those to other
    /// databases, and recovers from its log. Waits until it answers again.
    ///
    /// # Panics
    /// Panics if that fails.
    pub fn crash(&self) {
        let statement = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let pid = query(&self.server, statement).trim().parse().ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), Signal::KILL).expect("the process runs");
        eventually("PostgreSQL answers again", || psql(&self.server, "SELECT 1").is_ok());
    }

    /// Runs a statement, and returns its rows as text.
    ///
    /// # Panics
    /// Panics if it fails.
    pub fn query(&self, statement: &str) -> String {
        query(&self.at(), statement)
    }

    /// Copies the database, and ends its connections.
    ///
    /// # Panics
    /// Panics if that fails.
    pub fn copy(&self) {
        let Self { server, name } = self;
        self.disconnect();
        query(server, &format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    }

    /// Replaces the database with its copy, which is then gone.
    ///
    /// # Panics
    /// Panics if that fails.
    pub fn restore(&self) {
        let Self { server, name } = self;
        query(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        query(server, &format!("ALTER DATABASE {name}_copy RENAME TO {name}"));
    }

    fn disconnect(&self) {
        let connections =
            format!("SELECT pid FROM pg_stat_activity WHERE datname = '{}'", self.name);
        let end = format!("SELECT pg_terminate_backend(pid) FROM ({connections}) AS connections");
        query(&self.server, &end);
    }

    fn at(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        query(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        query(&self.server, &format!("DROP DATABASE IF EXISTS {}_copy WITH (FORCE)", self.name));
    }
}

fn query(url: &Url, statement: &str) -> String {
    psql(url, statement).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a statement, and returns its rows as text, or what psql says.
fn psql(url: &Url, statement: &str) -> Result<String, String> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, url.as_str()]);
    let done = psql.output().expect("psql is installed");
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok(String::from_utf8(done.stdout).expect("text"))
}
