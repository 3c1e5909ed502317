//! Messages that no Zun service sends.

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel};
use tokio::sync::mpsc;
use zun_common::bus::{CallError, Incoming, Router};
use zun_common::rpc::{Code, Done};
use zun_common::shutdown::Tasks;
use zun_tests::rabbit::{Rabbit, VirtualHost};

use super::support::{Count, Work, bus, context, counting, host, next_attempt, serve};

async fn send(channel: &Channel, queue: &str, body: &[u8]) {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish("".into(), queue.into(), options, body, properties).await.expect("sent");
}

async fn fresh() -> (Rabbit, VirtualHost, Tasks) {
    let rabbit = Rabbit::shared().await;
    let virtual_host = rabbit.virtual_host().await;
    (rabbit, virtual_host, Tasks::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_keeps_running_after_messages_that_it_cannot_read() {
    let (_rabbit, virtual_host, tasks) = fresh().await;
    let bus = bus(&virtual_host.settings(), &tasks).await;
    serve(&bus, &host("compute1"), counting(), &tasks).await;
    let raw = virtual_host.raw().await;
    let channel = raw.create_channel().await.expect("a channel");
    let too_large = vec![b' '; (16 << 20) + 1];
    let poison: [&[u8]; 6] = [
        b"",
        b"\xff\xfe no json",
        b"{\"v\":1}",
        b"{\"v\":99,\"later\":true}",
        b"[[[[[[[[",
        &too_large,
    ];
    for body in poison {
        send(&channel, "zun-compute.compute1.ask", body).await;
    }
    assert_eq!(bus.call(&host("compute1"), &Count(1), &context()).await.expect("a reply"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_handler_panics_is_refused_and_not_redelivered() {
    let (_rabbit, virtual_host, tasks) = fresh().await;
    let bus = bus(&virtual_host.settings(), &tasks).await;
    let (sender, mut attempts) = mpsc::unbounded_channel();
    let router = Router::new().on(move |Work(what), _: Incoming| {
        sender.send(what.clone()).expect("the test listens");
        async move { if what == "panic" { panic!("a defect") } else { Ok(Done {}) } }
    });
    serve(&bus, &host("compute1"), router, &tasks).await;
    let call =
        async |what: &str| bus.call(&host("compute1"), &Work(what.to_owned()), &context()).await;
    match call("panic").await {
        Err(CallError::Refused { problem, .. }) => assert_eq!(problem.code, Code::Internal),
        other => panic!("{other:?}"),
    }
    call("good").await.expect("the service keeps running");
    assert_eq!(next_attempt(&mut attempts).await, "panic");
    assert_eq!(next_attempt(&mut attempts).await, "good");
    assert!(attempts.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_method_is_a_typed_refusal() {
    let (_rabbit, virtual_host, tasks) = fresh().await;
    let bus = bus(&virtual_host.settings(), &tasks).await;
    serve(&bus, &host("compute1"), Router::new(), &tasks).await;
    match bus.call(&host("compute1"), &Count(1), &context()).await {
        Err(CallError::Refused { problem, .. }) => assert_eq!(problem.code, Code::UnknownMethod),
        other => panic!("{other:?}"),
    }
}
