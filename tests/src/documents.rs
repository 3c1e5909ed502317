//! The project's documents, read as Markdown: their links, the headings that links can name, and their commands.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// How a test runs the commands of a code block, by its info string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// `sh runnable`: in a script.
    Script,
    /// `sh typed`: at a terminal.
    Terminal,
    /// `sh`: not at all.
    Never,
}

impl Run {
    fn of(info: &str) -> Option<Self> {
        match info {
            "sh runnable" => Some(Self::Script),
            "sh typed" => Some(Self::Terminal),
            "sh" => Some(Self::Never),
            _ => None,
        }
    }
}

/// A code block with commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The line of its first command.
    pub line: usize,
    /// How it is run.
    pub run: Run,
    /// Its commands.
    pub text: String,
}

/// One Markdown file.
#[derive(Debug)]
pub struct Document {
    /// The path, relative to the root of the repository.
    pub path: PathBuf,
    /// The target of each link and image, with its line.
    pub links: Vec<(usize, String)>,
    /// The text of each code span, with its line.
    pub code: Vec<(usize, String)>,
    /// The blocks with commands.
    pub blocks: Vec<Block>,
    anchors: HashSet<String>,
}

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a directory of the repository")
}

/// Returns every document in the root and in `docs/`, sorted by path.
pub fn all() -> Vec<Document> {
    let files = [root().to_owned(), root().join("docs")].into_iter().flat_map(|directory| {
        let entries = std::fs::read_dir(directory).expect("a readable directory");
        entries.map(|entry| entry.expect("an entry").path())
    });
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "md")).collect();
    files.sort();
    files.iter().map(|file| Document::read(file)).collect()
}

impl Document {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a readable document");
        let path = file.strip_prefix(root()).expect("a file of the repository").to_owned();
        Self::parse(path, &text)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most Markdown events do not matter here")]
    fn parse(path: PathBuf, text: &str) -> Self {
        let mut document = Self {
            path,
            links: Vec::new(),
            code: Vec::new(),
            blocks: Vec::new(),
            anchors: HashSet::new(),
        };
        let line = |at: &Range<usize>| text[..at.start].matches('\n').count() + 1;
        let mut headings = Headings::default();
        let mut block = None;
        for (event, at) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => headings.begin(),
                Event::End(TagEnd::Heading(_)) => {
                    document.anchors.extend(headings.end());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((line(&at), dest_url.into_string()));
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    block = Run::of(&info);
                }
                Event::End(TagEnd::CodeBlock) => block = None,
                Event::Code(code) => {
                    headings.add(&code);
                    document.code.push((line(&at), code.into_string()));
                }
                Event::Text(words) => match block {
                    Some(run) => {
                        let text = words.into_string();
                        document.blocks.push(Block { line: line(&at), run, text });
                    }
                    None => headings.add(&words),
                },
                _ => {}
            }
        }
        document
    }

    /// Returns the commands of all blocks that are run like this.
    pub fn commands(&self, run: Run) -> String {
        let blocks = self.blocks.iter().filter(|block| block.run == run);
        blocks.map(|block| block.text.as_str()).collect()
    }

    /// Returns why a link does not resolve, or `None` if it does. Does not follow links to other sites.
    pub fn broken(&self, link: &str) -> Option<String> {
        if link.starts_with("https://") || link.starts_with("http://") {
            return url::Url::parse(link).err().map(|error| error.to_string());
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let here = root().join(&self.path);
        let target = match file {
            "" => here,
            file => here.parent().expect("a directory").join(file),
        };
        if !target.exists() {
            return Some(format!("there is no file {file}"));
        }
        let found = anchor.is_empty() || Self::read_anchors(&target).contains(anchor);
        (!found).then(|| format!("{} has no heading #{anchor}", target.display()))
    }

    fn read_anchors(file: &Path) -> HashSet<String> {
        let text = std::fs::read_to_string(file).expect("a readable document");
        Self::parse(file.to_owned(), &text).anchors
    }
}

/// Collects headings and builds their anchors as GitHub does: lower case, no punctuation, hyphens for spaces, and a
/// number at the end if an earlier heading has the same text.
#[derive(Default)]
struct Headings {
    open: Option<String>,
    seen: HashMap<String, usize>,
}

impl Headings {
    fn begin(&mut self) {
        self.open = Some(String::new());
    }

    fn add(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            open.push_str(text);
        }
    }

    fn end(&mut self) -> Option<String> {
        let text = self.open.take()?.to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = self.seen.entry(anchor.clone()).or_default();
        *count += 1;
        Some(if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A title: with `code`
[a](#a-title-with-code) ![b](picture.svg)
## Twice
## Twice
```sh runnable
echo one
echo two
```
```sh typed
zun attach
```
```sh
echo not run
```
```toml
key = 1
```
";

    #[test]
    fn a_document_has_links_anchors_and_blocks_of_commands() {
        let document = Document::parse("README.md".into(), TEXT);
        let links: Vec<_> = document.links.iter().map(|(_, link)| link.as_str()).collect();
        assert_eq!(links, ["#a-title-with-code", "picture.svg"]);
        for anchor in ["a-title-with-code", "twice", "twice-1"] {
            assert!(document.anchors.contains(anchor), "{anchor}: {:?}", document.anchors);
        }
        let block = |line, run, text: &str| Block { line, run, text: text.to_owned() };
        let blocks = [
            block(6, Run::Script, "echo one\necho two\n"),
            block(10, Run::Terminal, "zun attach\n"),
            block(13, Run::Never, "echo not run\n"),
        ];
        assert_eq!(document.blocks, blocks);
        assert_eq!(document.commands(Run::Terminal), "zun attach\n");
    }

    #[test]
    fn a_link_to_a_missing_file_or_heading_is_broken() {
        let document = Document::parse("README.md".into(), TEXT);
        assert!(document.broken("no-such-file.md").is_some());
        assert!(document.broken("ARCHITECTURE.md#no-such-heading").is_some());
        assert!(document.broken("http://").is_some());
        assert!(document.broken("ARCHITECTURE.md#architecture").is_none());
        assert!(document.broken("docs").is_none());
    }
}
