//! Checks the documents: their links resolve, the files that they name exist, and their commands run.

use std::path::Path;
use std::process::{Command, Stdio};

use zun_tests::documents::{self, Document};

use super::machine::Machine;

/// The top-level directories whose files a document may name.
const DIRECTORIES: [&str; 9] = [
    "deploy/",
    "docs/",
    "fuzz/",
    "migrations/",
    "tests/",
    "zun-api/",
    "zun-common/",
    "zun-compute/",
    "zunclient/",
];

#[test]
fn every_link_and_anchor_resolves() {
    let documents = documents::all();
    let broken: Vec<String> = documents
        .iter()
        .flat_map(|document| document.links.iter().map(move |link| (document, link)))
        .filter_map(|(document, (line, link))| {
            let why = document.broken(link)?;
            Some(format!("{}:{line}: {link}: {why}", document.path.display()))
        })
        .collect();
    assert_eq!(broken, Vec::<String>::new());
    assert!(documents.iter().map(|document| document.links.len()).sum::<usize>() > 20);
}

#[test]
fn every_file_that_a_document_names_exists() {
    let mut missing = Vec::new();
    for document in documents::all() {
        for (line, code) in &document.code {
            if names_a_file(code) && !documents::root().join(code).exists() {
                missing.push(format!("{}:{line}: {code}", document.path.display()));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Returns whether a code span is a path in the repository, and not a pattern, a placeholder or a command.
fn names_a_file(code: &str) -> bool {
    DIRECTORIES.iter().any(|directory| code.starts_with(directory))
        && !code.contains(|c: char| c.is_whitespace() || "*{<…".contains(c))
}

#[test]
fn every_runnable_command_runs() {
    let runnable: Vec<Document> =
        documents::all().into_iter().filter(|document| !document.runnable.is_empty()).collect();
    let named: Vec<&Path> = runnable.iter().map(|document| document.path.as_path()).collect();
    assert!(named.contains(&Path::new("README.md")), "README.md has a runnable tour: {named:?}");
    for document in &runnable {
        run(document);
    }
}

/// Runs the blocks of one document, in order, in one shell with a service of their own.
fn run(document: &Document) {
    let machine = Machine::new();
    machine.up();
    machine.load_image();
    let blocks: String = document.runnable.iter().map(|(_, block)| block.as_str()).collect();
    let script =
        format!("set -euo pipefail\n. '{}'\nset -v\n{blocks}", machine.env_file().display());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(documents::root())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "a command in {} failed with {}; it is the last one in this output\n{}{}",
        document.path.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    machine.down();
}
