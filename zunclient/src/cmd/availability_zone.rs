//! `zun availability-zone`: groups of hosts.

use clap::{Args, Subcommand};

use super::select::ListSelect;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::Table;

/// Show availability zones
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Example:
  zun availability-zone list"
)]
pub(super) struct AvailabilityZone {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
}

/// List the availability zones
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun availability-zone list
  zun create --availability-zone east cirros")]
struct List {
    #[command(flatten)]
    select: ListSelect,
}

impl AvailabilityZone {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Verb::List(List { select }) = self.verb;
        let zones = context.api.availability_zones().await?;
        select.printer(context).show(&zones, || {
            let mut table = Table::new(vec!["availability_zone"]);
            for zone in &zones {
                table.row(vec![zone.availability_zone.clone().into()]);
            }
            table
        })?;
        Ok(Exit::OK)
    }
}
