//! zun-api keeps to its OpenAPI document: schemathesis sends random requests, valid and not.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use zun_common::status::Status;
use zun_tests::scripted_agent::ScriptedAgent;

use crate::support::{ADMIN, Api};

/// No 5xx except 501, and nothing that the document does not have. Schemathesis cannot know whether an object exists,
/// or which values satisfy a rule in words.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";
/// The least number of requests, with 100 examples.
const CASES: u64 = 10_000;
const CONFIG: &str = r#"
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501"]

# Without a time in the past, the answer does not end.
[[operations]]
include-path = "/v1/events"
parameters = { "query.until" = "1" }
"#;

#[tokio::test]
#[ignore = "it needs schemathesis, and takes minutes: deploy/contract.sh"]
async fn random_requests_get_answers_of_the_document() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    // About a container that exists, and then about anything.
    let known = format!("[parameters]\n\"path.ident\" = \"{id}\"\n{CONFIG}");
    let about_known: &[&str] =
        &["--include-path-regex", "^/v1/containers", "--exclude-method", "DELETE"];
    let examples = std::env::var_os("ZUN_TEST_EXAMPLES").unwrap_or_else(|| "100".into());
    let examples: u64 = examples
        .to_str()
        .and_then(|text| text.parse().ok())
        .expect("ZUN_TEST_EXAMPLES is a number");
    let mut cases = 0;
    for (config, which) in [(known, about_known), (CONFIG.to_owned(), &[])] {
        let file = api.directory.path().join("schemathesis.toml");
        let report = api.directory.path().join("report.json");
        std::fs::write(&file, config).unwrap();
        let mut run = schemathesis(&api, &file)
            .args(["--max-examples", &examples.to_string(), "--report-json-path"])
            .arg(&report)
            .args(which)
            .spawn()
            .expect("schemathesis runs");
        let status = tokio::select! {
            status = run.wait() => status.expect("schemathesis ends"),
            () = keep_up(&agent) => unreachable!(),
        };
        assert!(status.success(), "requests whose answers break the document: see above");
        let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["complete"], json!(true), "{report}");
        cases += report["test_cases"]["generated"].as_u64().expect("a number of cases");
    }
    let expected = CASES.min(examples * 100);
    assert!(cases >= expected, "schemathesis sent only {cases} requests, not {expected}");
    println!("schemathesis sent {cases} requests");
}

fn schemathesis(api: &Api, config: &std::path::Path) -> Command {
    let program = std::env::var_os("ZUN_TEST_SCHEMATHESIS").expect("ZUN_TEST_SCHEMATHESIS");
    let mut command = Command::new(program);
    command
        .current_dir(api.directory.path())
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(format!("http://{}/openapi.json", api.address()))
        .args(["--header", &format!("X-Auth-Token: {ADMIN}")])
        .args(["--header", "OpenStack-API-Version: container latest"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--checks", CHECKS, "--mode", "all", "--workers", "1", "--seed", "1"])
        .args(["--continue-on-failure", "--max-failures", "50", "--request-timeout", "60"])
        .args(["--suppress-health-check", "all"])
        // A host that is forced down is answered for with 503, as it should be: image searches among others.
        .args(["--exclude-path", "/v1/services/force_down"])
        // It waits as long as it is asked to.
        .args(["--exclude-path", "/v1/containers/{ident}/wait"])
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Sends the heartbeats of the agent.
async fn keep_up(agent: &ScriptedAgent) {
    let mut beats = tokio::time::interval(Duration::from_secs(10));
    loop {
        beats.tick().await;
        agent.heartbeat(|_| {}).await.expect("zun-api accepts the heartbeat");
    }
}
