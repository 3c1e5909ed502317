//! Parses a call of runc, and sets the terminal size in the file that runc reads.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zun_common::atomic_file::{self, Attributes};

use crate::sizes::Sizes;

/// A call of runc that creates a container or an exec.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RuncCall {
    /// Docker's ID of the container or the exec.
    id: OsString,
    /// The file that describes the process.
    file: PathBuf,
    /// The key of the process in the file; `None` if the whole file describes the process.
    part: Option<&'static str>,
}

impl RuncCall {
    /// Parses runc's arguments. `None` for other calls. The ID of an exec is the name of its pid file.
    pub(crate) fn parse(arguments: &[OsString]) -> Option<Self> {
        let value = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1)
        };
        let verb =
            arguments.iter().find(|argument| *argument == "create" || *argument == "exec")?;
        if verb == "create" {
            let file = Path::new(value("--bundle")?).join("config.json");
            let id = arguments.last()?.clone();
            return Some(Self { id, file, part: Some("process") });
        }
        let id = Path::new(value("--pid-file")?).file_stem()?.to_owned();
        Some(Self { id, file: value("--process")?.into(), part: None })
    }

    /// Writes the size that the agent has stored for the process into the file.
    pub(crate) fn write_size(&self, directory: &Path) -> io::Result<()> {
        if !is_id(&self.id) {
            return Ok(());
        }
        let sizes = Sizes::open(directory)?;
        let Some((rows, columns)) = read_size(&sizes.read(&self.id)?) else { return Ok(()) };
        let mut whole: Value = serde_json::from_slice(&fs::read(&self.file)?)?;
        let process = match self.part {
            Some(part) => whole.get_mut(part),
            None => Some(&mut whole),
        };
        let Some(process) = process.and_then(Value::as_object_mut) else { return Ok(()) };
        if process.get("terminal") == Some(&Value::Bool(true)) {
            process.insert("consoleSize".to_owned(), json!({ "height": rows, "width": columns }));
            replace(&self.file, &serde_json::to_vec(&whole)?)?;
        }
        if self.part.is_none() {
            // An exec starts only once.
            sizes.remove(&self.id)?;
        }
        Ok(())
    }
}

/// Replaces a file atomically, so that runc never reads half of it. The file of an exec is in `/tmp`, where other users
/// may create files. It need not survive a power failure, because the process does not either.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mode = fs::metadata(file)?.permissions().mode() & 0o7777;
    atomic_file::replace_unsynced(file, bytes, Attributes::mode(mode))
}

fn is_id(id: &OsStr) -> bool {
    let bytes = id.as_encoded_bytes();
    bytes.len() == 64 && bytes.iter().all(u8::is_ascii_hexdigit)
}

fn read_size(text: &str) -> Option<(u16, u16)> {
    let (rows, columns) = text.trim_end().split_once(' ')?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Option<RuncCall> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        RuncCall::parse(&words)
    }

    fn id() -> String {
        "ab".repeat(32)
    }

    #[test]
    fn the_id_and_the_file_come_from_runcs_arguments() {
        let id = id();
        let create = format!("--root /r --log /l create --bundle /b --pid-file /b/init.pid {id}");
        let expected = RuncCall {
            id: id.clone().into(),
            file: "/b/config.json".into(),
            part: Some("process"),
        };
        assert_eq!(call(&create), Some(expected));
        let exec = format!("--root /r exec --process /tmp/p --detach --pid-file /b/{id}.pid cc");
        assert_eq!(
            call(&exec),
            Some(RuncCall { id: id.into(), file: "/tmp/p".into(), part: None })
        );
        for other in ["--root /r start x", "delete --force x", "--version", "exec x sh"] {
            assert_eq!(call(other), None, "{other}");
        }
    }

    #[test]
    fn a_size_is_written_only_for_a_terminal_and_nothing_else_changes() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        fs::write(here.join(id()), "33 101\n").expect("kept");
        for (terminal, sized) in [(true, json!({"height": 33, "width": 101})), (false, Value::Null)]
        {
            let file = here.join("config.json");
            let config =
                json!({"process": {"terminal": terminal, "args": ["sh"]}, "big": u64::MAX});
            fs::write(&file, config.to_string()).expect("written");
            let call = RuncCall { id: id().into(), file: file.clone(), part: Some("process") };
            call.write_size(here).expect("given");
            let bytes = fs::read(&file).expect("there");
            let mut seen: Value = serde_json::from_slice(&bytes).expect("JSON");
            let process = seen["process"].as_object_mut().expect("a process");
            assert_eq!(process.remove("consoleSize").unwrap_or_default(), sized);
            assert_eq!(seen, config);
        }
    }

    #[test]
    fn the_size_of_an_exec_is_used_once_and_an_invalid_id_never() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        let file = here.join("process");
        fs::write(&file, r#"{"terminal":true}"#).expect("written");
        fs::write(here.join(id()), "33 101").expect("kept");
        let call = |id: &str| RuncCall { id: id.into(), file: file.clone(), part: None };
        call("../process").write_size(here).expect("nothing");
        // A link that another user created at the temporary name is not followed.
        let victim = here.join("victim");
        fs::write(&victim, "theirs").expect("written");
        std::os::unix::fs::symlink(&victim, here.join(".process.zun-new")).expect("a link");
        call(&id()).write_size(here).expect("given");
        assert!(fs::read_to_string(&file).expect("there").contains("consoleSize"));
        assert_eq!(fs::read_to_string(&victim).expect("there"), "theirs");
        assert!(call(&id()).write_size(here).is_err(), "it is gone");
        assert_eq!(read_size("0 x"), None);
    }
}
