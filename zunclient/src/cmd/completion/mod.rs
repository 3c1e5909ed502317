//! `zun completion`: scripts for shells. A script asks `zun __complete` for the words that can come next, so it needs no
//! update, and knows the names of containers, images and hosts.

mod candidates;
mod names;

use std::ffi::OsString;

use clap::{Args, Command, ValueEnum};

use self::candidates::{Candidates, candidates};
use super::Failure;
use crate::exit::Exit;
use crate::out::{Format, Printer};

/// Print the completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(zun completion bash)                  In this shell, or in ~/.bashrc
  zun completion zsh >\"${fpath[1]}/_zun\"
  zun completion fish >~/.config/fish/completions/zun.fish")]
pub(super) struct Completion {
    /// Shell: bash, zsh or fish
    #[arg(value_enum, hide_possible_values = true)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The verb that the scripts use. It is not in the help.
const COMPLETE: &str = "__complete";

/// The exit code of [`COMPLETE`] if file names cannot come next either.
const NO_FILES: Exit = Exit(3);

// Bash splits words at `:` and `=`, and replaces only what comes after the last of them.
const BASH: &str = r#"_zun() {
  local line=${COMP_LINE:0:COMP_POINT} found code current prefix
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  found=$(zun __complete -- "${words[@]:1}" 2>/dev/null)
  code=$?
  COMPREPLY=()
  [[ -n $found ]] && mapfile -t COMPREPLY <<<"$found"
  current=${words[-1]}
  if [[ $current == *[:=]* ]]; then
    prefix=${current%"${current##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
  fi
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
  (( code == 3 )) && compopt +o default
  return 0
}
complete -o default -F _zun zun"#;

const ZSH: &str = r#"#compdef zun
_zun() {
  local -a found
  local text code
  text=$(zun __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  code=$?
  found=("${(@f)text}")
  found=("${(@)found:#}")
  if (( $#found )); then
    if [[ $#found == 1 && $found[1] == *[:=] ]]; then compadd -S '' -- "${(@)found}"; else compadd -- "${(@)found}"; fi
  elif (( code != 3 )); then
    _files
  fi
}
if [ "$funcstack[1]" = "_zun" ]; then _zun "$@"; else compdef _zun zun; fi"#;

const FISH: &str = r#"function __zun_complete
  set -l words (commandline -opc)
  set -e words[1]
  set -l current (commandline -ct)
  set -l found (zun __complete -- $words "$current" 2>/dev/null)
  set -l code $status
  if set -q found[1]
    printf '%s\n' $found
  else if test $code -ne 3
    __fish_complete_path "$current"
  end
end
complete -c zun -f -a '(__zun_complete)'"#;

impl Completion {
    /// Prints the script. Needs no settings.
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        Printer::new(Format::default()).line(match self.shell {
            Shell::Bash => BASH,
            Shell::Zsh => ZSH,
            Shell::Fish => FISH,
        })?;
        Ok(Exit::OK)
    }
}

/// Returns the words of the command line to complete, if a script asks for them. The last one may be empty.
pub(super) fn asked(arguments: &[OsString]) -> Option<Vec<String>> {
    match arguments {
        [_, verb, separator, words @ ..] if verb == COMPLETE && separator == "--" => {
            Some(words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
        }
        _ => None,
    }
}

/// Prints what can come next, one on a line. A failure prints nothing: the user is still typing.
pub(super) fn complete(command: Command, words: &[String]) -> Exit {
    let Candidates { found, files } = candidates(command, words, names::names);
    let printable = |word: &&String| word.bytes().all(|byte| byte.is_ascii_graphic());
    let lines: Vec<&str> = found.iter().filter(printable).map(String::as_str).collect();
    if !lines.is_empty() {
        drop(Printer::new(Format::default()).line(&lines.join("\n")));
    }
    if files { Exit::OK } else { NO_FILES }
}
