//! Metrics: their names, what they show, and where they are served.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::documents;
use zun_tests::exposition::Exposition;

use crate::support::{ADMIN, ANN, Api, eventually_some, send};

const LABELS: [&str; 8] =
    ["method", "route", "code", "outcome", "kind", "status", "state", "version"];

async fn scrape(api: &Api) -> Exposition {
    let read = Exposition::of(&api.get("", "/metrics").await.expect(200).text);
    assert_eq!(read.problems("zun_api_", &LABELS), Vec::<String>::new());
    read
}

#[tokio::test]
async fn metrics_follow_the_conventions_and_time_requests_by_route() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "c1", Status::Running).await;
    api.get(ANN, "/v1/containers").await.expect(200);
    api.get(ANN, "/v1/containers/c1").await.expect(200);
    api.get(ANN, "/v1/containers/nothing").await.expect(404);
    api.until(id, Status::Running).await;
    let answer = send(api.request(Method::GET, "", "/metrics")).await;
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let metrics = scrape(&api).await;
    let count = |name: &str, route: &str, code: &str| {
        let labels = [("method", "GET"), ("route", route), ("code", code)];
        metrics.sum(name, &labels)
    };
    let requests = "zun_api_http_request_duration_seconds_count";
    assert_eq!(count(requests, "/v1/containers", "200"), Some(1.0));
    assert_eq!(count(requests, "/v1/containers/{ident}", "200"), Some(1.0));
    assert_eq!(count(requests, "/v1/containers/{ident}", "404"), Some(1.0));
    // Waits are apart: they would hide the latency.
    let waits = "zun_api_http_wait_duration_seconds_count";
    assert!(count(waits, "/v1/containers/{ident}", "200").is_some_and(|count| count >= 1.0));
    let version = ("version", env!("CARGO_PKG_VERSION"));
    assert_eq!(metrics.sum("zun_api_build_info", &[version]), Some(1.0));
}

#[tokio::test]
async fn unknown_paths_and_methods_add_no_label_values() {
    let api = Api::start().await;
    let brew = Method::from_bytes(b"BREW").unwrap();
    for path in ["/x", "/v1/x", "/v1/containers/x/y/z", "/v1/..%2f", "/%00", "/METRICS"] {
        for method in [Method::GET, Method::DELETE, brew.clone()] {
            let answer = send(api.request(method, ANN, path)).await;
            assert!(answer.status >= 400, "{path}: {}", answer.status);
        }
    }
    send(api.request(brew, ANN, "/v1/containers")).await.expect(405);
    let metrics = scrape(&api).await;
    let (routes, methods) = (metrics.values("route"), metrics.values("method"));
    let known = ["/metrics", "/v1/containers", "none"];
    assert!(routes.iter().all(|route| known.contains(&route.as_str())), "{routes:?}");
    let known = ["GET", "DELETE", "other"];
    assert!(methods.iter().all(|method| known.contains(&method.as_str())), "{methods:?}");
}

#[tokio::test]
async fn metrics_show_containers_hosts_capacity_and_operations() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let limits = json!({"image": "cirros", "name": "c1", "cpu": 0.5, "memory": "256"});
    let id = api.create(ANN, limits).await;
    agent.receives_about("container.create", id).await;
    agent.report(id, Status::Running, |_| {}).await;
    agent.refuse("container.stop", Problem::new(Code::Engine, "no"));
    api.post(ANN, "/v1/containers/c1/stop", Value::Null).await;
    // Without a host that fits, the creation has failed at once.
    let lost = json!({"image": "cirros", "name": "lost", "availability_zone": "none"});
    api.post(ANN, "/v1/containers", lost).await.expect(202);
    // A container that no agent has begun.
    agent.ignore_nudges();
    api.create(ANN, json!({"image": "cirros", "name": "waits"})).await;
    let metrics = eventually_some("the metrics are read again", || async {
        let metrics = scrape(&api).await;
        let open = metrics.sum("zun_api_operations_open", &[("kind", "create")]);
        open.is_some_and(|open| open >= 1.0).then_some(metrics)
    })
    .await;
    let is = |name: &str, labels: &[(&str, &str)], value: f64| {
        assert_eq!(metrics.sum(name, labels), Some(value), "{name} {labels:?}");
    };
    is("zun_api_database_up", &[], 1.0);
    is("zun_api_containers", &[("status", "Running")], 1.0);
    is("zun_api_containers", &[("status", "Error")], 1.0);
    is("zun_api_containers", &[("status", "Paused")], 0.0);
    is("zun_api_hosts", &[("state", "up")], 1.0);
    is("zun_api_hosts", &[], 1.0);
    let (cpus, memory) =
        (services_total(&api, "cpus").await, services_total(&api, "mem_total").await);
    is("zun_api_cpu_capacity_cpus", &[("state", "up")], cpus);
    is("zun_api_memory_capacity_bytes", &[("state", "up")], memory * 1_048_576.0);
    is("zun_api_cpu_claimed_cpus", &[("state", "up")], 1.5);
    is("zun_api_memory_claimed_bytes", &[("state", "up")], 768.0 * 1_048_576.0);
    let outcomes = "zun_api_operation_duration_seconds_count";
    is(outcomes, &[("kind", "create"), ("outcome", "succeeded")], 1.0);
    is(outcomes, &[("kind", "create"), ("outcome", "failed")], 1.0);
    is(outcomes, &[("kind", "stop"), ("outcome", "failed")], 1.0);
    is("zun_api_operations_open", &[("kind", "stop")], 0.0);
    is("zun_api_operations_open", &[("kind", "pull_image")], 0.0);
    let age = metrics.sum("zun_api_operation_oldest_age_seconds", &[("kind", "create")]);
    assert!(age.is_some_and(|age| (0.0..60.0).contains(&age)), "{age:?}");
}

/// The alerts of the page must not name metrics that do not exist.
#[tokio::test]
async fn the_page_about_operating_names_metrics_that_exist() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "c1", Status::Running).await;
    api.get(ANN, "/v1/containers").await.expect(200);
    let page = std::fs::read_to_string(documents::root().join("docs/operating.md")).unwrap();
    let metrics = scrape(&api).await;
    let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names: BTreeSet<&str> = words.filter(|word| word.starts_with("zun_api_")).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(metrics.sum(name, &[]).is_some(), "{name}");
    }
}

async fn services_total(api: &Api, field: &str) -> f64 {
    let hosts = api.get(ADMIN, "/v1/hosts").await.expect(200).json();
    hosts["hosts"][0][field].as_f64().unwrap_or_else(|| panic!("{field} of {hosts}"))
}

#[tokio::test]
async fn a_listener_of_their_own_serves_metrics_and_nothing_else() {
    let api = Api::start_with(|settings| {
        settings.metrics.listen = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let own = api.metrics_address();
    let get = |path| send(api.request_at(own, Method::GET, ADMIN, path));
    let metrics = Exposition::of(&get("/metrics").await.expect(200).text);
    assert_eq!(metrics.problems("zun_api_", &LABELS), Vec::<String>::new());
    for path in ["/", "/healthz", "/v1", "/v1/containers", "/metrics/x"] {
        get(path).await.expect(404);
    }
    let refusal = api.get(ADMIN, "/metrics").await.expect(404).refusal();
    assert!(refusal.starts_with("404 container.not-found"), "{refusal}");
}
