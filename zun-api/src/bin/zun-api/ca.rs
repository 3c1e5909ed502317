//! `zun-api ca …`: the certificate authority, by hand.

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use zun_api::ca::{CertificateAuthority, Role, Step, TrustedCa, rotate, trusted_cas};

use crate::{CaDirectory, Failure, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the CA's key and certificate. Existing ones are never overwritten.
    Init(CaDirectory),
    /// Shows which CAs are trusted, which one signs, and what is next in a rotation.
    Show(CaDirectory),
    /// Lets one CA follow another: prepare, switch, finish. zun-api is restarted after each step, and
    /// every host's zun-compute and Docker.
    Rotate {
        /// The step.
        #[arg(value_enum)]
        step: StepName,
        #[command(flatten)]
        location: CaDirectory,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StepName {
    /// A new CA is made, and trusted beside the old one, which signs.
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
        Command::Init(location) => {
            let directory = location.directory(config)?;
            CertificateAuthority::init(&directory)?;
            print_line(&format!("made a certificate authority in {}", directory.display()));
        }
        Command::Show(location) => show(&trusted_cas(&location.directory(config)?)?),
        Command::Rotate { step, location } => {
            let directory = location.directory(config)?;
            rotate(&directory, step.step())?;
            print_line(match step {
                StepName::Finish => FINISHED,
                StepName::Prepare | StepName::Switch => next_step(&trusted_cas(&directory)?),
            });
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn show(all: &[TrustedCa]) {
    for TrustedCa { role, subject, fingerprint, expires_at } in all {
        let role = match role {
            Role::Signing => "signs",
            Role::Next => "signs after the switch",
            Role::Previous => "signed before",
        };
        println!(
            "{subject}: {role}, until {}, SHA-256 {fingerprint}",
            expires_at.format("%F %T UTC")
        );
    }
    println!("{}", next_step(all));
}

const FINISHED: &str = "restart zun-api, then zun-compute and Docker on every host: a host trusts the former authority until then";

/// What an operator does next.
fn next_step(all: &[TrustedCa]) -> &'static str {
    let is = |role| all.iter().any(|trusted| trusted.role == role);
    if is(Role::Next) {
        "restart zun-api; once every host has the new list of authorities and its Docker was restarted: \
         zun-api ca rotate switch"
    } else if is(Role::Previous) {
        "restart zun-api; once every host has a new certificate and its Docker was restarted: \
         zun-api ca rotate finish"
    } else {
        "no rotation is under way"
    }
}
