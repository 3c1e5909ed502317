//! Sessions that are listed, shared, revoked and taken over by another client.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::timeout;
use zun_common::shutdown::Tasks;
use zun_tests::cluster::{Cluster, Front};
use zun_tests::documents::root;
use zun_tests::eventually::eventually;
use zun_tests::pty::Pty;
use zun_tests::recorder;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (24, 100);

fn list(zun: &ZunCli, noun: &[&str]) -> Vec<Value> {
    let shown = zun.must(&[noun, &["--format", "json"]].concat());
    serde_json::from_str(&shown).expect("a list")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c53_a_revoked_session_is_closed_with_the_reason() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let mut term = zun.term(&["run", "-i", "--name", "shared", "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    let sessions = list(&zun, &["sessions"]);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["container_name"], "shared");
    let link = zun.must(&["share", "shared", "--read-only", "--for", "5m"]);
    assert!(link.starts_with("https://localhost:") && link.contains("/console#ticket="), "{link}");
    a_link_opens_a_session_without_an_account(&cluster, (&mut term, &link));
    let link = zun.must(&["share", "shared", "--read-only", "--for", "5m"]);
    assert!(link.starts_with("https://localhost:"), "{link}");
    let grants = list(&zun, &["grants", "list"]);
    let modes: Vec<_> = grants.iter().map(|grant| grant["mode"].clone()).collect();
    assert_eq!(modes, ["rw", "ro"]);
    // Another project sees and revokes nothing.
    let stranger = cluster.stranger();
    assert_eq!(list(&stranger, &["sessions"]), Vec::<Value>::new());
    for grant in &grants {
        let id = grant["id"].as_str().expect("an id");
        let refused = stranger.run(&["grants", "revoke", id]);
        assert!(refused.code != 0 && refused.stderr.contains("could not be found"), "{refused:?}");
    }
    let begun = Instant::now();
    for grant in &grants {
        zun.must(&["grants", "revoke", grant["id"].as_str().expect("an id")]);
    }
    assert_eq!(term.exit(), 125);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let said = "your access to the session was revoked";
    assert!(term.transcript().contains(said), "{}", term.transcript());
    assert_eq!(list(&zun, &["grants", "list"]), Vec::<Value>::new());
    assert_eq!(zun.field("shared", "status"), "Running");
    let link = zun.must(&["console", "--print", "shared"]);
    assert!(link.starts_with("https://localhost:") && link.contains("/console#ticket="), "{link}");
    the_pages_work_in_chromium(&cluster).await;
    zun.must(&["delete", "--force", "shared"]);
    cluster.stop().await;
}

/// `read_only` is a link to what `writer` shows.
fn a_link_opens_a_session_without_an_account(
    cluster: &Cluster,
    (writer, read_only): (&mut Pty, &str),
) {
    let zun = cluster.zun();
    let ca = cluster.ca_file().to_string_lossy().into_owned();
    let guest = |link: &str| ZunCli::at("", "").with("OS_CACERT", &ca).with("ZUN_LINK", link);
    let mut viewer = guest(read_only.trim()).term(&["attach"], SIZE);
    viewer.shows("/ #");
    viewer.types("echo for''ged\r");
    let link = zun.must(&["share", "shared"]);
    let mut guest_term = guest("").term(&["attach", "--link", link.trim()], SIZE);
    guest_term.shows("/ #");
    // The connection is lost, and the client resumes with the same ticket.
    cluster.gate().disconnect();
    guest_term.types("echo from a gu''est\r");
    for term in [&mut guest_term, &mut *writer, &mut viewer] {
        term.shows("from a guest");
        assert!(!term.transcript().contains("forged\r\n"), "{}", term.transcript());
    }
    a_viewer_in_a_smaller_window_sees_a_part_of_the_terminal(&mut guest_term, &zun);
    guest_term.types("\x10\x11");
    assert_eq!(guest_term.exit(), 0);
    viewer.signal(Signal::TERM);
    assert_eq!(viewer.exit(), 143);
    let used = guest(link.trim()).run(&["attach"]);
    assert_eq!(used.code, 125, "{used:?}");
    assert!(used.stderr.contains("shared: the link was used up, has expired"), "{used:?}");
    let foreign = ZunCli::at("", "").run(&["attach", "--link", link.trim()]);
    assert!(foreign.code == 125 && foreign.stderr.contains("TLS"), "{foreign:?}");
    assert!(!foreign.stderr.contains("ticket"), "{foreign:?}");
}

/// `other` has set the size.
fn a_viewer_in_a_smaller_window_sees_a_part_of_the_terminal(other: &mut Pty, zun: &ZunCli) {
    let (rows, columns) = (10, 60);
    let mut small = zun.term(&["attach", "--read-only", "shared"], (rows, columns));
    small.shows("100x24: the size of another client ");
    other.types("for i in $(seq 30); do echo line $i; done; printf '%090dx' 1\r");
    let screen = |term: &Pty| {
        let mut shown = vt100::Parser::new(rows, columns, 0);
        shown.process(term.transcript().as_bytes());
        let all: Vec<String> = shown.screen().rows(0, columns).collect();
        all
    };
    eventually("it shows the last rows", || {
        let rows = screen(&small);
        rows.iter().any(|row| row.ends_with("0001x/ #")) && rows[9].starts_with(" 100x24: the size")
    });
    other.types("\r~?");
    other.shows("clients use this session. You are client");
    other.shows("The terminal has your size, 100x24.");
    other.types("\r");
    // What is typed at a viewer is not shown, and not left to the shell.
    assert_ne!(small.modes(), small.first_modes());
    small.types("typed in vain\r");
    other.types("echo and''more\r");
    small.shows("andmore");
    assert!(!small.transcript().contains("vain"), "{}", small.transcript());
    small.signal(Signal::TERM);
    assert_eq!(small.exit(), 143);
    assert_eq!(small.modes(), small.first_modes());
}

/// Runs `web/tests/service` with the container `shared`, which has a shell, and takes part in its shared session. The
/// container `recorded` has a recording.
async fn the_pages_work_in_chromium(cluster: &Cluster) {
    let zun = cluster.zun();
    let gate = format!("https://localhost:{}", cluster.gate().address().port());
    let token = zun.variable("OS_TOKEN");
    zun.must(&["run", "--record", "-d", "--name", "recorded", "cirros", "sleep", "600"]);
    zun.must(&["exec", "recorded", "echo", "from a recorded exec"]);
    let links = [(); 2].map(|()| zun.must(&["share", "shared"]).trim().to_owned());
    let place =
        json!({"origin": cluster.endpoint(0), "gate": gate, "token": token, "links": links});
    let mut tests = Command::new(root().join("deploy/web.sh"));
    // The environment, because every user of the machine can read command lines.
    tests.arg("test-service").env("ZUN_TEST_WEB", place.to_string()).kill_on_drop(true);
    let mut term = zun.term(&["attach", "shared"], SIZE);
    term.shows("/ #");
    let (sender, output) = oneshot::channel();
    Tasks::new().spawn(async move {
        sender.send(timeout(Duration::from_mins(3), tests.output()).await).ok();
    });
    term.shows_within("42 from the first", Duration::from_mins(2));
    term.types("echo $((50 + 2)) from the terminal\r");
    term.shows("52 from the terminal");
    term.shows(": the size of another client");
    term.shows("62 from the second");
    let output = output.await.expect("no panic").expect("in time").expect("it runs");
    // The last browser to type has left. Typing gives this terminal its own size back.
    // The size and the line take different ways to the shell.
    term.types("until stty size | grep '24 10''0'; do sleep 0.1; done\r");
    term.shows("24 100");
    term.types("\x10\x11");
    assert_eq!(term.exit(), 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_comes_back_to_a_command_after_its_client_was_killed() {
    let mut cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    zun.must(&["run", "-d", "--name", "host", "cirros", "sleep", "600"]);
    let mut term = zun.term(&["exec", "-i", "host", "sh"], SIZE);
    term.shows("/ #");
    term.types("kept=ye''s\r");
    term.shows("kept=");
    term.signal(Signal::KILL);
    term.exit();
    eventually("its client is away", || {
        list(&zun, &["sessions"]).iter().any(|session| session["connected"] == false)
    });
    let id = list(&zun, &["sessions"])[0]["id"].as_str().expect("an id").to_owned();
    let mut again = zun.term(&["attach", "--session", &id[..6]], SIZE);
    again.types("\recho it was $kept\r");
    again.shows("it was yes");
    again.types("exit 3\r");
    assert_eq!(again.exit(), 3);
    let refused = zun.run(&["attach", "--session", "99-no"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("no session has an ID that begins with `99-no`"),
        "{refused:?}"
    );
    a_user_comes_back_to_a_command_that_nobody_is_attached_to(&zun);
    c34_a_command_that_lost_its_client_is_ended_after_the_grace(&zun);
    c39_signals_reach_a_command_while_the_service_is_down(&mut cluster);
    zun.must(&["delete", "--force", "host"]);
    cluster.stop().await;
}

fn a_user_comes_back_to_a_command_that_nobody_is_attached_to(zun: &ZunCli) {
    let mut term = zun.term(&["exec", "-i", "host", "sh"], SIZE);
    term.shows("/ #");
    term.types("kept=al''so\r");
    term.shows("kept=");
    // As if the terminal's window was closed.
    term.signal(Signal::HUP);
    term.exit();
    eventually("nobody is attached", || {
        list(zun, &["sessions"]).iter().any(|session| session["grant"] == "")
    });
    let nobody = list(zun, &["sessions"]);
    let nobody = nobody.iter().find(|session| session["grant"] == "").expect("a session");
    let id = nobody["id"].as_str().expect("an id").to_owned();
    assert!(nobody["exec_id"].as_str().is_some_and(|exec| exec.starts_with(&id)), "{nobody}");
    assert!(list(zun, &["grants", "list"]).iter().all(|grant| grant["id"] != ""));
    let mut again = zun.term(&["attach", "--session", &id], SIZE);
    again.types("\recho it was $kept\r");
    again.shows("it was also");
    again.types("\x10\x11");
    again.shows(&format!("zun attach --session {id}"));
    assert_eq!(again.exit(), 0);
    let mut last = zun.term(&["attach", "--session", &id], SIZE);
    last.types("exit 3\r");
    assert_eq!(last.exit(), 3);
}

fn c34_a_command_that_lost_its_client_is_ended_after_the_grace(zun: &ZunCli) {
    let runs =
        |seconds: &str| zun.must(&["exec", "host", "ps"]).contains(&format!("sleep {seconds}"));
    let begin = |policy: &str, seconds: &str| {
        let script = format!("echo begun; sleep {seconds}; echo never");
        let exec = ["exec", "-i", "--on-disconnect", policy, "host", "sh", "-c", &script];
        let mut term = zun.term(&exec, SIZE);
        term.shows("begun");
        term
    };
    let mut client_killed = begin("hup:2s", "501");
    let mut client_hung_up = begin("kill:2s", "502");
    let mut detached = begin("kill:1s", "503");
    let mut kept = begin("keep", "504");
    detached.types("\x10\x11");
    assert_eq!(detached.exit(), 0);
    kept.signal(Signal::KILL);
    client_killed.signal(Signal::KILL);
    client_hung_up.signal(Signal::HUP);
    for term in [&mut kept, &mut client_killed, &mut client_hung_up] {
        term.exit();
    }
    eventually("the policies are applied", || !runs("501") && !runs("502"));
    assert!(runs("503") && runs("504"));
}

fn c39_signals_reach_a_command_while_the_service_is_down(cluster: &mut Cluster) {
    let script = "trap 'echo got-INT' INT; trap 'echo got-TERM; exit 9' TERM; echo ready; \
                  while :; do sleep 0.1; done";
    let mut command = cluster.zun().command(&["exec", "-i", "host", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("zun runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "ready");
    cluster.end_api(0, Signal::KILL);
    for (signal, line) in [(Signal::INT, "got-INT"), (Signal::TERM, "got-TERM")] {
        kill_process(Pid::from_child(&child), signal).expect("zun runs");
        assert_eq!(next(), line);
    }
    assert_eq!(child.wait().expect("zun ends").code(), Some(9));
    cluster.start_api(0);
}
