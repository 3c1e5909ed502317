//! Tests of the router over the in-memory broker, by kind of message.

use serde::Deserialize;

use super::*;
use crate::bus::{Bus, CallError, MemoryTransport, Outgoing, Route, Transport};
use crate::id::HostName;

#[derive(Debug, Serialize, Deserialize)]
struct Increment(u32);

impl Call for Increment {
    const METHOD: &'static str = "test.increment";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = u32;
}

#[derive(Debug, Serialize, Deserialize)]
struct Notify(String);

impl Call for Notify {
    const METHOD: &'static str = "test.notify";
    const KIND: Kind = Kind::Command;
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = Done;
}

/// A call that may only be done once.
#[derive(Debug, Serialize, Deserialize)]
struct Launch;

impl Call for Launch {
    const METHOD: &'static str = "test.launch";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(5);
    const ONCE: bool = true;
    type Reply = Done;
}

struct Harness {
    bus: Bus,
    transport: Arc<MemoryTransport>,
    tasks: Tasks,
}

impl Harness {
    async fn serving(router: Router) -> Self {
        let tasks = Tasks::new();
        let transport = Arc::new(MemoryTransport::new(&tasks));
        let router = Arc::new(router);
        for route in [Route::Commands(host()), Route::Queries(host())] {
            router.serve(transport.consume(route, 4).await.expect("deliveries"), &tasks);
        }
        let bus_transport: Arc<dyn Transport> = Arc::<MemoryTransport>::clone(&transport);
        Self { bus: Bus::new(bus_transport, "test"), transport, tasks }
    }

    async fn publish(&self, body: &'static [u8]) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let (route, id) = (Route::Commands(host()), uuid::Uuid::new_v4());
        let message = Outgoing { route, id, body: body.into(), deadline };
        self.transport.publish(message).await.expect("published");
    }

    /// Stops the service and returns the number of dead letters.
    async fn dead_letters(self) -> usize {
        assert!(self.tasks.finish(Duration::from_secs(5)).await);
        self.transport.dead_letters().len()
    }
}

fn host() -> HostName {
    "compute1".parse().expect("a host name")
}

fn code(outcome: Result<impl std::fmt::Debug, CallError>) -> Code {
    let error = outcome.expect_err("refused");
    assert!(matches!(error, CallError::Refused { .. }), "{error}");
    match error {
        CallError::Refused { problem, .. } => problem.code,
        CallError::NoSuchHost { .. }
        | CallError::NoReply { .. }
        | CallError::Bus { .. }
        | CallError::Malformed { .. } => Code::Unknown,
    }
}

#[tokio::test]
async fn a_handler_receives_the_sender_and_its_reply_is_returned() {
    let router = Router::new().on(|Increment(number), incoming: Incoming| async move {
        assert_eq!(incoming.sender, "test");
        Ok(number + 1)
    });
    let harness = Harness::serving(router).await;
    let reply = harness.bus.call(&host(), &Increment(1), &CallContext::internal()).await;
    assert_eq!(reply.expect("a reply"), 2);
}

#[tokio::test]
async fn a_panicking_handler_sends_an_error_reply_and_is_not_retried() {
    let router = Router::new().on(|Increment(_), _| async { panic!("a defect") });
    let harness = Harness::serving(router).await;
    let refused = harness.bus.call(&host(), &Increment(1), &CallContext::internal()).await;
    assert_eq!(code(refused), Code::Internal);
    assert_eq!(harness.dead_letters().await, 0);
}

#[tokio::test]
async fn an_unknown_method_is_refused_by_name() {
    let harness = Harness::serving(Router::new()).await;
    let refused = harness.bus.call(&host(), &Increment(1), &CallContext::internal()).await;
    assert_eq!(code(refused), Code::UnknownMethod);
    assert_eq!(harness.dead_letters().await, 0);
}

#[tokio::test]
async fn an_unusable_message_without_expected_reply_is_dead_lettered_once() {
    let router = Router::new().on(|Notify(word), _| async move {
        if word == "flush" { Ok(Done {}) } else { panic!("a defect") }
    });
    let harness = Harness::serving(router).await;
    harness.publish(b"no json").await;
    harness.publish(br#"{"v": 7}"#).await;
    let context = CallContext::internal();
    harness.bus.cast(&host(), &Notify("crash".to_owned()), &context).await.expect("sent");
    harness.bus.call(&host(), &Notify("flush".to_owned()), &context).await.expect("a reply");
    assert_eq!(harness.dead_letters().await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_refused_as_busy_is_redelivered_until_it_is_dead_lettered() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let router = Router::new().on(move |Notify(_), incoming: Incoming| {
        sender.send(incoming.redelivered).expect("the test listens");
        async { Err(Problem::new(Code::Busy, "not now")) }
    });
    let harness = Harness::serving(router).await;
    let sent = harness.bus.cast(&host(), &Notify(String::new()), &CallContext::internal()).await;
    sent.expect("sent");
    assert_eq!(received.recv().await, Some(false));
    for _ in 0..Route::Reports.max_redeliveries() {
        assert_eq!(received.recv().await, Some(true));
    }
    tokio::time::sleep(BUSY_PAUSE * 2).await;
    assert_eq!(harness.dead_letters().await, 1);
}

#[tokio::test]
async fn an_accepted_command_gets_its_reply_before_its_work_is_done() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let opened = Arc::clone(&gate);
    let router = Router::new().accept(move |Notify(_), _| {
        let work = Arc::clone(&opened).notified_owned();
        async { Ok(Accepted { work: Box::pin(work) }) }
    });
    let harness = Harness::serving(router).await;
    let accepted =
        harness.bus.call(&host(), &Notify(String::new()), &CallContext::internal()).await;
    accepted.expect("accepted");
    gate.notify_one();
    assert_eq!(harness.dead_letters().await, 0);
}

#[tokio::test]
async fn a_reply_above_the_size_limit_becomes_an_error() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Big;
    impl Call for Big {
        const METHOD: &'static str = "test.big";
        const KIND: Kind = Kind::Query;
        const DEADLINE: Duration = Duration::from_secs(5);
        type Reply = String;
    }
    let harness =
        Harness::serving(Router::new().on(|Big, _| async { Ok("x".repeat(MAX_BODY)) })).await;
    let refused = harness.bus.call(&host(), &Big, &CallContext::internal()).await;
    assert_eq!(code(refused), Code::TooLarge);
}

#[tokio::test]
async fn a_call_that_may_only_be_done_once_is_refused_if_it_is_delivered_again() {
    let tasks = Tasks::new();
    let transport = Arc::new(MemoryTransport::new(&tasks));
    let bus_transport: Arc<dyn Transport> = Arc::<MemoryTransport>::clone(&transport);
    let bus = Bus::new(bus_transport, "test");
    let mut first = transport.consume(Route::Queries(host()), 1).await.expect("deliveries");
    let (to, context) = (host(), CallContext::internal());
    let calling = bus.call(&to, &Launch, &context);
    tokio::pin!(calling);
    tokio::select! {
        _ = &mut calling => panic!("nobody has answered"),
        // The link of the first receiver is lost before it has settled the message.
        delivery = first.recv() => drop(delivery),
    }
    drop(first);
    let router = Router::new().on(|Launch, _: Incoming| async { panic!("done a second time") });
    let deliveries = transport.consume(Route::Queries(host()), 1).await.expect("deliveries");
    Arc::new(router).serve(deliveries, &tasks);
    assert_eq!(code(calling.await), Code::Uncertain);
}
