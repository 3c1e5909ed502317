//! Where containers are placed.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use zun_common::rpc::host::ReportHostImages;

use crate::support::{ADMIN, ANN, Api, send};

const PATH: &str = "/v1/containers";

async fn create(api: &Api, body: Value) -> Value {
    api.post(ADMIN, PATH, body).await.expect(202).json()
}

#[tokio::test]
async fn hints_place_containers_by_labels_of_hosts_and_apart_from_each_other() {
    let api = Api::start().await;
    let peer = api.second_service().await;
    let agents = [api.agent("h1").await, api.agent("h2").await, api.agent("h3").await];
    for (agent, rack) in agents.iter().zip(["1", "1", "2"]) {
        let label = ("rack".to_owned(), rack.to_owned());
        agent
            .heartbeat(|heartbeat| {
                heartbeat.inventory.as_mut().expect("an inventory").labels = [label].into();
            })
            .await
            .unwrap();
    }
    let labelled = create(&api, json!({"image": "cirros", "hints": {"label:rack": "2"}})).await;
    assert_eq!(labelled["host"], "h3");
    let lost = create(&api, json!({"image": "cirros", "hints": {"label:rack": "3"}})).await;
    assert_eq!(
        lost["status_detail"],
        "0 of 3 hosts fit: 3 without the requested labels. h1: does not have the requested labels; \
         h2: does not have the requested labels; h3: does not have the requested labels."
    );
    // Three hosts, five containers that must be apart, all at once.
    let at = [api.address(), peer.as_ref().map_or(api.address(), zun_api::Service::address)];
    let apart =
        json!({"image": "cirros", "labels": {"app": "web"}, "hints": {"anti_affinity:app": "web"}});
    let create_apart = |number: usize| {
        send(api.request_at(at[number % 2], Method::POST, ADMIN, PATH).json(&apart))
    };
    let answers = join_all((0..5).map(create_apart)).await;
    let mut hosts: Vec<Value> =
        answers.into_iter().map(|answer| answer.expect(202).json()["host"].clone()).collect();
    hosts.sort_by_key(|host| host.as_str().map(str::to_owned));
    assert_eq!(hosts, [Value::Null, Value::Null, json!("h1"), json!("h2"), json!("h3")]);
    let together = json!({"image": "cirros", "host": "h2", "labels": {"app": "db"}});
    create(&api, together).await;
    let near = create(&api, json!({"image": "cirros", "hints": {"affinity:app": "db"}})).await;
    assert_eq!(near["host"], "h2");
    // Containers of other projects do not count.
    let body = json!({"image": "cirros", "hints": {"affinity:app": "db"}});
    let other = api.post(ANN, PATH, body).await.expect(202).json();
    assert_eq!(
        other["status_detail"],
        "0 of 3 hosts fit: 3 without the containers of the affinity hints."
    );
    let refusal =
        api.post(ANN, PATH, json!({"image": "cirros", "hints": {"rack": "1"}})).await.refusal();
    assert!(refusal.starts_with("400") && refusal.contains("'hints'"), "{refusal}");
    if let Some(peer) = peer {
        peer.stop().await;
    }
}

#[tokio::test]
async fn disk_is_claimed_and_administrators_see_the_reason_of_each_host() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    // It has 20 GiB.
    let body = json!({"image": "cirros", "disk": 15});
    assert_eq!(create(&api, body.clone()).await["host"], "h1");
    let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    assert_eq!((&host["disk_total"], &host["disk_used"]), (&json!(20), &json!(15)));
    let refused = create(&api, body).await;
    assert_eq!(
        refused["status_detail"],
        "0 of 1 hosts fit: 1 without enough free disk. h1: needs 15 GiB of disk, 5 free."
    );
    assert_eq!(create(&api, json!({"image": "cirros"})).await["host"], "h1");
}

#[tokio::test]
async fn a_host_that_has_the_image_is_preferred_and_shown_to_administrators() {
    let api = Api::start().await;
    let (_one, two) = (api.agent("h1").await, api.agent("h2").await);
    let report = |epoch, images: &[&str]| ReportHostImages {
        host: two.host().clone(),
        epoch,
        images: images.iter().map(|image| (*image).to_owned()).collect(),
    };
    two.call_api(&report(two.epoch(), &["cirros:latest"])).await.expect("stored");
    let container = json!({"image": "cirros", "cpu": 0.1, "memory": 6});
    let shown = api.post(ADMIN, "/v1/placement", container.clone()).await.expect(200).json();
    assert_eq!(shown["host"], json!("h2"));
    let has_image = |number: usize| shown["candidates"][number]["has_image"].clone();
    assert_eq!((has_image(0), has_image(1)), (json!(false), json!(true)));
    let created = api.post(ADMIN, "/v1/containers", container.clone()).await.expect(202).json();
    assert_eq!(created["host"], json!("h2"));
    let other = json!({"image": "busybox", "cpu": 0.1, "memory": 6});
    let created = api.post(ADMIN, "/v1/containers", other).await.expect(202).json();
    assert_eq!(created["host"], json!("h1"), "the least loaded one");
    let stale = two.call_api(&report(zun_common::id::Epoch(0), &[])).await;
    assert!(stale.is_err(), "{stale:?}");
    two.call_api(&report(two.epoch(), &[])).await.expect("stored");
    let shown = api.post(ADMIN, "/v1/placement", container).await.expect(200).json();
    assert_eq!(shown["candidates"][1]["has_image"], json!(false));
    // h2 is known to have no image now, and h1 has not reported its images.
    let mut never =
        json!({"image": "cirros", "image_pull_policy": "never", "cpu": 0.1, "memory": 6});
    let shown = api.post(ADMIN, "/v1/placement", never.clone()).await.expect(200).json();
    assert_eq!(shown["host"], json!("h1"));
    let why = "does not have the image, and may not pull it (pull policy `never`)";
    assert_eq!(shown["candidates"][1]["reason"], json!(why));
    never["host"] = json!("h2");
    let refused = create(&api, never).await;
    assert_eq!(
        refused["status_detail"],
        format!(
            "0 of 1 hosts fit: 1 without the image, which hosts may not pull (pull policy `never`). h2: {why}."
        )
    );
}
