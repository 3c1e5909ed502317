//! `zun-api secrets …` manages the keys that encrypt secrets in the database.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use zun_api::secrets;
use zun_api::settings::Settings;
use zun_common::settings::Sources;

use crate::{Failure, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the file with a random key; never overwrites an existing one
    Init(KeyFile),
    /// Add a new key, which encrypts from the next restart on
    ///
    /// Restart zun-api afterwards: it encrypts all secrets with the new key. Then the old keys can be deleted from the
    /// file. If you run several zun-api services, copy the file to all of them before you restart the first one.
    Rotate(KeyFile),
}

/// The file of keys.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFile {
    /// File of the keys [default: `secrets.key_file` from --config]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl KeyFile {
    fn path(&self, config: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let settings: Settings = Sources::new(config, "ZUN_API").read()?;
        let missing =
            "no file of keys given: use --file, or set secrets.key_file in the file for --config";
        Ok(settings.secrets.key_file.ok_or(missing)?)
    }
}

pub(crate) fn run(command: &Command, config: Option<&Path>) -> Result<(), Failure> {
    let (Command::Init(location) | Command::Rotate(location)) = command;
    let path = location.path(config)?;
    let unusable =
        |error: secrets::KeyFileError| format!("{}: {}", path.display(), zun_common::chain(&error));
    match command {
        Command::Init(_) => {
            secrets::init(&path).map_err(unusable)?;
            print_line(&format!("created a key in {}", path.display()));
        }
        Command::Rotate(_) => {
            secrets::rotate(&path).map_err(unusable)?;
            print_line(&format!("added a key to {}; restart zun-api", path.display()));
        }
    }
    Ok(())
}
