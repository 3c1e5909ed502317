//! Creating containers.

use serde_json::{Value, json};
use zun_common::status::Status;
use zun_tests::scripted_agent::engine_id;

use crate::support::{ADMIN, ANN, Api, BOB, eventually_some};

const PATH: &str = "/v1/containers";

async fn refusal(api: &Api, body: Value) -> String {
    api.post(ANN, PATH, body).await.refusal()
}

#[tokio::test]
async fn the_host_gets_the_complete_request() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let wanted = json!({
        "image": "cirros", "name": "test", "command": ["cat"], "entrypoint": ["/bin/env"],
        "interactive": "True", "tty": false, "stdin_once": true, "console_size": [24, 80],
        "cpu": 0.5, "memory": 64, "environment": {"A": "1"}, "labels": {"role": "demo"},
        "workdir": "/srv", "hostname": "box", "user": "1000:1000", "read_only": true,
        "stop_signal": "int", "image_pull_policy": "Never", "auto_remove": "False",
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": "3"},
    });
    api.post(ANN, "/v1/containers?run=true", wanted).await.expect(202);
    let mut body = agent.receives("container.create").await.body;
    body["container"] = json!("ID");
    insta::assert_json_snapshot!(body, @r#"
    {
      "container": "ID",
      "spec": {
        "auto_remove": false,
        "command": [
          "cat"
        ],
        "console": {
          "size": {
            "columns": 80,
            "rows": 24
          },
          "stdin_once": true,
          "stdin_open": true,
          "tty": false
        },
        "entrypoint": [
          "/bin/env"
        ],
        "environment": {
          "A": "1"
        },
        "hostname": "box",
        "image": "cirros",
        "labels": {
          "role": "demo"
        },
        "name": "test",
        "project": "blue",
        "pull": "never",
        "read_only": true,
        "resources": {
          "cpus": 0.5,
          "memory": 64
        },
        "restart": {
          "MaximumRetryCount": "3",
          "Name": "on-failure"
        },
        "stop_signal": "SIGINT",
        "user": "1000:1000",
        "workdir": "/srv"
      },
      "start": true
    }
    "#);
}

#[tokio::test]
async fn fields_that_the_openstack_client_always_sends_are_accepted() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let body = json!({
        "image": "cirros", "command": ["sh"], "environment": {}, "labels": {}, "hints": {}, "nets": [],
        "mounts": [], "auto_remove": false, "cpu": "0.5", "memory": "128", "security_groups": null,
        "interactive": true, "tty": true, "image_driver": "docker", "name": null,
    });
    let answer = api.post(ANN, "/v1/containers?run=False", body).await.expect(202).json();
    let name = answer["name"].as_str().unwrap();
    assert!(name.ends_with("-container"), "{name}");
    assert_eq!(agent.receives("container.create").await.body["start"], json!(false));
}

#[tokio::test]
async fn each_wrong_field_is_named_with_its_value_and_its_rule() {
    let api = Api::start().await;
    let mut table = Vec::new();
    for (field, value) in [
        ("image", json!("-bad image")),
        ("image", json!(7)),
        ("name", json!("-x")),
        ("name", json!("x")),
        ("command", json!("sh -c ls")),
        ("command", json!(["sh", 1])),
        ("entrypoint", json!({})),
        ("cpu", json!(99)),
        ("cpu", json!("0.05")),
        ("cpu", json!("many")),
        ("memory", json!("3")),
        ("memory", json!(9000)),
        ("memory", json!("512M")),
        ("environment", json!(["A=1"])),
        ("environment", json!({"A=B": "1"})),
        ("environment", json!({"A": 1})),
        ("labels", json!({"zun.container": "x"})),
        ("workdir", json!("relative")),
        ("hostname", json!("no spaces")),
        ("interactive", json!("perhaps")),
        ("tty", json!([])),
        ("console_size", json!([0, 80])),
        ("console_size", json!("24x80")),
        ("user", json!("")),
        ("read_only", json!("?")),
        ("stop_signal", json!("SIGFOO")),
        ("image_pull_policy", json!("sometimes")),
        ("restart_policy", json!({"Name": "often"})),
        ("restart_policy", json!({"MaximumRetryCount": "1"})),
        ("restart_policy", json!({"Name": "always", "MaximumRetryCount": 2})),
        ("host", json!("Not_A_Host")),
        ("nets", json!([{"network": "x"}])),
        ("nets", json!([{"port": "x"}])),
        ("nets", json!([{"network": "back", "v6-fixed-ip": "fd00::7"}])),
        ("mounts", json!([{"source": "x"}])),
        ("mounts", json!([{"source": "data", "destination": "/data", "size": "1"}])),
        ("privileged", json!("perhaps")),
        ("disk", json!(0)),
        ("runtime", json!("a b")),
        ("availability_zone", json!("")),
        ("hints", json!({"rack": "7"})),
        ("image_driver", json!("glance")),
        ("run", json!("perhaps")),
    ] {
        let mut body = json!({"image": "cirros"});
        body[field] = value;
        table.push(refusal(&api, body).await);
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
    400 container.schema-validation-error Invalid input for field 'image'. Value: '-bad image'. It must be an image such as `cirros` or `registry/name:tag`, of 2 to 255 characters.
    400 container.schema-validation-error Invalid input for field 'image'. Value: '7'. It must be an image such as `cirros` or `registry/name:tag`, of 2 to 255 characters.
    400 container.schema-validation-error Invalid input for field 'name'. Value: '-x'. It must be 2 to 255 letters, digits, `_`, `.` or `-`, starting with a letter or digit, and not like a UUID.
    400 container.schema-validation-error Invalid input for field 'name'. Value: 'x'. It must be 2 to 255 letters, digits, `_`, `.` or `-`, starting with a letter or digit, and not like a UUID.
    400 container.schema-validation-error Invalid input for field 'command'. Value: 'sh -c ls'. It must be a list of strings.
    400 container.schema-validation-error Invalid input for field 'command'. Value: '1'. It must be a list of strings, each of them a string without NUL characters.
    400 container.schema-validation-error Invalid input for field 'entrypoint'. Value: '{}'. It must be a list of strings.
    400 container.schema-validation-error Invalid input for field 'cpu'. Value: '99'. It must be a number from 0.1 to 16.
    400 container.schema-validation-error Invalid input for field 'cpu'. Value: '0.05'. It must be a number from 0.1 to 16.
    400 container.schema-validation-error Invalid input for field 'cpu'. Value: 'many'. It must be a number from 0.1 to 16.
    400 container.schema-validation-error Invalid input for field 'memory'. Value: '3'. It must be a whole number of MiB from 6 to 8192.
    400 container.schema-validation-error Invalid input for field 'memory'. Value: '9000'. It must be a whole number of MiB from 6 to 8192.
    400 container.schema-validation-error Invalid input for field 'memory'. Value: '512M'. It must be a whole number of MiB from 6 to 8192.
    400 container.schema-validation-error Invalid input for field 'environment'. Value: '["A=1"]'. It must be an object with string values.
    400 container.schema-validation-error Invalid input for field 'environment'. Value: 'A=B'. It must be an object whose keys are strings of 1 to 255 characters without `=`, whitespace or control characters.
    400 container.schema-validation-error Invalid input for field 'environment.A'. Value: '1'. It must be a string without NUL characters.
    400 container.schema-validation-error Invalid input for field 'labels'. Value: 'zun.container'. It must be an object whose keys are strings of 1 to 255 printable characters that do not start with `zun.`.
    400 container.schema-validation-error Invalid input for field 'workdir'. Value: 'relative'. It must be an absolute path of at most 4096 characters.
    400 container.schema-validation-error Invalid input for field 'hostname'. Value: 'no spaces'. It must be 1 to 255 letters, digits, `_`, `.` or `-`.
    400 container.schema-validation-error Invalid input for field 'interactive'. Value: 'perhaps'. It must be true or false.
    400 container.schema-validation-error Invalid input for field 'tty'. Value: '[]'. It must be true or false.
    400 container.schema-validation-error Invalid input for field 'console_size'. Value: '[0,80]'. It must be [rows, columns], each from 1 to 65535.
    400 container.schema-validation-error Invalid input for field 'console_size'. Value: '24x80'. It must be [rows, columns], each from 1 to 65535.
    400 container.schema-validation-error Invalid input for field 'user'. Value: ''. It must be a user such as `nobody`, `1000` or `1000:1000`, of at most 255 characters.
    400 container.schema-validation-error Invalid input for field 'read_only'. Value: '?'. It must be true or false.
    400 container.schema-validation-error Invalid input for field 'stop_signal'. Value: 'SIGFOO'. It must be a signal such as `SIGTERM`, `term` or `15`.
    400 container.schema-validation-error Invalid input for field 'image_pull_policy'. Value: 'sometimes'. It must be `always`, `ifnotpresent` or `never`.
    400 container.schema-validation-error Invalid input for field 'restart_policy'. Value: '{"Name":"often"}'. It must be an object with a Name (no, always, on-failure or unless-stopped) and, only for on-failure, a MaximumRetryCount.
    400 container.schema-validation-error Invalid input for field 'restart_policy'. Value: '{"MaximumRetryCount":"1"}'. It must be an object with a Name (no, always, on-failure or unless-stopped) and, only for on-failure, a MaximumRetryCount.
    400 container.schema-validation-error Invalid input for field 'restart_policy'. Value: '{"MaximumRetryCount":2,"Name":"always"}'. It must be an object with a Name (no, always, on-failure or unless-stopped) and, only for on-failure, a MaximumRetryCount.
    400 container.schema-validation-error Invalid input for field 'host'. Value: 'Not_A_Host'. It must be a host name of lower-case letters, digits and inner hyphens, with dots between the parts.
    400 container.schema-validation-error Invalid input for field 'nets.network'. Value: 'x'. It must be the name or ID of a network, `none` or `host`.
    501 container.not-offered Network ports are not supported, because they need Neutron. Name a network of the project.
    501 container.not-offered Fixed IPv6 addresses are not supported, because they need Neutron. Networks of a host have IPv4 only.
    400 container.schema-validation-error Missing field 'mounts.destination'. It must be an absolute path in the container of at most 4096 characters, without `..`, other than `/`.
    501 container.not-offered Volumes with a size are not supported, because they need Cinder. Volumes of a host have no size.
    400 container.schema-validation-error Invalid input for field 'privileged'. Value: 'perhaps'. It must be true or false.
    400 container.schema-validation-error Invalid input for field 'disk'. Value: '0'. It must be a whole number of GiB from 1 to 160.
    400 container.schema-validation-error Invalid input for field 'runtime'. Value: 'a b'. It must be a name of 1 to 255 letters, digits, `_`, `-`, `.`, `/` or `:`.
    400 container.schema-validation-error Invalid input for field 'availability_zone'. Value: ''. It must be 1 to 255 printable characters.
    400 container.schema-validation-error Invalid input for field 'hints'. Value: '{"rack":"7"}'. It must be an object whose keys are `label:NAME`, `affinity:NAME` or `anti_affinity:NAME`, each with the value of a label.
    501 container.not-offered Only the image driver `docker` is supported: hosts pull images from registries, not from Glance.
    400 container.schema-validation-error Invalid input for field 'run'. Value: 'perhaps'. It must be true or false.
    "#);
    assert_eq!(
        api.get(ADMIN, "/v1/containers?all_projects=true").await.json()["containers"],
        json!([])
    );
}

#[tokio::test]
async fn an_unknown_field_and_a_missing_image_are_named() {
    let api = Api::start().await;
    let unknown = refusal(&api, json!({"image": "cirros", "imgae": 1})).await;
    assert_eq!(
        unknown,
        "400 container.schema-validation-error Additional properties are not allowed ('imgae' was unexpected)"
    );
    let missing = refusal(&api, json!({})).await;
    assert_eq!(missing, "400 container.schema-validation-error 'image' is a required property");
    let both =
        json!({"image": "cirros", "auto_remove": true, "restart_policy": {"Name": "always"}});
    assert!(refusal(&api, both).await.contains("`no` if `auto_remove` is true"));
}

#[tokio::test]
async fn names_are_unique_within_a_project() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    api.create(ANN, json!({"image": "cirros", "name": "test"})).await;
    let again = refusal(&api, json!({"image": "cirros", "name": "test"})).await;
    assert_eq!(again, "409 container.conflict A container with the name 'test' already exists.");
    api.create(BOB, json!({"image": "cirros", "name": "test"})).await;
    let named = api.get(ADMIN, "/v1/containers/test").await.refusal();
    assert!(named.starts_with("409 container.conflict Multiple containers exist"), "{named}");
}

#[tokio::test]
async fn an_id_that_lists_show_is_found_although_ids_of_docker_begin_alike() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(api.create(ANN, json!({"image": "cirros"})).await);
    }
    let alike = ids[0].to_string()[..8].to_owned();
    let engines = [("0000f0f0", "1"), (&alike, "e"), ("f0f0f0f0", "e"), ("f0f0f0f0", "f")];
    for (id, (beginning, digit)) in ids.iter().zip(engines) {
        let engine = format!("{beginning}{}", digit.repeat(56));
        agent
            .report(*id, Status::Created, |report| {
                report.engine = Some(engine.parse().expect("an id"));
            })
            .await;
        api.until(*id, Status::Created).await;
    }
    let found = async |beginning: &str| api.get(ANN, &format!("/v1/containers/{beginning}")).await;
    for (beginning, id) in [(alike.as_str(), 0), ("0000f0f01", 0), ("f0f0f0f0e", 2)] {
        let shown = found(beginning).await.expect(200).json();
        assert_eq!(shown["uuid"], json!(ids[id].to_string()), "{beginning}");
    }
    let refused = found("f0f0f0f0").await.refusal();
    let words = "Several containers of Docker have IDs that begin with 'f0f0f0f0': ";
    assert!(refused.contains(words), "{refused}");
    assert!(refused.contains("in Docker f0f0f0f0eeee)"), "{refused}");
}

#[tokio::test]
async fn a_container_is_found_by_a_unique_beginning_of_its_id() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    // There are 16 digits, so two IDs begin with the same one.
    for _ in 0..17 {
        ids.push(api.create(ANN, json!({"image": "cirros"})).await.to_string());
    }
    let first = ids
        .iter()
        .map(|id| &id[..1])
        .find(|first| ids.iter().filter(|id| id.starts_with(*first)).count() > 1);
    let first = first.expect("two ids begin with the same digit");
    let alike: Vec<_> = ids.iter().filter(|id| id.starts_with(first)).collect();
    let ambiguous = api.get(ANN, &format!("/v1/containers/{first}")).await.refusal();
    let words =
        format!("409 container.conflict Several containers have IDs that begin with '{first}': ");
    assert!(ambiguous.starts_with(&words), "{ambiguous}");
    let named = alike.iter().filter(|id| ambiguous.contains(id.as_str())).count();
    assert_eq!(named, alike.len().min(5), "{ambiguous}");
    for id in &ids {
        for length in [12, 35] {
            let path = format!("/v1/containers/{}", &id[..length]);
            assert_eq!(&api.get(ANN, &path).await.json()["uuid"], id);
            assert_eq!(api.get(BOB, &path).await.status, 404, "another project's");
        }
        assert_eq!(api.get(ANN, &format!("/v1/containers/{id}0")).await.status, 404);
    }
}

#[tokio::test]
async fn a_container_is_found_by_a_beginning_of_the_id_that_docker_gave_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "one", Status::Created).await;
    let engine = engine_id().as_str().to_owned();
    for length in [12, engine.len()] {
        let path = format!("/v1/containers/{}", &engine[..length]);
        assert_eq!(api.get(ANN, &path).await.json()["uuid"], json!(id), "{path}");
        assert_eq!(api.get(BOB, &path).await.status, 404, "another project's");
    }
    // The scripted agent gives all its containers the same ID.
    let other = api.container(&agent, "other", Status::Created).await;
    let ambiguous = api.get(ANN, &format!("/v1/containers/{}", &engine[..12])).await.refusal();
    assert!(ambiguous.contains(&id.to_string()), "{ambiguous}");
    assert!(ambiguous.contains(&other.to_string()), "{ambiguous}");
}

#[tokio::test]
async fn volumes_networks_registries_and_hosts_are_found_by_a_beginning_of_their_ids() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    for (path, named) in [
        ("/v1/volumes", json!({"name": "data"})),
        ("/v1/networks", json!({"name": "back"})),
        ("/v1/registries", json!({"registry": {"name": "work", "domain": "quay.io"}})),
    ] {
        let made = api.post(ANN, path, named).await.json();
        let one = if made["registry"].is_null() { made } else { made["registry"].clone() };
        let id = one["uuid"].as_str().expect("an id").to_owned();
        let found = api.get(ANN, &format!("{path}/{}", &id[..8])).await.json().to_string();
        assert!(found.contains(&id), "{path}: {found}");
        assert_eq!(api.get(BOB, &format!("{path}/{}", &id[..8])).await.status, 404, "{path}");
        assert_eq!(api.get(ANN, &format!("{path}/{}x", &id[..8])).await.status, 404, "{path}");
        let short = api.get(ANN, &format!("{path}/{}", &id[..3])).await.status;
        // What a short word finds might be deleted with its data.
        assert_eq!(short, if path == "/v1/registries" { 200 } else { 404 }, "{path}");
    }
    api.until_service("h1", "up").await;
    let host = api.get(ADMIN, "/v1/hosts/h1").await.json()["uuid"].clone();
    let beginning = &host.as_str().expect("an id")[..6];
    assert_eq!(api.get(ADMIN, &format!("/v1/hosts/{beginning}")).await.json()["hostname"], "h1");
    assert_eq!(api.get(ANN, &format!("/v1/hosts/{beginning}")).await.status, 403);
}

#[tokio::test]
async fn a_name_is_found_before_an_id_that_begins_so_and_cannot_look_like_an_id() {
    let api = Api::start().await;
    let id = api.create(ANN, json!({"image": "cirros"})).await.to_string();
    let named = api.create(ANN, json!({"image": "cirros", "name": &id[..8]})).await.to_string();
    let found = api.get(ANN, &format!("/v1/containers/{}", &id[..8])).await.json();
    assert_eq!(found["uuid"], json!(named));
    let refused = refusal(&api, json!({"image": "cirros", "name": id})).await;
    assert!(refused.contains("not like a UUID"), "{refused}");
}

#[tokio::test]
async fn without_a_host_the_container_is_in_error_with_the_reason_of_each_filter() {
    let api = Api::start().await;
    let body = json!({"image": "cirros"});
    let answer = api.post(ANN, PATH, body.clone()).await.expect(202).json();
    assert_eq!(answer["status"], json!("Error"));
    assert_eq!(answer["status_reason"], json!("There are not enough hosts available."));
    assert_eq!(
        answer["status_detail"],
        json!("No host has registered yet: start zun-compute on one.")
    );

    let small = api.agent("small").await;
    small
        .heartbeat(|heartbeat| heartbeat.inventory.as_mut().unwrap().total.memory.0 = 256)
        .await
        .expect("accepted");
    let gone = api.agent("gone").await;
    gone.heartbeat(|heartbeat| heartbeat.leaving = true).await.expect("accepted");
    api.until_service("gone", "down").await;
    let mute = api.agent("mute").await;
    mute.heartbeat(|heartbeat| heartbeat.inventory = None).await.expect("accepted");
    api.until_metric("zun_api_heartbeats_total", 6.0).await;
    let answer = api.post(ANN, PATH, body).await.expect(202).json();
    assert_eq!(
        answer["status_detail"],
        json!(
            "0 of 3 hosts fit: 1 down, 1 without a running Docker, 1 without enough free memory."
        )
    );
    let id = answer["uuid"].as_str().unwrap();
    api.delete(ANN, &format!("{PATH}/{id}")).await.expect(204);
    api.get(ANN, &format!("{PATH}/{id}")).await.expect(404);
}

#[tokio::test]
async fn containers_go_to_the_host_with_the_most_room() {
    let api = Api::start().await;
    let (one, two) = (api.agent("h1").await, api.agent("h2").await);
    for _ in 0..4 {
        api.create(ANN, json!({"image": "cirros"})).await;
    }
    for agent in [one, two] {
        let creates =
            || agent.received().into_iter().filter(|call| call.method == "container.create");
        eventually_some("two are sent", || async { (creates().count() == 2).then_some(()) }).await;
    }
}

#[tokio::test]
async fn only_administrators_choose_the_host() {
    let api = Api::start().await;
    let (_one, two) = (api.agent("h1").await, api.agent("h2").await);
    let on = |host: &str| json!({"image": "cirros", "host": host});
    assert!(refusal(&api, on("h2")).await.starts_with("403 container.policy-not-authorized"));
    api.post(ADMIN, PATH, on("h2")).await.expect(202);
    two.receives("container.create").await;
    let unknown = api.post(ADMIN, PATH, on("h9")).await.refusal();
    assert_eq!(unknown, "404 container.requested-host-not-found Host h9 could not be found.");
}

#[tokio::test]
async fn concurrent_creates_with_one_name_create_one_container() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let create = |_| api.post(ANN, PATH, json!({"image": "cirros", "name": "same"}));
    let answers = futures_util::future::join_all((0..16).map(create)).await;
    let created = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(created, 1);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        let refusal = answer.refusal();
        assert_eq!(
            refusal,
            "409 container.conflict A container with the name 'same' already exists."
        );
    }
}

#[tokio::test]
async fn concurrent_renames_to_one_name_rename_one_container() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let mut ids = Vec::new();
    for number in 0..8 {
        let body = json!({"image": "cirros", "name": format!("c{number}")});
        ids.push(api.create(ANN, body).await);
    }
    let rename = |id: &zun_common::id::ContainerId| {
        let request = api.request(reqwest::Method::PATCH, ANN, &format!("{PATH}/{id}"));
        crate::support::send(request.json(&json!({"name": "same"})))
    };
    let answers = futures_util::future::join_all(ids.iter().map(rename)).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_request_without_limits_gets_the_operators_defaults_which_the_document_shows() {
    let api = Api::start_with(|settings| {
        settings.defaults.cpu = 0.5;
        settings.defaults.memory = 64;
    })
    .await;
    let shown =
        api.post(ANN, "/v1/containers", json!({"image": "cirros"})).await.expect(202).json();
    assert_eq!((&shown["cpu"], &shown["memory"]), (&json!(0.5), &json!("64")));
    let body = json!({"image": "cirros", "cpu": 2, "memory": 128});
    let shown = api.post(ANN, "/v1/containers", body).await.expect(202).json();
    assert_eq!((&shown["cpu"], &shown["memory"]), (&json!(2.0), &json!("128")));
    let document = api.get(ANN, "/openapi.json").await.expect(200).json();
    let fields = &document["paths"]["/v1/containers"]["post"]["requestBody"]["content"]["application/json"]
        ["schema"]["properties"];
    assert_eq!(
        (&fields["cpu"]["default"], &fields["memory"]["default"]),
        (&json!(0.5), &json!(64))
    );
}
