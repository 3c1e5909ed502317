//! Starts the browser of this desktop.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

/// The program that opens files in the browser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opener(&'static str);

impl Opener {
    /// The program of this desktop. `None` if there is no desktop, such as over SSH.
    pub(super) fn of_this_desktop() -> Option<Self> {
        if cfg!(target_os = "macos") {
            return Some(Self("open"));
        }
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // `BROWSER` alone may name a program for this terminal, or one on another machine.
        let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set);
        has_desktop.then_some(Self("xdg-open"))
    }

    pub(super) const fn program(self) -> &'static str {
        self.0
    }

    /// Starts to open a file. The program outlives this process if it stays in the foreground.
    pub(super) fn open(self, file: &Path) -> io::Result<Browser> {
        let mut command = Command::new(self.0);
        let command = command.arg(file).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().map(Browser)
    }
}

/// The program that was started.
#[derive(Debug)]
pub(super) struct Browser(Child);

impl Browser {
    /// Returns the program's status if it fails. Waits forever if it succeeds.
    pub(super) async fn failed(&mut self) -> ExitStatus {
        match self.0.wait().await {
            Ok(status) if !status.success() => status,
            Ok(_) | Err(_) => std::future::pending().await,
        }
    }
}

/// A page that leads the browser to a link. Only the user can read the file, and it is removed with this.
#[derive(Debug)]
pub(super) struct Redirect(NamedTempFile);

impl Redirect {
    pub(super) fn write(link: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        // The file has mode 0600.
        let builder = builder.prefix("zun-console-").suffix(".html");
        let at_home = home_with_snaps().and_then(|home| builder.tempfile_in(home).ok());
        let mut file = at_home.map_or_else(|| builder.tempfile(), Ok)?;
        file.write_all(page(link).as_bytes())?;
        file.flush()?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The home directory of a user of Snap packages. Browsers from Snap, such as Ubuntu's Firefox, have a `/tmp` of their own,
/// and can read only files that are not hidden.
fn home_with_snaps() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    home.join("snap").is_dir().then_some(home)
}

fn page(link: &str) -> String {
    let link: String = link.chars().map(escaped).collect();
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Console</title>\n<meta http-equiv=\"refresh\" content=\"0;url={link}\">\n\
         <p><a href=\"{link}\">Open the console</a></p>\n"
    )
}

fn escaped(character: char) -> String {
    match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_link_is_in_a_private_file_that_goes_away() {
        let redirect = Redirect::write("https://h/console#ticket=t&name=\"a").expect("a file");
        let path = redirect.path().to_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(
            text.contains("content=\"0;url=https://h/console#ticket=t&amp;name=&quot;a\""),
            "{text}"
        );
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(redirect);
        assert!(!path.exists());
    }
}
