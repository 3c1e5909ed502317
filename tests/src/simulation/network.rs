//! The network between the processes and the broker: an in-memory broker, and links that lose, repeat and delay messages
//! and replies.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use zun_common::bus::{Deliveries, MemoryTransport, Outgoing, RequestError, Route, Transport};

use super::executor::{Executor, Process};

/// How bad the network is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// How many of 100 messages, and of 100 replies, are lost.
    pub lost: u64,
    /// How many of 100 messages arrive twice.
    pub repeated: u64,
    /// How many of 100 messages are late.
    pub late: u64,
}

/// The state of a link.
#[derive(Debug, Default)]
pub struct Link {
    weather: Mutex<Weather>,
    cut: Mutex<bool>,
}

impl Link {
    /// Changes the weather.
    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.weather) = weather;
    }

    /// Cuts the link, or mends it.
    pub fn cut(&self, cut: bool) {
        *lock(&self.cut) = cut;
    }

    fn is_cut(&self) -> bool {
        *lock(&self.cut)
    }
}

/// The connection of one process.
pub struct Connection {
    executor: Executor,
    broker: Arc<MemoryTransport>,
    link: Arc<Link>,
}

impl Connection {
    /// Connects over the link. `broker` must belong to the process.
    pub fn new(executor: Executor, broker: MemoryTransport, link: Arc<Link>) -> Self {
        Self { executor, broker: Arc::new(broker), link }
    }

    fn fate(&self) -> Fate {
        let weather = *lock(&self.link.weather);
        let mut random = self.executor.random();
        let delay = if random.percent(weather.late) {
            random.millis(10..12_000)
        } else {
            random.millis(0..4)
        };
        Fate {
            message_lost: random.percent(weather.lost),
            reply_lost: random.percent(weather.lost),
            again: random.percent(weather.repeated).then(|| random.millis(0..3_000)),
            delay,
            reply_delay: random.millis(0..4),
        }
    }

    /// Sends the message a second time, without anyone who waits for the reply.
    fn repeat(&self, message: &Outgoing, after: Duration) {
        let (broker, message) = (Arc::clone(&self.broker), message.clone());
        // The message is in the network already, so it does not depend on the sender.
        self.executor.spawn(Process::TEST, async move {
            sleep(after).await;
            drop(broker.request(message).await);
        });
    }
}

/// Waits until no reply is expected.
async fn never(deadline: std::time::Instant, why: RequestError) -> RequestError {
    sleep_until(Instant::from_std(deadline)).await;
    why
}

struct Fate {
    message_lost: bool,
    reply_lost: bool,
    again: Option<Duration>,
    delay: Duration,
    reply_delay: Duration,
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connection").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for Connection {
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError> {
        let (deadline, fate) = (message.deadline, self.fate());
        sleep(fate.delay).await;
        if self.link.is_cut() {
            return Err(never(deadline, RequestError::Unreachable).await);
        }
        if fate.message_lost {
            return Err(never(deadline, RequestError::NoReply).await);
        }
        if let Some(after) = fate.again {
            self.repeat(&message, after);
        }
        let reply = self.broker.request(message).await?;
        sleep(fate.reply_delay).await;
        if fate.reply_lost || self.link.is_cut() {
            return Err(never(deadline, RequestError::NoReply).await);
        }
        Ok(reply)
    }

    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError> {
        self.broker.consume(route, prefetch).await
    }

    fn is_connected(&self) -> bool {
        !self.link.is_cut() && self.broker.is_connected()
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
