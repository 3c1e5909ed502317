//! `zun-api host …`: which hosts are enrolled.

use std::path::Path;

use clap::Subcommand;
use zun_api::ca::{Dialled, Enrolled, Hosts};
use zun_common::id::HostName;

use crate::{Failure, Place, say};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enrols a host, or changes what it may be dialled by; a running zun-api takes it at once. What is not
    /// named here never stands in a host's certificate.
    Enrol {
        /// The host's name in the cluster; it may always be dialled by it.
        host: HostName,
        /// Another DNS name or address that clients dial it by. May be given more than once.
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<Dialled>,
        #[command(flatten)]
        place: Place,
    },
    /// Shows the enrolled hosts with their names and addresses.
    List(Place),
    /// Signs no certificate for a host any more. The one that it has is good until its end.
    Remove {
        /// The host's name.
        host: HostName,
        #[command(flatten)]
        place: Place,
    },
}

pub(crate) fn run(command: &Command, config: Option<&Path>) -> Result<(), Failure> {
    match command {
        Command::Enrol { host, names, place } => {
            let hosts = Hosts::beside(&place.directory(config)?);
            let enrolled = Enrolled::new(host.clone(), names.iter().cloned());
            hosts.enrol(&enrolled)?;
            say(&format!("enrolled {}", line(&enrolled)));
        }
        Command::List(place) => show(&Hosts::beside(&place.directory(config)?).all()?),
        Command::Remove { host, place } => {
            Hosts::beside(&place.directory(config)?).remove(host)?;
            say(&format!("{host} is no longer enrolled"));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn show(hosts: &[Enrolled]) {
    for host in hosts {
        println!("{}", line(host));
    }
}

fn line(host: &Enrolled) -> String {
    let names: Vec<_> = host.names().map(ToString::to_string).collect();
    format!("{}: {}", host.host(), names.join(" "))
}
