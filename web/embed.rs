//! The part of the programs' build scripts that embeds a page, as far as `make web` has built it into `web/dist`.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a file with the page's name and the ending `.rs` into Cargo's output directory: an expression of type `&[Asset]`
/// with the files of the page, which is empty if the page was not built. `pages` is the directory `web/dist`.
#[expect(clippy::disallowed_methods, reason = "Cargo says in it where the output belongs")]
pub(crate) fn embed(pages: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    // The directory is part of the repository: if a watched path is missing, cargo builds each time.
    let page = pages.join(name);
    let watched = if page.is_dir() { &page } else { pages };
    println!("cargo::rerun-if-changed={}", watched.display());
    let mut files = Vec::new();
    if page.is_dir() {
        files.extend(files_in(&page)?);
        files.extend(files_in(&page.join("assets"))?);
    }
    files.sort();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut code = "&[\n".to_owned();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end != "gz")) {
        let path = file.strip_prefix(&page)?.display().to_string();
        // Copies, because the next build of the pages may remove the files at any moment.
        let copy = format!("{name}-{}", path.replace('/', "-"));
        fs::copy(file, out.join(&copy))?;
        fs::copy(format!("{}.gz", file.display()), out.join(format!("{copy}.gz")))?;
        let bytes =
            |end: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{copy}{end}\"))");
        let (plain, gzip) = (bytes(""), bytes(".gz"));
        writeln!(code, "    Asset {{ path: {path:?}, plain: {plain}, gzip: {gzip} }},")?;
    }
    code.push_str("]\n");
    fs::write(out.join(format!("{name}.rs")), code)?;
    Ok(())
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
