//! `zun-api database …`

use std::path::Path;

use clap::Subcommand;
use zun_api::copy_database;
use zun_api::settings::{DatabaseUrl, Settings};
use zun_common::settings::Sources;

use crate::{Failure, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy all rows into an empty database and compare both; stop zun-api first
    Copy {
        /// Database to read, such as `sqlite:///var/lib/zun/zun.sqlite`
        #[arg(long, value_name = "URL")]
        from: String,
        /// Empty database to fill [default: `database.url` from --config]
        #[arg(long, value_name = "URL")]
        to: Option<String>,
    },
}

/// Runs the command.
pub(crate) fn run(command: &Command, config: Option<&Path>) -> Result<(), Failure> {
    let Command::Copy { from, to } = command;
    let from: DatabaseUrl = parse("--from", from)?;
    let to = match to {
        Some(to) => parse("--to", to)?,
        None if config.is_none() => return Err("no target given: use --to or --config".into()),
        None => Sources::new(config, "ZUN_API").read::<Settings>()?.database.url,
    };
    for copied in copy_database(&from, &to)? {
        print_line(&format!("copied {} rows of {}", copied.rows, copied.table));
    }
    print_line("the copy is complete, and equal to the source");
    Ok(())
}

/// The error does not repeat the URL: it may contain a password.
fn parse(option: &str, url: &str) -> Result<DatabaseUrl, Failure> {
    let scheme = "use sqlite:///PATH or postgres://…";
    url.parse().map_err(|_invalid| format!("invalid URL for {option}: {scheme}").into())
}
