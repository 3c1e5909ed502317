//! One consumer of an in-memory queue. Delivers at most `prefetch` unsettled messages at a time.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, DeadLetter};
use super::queue::{Message, Queue, ReplySlot};
use crate::bus::transport::{Delivery, Disposition};

type Unsettled = FuturesUnordered<BoxFuture<'static, ()>>;

pub(super) struct Consumer {
    pub(super) broker: Arc<Broker>,
    pub(super) queue: Arc<Queue>,
    pub(super) prefetch: usize,
    pub(super) out: mpsc::Sender<Delivery>,
}

impl Consumer {
    /// Delivers until `stop` is cancelled or the receiver is dropped, then waits for the messages in flight.
    /// Those that are unsettled when `closed` is cancelled are requeued.
    pub(super) async fn run(self, stop: CancellationToken, closed: CancellationToken) {
        let mut unsettled = Unsettled::new();
        closed.run_until_cancelled(self.forward(&mut unsettled, &stop)).await;
        drop(self);
        closed.run_until_cancelled(unsettled.collect::<()>()).await;
    }

    async fn forward(&self, unsettled: &mut Unsettled, stop: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.out.closed() => return,
                Some(()) = unsettled.next() => {}
                message = self.queue.pop(), if unsettled.len() < self.prefetch => {
                    if let Some(in_flight) = self.unexpired(message) {
                        unsettled.push(self.deliver(in_flight));
                    }
                }
            }
        }
    }

    fn unexpired(&self, message: Message) -> Option<InFlight> {
        if message.deadline <= Instant::now() {
            self.dead_letter(&message);
            return None;
        }
        Some(InFlight { queue: Arc::clone(&self.queue), message: Some(message) })
    }

    fn deliver(&self, mut in_flight: InFlight) -> BoxFuture<'static, ()> {
        let (settle, settled) = oneshot::channel();
        let (slot, reply, replied) =
            match in_flight.message.as_ref().and_then(|it| it.reply.clone()) {
                Some(slot) => {
                    let (reply, replied) = oneshot::channel();
                    (Some(slot), Some(reply), Some(replied))
                }
                None => (None, None, None),
            };
        let message = in_flight.message.as_ref();
        let delivery = Delivery {
            from: None,
            body: message.map(|it| it.body.clone()).unwrap_or_default(),
            redelivered: message.is_some_and(|it| it.deliveries > 1),
            reply,
            settle: Some(settle),
        };
        // The channel has room: at most `prefetch` are unsettled. If the receiver is gone, the message is
        // requeued.
        drop(self.out.try_send(delivery));
        let broker = Arc::clone(&self.broker);
        Box::pin(async move {
            let (disposition, ()) = join(settled, send_reply(slot, replied)).await;
            in_flight.settle(disposition.unwrap_or(Disposition::Requeue), &broker);
        })
    }

    fn dead_letter(&self, message: &Message) {
        self.broker.dead_letter(DeadLetter {
            route: self.queue.route.clone(),
            body: message.body.clone(),
        });
    }
}

/// A delivered message. It is requeued if this is dropped unsettled.
struct InFlight {
    queue: Arc<Queue>,
    message: Option<Message>,
}

impl InFlight {
    fn settle(&mut self, disposition: Disposition, broker: &Broker) {
        let Some(message) = self.message.take() else { return };
        let exhausted = message.deliveries > self.queue.route.max_redeliveries();
        match disposition {
            Disposition::Ack => {}
            Disposition::Requeue if !exhausted => self.queue.put_back(message),
            Disposition::Requeue | Disposition::DeadLetter => {
                broker.dead_letter(DeadLetter {
                    route: self.queue.route.clone(),
                    body: message.body,
                });
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.queue.put_back(message);
        }
    }
}

async fn send_reply(slot: Option<ReplySlot>, replied: Option<oneshot::Receiver<Bytes>>) {
    let (Some(slot), Some(replied)) = (slot, replied) else { return };
    let Ok(body) = replied.await else { return };
    let waiting = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if waiting.is_none_or(|waiting| waiting.send(body).is_err()) {
        tracing::debug!("dropped a reply: the caller stopped waiting");
    }
}
