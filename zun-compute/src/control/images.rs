//! Reports which images the host has: after each change, by this agent or by others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval};
use zun_common::backoff::Backoff;
use zun_common::bus::Bus;
use zun_common::chain;
use zun_common::id::Epoch;
use zun_common::image_name::ImageName;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::{LONGEST_IMAGE, MOST_IMAGES, ReportHostImages};
use zun_common::shutdown::Tasks;

use crate::host::{Host, within};

/// How often the images are listed without a change. A report that was lost is repeated then.
const EVERY: Duration = Duration::from_mins(1);
/// The pauses before another attempt to follow the changes of the images.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reports the images until shutdown. Only the scheduler needs the reports.
pub(crate) async fn report(host: Arc<Host>, bus: Bus, tasks: Tasks) {
    tokio::select! {
        biased;
        () = tasks.cancelled() => {}
        () = send(&host, &bus) => {}
        () = follow(&host) => {}
    }
}

/// Notices changes that others make in the engine. Never returns.
async fn follow(host: &Host) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let subscribing = host.driver.image_changes();
        match within(ENGINE_TIMEOUT, "follow the changes of the images", subscribing).await {
            Ok(mut changes) => {
                backoff.reset();
                // What has changed before.
                host.images_changed.notify_one();
                while changes.next().await.is_some() {
                    host.images_changed.notify_one();
                }
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "cannot follow the changes of the images");
            }
        }
        backoff.wait().await;
    }
}

/// Sends the reports. Never returns.
async fn send(host: &Host, bus: &Bus) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported: Option<(Epoch, BTreeSet<String>)> = None;
    loop {
        tokio::select! {
            () = host.images_changed.notified() => {}
            _ = ticks.tick() => {}
        }
        let epoch = host.control.registered().await;
        let Some(images) = images(host).await else { continue };
        if reported.as_ref().is_some_and(|(of, last)| (*of, last) == (epoch, &images)) {
            continue;
        }
        let call = ReportHostImages { host: host.name.clone(), epoch, images };
        match bus.call_controller(&call, &CallContext::internal()).await {
            Ok(_stored) => reported = Some((epoch, call.images)),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "cannot report the images of the host");
            }
        }
    }
}

/// The names of the images in the form in which zun-api compares them; `None` if the engine does not answer.
async fn images(host: &Host) -> Option<BTreeSet<String>> {
    match within(ENGINE_TIMEOUT, "list the images", host.driver.image_names()).await {
        Ok(names) => Some(bounded(&names)),
        Err(error) => {
            tracing::debug!(error = %chain(&error), "cannot list the images of the host");
            None
        }
    }
}

fn bounded(names: &[String]) -> BTreeSet<String> {
    let names = names.iter().filter_map(|name| Some(name.parse::<ImageName>().ok()?.to_string()));
    names.filter(|name| name.len() <= LONGEST_IMAGE).take(MOST_IMAGES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normal_and_their_number_and_length_are_limited() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let long = format!("a/{}", "b".repeat(300));
        let shown = bounded(&names(&["cirros", "<none>:<none>", "b:1", &long]));
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), ["b:1", "cirros:latest"]);
        let many: Vec<_> = (0..1000).map(|number| format!("image{number}:1")).collect();
        assert_eq!(bounded(&many).len(), MOST_IMAGES);
    }
}
