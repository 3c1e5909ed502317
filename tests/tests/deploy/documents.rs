//! Checks the documents: their links resolve, the files that they name exist, and their commands run.

use std::path::Path;
use std::process::{Command, Stdio};

use zun_tests::documents::{self, Block, Document, Run};
use zun_tests::profile::is_long;
use zun_tests::pty::Pty;

use super::machine::{Machine, printed};

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

/// The documents whose blocks of commands are all run, or are in [`NOT_RUN`].
const FOR_BEGINNERS: [&str; 2] = ["README.md", "docs/getting-started.md"];

/// The first commands of the blocks in these documents that are not run here, and why.
const NOT_RUN: [(&str, &str); 7] = [
    ("make run ", "it builds the release programs, and `make test` runs all tests"),
    ("make up ", "the tests of the standalone service run what it does after the build"),
    ("make up\n", "the tests of the standalone service run what it does after the build"),
    (". target/zun.env", "the shells below load the file of their own service"),
    ("make testbed-up", "it needs the fixed addresses of the testbed; `make test-testbed` uses it"),
    ("zun run -i --host compute2", "it needs the testbed"),
    ("docker --host unix://$PWD/target/testbed", "it needs the testbed"),
];

#[test]
fn every_command_for_beginners_is_run_or_has_a_reason() {
    let documents = documents::all();
    let documents =
        documents.iter().filter(|it| FOR_BEGINNERS.iter().any(|one| it.path == Path::new(one)));
    let blocks: Vec<(&Path, &Block)> = documents
        .flat_map(|document| document.blocks.iter().map(|block| (document.path.as_path(), block)))
        .filter(|(_, block)| block.run == Run::Never)
        .collect();
    let has_reason = |block: &Block| NOT_RUN.iter().any(|(begin, _)| block.text.starts_with(begin));
    let missing: Vec<String> = blocks
        .iter()
        .filter(|(_, block)| !has_reason(block))
        .map(|(path, block)| format!("{}:{}: {}", path.display(), block.line, block.text))
        .collect();
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "mark them `sh runnable` or `sh typed`, or add a reason"
    );
    for (begin, why) in NOT_RUN {
        let used = blocks.iter().any(|(_, block)| block.text.starts_with(begin));
        assert!(used, "no block begins with `{begin}` ({why})");
    }
}

/// What the commands of a document need, and the documents that need nothing. Each is a script.
const PREPARATIONS: [(&str, &str); 5] = [
    ("README.md", ""),
    ("docs/getting-started.md", ""),
    (
        "docs/interactive.md",
        "zun run -d --name test cirros sleep 1000
         zun exec test mkdir -p /var/log
         zun run -d --name web cirros sh -c 'echo serving; echo failing >&2; sleep 3'
         mkdir site
         echo hello >site/index.html\n",
    ),
    ("docs/formats.md", "zun run -d --name web --label tier=front cirros sleep 1000\n"),
    ("docs/volumes-and-networks.md", "echo colour=blue >app.conf\n"),
];

/// The documents that are run only in long tests.
const SLOW: [&str; 2] = ["docs/formats.md", "docs/volumes-and-networks.md"];

#[test]
fn every_runnable_command_runs() {
    let documents: Vec<Document> = documents::all()
        .into_iter()
        .filter(|document| document.blocks.iter().any(|block| block.run != Run::Never))
        .collect();
    let mut named: Vec<_> = documents.iter().map(|it| it.path.display().to_string()).collect();
    let mut expected = PREPARATIONS.map(|(path, _)| path.to_owned()).to_vec();
    named.sort();
    expected.sort();
    assert_eq!(named, expected, "each document with runnable commands is in PREPARATIONS");
    let machine = Machine::new();
    machine.up();
    machine.load_image();
    for document in &documents {
        let is = |path: &&str| document.path == Path::new(path);
        if SLOW.iter().any(is) && !is_long() {
            continue;
        }
        let prepared = PREPARATIONS.iter().find(|(path, _)| is(path));
        let (_, preparation) = prepared.expect("compared above");
        let directory = tempfile::tempdir().expect("a directory");
        run(&machine, (document, preparation), directory.path());
        type_in(&machine, document, directory.path());
        // The next document finds no containers, whatever this one has left.
        let all = machine.shell("zun list -q | xargs -r zun delete --stop");
        assert!(all.status.success(), "{}", printed(&all));
    }
    machine.down();
}

/// Runs the blocks of one document, in order, in one shell.
fn run(machine: &Machine, (document, preparation): (&Document, &str), directory: &Path) {
    let script = format!(
        "set -euo pipefail\n. '{}'\n{preparation}set -v\n{}",
        machine.env_file().display(),
        document.commands(Run::Script)
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(directory)
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
}

/// The keys ctrl-p and ctrl-q.
const DETACH: &str = "\x10\x11";

/// What is typed into the shells that commands open in containers, as the documents say, and the exit codes.
const TYPED: [(&str, &[&str], u8); 4] = [
    ("zun run -i --name test ", &["exit 3\r"], 3),
    ("zun run -i --name first ", &["hostname\r", DETACH], 0),
    ("zun attach first", &["exit\r"], 0),
    ("zun start -a -i first ", &["exit\r"], 0),
];

/// Types the blocks of one document that need a terminal, line by line, into one shell.
fn type_in(machine: &Machine, document: &Document, directory: &Path) {
    let commands = document.commands(Run::Terminal);
    if commands.is_empty() {
        return;
    }
    let environment =
        [("PS1", "[$?]$ ".to_owned()), ("XDG_STATE_HOME", directory.display().to_string())]
            .map(|(name, value)| (name.to_owned(), value));
    let mut shell = Pty::spawn("bash", &["--norc", "--noprofile", "-i"], &environment, (24, 100));
    shell.shows("[0]$ ");
    shell.types(format!(". '{}'\r", machine.env_file().display()));
    shell.shows("[0]$ ");
    for line in commands.lines() {
        shell.types(format!("{line}\r"));
        let inside = TYPED.iter().find(|(begin, ..)| line.starts_with(begin));
        let (_, typed, code) = inside.copied().unwrap_or(("", &[], 0));
        for keys in typed {
            shell.shows("/ # ");
            shell.types(keys);
        }
        shell.shows(&format!("[{code}]$ "));
    }
    shell.types("exit\r");
    assert_eq!(shell.exit(), 0);
}
