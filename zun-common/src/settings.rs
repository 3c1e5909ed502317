//! Reads settings from a TOML file. Environment variables (`ZUN_API__BUS__URL=…`) override the file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Why settings cannot be used. The message names the file or the variable, and the key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not valid TOML.
    #[error("the settings file `{path}` is not valid TOML: line {line}: {why}")]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The cause, without the line itself: it may contain a password.
        why: String,
    },
    /// A variable names a key below a setting that is not a table.
    #[error("the environment variable `{name}` names a key below a setting that is not a table")]
    NotATable {
        /// The variable.
        name: String,
    },
    /// A key is unknown or a value is not valid.
    #[error("the settings{} are not valid", from.as_ref().map(|path| format!(" in `{}`", path.display())).unwrap_or_default())]
    Invalid {
        /// The file, if one was read.
        from: Option<PathBuf>,
        /// Which key, and why.
        #[source]
        cause: Box<toml::de::Error>,
    },
}

/// The sources of settings.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    /// The prefix of all variable names, with the two underscores.
    start: String,
    variables: Vec<(String, String)>,
}

impl Sources {
    /// Collects the file, if one is named, and all variables that start with `prefix` and two underscores.
    pub fn new(file: Option<&Path>, prefix: &str) -> Self {
        let start = format!("{prefix}__");
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(&start))
            .collect();
        Self { file: file.map(Path::to_owned), start, variables }
    }

    /// Reads and merges the sources, and checks every key.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        let mut table = match &self.file {
            Some(path) => read_file(path)?,
            None => Table::new(),
        };
        for (name, value) in &self.variables {
            let keys = name.strip_prefix(&self.start).unwrap_or(name);
            let keys: Vec<String> = keys.split("__").map(str::to_lowercase).collect();
            insert(&mut table, &keys, scalar(value))
                .ok_or_else(|| SettingsError::NotATable { name: name.clone() })?;
        }
        T::deserialize(Value::Table(table)).map_err(|cause| SettingsError::Invalid {
            from: self.file.clone(),
            cause: Box::new(cause),
        })
    }
}

fn read_file(path: &Path) -> Result<Table, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| SettingsError::Unreadable { path: path.to_owned(), cause })?;
    text.parse().map_err(|cause: toml::de::Error| {
        let before = cause.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        SettingsError::NotToml { path: path.to_owned(), line, why: cause.message().to_owned() }
    })
}

/// Parses a whole number or a boolean; everything else is text.
fn scalar(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Integer(number);
    }
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => Value::String(text.to_owned()),
    }
}

fn insert(table: &mut Table, keys: &[String], value: Value) -> Option<()> {
    let (first, rest) = keys.split_first()?;
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return Some(());
    }
    let below = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    insert(below.as_table_mut()?, rest, value)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        port: u16,
        bus: Bus,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bus {
        url: String,
    }

    fn sources(text: &str, variables: &[(&str, &str)]) -> (tempfile::NamedTempFile, Sources) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let start = "ZUN__".to_owned();
        let sources = Sources { file: Some(file.path().to_owned()), start, variables };
        (file, sources)
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let (_file, sources) = sources(
            "port = 1\n[bus]\nurl = 'memory://'",
            &[("ZUN__BUS__URL", "amqp://x"), ("ZUN__PORT", "2")],
        );
        let sample: Sample = sources.read().expect("valid settings");
        assert_eq!(sample, Sample { port: 2, bus: Bus { url: "amqp://x".to_owned() } });
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_key_and_the_file() {
        let (file, sources) = sources("port = 1\nprot = 2\n[bus]\nurl = 'x'", &[]);
        let error = sources.read::<Sample>().expect_err("an unknown key");
        let words = crate::chain(&error);
        assert!(
            words.contains("prot") && words.contains(&file.path().display().to_string()),
            "{words}"
        );
    }

    #[test]
    fn an_error_about_a_variable_contains_its_full_name() {
        let (_file, sources) = sources("port = 1\n[bus]\nurl = 'x'", &[("ZUN__PORT__X", "1")]);
        let error = sources.read::<Sample>().expect_err("`port` is not a table");
        assert!(error.to_string().contains("`ZUN__PORT__X`"), "{error}");
    }

    #[test]
    fn an_error_about_toml_names_the_line_and_does_not_show_it() {
        let (_file, sources) =
            sources("port = 1\n[bus]\nurl = amqp://zun:hunter2@localhost/%2f", &[]);
        let error = sources.read::<Sample>().expect_err("not TOML");
        let words = format!("{} {error:?}", crate::chain(&error));
        assert!(words.contains("line 3") && !words.contains("hunter2"), "{words}");
    }

    #[test]
    fn the_error_for_a_missing_file_names_it() {
        let sources = Sources::new(Some(Path::new("/nowhere/zun.toml")), "ZUN_NOTHING");
        let error = sources.read::<Sample>().expect_err("no such file");
        assert!(crate::chain(&error).contains("/nowhere/zun.toml"));
    }
}
