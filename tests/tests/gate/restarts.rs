//! The gate is restarted and killed again and again under load (C76). The test keeps its descriptors, as systemd does.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use zun_common::grant::{Grant, Mode};
use zun_common::pty::{ClientHello, DisconnectSignal, EndingReason, Frame, OnDisconnect};
use zun_gate::holder::Holder;
use zun_tests::eventually::{eventually, eventually_some};
use zun_tests::profile;
use zun_tests::recorder;
use zun_tests::tls::{Identity, TlsDialer};
use zun_tests::zun_cli::binary;

use super::bench::{Bench, HOST, PUBLIC, console, control, exec};
use super::client::{Refused, Session, TIMEOUT, hello};
use super::cuts::Copy;

/// How much stdin there is for each restart.
const BETWEEN: usize = 256 << 10;

/// The control socket of the program. The bench's own gate has another one.
fn control_socket(bench: &Bench) -> PathBuf {
    bench.directory.path().join("program.sock")
}

/// The program `zun-console` in front of the bench's engine.
pub(super) struct Program {
    pub(super) holder: Holder,
    child: Option<Child>,
    environment: Vec<(&'static str, String)>,
    pub(super) dialer: TlsDialer,
}

impl Program {
    /// Starts the program, for clients with certificates and for those with tickets.
    pub(super) async fn start(bench: &Bench) -> Self {
        let holder = Holder::at(bench.directory.path().join("store.sock")).expect("a socket");
        let tls = &bench.settings.tls;
        let public = bench.settings.public.as_ref().expect("a public name");
        let environment = vec![
            ("ZUN_CONSOLE__HOST", HOST.to_owned()),
            ("ZUN_CONSOLE__LISTEN", "127.0.0.1:0".to_owned()),
            ("ZUN_CONSOLE__DOCKER__SOCKET", bench.socket().display().to_string()),
            ("ZUN_CONSOLE__TLS__CA", tls.ca.display().to_string()),
            ("ZUN_CONSOLE__TLS__CERTIFICATE", tls.certificate.display().to_string()),
            ("ZUN_CONSOLE__TLS__KEY", tls.key.display().to_string()),
            ("ZUN_CONSOLE__CONTROL_SOCKET", control_socket(bench).display().to_string()),
            ("ZUN_CONSOLE__PUBLIC__NAME", public.name.to_string()),
            ("ZUN_CONSOLE__PUBLIC__CERTIFICATE", public.certificate.display().to_string()),
            ("ZUN_CONSOLE__PUBLIC__KEY", public.key.display().to_string()),
        ];
        let dialer = bench.dialer.clone();
        let mut program = Self { holder, child: None, environment, dialer };
        program.spawn();
        let listening = async { while !program.holder.handle().await.expect("a message") {} };
        timeout(TIMEOUT, listening).await.expect("it is ready");
        program.dialer.address = program.holder.address().expect("an address");
        program
    }

    /// Its control socket.
    pub(super) fn control(bench: &Bench) -> PathBuf {
        bench.directory.path().join("program.sock")
    }

    fn spawn(&mut self) {
        let environment = self.environment.clone();
        let set_up = |command: &mut Command| {
            command.envs(environment);
        };
        self.child = Some(self.holder.start(&binary("zun-console"), set_up).expect("it runs"));
    }

    /// Ends the program and waits for that.
    async fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("it runs");
        let pid = i32::try_from(child.id().expect("a pid")).expect("small");
        kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("sent");
        timeout(TIMEOUT, child.wait()).await.expect("in time").expect("ended");
        self.holder.handle_rest().expect("handled");
    }

    pub(super) async fn restart(&mut self, signal: Signal) {
        self.end(signal).await;
        self.spawn();
    }
}

/// A session that is resumed whenever its link is lost.
struct Client<'a> {
    dialer: TlsDialer,
    identity: Identity,
    grant: &'a Grant,
}

impl Client<'_> {
    async fn connect(&self, hello: ClientHello) -> Session {
        eventually_some("the gate serves the session", async || {
            Session::connect(&self.dialer, &self.identity, self.grant, hello.clone()).await.ok()
        })
        .await
    }

    /// Copies until the process has exited. Returns all output, and how long each link was lost.
    async fn copy(
        &self,
        mut session: Session,
        mut copy: Copy,
        seed: u64,
        may_end: &AtomicBool,
    ) -> (Copy, Vec<Duration>) {
        let mut typist = SmallRng::seed_from_u64(seed);
        let mut away = Vec::new();
        loop {
            copy.pass(&mut session, &mut typist).await;
            if copy.ending.is_some() {
                return (copy, away);
            }
            copy.output.append(&mut session.stdout);
            session.hello.stdout_next = copy.output.len() as u64;
            let lost = Instant::now();
            session = self.connect(session.resume()).await;
            away.push(lost.elapsed());
            assert!(session.hello.resumed);
            copy.sent = usize::try_from(session.hello.stdin_next).expect("small");
            copy.end_sent = session.hello.stdin_ended;
            copy.may_end = may_end.load(Ordering::SeqCst);
            assert_eq!(session.hello.stdout_next, copy.output.len() as u64);
        }
    }
}

async fn restarts_lose_nothing(signal: Signal) {
    let bench = Bench::start().await;
    let times = profile::times(100);
    let seed: u64 = rand::random();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut input = vec![0; times * BETWEEN];
    random.fill(input.as_mut_slice());
    let mut program = Program::start(&bench).await;
    let other = bench.shell(true, "sleep 600");
    bench.docker(&["start", &other]);
    let id = bench.shell(false, "cat; exit 7");
    let grants = [
        console(&id, Mode::ReadWrite),
        exec(&bench.exec(&other, false, &["sh", "-c", "cat; exit 8"])),
    ];
    let clients = grants.each_ref().map(|grant| Client {
        dialer: program.dialer.clone(),
        identity: bench.granted(grant),
        grant,
    });
    let may_end = AtomicBool::new(false);
    let [first, second] = clients.each_ref();
    let sessions = (first.connect(hello()).await, second.connect(hello()).await);
    let container = first.copy(sessions.0, Copy::of(input.clone()), seed, &may_end);
    let exec = second.copy(sessions.1, Copy::of(input), seed, &may_end);
    let restarting = async {
        bench.docker(&["start", &id]);
        for left in (0..times).rev() {
            sleep(Duration::from_micros(random.random_range(0..150_000))).await;
            may_end.store(left == 0, Ordering::SeqCst);
            program.restart(signal).await;
        }
    };
    let all = Box::pin(async { tokio::join!(container, exec, restarting) });
    let (container, exec, ()) = timeout(Duration::from_mins(5), all)
        .await
        .unwrap_or_else(|_| panic!("seed {seed}: too slow"));
    let mut away: Vec<_> = [container.1, exec.1].concat();
    away.sort();
    let (median, longest) = (away[away.len() / 2], away[away.len() - 1]);
    println!("{signal:?}: {} links lost, away for {median:?} (median), {longest:?}", away.len());
    for (copy, code) in [(container.0, 7), (exec.0, 8)] {
        assert_eq!(copy.ending.expect("an ending").zun.exit_code, Some(code));
        assert_eq!(copy.output.len(), copy.input.len(), "seed {seed}");
        assert_eq!(Sha256::digest(&copy.output), Sha256::digest(&copy.input), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c76_a_killed_gate_loses_and_repeats_nothing() {
    let _recorder = recorder!();
    Box::pin(restarts_lose_nothing(Signal::KILL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c76_a_restarted_gate_loses_and_repeats_nothing() {
    let _recorder = recorder!();
    Box::pin(restarts_lose_nothing(Signal::TERM)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c76_an_exit_while_the_gate_is_away_is_told_with_the_last_output() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let mut program = Program::start(&bench).await;
    let other = bench.shell(true, "sleep 600");
    bench.docker(&["start", &other]);
    let script =
        "echo begun; read x; i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; exit";
    let own = bench.shell(false, &format!("{script} 42"));
    let removed = bench.container(&["--rm", "-i", "busybox", "sh", "-c", &format!("{script} 43")]);
    let process = bench.exec(&other, false, &["sh", "-c", &format!("{script} 44")]);
    let cases = [
        (console(&own, Mode::ReadWrite), Some(&own), 42),
        (console(&removed, Mode::ReadWrite), Some(&removed), 43),
        (exec(&process), None, 44),
    ];
    for (grant, container, code) in cases {
        let (dialer, identity) = (program.dialer.clone(), bench.granted(&grant));
        let client = Client { dialer, identity, grant: &grant };
        let mut session = client.connect(hello()).await;
        if let Some(container) = container {
            bench.docker(&["start", container]);
        }
        session.until("begun").await;
        session.types(b"\n").await;
        while session.acknowledged == 0 {
            assert!(session.receive().await);
        }
        program.end(Signal::KILL).await;
        while session.receive().await {}
        if let Some(container) = container {
            drop(bench.command(&["wait", container]).output());
        }
        let resume = session.resume();
        let before = std::mem::take(&mut session.stdout);
        program.spawn();
        let mut session = client.connect(resume).await;
        let ending = session.ending().await;
        assert_eq!((ending.zun.reason, ending.zun.exit_code), (EndingReason::Exited, Some(code)));
        let shown = [before, session.stdout].concat();
        let expected: Vec<_> = (0..2000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&shown), format!("begun\n{}", expected.concat()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c76_an_exec_that_is_just_being_started_is_held_for_a_client_that_does_not_know_it() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let mut program = Program::start(&bench).await;
    let other = bench.shell(true, "sleep 600");
    bench.docker(&["start", &other]);
    let cases: [(&[&str], _, _); 2] = [
        (&["sh", "-c", "echo begun; cat; exit 9"], EndingReason::Exited, 9),
        (&["no-such-program"], EndingReason::NotStarted, 127),
    ];
    for (command, reason, code) in cases {
        let grant = exec(&bench.exec(&other, false, command));
        let (dialer, identity) = (program.dialer.clone(), bench.granted(&grant));
        let client = Client { dialer, identity, grant: &grant };
        // The answer comes before Docker has started the process.
        let mut former = client.connect(hello()).await;
        program.restart(Signal::KILL).await;
        while former.receive().await {}
        let mut session = client.connect(hello()).await;
        assert!(!session.hello.resumed);
        session.send(Frame::StdinEnd).await;
        let ending = session.ending().await;
        assert_eq!((ending.zun.reason, ending.zun.exit_code), (reason, Some(code)));
        let shown = if code == 9 { "begun\n" } else { "" };
        assert_eq!(String::from_utf8_lossy(&session.stdout), shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c34_an_exec_whose_client_is_lost_gets_its_signal_also_from_the_next_gate() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let mut program = Program::start(&bench).await;
    let other = bench.shell(true, "sleep 600");
    bench.docker(&["start", &other]);
    let asks = |signal, grace| {
        let on_disconnect = Some(OnDisconnect { signal, grace });
        ClientHello { on_disconnect, ..hello() }
    };
    // The whole process group gets the signal: also the child that the shell waits for.
    let script = "trap 'echo hung up > /tmp/hup' HUP; sleep 500 & echo begun; wait; wait";
    let killed = "echo begun; sleep 501; echo more";
    let cases = [
        (true, script, asks(DisconnectSignal::Hup, 3)),
        (false, killed, asks(DisconnectSignal::Kill, 3)),
        (true, "echo begun; sleep 502", hello()),
    ];
    let mut lost = Vec::new();
    for (tty, script, hello) in cases {
        let grant = exec(&bench.exec(&other, tty, &["sh", "-c", script]));
        let (dialer, identity) = (program.dialer.clone(), bench.granted(&grant));
        let client = Client { dialer, identity, grant: &grant };
        let acts = hello.on_disconnect.is_some();
        let mut session = client.connect(hello).await;
        assert_eq!(session.hello.acts_on_disconnect, acts);
        session.until("begun").await;
        lost.push(session);
    }
    let runs = |seconds: &str| bench.docker(&["top", &other]).contains(&format!("sleep {seconds}"));
    assert!(["500", "501", "502"].into_iter().all(runs));
    program.restart(Signal::KILL).await;
    drop(lost);
    eventually("the processes have got their signals", || !runs("500") && !runs("501"));
    assert_eq!(bench.docker(&["exec", &other, "cat", "/tmp/hup"]), "hung up");
    assert!(runs("502"), "nobody has asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_stay_valid_and_used_and_revoked_tickets_stay_so_after_the_gate_was_killed() {
    let bench = Bench::start().await;
    let mut program = Program::start(&bench).await;
    let id = bench.shell(true, "echo begun; sleep 600");
    bench.docker(&["start", &id]);
    let socket = control_socket(&bench);
    let issue = |grant: &str, uses: u32| {
        let request = json!({
            "target": { "container": id }, "mode": "rw", "project": "p1", "grant": grant,
            "seconds": 600, "uses": uses,
        });
        control(&socket, "POST", "/tickets", &request)
    };
    let ticket = |grant, uses| {
        let (status, answer) = issue(grant, uses);
        assert_eq!(status, 200, "{answer}");
        answer["ticket"].as_str().expect("a ticket").to_owned()
    };
    let public = TlsDialer { name: PUBLIC.to_owned(), ..program.dialer.clone() };
    let open = async |ticket: &str| {
        Session::with_ticket(&public, ticket, hello()).await.map_err(|refused| {
            assert_eq!(refused, Refused::Status(403));
        })
    };
    let [shared, once, revoked] = [ticket("t1", 3), ticket("t2", 1), ticket("t3", 3)];
    let former = open(&shared).await.expect("a session");
    open(&once).await.expect("a session").detach().await;
    for grant in ["t3", "g1"] {
        let path = format!("/grants/{grant}");
        assert_eq!(control(&socket, "DELETE", &path, &Value::Null).0, 200);
    }
    let grant = console(&id, Mode::ReadWrite);
    for signal in [Signal::KILL, Signal::TERM] {
        program.restart(signal).await;
        eventually("the gate listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        open(&shared).await.expect("the link is valid").detach().await;
        for ticket in [&once, &revoked] {
            assert!(open(ticket).await.is_err());
        }
        assert_eq!(issue("t3", 1).0, 409, "its ID is revoked");
        let certified =
            Session::connect(&program.dialer, &bench.granted(&grant), &grant, hello()).await;
        assert_eq!(certified.err(), Some(Refused::Status(403)), "the grant is revoked");
    }
    assert!(open(&shared).await.is_err(), "all its uses are used up");
    let again = Session::with_ticket(&public, &shared, former.resume()).await.expect("resumed");
    assert!(again.hello.resumed);
}
