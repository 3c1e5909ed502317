//! Hides the host's paths and Docker's IDs in an error message.

/// Replaces host paths by paths inside the container.
///
/// A path into a container's file system keeps only its part inside the container. Docker's other paths are shortened
/// to their last component. 64-digit IDs are removed, except digests.
pub(super) fn hide_host_paths(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = without_mount_note(line);
    while let Some(first) = rest.chars().next() {
        let ends_word = shown.chars().next_back().is_none_or(|last| !is_path_char(last));
        if ends_word && first == '/' {
            let (path, after) = split_path(&rest);
            shown.push_str(&shown_path(path, shown.ends_with("dial unix ")));
            rest = after.to_owned();
        } else if ends_word
            && is_id(rest.get(..ID).unwrap_or_default())
            && !continues_after_id(&rest)
        {
            if shown.ends_with("sha256:") {
                shown.push_str(rest.get(..ID).unwrap_or_default());
            } else {
                shown.push(REMOVED);
            }
            rest = rest.get(ID..).unwrap_or_default().to_owned();
        } else {
            shown.push(first);
            rest.drain(..first.len_utf8());
        }
    }
    tidy(&shown)
}

/// Marks the place of a removed ID or socket until [`tidy`] removes the mark. [`super::user_message`] has already
/// removed all control characters from the message, so the mark is unique.
const REMOVED: char = '\u{1}';
/// Number of digits in a Docker ID.
const ID: usize = 64;
/// Minimum number of digits in a storage ID.
const MIN_STORAGE_ID: usize = 12;

/// Docker's default directories, and `/proc` paths of its own processes.
const DOCKER_DIRECTORIES: [&str; 8] = [
    "/var/lib/docker/",
    "/var/lib/containerd/",
    "/run/docker/",
    "/run/containerd/",
    "/var/run/docker/",
    "/var/run/containerd/",
    "/proc/self/fd/",
    "/proc/thread-self/",
];

/// Names of a container's root directory, if its parent directory is named by an ID.
const ROOTS: [&str; 5] = ["merged", "rootfs", "diff", "fs", "mnt"];
/// Parents of root directories that are named by an ID.
const ROOT_PARENTS: [&str; 4] = ["subvolumes", "graph", "mnt", "overlayfs"];

fn is_path_char(character: char) -> bool {
    character.is_alphanumeric() || "/._-~".contains(character)
}

fn is_id(name: &str) -> bool {
    name.len() == ID && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn continues_after_id(text: &str) -> bool {
    text.get(ID..).and_then(|after| after.chars().next()).is_some_and(is_path_char)
}

fn is_storage_id(name: &str) -> bool {
    let name = name.strip_suffix("-init").unwrap_or(name);
    name.len() >= MIN_STORAGE_ID && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Splits the text into the path at its start and the rest.
fn split_path(text: &str) -> (&str, &str) {
    let ends = |c: char| c.is_whitespace() || "\"'`:,;()[]".contains(c);
    let path = text.split(ends).next().unwrap_or_default();
    (path, text.get(path.len()..).unwrap_or_default())
}

/// Returns the text to show for a path.
fn shown_path(path: &str, is_socket: bool) -> String {
    if is_socket {
        return REMOVED.to_string();
    }
    let names: Vec<&str> = path.split('/').collect();
    if let Some(root) = (1..names.len()).find(|at| is_root(&names, *at)) {
        return format!("/{}", names.get(root + 1..).unwrap_or_default().join("/"));
    }
    if let Some(volume) = names.iter().position(|name| *name == "_data").filter(|at| *at > 1) {
        return format!("/{}", names.get(volume + 1..).unwrap_or_default().join("/"));
    }
    let of_docker = DOCKER_DIRECTORIES.iter().any(|place| path.starts_with(place))
        || names.iter().any(|name| contains_id(name))
        || names.windows(2).any(is_layer_directory);
    if !of_docker {
        return path.to_owned();
    }
    let last = names.iter().rev().find(|name| !name.is_empty()).copied().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if is_number || is_storage_id(last) || contains_id(last) {
        "an internal Docker file".to_owned()
    } else {
        last.to_owned()
    }
}

/// Whether the name at this place is the root of a container's file system.
fn is_root(names: &[&str], at: usize) -> bool {
    let name = |at: usize| names.get(at).copied().unwrap_or_default();
    let (this, before) = (name(at), name(at - 1));
    let is_snapshot = at > 1 && name(at - 2) == "snapshots";
    if ROOTS.contains(&this) && (is_storage_id(before) || is_snapshot) {
        return true;
    }
    let is_under_id = is_storage_id(this) && (ROOT_PARENTS.contains(&before) || before == "dir");
    is_under_id && !ROOTS.contains(&name(at + 1))
}

/// Whether a name contains a Docker ID, such as `docker-<id>.scope`.
fn contains_id(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(is_id)
}

fn is_layer_directory(pair: &[&str]) -> bool {
    matches!(pair, ["overlay2" | "tmp" | "buildkit", name]
        if is_storage_id(name) || *name == "l" || name.starts_with("GetImageBlob") || name.starts_with("docker-"))
}

/// Removes the descriptor and the flags of a mount, which the runtime adds.
fn without_mount_note(line: &str) -> String {
    let Some((before, after)) = line.split_once(" (via /proc/") else { return line.to_owned() };
    let after = after.split_once(')').map_or("", |(_, after)| after);
    let after = match after.strip_prefix(", flags: ") {
        Some(flags) => flags.find(':').and_then(|at| flags.get(at..)).unwrap_or_default(),
        None => after,
    };
    format!("{before}{after}")
}

/// Removes the marks of removed IDs, and the quotes, brackets and spaces around them.
fn tidy(text: &str) -> String {
    let mut text = text.to_owned();
    for (left, right) in [('"', '"'), ('\'', '\''), ('(', ')')] {
        let quoted = format!("{left}{REMOVED}{right}");
        text = text.replace(&format!(" {quoted}"), "").replace(&quoted, "");
    }
    let text = text.replace(REMOVED, "").replace(" in container ", " in the container ");
    let text = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let text = text.replace(" :", ":").replace(": :", ":");
    match text.strip_suffix(" in container") {
        Some(before) => format!("{before} in the container"),
        None => text,
    }
}
