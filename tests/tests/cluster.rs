//! Tests with several hosts as separate processes, each with its own engine, over a real RabbitMQ.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use zun_tests::cluster::Cluster;
use zun_tests::eventually::eventually;
use zun_tests::exposition::Exposition;
use zun_tests::recorder;
use zun_tests::zun_cli::binary;

const SIZE: (u16, u16) = (24, 80);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_placed_on_both_hosts_and_each_can_be_attached() {
    let cluster = Cluster::start(2).await;
    let zun = cluster.zun();
    for (index, name) in ["one", "two"].into_iter().enumerate() {
        let mut term = zun.term(&["run", "-i", "--name", name, "cirros", "/bin/sh"], SIZE);
        term.shows("/ #");
        term.types("\x10\x11");
        assert_eq!(term.exit(), 0, "container {index}");
    }
    let hosts = [zun.field("one", "host"), zun.field("two", "host")];
    assert_ne!(hosts[0], hosts[1], "the least loaded host gets the next container");
    for name in ["one", "two"] {
        let mut term = zun.term(&["attach", name], SIZE);
        term.shows("/ #");
        term.types("echo her''e; exit 6\r");
        term.shows("here");
        assert_eq!(term.exit(), 6);
        zun.must(&["delete", name]);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c39_a_session_outlives_every_part_of_the_control_plane() {
    let _recorder = recorder!();
    let mut cluster = Cluster::exclusive(1).await;
    let zun = cluster.zun();
    let mut term = zun.term(&["run", "-i", "--name", "steady", "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    eventually("it runs", || zun.field("steady", "status") == "Running");
    let counts = ["exec", "steady", "sh", "-c", COUNTS];
    let mut counting = zun.command(&counts);
    counting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut counting = counting.spawn().expect("zun runs");
    let mut lines = BufReader::new(counting.stdout.take().expect("a pipe"));
    let mut first = String::new();
    lines.read_line(&mut first).expect("it counts");
    cluster.end_api(0, Signal::KILL);
    still_works(&mut term, "no-api", 30);
    cluster.end_agent(0, Signal::KILL);
    still_works(&mut term, "no-agent", 31);
    cluster.restart_rabbit().await;
    still_works(&mut term, "new-rabbit", 32);
    cluster.start_api(0);
    still_works(&mut term, "new-api", 33);
    cluster.start_agent(0);
    still_works(&mut term, "new-agent", 34);
    cluster.end_agent(0, Signal::TERM);
    cluster.end_api(0, Signal::TERM);
    cluster.restart_rabbit().await;
    cluster.start_api(0);
    cluster.start_agent(0);
    still_works(&mut term, "all-at-once", 35);
    assert_eq!(zun.field("steady", "status"), "Running");
    // The exit code arrives although no grant can be renewed, and no line is lost.
    cluster.end_api(0, Signal::TERM);
    term.types("touch /tmp/enough\r");
    let counted = tokio::task::spawn_blocking(move || {
        let rest = std::io::read_to_string(lines).expect("text");
        (first + &rest, counting.wait_with_output().expect("it ends"))
    });
    term.shows("/ #");
    cluster.start_api(0);
    let (lines, counted) = counted.await.expect("it ends");
    assert_eq!(counted.status.code(), Some(7), "{}", String::from_utf8_lossy(&counted.stderr));
    let count = lines.lines().count();
    assert!(count > 20 && lines.lines().eq((1..=count).map(|n| n.to_string())), "{lines}");
    term.types("exit 8\r");
    assert_eq!(term.exit(), 8);
    eventually("the end is known", || zun.field("steady", "status") == "Stopped");
    assert_eq!(zun.field("steady", "exit_code"), 8);
    zun.must(&["delete", "steady"]);
    cluster.stop().await;
}

/// Prints numbered lines.
const COUNTS: &str =
    "i=0; until [ -e /tmp/enough ]; do i=$((i + 1)); echo $i; sleep 0.1; done; exit 7";

/// Checks that output, a resize and ctrl-c still work.
fn still_works(term: &mut zun_tests::pty::Pty, word: &str, rows: u16) {
    let (head, tail) = word.split_at(2);
    term.types(format!("echo {head}''{tail}\r"));
    term.shows(word);
    term.resize(rows, 90);
    term.types(format!("until [ \"$(stty size)\" = '{rows} 90' ]; do :; done; echo si''zed\r"));
    term.shows("sized");
    // `exec` keeps the same process in the foreground after the output. Between two commands, the shell could miss
    // ctrl-c.
    term.types("sh -c \"echo sle''eping; exec sleep 1000\"\r");
    term.shows("sleeping");
    term.types("\x03");
    term.shows("/ #");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_while_it_creates_leaves_exactly_one_container() {
    let mut cluster = Cluster::start(1).await;
    let zun = cluster.zun();
    let names: Vec<String> = (0..8).map(|index| format!("once-{index}")).collect();
    let create = |name: &String| {
        let mut command = zun.command(&["create", "--name", name, "cirros", "/bin/sh"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("zun runs")
    };
    let clients: Vec<_> = names.iter().map(create).collect();
    eventually("all of them are requested", || {
        zun.must(&["list", "--format", "json"]).matches("once-").count() >= 8
    });
    cluster.end_agent(0, Signal::KILL);
    cluster.start_agent(0);
    for mut client in clients {
        assert!(
            client.wait().expect("zun ends").success(),
            "the client sees its container created"
        );
    }
    for name in &names {
        eventually("it is created", || zun.field(name, "status") == "Created");
    }
    let socket = format!("unix://{}", cluster.engine_socket(0).display());
    let list =
        Command::new("docker").args(["-H", &socket, "ps", "-aq"]).output().expect("docker runs");
    assert_eq!(String::from_utf8_lossy(&list.stdout).lines().count(), names.len());
    for name in &names {
        zun.must(&["delete", name]);
    }
    cluster.stop().await;
}

const LABELS: [&str; 11] = [
    "method", "route", "code", "outcome", "kind", "status", "state", "version", "phase",
    "decision", "reason",
];

fn scrape(address: SocketAddr) -> Exposition {
    let url = format!("http://{address}/metrics");
    let answer = Command::new("curl").args(["-sf", "-m", "10", &url]).output().expect("curl runs");
    Exposition::of(&String::from_utf8_lossy(&answer.stdout))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_program_has_metrics_and_a_change_is_one_line_of_the_log() {
    let cluster = Cluster::start(1).await;
    let zun = cluster.zun();
    assert_eq!(zun.must(&["run", "--name", "counted", "cirros", "echo", "here"]).trim(), "here");
    let id = zun.field("counted", "uuid");
    let id = id.as_str().expect("an id");
    zun.must(&["list"]);
    let created = [("kind", "create"), ("outcome", "succeeded")];
    let agent = scrape(cluster.metrics_of_agent(0));
    assert_eq!(agent.problems("zun_compute_", &LABELS), Vec::<String>::new());
    for (name, labels) in [
        ("zun_compute_docker_up", &[][..]),
        ("zun_compute_bus_connected", &[]),
        ("zun_compute_console_up", &[]),
        ("zun_compute_operation_duration_seconds_count", &created),
        ("zun_compute_containers", &[("status", "Stopped")]),
    ] {
        assert_eq!(agent.sum(name, labels), Some(1.0), "{name}");
    }
    for name in ["zun_compute_heartbeats_total", "zun_compute_report_delay_seconds_count"] {
        assert!(agent.sum(name, &[]).is_some_and(|count| count >= 1.0), "{name}");
    }
    eventually("zun-api counts it", || {
        let api = scrape(cluster.metrics_of_api());
        assert_eq!(api.problems("zun_api_", &LABELS), Vec::<String>::new());
        let ended = api.sum("zun_api_operation_duration_seconds_count", &created);
        ended == Some(1.0) && api.sum("zun_api_containers", &[("status", "Stopped")]) == Some(1.0)
    });
    let mut authz = Command::new(binary("zun-authz"));
    authz.arg("--metrics").arg("--socket").arg(cluster.plugin_socket(0));
    let authz = authz.output().expect("zun-authz runs");
    let authz = Exposition::of(&String::from_utf8_lossy(&authz.stdout));
    assert_eq!(authz.problems("zun_authz_", &LABELS), Vec::<String>::new());
    let granted = authz.sum("zun_authz_decisions_total", &[("decision", "granted")]);
    assert!(granted.is_some_and(|count| count >= 1.0), "{granted:?}");
    // Reads are not in the log, and a change is one line with all that identifies it.
    let log = cluster.api_log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("POST /v1/containers ")).collect();
    let [line] = lines[..] else { panic!("{log}") };
    for part in ["INFO", "202", "project.id=\"admin\"", "request.id=", "outcome=\"done\"", id] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!log.contains("GET /v1/"), "{log}");
    cluster.stop().await;
}
