//! One consumer of an in-memory queue. Delivers at most `prefetch` messages at a time that have no reply yet.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::queue::{Message, Queue};
use crate::bus::transport::Delivery;

type Unsettled = FuturesUnordered<BoxFuture<'static, ()>>;

pub(super) struct Consumer {
    pub(super) queue: Arc<Queue>,
    pub(super) prefetch: usize,
    pub(super) out: mpsc::Sender<Delivery>,
}

impl Consumer {
    /// Delivers until `stop` is cancelled or the receiver is dropped, then waits for the messages in flight.
    /// Those that have no reply when `closed` is cancelled are requeued.
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
                    if message.deadline > Instant::now().into_std() {
                        unsettled.push(self.deliver(message));
                    }
                }
            }
        }
    }

    fn deliver(&self, message: Message) -> BoxFuture<'static, ()> {
        let (reply, replied) = oneshot::channel();
        let (body, redelivered) = (message.body.clone(), message.deliveries > 1);
        let mut in_flight = InFlight { queue: Arc::clone(&self.queue), message: Some(message) };
        // The channel has room: at most `prefetch` messages have no reply. If the receiver is gone, the message is
        // requeued.
        drop(self.out.try_send(Delivery { from: None, body, redelivered, reply }));
        Box::pin(async move {
            match replied.await {
                Ok(reply) => in_flight.reply(reply),
                Err(_dropped) if redelivered => drop(in_flight.message.take()),
                Err(_dropped) => {}
            }
        })
    }
}

/// A delivered message. It is requeued if this is dropped without a reply.
struct InFlight {
    queue: Arc<Queue>,
    message: Option<Message>,
}

impl InFlight {
    fn reply(&mut self, reply: Bytes) {
        let Some(message) = self.message.take() else { return };
        let waiting = message.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        if waiting.is_none_or(|waiting| waiting.send(reply).is_err()) {
            tracing::debug!("dropped a reply: the caller stopped waiting");
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
