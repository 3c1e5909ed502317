//! Each kind of message against a router over the broker in process.

use serde::Deserialize;

use super::*;
use crate::bus::{Bus, CallError, MemoryTransport, Outgoing, Route, Transport};
use crate::id::HostName;

#[derive(Debug, Serialize, Deserialize)]
struct Ask(u32);

impl Call for Ask {
    const METHOD: &'static str = "test.ask";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = u32;
}

#[derive(Debug, Serialize, Deserialize)]
struct Tell(String);

impl Call for Tell {
    const METHOD: &'static str = "test.tell";
    const KIND: Kind = Kind::Command;
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = Done;
}

struct World {
    bus: Bus,
    transport: Arc<MemoryTransport>,
    tasks: Tasks,
}

impl World {
    async fn serving(router: Router) -> Self {
        let tasks = Tasks::new();
        let transport = Arc::new(MemoryTransport::new(&tasks));
        let router = Arc::new(router);
        for route in [Route::Commands(host()), Route::Queries(host())] {
            router.serve(transport.consume(route, 4).await.expect("deliveries"), &tasks);
        }
        let carrier: Arc<dyn Transport> = Arc::<MemoryTransport>::clone(&transport);
        Self { bus: Bus::new(carrier, "test"), transport, tasks }
    }

    async fn publish(&self, body: &'static [u8]) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let (route, id) = (Route::Commands(host()), uuid::Uuid::new_v4());
        let message = Outgoing { route, id, body: body.into(), deadline };
        self.transport.publish(message).await.expect("published");
    }

    /// Ends the service and says how many messages were kept aside.
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
async fn a_handler_is_given_who_asks_and_its_reply_comes_back() {
    let router = Router::new().on(|Ask(number), incoming: Incoming| async move {
        assert_eq!(incoming.sender, "test");
        Ok(number + 1)
    });
    let world = World::serving(router).await;
    let reply = world.bus.call(&host(), &Ask(1), &CallContext::internal()).await;
    assert_eq!(reply.expect("a reply"), 2);
}

#[tokio::test]
async fn a_panic_is_answered_and_does_not_come_again() {
    let router = Router::new().on(|Ask(_), _| async { panic!("a defect") });
    let world = World::serving(router).await;
    let refused = world.bus.call(&host(), &Ask(1), &CallContext::internal()).await;
    assert_eq!(code(refused), Code::Internal);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test]
async fn an_unknown_method_is_refused_by_name() {
    let world = World::serving(Router::new()).await;
    let refused = world.bus.call(&host(), &Ask(1), &CallContext::internal()).await;
    assert_eq!(code(refused), Code::UnknownMethod);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test]
async fn what_nobody_waits_for_and_nobody_can_use_is_kept_aside_once() {
    let router = Router::new().on(|Tell(word), _| async move {
        if word == "flush" { Ok(Done {}) } else { panic!("a defect") }
    });
    let world = World::serving(router).await;
    world.publish(b"no json").await;
    world.publish(br#"{"v": 7}"#).await;
    let context = CallContext::internal();
    world.bus.cast(&host(), &Tell("crash".to_owned()), &context).await.expect("sent");
    world.bus.call(&host(), &Tell("flush".to_owned()), &context).await.expect("a reply");
    assert_eq!(world.dead_letters().await, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_as_busy_comes_again_until_it_is_kept_aside() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let router = Router::new().on(move |Tell(_), incoming: Incoming| {
        tell.send(incoming.redelivered).expect("the test listens");
        async { Err(Problem::new(Code::Busy, "not now")) }
    });
    let world = World::serving(router).await;
    let sent = world.bus.cast(&host(), &Tell(String::new()), &CallContext::internal()).await;
    sent.expect("sent");
    assert_eq!(told.recv().await, Some(false));
    for _ in 0..Route::Reports.max_redeliveries() {
        assert_eq!(told.recv().await, Some(true));
    }
    tokio::time::sleep(BUSY_PAUSE * 2).await;
    assert_eq!(world.dead_letters().await, 1);
}

#[tokio::test]
async fn an_accepted_command_is_answered_before_its_work_is_done() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let opened = Arc::clone(&gate);
    let router = Router::new().accept(move |Tell(_), _| {
        let work = Arc::clone(&opened).notified_owned();
        async { Ok(Accepted { work: Box::pin(work) }) }
    });
    let world = World::serving(router).await;
    let told = world.bus.call(&host(), &Tell(String::new()), &CallContext::internal()).await;
    told.expect("accepted");
    gate.notify_one();
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test]
async fn a_reply_above_the_limit_is_a_refusal() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Big;
    impl Call for Big {
        const METHOD: &'static str = "test.big";
        const KIND: Kind = Kind::Query;
        const DEADLINE: Duration = Duration::from_secs(5);
        type Reply = String;
    }
    let world = World::serving(Router::new().on(|Big, _| async { Ok("x".repeat(MAX_BODY)) })).await;
    let refused = world.bus.call(&host(), &Big, &CallContext::internal()).await;
    assert_eq!(code(refused), Code::TooLarge);
}
