//! `zun-api ca …` manages the certificate authority.

use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::{Subcommand, ValueEnum};
use zun_api::ca::{
    API_CERTIFICATE_FILE, CertificateAuthority, HostAddress, Role, Step, TrustedCa, rotate,
    trusted_cas,
};

use crate::{CaDirectory, Failure, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the CA's key and certificate; never overwrites existing ones
    Init(CaDirectory),
    /// Create a key and a server certificate for the API, signed by this CA
    ///
    /// Writes key.pem and cert.pem for http.key and http.certificate. A running zun-api uses them at once.
    ApiCertificate {
        /// DNS name or address by which clients reach the API (repeatable)
        #[arg(long = "name", value_name = "NAME", required = true)]
        names: Vec<HostAddress>,
        /// Directory for the two files
        #[arg(long, value_name = "DIRECTORY")]
        output: PathBuf,
        #[command(flatten)]
        location: CaDirectory,
    },
    /// List the trusted CAs, which one signs, and the next step of a rotation
    Show(CaDirectory),
    /// Replace the CA in three steps: prepare, switch, finish
    ///
    /// After each step restart zun-api, then zun-compute and Docker on every host.
    Rotate {
        /// Step of the rotation
        #[arg(value_enum)]
        step: StepName,
        #[command(flatten)]
        location: CaDirectory,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StepName {
    /// Create a new CA and trust it as well; the old one still signs
    Prepare,
    /// Sign with the new CA; certificates from the old one stay valid
    Switch,
    /// Stop trusting the old CA
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
            print_line(&format!("created a CA in {}", directory.display()));
        }
        Command::ApiCertificate { names, output, location } => {
            let ca = CertificateAuthority::load(&location.directory(config)?)?;
            ca.write_api_certificate(names, output, Utc::now())?;
            print_line(&format!("wrote {}", output.join(API_CERTIFICATE_FILE).display()));
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

#[expect(clippy::print_stdout, reason = "the command prints its result")]
fn show(all: &[TrustedCa]) {
    for TrustedCa { role, subject, fingerprint, expires_at } in all {
        let role = match role {
            Role::Signing => "signing",
            Role::Next => "next, signs after `switch`",
            Role::Previous => "previous, trusted until `finish`",
        };
        println!(
            "{subject}: {role}, expires {}, SHA-256 {fingerprint}",
            expires_at.format("%F %T UTC")
        );
    }
    println!("{}", next_step(all));
}

const FINISHED: &str = "restart zun-api, then zun-compute and Docker on every host; until then a host still trusts the old CA";

/// Returns the operator's next step.
fn next_step(all: &[TrustedCa]) -> &'static str {
    let is = |role| all.iter().any(|trusted| trusted.role == role);
    if is(Role::Next) {
        "restart zun-api, then zun-compute and Docker on every host; after that, run: \
         zun-api ca rotate switch"
    } else if is(Role::Previous) {
        "restart zun-api, then zun-compute and Docker on every host; after that, run: \
         zun-api ca rotate finish"
    } else {
        "no rotation in progress"
    }
}
