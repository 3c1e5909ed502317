//! Parses the command line that docker.service uses to start Docker.
//!
//! All functions are pure. Words are kept as written, with quotes and variables.

use std::path::{Path, PathBuf};

use super::unit_file::{values, words};

/// Flags that Docker refuses together with the keys that docker-setup writes.
const CONFLICTING: [&str; 6] =
    ["--tls", "--tlsverify", "--tlscacert", "--tlscert", "--tlskey", "--live-restore"];
const PLUGIN_FLAG: &str = "--authorization-plugin";

/// Why docker.service cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// The unit has no `ExecStart`, or more than one.
    #[error("it must have exactly one ExecStart but has {0}")]
    ExecStartCount(usize),
    /// A drop-in that systemd reads after ours sets the command.
    #[error(
        "{path} sets ExecStart and would override {ours}, because systemd reads it later: rename it so that its name \
         sorts before zun.conf"
    )]
    LaterDropIn {
        /// The other drop-in.
        path: PathBuf,
        /// Our drop-in.
        ours: PathBuf,
    },
    /// A flag conflicts with a key.
    #[error(
        "{place} has the flag `{flag}`, which Docker refuses together with the same key in daemon.json: remove the flag"
    )]
    Flag {
        /// Where the flag is.
        place: String,
        /// The flag.
        flag: String,
    },
}

/// A command line, split into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandLine(Vec<String>);

/// Returns the effective `ExecStart` of the unit's files, main file first.
pub(super) fn of_unit(files: &[String]) -> Result<CommandLine, CommandLineError> {
    let mut commands = Vec::new();
    for value in values(files, "ExecStart") {
        if value.is_empty() {
            commands.clear();
        } else {
            commands.push(value);
        }
    }
    match commands.as_slice() {
        [command] => Ok(CommandLine::new(command)),
        others => Err(CommandLineError::ExecStartCount(others.len())),
    }
}

/// Returns the unit's environment files.
pub(super) fn environment_files(files: &[String]) -> Vec<PathBuf> {
    values(files, "EnvironmentFile")
        .iter()
        .map(|value| PathBuf::from(value.trim_start_matches('-')))
        .collect()
}

/// Returns the value that `Environment=` sets for a variable, and the file that sets it. The last setting wins.
pub(super) fn environment(unit: &[(PathBuf, String)], name: &str) -> Option<(PathBuf, String)> {
    let mut found = None;
    for (path, text) in unit {
        for value in values(std::slice::from_ref(text), "Environment") {
            let set = words(&value).iter().rev().find_map(|word| {
                let (key, value) = word.split_once('=')?;
                (key == name).then(|| (path.clone(), value.to_owned()))
            });
            found = if value.is_empty() { None } else { set.or(found) };
        }
    }
    found
}

/// Refuses a drop-in that sets `ExecStart` and is read after ours. systemd sorts drop-ins by file name, not by
/// directory.
pub(super) fn check_drop_in_order(
    unit: &[(PathBuf, String)],
    ours: &Path,
) -> Result<(), CommandLineError> {
    for (path, text) in unit.iter().skip(1) {
        let later = path.file_name() > ours.file_name();
        if later && !values(std::slice::from_ref(text), "ExecStart").is_empty() {
            let (path, ours) = (path.clone(), ours.to_owned());
            return Err(CommandLineError::LaterDropIn { path, ours });
        }
    }
    Ok(())
}

/// Returns the value of a variable in an environment file (lines of `NAME="value"`).
pub(super) fn variable(text: &str, name: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| {
        let (key, value) = line.trim().split_once('=')?;
        (key.trim_end() == name).then(|| value.trim().to_owned())
    })?;
    let bare = value.trim_matches(|letter| letter == '"' || letter == '\'');
    Some(bare.to_owned())
}

impl CommandLine {
    pub(super) fn new(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// The hosts that `-H` and `--host` name.
    pub(super) fn hosts(&self) -> Vec<String> {
        self.split().0
    }

    /// The command line without `-H` and `--host`.
    pub(super) fn without_hosts(&self) -> String {
        self.split().1.join(" ")
    }

    /// The settings file that `--config-file` names, if any.
    pub(super) fn settings_file(&self) -> Option<PathBuf> {
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            if let Some(path) = word.strip_prefix("--config-file=") {
                return Some(PathBuf::from(path));
            }
            if word == "--config-file" {
                return words.next().map(PathBuf::from);
            }
        }
        None
    }

    /// The names of the variables in the command line.
    pub(super) fn variables(&self) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|word| word.strip_prefix('$'))
            .map(|name| name.trim_matches(['{', '}']).to_owned())
            .collect()
    }

    /// Whether it has one of these flags, with or without a value.
    pub(super) fn has(&self, flags: &[&str]) -> bool {
        let name = |word: &String| word.split('=').next().map(str::to_owned).unwrap_or_default();
        self.0.iter().any(|word| flags.contains(&name(word).as_str()))
    }

    /// Refuses flags that conflict with keys in daemon.json. `-H` is refused only in a variable: docker-setup can
    /// remove it from the unit, but not from a variable.
    pub(super) fn check(&self, place: &str, variable: bool) -> Result<(), CommandLineError> {
        let refuse =
            |flag: &str| CommandLineError::Flag { place: place.to_owned(), flag: flag.to_owned() };
        for word in &self.0 {
            let name = word.split_once('=').map_or(word.as_str(), |(name, _value)| name);
            if CONFLICTING.contains(&name) || name == PLUGIN_FLAG {
                return Err(refuse(name));
            }
        }
        match self.hosts().first() {
            Some(_) if variable => Err(refuse("-H")),
            Some(_) | None => Ok(()),
        }
    }

    fn split(&self) -> (Vec<String>, Vec<String>) {
        let (mut hosts, mut others) = (Vec::new(), Vec::new());
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            if word == "-H" || word == "--host" {
                hosts.extend(words.next().cloned());
            } else if let Some(host) = word.strip_prefix("--host=") {
                hosts.push(host.to_owned());
            } else if let Some(host) = word.strip_prefix("-H") {
                hosts.push(host.trim_start_matches('=').to_owned());
            } else {
                others.push(word.clone());
            }
        }
        (hosts, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "[Unit]\nDescription=x\nExecStart=no\n[Service]\nType=notify\n\
        EnvironmentFile=-/etc/default/docker\n\
        ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/c.sock $DOCKER_OPTS\nExecReload=/bin/kill\n";

    #[test]
    fn only_the_host_is_removed_from_debians_command_line() {
        let command = of_unit(&[DEBIAN.to_owned()]).expect("a command");
        assert_eq!(command.hosts(), ["fd://"]);
        assert_eq!(
            command.without_hosts(),
            "/usr/sbin/dockerd --containerd=/run/c.sock $DOCKER_OPTS"
        );
        assert_eq!(command.variables(), ["DOCKER_OPTS"]);
        assert_eq!(environment_files(&[DEBIAN.to_owned()]), [PathBuf::from("/etc/default/docker")]);
    }

    #[test]
    fn drop_ins_and_continued_lines_are_read() {
        let over = "[Service]\nExecStart=\n# a comment\n\
            ExecStart=/bin/dockerd --host tcp://x \\\n  -H=unix:///a -Hfd://\n";
        let command = of_unit(&[DEBIAN.to_owned(), over.to_owned()]).expect("a command");
        assert_eq!(command.hosts(), ["tcp://x", "unix:///a", "fd://"]);
        assert_eq!(command.without_hosts(), "/bin/dockerd");
        let second = "[Service]\nExecStart=/bin/other\n";
        let two = of_unit(&[DEBIAN.to_owned(), second.to_owned()]);
        assert_eq!(two, Err(CommandLineError::ExecStartCount(2)));
        assert_eq!(of_unit(&[]), Err(CommandLineError::ExecStartCount(0)));
    }

    #[test]
    fn conflicting_flags_are_refused_with_their_place() {
        let words = |text: &str, variable| {
            CommandLine::new(text).check("here", variable).err().map(|bad| bad.to_string())
        };
        assert_eq!(words("dockerd -H fd:// --debug", false), None);
        assert!(words("--debug -H tcp://0.0.0.0:2375", true).expect("refused").contains("`-H`"));
        for flag in ["--tlsverify", "--tlscacert=/x", "--authorization-plugin=a", "--live-restore"]
        {
            let message = words(&format!("dockerd {flag}"), false).expect("refused");
            assert!(
                message.contains("here") && message.contains(flag.split('=').next().expect("one"))
            );
        }
    }

    #[test]
    fn the_variables_of_a_drop_in_are_found_with_their_file() {
        let unit = [
            ("/u/docker.service", "[Service]\nEnvironment=A=1 DOCKER_OPTS=--debug\nExecStart=x\n"),
            (
                "/d/opts.conf",
                "[Service]\nEnvironment=\"DOCKER_OPTS=-H tcp://0.0.0.0:2375\" 'B=a \\'b'\n",
            ),
        ]
        .map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let (place, value) = environment(&unit, "DOCKER_OPTS").expect("set");
        assert_eq!((place, value.as_str()), ("/d/opts.conf".into(), "-H tcp://0.0.0.0:2375"));
        assert_eq!(environment(&unit, "B").expect("set").1, "a 'b");
        assert_eq!(environment(&unit[..1], "DOCKER_OPTS").expect("set").1, "--debug");
        assert_eq!(environment(&unit, "OTHER"), None);
        let reset = ("/d/z.conf".into(), "[Service]\nEnvironment=\n".to_owned());
        assert_eq!(environment(&[unit[0].clone(), reset], "A"), None);
    }

    #[test]
    fn an_exec_start_in_a_later_drop_in_is_refused() {
        let ours = Path::new("/etc/systemd/system/docker.service.d/zun.conf");
        let unit = |name: &str, text: &str| {
            let main = (PathBuf::from("/lib/zz.service"), "[Service]\nExecStart=a\n".to_owned());
            [main, (PathBuf::from(name), text.to_owned())]
        };
        let command = "[Service]\nExecStart=\nExecStart=b\n";
        assert_eq!(check_drop_in_order(&unit("/run/d/a.conf", command), ours), Ok(()));
        assert_eq!(
            check_drop_in_order(&unit("/run/d/zz.conf", "[Service]\nNice=1\n"), ours),
            Ok(())
        );
        let words = check_drop_in_order(&unit("/run/d/zz.conf", command), ours).expect_err("later");
        assert!(words.to_string().starts_with("/run/d/zz.conf sets ExecStart"), "{words}");
    }

    #[test]
    fn variables_and_the_settings_file_are_found() {
        let text = "# DOCKER_OPTS=no\nDOCKER_OPTS=\"--dns 8.8.8.8 -H tcp://x\"\n";
        assert_eq!(variable(text, "DOCKER_OPTS").as_deref(), Some("--dns 8.8.8.8 -H tcp://x"));
        assert_eq!(variable(text, "OTHER"), None);
        let named = |text| CommandLine::new(text).settings_file();
        assert_eq!(named("dockerd --config-file=/a"), Some("/a".into()));
        assert_eq!(named("dockerd --config-file /b -D"), Some("/b".into()));
        assert_eq!(named("dockerd"), None);
    }
}
