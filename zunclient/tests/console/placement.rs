//! `zun run --explain`, for those who may see hosts and for others.

use serde_json::{Value, json};

use crate::fake::service::Service;
use crate::lists::{piped, shown};

fn placement(candidates: &Value) -> Value {
    json!({ "fits": true, "host": if candidates.is_null() { Value::Null } else { json!("compute2") },
        "strategy": "spread", "hosts": 4, "fitting": 2,
        "refused": [{ "reason": "down", "hosts": 1 },
            { "reason": "without enough free memory", "hosts": 1 }],
        "candidates": candidates,
        "image": { "name": "team/web:1", "domain": "registry.example.com",
            "pull_policy": "ifnotpresent", "registry": "work" },
        "limits": { "cpu": 0.5, "memory": 2048, "disk": null } })
}

async fn service(answer: Value) -> Service {
    Service::start(move |_ask| (200, answer.clone())).await
}

#[tokio::test]
async fn an_administrator_sees_each_host_and_a_member_sees_counts() {
    let candidates = json!([
        { "host": "compute1", "load": 0.625, "reason": null },
        { "host": "compute2", "load": 0.125, "reason": null },
        { "host": "compute3", "load": null, "reason": "down" },
        { "host": "compute4", "load": null, "reason": "needs 2048 MiB of memory, 512 free" },
    ]);
    let words = ["run", "--explain", "-i", "-m", "2g", "--cpus", "0.5", "team/web:1", "sh"];
    let admin = service(placement(&candidates)).await;
    insta::assert_snapshot!("explain_at_80_columns", shown(&admin, &words, 80).await);
    insta::assert_snapshot!("explain_at_200_columns", shown(&admin, &words, 200).await);
    let member = service(placement(&Value::Null)).await;
    let (code, text, _) = piped(&member, &words).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("explain_for_a_member_in_a_pipe", text);
    let (code, json, _) = piped(&member, &[&["--format", "json"], &words[..]].concat()).await;
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["fitting"], &json["candidates"]), (&json!(2), &Value::Null));
    // It asks for the placement, and for nothing else.
    let asked = member.requests();
    assert!(asked.iter().all(|ask| ask.line() == "POST /v1/placement"), "{asked:?}");
    assert_eq!(asked[0].body["memory"], json!(2048));
}

#[tokio::test]
async fn an_explanation_without_a_host_fails_like_the_run() {
    let mut answer = placement(&Value::Null);
    answer["fits"] = json!(false);
    answer["fitting"] = json!(0);
    let service = service(answer).await;
    let (code, text, message) = piped(&service, &["run", "--explain", "cirros"]).await;
    assert_eq!((code, message.as_str()), (Some(125), "zun: no host fits\n"));
    assert!(text.contains("none fits"), "{text}");
}
