//! Which database zun-api uses. The URL may contain a password, so no error here repeats it.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use zun_common::secret::Secret;

/// The database.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Keys")]
pub struct DatabaseSettings {
    /// Which database.
    pub url: DatabaseUrl,
    /// Maximum number of connections. With SQLite they only read: one more writes.
    pub connections: u32,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { url: DatabaseUrl::Sqlite(PathBuf::from("/var/lib/zun/zun.sqlite")), connections: 4 }
    }
}

/// A database, chosen by the scheme of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:///PATH`: the SQLite file. Created if it does not exist.
    Sqlite(PathBuf),
    /// `postgres://…`: the URL, as libpq reads it.
    Postgres(Secret<String>),
}

/// A URL that names no database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// The scheme is unknown or missing.
    #[error(
        "database.url must start with `sqlite:///` and name a file by its absolute path, or start with `postgres://`"
    )]
    Scheme,
    /// The path of the SQLite file has parameters.
    #[error(
        "database.url must be only `sqlite://` and an absolute path: parameters are not supported"
    )]
    SqliteParameters,
    /// Both keys are set.
    #[error(
        "database.url and database.path are both set: keep database.url, and remove database.path, its deprecated form"
    )]
    BothKeys,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.contains('?') {
                return Err(DatabaseUrlError::SqliteParameters);
            }
            if path.starts_with('/') && !path.ends_with('/') {
                return Ok(Self::Sqlite(PathBuf::from(path)));
            }
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::new(text.to_owned())));
        }
        Err(DatabaseUrlError::Scheme)
    }
}

/// The keys in the settings file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    url: Option<String>,
    path: Option<PathBuf>,
    connections: Option<u32>,
}

impl TryFrom<Keys> for DatabaseSettings {
    type Error = DatabaseUrlError;

    fn try_from(keys: Keys) -> Result<Self, DatabaseUrlError> {
        let Keys { url, path, connections } = keys;
        let default = Self::default();
        let url = match (url, path) {
            (Some(_), Some(_)) => return Err(DatabaseUrlError::BothKeys),
            (Some(url), None) => url.parse()?,
            (None, Some(path)) => DatabaseUrl::Sqlite(path),
            (None, None) => default.url,
        };
        Ok(Self { url, connections: connections.unwrap_or(default.connections) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DatabaseSettings, String> {
        toml::from_str::<toml::Table>(text)
            .expect("valid TOML")
            .try_into()
            .map_err(|error: toml::de::Error| error.to_string())
    }

    #[test]
    fn the_scheme_chooses_the_database() {
        let url = |text: &str| read(text).expect("valid settings").url;
        let file = DatabaseUrl::Sqlite(PathBuf::from("/x/zun.sqlite"));
        assert_eq!(url("url = 'sqlite:///x/zun.sqlite'"), file);
        assert_eq!(url("path = '/x/zun.sqlite'"), file);
        assert_eq!(url(""), DatabaseSettings::default().url);
        for text in ["postgres://zun:pw@db/zun", "postgresql:///zun?host=/run/postgresql"] {
            let expected = DatabaseUrl::Postgres(Secret::new(text.to_owned()));
            assert_eq!(url(&format!("url = '{text}'")), expected);
        }
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_repeated() {
        for text in [
            "url = 'mysql://zun:hunter2@db/zun'",
            "url = 'zun:hunter2@db'",
            "url = 'sqlite://hunter2'",
            "url = 'sqlite:///hunter2/'",
            "url = 'sqlite:///x?key=hunter2'",
            "url = 'postgres://zun:hunter2@db/zun'\npath = '/x'",
        ] {
            let refusal = read(text).expect_err(text);
            assert!(refusal.contains("database.url"), "{refusal}");
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
        let both = read("url = 'sqlite:///x'\npath = '/x'").expect_err("both keys");
        assert!(both.contains("database.path"), "{both}");
        assert!(read("pool = 3").expect_err("an unknown key").contains("pool"));
    }

    #[test]
    fn debug_hides_the_password() {
        let settings = read("url = 'postgres://zun:hunter2@db/zun'").expect("valid settings");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
