//! The sessions that the user left, so that `zun attach` without a name reattaches to the last one. Each service has a
//! file in the user's state directory, with the containers of all projects.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zun_common::api::v1::container::Container;
use zun_common::atomic_file::{self, Attributes};

/// The most containers that a file remembers.
const MOST: usize = 32;

/// A container whose session was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftSession {
    /// The project of the container.
    pub(crate) project: String,
    /// Its UUID.
    pub(crate) container: String,
    /// Its name at that time.
    pub(crate) name: String,
}

/// The file of one service.
#[derive(Debug, Clone)]
pub(crate) struct LeftSessions {
    path: Option<PathBuf>,
}

impl LeftSessions {
    /// Returns the file for the service at this address. Without a state directory nothing is remembered.
    pub(crate) fn of(endpoint: &Url) -> Self {
        let absolute =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let directory = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        Self { path: directory.map(|directory| file(&directory, endpoint)) }
    }

    /// Returns the sessions, the one that was left last first.
    pub(crate) fn all(&self) -> Vec<LeftSession> {
        let read = self.path.as_ref().and_then(|path| std::fs::read(path).ok());
        read.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Remembers that the session with a container was left.
    pub(crate) fn left(&self, container: &Container) {
        let left = LeftSession {
            project: container.project_id.clone(),
            container: container.uuid.to_string(),
            name: container.name.clone(),
        };
        self.write(&with_last(self.all(), left));
    }

    /// Forgets a container whose process has ended.
    pub(crate) fn ended(&self, container: &Container) {
        let (mut all, id) = (self.all(), container.uuid.to_string());
        let before = all.len();
        all.retain(|other| other.container != id);
        if all.len() != before {
            self.write(&all);
        }
    }

    /// If it cannot be written, the user has to name the container, nothing else.
    fn write(&self, all: &[LeftSession]) {
        let Some((path, directory)) =
            self.path.as_ref().and_then(|path| Some((path, path.parent()?)))
        else {
            return;
        };
        let text = serde_json::to_vec(all).unwrap_or_default();
        if DirBuilder::new().recursive(true).mode(0o700).create(directory).is_ok() {
            atomic_file::replace_unsynced(path, &text, Attributes::PRIVATE).unwrap_or_default();
        }
    }
}

/// Puts a container before the others.
fn with_last(mut all: Vec<LeftSession>, left: LeftSession) -> Vec<LeftSession> {
    all.retain(|other| other.container != left.container);
    all.insert(0, left);
    all.truncate(MOST);
    all
}

fn file(directory: &Path, endpoint: &Url) -> PathBuf {
    let name = hex::encode(Sha256::digest(endpoint.as_str().trim_end_matches('/').as_bytes()));
    directory.join(format!("zun/left-sessions/{name}.json"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn session(project: &str, container: &str) -> LeftSession {
        LeftSession {
            project: project.to_owned(),
            container: container.to_owned(),
            name: "n".to_owned(),
        }
    }

    #[test]
    fn the_container_that_was_left_last_comes_first_and_each_is_there_once() {
        let mut all = Vec::new();
        for container in ["1", "2", "3", "1"] {
            all = with_last(all, session("web", container));
        }
        let order: Vec<&str> = all.iter().map(|left| left.container.as_str()).collect();
        assert_eq!(order, ["1", "3", "2"]);
        for number in 0..MOST {
            all = with_last(all, session("web", &format!("new-{number}")));
        }
        assert_eq!(all.len(), MOST);
        assert!(all.iter().all(|left| left.container.starts_with("new-")));
    }

    #[test]
    fn only_its_owner_can_read_what_was_left_and_each_service_has_its_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let endpoint = |text: &str| text.parse::<Url>().expect("an address");
        let of = |text: &str| LeftSessions { path: Some(file(directory.path(), &endpoint(text))) };
        let sessions = of("http://zun:9517/v1");
        assert_eq!(sessions.all(), []);
        sessions.write(&[session("web", "1")]);
        assert_eq!(of("http://zun:9517/v1/").all(), [session("web", "1")]);
        assert_eq!(of("http://other:9517/v1").all(), []);
        let path = sessions.path.as_ref().expect("a path");
        let mode = |path: &Path| path.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!((mode(path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
        std::fs::write(path, "[").expect("written");
        assert_eq!(sessions.all(), []);
    }
}
