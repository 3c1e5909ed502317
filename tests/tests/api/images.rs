//! Images on hosts: pulls and removals are operations of the host, and reports come only from its agent.

use serde_json::{Value, json};
use zun_common::api::v1::container::ImagePull;
use zun_common::bus::CallError;
use zun_common::rpc::image::{ImageState, PulledImage, ReportImage};
use zun_common::rpc::operation::{OperationOutcome, Outcome};
use zun_common::rpc::{Code, Problem};
use zun_tests::scripted_agent::ScriptedAgent;

use crate::support::{ADMIN, ANN, Api, eventually_some, steady};

const PATH: &str = "/v1/images";

async fn pull(api: &Api, body: Value) -> Value {
    api.post(ADMIN, PATH, body).await.expect(202).json()
}

/// The open operation of the image that the host has received.
async fn open(agent: &ScriptedAgent, image: &Value) -> zun_common::rpc::operation::Operation {
    let uuid = image["uuid"].as_str().unwrap().to_owned();
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    let mut open = open.into_iter().filter(|one| one.container.to_string() == uuid);
    open.next_back().expect("an open operation")
}

async fn end(agent: &ScriptedAgent, image: &Value, outcome: Outcome) {
    let operation = open(agent, image).await;
    let ended = vec![OperationOutcome::new(operation.id, outcome)];
    agent.report_with(operation.container, (None, ended)).await.unwrap();
}

async fn shown(api: &Api, image: &Value) -> Value {
    api.get(ADMIN, &format!("{PATH}/{}", image["uuid"].as_str().unwrap())).await.expect(200).json()
}

#[tokio::test]
async fn a_pull_is_an_operation_of_its_host_and_the_image_shows_how_far_it_is() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let body = json!({"repo": "quay.io/team/app", "tag": "v2", "host": "h1"});
    let answer = api.post(ADMIN, PATH, body.clone()).await.expect(202);
    let image = answer.json();
    let path = format!("{PATH}/{}", image["uuid"].as_str().unwrap());
    assert!(answer.header("location").ends_with(&path));
    insta::assert_json_snapshot!(steady(image.clone()), @r#"
    {
      "created_at": "TIME",
      "host": "h1",
      "image_id": null,
      "image_pull": null,
      "links": [
        {
          "href": "http://HOST/v1/images/UUID",
          "rel": "self"
        },
        {
          "href": "http://HOST/images/UUID",
          "rel": "bookmark"
        }
      ],
      "platform": null,
      "project_id": "admin",
      "repo": "quay.io/team/app",
      "size": null,
      "status": "Pulling",
      "status_reason": null,
      "tag": "v2",
      "updated_at": "TIME",
      "uuid": "UUID"
    }
    "#);
    let sent = agent.receives("image.pull").await.body;
    assert_eq!(
        (&sent["image"], &sent["policy"]),
        (&json!("quay.io/team/app:v2"), &json!("always"))
    );
    let operation = open(&agent, &image).await;
    let report = |state| ReportImage {
        host: agent.host().clone(),
        epoch: agent.epoch(),
        operation: operation.id,
        state,
    };
    let layer = json!({"id": "aaaaaaaaaaaa", "state": "Downloading", "current": 1, "total": 2});
    let progress = serde_json::from_value(json!({"layers": [layer]})).unwrap();
    agent.call_api(&report(ImageState::Pulling(progress))).await.unwrap();
    assert_eq!(shown(&api, &image).await["image_pull"]["layers"], json!([layer]));
    let present = PulledImage { id: "sha256:ab".to_owned(), size: 7 };
    agent.call_api(&report(ImageState::Present(present))).await.unwrap();
    end(&agent, &image, Outcome::Succeeded).await;
    let done = shown(&api, &image).await;
    assert_eq!((&done["status"], &done["size"]), (&json!("Available"), &json!(7)));
    assert_eq!((&done["image_id"], &done["image_pull"]), (&json!("sha256:ab"), &Value::Null));
    // It is the same image when it is pulled again.
    assert_eq!(pull(&api, body).await["uuid"], image["uuid"]);
    let refused = agent.call_api(&report(ImageState::Pulling(ImagePull::default()))).await;
    assert!(
        matches!(refused, Err(CallError::Refused { problem, .. }) if problem.code == Code::Forbidden)
    );
}

#[tokio::test]
async fn a_failed_pull_keeps_its_reason_and_a_lost_nudge_costs_only_time() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    agent.ignore_nudges();
    let image = pull(&api, json!({"repo": "nothing"})).await;
    assert_eq!(image["host"], "h1", "the only host");
    let words = "No such image: nothing:latest";
    end(&agent, &image, Outcome::Failed(Problem::new(Code::NotFound, words))).await;
    let failed = shown(&api, &image).await;
    assert_eq!((&failed["status"], &failed["status_reason"]), (&json!("Error"), &json!(words)));
}

#[tokio::test]
async fn a_deleted_image_is_gone_when_its_host_has_removed_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let image = pull(&api, json!({"repo": "cirros"})).await;
    let path = format!("{PATH}/{}", image["uuid"].as_str().unwrap());
    end(&agent, &image, Outcome::Succeeded).await;
    api.delete(ADMIN, &path).await.expect(200);
    assert_eq!(shown(&api, &image).await["status"], "Deleting");
    assert_eq!(agent.receives("image.remove").await.body["image"], "cirros:latest");
    // A container uses it.
    let words = "conflict: unable to remove repository reference";
    end(&agent, &image, Outcome::Failed(Problem::new(Code::Conflict, words))).await;
    let kept = shown(&api, &image).await;
    assert_eq!((&kept["status"], &kept["status_reason"]), (&json!("Available"), &json!(words)));
    api.delete(ADMIN, &path).await.expect(200);
    end(&agent, &image, Outcome::Succeeded).await;
    eventually_some("the image is gone", || async {
        (api.get(ADMIN, &path).await.status == 404).then_some(())
    })
    .await;
    let list = api.get(ADMIN, PATH).await.expect(200).json();
    assert_eq!(list, json!({"images": [], "next": null}));
}

#[tokio::test]
async fn only_administrators_pull_until_the_policy_says_otherwise() {
    let api = Api::start_with(|settings| {
        settings.policy = toml::from_str("\"image:pull\" = \"member\"").unwrap();
    })
    .await;
    api.agent("h1").await;
    api.post(ANN, PATH, json!({"repo": "cirros"})).await.expect(202);
    let list = api.get(ANN, PATH).await.expect(200).json();
    assert_eq!(
        (&list["images"][0]["repo"], &list["images"][0]["host"]),
        (&json!("cirros"), &Value::Null)
    );
    assert_eq!(api.get(ANN, &format!("{PATH}?host=h1")).await.status, 403);
    let closed = Api::start().await;
    closed.agent("h1").await;
    assert_eq!(closed.post(ANN, PATH, json!({"repo": "cirros"})).await.status, 403);
}

#[tokio::test]
async fn a_pull_names_a_host_that_is_there_and_a_good_image() {
    let api = Api::start().await;
    let refusal = async |body: Value| api.post(ADMIN, PATH, body).await.refusal();
    assert!(refusal(json!({"repo": "cirros"})).await.contains("No host is up."));
    api.agent("h1").await;
    api.agent("h2").await;
    for (body, named) in [
        (json!({}), "'repo' is a required property"),
        (json!({"repo": "cirros"}), "'host'"),
        (json!({"repo": "cirros", "host": "h9"}), "'host'"),
        (json!({"repo": "cirros:a", "tag": "b", "host": "h1"}), "'tag'"),
        (json!({"repo": "cirros/", "host": "h1"}), "'repo'"),
    ] {
        let refused = refusal(body).await;
        assert!(refused.starts_with("400 ") && refused.contains(named), "{refused}");
    }
}
