//! First sizes of terminals on an engine that takes none itself (below API 1.42): left in a directory where
//! `zun-runtime`, which runs the containers there, finds them. An engine that is set up so says so, with the
//! directory, in its list of runtimes; on any other the first size is set right after the start.

use std::path::{Path, PathBuf};

use bollard::models::SystemInfo;
use zun_common::grant::ApiVersion;
use zun_common::units::TerminalSize;

use super::deadline::{QUICK, within};
use super::errors::Trouble;

/// The name under which `zun-runtime` is set up.
pub const RUNTIME: &str = "zun-sized";

/// Engines from this version on take a first size themselves.
pub const TAKES_SIZES: ApiVersion = ApiVersion { major: 1, minor: 42 };

/// The directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes(PathBuf);

impl Sizes {
    /// Where this engine's runtime looks for sizes; `None` where it takes them itself, or has none.
    pub(super) async fn of_engine(
        docker: &bollard::Docker,
        version: ApiVersion,
    ) -> Result<Option<Self>, Trouble> {
        if version >= TAKES_SIZES {
            return Ok(None);
        }
        Ok(Self::told(&within(QUICK, docker.info()).await?))
    }

    fn told(info: &SystemInfo) -> Option<Self> {
        let arguments = info.runtimes.as_ref()?.get(RUNTIME)?.runtime_args.as_ref()?;
        match arguments.as_slice() {
            [flag, directory] if flag == "--sizes" => Some(Self(directory.into())),
            _ => None,
        }
    }

    /// Leaves a size for a container or an exec. Without it all else works, so a failure is only logged.
    pub(super) async fn leave(&self, id: &str, size: Option<TerminalSize>) {
        let Some(TerminalSize { rows, columns }) = size else { return };
        let file = self.0.join(id);
        if let Err(cause) = tokio::fs::write(&file, format!("{rows} {columns}\n")).await {
            let file = file.display();
            tracing::warn!(error = %cause, "the terminal of {id} has no first size: cannot write {file}");
        }
    }

    /// The container is gone.
    pub(super) fn forget(&self, id: &str) {
        // Most have left no size.
        std::fs::remove_file(self.0.join(Path::new(id))).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_says_where_its_runtime_looks() {
        let told = |runtimes: &str| {
            let info = serde_json::from_str(&format!(r#"{{"Runtimes":{runtimes}}}"#));
            Sizes::told(&info.expect("docker's json"))
        };
        let set_up =
            r#"{"runc":{"path":"runc"},"zun-sized":{"path":"/p","runtimeArgs":["--sizes","/d"]}}"#;
        assert_eq!(told(set_up), Some(Sizes("/d".into())));
        for none in [r#"{"runc":{"path":"runc"}}"#, r#"{"zun-sized":{"path":"/p"}}"#] {
            assert_eq!(told(none), None, "{none}");
        }
    }
}
