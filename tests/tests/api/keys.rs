//! Idempotency keys: a request that is repeated is done once, and gets the first answer.

use reqwest::Method;
use serde_json::{Value, json};
use zun_common::id::ContainerId;
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, BOB, send};

const PATH: &str = "/v1/containers";
/// Requests that arrive at the same time.
const RACERS: usize = 16;

/// A request, which can be sent again and again.
struct Ask<'a> {
    token: &'a str,
    method: Method,
    path: String,
    body: Value,
}

impl<'a> Ask<'a> {
    fn post(path: impl Into<String>, body: Value) -> Self {
        Self { token: ANN, method: Method::POST, path: path.into(), body }
    }

    fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::post(path, Value::Null) }
    }

    fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, ..Self::post(path, body) }
    }

    fn by(self, token: &'a str) -> Self {
        Self { token, ..self }
    }

    async fn with(&self, api: &Api, key: &str) -> Answer {
        self.with_at(api, (api.address(), key)).await
    }

    async fn with_at(&self, api: &Api, (address, key): (std::net::SocketAddr, &str)) -> Answer {
        let request = api.request_at(address, self.method.clone(), self.token, &self.path);
        let request = request.header("idempotency-key", key);
        send(if self.body.is_null() { request } else { request.json(&self.body) }).await
    }

    /// Sends the request many times at once: to two zun-api, if the database allows that.
    async fn race(&self, api: &Api, key: &str) -> Vec<Answer> {
        let peer = api.second_service().await;
        let other = peer.as_ref().map_or(api.address(), zun_api::Service::address);
        let addresses = [api.address(), other].into_iter().cycle().take(RACERS);
        let answers = addresses.map(|address| self.with_at(api, (address, key)));
        let answers = futures_util::future::join_all(answers).await;
        if let Some(peer) = peer {
            peer.stop().await;
        }
        answers
    }
}

fn create(name: &str) -> Ask<'static> {
    Ask::post(PATH, json!({"image": "cirros", "name": name, "interactive": true}))
}

fn id_of(answer: &Answer) -> ContainerId {
    answer.json()["uuid"].as_str().expect("a uuid").parse().expect("a uuid")
}

/// The kinds of the operations on a container, newest first.
async fn operations(api: &Api, id: ContainerId) -> Vec<String> {
    let path = format!("{PATH}/{id}/container_actions");
    let actions = api.get(ADMIN, &path).await.expect(200).json();
    let actions = actions["containerActions"].as_array().expect("a list").clone();
    actions.iter().map(|action| action["action"].as_str().expect("a kind").to_owned()).collect()
}

async fn containers(api: &Api) -> usize {
    let listed = api.get(ADMIN, &format!("{PATH}?all_projects=true")).await.expect(200).json();
    listed["containers"].as_array().expect("a list").len()
}

#[tokio::test]
async fn a_repeated_create_gets_the_same_container_in_its_present_state_also_after_its_removal() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let ask = create("test");
    let first = ask.with(&api, "k").await.expect(202);
    let id = id_of(&first);
    let again = ask.with(&api, "k").await.expect(202);
    assert_eq!((id_of(&again), again.header("location")), (id, first.header("location")));
    agent.receives_about("container.create", id).await;
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    assert_eq!(ask.with(&api, "k").await.expect(202).json()["status"], json!("Running"));
    api.patch_name(id, "other").await;
    assert_eq!(ask.with(&api, "k").await.expect(202).json()["name"], json!("other"));
    api.delete(ANN, &format!("{PATH}/{id}?stop=true")).await.expect(204);
    let deleted = ask.with(&api, "k").await.expect(202);
    assert_eq!((id_of(&deleted), &deleted.json()["status"]), (id, &json!("Deleted")));
    assert_eq!(containers(&api).await, 0);
    assert_eq!(operations(&api, id).await, ["delete", "update", "create"]);
}

#[tokio::test]
async fn sixteen_concurrent_creates_with_one_key_create_one_container() {
    for body in [json!({"image": "cirros", "name": "test"}), json!({"image": "cirros"})] {
        let api = Api::start().await;
        let _agent = api.agent("h1").await;
        let answers = Ask::post(PATH, body).race(&api, "k").await;
        let ids: Vec<_> = answers.into_iter().map(|answer| id_of(&answer.expect(202))).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(containers(&api).await, 1);
        assert_eq!(operations(&api, ids[0]).await, ["create"]);
        let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
        assert_eq!(host["mem_used"], json!(512), "the resources of one container");
    }
}

#[tokio::test]
async fn a_create_for_which_no_host_fits_is_not_tried_again() {
    let api = Api::start().await;
    let ask = create("test");
    let first = ask.with(&api, "k").await.expect(202);
    let _agent = api.agent("h1").await;
    let again = ask.with(&api, "k").await.expect(202);
    assert_eq!((id_of(&again), &again.json()["status"]), (id_of(&first), &json!("Error")));
}

/// The verbs on an existing container, the status in which each is allowed, and the status of its answer.
fn verbs(id: ContainerId) -> Vec<(&'static str, Ask<'static>, Status, u16)> {
    let path = |verb: &str| format!("{PATH}/{id}/{verb}");
    let post = |verb: &str| Ask::post(path(verb), Value::Null);
    vec![
        ("start", post("start"), Status::Stopped, 202),
        ("stop", post("stop?timeout=3"), Status::Running, 202),
        ("reboot", post("reboot"), Status::Running, 202),
        ("rebuild", post("rebuild?image=busybox"), Status::Running, 202),
        ("pause", post("pause"), Status::Running, 202),
        ("unpause", post("unpause"), Status::Paused, 202),
        ("kill", post("kill?signal=HUP"), Status::Running, 202),
        (
            "update",
            Ask::patch(format!("{PATH}/{id}"), json!({"memory": 128})),
            Status::Running,
            200,
        ),
        ("delete", Ask::delete(format!("{PATH}/{id}?stop=true")), Status::Running, 204),
    ]
}

#[tokio::test]
async fn each_verb_is_accepted_once_also_if_the_container_has_changed_since() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let mut accepted = vec!["create".to_owned()];
    for (verb, ask, status, answer) in verbs(id) {
        agent.report(id, status, |_| {}).await;
        api.until(id, status).await;
        let first = ask.with(&api, verb).await.expect(answer);
        accepted.insert(0, verb.to_owned());
        assert_eq!(
            ask.with(&api, verb).await.expect(answer).text.is_empty(),
            first.text.is_empty()
        );
        // In this status most verbs would be refused.
        let after = if verb == "delete" { Status::Deleted } else { Status::Error };
        agent.report(id, after, |_| {}).await;
        ask.with(&api, verb).await.expect(answer);
        assert_eq!(operations(&api, id).await, accepted, "{verb}");
    }
}

#[tokio::test]
async fn sixteen_concurrent_requests_with_one_key_are_one_operation() {
    for index in 0..verbs(ContainerId::random()).len() {
        let api = Api::start().await;
        let agent = api.agent("h1").await;
        let id = api.container(&agent, "test", Status::Running).await;
        let (verb, ask, status, answer) = verbs(id).swap_remove(index);
        agent.report(id, status, |_| {}).await;
        api.until(id, status).await;
        for raced in ask.race(&api, "k").await {
            raced.expect(answer);
        }
        assert_eq!(operations(&api, id).await, [verb, "create"]);
    }
}

#[tokio::test]
async fn a_change_of_the_name_is_repeated_under_the_old_name() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let ask = Ask::patch(format!("{PATH}/test"), json!({"name": "other"}));
    for _ in 0..2 {
        assert_eq!(ask.with(&api, "k").await.expect(200).json()["name"], json!("other"));
    }
    // Another container has the old name now, and is left alone.
    let newer = api.create(ANN, json!({"image": "cirros", "name": "test"})).await;
    assert_eq!(id_of(&ask.with(&api, "k").await.expect(200)), id);
    assert_eq!(api.get(ANN, &format!("{PATH}/{newer}")).await.json()["name"], json!("test"));
    let delete = Ask::delete(format!("{PATH}/other?stop=true"));
    delete.with(&api, "d").await.expect(204);
    delete.with(&api, "d").await.expect(204);
    assert_eq!(operations(&api, id).await, ["delete", "update", "create"]);
}

#[tokio::test]
async fn a_refused_request_is_refused_again_with_the_same_error() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let ask = Ask::post(format!("{PATH}/{id}/pause"), Value::Null);
    agent.refuse("container.pause", Problem::new(Code::Engine, "cannot pause it"));
    let raced = ask.race(&api, "k").await;
    for refused in raced {
        assert_eq!(refused.refusal(), "502 container.docker-error cannot pause it");
    }
    agent.refuse("container.pause", Problem::new(Code::Conflict, "another reason"));
    let again = ask.with(&api, "k").await.refusal();
    assert_eq!(again, "502 container.docker-error cannot pause it");
    assert_eq!(operations(&api, id).await, ["pause", "create"]);
    let update = Ask::patch(format!("{PATH}/{id}"), json!({"memory": 128, "name": "new"}));
    agent.refuse("container.update", Problem::new(Code::Engine, "cannot update it"));
    for _ in 0..2 {
        let refused = update.with(&api, "u").await.refusal();
        assert_eq!(refused, "502 container.docker-error cannot update it");
    }
    assert_eq!(operations(&api, id).await, ["update", "pause", "create"]);
}

#[tokio::test]
async fn a_refusal_that_asks_to_try_again_does_not_use_the_key_up() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let ask = Ask::post(format!("{PATH}/{id}/pause"), Value::Null);
    agent.refuse("container.pause", Problem::new(Code::Busy, "try again"));
    let refused = ask.with(&api, "k").await.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    agent.accept("container.pause");
    ask.with(&api, "k").await.expect(202);
    ask.with(&api, "k").await.expect(202);
    assert_eq!(operations(&api, id).await, ["pause", "pause", "create"]);
}

#[tokio::test]
async fn a_request_that_was_not_accepted_does_not_use_the_key_up() {
    let api = Api::start().await;
    let ask = create("test");
    api.agent("h1").await;
    let older = api.create(ANN, json!({"image": "cirros", "name": "test"})).await;
    ask.with(&api, "k").await.expect(409);
    api.patch_name(older, "older").await;
    ask.with(&api, "k").await.expect(202);
}

#[tokio::test]
async fn keys_of_other_projects_do_not_matter() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let of_ann = id_of(&create("test").with(&api, "k").await.expect(202));
    let of_bob = id_of(&create("test").by(BOB).with(&api, "k").await.expect(202));
    assert_ne!(of_ann, of_bob);
    // Nor those of administrators who act on containers of the project.
    agent.report(of_ann, Status::Running, |_| {}).await;
    api.until(of_ann, Status::Running).await;
    let stop = |token| Ask::post(format!("{PATH}/{of_ann}/stop"), Value::Null).by(token);
    for token in [ADMIN, ADMIN, ANN] {
        stop(token).with(&api, "s").await.expect(202);
    }
    assert_eq!(operations(&api, of_ann).await, ["stop", "stop", "create"]);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_also_after_the_settings_have_changed() {
    let mut api = Api::start().await;
    let _agent = api.agent("h1").await;
    let id = id_of(&create("test").with(&api, "k").await.expect(202));
    api.stop().await;
    api.change_settings(|settings| settings.defaults.memory += 1);
    api.start_again().await;
    assert_eq!(id_of(&create("test").with(&api, "k").await.expect(202)), id);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = id_of(&create("test").with(&api, "k").await.expect(202));
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    let words = format!(
        "409 container.conflict The idempotency key 'k' was used for another request: create container {id}. \
         Use a new key for each request."
    );
    for other in [
        create("other"),
        Ask::post(PATH, json!({"image": "busybox", "name": "test", "interactive": true})),
        Ask::post(
            format!("{PATH}?run=true"),
            json!({"image": "cirros", "name": "test", "interactive": true}),
        ),
        Ask::post(format!("{PATH}/{id}/stop"), Value::Null),
        Ask::delete(format!("{PATH}/{id}")),
        Ask::patch(format!("{PATH}/{id}"), json!({"name": "other"})),
    ] {
        assert_eq!(other.with(&api, "k").await.refusal(), words);
    }
    let second = api.container(&agent, "second", Status::Running).await;
    let stop = |id: ContainerId, grace: u32| {
        Ask::post(format!("{PATH}/{id}/stop?timeout={grace}"), Value::Null)
    };
    stop(id, 3).with(&api, "s").await.expect(202);
    for other in [stop(second, 3), stop(id, 4)] {
        let refused = other.with(&api, "s").await.refusal();
        assert!(refused.contains(&format!("another request: stop container {id}")), "{refused}");
    }
    assert_eq!(operations(&api, second).await, ["create"]);
    assert_eq!(containers(&api).await, 2);
}

#[tokio::test]
async fn a_key_that_is_not_valid_is_refused_with_the_rule() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let longest = "k".repeat(255);
    create("test").with(&api, &longest).await.expect(202);
    create("test").with(&api, &longest).await.expect(202);
    create("spaces").with(&api, "a key ~").await.expect(202);
    for bad in ["", &"k".repeat(256), "käse", "a\tb"] {
        let refused = create("bad").with(&api, bad).await.refusal();
        assert!(refused.starts_with("400 container.schema-validation-error"), "{refused}");
        assert!(refused.contains("'Idempotency-Key'"), "{refused}");
        assert!(refused.ends_with("It must be 1 to 255 printable ASCII characters, given once."));
    }
    let twice = api.request(Method::POST, ANN, PATH).json(&json!({"image": "cirros"}));
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b");
    send(twice).await.expect(400);
    assert_eq!(containers(&api).await, 2);
}

impl Api {
    async fn patch_name(&self, id: ContainerId, name: &str) {
        let request = self.request(Method::PATCH, ANN, &format!("{PATH}/{id}"));
        send(request.json(&json!({"name": name}))).await.expect(200);
    }
}
