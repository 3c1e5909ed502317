//! The shapes that existing clients read.

use serde_json::json;
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Api, plain_address, steady};

#[tokio::test]
async fn the_root_names_the_versions_and_needs_no_token() {
    let api = Api::start().await;
    let answer = api.get("", "/").await.expect(200);
    insta::assert_json_snapshot!(steady(answer.json()), @"");
}

#[tokio::test]
async fn the_document_of_v1_lists_the_collections() {
    let api = Api::start().await;
    for path in ["/v1", "/v1/"] {
        let answer = api.get("", path).await.expect(200);
        assert_eq!(answer.header("openstack-api-version"), "container 1.1");
    }
    insta::assert_json_snapshot!(steady(api.get("", "/v1").await.json()), @"");
}

#[tokio::test]
async fn a_container_is_shown_as_zun_shows_it() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let wanted = json!({
        "image": "cirros", "name": "test", "command": ["/bin/sh"], "interactive": true, "tty": true,
        "cpu": "0.5", "memory": "128", "environment": {"A": "1"}, "labels": {"role": "demo"},
        "workdir": "/srv", "hostname": "box",
    });
    let answer = api.post(ANN, "/v1/containers", wanted).await.expect(202);
    let location = plain_address(answer.header("location"));
    assert_eq!(location, "http://HOST/v1/containers/UUID");
    insta::assert_json_snapshot!(steady(answer.json()), @"");
}

#[tokio::test]
async fn the_host_is_shown_to_administrators_alone() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}");
    assert_eq!(api.get(ADMIN, &path).await.json()["host"], json!("h1"));
    assert!(api.get(ANN, &path).await.json().get("host").is_none());
}

#[tokio::test]
async fn a_list_has_no_links_and_says_where_the_next_page_is() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "first", Status::Running).await;
    let listed = api.get(ANN, "/v1/containers/?limit=1&status=Running").await.expect(200).json();
    assert!(listed["containers"][0].get("links").is_none());
    let next = plain_address(listed["next"].as_str().unwrap());
    assert_eq!(next, "http://HOST/v1/containers?status=Running&limit=1&marker=UUID");
}

#[tokio::test]
async fn hosts_and_services_are_shown_as_zun_shows_them() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    insta::assert_json_snapshot!(steady(api.get(ADMIN, "/v1/hosts/").await.expect(200).json()), @"");
    insta::assert_json_snapshot!(steady(api.get(ADMIN, "/v1/services").await.expect(200).json()), @"");
    let one = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    assert_eq!(one["hostname"], json!("h1"));
}

#[tokio::test]
async fn the_life_of_a_container_is_told_in_words() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let path = format!("/v1/containers/{id}");
    assert_eq!(api.get(ANN, &path).await.json()["status_detail"], json!("Created"));
    let now = chrono::Utc::now();
    agent
        .report(id, Status::Running, |report| {
            report.started_at = Some(now - chrono::TimeDelta::hours(3));
        })
        .await;
    api.until(id, Status::Running).await;
    assert_eq!(api.get(ANN, &path).await.json()["status_detail"], json!("Up 3 hours"));
    agent
        .report(id, Status::Stopped, |report| {
            report.exit_code = Some(42);
            report.finished_at = Some(now - chrono::TimeDelta::minutes(8));
        })
        .await;
    api.until(id, Status::Stopped).await;
    let shown = api.get(ANN, &path).await.json();
    assert_eq!(shown["status_detail"], json!("Exited(42) 8 mins ago "));
    assert_eq!(shown["exit_code"], json!(42));
}
