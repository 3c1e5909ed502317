//! `zun __man DIRECTORY`: writes the man pages, for the installer. It is not in the help.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;

use crate::exit::Exit;
use crate::out;

/// The verb.
const MAN: &str = "__man";

/// Returns the directory, if the man pages are requested.
pub(super) fn asked(arguments: &[OsString]) -> Option<&Path> {
    match arguments {
        [_program, verb, directory] if verb == MAN => Some(Path::new(directory)),
        _ => None,
    }
}

/// Writes a page for the command, and one for each verb and each other name of a verb.
pub(super) fn write(command: Command, directory: &Path) -> Exit {
    // The help of zun hides its verbs, because it groups them itself.
    let command = command.mut_subcommands(|verb| verb.hide(false));
    let links: Vec<(String, String)> = command
        .get_subcommands()
        .flat_map(|verb| verb.get_visible_aliases().map(|alias| (alias, verb.get_name())))
        .map(|(alias, verb)| (format!("zun-{alias}.1"), format!(".so man1/zun-{verb}.1\n")))
        .collect();
    let write_link = |(name, text): &(String, String)| std::fs::write(directory.join(name), text);
    let written = clap_mangen::generate_to(command, directory);
    match written.and_then(|()| links.iter().try_for_each(write_link)) {
        Ok(()) => Exit::OK,
        Err(cause) => {
            out::notice(&format!("cannot write to {}: {cause}", directory.display()));
            Exit::FAILED
        }
    }
}
