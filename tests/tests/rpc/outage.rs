//! Outages: the connection is lost, stalls or is refused, and the broker is killed and restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::{Notify, mpsc};
use zun_common::bus::{Bus, BusSettings, CallError, Incoming, Router};
use zun_common::rpc::Done;
use zun_common::shutdown::Tasks;
use zun_tests::eventually::eventually_some;
use zun_tests::proxy::Proxy;
use zun_tests::rabbit::{Rabbit, VirtualHost};

use super::support::{Count, Work, bus, context, counting, host, next_attempt, serve};

struct Outage {
    rabbit: Rabbit,
    virtual_host: VirtualHost,
    proxy: Proxy,
    tasks: Tasks,
    /// Connected directly to the broker.
    direct: Bus,
    /// Connected through the proxy.
    proxied: Bus,
}

impl Outage {
    async fn of(rabbit: Rabbit) -> Self {
        let (virtual_host, tasks) = (rabbit.virtual_host().await, Tasks::new());
        let proxy = Proxy::to(rabbit.address()).await;
        let direct = bus(&virtual_host.settings(), &tasks).await;
        let way = virtual_host.settings_through(proxy.address());
        let proxied = bus(&BusSettings { heartbeat: 2, ..way }, &tasks).await;
        Self { rabbit, virtual_host, proxy, tasks, direct, proxied }
    }

    async fn count(&self, bus: &Bus) -> Option<u32> {
        bus.call(&host("compute1"), &Count(1), &context()).await.ok()
    }
}

/// Accepts work, sends each attempt to the test, and holds the first one until the test releases it.
struct BlockedHandler {
    router: Router,
    attempts: mpsc::UnboundedReceiver<String>,
    release: Arc<Notify>,
}

fn first_call_blocks() -> BlockedHandler {
    let (sender, attempts) = mpsc::unbounded_channel();
    let release = Arc::new(Notify::new());
    let gate = Arc::clone(&release);
    let blocks = Arc::new(AtomicBool::new(true));
    let router = counting().on(move |Work(what), _: Incoming| {
        let (sender, gate) = (sender.clone(), Arc::clone(&gate));
        let blocks = blocks.swap(false, Ordering::Relaxed);
        async move {
            sender.send(what).expect("the test listens");
            if blocks {
                gate.notified().await;
            }
            Ok(Done {})
        }
    });
    BlockedHandler { router, attempts, release }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_reply_is_lost_fails_at_once_and_the_next_one_works() {
    let outage = Outage::of(Rabbit::shared().await).await;
    let BlockedHandler { router, mut attempts, release } = first_call_blocks();
    serve(&outage.direct, &host("compute1"), router, &outage.tasks).await;
    let (bus, begun) = (outage.proxied.clone(), Instant::now());
    let cut = async {
        next_attempt(&mut attempts).await;
        // This second call gives the broker time to confirm the first one. An unconfirmed call would be sent again.
        outage.count(&outage.proxied).await.expect("a reply");
        outage.proxy.disconnect();
    };
    let (called, work) = (host("compute1"), Work("a".to_owned()));
    let asked = context();
    let (reply, ()) = tokio::join!(bus.call(&called, &work, &asked), cut);
    assert!(matches!(reply, Err(CallError::NoReply { .. })), "{reply:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    release.notify_one();
    eventually_some("calls work again", async || outage.count(&outage.proxied).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_redelivered_after_the_connection_to_the_broker_is_lost() {
    let outage = Outage::of(Rabbit::shared().await).await;
    let BlockedHandler { router, mut attempts, release } = first_call_blocks();
    serve(&outage.proxied, &host("compute1"), router, &outage.tasks).await;
    let (called, work, asked) = (host("compute1"), Work("a".to_owned()), context());
    let cut = async {
        assert_eq!(next_attempt(&mut attempts).await, "a");
        outage.proxy.disconnect();
        assert_eq!(next_attempt(&mut attempts).await, "a");
        // The first attempt ends on a channel that no longer exists, which has no effect.
        release.notify_one();
    };
    let (reply, ()) = tokio::join!(outage.direct.call(&called, &work, &asked), cut);
    reply.expect("the reply of the second attempt");
    assert_eq!(
        eventually_some("queries are served", async || outage.count(&outage.direct).await).await,
        2
    );
    assert!(attempts.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_sent_during_an_outage_arrive_after_it() {
    let outage = Outage::of(Rabbit::shared().await).await;
    let BlockedHandler { router, mut attempts, release } = first_call_blocks();
    release.notify_one();
    serve(&outage.direct, &host("compute1"), router, &outage.tasks).await;
    outage.proxy.refuse();
    eventually_some("the loss is known", async || {
        (!outage.proxied.transport().is_connected()).then_some(())
    })
    .await;
    let (called, work, asked) = (host("compute1"), Work("a".to_owned()), context());
    let restored = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        outage.proxy.restore();
    };
    let (sent, ()) = tokio::join!(outage.proxied.call(&called, &work, &asked), restored);
    sent.expect("a reply");
    assert_eq!(next_attempt(&mut attempts).await, "a");
    assert!(attempts.try_recv().is_err(), "it is sent once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_is_noticed_by_missing_heartbeats() {
    let outage = Outage::of(Rabbit::shared().await).await;
    serve(&outage.direct, &host("compute1"), counting(), &outage.tasks).await;
    outage.proxy.stall();
    let begun = Instant::now();
    let (called, asked) = (host("compute1"), context());
    let noticed = async {
        eventually_some("the loss is known", async || {
            (!outage.proxied.transport().is_connected()).then_some(())
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
        // The proxy's pending data is lost with its connections.
        outage.proxy.disconnect();
        outage.proxy.restore();
    };
    let (sent, ()) = tokio::join!(outage.proxied.call(&called, &Count(1), &asked), noticed);
    sent.expect("it is sent again over the next connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_broker_is_not_reported_as_silent() {
    let outage = Outage::of(Rabbit::shared().await).await;
    serve(&outage.direct, &host("compute1"), counting(), &outage.tasks).await;
    outage.proxy.refuse();
    eventually_some("the loss is known", async || {
        (!outage.proxied.transport().is_connected()).then_some(())
    })
    .await;
    let message = zun_common::bus::Outgoing {
        route: zun_common::bus::Route::Host(host("compute1")),
        id: uuid::Uuid::new_v4(),
        body: bytes::Bytes::from_static(b"{}"),
        deadline: Instant::now() + Duration::from_millis(500),
    };
    let asked = outage.proxied.transport().request(message).await;
    assert!(matches!(asked, Err(zun_common::bus::RequestError::Unreachable)), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_again_after_the_broker_was_killed() {
    let outage = Outage::of(Rabbit::exclusive().await).await;
    let BlockedHandler { router, mut attempts, release } = first_call_blocks();
    serve(&outage.direct, &host("compute1"), router, &outage.tasks).await;
    let (bus, called, asked) = (outage.direct.clone(), host("compute1"), context());
    let work = Work("a".to_owned());
    let kill = async {
        next_attempt(&mut attempts).await;
        outage.count(&outage.direct).await.expect("a reply");
        outage.rabbit.kill_and_start().await;
    };
    let (reply, ()) = tokio::join!(bus.call(&called, &work, &asked), kill);
    assert!(matches!(reply, Err(CallError::NoReply { .. })), "{reply:?}");
    release.notify_one();
    for bus in [&outage.direct, &outage.proxied] {
        assert_eq!(eventually_some("calls work again", async || outage.count(bus).await).await, 2);
    }
    assert!(attempts.try_recv().is_err(), "the message was in memory only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_knows_whether_its_consumers_are_served() {
    let outage = Outage::of(Rabbit::shared().await).await;
    let transport = Arc::clone(outage.proxied.transport());
    let serving = async |wanted: bool| {
        eventually_some("it is known", async || (transport.is_serving() == wanted).then_some(()))
            .await;
    };
    serve(&outage.proxied, &host("compute1"), counting(), &outage.tasks).await;
    serving(true).await;
    outage.proxy.stall();
    serving(false).await;
    outage.proxy.restore();
    serving(true).await;
    assert_eq!(
        eventually_some("calls arrive", async || outage.count(&outage.direct).await).await,
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_removed_is_declared_again() {
    let outage = Outage::of(Rabbit::shared().await).await;
    serve(&outage.direct, &host("compute1"), counting(), &outage.tasks).await;
    outage.rabbit.remove_queue(&outage.virtual_host, "zun-compute.compute1.ask").await;
    assert_eq!(
        eventually_some("it is served again", async || outage.count(&outage.proxied).await).await,
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_an_earlier_version_is_replaced() {
    let outage = Outage::of(Rabbit::shared().await).await;
    let raw = outage.virtual_host.raw().await;
    let channel = raw.create_channel().await.expect("a channel");
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("zun.dead".into()));
    let (name, options) = ("zun-compute.compute1.ask", QueueDeclareOptions::durable());
    channel.queue_declare(name.into(), options, arguments).await.expect("the old queue");
    serve(&outage.direct, &host("compute1"), counting(), &outage.tasks).await;
    assert_eq!(outage.count(&outage.proxied).await, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_without_a_broker_and_serves_once_it_is_there() {
    let outage = Outage::of(Rabbit::shared().await).await;
    outage.proxy.refuse();
    let way = outage.virtual_host.settings_through(outage.proxy.address());
    let late = zun_common::bus::connect(&way, "late", &outage.tasks).expect("valid settings");
    serve(&late, &host("compute1"), counting(), &outage.tasks).await;
    assert!(!late.transport().is_connected());
    outage.proxy.restore();
    assert_eq!(eventually_some("it serves", async || outage.count(&outage.direct).await).await, 2);
}
