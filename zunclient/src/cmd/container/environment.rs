//! The environment variables of `run`, `create` and `exec`.

use std::collections::BTreeMap;

use crate::cmd::Failure;
use crate::exit::Exit;

/// Returns the variables of the files and of the options. Later ones replace earlier ones.
pub(super) fn environment(
    files: &[std::path::PathBuf],
    given: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|cause| Failure::new(format!("cannot read {}: {cause}", file.display())))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = (1..).zip(text.lines().map(str::trim_start));
        let assignments = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (number, line) in assignments {
            add_variable(&mut all, line).map_err(|rule| {
                Failure::new(format!("{}, line {number}: {rule}", file.display()))
            })?;
        }
    }
    for variable in given {
        // A wrong option, as in Docker.
        let wrong = |rule| Failure::with_exit(format!("--env: {rule}"), Exit::ZUN_FAILED);
        add_variable(&mut all, variable).map_err(wrong)?;
    }
    Ok(all)
}

fn add_variable(all: &mut BTreeMap<String, String>, given: &str) -> Result<(), String> {
    let (name, value) = match given.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (given, None),
    };
    if name.is_empty() {
        return Err("the name is missing: use NAME=VALUE".to_owned());
    }
    if name.contains(char::is_whitespace) {
        return Err(format!("the name `{name}` contains whitespace: use NAME=VALUE"));
    }
    // A variable that is not set here is not set in the container, even if it was given a value before.
    let value = match value {
        Some(value) => Some(value.to_owned()),
        None => std::env::var_os(name)
            .map(std::ffi::OsString::into_string)
            .transpose()
            .map_err(|_bytes| format!("the value of `{name}` in this environment is not UTF-8"))?,
    };
    match value {
        Some(value) => all.insert(name.to_owned(), value),
        None => all.remove(name),
    };
    Ok(())
}

/// Returns all variables as `NAME=VALUE`. The value of a bare name comes from the environment of zun.
pub(super) fn variables(
    files: &[std::path::PathBuf],
    given: &[String],
) -> Result<Vec<String>, Failure> {
    Ok(environment(files, given)?
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_environment_file_is_checked_and_named() {
        let read = |text: &[u8]| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("written");
            let message = |failure: Failure| failure.message.unwrap_or_default();
            let path = format!("{}, ", file.path().display());
            variables(&[file.path().to_owned()], &[]).map_err(|it| message(it).replace(&path, ""))
        };
        let unset = b"ZUN_TEST_THAT_IS_NOT_SET=1\nA=1\nZUN_TEST_THAT_IS_NOT_SET\n";
        assert_eq!(read(unset), Ok(vec!["A=1".to_owned()]));
        let good = b"\xef\xbb\xbfA=b c\r\n\n# no\n  B=\nZUN_TEST_THAT_IS_NOT_SET\nC==d\n";
        assert_eq!(read(good), Ok(["A=b c", "B=", "C==d"].map(str::to_owned).to_vec()));
        let rule = "use NAME=VALUE";
        let whitespace =
            |name| Err(format!("line 2: the name `{name}` contains whitespace: {rule}"));
        assert_eq!(read(b"A=b\nexport A=b\n"), whitespace("export A"));
        assert_eq!(read(b"A=b\nA =b\n"), whitespace("A "));
        assert_eq!(read(b"=b\n"), Err(format!("line 1: the name is missing: {rule}")));
    }
}
