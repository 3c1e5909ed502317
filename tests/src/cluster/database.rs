//! The database of a cluster, and an older copy of it.

use std::path::PathBuf;

use super::Cluster;
use crate::postgres::Database;

/// The files of a SQLite database, by their suffix. It makes the last one again.
const FILES: [&str; 3] = ["", "-wal", SHARED_MEMORY];
const SHARED_MEMORY: &str = "-shm";

impl Cluster {
    /// Returns the URL of the database.
    pub(super) fn database_url(&self) -> String {
        let file = || format!("sqlite://{}", self.database_file("").display());
        self.database.as_ref().map_or_else(file, Database::url)
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
