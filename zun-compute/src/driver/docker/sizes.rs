//! Sets the initial terminal size on Docker before 23 (API 1.42), which cannot set it itself.
//!
//! The driver writes the size to a file, and the OCI runtime `zun-runtime` reads it. Docker's list of
//! runtimes shows whether `zun-runtime` is set up, and with which directory. If it is not, the client
//! sets the size right after the start.

use std::path::{Path, PathBuf};

use bollard::models::SystemInfo;
use zun_common::grant::ApiVersion;
use zun_common::units::TerminalSize;
use zun_runtime::{RUNC, SIZES};

use super::deadline::{QUICK, within};
use super::errors::RequestFailure;

/// The name of the runtime in Docker's settings.
pub const RUNTIME: &str = "zun-sized";

/// The program of the runtime.
pub const RUNTIME_PROGRAM: &str = "zun-runtime";

/// The first API version in which Docker accepts a terminal size at creation.
pub const CONSOLE_SIZE_API: ApiVersion = ApiVersion { major: 1, minor: 42 };

/// The directory of sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes(PathBuf);

impl Sizes {
    /// Returns the directory from which this Docker's runtime reads sizes. `None` if Docker sets sizes itself or has
    /// no such runtime.
    pub(super) async fn of_engine(
        docker: &bollard::Docker,
        version: ApiVersion,
    ) -> Result<Option<Self>, RequestFailure> {
        if version >= CONSOLE_SIZE_API {
            return Ok(None);
        }
        Ok(Self::from_info(&within(QUICK, docker.info()).await?))
    }

    fn from_info(info: &SystemInfo) -> Option<Self> {
        let runtime = info.runtimes.as_ref()?.get(RUNTIME)?;
        // If another runtime is the default, containers use that one.
        if info.default_runtime.as_ref().is_some_and(|default| default != RUNC) {
            return None;
        }
        let program = Path::new(runtime.path.as_ref()?).file_name()?;
        match runtime.runtime_args.as_deref().unwrap_or_default() {
            [flag, directory] if flag == "--sizes" => Some(Self(directory.into())),
            [] if program == RUNTIME_PROGRAM => Some(Self(SIZES.into())),
            _ => None,
        }
    }

    /// Writes the size of a container or an exec. A failure is only logged, because everything else works without it.
    pub(super) async fn store(&self, id: &str, size: Option<TerminalSize>) {
        let Some(TerminalSize { rows, columns }) = size else { return };
        let file = self.0.join(id);
        if let Err(cause) = tokio::fs::write(&file, format!("{rows} {columns}\n")).await {
            let file = file.display();
            tracing::warn!(error = %cause, "cannot write {file}: the terminal of {id} starts without a size");
        }
    }

    /// Removes the size of a container that was removed.
    pub(super) fn remove(&self, id: &str) {
        // Most containers have no size file.
        std::fs::remove_file(self.0.join(Path::new(id))).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_comes_from_the_list_of_runtimes() {
        let directory = |runtimes: &str| {
            let info = serde_json::from_str(&format!(r#"{{"Runtimes":{runtimes}}}"#));
            Sizes::from_info(&info.expect("docker's json"))
        };
        let set_up =
            r#"{"runc":{"path":"runc"},"zun-sized":{"path":"/p","runtimeArgs":["--sizes","/d"]}}"#;
        assert_eq!(directory(set_up), Some(Sizes("/d".into())));
        let usual = r#"{"zun-sized":{"path":"/usr/local/bin/zun-runtime"}}"#;
        assert_eq!(directory(usual), Some(Sizes(SIZES.into())));
        for none in [r#"{"runc":{"path":"runc"}}"#, r#"{"zun-sized":{"path":"/p"}}"#] {
            assert_eq!(directory(none), None, "{none}");
        }
        let other = format!(r#"{{"Runtimes":{usual},"DefaultRuntime":"nvidia"}}"#);
        assert_eq!(Sizes::from_info(&serde_json::from_str(&other).expect("docker's json")), None);
    }
}
