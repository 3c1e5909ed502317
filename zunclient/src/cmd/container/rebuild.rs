//! `zun rebuild`

use clap::Args;
use zun_common::api::v1::action::ContainerAction;
use zun_common::api::v1::container::Container;
use zun_common::status::{Status, TaskState};

use super::goal::POLL_TIMEOUT;
use super::starting::is_unreachable;
use crate::api::{Absence, Client};
use crate::cmd::for_each::for_each;
use crate::cmd::pull_progress::PullProgress;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// The name of the operation among the actions of a container.
const ACTION: &str = "rebuild";

/// Replace containers with new ones from an image
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun rebuild web                     From its own image: resets its files
  zun rebuild --image nginx:1.29 web  From another image

Notes:
  - Keeps the UUID, name, options, ports, named volumes and network. Files that
    the container wrote outside its volumes are lost.
  - The host pulls the image first, as the container's --pull option says. If
    that fails, the container keeps running.
  - The new container is started if the old one was running. If Docker refuses
    to create it, such as for an image without a command, the old one is started
    again.
  - If the new process does not start, the container is in Error with the new
    image: `zun rebuild --image OLD` goes back.
  - Refused for containers that were created with --rm.")]
pub(in crate::cmd) struct Rebuild {
    /// Image for the new containers (default the container's own)
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Suppress pull progress
    #[arg(short, long)]
    quiet: bool,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rebuild {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let image = self.image.as_deref();
        for_each(context, &self.containers, async |name: String| {
            let was = context.api.show(&name).await?;
            context.api.rebuild(&was.uuid.to_string(), image).await?;
            self.finish(&context.api, was).await
        })
        .await
    }

    /// Waits until the host has rebuilt the container, or has said why not.
    async fn finish(&self, api: &Client, mut container: Container) -> Result<(), Failure> {
        let id = container.uuid.to_string();
        let image = self.image.clone().unwrap_or_else(|| container.image.clone());
        let mut pull_progress = PullProgress::default();
        let mut absence = Absence::default();
        loop {
            if container.status != Status::Rebuilding
                && let Some(ended) = newest_rebuild(api, &id).await?
            {
                return ended.message.map_or(Ok(()), |why| Err(Failure::new(why)));
            }
            if !self.quiet && container.task_state == Some(TaskState::ImagePulling) {
                pull_progress.show(&image, container.image_pull.as_ref());
            }
            let changed = api.wait_for_change(&container, &[Status::Deleted], POLL_TIMEOUT).await;
            container = match changed {
                Ok(container) => {
                    absence = Absence::default();
                    container
                }
                Err(error) if is_unreachable(&error) && absence.lasts().await => container,
                Err(error) => return Err(error.into()),
            };
        }
    }
}

/// Returns the newest rebuild, if it has ended. Another one is only accepted after that.
async fn newest_rebuild(api: &Client, id: &str) -> Result<Option<ContainerAction>, Failure> {
    let actions = api.actions(id).await?;
    let newest = actions.into_iter().find(|action| action.action == ACTION);
    Ok(newest.filter(|action| action.finish_time.is_some()))
}
