//! A client's connection to its session.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::futures::Notified;
use tokio::time::Sleep;
use zun_common::pty::Frame;

use super::live::{Found, Live, ToDo, Watch};
use crate::session::ConnectionId;

/// A client's connection to its session.
#[derive(Debug)]
pub struct Connected {
    /// The session.
    pub live: Arc<Live>,
    /// The connection.
    pub id: ConnectionId,
    /// Whether a message was received since [`Outgoing::next`] last inspected the session.
    received: AtomicBool,
}

impl Connected {
    pub(super) const fn new(live: Arc<Live>, id: ConnectionId) -> Self {
        Self { live, id, received: AtomicBool::new(false) }
    }

    /// Handles a message of the client. The task that calls this must poll [`Outgoing::next`] afterwards: it is not woken.
    pub fn receive(&self, frame: Frame) {
        self.live.receive(self.id, frame);
        self.received.store(true, Ordering::Relaxed);
    }

    /// The messages for the client.
    pub const fn outgoing(&self) -> Outgoing<'_> {
        Outgoing { connected: self, alarm: None }
    }
}

/// The messages for a client.
#[derive(Debug)]
pub struct Outgoing<'a> {
    connected: &'a Connected,
    /// When to inspect the session again. It may be earlier than necessary: it is seldom set, because setting it wakes the
    /// thread that waits for I/O.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Outgoing<'_> {
    /// Waits until the connection has something to do.
    pub async fn next(&mut self) -> ToDo {
        let Connected { live, id, received } = self.connected;
        loop {
            let mut changed = pin!(live.changed(Watch::Clients));
            changed.as_mut().enable();
            received.store(false, Ordering::Relaxed);
            match live.to_do(*id) {
                Found::This(to_do) => return to_do,
                Found::Nothing(None) => {}
                Found::Nothing(Some(at)) => self.set_alarm(at.into()),
            }
            poll_fn(|context| self.poll_wait(context, changed.as_mut())).await;
        }
    }

    /// Is ready when the session must be inspected again.
    fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        changed: Pin<&mut Notified<'_>>,
    ) -> Poll<()> {
        let rings = |alarm: &mut Pin<Box<Sleep>>| alarm.as_mut().poll(context).is_ready();
        if self.alarm.as_mut().is_some_and(rings) {
            self.alarm = None;
            return Poll::Ready(());
        }
        if self.connected.received.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        changed.poll(context)
    }

    fn set_alarm(&mut self, at: tokio::time::Instant) {
        match &mut self.alarm {
            Some(alarm) if alarm.deadline() <= at => {}
            Some(alarm) => alarm.as_mut().reset(at),
            None => self.alarm = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};
    use zun_common::docker_stream::Stream as EngineStream;
    use zun_common::pty::{ClientHello, SessionKind, Stream};
    use zun_common::shutdown::Tasks;

    use super::*;
    use crate::engine::Target;
    use crate::engine::fake::FakeEngine;
    use crate::hub::{Client, Hub};
    use crate::session::{KeyHash, Left, Process};
    use crate::settings::LimitSettings;

    const SHORT: Duration = Duration::from_millis(1);

    pub(crate) fn target() -> Target {
        Target::Container("ab".repeat(32).parse().expect("an id"))
    }

    /// A gate whose engine has one container.
    pub(crate) fn hub(running: bool) -> (Arc<Hub>, Arc<FakeEngine>) {
        let fake = Arc::new(FakeEngine::default());
        let kind = SessionKind::Container;
        fake.add(target(), Process { kind, tty: true, stdin: true, running });
        let (limits, tasks) = (LimitSettings::default().of_sessions(None), Tasks::new());
        let engine = Arc::clone(&fake);
        (Hub::new(engine, (limits, 8), tasks, Default::default()), fake)
    }

    pub(crate) async fn connect(hub: &Arc<Hub>) -> Connected {
        let (grant, key) = ("g1".to_owned(), KeyHash::of(b"key"));
        let hello = ClientHello { writes: true, ..ClientHello::default() };
        let client = Client { grant, key, may_write: true, files: None, hello };
        hub.connect(&target(), client, &Arc::default()).await.expect("connected")
    }

    #[tokio::test(start_paused = true)]
    async fn input_output_and_acknowledgements_wake_only_those_whom_they_concern() {
        let (hub, _fake) = hub(true);
        let connected = connect(&hub).await;
        let Connected { live, .. } = &connected;
        let mut outgoing = connected.outgoing();
        while timeout(SHORT, outgoing.next()).await.is_ok() {}
        connected.receive(Frame::Ping(1));
        let looks = [0; 3].map(AtomicUsize::new);
        let counts = || looks.each_ref().map(|looks| looks.load(Ordering::Relaxed));
        let watching = [Watch::Input, Watch::Room, Watch::Others].into_iter().zip(&looks);
        let count = |looks: &AtomicUsize| {
            looks.fetch_add(1, Ordering::Relaxed);
            Found::<()>::Nothing(None)
        };
        let waiting = watching.map(|(watch, looks)| live.until(watch, move |_, _| count(looks)));
        let waiting = futures_util::future::join_all(waiting);
        let changing = async {
            sleep(SHORT).await;
            assert_eq!(counts(), [1, 1, 1]);
            connected.receive(Frame::Stdin("a".into()));
            sleep(SHORT).await;
            let [input, room, others] = counts();
            assert!(input > 1, "{:?}", counts());
            live.output(|session, now| session.output(EngineStream::Stdout, b"a", now));
            sleep(SHORT).await;
            assert_eq!(counts(), [input, room, others]);
            connected.receive(Frame::Ack { stream: Stream::Stdout, offset: 0 });
            sleep(SHORT).await;
            assert_eq!(counts(), [input, room + 1, others]);
            live.change(|session, _| session.restart());
            sleep(SHORT).await;
            assert_eq!(counts(), [input + 1, room + 2, others + 1]);
        };
        tokio::select! {
            _ = waiting => {}
            () = changing => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_gets_the_answer_to_its_message_and_an_acknowledgement_in_time() {
        let (hub, _fake) = hub(true);
        let connected = connect(&hub).await;
        let mut outgoing = connected.outgoing();
        while timeout(SHORT, outgoing.next()).await.is_ok() {}
        let asks = async {
            sleep(SHORT).await;
            connected.receive(Frame::Ping(7));
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            biased;
            () = asks => None,
            to_do = outgoing.next() => Some(to_do),
        };
        let Some(ToDo::Send(messages)) = answer else { panic!("{answer:?}") };
        assert_eq!(messages, [Frame::Pong(7).encode()]);
        let begun = Instant::now();
        connected.receive(Frame::Stdin("ab".into()));
        let ack = Frame::Ack { stream: Stream::Stdin, offset: 2 }.encode();
        let ToDo::Send(messages) = outgoing.next().await else { panic!("closed") };
        assert!(messages.contains(&ack), "{messages:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_before_the_start_is_reported_leaves_the_output_to_the_next() {
        let (hub, fake) = hub(false);
        let first = connect(&hub).await;
        fake.start_unreported(&target());
        first.live.disconnect(first.id, Left::Detached);
        sleep(SHORT).await;
        first.live.output(|session, now| session.output(EngineStream::Stdout, b"ready", now));
        let second = connect(&hub).await;
        assert!(Arc::ptr_eq(&first.live, &second.live));
        second.live.disconnect(second.id, Left::Detached);
        sleep(SHORT).await;
        assert_eq!(hub.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_if_its_last_client_leaves_before_the_start() {
        let (hub, _fake) = hub(false);
        let only = connect(&hub).await;
        only.live.disconnect(only.id, Left::Detached);
        sleep(SHORT).await;
        assert_eq!(hub.count(), 0);
    }
}
