//! Containers of this cluster that the database does not know.

use serde_json::json;
use zun_common::id::ContainerId;
use zun_common::rpc::host::StrayContainer;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources};

use crate::support::{ADMIN, ANN, Api, eventually_some};

fn stray(memory: u64) -> StrayContainer {
    StrayContainer {
        container: ContainerId::random(),
        name: Some("forgotten".to_owned()),
        status: Status::Running,
        limits: Resources { cpus: Cpus::from_millis(500), memory: Mebibytes(memory) },
    }
}

#[tokio::test]
async fn strays_are_shown_and_an_administrator_removes_them_one_by_one() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let known = api.container(&agent, "known", Status::Running).await;
    let [one, other] = [stray(64), stray(64)];
    let reported = vec![one.clone(), StrayContainer { container: known, ..other }];
    agent.heartbeat(|beat| beat.strays = Some(reported)).await.expect("accepted");
    let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    let id = one.container.to_string();
    let shown =
        json!([{"uuid": id, "name": "forgotten", "status": "Running", "cpu": 0.5, "memory": 64}]);
    assert_eq!(host["strays"], shown, "one with a row is none");
    let path = format!("/v1/hosts/h1/strays/{id}");
    assert!(api.delete(ANN, &path).await.refusal().starts_with("403 "));
    let refusal = api.delete(ADMIN, &format!("/v1/hosts/h1/strays/{known}")).await.refusal();
    let words = format!("Host h1 has no stray container {known}.");
    assert_eq!(refusal, format!("404 container.container-not-found {words}"));
    api.delete(ADMIN, &path).await.expect(204);
    let call = agent.receives("host.remove_stray").await;
    assert_eq!(call.body["container"], json!(id));
    agent.heartbeat(|beat| beat.strays = Some(Vec::new())).await.expect("accepted");
    let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    assert_eq!(host["strays"], json!([]));
}

#[tokio::test]
async fn what_strays_use_cannot_be_claimed() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let strays = Some(vec![stray(1 << 20)]);
    agent.heartbeat(|beat| beat.strays = strays).await.expect("accepted");
    let body = json!({"image": "cirros", "name": "large", "memory": "512"});
    let refused = api.create(ANN, body.clone()).await;
    eventually_some("no host fits", || async {
        let shown = api.get(ANN, &format!("/v1/containers/{refused}")).await.json();
        (shown["status"] == "Error").then_some(())
    })
    .await;
    agent.heartbeat(|beat| beat.strays = Some(Vec::new())).await.expect("accepted");
    let accepted =
        api.create(ANN, json!({"name": "again", "memory": "512", "image": "cirros"})).await;
    agent.receives_about("container.create", accepted).await;
}
