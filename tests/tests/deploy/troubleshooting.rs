//! Checks that docs/troubleshooting.md quotes only messages that the programs and scripts print.

use std::path::{Path, PathBuf};

/// The directories with the sources of programs and scripts.
const SOURCES: [&str; 6] =
    ["deploy", "zun-api/src", "zun-common/src", "zun-compute/src", "zunclient/src", "fuzz/src"];
/// The length of the shortest fragment of a message to search for. Shorter ones are too common.
const SHORTEST: usize = 8;

#[test]
fn every_message_that_the_page_quotes_is_in_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
    let sources: String =
        SOURCES.iter().map(|directory| text_below(&root.join(directory))).collect();
    let page = std::fs::read_to_string(root.join("docs/troubleshooting.md")).expect("the page");
    let messages: Vec<&str> = page.lines().flat_map(quoted).collect();
    assert!(messages.len() > 50, "few messages: {messages:?}");
    let missing: Vec<&&str> = messages
        .iter()
        .filter(|message| {
            let mut fixed = message.split('…').map(str::trim).filter(|it| it.len() >= SHORTEST);
            !fixed.all(|fixed| sources.contains(fixed))
        })
        .collect();
    assert!(missing.is_empty(), "no program prints these: {missing:#?}");
}

/// Returns the messages in the first cell of a table row: its code spans of several words, except commands.
fn quoted(line: &str) -> Vec<&str> {
    let Some(row) = line.strip_prefix("| ") else { return Vec::new() };
    let cell = row.split(" | ").next().unwrap_or_default();
    let mut spans = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find('`') {
        let fence = if rest[start..].starts_with("``") { "``" } else { "`" };
        let Some((span, after)) = rest[start + fence.len()..].split_once(fence) else { break };
        spans.push(span.trim());
        rest = after;
    }
    let command = |span: &&str| ["zun ", "make "].iter().any(|program| span.starts_with(program));
    spans.retain(|span| span.contains(' ') && !command(span));
    spans
}

/// Returns the text of all sources below a directory. Continued lines are joined and escapes are resolved, so messages
/// are as printed.
fn text_below(directory: &Path) -> String {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("a readable directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    entries.iter().map(|path| if path.is_dir() { text_below(path) } else { text(path) }).collect()
}

fn text(path: &Path) -> String {
    let is_source =
        path.extension().is_some_and(|extension| extension == "rs" || extension == "sh");
    if !is_source {
        return String::new();
    }
    let text = std::fs::read_to_string(path).expect("a readable source");
    let mut joined = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_start();
        if let Some(continued) = line.strip_suffix('\\') {
            joined.push_str(continued);
        } else {
            joined.push_str(line);
            joined.push('\n');
        }
    }
    joined.replace("\\\"", "\"").replace("\\`", "`").replace("\\n", " ")
}
