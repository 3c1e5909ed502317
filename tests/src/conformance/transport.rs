//! The conformance suite of the bus transports. `transport_conformance!` creates one test per case for a transport.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;
use zun_common::bus::{Deliveries, Delivery, MAX_BODY, Outgoing, RequestError, Route, Transport};
use zun_common::id::HostName;
use zun_common::shutdown::Tasks;

/// Timeout for a message that must arrive.
const LONG: Duration = Duration::from_secs(20);
/// How long a test waits before it concludes that no message arrives.
const SHORT: Duration = Duration::from_millis(300);

/// An empty broker.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Opens another connection.
    async fn connect(&self) -> Arc<dyn Transport>;
}

/// Creates one test per case, with the broker that `$make` creates.
#[macro_export]
macro_rules! transport_conformance {
    ($make:path) => {
        $crate::transport_conformance! { $make =>
            a_request_is_answered
            a_message_to_an_unknown_host_is_unroutable_at_once
            a_request_without_an_answer_is_silent
            an_answer_after_the_deadline_is_dropped
            an_expired_message_is_not_delivered
            a_dropped_message_is_redelivered
            a_message_is_kept_until_it_is_answered
            an_answered_message_is_not_redelivered
            a_message_waits_for_its_host_to_come_back
            no_more_than_the_prefetch_is_delivered
            a_thousand_concurrent_requests_are_all_answered
            sixteen_mebibytes_are_delivered_and_one_byte_more_is_refused
            two_consumers_share_a_queue
            routes_are_separate
            after_close_nothing_is_sent_or_delivered
            a_dropped_consumer_returns_its_messages
        }
    };
    ($make:path => $($case:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let broker = $make().await;
            $crate::conformance::transport::$case(&broker).await;
        })*
    };
}

fn host() -> HostName {
    "compute1".parse().expect("a host name")
}

fn to_host() -> Route {
    Route::Host(host())
}

fn message(route: Route, body: impl Into<Bytes>, within: Duration) -> Outgoing {
    Outgoing { route, id: Uuid::new_v4(), body: body.into(), deadline: Instant::now() + within }
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    timeout(LONG, deliveries.recv()).await.expect("a message in time").expect("an open consumer")
}

async fn nothing_comes(deliveries: &mut Deliveries) {
    let came = timeout(SHORT, deliveries.recv()).await;
    assert!(came.is_err(), "unexpected message: {came:?}");
}

fn answer(delivery: Delivery, body: impl Into<Bytes>) {
    delivery.reply.send(body.into()).expect("the transport accepts the reply");
}

/// Answers each message with its own body.
fn echo(mut deliveries: Deliveries, tasks: &Tasks) {
    tasks.spawn(async move {
        while let Some(delivery) = deliveries.recv().await {
            let body = delivery.body.clone();
            answer(delivery, body);
        }
    });
}

/// Sends a message whose reply nobody reads.
fn send(transport: &Arc<dyn Transport>, route: Route, body: &'static str) {
    let transport = Arc::clone(transport);
    Tasks::new().spawn(async move { drop(transport.request(message(route, body, LONG)).await) });
}

pub async fn a_request_is_answered(broker: &impl Broker) {
    let (server, client) = (broker.connect().await, broker.connect().await);
    for route in [to_host(), Route::Controller] {
        let mut deliveries = server.consume(route.clone(), 1).await.expect("deliveries");
        let asked = client.request(message(route, "ask", LONG));
        let answered = async {
            let delivery = next(&mut deliveries).await;
            assert_eq!(delivery.body, "ask");
            assert!(!delivery.redelivered);
            answer(delivery, "answer");
        };
        let (reply, ()) = tokio::join!(asked, answered);
        assert_eq!(reply.expect("a reply"), "answer");
    }
}

/// The sender gets an error at once, not a timeout.
pub async fn a_message_to_an_unknown_host_is_unroutable_at_once(broker: &impl Broker) {
    let transport = broker.connect().await;
    let mut deliveries = transport.consume(to_host(), 1).await.expect("deliveries");
    let nobody = || Route::Host("nobody".parse().expect("a host name"));
    let begun = Instant::now();
    let asked = transport.request(message(nobody(), "?", LONG)).await;
    assert!(matches!(asked, Err(RequestError::Unroutable(route)) if route == nobody()));
    assert!(begun.elapsed() < LONG / 4, "it took {:?}", begun.elapsed());
    nothing_comes(&mut deliveries).await;
}

/// The request was sent, but its outcome is unknown. A message that crashes its consumer does so only twice.
pub async fn a_request_without_an_answer_is_silent(broker: &impl Broker) {
    let transport = broker.connect().await;
    let mut deliveries = transport.consume(to_host(), 1).await.expect("deliveries");
    let asked = transport.request(message(to_host(), "ask", 4 * SHORT));
    let (reply, ()) = tokio::join!(asked, async {
        drop(next(&mut deliveries).await);
        drop(next(&mut deliveries).await);
        nothing_comes(&mut deliveries).await;
    });
    assert!(matches!(reply, Err(RequestError::NoReply)), "{reply:?}");
}

/// A late answer must not disturb the next request.
pub async fn an_answer_after_the_deadline_is_dropped(broker: &impl Broker) {
    let transport = broker.connect().await;
    let mut deliveries = transport.consume(to_host(), 1).await.expect("deliveries");
    let late = transport.request(message(to_host(), "late", 3 * SHORT)).await;
    assert!(matches!(late, Err(RequestError::NoReply)), "{late:?}");
    let asked = transport.request(message(to_host(), "ask", LONG));
    let (reply, ()) = tokio::join!(asked, async {
        answer(next(&mut deliveries).await, "too late");
        answer(next(&mut deliveries).await, "answer");
    });
    assert_eq!(reply.expect("a reply"), "answer");
}

/// Its sender has given up, so no consumer may work on it.
pub async fn an_expired_message_is_not_delivered(broker: &impl Broker) {
    let transport = broker.connect().await;
    for route in [to_host(), Route::Controller] {
        let mut deliveries = transport.consume(route.clone(), 1).await.expect("deliveries");
        send(&transport, route.clone(), "first");
        let first = next(&mut deliveries).await;
        let expired = transport.request(message(route.clone(), "expired", SHORT)).await;
        assert!(matches!(expired, Err(RequestError::NoReply)), "{expired:?}");
        send(&transport, route.clone(), "second");
        // The message's TTL starts when the broker receives it, so the message expires later than the sender's timeout.
        nothing_comes(&mut deliveries).await;
        answer(first, "");
        let second = next(&mut deliveries).await;
        assert_eq!(second.body, "second");
        answer(second, "");
    }
}

/// A consumer that drops a message did not work on it.
pub async fn a_dropped_message_is_redelivered(broker: &impl Broker) {
    let transport = broker.connect().await;
    for route in [to_host(), Route::Controller] {
        let mut deliveries = transport.consume(route.clone(), 1).await.expect("deliveries");
        let asked = transport.request(message(route.clone(), "ask", LONG));
        let answered = async {
            drop(next(&mut deliveries).await);
            let again = next(&mut deliveries).await;
            assert_eq!(again.body, "ask");
            assert!(again.redelivered);
            answer(again, "answer");
        };
        let (reply, ()) = tokio::join!(asked, answered);
        assert_eq!(reply.expect("a reply"), "answer");
    }
}

/// A host that crashes during its work gets the message again.
pub async fn a_message_is_kept_until_it_is_answered(broker: &impl Broker) {
    let (crashing, client) = (broker.connect().await, broker.connect().await);
    let mut deliveries = crashing.consume(to_host(), 1).await.expect("deliveries");
    send(&client, to_host(), "work");
    let in_hand = next(&mut deliveries).await;
    crashing.close().await;
    let mut deliveries = client.consume(to_host(), 1).await.expect("deliveries");
    let again = next(&mut deliveries).await;
    assert_eq!(again.body, "work");
    assert!(again.redelivered);
    // Its answer would go nowhere.
    drop(in_hand);
    answer(again, "");
}

/// Neither the same nor another consumer gets it.
pub async fn an_answered_message_is_not_redelivered(broker: &impl Broker) {
    let (leaving, client) = (broker.connect().await, broker.connect().await);
    let mut deliveries = leaving.consume(to_host(), 1).await.expect("deliveries");
    for body in ["first", "second"] {
        send(&client, to_host(), body);
        answer(next(&mut deliveries).await, "");
    }
    send(&client, to_host(), "third");
    let third = next(&mut deliveries).await;
    assert_eq!(
        third.body, "third",
        "the second is acknowledged, so the third is within the prefetch"
    );
    leaving.close().await;
    drop(third);
    let mut deliveries = client.consume(to_host(), 5).await.expect("deliveries");
    assert_eq!(next(&mut deliveries).await.body, "third");
}

pub async fn a_message_waits_for_its_host_to_come_back(broker: &impl Broker) {
    let (leaving, client) = (broker.connect().await, broker.connect().await);
    drop(leaving.consume(to_host(), 1).await.expect("deliveries"));
    leaving.close().await;
    send(&client, to_host(), "work");
    let mut deliveries = client.consume(to_host(), 1).await.expect("deliveries");
    assert_eq!(next(&mut deliveries).await.body, "work");
}

pub async fn no_more_than_the_prefetch_is_delivered(broker: &impl Broker) {
    let transport = broker.connect().await;
    let mut deliveries = transport.consume(to_host(), 2).await.expect("deliveries");
    for body in ["1", "2", "3"] {
        send(&transport, to_host(), body);
    }
    let (first, second) = (next(&mut deliveries).await, next(&mut deliveries).await);
    nothing_comes(&mut deliveries).await;
    let first_body = first.body.clone();
    answer(first, "");
    let third = next(&mut deliveries).await;
    let mut bodies = [first_body, second.body.clone(), third.body.clone()];
    bodies.sort();
    assert_eq!(bodies, ["1", "2", "3"]);
    drop((second, third));
}

/// No request waits for the confirm or the reply of another.
pub async fn a_thousand_concurrent_requests_are_all_answered(broker: &impl Broker) {
    let (server, client) = (broker.connect().await, broker.connect().await);
    let tasks = Tasks::new();
    for route in [to_host(), Route::Controller] {
        echo(server.consume(route.clone(), 64).await.expect("deliveries"), &tasks);
        let requests = (0..1_000).map(|number| {
            let (client, body) = (Arc::clone(&client), number.to_string());
            let message = message(route.clone(), body.clone(), LONG);
            async move { assert_eq!(client.request(message).await.expect("a reply"), body) }
        });
        let begun = Instant::now();
        join_all(requests).await;
        assert!(begun.elapsed() < LONG / 2, "{route}: it took {:?}", begun.elapsed());
    }
    tasks.cancel();
}

pub async fn sixteen_mebibytes_are_delivered_and_one_byte_more_is_refused(broker: &impl Broker) {
    let (server, client) = (broker.connect().await, broker.connect().await);
    let tasks = Tasks::new();
    echo(server.consume(to_host(), 1).await.expect("deliveries"), &tasks);
    let body = Bytes::from(vec![b'x'; MAX_BODY]);
    let reply = client.request(message(to_host(), body.clone(), LONG)).await;
    assert!(reply.expect("a reply") == body, "the body is changed");
    let body = Bytes::from(vec![b'x'; MAX_BODY + 1]);
    let asked = client.request(message(to_host(), body, LONG)).await;
    assert!(matches!(asked, Err(RequestError::TooLarge(size)) if size == MAX_BODY + 1));
    tasks.cancel();
}

/// Each message goes to one consumer.
pub async fn two_consumers_share_a_queue(broker: &impl Broker) {
    let (one, other) = (broker.connect().await, broker.connect().await);
    for route in [to_host(), Route::Controller] {
        let mut first = one.consume(route.clone(), 1).await.expect("deliveries");
        let mut second = other.consume(route.clone(), 1).await.expect("deliveries");
        send(&one, route.clone(), "a");
        send(&one, route, "b");
        let (first, second) = (next(&mut first).await, next(&mut second).await);
        let mut bodies = [first.body.clone(), second.body.clone()];
        bodies.sort();
        assert_eq!(bodies, ["a", "b"]);
        answer(first, "");
        answer(second, "");
    }
}

/// The calls to a host are separate from those to another host and to zun-api.
pub async fn routes_are_separate(broker: &impl Broker) {
    let transport = broker.connect().await;
    let other = Route::Host("compute2".parse().expect("a host name"));
    let mut mine = transport.consume(to_host(), 5).await.expect("deliveries");
    let mut asked = transport.consume(Route::Controller, 5).await.expect("deliveries");
    let mut others = transport.consume(other.clone(), 5).await.expect("deliveries");
    send(&transport, other, "other");
    send(&transport, Route::Controller, "query");
    assert_eq!(next(&mut others).await.body, "other");
    assert_eq!(next(&mut asked).await.body, "query");
    nothing_comes(&mut mine).await;
}

/// Sends and consumers fail with `Closed`, and open deliveries end.
pub async fn after_close_nothing_is_sent_or_delivered(broker: &impl Broker) {
    let transport = broker.connect().await;
    let mut deliveries = transport.consume(to_host(), 1).await.expect("deliveries");
    assert!(transport.is_connected());
    transport.close().await;
    assert!(!transport.is_connected());
    assert!(timeout(LONG, deliveries.recv()).await.expect("it ends").is_none());
    let asked = transport.request(message(to_host(), "?", LONG)).await;
    assert!(matches!(asked, Err(RequestError::Closed)), "{asked:?}");
    let consumed = transport.consume(to_host(), 1).await;
    assert!(matches!(consumed, Err(RequestError::Closed)), "{consumed:?}");
}

/// Its messages go to other consumers.
pub async fn a_dropped_consumer_returns_its_messages(broker: &impl Broker) {
    let (leaving, staying) = (broker.connect().await, broker.connect().await);
    let deliveries = leaving.consume(to_host(), 1).await.expect("deliveries");
    send(&staying, to_host(), "work");
    drop(deliveries);
    let mut deliveries = staying.consume(to_host(), 1).await.expect("deliveries");
    assert_eq!(next(&mut deliveries).await.body, "work");
}
