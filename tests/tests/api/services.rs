//! Services and availability zones.

use reqwest::Method;
use serde_json::{Value, json};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, send};

async fn put(api: &Api, token: &str, path: &str) -> Answer {
    send(api.request(Method::PUT, token, path)).await
}

async fn service(api: &Api, host: &str) -> Value {
    let list = api.get(ADMIN, "/v1/services").await.expect(200).json();
    let services = list["services"].as_array().unwrap().iter();
    services.clone().find(|service| service["host"] == host).cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn a_disabled_host_gets_no_new_containers_and_keeps_those_it_has() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "kept", Status::Running).await;
    let path = "/v1/services/disable?host=h1&binary=zun-compute&disabled_reason=new%20disk";
    let answer = put(&api, ADMIN, path).await.expect(200).json();
    assert_eq!(
        answer,
        json!({"service": {
            "host": "h1", "binary": "zun-compute", "disabled": true, "disabled_reason": "new disk"
        }})
    );
    let shown = service(&api, "h1").await;
    assert_eq!((&shown["disabled"], &shown["state"]), (&json!(true), &json!("up")));
    let refused =
        api.post(ANN, "/v1/containers", json!({"image": "cirros"})).await.expect(202).json();
    assert_eq!(refused["status"], "Error");
    assert_eq!(refused["status_detail"], "0 of 1 hosts fit: 1 disabled.");
    let stop = format!("/v1/containers/{id}/stop");
    api.post(ANN, &stop, Value::Null).await.expect(202);

    let path = "/v1/services/enable?host=h1&binary=zun-compute";
    let answer = put(&api, ADMIN, path).await.expect(200).json();
    assert_eq!(answer["service"]["disabled"], false);
    assert_eq!(answer["service"]["disabled_reason"], Value::Null);
    let created =
        api.post(ANN, "/v1/containers", json!({"image": "cirros"})).await.expect(202).json();
    assert_eq!(created["status"], "Creating");
}

#[tokio::test]
async fn a_forced_down_host_counts_as_down_whatever_it_reports() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = "/v1/services/force_down?host=h1&binary=zun-compute&forced_down=True";
    let answer = put(&api, ADMIN, path).await.expect(200).json();
    let expected = json!({"service": {"host": "h1", "binary": "zun-compute", "forced_down": true}});
    assert_eq!(answer, expected);
    agent.heartbeat(|_| {}).await.unwrap();
    assert_eq!(service(&api, "h1").await["state"], "down");
    let stop = format!("/v1/containers/{id}/stop");
    let refusal = api.post(ANN, &stop, Value::Null).await.refusal();
    assert!(
        refusal.contains("Host h1 is not available: an administrator has marked it as down"),
        "{refusal}"
    );
    let path = "/v1/services/force_down?host=h1&binary=zun-compute&forced_down=False";
    put(&api, ADMIN, path).await.expect(200);
    assert_eq!(service(&api, "h1").await["state"], "up");
    api.post(ANN, &stop, Value::Null).await.expect(202);
}

#[tokio::test]
async fn a_service_is_deleted_after_its_agent_and_its_containers_and_returns_with_its_agent() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = "/v1/services?host=h1&binary=zun-compute";
    let delete = async || api.delete(ADMIN, path).await;
    let refusal = delete().await.refusal();
    assert!(refusal.starts_with("409 container.conflict"), "{refusal}");
    assert!(refusal.contains("its agent is running"), "{refusal}");
    agent.heartbeat(|heartbeat| heartbeat.leaving = true).await.unwrap();
    let refusal = delete().await.refusal();
    assert!(refusal.contains("the host has containers (1); delete them first"), "{refusal}");
    api.delete(ANN, &format!("/v1/containers/{id}?stop=true")).await.expect(204);
    let answer = delete().await.expect(200);
    assert_eq!(answer.text, "null");
    assert_eq!(service(&api, "h1").await, Value::Null);
    api.get(ADMIN, "/v1/hosts/h1").await.expect(404);
    delete().await.expect(404);
    let body = json!({"image": "cirros", "host": "h1"});
    api.post(ADMIN, "/v1/containers", body).await.expect(404);

    // The host returns. It still receives the removal, and holds nothing else.
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    assert_eq!(open.iter().map(|one| one.container).collect::<Vec<_>>(), [id]);
    api.until_service("h1", "up").await;
    let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    assert_eq!((&host["total_containers"], &host["mem_used"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn services_are_for_administrators_and_have_names() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    for (method, path) in [
        (Method::GET, "/v1/services"),
        (Method::PUT, "/v1/services/enable?host=h1&binary=zun-compute"),
        (Method::PUT, "/v1/services/disable?host=h1&binary=zun-compute"),
        (Method::PUT, "/v1/services/force_down?host=h1&binary=zun-compute&forced_down=1"),
        (Method::DELETE, "/v1/services?host=h1&binary=zun-compute"),
    ] {
        send(api.request(method, ANN, path)).await.expect(403);
    }
    for query in ["host=h9&binary=zun-compute", "host=h1&binary=zun-wsproxy", "host=%00&binary=x"] {
        let refusal = put(&api, ADMIN, &format!("/v1/services/enable?{query}")).await.refusal();
        assert!(refusal.starts_with("404 container.zun-service-not-found"), "{refusal}");
    }
    for (path, field) in [
        ("/v1/services/enable?host=h1", "'binary'"),
        ("/v1/services/enable?binary=zun-compute", "'host'"),
        ("/v1/services/force_down?host=h1&binary=zun-compute", "'forced_down'"),
        ("/v1/services/disable?host=h1&binary=zun-compute&disabled_reason=", "'disabled_reason'"),
    ] {
        let refusal = put(&api, ADMIN, path).await.refusal();
        assert!(refusal.starts_with("400") && refusal.contains(field), "{refusal}");
    }
}

#[tokio::test]
async fn a_container_goes_to_a_host_of_its_availability_zone() {
    let api = Api::start().await;
    let (_one, two) = (api.agent("h1").await, api.agent("h2").await);
    two.heartbeat(|heartbeat| {
        let inventory = heartbeat.inventory.as_mut().expect("an inventory");
        inventory.availability_zone = Some("east".to_owned());
    })
    .await
    .unwrap();
    let zones = api.get(ANN, "/v1/availability_zones").await.expect(200).json();
    let expected = json!([{"availability_zone": "east"}, {"availability_zone": "nova"}]);
    assert_eq!(zones, json!({"availability_zones": expected, "next": null}));
    let page = "/v1/availability_zones?limit=1&sort_dir=desc";
    let page = api.get(ANN, page).await.expect(200).json();
    assert_eq!(page["availability_zones"], json!([{"availability_zone": "nova"}]));
    let next = page["next"].as_str().unwrap().split_once("/v1/").unwrap().1;
    let next = api.get(ANN, &format!("/v1/{next}")).await.expect(200).json();
    assert_eq!(next["availability_zones"], json!([{"availability_zone": "east"}]));

    for (zone, host) in [("east", json!("h2")), ("nova", json!("h1")), ("west", Value::Null)] {
        let body = json!({"image": "cirros", "availability_zone": zone});
        let created = api.post(ADMIN, "/v1/containers", body).await.expect(202).json();
        assert_eq!(created["host"], host, "{created}");
    }
}
