//! `zun volume`.

use clap::{Args, Subcommand};
use zun_common::api::v1::resource::CreateResource;
use zun_common::resource::ResourceKind;

use super::ListFlags;
use crate::cmd::select::Select;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Manage volumes, which keep data when their containers are deleted
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun run --rm -v data:/data cirros sh -c 'date >/data/now'
  zun run --rm -v data:/data:ro cirros cat /data/now
  zun volume list

A volume is created on the host of the first container that uses it. All
containers that use the volume run on that host."
)]
pub(in crate::cmd) struct Volume {
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

/// Create a volume; zun run -v creates missing ones itself
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun volume create data")]
struct Create {
    /// Name of the volume, unique in the project
    name: String,
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
}

/// List the volumes
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun volume list -f value -c name -c host")]
struct List {
    #[command(flatten)]
    flags: ListFlags,
}

/// Show the details of a volume
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun volume show data")]
struct Show {
    /// Name or UUID of the volume
    volume: String,
    #[command(flatten)]
    select: Select,
}

/// Delete volumes with their data
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun volume delete data

A volume that a container uses, running or not, is not deleted.")]
struct Delete {
    /// Names or UUIDs of the volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
    /// Do not fail if a volume does not exist
    #[arg(short, long)]
    force: bool,
}

impl Volume {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        const KIND: ResourceKind = ResourceKind::Volume;
        match self.verb {
            Verb::Create(Create { name, quiet }) => {
                let ask = CreateResource { name, ..CreateResource::default() };
                super::create(context, KIND, (&ask, quiet)).await
            }
            Verb::List(List { flags }) => super::list(context, KIND, flags).await,
            Verb::Show(Show { volume, select }) => {
                super::show(context, KIND, (&volume, &select)).await
            }
            Verb::Delete(Delete { volumes, force }) => {
                super::delete(context, KIND, (&volumes, force)).await
            }
        }
    }
}
