//! Recordings of sessions, with the real programs.

use std::path::Path;

use serde_json::Value;
use zun_tests::cluster::{Cluster, Front};
use zun_tests::eventually::eventually;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (24, 80);
const TOLD: &str = "zun: this session is recorded";

fn recordings(zun: &ZunCli, container: &str) -> Vec<Value> {
    let listed = zun.must(&["recording", "list", container, "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    listed.as_array().expect("a list").clone()
}

/// The recordings of a container, once all of them have ended.
fn ended(zun: &ZunCli, container: &str, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    eventually("the recordings have ended", || {
        all = recordings(zun, container);
        all.len() == count && all.iter().all(|one| one["ended_at"].is_string())
    });
    all
}

fn id(recording: &Value) -> &str {
    recording["id"].as_str().expect("an ID")
}

/// The codes and texts of a recording's events. Its format is checked.
fn events(path: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).expect("UTF-8");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let header = lines.next().expect("a header");
    assert_eq!(header["version"], 2, "{header}");
    assert_eq!((&header["width"], &header["height"]), (&80.into(), &24.into()), "{header}");
    let mut last = 0.0;
    let event = |event: Value| {
        let time = event[0].as_f64().expect("a time");
        assert!(time >= last, "{event}");
        last = time;
        let text = |at: usize| event[at].as_str().expect("text").to_owned();
        (text(1), text(2))
    };
    lines.map(event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c60_sessions_are_recorded_and_can_be_played_after_the_container_is_gone() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let run = ["run", "--record", "-i", "--name", "rec", "cirros", "/bin/sh"];
    let mut term = zun.term(&run, SIZE);
    term.shows(TOLD);
    term.shows("/ #");
    assert!(zun.must(&["show", "rec", "--format", "json"]).contains("\"record\": \"required\""));
    term.resize(30, 100);
    term.types("echo one''two; echo gr\u{fc}n\r");
    term.shows("onetwo\r\n");
    let exec = zun.run(&["exec", "rec", "echo", "from-exec"]);
    assert_eq!((exec.code, exec.stdout.as_str()), (0, "from-exec\n"), "{}", exec.stderr);
    assert!(exec.stderr.contains(TOLD), "{}", exec.stderr);
    // A recording in progress cannot be deleted.
    let open = recordings(&zun, "rec");
    let refused = zun.run(&["recording", "delete", id(open.last().expect("a recording"))]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("is still in progress"), "{}", refused.stderr);
    term.types("exit 3\r");
    assert_eq!(term.exit(), 3);
    assert_eq!(term.transcript().matches(TOLD).count(), 1, "{}", term.transcript());
    let all = ended(&zun, "rec", 2);
    let [exec, shell] = &all[..] else { panic!("{all:?}") };
    assert_eq!(shell["end"], "the process exited with 3", "{shell}");
    assert!(exec["exec_id"].is_string(), "{exec}");
    zun.must(&["delete", "rec"]);
    let played = zun.must(&["recording", "play", &id(shell)[..13]]);
    assert!(played.contains("onetwo\r\n") && played.contains("gr\u{fc}n\r\n"), "{played}");
    assert_eq!(zun.must(&["recording", "play", id(exec)]), "from-exec\r\n");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rec.cast");
    zun.must(&["recording", "download", id(shell), path.to_str().expect("UTF-8")]);
    let events = events(&path);
    assert!(events.contains(&("r".to_owned(), "100x30".to_owned())), "{events:?}");
    let output = events.iter().filter(|(code, _)| code == "o");
    let output: String = output.map(|(_, text)| text.as_str()).collect();
    assert_eq!(output, played);
    // In a terminal, ctrl-c ends the playing, and the terminal is as before.
    let mut player = zun.term(&["recording", "play", "--speed", "0.01", id(shell)], SIZE);
    player.shows("/ #");
    player.types("\x03");
    assert_eq!(player.exit(), 0);
    assert_eq!(player.modes(), player.first_modes());
    for recording in &all {
        zun.must(&["recording", "delete", id(recording)]);
    }
    assert!(recordings(&zun, "rec").is_empty());

    // The hosts of this cluster keep 1 MiB.
    let mut full =
        zun.term(&["run", "--record", "-i", "--name", "full", "cirros", "/bin/sh"], SIZE);
    full.shows("/ #");
    full.types("yes 0123456789012345678901234567890123456789 | head -n 60000\r");
    full.shows("cannot record this session: input is held");
    let joined = zun.run(&["attach", "full"]);
    assert_ne!(joined.code, 0, "a session began without a recording");
    assert!(joined.stderr.contains("must be recorded"), "{}", joined.stderr);
    zun.must(&["delete", "--force", "full"]);
    drop(full);
    cluster.stop().await;
}
