//! Waiting for a status without polling.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use zun_common::status::Status;

use crate::support::{ANN, Api, BOB, eventually_some, send};

#[tokio::test]
async fn a_report_wakes_the_waiter() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    let path = format!("/v1/containers/{id}?wait_for=Running,Error&timeout=30");
    let begun = Instant::now();
    let (shown, ()) = tokio::join!(api.get(ANN, &path), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        agent.report(id, Status::Created, |_| {}).await;
        agent.report(id, Status::Running, |_| {}).await;
    });
    assert_eq!(shown.expect(200).json()["status"], json!("Running"));
    assert!(begun.elapsed() < Duration::from_secs(10), "it must not end by timeout");
}

#[tokio::test]
async fn a_wait_that_times_out_returns_the_container() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    let path = format!("/v1/containers/{id}?wait_for=Running&timeout=0");
    assert_eq!(api.get(ANN, &path).await.expect(200).json()["status"], json!("Creating"));
}

#[tokio::test]
async fn the_last_report_of_an_auto_removed_container_is_applied() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros", "auto_remove": true})).await;
    let path = format!("/v1/containers/{id}?wait_for=Stopped&timeout=30");
    let (shown, ()) = tokio::join!(api.get(ANN, &path), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        agent.report(id, Status::Deleted, |report| report.exit_code = Some(3)).await;
    });
    let shown = shown.expect(200).json();
    assert_eq!((&shown["status"], &shown["exit_code"]), (&json!("Deleted"), &json!(3)));
    api.get(ANN, &format!("/v1/containers/{id}")).await.expect(404);
    // A wait that starts soon after the removal returns this report too, but only within the container's project.
    let late = api.get(ANN, &path).await.expect(200).json();
    assert_eq!((&late["status"], &late["exit_code"]), (&json!("Deleted"), &json!(3)));
    api.get(BOB, &path).await.expect(404);
}

#[tokio::test]
async fn a_wait_for_the_current_status_is_answered_at_once() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Stopped).await;
    let path = format!("/v1/containers/{id}?wait_for=Stopped&timeout=300");
    assert_eq!(api.get(ANN, &path).await.expect(200).json()["status"], json!("Stopped"));
}

#[tokio::test]
async fn invalid_waits_are_refused_and_foreign_containers_are_not_found() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    for query in [
        "wait_for=Happy",
        "wait_for=Running&timeout=301",
        "wait_for=Running&timeout=x",
        "timeout=3",
    ] {
        api.get(ANN, &format!("/v1/containers/{id}?{query}")).await.expect(400);
    }
    api.get(BOB, &format!("/v1/containers/{id}?wait_for=Running")).await.expect(404);
}

#[tokio::test]
async fn waiters_have_their_own_limit() {
    let api = Api::start_with(|settings| {
        settings.http.waiters = 1;
        settings.http.requests = 1;
    })
    .await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    let path = format!("/v1/containers/{id}?wait_for=Running&timeout=30");
    let (first, ()) = tokio::join!(api.get(ANN, &path), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        let second = api.get(ANN, &path).await;
        assert_eq!(second.header("retry-after"), "1");
        assert_eq!(
            second.refusal(),
            "503 container.busy Too many requests are waiting for containers; try again in a second."
        );
        api.get(ANN, "/v1/containers").await.expect(200);
        agent.report(id, Status::Running, |_| {}).await;
    });
    first.expect(200);
}

#[tokio::test]
async fn a_wait_for_any_change_sees_pull_progress() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    let layer = |current| json!({"id": "4f4fb700ef54", "state": "Downloading", "current": current, "total": 9});
    let pull = |current| json!({"layers": [layer(current)]});
    let report = async |current| {
        let pull = serde_json::from_value(pull(current)).expect("a pull");
        agent.report(id, Status::Creating, |report| report.image_pull = Some(pull)).await;
    };
    report(1).await;
    let path = format!("/v1/containers/{id}");
    let first = eventually_some("the first report is applied", || async {
        let shown = api.get(ANN, &path).await.json();
        (shown["image_pull"] == pull(1)).then_some(shown)
    })
    .await;
    let seen = first["updated_at"].as_str().expect("a time").replace(' ', "%20");
    let wait = format!("{path}?wait_for=Created&timeout=30&unless_updated={seen}");
    let begun = Instant::now();
    let (shown, ()) = tokio::join!(api.get(ANN, &wait), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        report(5).await;
    });
    assert_eq!(shown.expect(200).json()["image_pull"], pull(5));
    assert!(begun.elapsed() < Duration::from_secs(10), "it must not end by timeout");
    agent.report(id, Status::Created, |_| {}).await;
    api.until(id, Status::Created).await;
    let shown = api.get(ANN, &format!("/v1/containers/{id}")).await.json();
    assert!(shown.get("image_pull").is_none(), "{shown}");
}

#[tokio::test]
async fn a_change_that_no_report_announces_is_found_in_the_database() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "before", Status::Stopped).await;
    let path = format!("/v1/containers/{id}");
    let shown = api.get(ANN, &path).await.expect(200).json();
    let seen = shown["updated_at"].as_str().expect("a time").replace(' ', "%20");
    let wait = format!("{path}?wait_for=Running&timeout=30&unless_updated={seen}");
    let begun = Instant::now();
    let (shown, ()) = tokio::join!(api.get(ANN, &wait), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        let rename = api.request(Method::PATCH, ANN, &path).json(&json!({"name": "after"}));
        send(rename).await.expect(200);
    });
    assert_eq!(shown.expect(200).json()["name"], json!("after"));
    assert!(begun.elapsed() < Duration::from_secs(10), "it must not end by timeout");
}
