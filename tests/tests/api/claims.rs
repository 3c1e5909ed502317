//! What containers claim on their host, under concurrent requests. On PostgreSQL, two zun-api take them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use zun_api::Service;
use zun_common::id::ContainerId;
use zun_common::rpc::operation::{Change, OperationOutcome, Outcome};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, send};

const PATH: &str = "/v1/containers";

async fn without_overcommitment() -> (Api, Option<Service>) {
    let api = Api::start_with(|settings| {
        settings.scheduler.cpu_ratio = 1.0;
        settings.scheduler.memory_ratio = 1.0;
    })
    .await;
    let peer = api.second_service().await;
    (api, peer)
}

fn addresses(api: &Api, peer: Option<&Service>) -> [SocketAddr; 2] {
    [api.address(), peer.map_or(api.address(), Service::address)]
}

async fn create(api: &Api, at: SocketAddr, number: usize) -> Answer {
    let body = json!({"image": "cirros", "name": format!("c{number}"), "cpu": 0.1, "memory": 16});
    send(api.request_at(at, Method::POST, ANN, PATH).json(&body)).await
}

/// The containers, CPUs and MiB that the host has in use.
async fn used(api: &Api) -> Value {
    let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    json!([host["total_containers"], host["cpu_used"], host["mem_used"]])
}

/// The same, counted over the containers. Those that found no host, and so are in Error, claim nothing.
async fn recounted(api: &Api) -> Value {
    let listed = api.get(ANN, PATH).await.expect(200).json();
    let listed = listed["containers"].as_array().unwrap().iter();
    let listed: Vec<&Value> = listed.filter(|it| it["status"] != "Error").collect();
    let millis = listed.iter().map(|it| it["cpu"].as_f64().unwrap() * 1000.0).sum::<f64>().round();
    let memory = |it: &&Value| it["memory"].as_str().unwrap().parse::<u64>().unwrap();
    json!([listed.len(), millis / 1000.0, listed.iter().map(memory).sum::<u64>()])
}

#[tokio::test]
async fn concurrent_creates_never_claim_more_than_the_host_has() {
    let (api, peer) = without_overcommitment().await;
    // It has 4 processors: room for 40 containers of 0.1.
    let _agent = api.agent("h1").await;
    let at = addresses(&api, peer.as_ref());
    let answers = join_all((0..64).map(|number| create(&api, at[number % 2], number))).await;
    let mut counts = BTreeMap::new();
    for answer in answers {
        let status = answer.expect(202).json()["status"].as_str().unwrap().to_owned();
        *counts.entry(status).or_insert(0) += 1;
    }
    assert_eq!(counts, [("Creating".to_owned(), 40), ("Error".to_owned(), 24)].into());
    assert_eq!(used(&api).await, json!([40, 4.0, 640]));
    if let Some(peer) = peer {
        peer.stop().await;
    }
}

#[tokio::test]
async fn concurrent_creates_updates_and_deletes_end_with_the_claims_of_what_is_there() {
    let (api, peer) = without_overcommitment().await;
    let agent = api.agent("h1").await;
    let at = addresses(&api, peer.as_ref());
    let mut ids: Vec<ContainerId> = Vec::new();
    for number in 0..16 {
        let created = create(&api, at[number % 2], number).await.expect(202).json();
        ids.push(created["uuid"].as_str().unwrap().parse().unwrap());
    }
    join_all(ids.iter().map(|id| agent.report(*id, Status::Running, |_| {}))).await;
    let patches = ids.iter().enumerate().map(|(number, id)| {
        let cpu = [0.1, 0.2, 0.3][number % 3];
        let body = json!({"cpu": cpu, "memory": 16 << (number % 2)});
        let path = format!("{PATH}/{id}");
        send(api.request_at(at[number % 2], Method::PATCH, ANN, &path).json(&body))
    });
    let deletes = ids.iter().step_by(2).map(|id| {
        let path = format!("{PATH}/{id}?stop=true");
        send(api.request_at(at[1], Method::DELETE, ANN, &path))
    });
    let creates = (16..32).map(|number| create(&api, at[number % 2], number));
    let (_patched, (deleted, created)) =
        join(join_all(patches), join(join_all(deletes), join_all(creates))).await;
    for deleted in deleted {
        deleted.expect(204);
    }
    // If all limits are raised first, the last creations find no room.
    let created = created.into_iter().map(|answer| answer.expect(202).json());
    let placed = created.filter(|container| container["status"] == "Creating").count();
    // What is deleted keeps its claim until its host has removed it.
    let before = used(&api).await;
    assert_eq!(before[0], json!(16 + placed));
    join_all(ids.iter().step_by(2).map(|id| agent.report(*id, Status::Deleted, |_| {}))).await;
    assert_eq!(used(&api).await, recounted(&api).await);
    assert_eq!(used(&api).await[0], json!(8 + placed));
    if let Some(peer) = peer {
        peer.stop().await;
    }
}

#[tokio::test]
async fn concurrent_changes_of_cpu_and_memory_both_hold() {
    let (api, peer) = without_overcommitment().await;
    let agent = api.agent("h1").await;
    let at = addresses(&api, peer.as_ref());
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("{PATH}/{id}");
    for round in 1..=8 {
        let (cpu, memory) = (f64::from(round) / 4.0, 64 * round);
        let patch =
            |at, body: Value| send(api.request_at(at, Method::PATCH, ANN, &path).json(&body));
        let (first, second) =
            join(patch(at[0], json!({"cpu": cpu})), patch(at[1], json!({"memory": memory}))).await;
        first.expect(200);
        second.expect(200);
        let shown = api.get(ANN, &path).await.expect(200).json();
        assert_eq!((&shown["cpu"], &shown["memory"]), (&json!(cpu), &json!(memory.to_string())));
        assert_eq!(used(&api).await, json!([1, cpu, memory]));
    }
    if let Some(peer) = peer {
        peer.stop().await;
    }
}

#[tokio::test]
async fn of_concurrent_changes_of_one_limit_the_last_one_is_that_of_the_host() {
    let (api, peer) = without_overcommitment().await;
    let agent = api.agent("h1").await;
    let at = addresses(&api, peer.as_ref());
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("{PATH}/{id}");
    for _ in 0..6 {
        // Half of them ask for the limit that it has. Another one may change it before they are accepted.
        let patch = |number: usize| {
            let body = json!({"cpu": if number.is_multiple_of(2) { 1.0 } else { 2.0 }});
            send(api.request_at(at[number / 2 % 2], Method::PATCH, ANN, &path).json(&body))
        };
        for answer in join_all((0..8).map(patch)).await {
            answer.expect(200);
        }
        let shown = api.get(ANN, &path).await.expect(200).json();
        let last = agent.heartbeat(|_| {}).await.expect("accepted").operations.pop();
        let Some(Change::Update { resources, .. }) = last.map(|last| last.change) else {
            panic!("no update")
        };
        assert_eq!(json!(f64::from(resources.cpus.millis()) / 1000.0), shown["cpu"]);
    }
    if let Some(peer) = peer {
        peer.stop().await;
    }
}

#[tokio::test]
async fn the_limits_are_those_on_the_host_after_some_of_several_queued_updates_were_refused() {
    let (api, peer) = without_overcommitment().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("{PATH}/{id}");
    let refused = || Outcome::Failed(Problem::new(Code::Conflict, "no"));
    let shown = async || {
        let shown = api.get(ANN, &path).await.expect(200).json();
        json!([shown["cpu"], shown["memory"], used(&api).await])
    };
    let before = shown().await;
    // Two updates wait on the host.
    let queue = async |first: Value, second: Value| {
        for body in [first, second] {
            let patch = api.request_at(api.address(), Method::PATCH, ANN, &path).json(&body);
            send(patch).await.expect(200);
        }
        let open = agent.heartbeat(|_| {}).await.expect("accepted").operations;
        let [first, second] = open.try_into().expect("two");
        [first.id, second.id]
    };
    let report = async |operation, outcome| {
        let outcomes = vec![OperationOutcome::new(operation, outcome)];
        agent.report_with(id, (None, outcomes)).await.expect("stored");
    };
    // Both are refused, in either order of the outcomes.
    for reversed in [false, true] {
        let mut queued = queue(json!({"cpu": 2.0}), json!({"cpu": 3.0})).await;
        if reversed {
            queued.reverse();
        }
        for operation in queued {
            report(operation, refused()).await;
        }
        assert_eq!(shown().await, before);
    }
    // The second one sets both limits on the host, with those of the first one.
    let [first, second] = queue(json!({"cpu": 2.0}), json!({"memory": 64})).await;
    report(first, refused()).await;
    report(second, Outcome::Succeeded).await;
    assert_eq!(shown().await, json!([2.0, "64", [1, 2.0, 64]]));
    if let Some(peer) = peer {
        peer.stop().await;
    }
}
