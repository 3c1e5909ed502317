//! `zun-api ca …`: the certificate authority, by hand.

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use zun_api::ca::{Authority, Role, Step, Trusted, rotate, trusted};

use crate::{Failure, Place, say};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the authority's key and certificate. Existing ones are never overwritten.
    Init(Place),
    /// Shows which authorities are trusted, which one signs, and what is next in a rotation.
    Show(Place),
    /// Lets one authority follow another: prepare, switch, finish. zun-api is restarted after each step, and
    /// every host's zun-compute and Docker.
    Rotate {
        /// The step.
        #[arg(value_enum)]
        step: StepName,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StepName {
    /// A new authority is made, and trusted beside the old one, which signs.
    Prepare,
    /// The new one signs; what the old one signed is still good.
    Switch,
    /// The old one is trusted no more.
    Finish,
}

impl StepName {
    const fn step(self) -> Step {
        match self {
            Self::Prepare => Step::Prepare,
            Self::Switch => Step::Switch,
            Self::Finish => Step::Finish,
        }
    }
}

pub(crate) fn run(command: &Command, config: Option<&Path>) -> Result<(), Failure> {
    match command {
        Command::Init(place) => {
            let directory = place.directory(config)?;
            Authority::init(&directory)?;
            say(&format!("made a certificate authority in {}", directory.display()));
        }
        Command::Show(place) => show(&trusted(&place.directory(config)?)?),
        Command::Rotate { step, place } => {
            let directory = place.directory(config)?;
            rotate(&directory, step.step())?;
            say(match step {
                StepName::Finish => FINISHED,
                StepName::Prepare | StepName::Switch => next(&trusted(&directory)?),
            });
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn show(all: &[Trusted]) {
    for Trusted { role, subject, fingerprint, expires_at } in all {
        let role = match role {
            Role::Signs => "signs",
            Role::Next => "signs after the switch",
            Role::Former => "signed before",
        };
        println!(
            "{subject}: {role}, until {}, SHA-256 {fingerprint}",
            expires_at.format("%F %T UTC")
        );
    }
    println!("{}", next(all));
}

const FINISHED: &str = "restart zun-api, then zun-compute and Docker on every host: a host trusts the former authority until then";

/// What an operator does next.
fn next(all: &[Trusted]) -> &'static str {
    let is = |role| all.iter().any(|trusted| trusted.role == role);
    if is(Role::Next) {
        "restart zun-api; once every host has the new list of authorities and its Docker was restarted: \
         zun-api ca rotate switch"
    } else if is(Role::Former) {
        "restart zun-api; once every host has a new certificate and its Docker was restarted: \
         zun-api ca rotate finish"
    } else {
        "no rotation is under way"
    }
}
