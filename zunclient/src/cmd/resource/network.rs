//! `zun network`.

use clap::{Args, Subcommand};
use zun_common::api::v1::resource::CreateResource;
use zun_common::resource::ResourceKind;

use super::ListFlags;
use crate::cmd::select::Select;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Manage networks, in which containers find each other by name
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun network create back
  zun run -d --name db --network back cirros sleep 1h
  zun run --rm --network back cirros ping -c 1 db

A network belongs to one project. It is created on the host of its first
container, and all its containers run on that host."
)]
pub(in crate::cmd) struct Network {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    #[command(visible_alias = "ls")]
    List(List),
    #[command(visible_alias = "inspect")]
    Show(Show),
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// Create a network
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun network create back
  zun network create --subnet 10.5.0.0/24 --internal sealed")]
struct Create {
    /// Name of the network, unique in the project
    name: String,
    /// Private IPv4 subnet, such as 10.5.0.0/24 (administrators; default chosen
    /// by the host)
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// Block connections between the network and the outside
    #[arg(long)]
    internal: bool,
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
}

/// List the networks
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun network list -f value -c name -c host")]
struct List {
    #[command(flatten)]
    flags: ListFlags,
}

/// Show the details of a network
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun network show back")]
struct Show {
    /// Name or UUID of the network
    network: String,
    #[command(flatten)]
    select: Select,
}

/// Delete networks
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun network delete back

A network that a container uses, running or not, is not deleted.")]
struct Delete {
    /// Names or UUIDs of the networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// Do not fail if a network does not exist
    #[arg(short, long)]
    force: bool,
}

impl Network {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        const KIND: ResourceKind = ResourceKind::Network;
        match self.verb {
            Verb::Create(Create { name, subnet, internal, quiet }) => {
                let ask = CreateResource { name, subnet, internal };
                super::create(context, KIND, (&ask, quiet)).await
            }
            Verb::List(List { flags }) => super::list(context, KIND, flags).await,
            Verb::Show(Show { network, select }) => {
                super::show(context, KIND, (&network, &select)).await
            }
            Verb::Delete(Delete { networks, force }) => {
                super::delete(context, KIND, (&networks, force)).await
            }
        }
    }
}
