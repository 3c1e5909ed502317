//! `zun-api host …` manages the enrolled hosts.

use std::path::Path;

use clap::Subcommand;
use zun_api::ca::{EnrolledHost, EnrolledHosts, HostAddress};
use zun_common::id::HostName;

use crate::{CaDirectory, Failure, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enrol a host, or replace the names allowed in its certificate
    ///
    /// A running zun-api uses the change at once. A host certificate contains only names and addresses given
    /// here.
    Enrol {
        /// Host name in the cluster; always allowed in the certificate
        host: HostName,
        /// Another DNS name or address that clients connect to (repeatable)
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<HostAddress>,
        #[command(flatten)]
        location: CaDirectory,
    },
    /// List the enrolled hosts with their names and addresses
    List(CaDirectory),
    /// Stop signing certificates for a host; its current one stays valid until it expires
    Remove {
        /// Host name in the cluster
        host: HostName,
        #[command(flatten)]
        location: CaDirectory,
    },
}

pub(crate) fn run(command: &Command, config: Option<&Path>) -> Result<(), Failure> {
    match command {
        Command::Enrol { host, names, location } => {
            let hosts = EnrolledHosts::of_ca(&location.directory(config)?);
            let enrolled = EnrolledHost::new(host.clone(), names.iter().cloned());
            hosts.enrol(&enrolled)?;
            print_line(&format!("enrolled {}", line(&enrolled)));
        }
        Command::List(location) => show(&EnrolledHosts::of_ca(&location.directory(config)?).all()?),
        Command::Remove { host, location } => {
            EnrolledHosts::of_ca(&location.directory(config)?).remove(host)?;
            print_line(&format!(
                "removed {host}; its current certificate stays valid until it expires"
            ));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command prints its result")]
fn show(hosts: &[EnrolledHost]) {
    for host in hosts {
        println!("{}", line(host));
    }
}

fn line(host: &EnrolledHost) -> String {
    let names: Vec<_> = host.names().map(ToString::to_string).collect();
    format!("{}: {}", host.host(), names.join(" "))
}
