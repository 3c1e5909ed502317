//! The stream of events.

use chrono::DateTime;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;
use zun_common::rpc::operation::{OperationOutcome, Outcome};
use zun_common::rpc::report::{RunEnd, RunReport};
use zun_common::status::{EndReason, Health, Status};

use crate::support::{ADMIN, ANN, Api, BOB, REA, eventually_some, send};

/// A stream that is open.
struct Stream {
    response: Response,
    text: String,
    /// The ID of the last block.
    id: String,
}

impl Stream {
    async fn open(api: &Api, token: &str, query: &str) -> Self {
        Self::after(api, token, (query, "")).await
    }

    async fn after(api: &Api, token: &str, (query, id): (&str, &str)) -> Self {
        Self::at(api.address(), api, (token, query, id)).await
    }

    async fn at(
        address: std::net::SocketAddr,
        api: &Api,
        (token, query, id): (&str, &str, &str),
    ) -> Self {
        let path = format!("/v1/events?{query}");
        let mut request = api.request_at(address, Method::GET, token, &path);
        if !id.is_empty() {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let mut stream = Self { response, text: String::new(), id: id.to_owned() };
        // The first block says where the stream begins.
        assert_eq!(stream.block().await, Some((String::new(), Value::Null)));
        stream
    }

    /// The kind and the data of the next block; `None` at the end.
    async fn block(&mut self) -> Option<(String, Value)> {
        while !self.text.contains("\n\n") {
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            let chunk = chunk.await.expect("something arrives").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let (block, rest) = (block.to_owned(), rest.to_owned());
        let (mut kind, mut data) = (String::new(), Value::Null);
        for line in block.lines() {
            match line.split_once(": ").unwrap() {
                ("id", id) => id.clone_into(&mut self.id),
                ("event", word) => word.clone_into(&mut kind),
                ("data", json) => data = serde_json::from_str(json).unwrap(),
                ("", _comment) => {}
                _ => panic!("{line}"),
            }
        }
        self.text = rest;
        Some((kind, data))
    }

    async fn next(&mut self) -> Value {
        loop {
            let (kind, data) = self.block().await.expect("the stream lasts");
            assert_eq!(kind, "", "{data}");
            if !data.is_null() {
                return data;
            }
        }
    }

    /// The next events: type, action and name.
    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(short(&self.next().await));
        }
        names
    }

    /// All events until the end, and its reason.
    async fn rest(mut self) -> (Vec<String>, Value) {
        let mut names = Vec::new();
        while let Some((kind, data)) = self.block().await {
            if kind == "end" {
                assert_eq!(self.block().await, None, "it is the last block");
                return (names, data["reason"].clone());
            }
            if !data.is_null() {
                names.push(short(&data));
            }
        }
        panic!("the stream has ended without a reason: {names:?}");
    }
}

fn short(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&event["actor"]["attributes"]["name"]);
    format!("{} {} {name}", text(&event["type"]), text(&event["action"]))
}

fn run(number: i64, end: Option<(i64, EndReason)>) -> RunReport {
    let end = end.map(|(code, reason)| RunEnd {
        at: DateTime::from_timestamp(number * 10 + 5, 0),
        exit_code: Some(code),
        reason,
        message: None,
    });
    let started_at = DateTime::from_timestamp(number * 10, 0);
    RunReport { number, raw_started: Some(format!("run {number}")), started_at, end }
}

#[tokio::test]
async fn the_life_of_a_container_is_a_sequence_of_events() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let mut stream = Stream::open(&api, ANN, "").await;
    let body = json!({"image": "cirros", "name": "web", "labels": {"tier": "front"}});
    let id = api.create(ANN, body).await;
    agent.receives_about("container.create", id).await;
    agent.report(id, Status::Creating, |report| report.engine = None).await;
    agent.report(id, Status::Created, |_| {}).await;
    let created = stream.next().await;
    assert_eq!(created["project_id"], "blue");
    assert!(created.get("host").is_none(), "{created}");
    assert!(created["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        created["actor"],
        json!({"id": id, "attributes": {"name": "web", "image": "cirros", "tier": "front"}})
    );
    agent.report(id, Status::Running, |report| report.runs = vec![run(1, None)]).await;
    // A report that is repeated, or says nothing new, is no event.
    agent.report(id, Status::Running, |report| report.runs = vec![run(1, None)]).await;
    for health in [Health::Starting, Health::Healthy, Health::Healthy, Health::Unhealthy] {
        agent.report(id, Status::Running, |report| report.live.health = Some(health)).await;
    }
    for verb in ["pause", "unpause", "kill?signal=HUP", "reboot", "stop"] {
        api.post(ANN, &format!("/v1/containers/{id}/{verb}"), Value::Null).await.expect(202);
        let status = if verb == "pause" { Status::Paused } else { Status::Running };
        let runs = match verb {
            "reboot" => vec![run(1, Some((137, EndReason::Restarted))), run(2, None)],
            "stop" => vec![run(2, Some((3, EndReason::Exited)))],
            _ => Vec::new(),
        };
        agent.report(id, status, |report| report.runs = runs).await;
    }
    // The kernel's reason may come later than the end.
    agent
        .report(id, Status::Stopped, |report| {
            report.runs = vec![run(3, Some((137, EndReason::Signal)))];
        })
        .await;
    agent
        .report(id, Status::Stopped, |report| {
            report.runs = vec![run(3, Some((137, EndReason::OutOfMemory)))];
        })
        .await;
    let rename = api.request(Method::PATCH, ANN, &format!("/v1/containers/{id}"));
    send(rename.json(&json!({"name": "web2"}))).await.expect(200);
    api.delete(ANN, &format!("/v1/containers/{id}")).await.expect(204);
    agent.report(id, Status::Deleted, |_| {}).await;
    insta::assert_snapshot!(stream.names(16).await.join("\n"), @r"
    container start web
    container health_status: healthy web
    container health_status: unhealthy web
    container pause web
    container unpause web
    container kill web
    container die web
    container start web
    container restart web
    container die web
    container stop web
    container start web
    container die web
    container oom web
    container rename web2
    container destroy web2
    ");
}

#[tokio::test]
async fn the_attributes_of_an_event_belong_to_its_action() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "web", Status::Created).await;
    let filters = r#"{"event":["start","die","kill","rename"]}"#;
    let mut stream = Stream::open(&api, ADMIN, &format!("all_projects=1&filters={filters}")).await;
    agent.report(id, Status::Running, |report| report.runs = vec![run(1, None)]).await;
    api.post(ANN, &format!("/v1/containers/{id}/kill?signal=HUP"), Value::Null).await.expect(202);
    agent.report(id, Status::Running, |_| {}).await;
    agent
        .report(id, Status::Stopped, |report| {
            report.runs = vec![run(1, Some((3, EndReason::Exited)))];
        })
        .await;
    let rename = api.request(Method::PATCH, ANN, &format!("/v1/containers/{id}"));
    send(rename.json(&json!({"name": "web2"}))).await.expect(200);
    let mut found = Vec::new();
    for _ in 0..4 {
        let event = stream.next().await;
        // Administrators see the host.
        assert_eq!(event["host"], "h1");
        let mut attributes = event["actor"]["attributes"].clone();
        attributes.as_object_mut().unwrap().remove("image");
        found.push(format!("{} {attributes}", event["action"].as_str().unwrap()));
    }
    insta::assert_snapshot!(found.join("\n"), @r#"
    start {"name":"web","run":"1"}
    kill {"name":"web","signal":"SIGHUP"}
    die {"execDuration":"5","exitCode":"3","name":"web","reason":"exited","run":"1"}
    rename {"name":"web2","oldName":"web"}
    "#);
}

#[tokio::test]
async fn a_reader_gets_only_the_events_of_its_project_and_never_a_host() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let _ann = api.container(&agent, "of-ann", Status::Created).await;
    let id = api.create(BOB, json!({"image": "cirros", "name": "of-bob"})).await;
    agent.receives_about("container.create", id).await;
    agent.report(id, Status::Created, |_| {}).await;
    api.until(id, Status::Created).await;
    let past = "since=0&until=4000000000";
    for (token, query, names) in [
        (ANN, "", &["container create of-ann"][..]),
        (BOB, "", &["container create of-bob"]),
        (REA, "", &["container create of-bob"]),
        (ADMIN, "", &[]),
        (ADMIN, "all_projects=1", &["container create of-ann", "container create of-bob"]),
    ] {
        let mut stream = Stream::open(&api, token, &format!("{past}&{query}")).await;
        assert_eq!(stream.names(names.len()).await, names, "{token} {query}");
    }
    for token in [BOB, REA] {
        for query in ["all_projects=1", r#"filters={"host":["h1"]}"#] {
            let refused = api.get(token, &format!("/v1/events?{query}")).await.refusal();
            assert!(refused.starts_with("403 "), "{refused}");
        }
    }
    for query in ["since=yesterday", "until=-1", "filters=[]", "filters={\"pod\":[]}", "limit=1"] {
        let refused = api.get(ANN, &format!("/v1/events?{query}")).await.refusal();
        assert!(refused.starts_with("400 "), "{refused}");
    }
    let request = api.request(Method::GET, ANN, "/v1/events").header("last-event-id", "x");
    let refused = send(request).await.refusal();
    assert!(refused.contains("'Last-Event-ID'"), "{refused}");
}

#[tokio::test]
async fn volumes_networks_and_images_have_events_too() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let mut stream = Stream::open(&api, ADMIN, "").await;
    for kind in ["volumes", "networks"] {
        api.post(ADMIN, &format!("/v1/{kind}"), json!({"name": "data"})).await.expect(201);
        api.delete(ADMIN, &format!("/v1/{kind}/data")).await.expect(204);
    }
    let image = api.post(ADMIN, "/v1/images", json!({"repo": "quay.io/app", "tag": "v1"})).await;
    let image = image.expect(202).json()["uuid"].as_str().unwrap().to_owned();
    let end = async || {
        let operations = agent.heartbeat(|_| {}).await.unwrap().operations;
        let operation = operations.into_iter().next_back().expect("an open operation");
        let outcome = OperationOutcome::new(operation.id, Outcome::Succeeded);
        agent.report_with(operation.container, (None, vec![outcome])).await.unwrap();
    };
    end().await;
    api.delete(ADMIN, &format!("/v1/images/{image}")).await.expect(200);
    end().await;
    // A container creates the volume that it uses.
    let mounts = json!([{"source": "fresh", "destination": "/data"}]);
    api.create(ADMIN, json!({"image": "cirros", "mounts": mounts})).await;
    insta::assert_snapshot!(stream.names(7).await.join("\n"), @r"
    volume create data
    volume destroy data
    network create data
    network destroy data
    image pull quay.io/app:v1
    image delete quay.io/app:v1
    volume create fresh
    ");
}

#[tokio::test]
async fn a_stream_that_is_continued_after_a_restart_misses_nothing() {
    let mut api = Api::start().await;
    let agent = api.agent("h1").await;
    let mut stream = Stream::open(&api, ANN, "").await;
    api.container(&agent, "first", Status::Created).await;
    assert_eq!(stream.names(1).await, ["container create first"]);
    let id = stream.id.clone();
    api.stop().await;
    let (rest, reason) = stream.rest().await;
    assert_eq!((rest, reason), (Vec::new(), json!("closing")));
    api.start_again().await;
    agent.register().await;
    api.container(&agent, "second", Status::Created).await;
    let mut stream = Stream::after(&api, ANN, ("", &id)).await;
    api.container(&agent, "third", Status::Created).await;
    assert_eq!(stream.names(2).await, ["container create second", "container create third"]);
}

#[tokio::test]
async fn streams_are_limited_and_those_of_gone_clients_do_not_count() {
    let api = Api::start_with(|settings| {
        settings.events.streams = 1;
        settings.http.requests = 1;
    })
    .await;
    let stream = Stream::open(&api, ANN, "").await;
    let refused = api.get(ANN, "/v1/events").await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(
        refused.refusal(),
        "503 container.busy Too many streams of events are open; try again in a second."
    );
    api.get(ANN, "/v1/containers").await.expect(200);
    drop(stream);
    // zun-api notices when it sends something.
    let again = eventually_some("the stream of the client that left has ended", || async {
        let name = uuid::Uuid::new_v4().to_string();
        api.post(ANN, "/v1/volumes", json!({"name": format!("v{name}")})).await.expect(201);
        let response = api.request(Method::GET, ANN, "/v1/events").send().await.unwrap();
        response.status().is_success().then_some(())
    });
    again.await;
    let head = send(api.request(Method::HEAD, ANN, "/v1/events")).await.expect(200);
    assert_eq!((head.header("content-type"), head.text.as_str()), ("text/event-stream", ""));
}

#[tokio::test]
async fn an_event_that_another_zun_api_recorded_arrives_also_if_no_notification_came() {
    let mut api = Api::start().await;
    let agent = api.agent("h1").await;
    let Some(peer) = api.second_service().await else { return };
    let mut here = Stream::at(api.address(), &api, (ANN, "", "")).await;
    let mut there = Stream::at(peer.address(), &api, (ANN, "", "")).await;
    let begun = std::time::Instant::now();
    api.container(&agent, "test", Status::Created).await;
    for stream in [&mut here, &mut there] {
        assert_eq!(stream.names(1).await, ["container create test"]);
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop((here, there));
    peer.stop().await;
    api.stop().await;
}
