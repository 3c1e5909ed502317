//! Lists: visibility, order and paging.

use serde_json::{Value, json};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Api, BOB};

fn names(listed: &Value) -> Vec<&str> {
    let containers = listed["containers"].as_array().unwrap();
    containers.iter().map(|container| container["name"].as_str().unwrap()).collect()
}

async fn three(api: &Api) {
    let _agent = api.agent("h1").await;
    for name in ["carol", "alice", "bobby"] {
        api.create(ANN, json!({"image": "cirros", "name": name})).await;
    }
}

#[tokio::test]
async fn another_projects_containers_are_neither_listed_nor_found() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    assert_eq!(names(&api.get(BOB, "/v1/containers").await.json()), [""; 0]);
    for (token, expected) in [(ANN, 200), (BOB, 404), (ADMIN, 200)] {
        api.get(token, &format!("/v1/containers/{id}")).await.expect(expected);
        api.get(token, "/v1/containers/test?all_projects=False").await.expect(expected);
    }
    for verb in ["start", "stop", "reboot", "pause", "unpause", "kill", "execute?command=ls"] {
        let answer = api.post(BOB, &format!("/v1/containers/{id}/{verb}"), Value::Null).await;
        assert!(answer.refusal().starts_with("404 container.container-not-found"), "{verb}");
    }
    let answer = api.delete(BOB, &format!("/v1/containers/{id}?stop=true")).await;
    assert!(answer.refusal().starts_with("404 "));
    assert_eq!(agent.received().iter().filter(|call| call.method != "container.create").count(), 0);
}

#[tokio::test]
async fn administrators_see_all_projects_only_on_request() {
    let api = Api::start().await;
    three(&api).await;
    assert_eq!(names(&api.get(ADMIN, "/v1/containers").await.json()), [""; 0]);
    let all = api.get(ADMIN, "/v1/containers?all_projects=1").await.expect(200).json();
    assert_eq!(names(&all), ["carol", "alice", "bobby"]);
    let refused = api.get(ANN, "/v1/containers?all_projects=True").await.refusal();
    assert_eq!(
        refused,
        "403 container.policy-not-authorized Policy doesn't allow container:get_all_all_projects to be performed."
    );
    let refused = api.get(ANN, "/v1/containers?host=h1").await.refusal();
    assert!(refused.starts_with("403 "), "{refused}");
}

#[tokio::test]
async fn pages_follow_the_order_and_the_filters() {
    let api = Api::start().await;
    three(&api).await;
    let mut path = "/v1/containers?sort_key=name&sort_dir=desc&limit=2&status=Creating".to_owned();
    let first = api.get(ANN, &path).await.expect(200).json();
    assert_eq!(names(&first), ["carol", "bobby"]);
    let next = first["next"].as_str().unwrap();
    path = next.get(next.find("/v1").unwrap()..).unwrap().to_owned();
    let second = api.get(ANN, &path).await.expect(200).json();
    assert_eq!(names(&second), ["alice"]);
    assert_eq!(second["next"], Value::Null);
    let none = api.get(ANN, "/v1/containers?status=Running").await.json();
    assert_eq!(names(&none), [""; 0]);
    let one =
        api.get(ANN, "/v1/containers?name=alice&memory=512&image=cirros&auto_remove=False").await;
    assert_eq!(names(&one.json()), ["alice"]);
}

#[tokio::test]
async fn invalid_parameters_of_a_list_are_named() {
    let api = Api::start().await;
    let unknown = uuid::Uuid::new_v4();
    let mut table = Vec::new();
    for query in [
        "foo=1",
        "limit=0",
        "limit=-1",
        "limit=abc",
        "sort_key=x",
        "sort_dir=up",
        "status=Happy",
        "marker=x",
    ] {
        table.push(api.get(ANN, &format!("/v1/containers?{query}")).await.refusal());
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    400 container.unknown-parameters Unknown parameters: foo
    400 container.schema-validation-error Invalid input for field 'limit'. Value: '0'. It must be a positive whole number.
    400 container.schema-validation-error Invalid input for field 'limit'. Value: '-1'. It must be a positive whole number.
    400 container.schema-validation-error Invalid input for field 'limit'. Value: 'abc'. It must be a positive whole number.
    400 container.schema-validation-error Invalid input for field 'sort_key'. Value: 'x'. It must be one of id, uuid, name, image, status, memory, cpu, created_at, updated_at.
    400 container.schema-validation-error Invalid input for field 'sort_dir'. Value: 'up'. It must be `asc` or `desc`.
    400 container.schema-validation-error Invalid input for field 'status'. Value: 'Happy'. It must be a status such as `Running`.
    400 container.schema-validation-error Invalid input for field 'marker'. Value: 'x'. It must be a container's UUID.
    ");
    let marker = api.get(ANN, &format!("/v1/containers?marker={unknown}")).await.refusal();
    assert!(marker.starts_with("404 "), "{marker}");
}

#[tokio::test]
async fn a_nul_character_in_a_name_or_filter_matches_nothing() {
    let api = Api::start().await;
    three(&api).await;
    let found = api.get(ANN, "/v1/containers/a%00b").await;
    assert!(found.refusal().starts_with("404 container.container-not-found"), "{}", found.text);
    for field in ["name", "image", "user_id", "project_id"] {
        let none = api.get(ANN, &format!("/v1/containers?{field}=a%00b")).await.json();
        assert_eq!(names(&none), [""; 0], "{field}");
    }
}

#[tokio::test]
async fn a_container_whose_row_cannot_be_read_is_shown_as_in_lists() {
    let api = Api::start().await;
    // Nobody else can open an SQLite file.
    let Some(database) = api.database() else { return };
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "web", Status::Running).await;
    database.query(&format!("UPDATE containers SET spec = '{{}}' WHERE uuid = '{id}'"));
    let listed = api.get(ANN, "/v1/containers").await.expect(200).json();
    for named in [id.to_string(), "web".to_owned(), format!("{id}?wait_for=Error&timeout=1")] {
        let shown = api.get(ANN, &format!("/v1/containers/{named}")).await.expect(200).json();
        assert_eq!(shown["status_reason"], listed["containers"][0]["status_reason"], "{named}");
        assert_eq!((&shown["status"], &shown["name"]), (&json!("Error"), &json!("web")));
    }
    api.get(ANN, &format!("/v1/containers/{id}/container_actions")).await.expect(200);
    api.get(BOB, &format!("/v1/containers/{id}")).await.expect(404);
    api.get(BOB, "/v1/containers/web").await.expect(404);
    api.delete(ANN, &format!("/v1/containers/{id}?stop=true")).await.expect(204);
}
