//! Starting, stopping and restarting the service.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use zun_api::settings::{DatabaseUrl, Settings, Strategy};
use zun_api::{Service, StartError};
use zun_common::bus::{BusSettings, connect};
use zun_common::chain;
use zun_common::shutdown::Tasks;
use zun_common::status::Status;

use crate::support::{ANN, Api, send};

#[tokio::test]
async fn an_open_wait_is_answered_when_the_service_stops() {
    let mut api = Api::start().await;
    let _agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    let path = format!("/v1/containers/{id}?wait_for=Running&timeout=60");
    let request = api.request(reqwest::Method::GET, ANN, &path);
    let waiting = send(request);
    let (answer, ()) = tokio::join!(waiting, async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        api.begin_to_stop();
    });
    assert_eq!(answer.expect(200).json()["status"], json!("Creating"));
}

#[tokio::test]
async fn a_restarted_service_keeps_its_rows_and_its_open_operations() {
    let mut api = Api::start().await;
    let agent = api.agent("h1").await;
    let kept = api.container(&agent, "kept", Status::Running).await;
    agent.ignore_nudges();
    let done_later = api.create(ANN, json!({"image": "cirros", "name": "later"})).await;
    api.stop().await;
    api.start_again().await;
    api.until(kept, Status::Running).await;
    let open = agent.heartbeat(|_| {}).await.unwrap().operations;
    let open: Vec<_> = open.iter().map(|operation| operation.container).collect();
    assert_eq!(open, [done_later]);
}

#[tokio::test]
async fn only_the_owner_can_read_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zun.sqlite");
    let _api =
        Api::start_with(|settings| settings.database.url = DatabaseUrl::Sqlite(file.clone())).await;
    let mode = std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[tokio::test]
async fn invalid_settings_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.database.url = DatabaseUrl::Sqlite(directory.path().join("zun.sqlite"));
    assert!(refusal(&settings).await.contains("auth.token_file is missing"));
    settings.auth.strategy = Strategy::None;
    settings.http.listen = "0.0.0.0:0".parse().unwrap();
    assert!(refusal(&settings).await.contains("must be a loopback address"));
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.console.ca_directory = Some(directory.path().join("nothing"));
    assert!(refusal(&settings).await.contains("console.ca_directory"));
    settings.console.ca_directory = None;
    settings.database.url =
        DatabaseUrl::Sqlite(directory.path().join("no/such/directory/zun.sqlite"));
    assert!(refusal(&settings).await.contains("no/such/directory"));
}

#[tokio::test]
async fn without_authentication_every_local_client_is_an_administrator_and_no_page_of_another_site()
{
    let api = Api::start_with(|settings| settings.auth.strategy = Strategy::None).await;
    api.get("whatever", "/v1/hosts").await.expect(200);
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let request = api.request(reqwest::Method::GET, "", "/v1/hosts").header(header, value);
        let refusal = send(request).await.refusal();
        assert!(refusal.starts_with("403 container.foreign-site The header "), "{refusal}");
        assert!(refusal.contains(value) && refusal.contains("http.public_endpoint"), "{refusal}");
    }
}

#[tokio::test]
async fn stopping_under_load_loses_no_accepted_work() {
    let mut api = Api::start().await;
    let agent = api.agent("h1").await;
    let post = |number: usize| {
        let body =
            json!({"image": "cirros", "name": format!("c{number}"), "cpu": 0.1, "memory": 16});
        api.request(reqwest::Method::POST, ANN, "/v1/containers").json(&body).send()
    };
    let open = futures_util::future::join_all((0..40).map(post));
    let (answers, ()) = tokio::join!(open, async {
        agent.receives("container.create").await;
        api.stop().await;
    });
    // A request that comes too late finds the listener closed. Every other one is answered, and its row exists.
    let accepted = answers.into_iter().flatten().filter(|answer| answer.status() == 202).count();
    assert!(accepted > 0);
    api.start_again().await;
    let rows = api.get(ANN, "/v1/containers").await.expect(200).json();
    assert_eq!(rows["containers"].as_array().unwrap().len(), accepted);
}

#[test]
fn both_databases_get_the_same_tests() {
    let modules = |text: &'static str| {
        let lines = text.lines().filter(|line| line.starts_with("mod "));
        lines.collect::<std::collections::BTreeSet<_>>()
    };
    let on_postgres = modules(include_str!("../api_postgres.rs"));
    assert_eq!(modules(include_str!("../api.rs")), on_postgres);
    assert!(on_postgres.contains("mod service;"));
}

async fn refusal(settings: &Settings) -> String {
    let tasks = Tasks::new();
    let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).unwrap();
    match Service::start(settings.clone(), bus, &tasks).await {
        Ok(_) => panic!("it started"),
        Err(error) => chain_text(&error),
    }
}

fn chain_text(error: &StartError) -> String {
    chain(error)
}
