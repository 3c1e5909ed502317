//! Creates that are accepted, and how long a report takes to a client that waits.

use std::time::{Duration, Instant};

use serde_json::Value;
use zun_common::id::ContainerId;
use zun_common::status::Status;
use zun_tests::eventually::eventually;
use zun_tests::scripted_agent::ScriptedAgent;

use crate::figures::{Figure, Summary};
use crate::fill;
use crate::http::{Connection, load};
use crate::run::Run;
use crate::server::{Kind, Servers};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["create-", "report-"];

/// A small container.
const BODY: &str = r#"{"image": "cirros", "cpu": 0.1, "memory": 6}"#;
const CLIENTS: usize = 8;
const HOSTS: usize = 4;
const WINDOW: Duration = Duration::from_secs(2);
const WINDOWS: usize = 5;
const REPORTS: usize = 50;

/// Measures both databases.
pub fn measure(run: &Run) {
    for (row, kind) in [("create-sqlite", Kind::Sqlite), ("create-postgres", Kind::Postgres)] {
        let reports = kind == Kind::Sqlite && run.wants("report-to-client");
        if !run.wants(row) && !reports {
            continue;
        }
        let servers = Servers::start(run, kind, 1);
        let agents: Vec<ScriptedAgent> =
            (0..HOSTS).map(|index| fill::agent(run, &servers, &format!("host{index}"))).collect();
        if reports {
            run.record("report-to-client", until_client(run, &servers, &agents));
        }
        if run.wants(row) {
            let mut connections = servers.connections(CLIENTS);
            load(&mut connections, WINDOW / 2, create);
            let rates: Vec<f64> = (0..run.samples(WINDOWS))
                .map(|_| load(&mut connections, WINDOW, create).per_second)
                .collect();
            run.record(row, Figure::plain(Summary::of_rates(&rates)));
        }
        drop(agents);
        servers.stop(run);
    }
}

/// Creates a container, whose host must accept it.
pub fn create(api: &mut Connection) {
    let created = api.request("POST", "/v1/containers", BODY);
    let text = String::from_utf8_lossy(created.body);
    assert!(created.status == 202 && text.contains("\"status\":\"Creating\""), "{text}");
}

/// Measures the time from an agent's report to the answer of the request that waits for it.
fn until_client(run: &Run, servers: &Servers, agents: &[ScriptedAgent]) -> Figure {
    let (mut api, mut waiting) = (servers.connect(0), servers.connect(0));
    let times: Vec<Duration> = (0..run.samples(REPORTS))
        .map(|_| {
            let created = api.request("POST", "/v1/containers", BODY);
            let shown: Value = serde_json::from_slice(created.body).expect("JSON");
            let (id, host) = (text(&shown["uuid"]), text(&shown["host"]));
            let agent = agents.iter().find(|agent| agent.host().as_str() == host);
            let agent = agent.expect("the host is one of ours");
            let container: ContainerId = id.parse().expect("a uuid");
            run.runtime.block_on(agent.receives_about("container.create", container));
            let path = format!("/v1/containers/{id}?wait_for=Created&timeout=10");
            std::thread::scope(|scope| {
                let client = scope.spawn(|| {
                    assert_eq!(waiting.json(&path)["status"], "Created");
                    Instant::now()
                });
                eventually("the client waits", || metric(&mut api, "zun_api_requests_waiting") > 0);
                let begun = Instant::now();
                run.runtime.block_on(agent.report(container, Status::Created, |_| {}));
                client.join().expect("an answer").duration_since(begun)
            })
        })
        .collect();
    Figure::plain(Summary::of_times(&times))
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn metric(api: &mut Connection, name: &str) -> u64 {
    let text = String::from_utf8(api.get("/metrics").to_vec()).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|it| it.parse().ok()).unwrap_or(0)
}
