//! Reports and calls of agents, including those that zun-api must refuse.

use serde_json::json;
use zun_api::ca::EnrolledHost;
use zun_common::bus::CallError;
use zun_common::pki::signing_request;
use zun_common::rpc::Code;
use zun_common::rpc::host::{AssignedContainers, GetCaBundle, SignHostCertificate, SignProbe};
use zun_common::rpc::report::UnknownContainer;
use zun_common::status::{Status, TaskState};
use zun_tests::eventually::eventually_some;
use zun_tests::scripted_agent::engine_id;

use crate::support::{ANN, Api};

const FOREIGN: &str = "zun_api_reports_total{outcome=\"foreign\"}";
const STALE: &str = "zun_api_reports_total{outcome=\"stale\"}";

#[tokio::test]
async fn every_field_of_a_report_is_shown() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    agent
        .report(id, Status::Error, |report| {
            report.task_state = Some(TaskState::Killing);
            report.status_reason = Some("it did\0 not like it".to_owned());
            report.exit_code = Some(137);
            report.attached = 2;
        })
        .await;
    api.until(id, Status::Error).await;
    let shown = api.get(ANN, &format!("/v1/containers/{id}")).await.json();
    assert_eq!(shown["task_state"], json!("container_killing"));
    assert_eq!(shown["status_reason"], json!("it did not like it"));
    assert_eq!(shown["exit_code"], json!(137));
    assert_eq!(shown["attached"], json!(2));
}

#[tokio::test]
async fn a_late_report_with_an_older_generation_changes_nothing() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros"})).await;
    agent.report(id, Status::Stopped, |report| report.generation = 20).await;
    api.until(id, Status::Stopped).await;
    for generation in [19, 20] {
        agent.report(id, Status::Running, |report| report.generation = generation).await;
    }
    api.until_metric(STALE, 2.0).await;
    api.until(id, Status::Stopped).await;
}

#[tokio::test]
async fn the_reason_of_the_last_end_is_kept_until_the_next_start() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let end = chrono::Utc::now();
    // A restarted agent no longer knows the reason. Later the process runs and ends again.
    let later = end + chrono::TimeDelta::seconds(1);
    for (oom_killed, finished_at, attached, expected) in
        [(true, end, 1, true), (false, end, 2, true), (false, later, 3, false)]
    {
        agent
            .report(id, Status::Stopped, |report| {
                (report.oom_killed, report.finished_at) = (oom_killed, Some(finished_at));
                (report.exit_code, report.attached) = (Some(137), attached);
            })
            .await;
        let path = format!("/v1/containers/{id}");
        let shown = eventually_some("the report is shown", || async {
            let shown = api.get(ANN, &path).await.json();
            (shown["attached"] == json!(attached)).then_some(shown)
        });
        let reason = shown.await["status_reason"].to_string();
        assert_eq!(reason.contains("out of memory"), expected, "{reason}");
    }
}

#[tokio::test]
async fn a_host_cannot_report_another_hosts_container() {
    let api = Api::start().await;
    let owner = api.agent("h1").await;
    let id = api.container(&owner, "test", Status::Running).await;
    let thief = api.agent("h2").await;
    // Under its own name, for a container of another host.
    thief.report(id, Status::Deleted, |_| {}).await;
    api.until_metric(FOREIGN, 1.0).await;
    // Under the name of the owner.
    thief.report(id, Status::Deleted, |report| report.host = "h1".parse().unwrap()).await;
    api.until_metric(FOREIGN, 2.0).await;
    api.until(id, Status::Running).await;
}

#[tokio::test]
async fn a_host_can_list_its_containers_and_no_others() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let created = api.container(&agent, "made", Status::Running).await;
    let lost =
        api.create(ANN, json!({"image": "cirros", "name": "lost", "auto_remove": true})).await;
    let host = "h1".parse().unwrap();
    let assigned =
        agent.call_api(&AssignedContainers { host, epoch: None }).await.unwrap().containers;
    let of = |id| assigned.iter().find(|one| one.container == id).unwrap();
    assert_eq!(of(created).engine, Some(engine_id()));
    assert!(of(lost).auto_remove);
    let other = AssignedContainers { host: "h2".parse().unwrap(), epoch: None };
    assert!(is_forbidden(agent.call_api(&other).await.unwrap_err()));
}

#[tokio::test]
async fn a_host_gets_a_certificate_only_for_itself() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let csr = signing_request("h1", vec!["h1.example.org".to_owned()]).unwrap().csr;
    let host = |name: &str| name.parse().unwrap();
    let own = SignHostCertificate { host: host("h1"), csr: csr.clone() };
    let refused = agent.call_api(&own).await.unwrap_err();
    assert!(is_forbidden(refused));
    let other_name = EnrolledHost::new(host("h1"), ["h1.example.com".parse().unwrap()]);
    api.hosts().enrol(&other_name).unwrap();
    assert!(is_forbidden(agent.call_api(&own).await.unwrap_err()));
    api.hosts().enrol(&EnrolledHost::new(host("h1"), ["h1.example.org".parse().unwrap()])).unwrap();
    let signed = agent.call_api(&own).await.unwrap();
    let trusted = agent.call_api(&GetCaBundle { host: host("h1") }).await.unwrap();
    assert_eq!(trusted.ca, signed.ca);
    let others = agent.call_api(&GetCaBundle { host: host("h2") }).await.unwrap_err();
    assert!(is_forbidden(others));
    assert!(signed.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(signed.ca.starts_with("-----BEGIN CERTIFICATE-----"));
    let other = SignHostCertificate { host: host("h2"), csr };
    assert!(is_forbidden(agent.call_api(&other).await.unwrap_err()));
    let bad = SignHostCertificate { host: host("h1"), csr: "no request".to_owned() };
    let refused = agent.call_api(&bad).await.unwrap_err();
    assert!(
        matches!(refused, CallError::Refused { problem, .. } if problem.code == Code::BadRequest)
    );
}

#[tokio::test]
async fn a_host_probes_its_listener_with_a_grant_for_no_container() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let csr = signing_request("h1", Vec::new()).unwrap().csr;
    let host = |name: &str| name.parse().unwrap();
    let own = SignProbe { host: host("h1"), csr: csr.clone() };
    assert!(is_forbidden(agent.call_api(&own).await.unwrap_err()), "not enrolled");
    api.hosts().enrol(&EnrolledHost::new(host("h1"), [])).unwrap();
    let signed = agent.call_api(&own).await.unwrap();
    assert!(signed.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(
        zun_common::grant::Grant::probe(host("h1")).to_string(),
        format!("zun://h1/containers/{}/attach?mode=ro", "0".repeat(64))
    );
    let refused = agent.call_api(&SignProbe { host: host("h2"), csr }).await.unwrap_err();
    assert!(is_forbidden(refused));
}

#[tokio::test]
async fn the_service_shows_why_consoles_cannot_be_dialled() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let shown = async || {
        let services = api.get(crate::support::ADMIN, "/v1/services").await.json();
        services["services"][0]["console_trouble"].clone()
    };
    assert_eq!(shown().await, json!(null));
    agent
        .heartbeat(|heartbeat| {
            heartbeat.console = None;
            heartbeat.console_trouble = Some("it lets in clients without a certificate".to_owned());
        })
        .await
        .unwrap();
    api.until_metric("zun_api_heartbeats_total", 2.0).await;
    assert_eq!(shown().await, json!("it lets in clients without a certificate"));
    agent.heartbeat(|_| {}).await.expect("accepted");
    api.until_metric("zun_api_heartbeats_total", 3.0).await;
    assert_eq!(shown().await, json!(null));
}

#[tokio::test]
async fn agents_are_asked_for_fewer_heartbeats_than_all_hosts_together_may_send() {
    let api = Api::start_with(|settings| {
        settings.heartbeats.per_second = std::num::NonZeroU32::MIN;
    })
    .await;
    let first = api.agent("h1").await;
    let asked = async || {
        let open = first.heartbeat(|_| {}).await.expect("accepted");
        (open.interval == Some(1)).then_some(())
    };
    eventually_some("one host each second", asked).await;
    let _second = api.agent("h2").await;
    let _third = api.agent("h3").await;
    let asked = async || {
        let open = first.heartbeat(|_| {}).await.expect("accepted");
        (open.interval == Some(3)).then_some(())
    };
    eventually_some("each of three hosts every three seconds", asked).await;
}

#[tokio::test]
async fn a_container_without_a_row_is_counted() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let container = zun_common::id::ContainerId::random();
    agent.report(container, Status::Running, |_| {}).await;
    api.until_metric("zun_api_reports_total{outcome=\"missing\"}", 1.0).await;
    let call = UnknownContainer {
        container,
        host: "h1".parse().unwrap(),
        engine: engine_id(),
        epoch: None,
    };
    agent.call_api(&call).await.unwrap();
    api.until_metric("zun_api_unknown_containers_total", 1.0).await;
}

#[tokio::test]
async fn a_heartbeat_under_another_hosts_name_is_refused() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let foreign = agent.heartbeat(|heartbeat| heartbeat.host = "h2".parse().unwrap()).await;
    assert!(is_forbidden(foreign.unwrap_err()));
    agent.heartbeat(|_| {}).await.expect("accepted");
    api.until_metric("zun_api_heartbeats_total", 2.0).await;
    let services = api.get(crate::support::ADMIN, "/v1/services").await.json();
    assert_eq!(services["services"].as_array().unwrap().len(), 1);
}

fn is_forbidden(error: CallError) -> bool {
    matches!(error, CallError::Refused { problem, .. } if problem.code == Code::Forbidden)
}
