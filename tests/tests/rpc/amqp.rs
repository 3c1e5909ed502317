//! Tests of the AMQP transport with a real RabbitMQ.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use zun_common::bus::{CallError, Transport};
use zun_common::shutdown::Tasks;
use zun_tests::conformance::transport::Broker;
use zun_tests::proxy::Proxy;
use zun_tests::rabbit::{Rabbit, VirtualHost};

use super::support::{Count, bus, context, counting, host, serve};

struct OverRabbit {
    _rabbit: Rabbit,
    virtual_host: VirtualHost,
    tasks: Tasks,
}

#[async_trait]
impl Broker for OverRabbit {
    async fn connect(&self) -> Arc<dyn Transport> {
        Arc::clone(bus(&self.virtual_host.settings(), &self.tasks).await.transport())
    }
}

async fn broker() -> OverRabbit {
    let rabbit = Rabbit::shared().await;
    let virtual_host = rabbit.virtual_host().await;
    OverRabbit { _rabbit: rabbit, virtual_host, tasks: Tasks::new() }
}

zun_tests::transport_conformance!(broker);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_many_calls_only_those_to_an_unknown_host_fail() {
    let broker = broker().await;
    let bus = bus(&broker.virtual_host.settings(), &broker.tasks).await;
    serve(&bus, &host("known"), counting(), &broker.tasks).await;
    let calls = (0..600).map(|number| {
        let bus = &bus;
        async move {
            let to = host(if number % 3 == 0 { "unknown" } else { "known" });
            match bus.call(&to, &Count(number), &context()).await {
                Ok(reply) => assert_eq!((to.as_str(), reply), ("known", number + 1)),
                Err(CallError::NoSuchHost { .. }) => assert_eq!(to.as_str(), "unknown"),
                Err(error) => panic!("{to}: {error}"),
            }
        }
    });
    join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_on_one_connection_are_distinguished_by_name() {
    let broker = broker().await;
    let bus = bus(&broker.virtual_host.settings(), &broker.tasks).await;
    let router = zun_common::bus::Router::new().on(
        |Count(_), incoming: zun_common::bus::Incoming| async move {
            Ok(u32::from(incoming.sender == "compute7"))
        },
    );
    serve(&bus, &host("known"), router, &broker.tasks).await;
    let agent = bus.with_sender("compute7");
    assert_eq!(agent.call(&host("known"), &Count(0), &context()).await.expect("a reply"), 1);
    assert_eq!(bus.call(&host("known"), &Count(0), &context()).await.expect("a reply"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_sends_pending_messages_and_then_ends_everything() {
    let broker = broker().await;
    let staying = bus(&broker.virtual_host.settings(), &broker.tasks).await;
    serve(&staying, &host("known"), counting(), &broker.tasks).await;
    let tasks = Tasks::new();
    let leaving = bus(&broker.virtual_host.settings(), &tasks).await;
    tasks.cancel();
    let said = leaving.call(&host("known"), &Count(1), &context()).await;
    assert_eq!(said.expect("a reply"), 2);
    assert!(tasks.finish(Duration::from_secs(5)).await, "every task must end");
    let late = leaving.call(&host("known"), &Count(1), &context()).await;
    assert!(matches!(late, Err(CallError::Bus { .. })), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_reach_the_other_processes_and_continue_after_a_reconnect() {
    let rabbit = Rabbit::shared().await;
    let virtual_host = rabbit.virtual_host().await;
    let (proxy, tasks) = (Proxy::to(rabbit.address()).await, Tasks::new());
    let settings = virtual_host.settings_through(proxy.address());
    let mut joined = Vec::new();
    for _ in 0..3 {
        let bus = bus(&settings, &tasks).await;
        joined.push((bus.transport().notifications().expect("several processes"), bus));
    }
    let [(first, _), (second, _), (third, _)] = &mut joined[..] else {
        unreachable!("three processes")
    };
    for word in ["before", "after"] {
        is_received(&first.sender, &mut second.receiver, word).await;
        is_received(&first.sender, &mut third.receiver, word).await;
        assert!(first.receiver.try_recv().is_err(), "nobody receives its own notifications");
        proxy.disconnect();
    }
    tasks.cancel();
}

/// Sends a notification until it is received. Notifications before the other process listens are lost.
async fn is_received(
    sender: &mpsc::Sender<Bytes>,
    receiver: &mut mpsc::Receiver<Bytes>,
    word: &'static str,
) {
    let received = async {
        loop {
            sender.send(Bytes::from_static(word.as_bytes())).await.expect("room");
            let received = tokio::time::timeout(Duration::from_millis(200), receiver.recv()).await;
            if received.is_ok_and(|got| got.is_some_and(|body| body == word)) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), received).await.expect("it is received");
}
