//! `zun delete`

use clap::Args;
use zun_common::api::v1::container::Container;
use zun_common::status::Action;

use crate::api;
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Remove containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun delete test
  zun delete --stop web1 web2   Stop and remove both
  zun rm --force test           Kill and remove it (administrators)")]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(in crate::cmd) struct Delete {
    /// Kill running containers first (administrators only)
    #[arg(short, long, conflicts_with = "stop")]
    force: bool,
    /// Stop running containers first, with SIGKILL after their stop timeout
    #[arg(short, long)]
    stop: bool,
    /// No effect: volumes without a name are always removed with their container
    #[arg(short, long, hide = true)]
    volumes: bool,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Delete {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let how = match (self.force, self.stop) {
            (true, _) => api::Delete::Force,
            (false, true) => api::Delete::StopFirst,
            (false, false) => api::Delete::OnlyStopped,
        };
        for_each(context, &self.containers, async |name: String| {
            // The name may be taken again at once, so the UUID is used.
            let was = context.api.show(&name).await;
            let was = was.map_err(|error| Failure::unless_missing(error, self.force))?;
            let deleted = context.api.delete(&was.uuid.to_string(), how).await;
            deleted.map_err(|error| advised(error, (&name, &was, how)))?;
            // The service answers when the host has removed it. If that takes long or the host is down, the host
            // removes it later, and a new container can have the name already.
            Ok(())
        })
        .await
    }
}

/// Says how to remove a container that is not stopped.
fn advised(error: api::ApiError, (name, was, how): (&str, &Container, api::Delete)) -> Failure {
    let is_running = !was.status.allows(Action::Delete);
    let is_refused = error.status() == Some(409) && how == api::Delete::OnlyStopped;
    let failure = Failure::from(error);
    if !(is_running && is_refused) {
        return failure;
    }
    let advice = format!("stop it first: zun delete --stop {name}, or --force (administrators)");
    failure.advise(&advice)
}
