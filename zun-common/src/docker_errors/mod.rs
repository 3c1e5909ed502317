//! Makes Docker's error texts fit for a user: one line, without the host's paths and Docker's own ids, and never empty.
//! Also says which exit code an error means.

mod paths;

/// The text for an error that Docker gives no reason for.
pub const NO_REASON: &str = "Docker gave no reason";

/// A reason longer than this is cut.
const MAX_REASON: usize = 1000;
/// No more of a text than this is looked at.
const MAX_TEXT: usize = 16_000;

/// What the layers below Docker put before the reason. Each is followed by the next one or by the reason.
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

/// Docker adds this to every error that says "not a directory", also where nothing is mounted.
const MOUNT_HINT: &str = ": Are you trying to mount a directory onto a file";

const NOT_FOUND: [&str; 2] = ["executable file not found", "no such file or directory"];
const NOT_EXECUTABLE: [&str; 2] = ["permission denied", "is a directory"];

/// Returns the reason in an error text of Docker.
pub fn user_message(text: &str) -> String {
    let line: String = one_line(&message(text)).chars().take(MAX_TEXT).collect();
    let reason = line.split(MOUNT_HINT).next().unwrap_or_default();
    let reason = without_unknown(without_prefixes(reason));
    let shown = paths::hide_host_paths(&reason);
    let shown = shown.trim().trim_end_matches([':', ',']).trim_end();
    if shown.is_empty() { NO_REASON.to_owned() } else { shown.chars().take(MAX_REASON).collect() }
}

/// Returns the exit code for a container that could not start for this reason, as `docker run` does: 127, 126, or
/// `None` if the reason is not the command.
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

/// Control characters are spaces too: they could drive a terminal.
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

/// Older runtimes begin with a place in their source, such as `container_linux.go:380: `.
fn without_source_line(text: &str) -> Option<&str> {
    let (place, rest) = text.split_once(": ")?;
    let (file, line) = place.split_once(".go:")?;
    let is_place = !file.contains(' ') && line.bytes().all(|byte| byte.is_ascii_digit());
    is_place.then_some(rest)
}

/// An error of no known kind ends with `: unknown` in containerd.
fn without_unknown(text: &str) -> String {
    text.trim_end_matches(": unknown").replace(": unknown: ", ": ")
}

#[cfg(test)]
mod tests;
