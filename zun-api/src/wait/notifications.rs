//! Notifies the other zun-api processes of the containers that have changed, and is notified by them. A message is a
//! JSON list of changes. A change whose message is lost is found when the rows that requests wait for are read.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;
use zun_common::bus::Notifications;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;

use super::Hub;

/// Capacity of the queue of changes.
const BACKLOG: usize = 4_096;
/// Maximum number of changes in a message.
const BATCH: usize = 256;
/// The time between two messages. Changes within it share a message.
const PAUSE: Duration = Duration::from_millis(20);

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// The row of a container.
    Row(ContainerId),
    /// The runs of a container, perhaps without its row.
    Runs(ContainerId),
}

/// Exchanges notifications until shutdown.
pub(crate) async fn exchange(hub: Hub, notifications: Notifications, tasks: Tasks) {
    let Notifications { sender, mut receiver } = notifications;
    let (changes, waiting) = mpsc::channel(BACKLOG);
    if hub.notifications.set(changes).is_err() {
        return;
    }
    let listen = async {
        while let Some(body) = receiver.recv().await {
            receive(&hub, &body);
        }
    };
    tokio::select! {
        () = tasks.cancelled() => {}
        () = send(waiting, &sender) => {}
        () = listen => {}
    }
}

fn receive(hub: &Hub, body: &[u8]) {
    match serde_json::from_slice::<Vec<Change>>(body) {
        Ok(changes) => {
            let (mut rows, mut runs) = (Vec::new(), Vec::new());
            for change in changes {
                match change {
                    Change::Row(container) => rows.push(container),
                    Change::Runs(container) => runs.push(container),
                }
            }
            hub.recorded.send_replace(());
            hub.read_soon(&rows);
            hub.read_again(&runs);
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), "cannot read a change notification of another zun-api");
        }
    }
}

async fn send(mut waiting: mpsc::Receiver<Change>, sender: &mpsc::Sender<Bytes>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        batch.sort_unstable();
        batch.dedup();
        match serde_json::to_vec(&batch) {
            // If the bus does not accept it, the others find the change when they poll.
            Ok(body) => drop(sender.try_send(Bytes::from(body))),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot encode a change notification");
            }
        }
        batch.clear();
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::wait::Event;

    /// A process: its hub, and the ends of its notifications on the bus.
    fn process(tasks: &Tasks) -> (Hub, mpsc::Receiver<Bytes>, mpsc::Sender<Bytes>) {
        let hub = Hub::new(10, CancellationToken::new());
        let ((sender, sent), (incoming, receiver)) = (mpsc::channel(4), mpsc::channel(4));
        tasks.spawn(exchange(hub.clone(), Notifications { sender, receiver }, tasks.clone()));
        (hub, sent, incoming)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_here_wakes_those_who_wait_elsewhere() {
        let tasks = Tasks::new();
        let (here, mut sent, _open) = process(&tasks);
        let (there, _sent, incoming) = process(&tasks);
        let [row, runs, unasked] = [(); 3].map(|()| ContainerId::random());
        let _row = there.subscribe(there.permit().unwrap(), row);
        let mut waits = there.subscribe(there.permit().unwrap(), runs);
        tokio::task::yield_now().await;
        here.notify_others(Change::Row(row));
        here.notify_others(Change::Row(unasked));
        here.announce(vec![runs]);
        incoming.send(sent.recv().await.expect("one message for all")).await.unwrap();
        assert!(matches!(waits.next().await, Event::Lagged));
        let stale: Vec<ContainerId> =
            there.until_stale().await.into_iter().map(|one| one.0).collect();
        assert_eq!(stale, [row]);
        tasks.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_cannot_be_read_is_ignored() {
        let tasks = Tasks::new();
        let (hub, _sent, incoming) = process(&tasks);
        let container = ContainerId::random();
        let mut waits = hub.subscribe(hub.permit().unwrap(), container);
        let change = serde_json::to_vec(&[Change::Runs(container)]).unwrap();
        for body in [b"{".to_vec(), br#"[{"else":1}]"#.to_vec(), change] {
            incoming.send(Bytes::from(body)).await.unwrap();
        }
        assert!(matches!(waits.next().await, Event::Lagged));
        tasks.cancel();
    }
}
