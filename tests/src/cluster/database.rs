//! The database of a cluster, and an older copy of it.

use std::path::PathBuf;

use super::Cluster;
use crate::proxy::Proxy;

/// The files of a SQLite database, by their suffix. It makes the last one again.
const FILES: [&str; 3] = ["", "-wal", SHARED_MEMORY];
const SHARED_MEMORY: &str = "-shm";

impl Cluster {
    /// Returns the URL of the database for one zun-api, and the proxy through which it leads.
    pub(super) async fn database_link(&self) -> (Option<Proxy>, String) {
        match &self.database {
            None => (None, format!("sqlite://{}", self.database_file("").display())),
            Some(database) if self.has_links => {
                let proxy = Proxy::to(database.address()).await;
                let url = database.url_through(proxy.address());
                (Some(proxy), url)
            }
            Some(database) => (None, database.url()),
        }
    }

    /// Returns the proxy between a zun-api and PostgreSQL. Only in a cluster that is breakable and uses it.
    pub fn postgres_link(&self, api: usize) -> &Proxy {
        self.apis[api].database_link.as_ref().expect("a breakable cluster with PostgreSQL")
    }

    /// Kills a process of PostgreSQL with SIGKILL. The server ends all connections, and recovers from its log.
    pub fn crash_postgres(&self) {
        self.database.as_ref().expect("a cluster with PostgreSQL").crash();
    }

    /// Copies the database. No zun-api may run.
    pub fn copy_database(&self) {
        match &self.database {
            Some(database) => database.copy(),
            None => self.replace_file("", ".copy"),
        }
    }

    /// Brings the copy of the database back. No zun-api may run.
    pub fn restore_database(&self) {
        match &self.database {
            Some(database) => database.restore(),
            None => self.replace_file(".copy", ""),
        }
    }

    fn replace_file(&self, from: &str, to: &str) {
        for file in FILES {
            let from = self.database_file(&format!("{from}{file}"));
            let to = self.database_file(&format!("{to}{file}"));
            if to.exists() {
                std::fs::remove_file(&to).expect("removed");
            }
            if from.exists() && file != SHARED_MEMORY {
                std::fs::copy(from, to).expect("copied");
            }
        }
    }

    fn database_file(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("zun.sqlite{suffix}"))
    }
}
