//! Tests of the RabbitMQ users that `deploy/install.sh` creates. A host's user can only serve its own host.

use std::process::Command;
use std::sync::Arc;

use chrono::Utc;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde::{Deserialize, Serialize};
use zun_common::bus::{Bus, BusSettings, CallError, Incoming, Route, Router, connect};
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::Call;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::{OpenOperations, SendHeartbeat};
use zun_common::shutdown::Tasks;
use zun_tests::eventually::eventually_some;
use zun_tests::rabbit::{Rabbit, VirtualHost};

#[derive(Debug, Serialize, Deserialize)]
struct Question(u32);

impl Call for Question {
    const METHOD: &'static str = "test.question";
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);
    type Reply = u32;
}

/// Returns the permissions that `install.sh` gives to the host's user.
fn permissions(host: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/install.sh");
    let output =
        Command::new(script).args(["permissions", host]).output().expect("install.sh runs");
    let message = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{message}{}", String::from_utf8_lossy(&output.stderr));
    message.split_whitespace().map(str::to_owned).collect()
}

/// A virtual host with users for zun-api and two hosts.
struct Broker {
    rabbit: Rabbit,
    own: VirtualHost,
    /// RabbitMQ users are global, so the host names are unique to this test.
    suffix: String,
    tasks: Tasks,
}

/// A host, and its user's URL.
struct Enrolled {
    name: HostName,
    url: String,
}

impl Broker {
    async fn start() -> Self {
        let rabbit = Rabbit::shared().await;
        let own = rabbit.virtual_host().await;
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        Self { rabbit, own, suffix, tasks: Tasks::new() }
    }

    /// Creates a host's user with the permissions that `install.sh` gives.
    async fn enrol(&self, host: &str) -> Enrolled {
        let name: HostName = format!("{host}-{}", self.suffix).parse().expect("a host name");
        let permissions = permissions(name.as_str());
        let [configure, write, read] = permissions.as_slice() else { panic!("{permissions:?}") };
        let user = format!("zun-compute.{name}");
        let url = self.rabbit.user(&self.own, &user, [configure, write, read]).await;
        Enrolled { name, url }
    }

    async fn bus(&self, url: &str, sender: &str) -> Bus {
        let bus = connect(&BusSettings::at(url), sender, &self.tasks).expect("valid settings");
        eventually_some("the bus is connected", async || {
            bus.transport().is_connected().then_some(())
        })
        .await;
        bus
    }

    /// Starts a zun-api that answers calls.
    async fn controller(&self) -> Bus {
        let bus = self.bus(self.own.url(), "zun-api").await;
        let router = Router::new()
            .on(|Question(number), _: Incoming| async move { Ok(number * 2) })
            .on(|_: SendHeartbeat, _: Incoming| async move {
                Ok(OpenOperations {
                    now: Utc::now(),
                    operations: Vec::new(),
                    complete_to: 0,
                    has_more: false,
                    digest: None,
                    interval: None,
                })
            });
        serve(&bus, Route::Controller, router, &self.tasks).await;
        bus
    }

    /// Starts a host that answers, with its own user.
    async fn serve(&self, host: &Enrolled) -> Bus {
        let Enrolled { name, url } = host;
        let bus = self.bus(url, name.as_str()).await;
        let router =
            Router::new().on(|Question(number), _: Incoming| async move { Ok(number + 1) });
        serve(&bus, Route::Host(name.clone()), router, &self.tasks).await;
        bus
    }
}

async fn serve(bus: &Bus, route: Route, router: Router, tasks: &Tasks) {
    let deliveries = bus.transport().consume(route, 8).await.expect("deliveries");
    Arc::new(router).serve(deliveries, tasks);
}

fn context() -> CallContext {
    CallContext::internal()
}

fn heartbeat(host: &Enrolled) -> SendHeartbeat {
    let heartbeat = serde_json::json!({
        "host": host.name, "inventory": null, "console": null, "interval": 5, "leaving": false
    });
    let heartbeat = serde_json::from_value(heartbeat).expect("a heartbeat");
    SendHeartbeat {
        epoch: Epoch(1),
        heartbeat,
        position: None,
        digest: None,
        after: 0,
        sent_at: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosts_user_may_do_everything_an_agent_needs() {
    let broker = Broker::start().await;
    let api = broker.controller().await;
    let host = broker.enrol("compute1").await;
    let agent = broker.serve(&host).await;
    assert_eq!(api.call(&host.name, &Question(1), &context()).await.expect("answered"), 2);
    assert_eq!(agent.call_controller(&Question(4), &context()).await.expect("answered"), 8);
    agent.call_controller(&heartbeat(&host), &context()).await.expect("answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosts_user_cannot_read_create_or_delete_queues_of_others() {
    let broker = Broker::start().await;
    let _api = broker.controller().await;
    let (own, other) = (broker.enrol("compute1").await, broker.enrol("compute2").await);
    let _agents = (broker.serve(&own).await, broker.serve(&other).await);
    let url = &own.url;
    let others = format!("zun-compute.{}.ask", other.name);
    for queue in [others.as_str(), "zun-api.ask"] {
        let connection = raw(url).await;
        let channel = connection.create_channel().await.expect("a channel");
        let got = channel.basic_get(queue.into(), BasicGetOptions::default()).await;
        refused(queue, got.map(drop));
        let channel = connection.create_channel().await.expect("a channel");
        refused(
            queue,
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.map(drop),
        );
        let channel = connection.create_channel().await.expect("a channel");
        let purged = channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await;
        refused(queue, purged.map(drop));
    }
    let connection = raw(url).await;
    let channel = connection.create_channel().await.expect("a channel");
    let made = channel
        .queue_declare(
            "something.else".into(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        )
        .await;
    refused("something.else", made.map(drop));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cannot_command_or_impersonate_another_host() {
    let broker = Broker::start().await;
    let api = broker.controller().await;
    let (stolen, honest) = (broker.enrol("compute1").await, broker.enrol("compute2").await);
    let _agent = broker.serve(&honest).await;
    // It has the credentials of compute1 and forges every field of the envelope.
    let thief = broker.bus(&stolen.url, honest.name.as_str()).await;
    let asked = thief.call(&honest.name, &Question(1), &context()).await;
    assert!(matches!(asked, Err(CallError::NoReply { .. })), "a host does not answer a host");
    match thief.call_controller(&heartbeat(&honest), &context()).await {
        Err(CallError::Refused { problem, .. }) => {
            let message =
                format!("host `{}` may not send messages as `{}`", stolen.name, honest.name);
            assert_eq!(problem.message, message);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(api.call(&honest.name, &Question(1), &context()).await.expect("a reply"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_rejects_messages_with_another_user_id() {
    let broker = Broker::start().await;
    let _api = broker.controller().await;
    let (stolen, honest) = (broker.enrol("compute1").await, broker.enrol("compute2").await);
    let _agent = broker.serve(&honest).await;
    let connection = raw(&stolen.url).await;
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let properties = BasicProperties::default().with_user_id("zun-api".into());
    let options = BasicPublishOptions::default();
    let queue = format!("zun-compute.{}.ask", honest.name);
    let sent =
        channel.basic_publish("".into(), queue.as_str().into(), options, b"{}", properties).await;
    let taken = match sent {
        Ok(confirm) => confirm.await.map(drop),
        Err(error) => Err(error),
    };
    let message = taken.expect_err("refused").to_string();
    assert!(message.contains("PRECONDITION"), "{message}");
}

#[test]
fn an_invalid_host_name_is_refused() {
    for bad in ["Compute1", "a_b", "", "-a"] {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/install.sh");
        let output = Command::new(script).args(["permissions", bad]).output().expect("it runs");
        assert!(!output.status.success(), "{bad}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains("host name"), "{message}");
    }
}

async fn raw(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default()).await.expect("a raw connection")
}

fn refused(queue: &str, outcome: lapin::Result<()>) {
    let message = outcome.expect_err(queue).to_string();
    assert!(message.contains("ACCESS_REFUSED"), "{queue}: {message}");
}
