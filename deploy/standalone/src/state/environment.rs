//! The environment file that a shell sources to use the standalone service.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zun_common::atomic_file::{self, Attributes};

use super::{StateError, Token, at};

/// The content of the environment file.
#[derive(Debug)]
pub struct Environment<'a> {
    /// The address of zun-api.
    pub address: SocketAddr,
    /// The admin token; `None` if callers log in to Keystone.
    pub token: Option<&'a Token>,
    /// The directory of the program `zun`.
    pub programs: PathBuf,
}

impl Environment<'_> {
    /// Writes the file atomically, readable only by the owner of its directory.
    pub fn write(&self, path: &Path) -> Result<(), StateError> {
        write(path, &self.text())
    }

    fn text(&self) -> String {
        let Self { address, token, programs } = self;
        let credentials = match token {
            Some(token) => {
                format!("export OS_AUTH_TYPE=admin_token\nexport OS_TOKEN={}\n", token.expose())
            }
            None => "# Credentials: source the openrc file of a Keystone user, too.\n\
                     export OS_AUTH_TYPE=password\nunset OS_TOKEN\n"
                .to_owned(),
        };
        format!(
            "# Environment for the standalone Zun on this machine. Written by zun-standalone at its start.\n\
             {credentials}\
             export OS_ENDPOINT=http://{address}/v1\n\
             export PATH={}:\"$PATH\"\n",
            quoted(&programs.to_string_lossy()),
        )
    }
}

/// Quotes text as one shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes a secret atomically, to a file with mode 0600.
pub(super) fn write(path: &Path, text: &str) -> Result<(), StateError> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        Some(_) | None => Path::new("."),
    };
    // Root may write into another user's directory: the file belongs to that user.
    let owner = std::fs::metadata(directory).map_err(at("inspect", directory))?;
    let attributes = Attributes { mode: 0o600, owner: Some((owner.uid(), owner.gid())) };
    atomic_file::replace(path, text.as_bytes(), attributes).map_err(at("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_shell_can_source_the_file_and_nobody_else_can_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("zun.env");
        let token = Token::fresh();
        let address = "127.0.0.1:9517".parse().expect("an address");
        let programs = PathBuf::from("/it's here/release");
        Environment { address, token: Some(&token), programs }.write(&path).expect("written");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let script = r#". "$1"; echo "$OS_AUTH_TYPE $OS_TOKEN $OS_ENDPOINT $PATH""#;
        let shell = std::process::Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(&path)
            .env("PATH", "/bin")
            .output()
            .expect("a shell");
        let output = String::from_utf8(shell.stdout).expect("text");
        let expected = format!(
            "admin_token {} http://127.0.0.1:9517/v1 /it's here/release:/bin\n",
            token.expose()
        );
        assert_eq!(output, expected);
    }
}
