//! `zun-api host …`: which hosts are enrolled.

use std::path::Path;

use clap::Subcommand;
use zun_api::ca::{EnrolledHost, EnrolledHosts, HostAddress};
use zun_common::id::HostName;

use crate::{CaDirectory, Failure, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enrols a host, or changes what it may be dialled by; a running zun-api takes it at once. What is not
    /// named here never stands in a host's certificate.
    Enrol {
        /// The host's name in the cluster; it may always be dialled by it.
        host: HostName,
        /// Another DNS name or address that clients dial it by. May be given more than once.
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<HostAddress>,
        #[command(flatten)]
        location: CaDirectory,
    },
    /// Shows the enrolled hosts with their names and addresses.
    List(CaDirectory),
    /// Signs no certificate for a host any more. The one that it has is good until its end.
    Remove {
        /// The host's name.
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
            print_line(&format!("{host} is no longer enrolled"));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn show(hosts: &[EnrolledHost]) {
    for host in hosts {
        println!("{}", line(host));
    }
}

fn line(host: &EnrolledHost) -> String {
    let names: Vec<_> = host.names().map(ToString::to_string).collect();
    format!("{}: {}", host.host(), names.join(" "))
}
