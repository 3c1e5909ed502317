//! `POST /v1/placement`: where a container would be created, and what each caller may know of that.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ADMIN, ANN, Api, REA, send};

const PATH: &str = "/v1/placement";

#[tokio::test]
async fn an_explanation_names_the_chosen_host_and_why_others_are_refused_and_creates_nothing() {
    let api = Api::start().await;
    let [first, _second] = [api.agent("h1").await, api.agent("h2").await];
    let _third = api.agent("h3").await;
    let busy = json!({"image": "cirros", "host": "h1", "memory": "1024"});
    api.post(ADMIN, "/v1/containers", busy).await.expect(202);
    let disable = "/v1/services/disable?host=h3&binary=zun-compute";
    send(api.request(Method::PUT, ADMIN, disable)).await.expect(200);
    let wanted = json!({"image": "registry.example.org/team/web", "name": "web", "memory": "256",
        "image_pull_policy": "always"});
    let shown = api.post(ADMIN, PATH, wanted.clone()).await.expect(200).json();
    assert_eq!((&shown["fits"], &shown["host"]), (&json!(true), &json!("h2")));
    assert_eq!((&shown["hosts"], &shown["fitting"]), (&json!(3), &json!(2)));
    assert_eq!(shown["refused"], json!([{"reason": "disabled", "hosts": 1}]));
    let candidates = shown["candidates"].as_array().unwrap();
    let load = |index: usize| candidates[index]["load"].as_f64().unwrap();
    assert!(load(0) > load(1), "{shown}");
    assert_eq!(
        candidates[2],
        json!({"host": "h3", "load": null, "reason": "disabled", "has_image": false})
    );
    assert_eq!(
        shown["image"],
        json!({"name": "registry.example.org/team/web:latest", "domain": "registry.example.org",
            "pull_policy": "always", "registry": null})
    );
    assert_eq!(shown["limits"], json!({"cpu": 1.0, "memory": 256, "disk": null}));
    // The same request creates the container there; the explanation has created none.
    let listed = api.get(ADMIN, "/v1/containers").await.json();
    assert_eq!(listed["containers"].as_array().unwrap().len(), 1);
    let created = api.post(ADMIN, "/v1/containers", wanted.clone()).await.expect(202).json();
    assert_eq!(created["host"], "h2");
    // What a creation refuses is refused here too, with the same words.
    let taken = api.post(ADMIN, PATH, wanted).await.refusal();
    assert!(taken.starts_with("409 container.conflict"), "{taken}");
    let unknown = api.post(ADMIN, PATH, json!({"image": "cirros", "host": "h9"})).await;
    assert!(unknown.refusal().starts_with("404 "), "{}", unknown.text);
    let wrong = api.post(ADMIN, PATH, json!({"image": "cirros", "cpu": 99})).await.refusal();
    assert!(wrong.starts_with("400 ") && wrong.contains("'cpu'"), "{wrong}");
    assert!(first.received().iter().all(|call| call.method != "container.start"));
}

#[tokio::test]
async fn a_member_learns_no_names_of_hosts_and_no_amounts() {
    let api = Api::start().await;
    let _agents = [api.agent("secret-1").await, api.agent("secret-2").await];
    let full = json!({"image": "cirros", "host": "secret-1", "memory": "8192", "cpu": 2.5});
    api.post(ADMIN, "/v1/containers", full).await.expect(202);
    let ask = json!({"image": "cirros", "disk": 160});
    let shown = api.post(ANN, PATH, ask.clone()).await.expect(200);
    assert!(!shown.text.contains("secret"), "{}", shown.text);
    let shown = shown.json();
    let without = json!({"fits": false, "host": null, "strategy": "spread", "hosts": 2,
        "fitting": 0, "refused": [{"reason": "without enough free disk", "hosts": 2}],
        "candidates": null,
        "image": {"name": "cirros:latest", "domain": "docker.io", "pull_policy": "ifnotpresent",
            "registry": null},
        "limits": {"cpu": 1.0, "memory": 512, "disk": 160}});
    assert_eq!(shown, without);
    let detailed = api.post(ADMIN, PATH, ask).await.expect(200).json();
    assert_eq!(detailed["candidates"][0]["reason"], "needs 160 GiB of disk, 20 free");
    // Only administrators choose hosts, and readers explain nothing.
    let chosen = json!({"image": "cirros", "host": "secret-1"});
    assert!(api.post(ANN, PATH, chosen).await.refusal().starts_with("403 "));
    assert!(api.post(REA, PATH, json!({"image": "cirros"})).await.refusal().starts_with("403 "));
    assert!(api.post("", PATH, Value::Null).await.refusal().starts_with("401 "));
}

#[tokio::test]
async fn an_explanation_says_that_the_quota_is_exceeded() {
    let api = Api::start_with(|settings| settings.quotas.containers = 1).await;
    let _agent = api.agent("h1").await;
    api.post(ANN, PATH, json!({"image": "cirros"})).await.expect(200);
    api.create(ANN, json!({"image": "cirros"})).await;
    let refusal = api.post(ANN, PATH, json!({"image": "cirros"})).await.refusal();
    assert!(refusal.starts_with("403 container.over-quota"), "{refusal}");
}
