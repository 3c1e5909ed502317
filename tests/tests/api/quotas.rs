//! Quotas of projects. On PostgreSQL, two zun-api enforce them.

use std::net::SocketAddr;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use zun_api::Service;
use zun_api::settings::QuotaSettings;
use zun_common::id::ContainerId;
use zun_common::rpc::operation::{OperationOutcome, Outcome};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, BOB, send};

const PATH: &str = "/v1/containers";

async fn with_quotas(quotas: QuotaSettings) -> (Api, Option<Service>) {
    let api = Api::start_with(|settings| settings.quotas = quotas).await;
    let peer = api.second_service().await;
    (api, peer)
}

async fn put(api: &Api, token: &str, path: &str, body: Value) -> Answer {
    send(api.request(Method::PUT, token, path).json(&body)).await
}

/// The containers, CPUs, MiB and GiB that the project has in use.
async fn used(api: &Api, project: &str) -> Value {
    let path = format!("/v1/quotas/{project}?usages=true");
    let quota = api.get(ADMIN, &path).await.expect(200).json();
    json!(["containers", "cpu", "memory", "disk"].map(|name| quota[name]["in_use"].clone()))
}

#[tokio::test]
async fn sixty_four_creates_into_a_quota_of_forty_give_forty() {
    let (api, peer) = with_quotas(QuotaSettings::default()).await;
    let _agent = api.agent("h1").await;
    let at: [SocketAddr; 2] =
        [api.address(), peer.as_ref().map_or(api.address(), Service::address)];
    let create = |number: usize| {
        let body = json!({"image": "cirros", "cpu": 0.1, "memory": 16});
        send(api.request_at(at[number % 2], Method::POST, ANN, PATH).json(&body))
    };
    let answers = join_all((0..64).map(create)).await;
    let (placed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!((placed.len(), refused.len()), (40, 24));
    let words = refused[0].refusal();
    insta::assert_snapshot!(words, @"403 container.over-quota The quota of the project is exceeded: 1 containers requested, 40 of 40 in use.");
    assert_eq!(used(&api, "blue").await, json!([40, 4.0, 640, 0]));
    if let Some(peer) = peer {
        peer.stop().await;
    }
}

#[tokio::test]
async fn the_quota_follows_updates_their_refusals_and_confirmed_removals() {
    let quotas = QuotaSettings { containers: 2, cpu: 2, memory: 1024, disk: 10 };
    let (api, _peer) = with_quotas(quotas).await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    assert_eq!(used(&api, "blue").await, json!([1, 1.0, 512, 0]));
    let path = format!("{PATH}/{id}");
    let patch = async |body: Value| send(api.request(Method::PATCH, ANN, &path).json(&body)).await;
    let words = patch(json!({"memory": 1025})).await.refusal();
    insta::assert_snapshot!(words, @"403 container.over-quota The quota of the project is exceeded: 513 MiB of memory requested, 512 of 1024 in use.");
    patch(json!({"memory": 1000, "cpu": 1.5})).await.expect(200);
    assert_eq!(used(&api, "blue").await, json!([1, 1.5, 1000, 0]));
    // The host refuses it, so it is given back.
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    let outcome = Outcome::Failed(Problem::new(Code::Conflict, "no"));
    let outcomes = open.iter().map(|one| OperationOutcome::new(one.id, outcome.clone()));
    agent.report_with(id, (None, outcomes.collect())).await.unwrap();
    assert_eq!(used(&api, "blue").await, json!([1, 1.0, 512, 0]));
    // A deleted container counts until its host has removed it.
    let other = api.create(ANN, json!({"image": "cirros", "memory": 16, "disk": 10})).await;
    agent.receives_about("container.create", other).await;
    let body = json!({"image": "cirros", "memory": 16, "cpu": 0.1, "disk": 1});
    let words = api.post(ANN, PATH, body.clone()).await.refusal();
    insta::assert_snapshot!(words, @"403 container.over-quota The quota of the project is exceeded: 1 containers requested, 2 of 2 in use; 0.1 CPUs requested, 2 of 2 in use; 1 GiB of disk requested, 10 of 10 in use.");
    agent.report(other, Status::Running, |_| {}).await;
    api.delete(ANN, &format!("{PATH}/{other}?stop=true")).await.expect(204);
    api.post(ANN, PATH, body.clone()).await.expect(403);
    agent.report(other, Status::Deleted, |_| {}).await;
    assert_eq!(used(&api, "blue").await, json!([1, 1.0, 512, 0]));
    api.post(ANN, PATH, body).await.expect(202);
    // Another project has its own.
    let _bobs: ContainerId = api.create(BOB, json!({"image": "cirros"})).await;
    assert_eq!(used(&api, "red").await, json!([1, 1.0, 512, 0]));
}

#[tokio::test]
async fn administrators_set_and_reset_quotas_and_the_class_of_the_others() {
    let (api, _peer) = with_quotas(QuotaSettings::default()).await;
    let defaults = json!({"containers": 40, "memory": 51200, "cpu": 20, "disk": 100});
    assert_eq!(api.get(ANN, "/v1/quotas/blue").await.expect(200).json(), defaults);
    assert_eq!(api.get(ANN, "/v1/quotas/blue/defaults").await.expect(200).json(), defaults);
    let set = put(&api, ADMIN, "/v1/quotas/blue", json!({"containers": 7, "memory": "-1"})).await;
    let own = json!({"containers": 7, "memory": -1, "cpu": 20, "disk": 100});
    assert_eq!(set.expect(200).json(), own);
    assert_eq!(api.get(ANN, "/v1/quotas/blue").await.expect(200).json(), own);
    let class = json!({"cpu": 4});
    let set = put(&api, ADMIN, "/v1/quota_classes/default", class).await.expect(200).json();
    assert_eq!(set, json!({"containers": 40, "memory": 51200, "cpu": 4, "disk": 100}));
    assert_eq!(api.get(ANN, "/v1/quotas/blue").await.expect(200).json()["cpu"], 4);
    assert_eq!(api.get(BOB, "/v1/quotas/red").await.expect(200).json()["cpu"], 4);
    assert_eq!(api.delete(ADMIN, "/v1/quotas/blue").await.expect(200).text, "null");
    assert_eq!(api.get(ANN, "/v1/quotas/blue").await.expect(200).json(), set);
    assert_eq!(api.get(ADMIN, "/v1/quota_classes/default").await.expect(200).json(), set);
    // With usage, each limit has what is in use.
    let usage = api.get(ANN, "/v1/quotas/blue?usages=True").await.expect(200).json();
    assert_eq!(usage["cpu"], json!({"limit": 4, "in_use": 0.0}));
    assert_eq!(usage["containers"], json!({"limit": 40, "in_use": 0}));
}

#[tokio::test]
async fn a_project_sees_its_own_quota_only_and_sets_none() {
    let (api, _peer) = with_quotas(QuotaSettings::default()).await;
    let own = api.get(ANN, "/v1/quotas").await.expect(200).json();
    assert_eq!(own, api.get(ANN, "/v1/quotas/blue").await.expect(200).json());
    let usage = api.get(ANN, "/v1/quotas?usages=True").await.expect(200).json();
    assert_eq!(usage["containers"], json!({"limit": 40, "in_use": 0}));
    let refusal = api.get(ANN, "/v1/quotas/red").await.refusal();
    insta::assert_snapshot!(refusal, @"404 container.quota-not-found The quota of project red could not be found.");
    put(&api, ANN, "/v1/quotas/blue", json!({"containers": 99})).await.expect(403);
    api.delete(ANN, "/v1/quotas/blue").await.expect(403);
    api.get(ANN, "/v1/quota_classes/default").await.expect(403);
    put(&api, ANN, "/v1/quota_classes/default", json!({"cpu": 1})).await.expect(403);
    api.get(ADMIN, "/v1/quota_classes/gold").await.expect(404);
    for bad in [json!({"cpu": -2}), json!({"cpu": 1.5}), json!({"cpu": "many"}), json!({"ram": 1})]
    {
        put(&api, ADMIN, "/v1/quotas/blue", bad).await.expect(400);
    }
}
