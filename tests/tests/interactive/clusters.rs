//! Conditions that need a cluster of their own, or a fault between the CLI and the host.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use zun_tests::cluster::{Cluster, Front};
use zun_tests::eventually::eventually;
use zun_tests::profile::is_long;
use zun_tests::pty::Pty;
use zun_tests::tls::RogueCa;
use zun_tests::zun_cli::ZunCli;
use zun_tests::{recorder, tls};

use super::links::Dropped;

const SIZE: (u16, u16) = (24, 80);

/// Starts a shell on a terminal.
fn shell(zun: &ZunCli, name: &str) -> Pty {
    let mut term = zun.term(&["run", "-i", "--name", name, "cirros", "/bin/sh"], SIZE);
    term.shows("/ #");
    // The process prints a moment before the service knows that it runs.
    eventually("it runs", || zun.field(name, "status") == "Running");
    term
}

/// `exec -i cat` on pipes.
struct Cat(Child, BufReader<ChildStdout>);

impl Cat {
    fn begin(zun: &ZunCli, name: &str) -> Self {
        let mut command = zun.command(&["exec", "-i", name, "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("zun runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self(child, lines)
    }

    fn echoes(&mut self, line: &str) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        writeln!(input, "{line}").expect("written");
        let mut came = String::new();
        self.1.read_line(&mut came).expect("a line");
        assert_eq!(came.trim_end(), line);
    }

    /// Returns its exit code and its stderr.
    fn ends(mut self) -> (Option<i32>, String) {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().expect("zun ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn says(term: &mut Pty, word: &str) {
    let (head, tail) = word.split_at(1);
    term.types(format!("echo {head}''{tail}\r"));
    term.shows(word);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_another_projects_container_is_not_found() {
    let _recorder = recorder!();
    let cluster = Cluster::start(1).await;
    let (zun, stranger) = (cluster.zun(), cluster.stranger());
    zun.must(&["run", "-d", "--name", "ours", "cirros", "sleep", "600"]);
    let id = zun.field("ours", "uuid");
    let id = id.as_str().expect("an id");
    for verb in [&["attach"][..], &["exec"], &["exec", "-i"], &["logs"], &["show"]] {
        for container in ["ours", id] {
            let command: &[&str] = if verb[0] == "exec" { &["id"] } else { &[] };
            let there = stranger.run(&[verb, &[container], command].concat());
            let missing = stranger.run(&[verb, &["no-such"], command].concat());
            assert_eq!((there.code, there.stdout.as_str()), (missing.code, ""), "{there:?}");
            let message =
                |text: &str| text.split(" (request").next().unwrap_or_default().to_owned();
            let expected = message(&missing.stderr).replace("no-such", container);
            assert_eq!(message(&there.stderr), expected);
        }
    }
    assert_eq!(stranger.must(&["list", "--format", "json"]).trim(), "[]");
    zun.must(&["delete", "--force", "ours"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c44_a_host_that_goes_down_ends_each_console_with_one_line() {
    let _recorder = recorder!();
    let mut cluster = Cluster::start(1).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "down");
    let mut cat = Cat::begin(&zun, "down");
    cat.echoes("before");
    cluster.end_agent(0, Signal::KILL);
    cluster.kill_engine(0);
    assert_eq!(term.exit(), 125);
    let transcript = term.transcript();
    let notes: Vec<&str> = transcript.lines().filter(|line| line.contains("zun: ")).collect();
    assert_eq!(notes.len(), 1, "{transcript}");
    assert!(notes[0].contains("the console of down ended"), "{transcript}");
    let (code, message) = cat.ends();
    assert_eq!((code, message.lines().count()), (Some(125), 1), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c45_a_container_with_rm_is_kept_when_its_link_is_lost() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Proxy).await;
    let zun = cluster.zun();
    let run = ["run", "-i", "--rm", "--name", "kept", "cirros", "/bin/sh"];
    let mut term = zun.term(&run, SIZE);
    term.shows("/ #");
    cluster.proxy().disconnect();
    assert_eq!(term.exit(), 125);
    assert!(term.transcript().contains("reattach with `zun attach kept`"), "{}", term.transcript());
    assert_eq!(zun.field("kept", "status"), "Running");
    let mut again = zun.term(&["attach", "kept"], SIZE);
    again.shows("/ #");
    again.types("exit 3\r");
    assert_eq!(again.exit(), 3);
    eventually("it is gone", || zun.run(&["show", "kept"]).code != 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c46_idle_sessions_of_the_cli_survive_a_proxy_with_an_idle_timeout() {
    let mut recorder = recorder!();
    // The CLI's keepalive goes both ways every 40 seconds.
    let (idle_timeout, quiet) = if is_long() { (60, 600) } else { (45, 50) };
    let cluster = Cluster::behind(Front::IdleTimeout(Duration::from_secs(idle_timeout))).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "quiet");
    let mut cat = Cat::begin(&zun, "quiet");
    cat.echoes("before");
    says(&mut term, "before");
    // The condition requires this idle time.
    std::thread::park_timeout(Duration::from_secs(quiet));
    cat.echoes("after");
    says(&mut term, "after");
    assert_eq!(cat.ends(), (Some(0), String::new()));
    term.types("exit 3\r");
    assert_eq!(term.exit(), 3);
    recorder.measured(format!("CLI: idle for {quiet} s, proxy timeout {idle_timeout} s"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c47_the_command_ends_when_its_peer_vanishes() {
    let mut recorder = recorder!();
    let cluster = Cluster::behind(Front::Proxy).await;
    let zun = cluster.zun();
    let mut quiet = shell(&zun, "vanished");
    let mut typing = zun.term(&["attach", "vanished"], SIZE);
    typing.shows("/ #");
    let mut cat = Cat::begin(&zun, "vanished");
    cat.echoes("before");
    let dropped = Dropped::packets_of(cluster.proxy().address().port());
    let begun = Instant::now();
    typing.types("into the void\r");
    let ends = [typing.exit(), quiet.exit()];
    let took = begun.elapsed();
    assert_eq!(ends, [125, 125]);
    assert!(quiet.transcript().contains("the console of vanished ended"), "{}", quiet.transcript());
    let (code, message) = cat.ends();
    assert_eq!(code, Some(125), "{message}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    recorder.measured(format!("CLI: ended after {:.1} s", took.as_secs_f64()));
    drop(dropped);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c57_the_cli_sends_nothing_to_a_host_of_another_ca() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Proxy).await;
    let zun = cluster.zun();
    zun.must(&["create", "-i", "--name", "posed", "cirros", "cat"]);
    zun.must(&["start", "posed"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    cluster.proxy().redirect_to(listener.local_addr().expect("an address"));
    let names = [dns_of("localhost"), address_of("127.0.0.1")];
    let poser = RogueCa::named("another CA").identity("zun://x", |params| {
        params.subject_alt_names = names.to_vec();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let acceptor = TlsAcceptor::from(Arc::new(poser.server()));
    let posing = async {
        let (stream, _) = listener.accept().await.expect("a client");
        acceptor.accept(stream).await.err().map(|refusal| refusal.to_string())
    };
    let attach =
        tokio::task::spawn_blocking(move || zun.piped(&["attach", "posed"], b"a secret\n"));
    let (refusal, output) = tokio::join!(posing, attach);
    let output = output.expect("zun ends");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), message.lines().count()), (Some(125), 1), "{message}");
    assert!(message.contains(&cluster.proxy().address().to_string()), "{message}");
    let refusal = refusal.expect("the client refuses the handshake");
    assert!(refusal.contains("UnknownCA") || refusal.contains("certificate"), "{refusal}");
    cluster.stop().await;
}

fn dns_of(name: &str) -> rcgen::SanType {
    tls::dns(name)
}

fn address_of(address: &str) -> rcgen::SanType {
    rcgen::SanType::IpAddress(address.parse().expect("an address"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c58_the_cli_dials_the_advertised_address_and_names_it_in_errors() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Ipv6).await;
    let zun = cluster.zun();
    let mut term = shell(&zun, "six");
    says(&mut term, "over-six");
    let address = cluster.proxy().address().to_string();
    assert!(address.starts_with("[::1]:"), "{address}");
    term.types("\x10\x11");
    assert_eq!(term.exit(), 0);
    cluster.proxy().refuse();
    for verb in [&["attach", "six"][..], &["exec", "six", "id"]] {
        let refused = zun.run(verb);
        assert_eq!((refused.code, refused.stderr.lines().count()), (125, 1), "{refused:?}");
        assert!(refused.stderr.contains(&address), "{refused:?}");
    }
    zun.must(&["delete", "--force", "six"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c58_the_cli_uses_the_proxy_of_its_environment() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Tunnel).await;
    let direct = cluster.zun();
    let zun = cluster.zun().with("HTTPS_PROXY", &cluster.tunnel().url());
    let mut term = shell(&zun, "tunnelled");
    says(&mut term, "through-it");
    let mut cat = Cat::begin(&zun, "tunnelled");
    cat.echoes("also-this");
    assert_eq!(cat.ends(), (Some(0), String::new()));
    term.types("\x10\x11");
    assert_eq!(term.exit(), 0);
    let advertised = cluster.proxy().address().to_string();
    let asked = cluster.tunnel().requests();
    let (first, _) = asked[0].split_once(' ').expect("a method");
    assert_eq!(first, "CONNECT", "{asked:?}");
    // Every request to the proxy names the host and has the user and password of the proxy's URL.
    let word = "Proxy-Authorization: Basic dXNlcjp3b3Jk";
    let knows = |head: &String| head.to_lowercase().contains(&word.to_lowercase());
    assert!(asked.iter().all(|head| head.contains(&advertised) && knows(head)), "{asked:?}");
    // An address in NO_PROXY is dialled directly.
    let excepted = zun.clone().with("NO_PROXY", "near.example,10.0.0.0/8");
    for zun in [&direct, &excepted] {
        assert_eq!(zun.must(&["exec", "tunnelled", "echo", "straight"]), "straight\n");
    }
    assert_eq!(cluster.tunnel().requests().len(), asked.len());
    let nobody = direct.with("HTTPS_PROXY", "http://127.0.0.1:1");
    let refused = nobody.run(&["exec", "tunnelled", "id"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (125, 1), "{refused:?}");
    assert!(refused.stderr.contains("through the proxy 127.0.0.1:1"), "{refused:?}");
    zun.must(&["delete", "--force", "tunnelled"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c39_a_wait_continues_when_the_service_is_back() {
    let _recorder = recorder!();
    let mut cluster = Cluster::start(1).await;
    let zun = cluster.zun();
    let script = "until [ -e /tmp/end ]; do sleep 0.1; done; exit 6";
    zun.must(&["run", "-d", "--name", "awaited", "cirros", "sh", "-c", script]);
    let mut waiting = zun.term(&["wait", "--debug", "awaited"], SIZE);
    waiting.shows("-> 200 OK");
    cluster.end_api(0, Signal::KILL);
    waiting.shows("still waiting");
    cluster.start_api(0);
    zun.must(&["exec", "awaited", "touch", "/tmp/end"]);
    assert_eq!(waiting.exit(), 0, "{}", waiting.transcript());
    assert!(waiting.transcript().lines().any(|line| line == "6"), "{}", waiting.transcript());
    zun.must(&["delete", "awaited"]);
    cluster.stop().await;
}

/// Uses the job control of a shell.
#[test]
fn c32_a_resumed_job_has_the_current_terminal_size() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let name = zun.name("c32-job");
    let program = zun_tests::zun_cli::binary("zun");
    let mut environment = zun.environment().to_vec();
    environment.push(("PS1".to_owned(), "job> ".to_owned()));
    let mut term = Pty::spawn("/bin/bash", &["--norc", "--noprofile", "-i"], &environment, SIZE);
    term.shows("job> ");
    let command_line =
        format!("{} run -i --name {} cirros /bin/sh", program.display(), name.as_str());
    term.types(format!("{command_line}\r"));
    term.shows("/ #");
    let jobs = Command::new("pgrep").args(["-f", "-n", &format!("^{command_line}$")]).output();
    let pid = String::from_utf8(jobs.expect("pgrep runs").stdout).expect("text");
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, Signal::TSTP).expect("it runs");
    term.shows("Stopped");
    term.shows("job> ");
    term.resize(30, 90);
    term.types("fg\r");
    term.types("until [ \"$(stty size)\" = '30 90' ]; do :; done; echo re''sized; exit 5\r");
    term.shows("resized");
    term.shows("job> ");
    term.types("echo \"code $?\"\r");
    term.shows("code 5");
    term.types("exit\r");
    assert_eq!(term.exit(), 0);
}
