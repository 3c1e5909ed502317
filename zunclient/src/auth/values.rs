//! The values of `OS_…` variables, or of a cloud in `clouds.yaml`. A value has the same name in both: `OS_AUTH_URL` is
//! `auth_url`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

/// The values of one cloud by name. They contain secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Values(BTreeMap<String, String>);

/// Why a cloud cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// There is no file.
    #[error("cannot find a clouds.yaml for cloud `{cloud}`; looked in {looked}")]
    NoFile {
        /// The cloud.
        cloud: String,
        /// The directories, joined by commas.
        looked: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// The cloud is not a mapping of values.
    #[error("cannot use cloud `{cloud}` in {path}: {what} must be a mapping")]
    BadCloud {
        /// The cloud.
        cloud: String,
        /// The file.
        path: PathBuf,
        /// What is wrong: the cloud itself, or its key `auth`.
        what: &'static str,
    },
    /// The file does not have the cloud.
    #[error("there is no cloud `{cloud}` in {path}; it has: {known}")]
    NoCloud {
        /// The cloud.
        cloud: String,
        /// The file.
        path: PathBuf,
        /// The names of the clouds, joined by commas.
        known: String,
    },
}

impl std::fmt::Debug for Values {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// Returns the values of all `OS_…` variables that are not empty.
    pub(crate) fn from_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::of(std::env::vars_os().filter_map(text))
    }

    /// Returns the values of these variables.
    pub(crate) fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let named = |(name, value): (String, String)| {
            let name = name.strip_prefix("OS_")?.to_ascii_lowercase();
            (!value.is_empty()).then_some((name, value))
        };
        Self(variables.into_iter().filter_map(named).collect())
    }

    /// Returns the values of a cloud. Looks for `clouds.yaml` in the current directory, in the user's configuration and
    /// in `/etc/openstack`; a `secure.yaml` next to it adds secrets. `OS_CLIENT_CONFIG_FILE` names another file.
    pub(crate) fn of_cloud(cloud: &str, environment: &Self) -> Result<Self, CloudError> {
        let files = files(environment);
        let Some(path) = files.iter().find(|path| path.exists()) else {
            let looked = files.iter().filter_map(|path| path.parent());
            let looked: Vec<String> = looked.map(|path| path.display().to_string()).collect();
            let looked = looked.join(", ");
            return Err(CloudError::NoFile { cloud: cloud.to_owned(), looked });
        };
        let mut clouds = read(path)?.clouds;
        let known = clouds.keys().cloned().collect::<Vec<_>>().join(", ");
        let found = clouds.remove(cloud).ok_or_else(|| CloudError::NoCloud {
            cloud: cloud.to_owned(),
            path: path.clone(),
            known,
        })?;
        let mut values = values_of(found, (cloud, path))?;
        let secrets = path.with_file_name("secure.yaml");
        if secrets.exists()
            && let Some(secret) = read(&secrets)?.clouds.remove(cloud)
        {
            values.extend(values_of(secret, (cloud, &secrets))?);
        }
        Ok(Self(values))
    }

    /// Returns a value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn files(environment: &Values) -> Vec<PathBuf> {
    if let Some(file) = environment.get("client_config_file") {
        return vec![PathBuf::from(file)];
    }
    let mut directories = vec![PathBuf::from(".")];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let configuration = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let configuration = configuration.or_else(|| home.map(|home| home.join(".config")));
    directories.extend(configuration.map(|directory| directory.join("openstack")));
    directories.push(PathBuf::from("/etc/openstack"));
    directories.into_iter().map(|directory| directory.join("clouds.yaml")).collect()
}

/// The clouds by name. Only the selected one is read, so that a mistake in another one is no obstacle.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    clouds: BTreeMap<String, Value>,
}

fn read(path: &Path) -> Result<File, CloudError> {
    let unreadable = |why: String| CloudError::Unreadable { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|cause| unreadable(cause.to_string()))?;
    // As in Python's parser, which OpenStack's clients use.
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    serde_saphyr::from_str_with_options(&text, options).map_err(|cause| {
        // The parser's message quotes the file, which contains passwords.
        let line = cause.location().map(|place| format!(" (line {})", place.line()));
        let line = line.unwrap_or_default();
        unreadable(format!("it is not YAML with the clouds by name under `clouds:`{line}"))
    })
}

/// Returns the values of a cloud. Those below `auth` take precedence.
fn values_of(
    cloud: Value,
    (name, path): (&str, &Path),
) -> Result<BTreeMap<String, String>, CloudError> {
    let bad = |what| CloudError::BadCloud { cloud: name.to_owned(), path: path.to_owned(), what };
    let Value::Object(mut all) = cloud else { return Err(bad("it")) };
    let auth = match all.remove("auth") {
        Some(Value::Object(auth)) => auth,
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(bad("`auth`"));
        }
    };
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) if !text.is_empty() => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        Value::Bool(flag) => Some((name, flag.to_string())),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    Ok(all.into_iter().chain(auth).filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_clouds_have_the_same_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clouds.yaml");
        let clouds = "clouds:\n  lab:\n    auth:\n      auth_url: http://k/v3\n      username: ann\n    region_name: R\n    verify: false\n";
        std::fs::write(&path, clouds).unwrap();
        let secret = "clouds:\n  lab:\n    auth:\n      password: hunter2\n";
        std::fs::write(directory.path().join("secure.yaml"), secret).unwrap();
        let variable = ("OS_CLIENT_CONFIG_FILE".to_owned(), path.display().to_string());
        let environment = Values::of([variable]);
        let cloud = Values::of_cloud("lab", &environment).unwrap();
        for (name, value) in [
            ("auth_url", "http://k/v3"),
            ("username", "ann"),
            ("password", "hunter2"),
            ("region_name", "R"),
        ] {
            assert_eq!(cloud.get(name), Some(value));
            let variable = (format!("OS_{}", name.to_uppercase()), value.to_owned());
            assert_eq!(Values::of([variable]).get(name), Some(value));
        }
        assert!(!format!("{cloud:?}").contains("hunter2"));
        let missing = Values::of_cloud("prod", &environment).unwrap_err().to_string();
        assert!(missing.contains("`prod`") && missing.contains("lab"), "{missing}");
        std::fs::write(&path, "clouds: [hunter2").unwrap();
        let broken = Values::of_cloud("lab", &environment).unwrap_err().to_string();
        assert!(broken.contains("clouds.yaml") && !broken.contains("hunter2"), "{broken}");
        assert!(broken.contains("(line 1)"), "{broken}");
    }

    #[test]
    fn a_mistake_in_one_cloud_is_no_obstacle_for_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clouds.yaml");
        let clouds = "clouds:\n  lab:\n    auth: {auth_url: http://k/v3}\n  bad:\n    auth: 5\n  text: hunter2\n  \
                      twice: {x: 1, x: 2}\n  empty:\n  lists: [a]\n";
        std::fs::write(&path, clouds).unwrap();
        let secrets = "clouds:\n  lab:\n    auth: {password: hunter2}\n  bad: 5\n";
        std::fs::write(directory.path().join("secure.yaml"), secrets).unwrap();
        let variable = ("OS_CLIENT_CONFIG_FILE".to_owned(), path.display().to_string());
        let environment = Values::of([variable]);
        let lab = Values::of_cloud("lab", &environment).unwrap();
        assert_eq!(lab.get("password"), Some("hunter2"));
        for (cloud, what) in [("bad", "`auth`"), ("text", "it"), ("empty", "it"), ("lists", "it")] {
            let refusal = Values::of_cloud(cloud, &environment).unwrap_err().to_string();
            let expected = format!(
                "cannot use cloud `{cloud}` in {}: {what} must be a mapping",
                path.display()
            );
            assert_eq!(refusal, expected);
        }
    }
}
