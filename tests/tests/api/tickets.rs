//! Tickets for consoles.

use serde_json::{Value, json};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::{exec_id, ticket};

use crate::support::{ANN, Api, BOB};

#[tokio::test]
async fn a_ticket_is_a_link_to_a_page_and_the_address_of_a_websocket() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    agent.with_terminal();
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/console_ticket");
    let ask = json!({"mode": "ro", "for_seconds": 600, "uses": 3});
    let mut answer = api.post(ANN, &path, ask).await.expect(200).json();
    let received = agent.receives("console.ticket").await.body;
    assert_eq!(received["grant"], answer["id"]);
    let asked = ["mode", "seconds", "uses", "project"].map(|name| received[name].clone());
    assert_eq!(Value::from(asked.to_vec()), json!(["ro", 600, 3, "p1"]));
    let expires: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(answer["expires_at"].take()).unwrap();
    assert!((590..=600).contains(&(expires - chrono::Utc::now()).num_seconds()));
    assert!(answer["id"].take().as_str().unwrap().starts_with("ticket-"));
    let secret = ticket().expose().to_owned();
    assert_eq!(
        answer,
        json!({
            "id": null,
            "url": format!("https://console.example:2377/console#ticket={secret}"),
            "websocket_url": "wss://console.example:2377/v1/console",
            "ticket": secret,
            "mode": "ro",
            "uses": 3,
            "tty": true,
            "expires_at": null,
        })
    );
}

#[tokio::test]
async fn a_ticket_for_an_exec_names_it_and_one_without_fields_is_for_one_session_of_a_minute() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/console_ticket");
    let exec = exec_id().to_string();
    api.post(ANN, &path, json!({"exec_id": exec})).await.expect(200);
    let received = agent.receives("console.ticket").await.body;
    let asked = ["exec", "mode", "seconds", "uses"].map(|name| received[name].clone());
    assert_eq!(Value::from(asked.to_vec()), json!([exec, "rw", 60, 1]));
}

#[tokio::test]
async fn tickets_that_cannot_be_issued_say_why() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/console_ticket");
    let mut table = Vec::new();
    for ask in [
        json!({"for_seconds": 3601}),
        json!({"for_seconds": 0}),
        json!({"uses": 0}),
        json!({"mode": "root"}),
        json!({"exec_id": "x"}),
    ] {
        table.push(api.post(ANN, &path, ask).await.refusal());
    }
    let stopped = api.container(&agent, "stopped", Status::Stopped).await;
    let refused =
        api.post(ANN, &format!("/v1/containers/{stopped}/console_ticket"), json!({})).await;
    table.push(refused.refusal().replace(&stopped.to_string(), "ID"));
    agent.refuse("console.ticket", Problem::new(Code::NotOffered, "set `x`"));
    table.push(api.post(ANN, &path, json!({})).await.refusal());
    table.push(api.post(BOB, &path, json!({})).await.refusal().replace(&id.to_string(), "ID"));
    insta::assert_snapshot!(table.join("\n"), @"");
}
