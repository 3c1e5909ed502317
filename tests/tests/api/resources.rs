//! Volumes and networks: who sees them, how they choose the host of their containers, and when they are deleted.

use serde_json::{Value, json};
use zun_common::id::ContainerId;
use zun_common::rpc::operation::{OperationOutcome, Outcome};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Api, BOB, eventually_some, send, steady};

const CONTAINERS: &str = "/v1/containers";

fn with(fields: &Value) -> Value {
    let mut body = json!({"image": "cirros", "cpu": 0.1, "memory": 6});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn mounting(volume: &str) -> Value {
    with(&json!({"mounts": [{"source": volume, "destination": "/data"}]}))
}

fn id(container: &Value) -> ContainerId {
    container["uuid"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_volume_and_a_network_belong_to_a_project() {
    let api = Api::start().await;
    let created = api.post(ANN, "/v1/networks", json!({"name": "back"})).await.expect(201);
    let shown = created.json();
    let path = format!("/v1/networks/{}", shown["uuid"].as_str().unwrap());
    assert!(created.header("location").ends_with(&path));
    insta::assert_json_snapshot!(steady(shown), @r#"
    {
      "containers": [],
      "created_at": "TIME",
      "internal": false,
      "links": [
        {
          "href": "http://HOST/v1/networks/UUID",
          "rel": "self"
        },
        {
          "href": "http://HOST/networks/UUID",
          "rel": "bookmark"
        }
      ],
      "name": "back",
      "project_id": "blue",
      "user_id": "ann",
      "uuid": "UUID"
    }
    "#);
    for kind in ["volumes", "networks"] {
        let collection = format!("/v1/{kind}");
        for token in [ANN, BOB] {
            api.post(token, &collection, json!({"name": "data"})).await.expect(201);
        }
        let taken = api.post(ANN, &collection, json!({"name": "data"})).await.refusal();
        assert!(taken.starts_with("409 ") && taken.contains("'data' already exists"), "{taken}");
        let list = api.get(BOB, &collection).await.expect(200).json();
        assert_eq!(list[kind].as_array().unwrap().len(), 1);
        let all = api.get(ADMIN, &format!("{collection}?all_projects=1&name=data")).await.json();
        assert_eq!(all[kind].as_array().unwrap().len(), 2);
        let own = list[kind][0]["uuid"].as_str().unwrap();
        api.get(ANN, &format!("{collection}/{own}")).await.expect(404);
        api.delete(ANN, &format!("{collection}/{own}")).await.expect(404);
        let ambiguous = api.get(ADMIN, &format!("{collection}/data")).await.refusal();
        assert!(ambiguous.starts_with("409 "), "{ambiguous}");
        api.delete(BOB, &format!("{collection}/data")).await.expect(204);
        api.get(BOB, &format!("{collection}/data")).await.expect(404);
    }
}

#[tokio::test]
async fn networks_of_neutron_are_refused_in_words() {
    let api = Api::start().await;
    let refused = api.post(ANN, "/v1/networks", json!({"name": "aa", "neutron_net_id": "x"})).await;
    assert!(refused.refusal().starts_with("501 container.not-offered Neutron networks"));
    let refused = api.post(ANN, CONTAINERS, with(&json!({"nets": [{"network": "nothing"}]}))).await;
    let words = "404 container.network-not-found Network nothing could not be found.";
    assert_eq!(refused.refusal(), words);
}

#[tokio::test]
async fn only_administrators_choose_the_addresses_of_a_network() {
    let api = Api::start().await;
    api.agent("h1").await;
    let body = json!({"name": "back", "subnet": "10.5.0.0/24"});
    let refused = api.post(ANN, "/v1/networks", body.clone()).await.refusal();
    assert!(refused.starts_with("403 ") && refused.contains("network:create:subnet"), "{refused}");
    let created = api.post(ADMIN, "/v1/networks", body).await.expect(201).json();
    assert_eq!(created["subnet"], "10.5.0.0/24");
    let nets = json!([{"network": "back", "v4-fixed-ip": "10.5.0.7"}]);
    api.post(ADMIN, CONTAINERS, with(&json!({ "nets": nets }))).await.expect(202);
    api.post(ADMIN, "/v1/networks", json!({"name": "free"})).await.expect(201);
    let nets = json!([{"network": "free", "v4-fixed-ip": "10.5.0.7"}]);
    let refused = api.post(ADMIN, CONTAINERS, with(&json!({ "nets": nets }))).await.refusal();
    assert!(refused.starts_with("400 ") && refused.contains("'v4-fixed-ip'"), "{refused}");
    // The host has these addresses already. Docker would refuse the network.
    let more = json!({"name": "more", "subnet": "10.5.0.0/16"});
    let refused = api.post(ADMIN, "/v1/networks", more.clone()).await.refusal();
    let words = "It must be addresses that are free on a host: on all 1 hosts they overlap";
    assert!(refused.starts_with("400 ") && refused.contains(words), "{refused}");
    // Each of two networks of the project needs a host of its own.
    let waits = json!({"name": "waits", "subnet": "10.6.0.0/24"});
    api.post(ADMIN, "/v1/networks", waits).await.expect(201);
    let same = json!({"name": "same", "subnet": "10.6.0.0/16"});
    let refused = api.post(ADMIN, "/v1/networks", same).await.refusal();
    assert!(refused.contains("or are for `waits`"), "{refused}");
    // Another host is free for it, but not for a container that must be on the first one.
    api.agent("h2").await;
    api.post(ADMIN, "/v1/networks", more).await.expect(201);
    for (name, subnet, fits) in [("more", "10.5.0.0/16", false), ("next", "10.5.1.0/24", true)] {
        if fits {
            let body = json!({"name": name, "subnet": subnet});
            api.post(ADMIN, "/v1/networks", body).await.expect(201);
        }
        let body = with(&json!({"nets": [{"network": name}], "host": "h1"}));
        let created = api.post(ADMIN, CONTAINERS, body).await.expect(202).json();
        let path = format!("{CONTAINERS}/{}", created["uuid"].as_str().unwrap());
        let shown = api.get(ADMIN, &path).await.expect(200).json();
        assert_eq!(shown["status"] != "Error", fits, "{subnet}: {shown}");
        let network = api.get(ADMIN, &format!("/v1/networks/{name}")).await.expect(200).json();
        assert_eq!(network["host"].is_string(), fits, "{network}");
        let detail = shown["status_detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!(detail.contains("overlapping addresses"), !fits, "{shown}");
    }
}

#[tokio::test]
async fn a_container_keeps_the_name_by_which_others_find_it_in_its_network() {
    let api = Api::start().await;
    api.agent("h1").await;
    api.post(ANN, "/v1/networks", json!({"name": "back"})).await.expect(201);
    let mut body = with(&json!({"nets": [{"network": "back"}]}));
    body["name"] = json!("first");
    api.post(ANN, CONTAINERS, body).await.expect(202);
    let rename = |name: &str| {
        let request = api.request(reqwest::Method::PATCH, ANN, &format!("{CONTAINERS}/first"));
        send(request.json(&json!({ "name": name })))
    };
    let refused = rename("second").await.refusal();
    assert!(refused.starts_with("409 ") && refused.contains("find it as 'first'"), "{refused}");
    rename("first").await.expect(200);
}

#[tokio::test]
async fn ports_are_not_published_from_a_network_that_nobody_can_reach() {
    let api = Api::start().await;
    api.agent("h1").await;
    let sealed = json!({"name": "sealed", "internal": true});
    api.post(ANN, "/v1/networks", sealed).await.expect(201);
    for network in ["none", "sealed"] {
        let fields = json!({"nets": [{"network": network}], "exposed_ports": {"80/tcp": {}}});
        let all = json!({"nets": [{"network": network}], "engine_options": {"publish_all": true}});
        for fields in [fields, all] {
            let refused = api.post(ANN, CONTAINERS, with(&fields)).await.refusal();
            assert!(refused.starts_with("400 ") && refused.contains("'nets.network'"), "{refused}");
        }
        api.post(ANN, CONTAINERS, with(&json!({"nets": [{"network": network}]}))).await.expect(202);
    }
}

#[tokio::test]
async fn a_volume_is_on_the_host_of_its_first_container_and_all_others_run_there() {
    let api = Api::start().await;
    let first = api.agent("h1").await;
    let shown = api.post(ANN, CONTAINERS, mounting("data")).await.expect(202).json();
    let mounts = json!([{"type": "volume", "source": "data", "destination": "/data"}]);
    assert_eq!(shown["mounts"], mounts);
    let volume = api.get(ADMIN, "/v1/volumes?all_projects=1").await.json()["volumes"][0].clone();
    assert_eq!((&volume["host"], &volume["project_id"]), (&json!("h1"), &json!("blue")));
    let sent = first.receives_about("container.create", id(&shown)).await.body;
    assert_eq!(sent["spec"]["mounts"][0]["id"], volume["uuid"]);
    // The second host is free, and still the container comes to the first.
    api.agent("h2").await;
    for _ in 0..3 {
        let next = api.post(ANN, CONTAINERS, mounting("data")).await.expect(202).json();
        first.receives_about("container.create", id(&next)).await;
    }
    // A volume of the same name of another project is another one.
    let bobs = api.post(BOB, CONTAINERS, mounting("data")).await.expect(202).json();
    assert_eq!(bobs["status"], "Creating");
    assert_eq!(
        api.get(BOB, "/v1/volumes").await.json()["volumes"][0]["containers"],
        json!([bobs["uuid"]])
    );
    let mut elsewhere = mounting("data");
    elsewhere["host"] = json!("h2");
    // Ann's volume, which an administrator of another project does not see: it is a new one.
    api.post(ADMIN, CONTAINERS, elsewhere.clone()).await.expect(202);
    let own = api.post(ADMIN, CONTAINERS, mounting("data")).await.expect(202).json();
    assert_eq!(own["host"], "h2");
    elsewhere["host"] = json!("h1");
    let refused = api.post(ADMIN, CONTAINERS, elsewhere).await.expect(202).json();
    assert_eq!(refused["status"], "Error");
    let detail = refused["status_detail"].as_str().unwrap();
    let reason = "0 of 1 hosts fit: 1 without the requested volume, which another host has. h1: ";
    assert!(detail.starts_with(reason), "{detail}");
    // It has an ID too. One that is no volume's is not the name of a new one.
    let volume = api.get(ADMIN, "/v1/volumes/data").await.json()["uuid"].clone();
    api.post(ADMIN, CONTAINERS, mounting(volume.as_str().unwrap())).await.expect(202);
    let missing = "8f14e45f-ceea-467a-9575-0e2b5c1a7d3b";
    let refused = api.post(ADMIN, CONTAINERS, mounting(missing)).await.refusal();
    assert!(refused.starts_with("404 container.volume-not-found"), "{refused}");
}

#[tokio::test]
async fn what_a_container_uses_is_not_deleted_until_its_removal_is_confirmed() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.post(ANN, "/v1/networks", json!({"name": "back"})).await.expect(201);
    let mut body = mounting("data");
    body["nets"] = json!([{"network": "back", "aliases": ["db"]}]);
    let shown = api.post(ANN, CONTAINERS, body).await.expect(202).json();
    assert_eq!(shown["network"], "back");
    let container = id(&shown);
    let sent = agent.receives_about("container.create", container).await.body;
    assert_eq!(sent["spec"]["network"]["aliases"], json!(["db"]));
    agent.report(container, Status::Created, |_| {}).await;
    api.until(container, Status::Created).await;
    api.delete(ANN, &format!("{CONTAINERS}/{container}")).await.expect(204);
    for path in ["/v1/volumes/data", "/v1/networks/back"] {
        let used = api.delete(ANN, path).await.refusal();
        assert!(used.starts_with("409 ") && used.contains("used by containers (1)"), "{used}");
    }
    agent.report(container, Status::Deleted, |_| {}).await;
    for path in ["/v1/volumes/data", "/v1/networks/back"] {
        eventually_some("it is deleted", || async {
            (api.delete(ANN, path).await.status == 204).then_some(())
        })
        .await;
        // Its name is free, although the host has not removed it yet.
        api.get(ANN, path).await.expect(404);
    }
    api.post(ANN, "/v1/volumes", json!({"name": "data"})).await.expect(201);
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    let kinds: Vec<_> =
        open.iter().map(|one| serde_json::to_value(one).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["remove_resource", "remove_resource"]);
    for operation in open {
        let outcome = |outcome| vec![OperationOutcome::new(operation.id, outcome)];
        let failed =
            Outcome::Failed(zun_common::rpc::Problem::new(zun_common::rpc::Code::Engine, "in use"));
        agent.report_with(operation.container, (None, outcome(failed))).await.unwrap();
        assert!(!agent.heartbeat(|_| {}).await.unwrap().operations.is_empty(), "it stays open");
        agent.report_with(operation.container, (None, outcome(Outcome::Succeeded))).await.unwrap();
    }
    assert!(agent.heartbeat(|_| {}).await.unwrap().operations.is_empty());
}

#[tokio::test]
async fn thirty_two_containers_that_want_a_new_volume_at_once_share_one_on_one_host() {
    let api = Api::start().await;
    for host in ["h1", "h2"] {
        api.agent(host).await;
    }
    let creations = (0..32).map(|_| api.post(ANN, CONTAINERS, mounting("shared")));
    let created = futures_util::future::join_all(creations).await;
    let ids: Vec<Value> =
        created.into_iter().map(|one| one.expect(202).json()["uuid"].clone()).collect();
    let volumes = api.get(ANN, "/v1/volumes").await.json()["volumes"].clone();
    assert_eq!(volumes.as_array().unwrap().len(), 1);
    assert_eq!(volumes[0]["containers"].as_array().unwrap().len(), 32);
    let mut hosts = std::collections::BTreeSet::new();
    for id in ids {
        let shown = api.get(ADMIN, &format!("{CONTAINERS}/{}", id.as_str().unwrap())).await.json();
        assert_eq!(shown["status"], "Creating", "{shown}");
        hosts.insert(shown["host"].as_str().unwrap().to_owned());
    }
    assert_eq!(hosts.len(), 1, "{hosts:?}");
}

#[tokio::test]
async fn paths_and_the_network_of_the_host_need_a_permission() {
    let path = json!({"mounts": [{"type": "host", "source": "/etc", "destination": "/host"}]});
    let network = json!({"nets": [{"network": "host"}]});
    let api = Api::start().await;
    api.agent("h1").await;
    for (fields, rule) in [(&path, "host_path"), (&network, "host_network")] {
        let refused = api.post(ADMIN, CONTAINERS, with(fields)).await.refusal();
        assert!(refused.starts_with("403 ") && refused.contains(rule), "{refused}");
    }
    let open = Api::start_with(|settings| {
        let rules = "\"container:create:host_path\" = \"admin\"";
        settings.policy = toml::from_str(rules).unwrap();
    })
    .await;
    open.agent("h1").await;
    open.post(ADMIN, CONTAINERS, with(&path)).await.expect(202);
    assert_eq!(open.post(ANN, CONTAINERS, with(&path)).await.status, 403);
}

#[tokio::test]
async fn the_content_of_a_file_reaches_the_host_and_no_response() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let file = json!([{"type": "bind", "source": "c2VjcmV0Cg==", "destination": "/etc/app.conf"}]);
    let shown =
        api.post(ANN, CONTAINERS, with(&json!({ "mounts": file }))).await.expect(202).json();
    assert_eq!(shown["mounts"], json!([{"type": "bind", "destination": "/etc/app.conf"}]));
    let sent = agent.receives_about("container.create", id(&shown)).await.body;
    assert_eq!(sent["spec"]["mounts"][0]["content"], "c2VjcmV0Cg==");
}

#[tokio::test]
async fn a_host_has_only_so_many_networks_beside_those_with_a_subnet() {
    let api = Api::start_with(|settings| settings.scheduler.networks = 1).await;
    let agent = api.agent("h1").await;
    for name in ["one", "two"] {
        api.post(ANN, "/v1/networks", json!({"name": name})).await.expect(201);
    }
    let sealed = json!({"name": "sealed", "subnet": "10.5.0.0/24"});
    api.post(ADMIN, "/v1/networks", sealed).await.expect(201);
    let create = async |token: &str, network: &str| {
        let body = with(&json!({"nets": [{"network": network}]}));
        api.post(token, CONTAINERS, body).await.expect(202).json()
    };
    let first = create(ANN, "one").await;
    assert_eq!(
        create(ANN, "one").await["status"],
        json!("Creating"),
        "the network is there already"
    );
    assert_eq!(create(ADMIN, "sealed").await["status"], json!("Creating"));
    let refused = create(ANN, "two").await;
    assert_eq!(refused["status"], json!("Error"));
    let detail = "0 of 1 hosts fit: 1 at the limit of networks (scheduler.networks).";
    assert_eq!(refused["status_detail"], json!(detail));
    let _second = api.agent("h2").await;
    let placed = create(ANN, "two").await;
    assert_eq!(placed["status"], json!("Creating"));
    agent.receives_about("container.create", id(&first)).await;
}
