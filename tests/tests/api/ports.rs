//! Published ports: zun-api claims them with the container, and releases them when its removal is confirmed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, BOB, eventually_some};

const PATH: &str = "/v1/containers";

async fn publish(api: &Api, token: &str, ports: Value) -> Answer {
    let body = json!({"image": "cirros", "cpu": 0.1, "memory": 6, "exposed_ports": ports});
    api.post(token, PATH, body).await
}

/// Publishes ports, and returns the container's fields and the ports that its host gets.
async fn published(api: &Api, token: &str, ports: Value) -> (Value, Vec<String>) {
    let shown = publish(api, token, ports).await.expect(202).json();
    let ports = shown["published_ports"].as_array().unwrap().iter().map(|port| {
        let number = |name: &str| port[name].as_u64().unwrap();
        let address = port["host_address"].as_str().unwrap();
        format!(
            "{}/{} {address} {}",
            number("port"),
            port["protocol"].as_str().unwrap(),
            number("host_port")
        )
    });
    let ports = ports.collect();
    (shown, ports)
}

#[tokio::test]
async fn a_port_of_the_host_is_given_once_and_again_after_the_confirmed_removal() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let (first, ports) = published(&api, ANN, json!({"80/tcp": {"host_port": 8080}})).await;
    assert_eq!(ports, ["80/tcp 127.0.0.1 8080"]);
    assert_eq!(first["ports"], json!([80]));
    let sent = agent.receives("container.create").await.body["spec"]["ports"].clone();
    assert_eq!(sent, first["published_ports"]);
    // The other protocol has ports of its own.
    published(&api, ANN, json!({"53/udp": {"host_port": 8080}})).await;
    for same in
        [json!({"host_port": 8080}), json!({"host_port": 8080, "host_address": "127.0.0.1"})]
    {
        let refused = publish(&api, BOB, json!({"90/tcp": same})).await.expect(202).json();
        assert_eq!(refused["status"], json!("Error"));
        let detail = refused["status_detail"].as_str().unwrap();
        assert_eq!(detail, "0 of 1 hosts fit: 1 with port 8080/tcp in use.");
    }
    let id: zun_common::id::ContainerId = first["uuid"].as_str().unwrap().parse().unwrap();
    agent.report(id, Status::Created, |_| {}).await;
    api.until(id, Status::Created).await;
    api.delete(ANN, &format!("{PATH}/{id}")).await.expect(204);
    let refused =
        publish(&api, ANN, json!({"80/tcp": {"host_port": 8080}})).await.expect(202).json();
    assert_eq!(refused["status"], json!("Error"), "its removal is not confirmed");
    agent.report(id, Status::Deleted, |_| {}).await;
    eventually_some("the port is free again", || async {
        let again = publish(&api, ANN, json!({"80/tcp": {"host_port": 8080}})).await.json();
        (again["status"] == json!("Creating")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_container_goes_to_a_host_where_its_ports_are_free() {
    let api = Api::start().await;
    let (one, two) = (api.agent("h1").await, api.agent("h2").await);
    for _ in 0..2 {
        let shown =
            publish(&api, ADMIN, json!({"80": {"host_port": 8080}})).await.expect(202).json();
        assert_eq!(shown["status"], json!("Creating"), "{shown}");
    }
    one.receives("container.create").await;
    two.receives("container.create").await;
}

#[tokio::test]
async fn all_addresses_conflict_with_each_and_only_an_offered_address_is_used() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let elsewhere = json!({"80": {"host_port": 8080, "host_address": "192.0.2.7"}});
    let refused = publish(&api, ANN, elsewhere.clone()).await.expect(202).json();
    assert_eq!(
        refused["status_detail"],
        json!("0 of 1 hosts fit: 1 that do not publish ports on this address.")
    );
    agent
        .heartbeat(|beat| {
            let inventory = beat.inventory.as_mut().unwrap();
            inventory.publish_address = Some("0.0.0.0".parse().unwrap());
        })
        .await
        .unwrap();
    let (_, ports) = published(&api, ANN, elsewhere).await;
    assert_eq!(ports, ["80/tcp 192.0.2.7 8080"]);
    let refused = publish(&api, ANN, json!({"80": {"host_port": 8080}})).await.expect(202).json();
    assert_eq!(refused["status"], json!("Error"), "{refused}");
    let (_, ports) = published(&api, ANN, json!({"80": {"host_port": 8081}})).await;
    assert_eq!(ports, ["80/tcp 0.0.0.0 8081"]);
}

#[tokio::test]
async fn free_ports_are_chosen_from_the_range_until_it_is_used_up() {
    let api = Api::start_with(|settings| settings.ports.range = 21_000..=21_007).await;
    let _agent = api.agent("h1").await;
    let create = |_| published(&api, ANN, json!({"80": {}, "81/tcp": [{"host_port": 0}]}));
    let made = futures_util::future::join_all((0..4).map(create)).await;
    let numbers = made
        .iter()
        .flat_map(|(_, ports)| ports)
        .map(|port| port.rsplit_once(' ').unwrap().1.parse::<u16>().unwrap());
    assert_eq!(numbers.collect::<BTreeSet<_>>(), (21_000..=21_007).collect());
    let refused = publish(&api, ANN, json!({"80": {}})).await.expect(202).json();
    assert_eq!(refused["status_detail"], json!("0 of 1 hosts fit: 1 with too few free ports."));
}

#[tokio::test]
async fn the_first_free_port_of_a_range_of_the_host_is_used() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let range = json!({"host_port": 18_090, "last_host_port": 18_092});
    let (_, ports) = published(&api, ANN, json!({"80": range})).await;
    assert_eq!(ports, ["80/tcp 127.0.0.1 18090"]);
    // A port that is named is not taken for a range, and of two ranges each gets a port.
    let both = json!({"80": [range, {"host_port": 18_091}]});
    let (_, mut ports) = published(&api, BOB, both).await;
    ports.sort();
    assert_eq!(ports, ["80/tcp 127.0.0.1 18091", "80/tcp 127.0.0.1 18092"]);
    let refused = publish(&api, BOB, json!({"80": range})).await.expect(202).json();
    let detail = "0 of 1 hosts fit: 1 with all ports of 18090-18092/tcp in use.";
    assert_eq!(refused["status_detail"], json!(detail));
    let nested = json!({"80": {"host_port": 18_093, "last_host_port": 18_095},
        "81": {"host_port": 18_093, "last_host_port": 18_093}});
    let (_, ports) = published(&api, ANN, nested).await;
    assert_eq!(ports, ["80/tcp 127.0.0.1 18094", "81/tcp 127.0.0.1 18093"]);
}

#[tokio::test]
async fn concurrent_creates_of_one_port_give_it_to_one_container() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let create = |_| publish(&api, ANN, json!({"80": {"host_port": 8080}}));
    let answers = futures_util::future::join_all((0..16).map(create)).await;
    let placed = answers.into_iter().map(|answer| answer.expect(202).json()["status"].clone());
    assert_eq!(placed.filter(|status| *status == json!("Creating")).count(), 1);
}

#[tokio::test]
async fn low_ports_of_the_host_are_for_administrators() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let refusal = publish(&api, ANN, json!({"80": {"host_port": 80}})).await.refusal();
    assert!(refusal.contains("container:create:low_port"), "{refusal}");
    publish(&api, ADMIN, json!({"80": {"host_port": 80}})).await.expect(202);
}
