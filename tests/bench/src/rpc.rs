//! A call over the bus, over the same exchange of two messages with lapin alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Consumer};
use serde::{Deserialize, Serialize};
use zun_common::bus::{Bus, Route, Router};
use zun_common::id::HostName;
use zun_common::rpc::Call;
use zun_common::rpc::envelope::CallContext;
use zun_common::shutdown::Tasks;
use zun_tests::eventually::eventually_some;
use zun_tests::rabbit::{Rabbit, VirtualHost};

use crate::figures::{Figure, Summary};
use crate::run::{Run, interleaved, timed};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["rpc"];

/// A pseudo-queue of RabbitMQ for replies.
const REPLIES: &str = "amq.rabbitmq.reply-to";
const QUEUE: &str = "raw";
const ROUNDS: usize = 40;
const CALLS: u32 = 25;

/// A question of about the size of a nudge.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Question(String);

impl Call for Question {
    const METHOD: &'static str = "bench.question";
    const DEADLINE: Duration = Duration::from_secs(20);
    type Reply = String;
}

/// Measures both in turn. Caller and answerer have a connection each, and one question is open at a time.
pub fn measure(run: &Run) {
    let tasks = Tasks::new();
    let (rabbit, bus) = run.runtime.block_on(async {
        let rabbit = Rabbit::shared().await;
        let bus = rabbit.virtual_host().await;
        (rabbit, bus)
    });
    let host: HostName = "bench".parse().expect("a host name");
    let (ours, _service) = run.runtime.block_on(over_bus(&bus, &host, &tasks));
    let mut raw = run.runtime.block_on(Raw::start(&bus, &tasks));
    let question = Question("x".repeat(600));
    let body = serde_json::to_vec(&question).expect("JSON");
    let context = CallContext::internal();
    let (times, peers) = interleaved(
        run.samples(ROUNDS),
        || {
            timed(|| {
                run.runtime.block_on(async {
                    for _ in 0..CALLS {
                        ours.call(&host, &question, &context).await.expect("a reply");
                    }
                });
            }) / CALLS
        },
        || {
            timed(|| {
                run.runtime.block_on(async {
                    for _ in 0..CALLS {
                        raw.ask(&body).await;
                    }
                });
            }) / CALLS
        },
    );
    run.record("rpc", Figure::ratio(Summary::of_times(&times), Summary::of_times(&peers)));
    run.runtime.block_on(async {
        tasks.finish(Duration::from_secs(10)).await;
        rabbit.remove(&bus).await;
    });
}

/// Returns the caller's bus, and that of the service that answers, which must be kept.
async fn over_bus(at: &VirtualHost, host: &HostName, tasks: &Tasks) -> (Bus, Bus) {
    let connect = || zun_common::bus::connect(&at.settings(), "bench", tasks).expect("a bus");
    let (caller, service) = (connect(), connect());
    for bus in [&caller, &service] {
        let connected = async || bus.transport().is_connected().then_some(());
        eventually_some("the bus is connected", connected).await;
    }
    let router = Router::new().on(|Question(text), _| async move { Ok(text) });
    let deliveries = service.transport().consume(Route::Host(host.clone()), 16).await;
    Arc::new(router).serve(deliveries.expect("a consumer"), tasks);
    (caller, service)
}

/// The same with lapin alone: no envelope, no deadline, and no check that the question arrived.
struct Raw {
    channel: Channel,
    replies: Consumer,
    /// They are closed on drop.
    _connections: [Connection; 2],
}

impl Raw {
    async fn start(at: &VirtualHost, tasks: &Tasks) -> Self {
        let connections = [at.raw().await, at.raw().await];
        let service = connections[0].create_channel().await.expect("a channel");
        let channel = connections[1].create_channel().await.expect("a channel");
        let none = FieldTable::default;
        let queue = QueueDeclareOptions::default();
        service.queue_declare(QUEUE.into(), queue, none()).await.expect("a queue");
        let mut questions = consume(&service, QUEUE).await;
        tasks.spawn(async move {
            while let Some(Ok(question)) = questions.next().await {
                answer(&service, question).await;
            }
        });
        let replies = consume(&channel, REPLIES).await;
        Self { channel, replies, _connections: connections }
    }

    async fn ask(&mut self, body: &[u8]) {
        let properties = BasicProperties::default().with_reply_to(REPLIES.into());
        publish(&self.channel, QUEUE.into(), (body, properties)).await;
        let reply = self.replies.next().await.expect("a reply").expect("a reply");
        assert_eq!(reply.data.len(), body.len());
    }
}

async fn answer(channel: &Channel, question: Delivery) {
    let to = question.properties.reply_to().clone().expect("an address");
    publish(channel, to, (&question.data, BasicProperties::default())).await;
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
    consumer.await.expect("a consumer")
}

async fn publish(channel: &Channel, to: ShortString, (body, properties): (&[u8], BasicProperties)) {
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), to, options, body, properties);
    // Without confirms, this returns when the message is written.
    sent.await.expect("published");
}
