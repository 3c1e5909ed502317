//! `zun update`

use clap::Args;
use zun_common::api::v1::container::UpdateContainer;

use super::limits::{cpus, memory};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Change the resource limits of containers, running or not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun update --memory 1g web
  zun update --cpu 0.5 web1 web2")]
pub(in crate::cmd) struct Update {
    #[command(flatten)]
    limits: Limits,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Limits {
    /// CPUs, such as 0.5 (0.1 to 16)
    #[arg(long, visible_alias = "cpus", value_name = "NUMBER", value_parser = cpus)]
    cpu: Option<f64>,
    /// Memory limit in MiB, or with unit k, m, g or t (6m to 8g)
    #[arg(short, long, value_name = "SIZE", value_parser = memory, allow_hyphen_values = true)]
    memory: Option<u64>,
}

impl Update {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Limits { cpu, memory } = self.limits;
        let ask = UpdateContainer { name: None, cpu, memory };
        for_each(context, &self.containers, async |name: String| {
            context.api.update(&name, &ask).await?;
            Ok(())
        })
        .await
    }
}
