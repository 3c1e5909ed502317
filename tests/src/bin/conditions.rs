//! `conditions RESULTS… DOCUMENT`: writes the table of results between the two marks of a document. A results file has
//! one JSON object per line.

use std::path::Path;
use std::process::ExitCode;

use zun_tests::conditions::{Finding, table};

const BEGIN: &str = "<!-- conditions: made by `make conditions` -->\n";
const END: &str = "<!-- end of conditions -->";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let Some((document, results)) = arguments.split_last() else {
        eprintln!("usage: conditions RESULTS… DOCUMENT");
        return ExitCode::from(2);
    };
    match put(results.iter().map(Path::new), Path::new(document)) {
        Ok(count) => {
            println!("wrote the results of {count} runs to {}", Path::new(document).display());
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn put<'a>(results: impl Iterator<Item = &'a Path>, document: &Path) -> Result<usize, String> {
    let mut findings: Vec<Finding> = Vec::new();
    for path in results {
        for line in read(path)?.lines() {
            let finding = serde_json::from_str(line);
            findings.push(finding.map_err(|error| format!("{}: {error}", path.display()))?);
        }
    }
    let text = read(document)?;
    let marked = || format!("{} does not contain both marks", document.display());
    let (before, rest) = text.split_once(BEGIN).ok_or_else(marked)?;
    let (_former, after) = rest.split_once(END).ok_or_else(marked)?;
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", table(&findings));
    std::fs::write(document, text).map_err(|error| format!("{}: {error}", document.display()))?;
    Ok(findings.len())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
