//! Rewrites Docker's error messages for users: one line, never empty, without the host's paths and Docker's IDs. Also
//! maps an error to an exit code.

mod paths;

/// The text for an error that Docker gives no reason for.
pub const NO_REASON: &str = "Docker gave no reason";

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 1000;
/// Maximum number of characters to process.
const MAX_TEXT: usize = 16_000;

/// Prefixes that Docker and the layers below it put before the reason. A message may have several of them.
const PREFIXES: [&str; 14] = [
    "Error response from daemon: ",
    "failed to create task for container: ",
    "failed to start task for container: ",
    "failed to create shim task: ",
    "failed to create shim: ",
    "rpc error: code = Unknown desc = ",
    "OCI runtime create failed: ",
    "OCI runtime start failed: ",
    "OCI runtime exec failed: ",
    "runc create failed: ",
    "exec failed: ",
    "unable to start container process: ",
    "starting container process caused: ",
    "error during container init: ",
];

/// Docker adds this to every error that says "not a directory", even if nothing is mounted.
const MOUNT_HINT: &str = ": Are you trying to mount a directory onto a file";

const NOT_FOUND: [&str; 2] = ["executable file not found", "no such file or directory"];
const NOT_EXECUTABLE: [&str; 2] = ["permission denied", "is a directory"];

/// Returns the reason in one of Docker's error messages.
pub fn user_message(text: &str) -> String {
    let line: String = one_line(&message(text)).chars().take(MAX_TEXT).collect();
    let reason = line.split(MOUNT_HINT).next().unwrap_or_default();
    let reason = without_unknown(without_prefixes(reason));
    let shown = paths::hide_host_paths(&reason);
    let shown = shown.trim().trim_end_matches([':', ',']).trim_end();
    if shown.is_empty() { NO_REASON.to_owned() } else { shown.chars().take(MAX_REASON).collect() }
}

/// Returns the exit code for a container that could not start for this reason, as `docker run` does: 127, 126, or
/// `None` if the command is not the cause.
pub fn exit_code_of_start(reason: &str) -> Option<i64> {
    let says = |part: &&str| reason.contains(*part);
    if NOT_FOUND.iter().any(says) {
        Some(127)
    } else if NOT_EXECUTABLE.iter().any(says) {
        Some(126)
    } else {
        None
    }
}

/// Returns the exit code for an exec that could not start for this reason: 127 for a missing command as in a shell,
/// and Docker's 126 for anything else.
pub fn exit_code_of_exec(reason: &str) -> i64 {
    let missing = NOT_FOUND.iter().any(|part| reason.contains(part));
    if missing && reason.contains("exec: \"") { 127 } else { 126 }
}

/// The message in an error body, or the text itself.
fn message(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(alias = "error")]
        message: String,
    }
    match serde_json::from_str::<Body>(text) {
        Ok(body) => body.message,
        Err(_not_json) => text.to_owned(),
    }
}

/// Joins the words with single spaces. Removes control characters, because a terminal would interpret them.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn without_prefixes(mut text: &str) -> &str {
    loop {
        let shorter = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
        match shorter.or_else(|| without_source_line(text)) {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

/// Removes the source location that older runtimes put first, such as `container_linux.go:380: `.
fn without_source_line(text: &str) -> Option<&str> {
    let (place, rest) = text.split_once(": ")?;
    let (file, line) = place.split_once(".go:")?;
    let is_place = !file.contains(' ') && line.bytes().all(|byte| byte.is_ascii_digit());
    is_place.then_some(rest)
}

/// Removes `: unknown`, which containerd appends to errors that it cannot classify.
fn without_unknown(text: &str) -> String {
    text.trim_end_matches(": unknown").replace(": unknown: ", ": ")
}

#[cfg(test)]
mod tests;
