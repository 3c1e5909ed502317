//! The benchmarks.
//!
//! `zun-bench measure [--long] RESULTS` measures all rows and writes them to a file, as JSON.
//! `zun-bench document RESULTS DOCUMENT README` writes the results into a document, and a few of them into README.

mod agents;
mod commands;
mod creates;
mod document;
mod figures;
mod fill;
mod gate;
mod http;
mod ledger;
mod links;
mod lists;
mod machine;
mod memory;
mod pages;
mod rows;
mod rpc;
mod run;
mod server;

use std::path::Path;
use std::process::ExitCode;

use figures::Results;
use machine::Machine;
use run::Run;

const USAGE: &str =
    "usage: zun-bench measure [--long] RESULTS\n       zun-bench document RESULTS DOCUMENT README";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["measure", results] => measure(false, Path::new(results)),
        ["measure", "--long", results] => measure(true, Path::new(results)),
        ["document", results, document, readme] => {
            write(Path::new(results), Path::new(document), Path::new(readme))
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn measure(long: bool, results: &Path) -> Result<(), String> {
    let run = Run::from_environment(long);
    let machine = Machine::this();
    println!("{machine}");
    let mut done = true;
    done &= run.measure(commands::ROWS, commands::measure);
    done &= run.measure(links::ROWS, links::measure);
    done &= run.measure(gate::ROWS, gate::measure);
    done &= run.measure(lists::ROWS, lists::measure);
    done &= run.measure(pages::ROWS, pages::measure);
    done &= run.measure(creates::ROWS, creates::measure);
    done &= run.measure(rpc::ROWS, rpc::measure);
    done &= run.measure(agents::ROWS, agents::measure);
    done &= run.measure(ledger::ROWS, ledger::measure);
    let all = Results { machine, rows: run.into_entries() };
    let text = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
    std::fs::write(results, text).map_err(|error| format!("{}: {error}", results.display()))?;
    println!("wrote {}", results.display());
    if done { Ok(()) } else { Err("some rows could not be measured: see FAILED above".to_owned()) }
}

fn write(results: &Path, document: &Path, readme: &Path) -> Result<(), String> {
    let failed = |error: String| format!("{}: {error}", results.display());
    let text = std::fs::read_to_string(results).map_err(|error| failed(error.to_string()))?;
    let all: Results = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    document::write(&all, document)?;
    document::write_selected(&all, readme)?;
    println!("wrote {} rows to {} and {}", all.rows.len(), document.display(), readme.display());
    Ok(())
}
