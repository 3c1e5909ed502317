//! First sizes of terminals on an engine that takes none itself (below API 1.42): left in a directory where
//! `zun-runtime`, which runs the containers there, finds them. An engine that is set up so says so in its list of
//! runtimes, with the directory where it is not the usual one; on any other the first size is set right after the
//! start.

use std::path::{Path, PathBuf};

use bollard::models::SystemInfo;
use zun_common::grant::ApiVersion;
use zun_common::units::TerminalSize;

use super::deadline::{QUICK, within};
use super::errors::Trouble;

/// The name under which `zun-runtime` is set up.
pub const RUNTIME: &str = "zun-sized";

/// The program.
pub const RUNTIME_PROGRAM: &str = "zun-runtime";

/// What it becomes: the only runtime that it is put before.
pub const RUNC: &str = "runc";

/// Where it looks for sizes, where it is told of no other directory.
pub const SIZES: &str = "/var/lib/zun-compute/sizes";

/// Engines from this version on take a first size themselves.
pub const CONSOLE_SIZE_API: ApiVersion = ApiVersion { major: 1, minor: 42 };

/// The directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes(PathBuf);

impl Sizes {
    /// Where this engine's runtime looks for sizes; `None` where it takes them itself, or has none.
    pub(super) async fn of_engine(
        docker: &bollard::Docker,
        version: ApiVersion,
    ) -> Result<Option<Self>, Trouble> {
        if version >= CONSOLE_SIZE_API {
            return Ok(None);
        }
        Ok(Self::told(&within(QUICK, docker.info()).await?))
    }

    fn told(info: &SystemInfo) -> Option<Self> {
        let runtime = info.runtimes.as_ref()?.get(RUNTIME)?;
        // Containers that another one would run without us are left to it.
        if info.default_runtime.as_ref().is_some_and(|usual| usual != RUNC) {
            return None;
        }
        let program = Path::new(runtime.path.as_ref()?).file_name()?;
        match runtime.runtime_args.as_deref().unwrap_or_default() {
            [flag, directory] if flag == "--sizes" => Some(Self(directory.into())),
            [] if program == RUNTIME_PROGRAM => Some(Self(SIZES.into())),
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
        let usual = r#"{"zun-sized":{"path":"/usr/local/bin/zun-runtime"}}"#;
        assert_eq!(told(usual), Some(Sizes(SIZES.into())));
        for none in [r#"{"runc":{"path":"runc"}}"#, r#"{"zun-sized":{"path":"/p"}}"#] {
            assert_eq!(told(none), None, "{none}");
        }
        let other = format!(r#"{{"Runtimes":{usual},"DefaultRuntime":"nvidia"}}"#);
        assert_eq!(Sizes::told(&serde_json::from_str(&other).expect("docker's json")), None);
    }
}
