//! The formats of results, with the real binary.

use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::fake::service::{EVENTS, ID, Service};
use crate::lists::{containers, listing, piped, shown};
use crate::run::container;

async fn output(service: &Service, words: &[&str]) -> String {
    let (code, text, message) = piped(service, words).await;
    assert_eq!(code, Some(0), "{words:?}: {message}");
    text
}

async fn refusal(service: &Service, words: &[&str]) -> (Option<i32>, String) {
    let (code, text, message) = piped(service, words).await;
    assert_eq!(text, "", "{words:?}");
    assert!(message.starts_with("zun: ") && message.lines().count() == 1, "{message}");
    (code, message)
}

#[tokio::test]
async fn every_format_shows_the_list_of_containers() {
    let mut all = containers();
    all[1]["name"] = json!("job, \"2\"");
    let service = listing(all).await;
    for (format, text) in [
        ("name", "web\njob, \"2\"\nbroken\n"),
        ("{{.Names}}\\t{{.State}}", "web\tRunning\njob, \"2\"\tStopped\nbroken\tError\n"),
        ("{{.Name}} {{.Status}}{{.Label \"tier\"}}", "web Up 2 minutes (healthy)web\n"),
        ("table {{.ID}}\\t{{.Host}}", "ID            HOST\n1b06f2a4-7c4  compute1\n"),
        (r#"{{.Name}}{{range split .Labels ","}} <{{.}}>{{end}}"#, "web <tier=web>\n"),
        (r#"{{if eq .State "Running"}}{{.ID}}{{else}}-{{end}}"#, "1b06f2a4-7c4\n-\n-\n"),
        ("{{json .Labels}} {{.ExitCode}}", "\"tier=web\" \n\"\" 3\n\"\" \n"),
    ] {
        for flag in ["--format", "-o", "-f"] {
            let shown = output(&service, &["list", flag, format]).await;
            assert!(shown.starts_with(text), "{flag} {format}: {shown}");
        }
    }
    let shown = output(&service, &["list", "-f", "value", "-c", "name", "-c", "exit_code"]).await;
    assert_eq!(shown, "web \njob, \"2\" 3\nbroken \n");
    let shown = output(&service, &["list", "-f", "csv", "-c", "Name", "-c", "host"]).await;
    assert_eq!(shown, "Name,host\nweb,compute1\n\"job, \"\"2\"\"\",compute2\nbroken,\n");
    let shown = output(&service, &["list", "-f", "json", "-c", "name", "-f", "name=web"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), json!([{ "name": "web" }]));
    let shown = output(&service, &["list", "-o", "yaml", "-f", "name=web", "-c", "host"]).await;
    assert_eq!(shown, "- host: compute1\n");
}

#[tokio::test]
async fn json_has_units_in_its_keys_and_times_with_their_zone() {
    let service = Service::start(|ask| {
        if ask.target.ends_with("/stats") {
            return (
                200,
                json!({ "CONTAINER": "test", "CPU %": 1.5, "MEM USAGE(MiB)": 1.5,
                    "MEM LIMIT(MiB)": 512.0, "MEM %": 0.3, "BLOCK I/O(B)": "1/2",
                    "NET I/O(B)": "3/4", "PIDS": 5 }),
            );
        }
        if ask.target.ends_with("/runs") {
            return (200, json!({ "runs": [] }));
        }
        let fields = json!({ "memory": "128", "disk": 2,
            "restart_policy": { "Name": "on-failure", "MaximumRetryCount": "2" }, "created_at": "2026-11-29 06:00:01.5",
            "links": [{ "href": "http://127.0.0.1", "rel": "self" }] });
        (200, container("Running", &fields))
    })
    .await;
    let shown = output(&service, &["show", "test", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["uuid"], &shown["host"]), (&json!(ID), &Value::Null));
    assert_eq!(shown["memory_bytes"], 128 << 20);
    assert_eq!(shown["disk_bytes"], 2_u64 << 30);
    let created = shown["created_at"].as_str().expect("a text");
    assert_eq!(created, "2026-11-29T06:00:01.500000Z");
    let zone = DateTime::parse_from_rfc3339(created).expect("RFC 3339").offset().local_minus_utc();
    assert_eq!(TimeDelta::seconds(zone.into()), TimeDelta::zero());
    assert!(shown.get("memory").is_none() && shown.get("links").is_none());
    let stats = output(&service, &["stats", "--no-stream", "test", "-f", "json"]).await;
    let expected = json!([{ "name": "test", "cpu_percent": 1.5, "memory_bytes": 3 << 19,
        "memory_limit_bytes": 512 << 20, "memory_percent": 0.3, "block_read_bytes": 1,
        "block_write_bytes": 2, "net_rx_bytes": 3, "net_tx_bytes": 4, "pids": 5 }]);
    assert_eq!(serde_json::from_str::<Value>(&stats).expect("JSON"), expected);
    let text =
        output(&service, &["show", "test", "-f", "value", "-c", "Status", "-c", "cpu"]).await;
    assert_eq!(text, "Running\n1.0\n");
    let text = output(&service, &["inspect", "--format", "{{.Status}} {{.State}}", "test"]).await;
    assert_eq!(text, "Running Running\n");
    let range =
        "{{range $name, $value := .RestartPolicy}}{{$name}}={{$value}};{{end}}{{if .Host}}y{{end}}";
    let text = output(&service, &["inspect", "--format", range, "test"]).await;
    assert_eq!(text, "MaximumRetryCount=2;Name=on-failure;\n");
}

#[tokio::test]
async fn a_wrong_format_names_what_can_be_used() {
    let service = listing(containers()).await;
    let (code, message) = refusal(&service, &["list", "--format", "jsn"]).await;
    assert_eq!(code, Some(125));
    assert!(message.contains("did you mean json? use table, wide, json, yaml"), "{message}");
    let (code, message) = refusal(&service, &["list", "--format", "{{.Nmae}}"]).await;
    assert_eq!(code, Some(1));
    assert!(message.contains("`Nmae`; did you mean .Name?"), "{message}");
    let (code, message) = refusal(&service, &["list", "-c", "hots", "-f", "csv"]).await;
    assert_eq!(code, Some(1));
    assert!(message.contains("did you mean .Host?"), "{message}");
    let (code, message) = refusal(&service, &["list", "--format", "{{range .Labels}}x"]).await;
    assert_eq!(code, Some(125));
    assert!(message.contains("without {{end}}"), "{message}");
}

#[tokio::test]
async fn no_format_sends_control_characters_to_a_terminal() {
    let mut all = containers();
    all[1]["name"] = json!("a\u{9b}31m\u{1b}[2J\u{202e}b");
    let service = listing(all).await;
    for format in
        ["table", "wide", "json", "yaml", "csv", "value", "name", "{{.Name}}", "{{json .}}"]
    {
        let text = shown(&service, &["list", "--format", format], 200).await;
        let raw = ['\u{9b}', '\u{1b}', '\u{202e}'];
        assert!(!text.contains(raw), "{format}: {text:?}");
        assert!(text.contains("31m"), "{format}: {text:?}");
    }
}

#[tokio::test]
async fn events_are_shown_in_each_format_as_soon_as_they_happen() {
    let row = format!("2026-11-29T18:00:00.000000Z,container,die,{ID},\"web, 2\",exitCode=3,,p");
    for (format, expected) in [
        ("name", &["web, 2"][..]),
        ("csv", &["time,type,action,id,name,attributes,host,project_id", &row][..]),
        ("{{.Action}} {{.Actor.Attributes.exitCode}}", &["die 3"][..]),
    ] {
        let service = Service::start(|_ask| {
            let event = json!({ "time": "2026-11-29T18:00:00Z", "type": "container", "action": "die",
                "actor": { "id": ID, "attributes": { "name": "web, 2", "exitCode": "3" } },
                "project_id": "p" });
            (EVENTS, event)
        })
        .await;
        let mut child = Command::new(env!("CARGO_BIN_EXE_zun"))
            .args(["events", "-o", format])
            .env_clear()
            .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        service.new_event.notify_one();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for line in expected {
            let shown = timeout(Duration::from_secs(20), lines.next_line()).await;
            let shown = shown.expect("an event").expect("text");
            assert_eq!(shown.as_deref(), Some(*line), "{format}");
        }
    }
}
