//! `zun delete`

use std::time::{Duration, Instant};

use clap::Args;
use zun_common::api::v1::container::Container;
use zun_common::status::Status;

use super::for_each::for_each_container;
use crate::api;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Remove containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun delete test
  zun delete --stop web1 web2   Stop and remove both
  zun rm --force test           Kill and remove it (administrators)")]
pub(in crate::cmd) struct Delete {
    /// Kill running containers first (administrators only)
    #[arg(short, long, conflicts_with = "stop")]
    force: bool,
    /// Stop running containers first, with 10 seconds before SIGKILL
    #[arg(short, long)]
    stop: bool,
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
        for_each_container(context, &self.containers, async |name: String| {
            // The name may be taken again at once, so the UUID is used.
            let was = context.api.show(&name).await?;
            context.api.delete(&was.uuid.to_string(), how).await?;
            gone(context, &was).await
        })
        .await
    }
}

/// Waits until the container is removed, so its name is free.
async fn gone(context: &Context, was: &Container) -> Result<(), Failure> {
    let id = was.uuid.to_string();
    let deadline = Instant::now() + Duration::from_mins(1);
    let until = [Status::Deleted, Status::Error];
    loop {
        let container = match context.api.wait_for(&id, &until, Duration::from_secs(10)).await {
            Ok(container) => container,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let status = container.status;
        if status == Status::Deleted {
            return Ok(());
        }
        let is_news = container.updated_at != was.updated_at && container.task_state.is_none();
        if status == Status::Error && is_news {
            let why = container.status_reason.unwrap_or_else(|| "its status is Error".to_owned());
            return Err(Failure::new(why));
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!("its status is still {status}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
