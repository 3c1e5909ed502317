//! Holds a session's link, and opens another when it is lost.
//!
//! ```text
//!  hold: receive ∥ send ∥ watch ──lost──> reopen: dial, hello ──> hold …
//!                            │                      │
//!            late answer: dial beside               └─ refused, or too late: the session ends
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zun_common::environment::random_share;
use zun_common::pty::close;
use zun_common::shutdown::Tasks;

use super::closing::{Closed, closed, too_long};
use super::link::{Host, Received, Receiver, Sender, open};
use super::session::Health;
use super::shared::Shared;
use crate::console::{Closing, ConsoleError, Event};

/// The pauses between attempts to open another link.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long an attempt may take in all.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// After a link that lasted this long, the next one is opened without a pause.
const GOOD_LINK: Duration = Duration::from_secs(10);

/// How often the client checks whether the link has recovered, while an answer is overdue.
const WATCH: Duration = Duration::from_millis(100);

/// How many messages are sent before the driver checks its other tasks.
const BATCH: usize = 64;

/// Runs a session over its links.
pub(super) struct Driver<H: Host> {
    pub(super) shared: Arc<Shared>,
    pub(super) host: H,
    pub(super) tasks: Tasks,
    /// Dropped when the driver ends.
    pub(super) alive: watch::Sender<()>,
}

/// Both halves of a link.
pub(super) type Link<S> = (Sender<S>, Receiver<S>);

/// How a link ends.
enum LinkEnd<S> {
    /// The session is over, or the user has left.
    Over,
    /// The session ends for this reason.
    Final(Closing),
    /// The link is lost, and why.
    Lost(String),
    /// The gate restarts, and expects the client at once.
    Restarts(String),
    /// The gate does not answer on this link, but accepts another one.
    Instead(S),
}

impl<H: Host> Driver<H> {
    /// Runs until the session is over.
    pub(super) async fn run(self, link: Link<H::Stream>) {
        tokio::select! {
            biased;
            () = self.tasks.cancelled() => {}
            closing = self.drive(link) => if let Err(closing) = closing {
                self.shared.session().end([Event::Closed(closing)]);
            }
        }
        self.shared.changed();
        drop(self.alive);
    }

    async fn drive(&self, mut link: Link<H::Stream>) -> Result<(), Closing> {
        let mut backoff = Backoff::default();
        loop {
            let opened_at = Instant::now();
            let (lost, instead) = match self.hold(&mut link).await {
                LinkEnd::Over => {
                    self.close(&mut link).await;
                    return Ok(());
                }
                LinkEnd::Final(closing) => return Err(closing),
                LinkEnd::Lost(why) => (why, None),
                LinkEnd::Restarts(why) => {
                    backoff = Backoff::default();
                    (why, None)
                }
                LinkEnd::Instead(stream) => ("it does not answer".to_owned(), Some(stream)),
            };
            drop(link);
            self.reconnecting();
            if opened_at.elapsed() >= GOOD_LINK {
                backoff = Backoff::default();
            }
            link = tokio::select! {
                biased;
                () = self.shared.leaves.notified() => return Ok(()),
                link = self.reopen((lost, instead), &mut backoff) => link?,
            };
            self.shared.changed();
        }
    }

    /// Closes the last link.
    async fn close(&self, (sender, receiver): &mut Link<H::Stream>) {
        let code = self.shared.session().close_code();
        sender.close(code).await;
        if self.shared.session().is_left() {
            receiver.closed().await;
        }
    }

    /// Uses a link until it ends. Its two directions never wait for each other.
    async fn hold(&self, (sender, receiver): &mut Link<H::Stream>) -> LinkEnd<H::Stream> {
        tokio::select! {
            end = self.receive(receiver) => end,
            end = self.send(sender) => end,
            stream = self.watch() => LinkEnd::Instead(stream),
        }
    }

    async fn receive(&self, receiver: &mut Receiver<H::Stream>) -> LinkEnd<H::Stream> {
        loop {
            while self.shared.session().is_full() {
                self.shared.taken.notified().await;
            }
            let frame = match receiver.next().await {
                Received::Frame(frame) => frame,
                Received::Closed(code, reason) => return link_end(code, &reason),
                Received::Lost(why) => return LinkEnd::Lost(why),
                Received::Invalid(what) => return LinkEnd::Final(Closing::bad_protocol(&what)),
            };
            let (received, is_over) = {
                let mut session = self.shared.session();
                (session.receive(frame, Instant::now()), session.is_over())
            };
            if let Err(violation) = received {
                return LinkEnd::Final(violation.into());
            }
            if is_over {
                return LinkEnd::Over;
            }
            self.shared.changed();
        }
    }

    async fn send(&self, sender: &mut Sender<H::Stream>) -> LinkEnd<H::Stream> {
        loop {
            match self.send_batch(sender).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(why) => return LinkEnd::Lost(why),
            }
            let (is_left, wakes_at) = {
                let session = self.shared.session();
                (session.is_left(), session.wakes_at())
            };
            if is_left {
                return LinkEnd::Over;
            }
            tokio::select! {
                () = self.shared.to_send.notified() => {}
                () = at(wakes_at) => {}
            }
        }
    }

    /// Sends what is due. Returns `false` if there was nothing.
    async fn send_batch(&self, sender: &mut Sender<H::Stream>) -> Result<bool, String> {
        let mut count = 0;
        while count < BATCH {
            let frame = self.shared.session().next_frame(Instant::now());
            let Some(frame) = frame else { break };
            sender.feed(&frame).await?;
            count += 1;
        }
        if count > 0 {
            sender.flush().await?;
            self.shared.asked.notify_one();
        }
        Ok(count > 0)
    }

    /// Watches the link. If an answer is late, dials another one in parallel, and returns it if the first one is still
    /// silent.
    async fn watch(&self) -> H::Stream {
        let mut backoff = Backoff::default();
        loop {
            if self.late().await {
                backoff = Backoff::default();
            }
            tokio::select! {
                biased;
                () = self.recovers() => {}
                dialled = self.host.connect() => match dialled {
                    Ok(stream) => return stream,
                    Err(_unreachable) => backoff.pause().await,
                }
            }
        }
    }

    /// Returns when an answer is late, and whether the link was good until then.
    async fn late(&self) -> bool {
        let mut was_good = false;
        while self.health() == Health::Good {
            was_good = true;
            let late_at = self.shared.session().late_at();
            match late_at {
                None => self.shared.asked.notified().await,
                // Nothing is received while the terminal blocks, so a late answer means nothing.
                Some(at) if at <= Instant::now() => sleep(WATCH).await,
                Some(at) => sleep_until(at).await,
            }
        }
        was_good
    }

    /// Returns when the link is good again. Notifies the user meanwhile if it is not.
    async fn recovers(&self) {
        loop {
            match self.health() {
                Health::Good => return,
                Health::Late => {}
                Health::Lost => self.reconnecting(),
            }
            sleep(WATCH).await;
        }
    }

    fn health(&self) -> Health {
        self.shared.session().health(Instant::now())
    }

    fn reconnecting(&self) {
        self.shared.session().link_lost(&self.host.address().authority(), Instant::now());
        self.shared.changed();
    }

    /// Opens another link and continues the session on it.
    async fn reopen(
        &self,
        (lost, mut instead): (String, Option<H::Stream>),
        backoff: &mut Backoff,
    ) -> Result<Link<H::Stream>, Closing> {
        let limit = Duration::from_secs(self.shared.session().hello().resume_seconds);
        let since = Instant::now();
        loop {
            if instead.is_none() {
                backoff.pause().await;
            }
            let why = match self.attempt(instead.take()).await? {
                Ok(link) => return Ok(link),
                Err(why) => why,
            };
            if since.elapsed() >= limit {
                let why = format!("{lost}, then: {why}");
                return Err(too_long(&self.host.address().authority(), limit, &why));
            }
        }
    }

    /// Returns the link, or why a later attempt may succeed.
    async fn attempt(
        &self,
        dialled: Option<H::Stream>,
    ) -> Result<Result<Link<H::Stream>, String>, Closing> {
        let hello = self.shared.session().client_hello();
        let opened = async {
            let stream = match dialled {
                Some(stream) => stream,
                None => self.host.connect().await?,
            };
            open(stream, &self.host, &hello).await
        };
        let Ok(opened) = timeout(ATTEMPT_TIMEOUT, opened).await else {
            return Ok(Err(format!("no answer within {ATTEMPT_TIMEOUT:?}")));
        };
        match opened {
            Ok((sender, receiver, answer)) => {
                self.shared.session().connected((&hello, answer), Instant::now())?;
                Ok(Ok((sender, receiver)))
            }
            Err(ConsoleError::Refused { status, message }) => match closed(status, &message) {
                Closed::Final(closing) => Err(closing),
                Closed::Resumable(why) => Ok(Err(why)),
            },
            Err(error) => Ok(Err(zun_common::chain(&error))),
        }
    }
}

/// How a link ends that the gate closes.
fn link_end<S>(code: u16, reason: &str) -> LinkEnd<S> {
    match closed(code, reason) {
        Closed::Final(closing) => LinkEnd::Final(closing),
        Closed::Resumable(why) if code == close::RESTARTING => LinkEnd::Restarts(why),
        Closed::Resumable(why) => LinkEnd::Lost(why),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The pause before the next attempt. There is none before the first one.
#[derive(Debug, Default)]
struct Backoff(Duration);

impl Backoff {
    async fn pause(&mut self) {
        let Self(pause) = self;
        if !pause.is_zero() {
            // Spreads the clients of a gate that restarts, so that they do not reconnect all at once.
            sleep(pause.mul_f64(random_share(0.5))).await;
        }
        *pause = (*pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }
}
