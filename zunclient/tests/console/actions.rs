//! `zun action`: the requests to the service, and what is shown of its answers.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake::service::{ID, Service, ServiceRequest};

const REQUEST: &str = "req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11";

/// Runs `zun` and returns its exit code and what it printed, without trailing blanks.
async fn zun(service: &Service, words: &[&str]) -> (Option<i32>, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(words)
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary runs");
    let shown = String::from_utf8([ended.stdout, ended.stderr].concat()).expect("text");
    (ended.status.code(), shown)
}

const START: &str = "2026-11-29T06:00:01.250000";
const END: Option<&str> = Some("2026-11-29T06:00:03.500000");

/// A time as the API writes those of operations.
pub(crate) fn minutes_ago(minutes: i64) -> String {
    let time = Utc::now().naive_utc() - TimeDelta::seconds(minutes * 60 + 5);
    time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn action(action: &str, finish_time: Option<&str>, message: Option<&str>) -> Value {
    json!({
        "action": action,
        "container_uuid": ID,
        "request_id": REQUEST,
        "user_id": "admin",
        "project_id": "admin",
        "start_time": START,
        "finish_time": finish_time,
        "message": message,
    })
}

/// Starts a service that shows a stop with this result.
async fn showing(
    finish_time: Option<&'static str>,
    message: Option<&'static str>,
    result: Option<&'static str>,
) -> Service {
    Service::start(move |_ask| {
        let mut detail = action("stop", finish_time, message);
        let event = json!({ "event": "compute_stop", "start_time": START,
            "finish_time": finish_time, "result": result, "traceback": null });
        if let Some(fields) = detail.as_object_mut() {
            fields.insert("events".to_owned(), json!([event]));
        }
        (200, json!({ "containerAction": detail }))
    })
    .await
}

#[tokio::test]
async fn the_list_shows_which_operations_are_open_and_why_others_failed() {
    let mut actions = [
        action("delete", None, None),
        action("pause", END, Some("Cannot pause it in Stopped state.")),
        action("create", END, None),
    ];
    for action in &mut actions {
        action["start_time"] = json!(minutes_ago(2));
    }
    let service = Service::start(move |_ask| (200, json!({ "containerActions": actions }))).await;
    let (code, shown) = zun(&service, &["action", "list", "test"]).await;
    assert_eq!(code, Some(0), "{shown}");
    insta::assert_snapshot!(shown, @r"
    ACTION  REQUEST ID                                STARTED        OUTCOME
    delete  req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11  2 minutes ago  open
    pause   req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11  2 minutes ago  Cannot pause it in Stopped state.
    create  req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11  2 minutes ago  done
    ");
    let lines: Vec<_> = service.requests().iter().map(ServiceRequest::line).collect();
    assert_eq!(lines, ["GET /v1/containers/test/container_actions"]);
}

#[tokio::test]
async fn the_list_as_json_has_the_fields_of_the_api_and_times_with_their_zone() {
    let actions = json!([action("delete", None, None)]);
    let answer = json!({ "containerActions": actions.clone() });
    let service = Service::start(move |_ask| (200, answer.clone())).await;
    let (code, shown) = zun(&service, &["action", "ls", "test", "--format", "json"]).await;
    assert_eq!(code, Some(0), "{shown}");
    let mut expected = actions;
    expected[0]["start_time"] = json!("2026-11-29T06:00:01.250000Z");
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), expected);
}

#[tokio::test]
async fn an_operation_shows_its_result_and_its_message() {
    let words = "The host did not begin it in time.";
    let service = showing(END, Some(words), Some("Expired")).await;
    let (code, shown) = zun(&service, &["action", "show", "test", REQUEST]).await;
    assert_eq!(code, Some(0), "{shown}");
    insta::assert_snapshot!(shown, @r"
    action          stop
    request_id      req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11
    container_uuid  5bb9ee06-1b6a-4a38-b0b9-c8b651638bd6
    project_id      admin
    user_id         admin
    start_time      2026-11-29 06:00:01
    finish_time     2026-11-29 06:00:03
    result          Expired
    message         The host did not begin it in time.
    ");
    let lines: Vec<_> = service.requests().iter().map(ServiceRequest::line).collect();
    assert_eq!(lines, [format!("GET /v1/containers/test/container_actions/{REQUEST}")]);
}

#[tokio::test]
async fn an_operation_without_an_outcome_is_open() {
    let service = showing(None, None, None).await;
    let (code, shown) = zun(&service, &["action", "show", "test", REQUEST]).await;
    assert_eq!(code, Some(0), "{shown}");
    let rows: Vec<&str> = shown.lines().filter(|line| line.ends_with("  open")).collect();
    assert_eq!(rows.len(), 2, "finish_time and result: {shown}");
}

#[tokio::test]
async fn an_unknown_request_fails_with_the_words_of_the_service() {
    let service = Service::start(|_ask| {
        let title = "Could not find the action req-none of the container.";
        let error = json!({ "status": 404, "code": "", "title": title, "detail": title,
            "request_id": "req-fake", "links": [] });
        (404, json!({ "errors": [error] }))
    })
    .await;
    let (code, shown) = zun(&service, &["action", "show", "test", "req-none"]).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.starts_with("zun: Could not find the action req-none"), "{shown}");
}

#[tokio::test]
async fn the_replacement_of_a_host_is_confirmed_by_name() {
    let service = Service::start(move |_ask| (202, Value::Null)).await;
    let (code, shown) = zun(&service, &["host", "replace", "compute1"]).await;
    assert_eq!((code, shown.as_str()), (Some(0), "compute1\n"));
    let lines: Vec<_> = service.requests().iter().map(ServiceRequest::line).collect();
    assert_eq!(lines, ["POST /v1/hosts/compute1/replace"]);
}
