//! Tests of the router over the in-memory broker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::*;
use crate::bus::{Bus, CallError, MemoryTransport, Outgoing, Route, Transport};
use crate::id::HostName;
use crate::rpc::Done;

#[derive(Debug, Serialize, Deserialize)]
struct Increment(u32);

impl Call for Increment {
    const METHOD: &'static str = "test.increment";
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = u32;
}

/// A call that may only be done once.
#[derive(Debug, Serialize, Deserialize)]
struct Launch;

impl Call for Launch {
    const METHOD: &'static str = "test.launch";
    const DEADLINE: Duration = Duration::from_secs(5);
    const ONCE: bool = true;
    type Reply = Done;
}

struct Harness {
    bus: Bus,
    transport: Arc<MemoryTransport>,
}

impl Harness {
    async fn serving(router: Router) -> Self {
        let tasks = Tasks::new();
        let transport = Arc::new(MemoryTransport::new(&tasks));
        let deliveries = transport.consume(Route::Host(host()), 4).await.expect("deliveries");
        Arc::new(router).serve(deliveries, &tasks);
        let bus_transport: Arc<dyn Transport> = Arc::<MemoryTransport>::clone(&transport);
        Self { bus: Bus::new(bus_transport, "test"), transport }
    }

    /// Sends a message that is not a call, and returns the reply.
    async fn send(&self, body: &'static [u8]) -> Reply {
        let deadline = Instant::now() + Duration::from_secs(5);
        let (route, id) = (Route::Host(host()), uuid::Uuid::new_v4());
        let message = Outgoing { route, id, body: body.into(), deadline };
        let reply = self.transport.request(message).await.expect("a reply");
        serde_json::from_slice(&reply).expect("a reply")
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
}

#[tokio::test]
async fn an_unknown_method_is_refused_by_name() {
    let harness = Harness::serving(Router::new()).await;
    let refused = harness.bus.call(&host(), &Increment(1), &CallContext::internal()).await;
    assert_eq!(code(refused), Code::UnknownMethod);
}

#[tokio::test]
async fn an_unreadable_message_gets_a_reply_that_says_so() {
    let harness = Harness::serving(Router::new()).await;
    for (body, expected) in
        [(b"no json".as_slice(), Code::BadRequest), (br#"{"v": 7}"#, Code::Unsupported)]
    {
        let reply = harness.send(body).await;
        assert!(matches!(reply.outcome, Outcome::Problem(problem) if problem.code == expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_handler_is_too_slow_gets_no_reply() {
    let router = Router::new().on(|Increment(_), _| std::future::pending());
    let harness = Harness::serving(router).await;
    let refused = harness.bus.call(&host(), &Increment(1), &CallContext::internal()).await;
    assert!(matches!(refused, Err(CallError::NoReply { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_reply_above_the_size_limit_becomes_an_error() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Big;
    impl Call for Big {
        const METHOD: &'static str = "test.big";
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
    let mut first = transport.consume(Route::Host(host()), 1).await.expect("deliveries");
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
    let deliveries = transport.consume(Route::Host(host()), 1).await.expect("deliveries");
    Arc::new(router).serve(deliveries, &tasks);
    assert_eq!(code(calling.await), Code::Uncertain);
}

#[tokio::test]
async fn a_copy_of_a_call_that_may_only_be_done_once_is_refused() {
    let count = Arc::new(AtomicUsize::new(0));
    let launches = Arc::clone(&count);
    let router = Router::new().on(move |_: Launch, _| {
        launches.fetch_add(1, Ordering::SeqCst);
        async { Ok(Done {}) }
    });
    let harness = Harness::serving(router).await;
    let id = uuid::Uuid::new_v4();
    let envelope = Envelope {
        v: PROTOCOL,
        id,
        method: Launch::METHOD.to_owned(),
        request_id: crate::id::RequestId::random(),
        project: None,
        sender: "test".to_owned(),
        deadline: Utc::now() + chrono::TimeDelta::seconds(5),
        traceparent: None,
        epoch: None,
        body: serde_json::to_value(Launch).expect("JSON"),
    };
    let body: bytes::Bytes = serde_json::to_vec(&envelope).expect("JSON").into();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(5);
        let message = Outgoing { route: Route::Host(host()), id, body: body.clone(), deadline };
        let reply = harness.transport.request(message).await.expect("a reply");
        outcomes.push(serde_json::from_slice::<Reply>(&reply).expect("a reply").outcome);
    }
    assert!(matches!(outcomes.remove(0), Outcome::Ok(_)));
    assert!(
        matches!(outcomes.remove(0), Outcome::Problem(problem) if problem.code == Code::Uncertain)
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
