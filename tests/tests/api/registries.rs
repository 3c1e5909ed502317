//! Logins to registries: who sees them, how they are stored, and which agent gets the password.

use reqwest::Method;
use serde_json::{Value, json};
use zun_common::bus::CallError;
use zun_common::id::{Epoch, OperationId};
use zun_common::rpc::Code;
use zun_common::rpc::registry::GetRegistryLogin;
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, BOB, send, steady};

const PATH: &str = "/v1/registries";
const PASSWORD: &str = "correct-horse";

async fn api() -> Api {
    Api::start_with(|settings| {
        let file = settings.auth.token_file.as_ref().unwrap().with_file_name("keys");
        zun_api::secrets::init(&file).unwrap();
        settings.secrets.key_file = Some(file);
    })
    .await
}

fn login(domain: &str) -> Value {
    json!({"registry": {"domain": domain, "username": "ann", "password": PASSWORD}})
}

async fn patch(api: &Api, token: &str, ident: &str, fields: Value) -> Answer {
    let request = api.request(Method::PATCH, token, &format!("{PATH}/{ident}"));
    send(request.json(&json!({"registry": fields}))).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_login_has_the_shape_of_openstacks_registries_and_hides_its_password() {
    let api = api().await;
    let mut body = login("quay.io");
    body["registry"]["name"] = json!("team");
    let created = api.post(ANN, PATH, body).await.expect(201);
    let shown = created.json();
    let uuid = text(&shown["registry"]["uuid"]).to_owned();
    assert!(created.header("location").ends_with(&format!("{PATH}/{uuid}")));
    insta::assert_json_snapshot!(steady(shown.clone()), @r#"
    {
      "registry": {
        "created_at": "TIME",
        "domain": "quay.io",
        "links": [
          {
            "href": "http://HOST/v1/registries/UUID",
            "rel": "self"
          },
          {
            "href": "http://HOST/registries/UUID",
            "rel": "bookmark"
          }
        ],
        "name": "team",
        "password": "***",
        "project_id": "blue",
        "updated_at": "TIME",
        "user_id": "ann",
        "username": "ann",
        "uuid": "UUID"
      }
    }
    "#);
    for ident in [uuid.as_str(), "team"] {
        assert_eq!(api.get(ANN, &format!("{PATH}/{ident}")).await.expect(200).json(), shown);
    }
    let renamed = patch(&api, ANN, "team", json!({"name": "all"})).await.expect(200).json();
    assert_eq!(renamed["registry"]["name"], "all");
    api.delete(ANN, &format!("{PATH}/all")).await.expect(204);
    let gone = api.get(ANN, &format!("{PATH}/all")).await.refusal();
    assert_eq!(gone, "404 container.registry-not-found Registry all could not be found.");
}

#[tokio::test]
async fn a_project_sees_its_own_logins_and_an_administrator_all_of_them() {
    let api = api().await;
    for (token, domain) in [(ANN, "a.example"), (ANN, "b.example"), (BOB, "c.example")] {
        let mut body = login(domain);
        body["registry"]["name"] = json!(domain);
        api.post(token, PATH, body).await.expect(201);
    }
    let list = async |token: &str, query: &str| {
        let list = api.get(token, &format!("{PATH}?{query}")).await.expect(200).json();
        let names = list["registries"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|one| text(&one["domain"]).to_owned()).collect();
        (names.join(" "), list["next"].as_str().map(str::to_owned))
    };
    assert_eq!(list(ANN, "").await, ("a.example b.example".to_owned(), None));
    assert_eq!(list(ANN, "sort_dir=desc").await.0, "b.example a.example");
    assert_eq!(list(ANN, "domain=b.example&username=ann&user_id=ann").await.0, "b.example");
    assert_eq!(list(ANN, "project_id=red").await.0, "");
    assert_eq!(list(ADMIN, "").await.0, "");
    assert_eq!(list(ADMIN, "all_projects=True&project_id=red").await.0, "c.example");
    let (first, next) = list(ANN, "limit=1").await;
    let next = next.expect("a next page");
    let (_, query) = next.split_once('?').unwrap();
    assert_eq!((first.as_str(), list(ANN, query).await.0.as_str()), ("a.example", "b.example"));
    api.get(BOB, &format!("{PATH}/a.example")).await.expect(404);
    api.delete(BOB, &format!("{PATH}/a.example")).await.expect(404);
    patch(&api, BOB, "a.example", json!({"name": "mine"})).await.expect(404);
    api.get(ADMIN, &format!("{PATH}/a.example")).await.expect(200);
    api.get(ANN, &format!("{PATH}?all_projects=1")).await.expect(403);
}

#[tokio::test]
async fn a_name_is_given_once_in_a_project() {
    let api = api().await;
    let named = |name: &str| json!({"registry": {"domain": "quay.io", "name": name}});
    api.post(ANN, PATH, named("one")).await.expect(201);
    api.post(BOB, PATH, named("one")).await.expect(201);
    api.post(ANN, PATH, named("two")).await.expect(201);
    let words = "409 container.registry-already-exists A registry with the name 'one' already exists in the project.";
    assert_eq!(api.post(ANN, PATH, named("one")).await.refusal(), words);
    assert_eq!(patch(&api, ANN, "two", json!({"name": "one"})).await.refusal(), words);
    for _ in 0..2 {
        api.post(ANN, PATH, login("quay.io")).await.expect(201);
    }
}

#[tokio::test]
async fn a_password_stays_with_its_registry_and_its_user() {
    let api = api().await;
    let created = api.post(ANN, PATH, login("quay.io")).await.expect(201).json();
    let uuid = text(&created["registry"]["uuid"]).to_owned();
    for moved in [json!({"domain": "evil.example"}), json!({"username": "eve"})] {
        let refused = patch(&api, ANN, &uuid, moved).await.refusal();
        assert!(refused.starts_with("400 ") && refused.contains("registry.password"), "{refused}");
    }
    let both = json!({"domain": "ghcr.io", "password": "other"});
    let moved = patch(&api, ANN, &uuid, both).await.expect(200).json();
    assert_eq!(moved["registry"]["domain"], "ghcr.io");
    let bad = api.post(ANN, PATH, json!({"registry": {"domain": "x.y", "password": "z"}})).await;
    assert!(bad.refusal().contains("'registry.username'"));
}

#[tokio::test]
async fn no_password_is_stored_without_a_key() {
    let api = Api::start().await;
    let refused = api.post(ANN, PATH, login("quay.io")).await.refusal();
    assert!(refused.starts_with("501 ") && refused.contains("`secrets.key_file`"), "{refused}");
    api.post(ANN, PATH, json!({"registry": {"domain": "quay.io"}})).await.expect(201);
}

#[tokio::test]
async fn only_the_agent_that_pulls_gets_the_password_and_only_while_it_does() {
    let api = api().await;
    let agent = api.agent("h1").await;
    api.post(ANN, PATH, login("quay.io")).await.expect(201);
    let id = api.create(ANN, json!({"image": "quay.io/team/app", "name": "app"})).await;
    let sent = agent.receives_about("container.create", id).await.body;
    assert!(sent["spec"]["registry"].is_string() && !sent.to_string().contains(PASSWORD), "{sent}");
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    assert!(!serde_json::to_string(&open).unwrap().contains(PASSWORD));
    let right = GetRegistryLogin {
        host: agent.host().clone(),
        epoch: agent.epoch(),
        operation: open[0].id,
    };
    let found = agent.call_api(&right).await.unwrap().login.expect("a login");
    assert_eq!((found.domain.as_str(), found.username.as_str()), ("quay.io", "ann"));
    assert_eq!(found.password.expose(), PASSWORD);
    // Another host, another epoch, another operation.
    let code = |refused: Result<_, CallError>| match refused
        .map(|_: zun_common::rpc::registry::FoundLogin| ())
    {
        Err(CallError::Refused { problem, .. }) => problem.code,
        other => panic!("not refused: {other:?}"),
    };
    let other = api.agent("h2").await;
    assert_eq!(code(other.call_api(&right).await), Code::Forbidden);
    let own =
        GetRegistryLogin { host: other.host().clone(), epoch: other.epoch(), ..right.clone() };
    assert_eq!(code(other.call_api(&own).await), Code::Forbidden);
    let late = GetRegistryLogin { epoch: Epoch(agent.epoch().0 - 1), ..right.clone() };
    assert_eq!(code(agent.call_api(&late).await), Code::StaleEpoch);
    let unknown = GetRegistryLogin { operation: OperationId::random(), ..right.clone() };
    assert_eq!(code(agent.call_api(&unknown).await), Code::Forbidden);
    // After the outcome.
    agent.report(id, Status::Created, |_| {}).await;
    api.until(id, Status::Created).await;
    assert_eq!(code(agent.call_api(&right).await), Code::Forbidden);
}

#[tokio::test]
async fn an_image_is_pulled_with_the_only_login_to_its_registry_or_the_named_one() {
    let api = api().await;
    let agent = api.agent("h1").await;
    let create = async |body: Value| api.post(ANN, "/v1/containers", body).await;
    let body = json!({"registry": {"domain": "r.example:5000", "name": "one", "username": "ann",
        "password": PASSWORD}});
    let one = api.post(ANN, PATH, body.clone()).await.expect(201).json();
    let one = one["registry"]["uuid"].clone();
    // Bob's project has none.
    let image = json!({"image": "r.example:5000/app", "cpu": 0.1, "memory": 6});
    let bobs = api.post(BOB, "/v1/containers", image.clone()).await.expect(202).json();
    assert_eq!(bobs["registry_id"], Value::Null);
    assert_eq!(create(image.clone()).await.expect(202).json()["registry_id"], one);
    // A name without a domain is one of the named registry.
    let bare = json!({"image": "app:v2", "registry": "one", "cpu": 0.1, "memory": 6});
    let placed = create(bare).await.expect(202).json();
    assert_eq!((text(&placed["image"]), &placed["registry_id"]), ("r.example:5000/app:v2", &one));
    let mut second = body;
    second["registry"]["name"] = json!("two");
    let two = api.post(ANN, PATH, second).await.expect(201).json()["registry"]["uuid"].clone();
    assert_eq!(create(image.clone()).await.expect(202).json()["registry_id"], Value::Null);
    let mut named = image;
    named["registry"] = two.clone();
    assert_eq!(create(named.clone()).await.expect(202).json()["registry_id"], two);
    named["registry"] = json!("three");
    let refused = create(named.clone()).await.refusal();
    assert_eq!(refused, "404 container.registry-not-found Registry three could not be found.");
    named["image"] = json!("quay.io/app");
    named["registry"] = json!("one");
    let refused = create(named).await.refusal();
    assert!(refused.contains("the registry of the image, quay.io; this one is for r.example:5000"));
    drop(agent);
}

#[tokio::test]
async fn a_new_key_encrypts_what_a_former_one_had_encrypted() {
    let mut api = api().await;
    api.post(ANN, PATH, login("quay.io")).await.expect(201);
    let file = api.settings().secrets.key_file.clone().unwrap();
    api.stop().await;
    zun_api::secrets::rotate(&file).unwrap();
    api.start_again().await;
    // The former key is the last line. Without it only the new one can decrypt.
    let keys = std::fs::read_to_string(&file).unwrap();
    let (newest, _former) = keys.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(&file, newest).unwrap();
    api.stop().await;
    api.start_again().await;
    let agent = api.agent("h1").await;
    api.create(ANN, json!({"image": "quay.io/app"})).await;
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    let (host, epoch) = (agent.host().clone(), agent.epoch());
    let call = GetRegistryLogin { host, epoch, operation: open[0].id };
    let found = agent.call_api(&call).await.unwrap().login.expect("a login");
    assert_eq!(found.password.expose(), PASSWORD);
}
