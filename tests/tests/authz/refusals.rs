//! Requests that must be refused, in one table.

use chrono::{Duration, Utc};
use rcgen::{ExtendedKeyUsagePurpose as Purpose, IsCa, SanType};
use zun_common::grant::{Call, Grant, Mode, WaitCondition};
use zun_common::units::TerminalSize;
use zun_tests::tls::{Identity, RogueCa, common_name, dns, uri};

use super::bench::{Bench, console, exec};
use super::request::{Outcome, RequestLine, outcome};

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// One attempt.
struct Attempt {
    name: String,
    identity: Option<Identity>,
    line: RequestLine,
    expected: Outcome,
}

/// A bench with two running containers: `ours`, which the grants name, and `victim`.
struct Table {
    bench: Bench,
    ours: String,
    victim: String,
    attempts: Vec<Attempt>,
}

impl Table {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let run = |name| {
            let arguments = ["--name", name, "--interactive", "--tty", "small", "sh"];
            let id = bench.container(&arguments);
            bench.docker(&["start", &id]);
            id
        };
        let (ours, victim) = (run("ours"), run("victim"));
        Self { bench, ours, victim, attempts: Vec::new() }
    }

    fn grant(&self) -> Grant {
        console(&self.ours, Mode::ReadWrite)
    }

    fn short(&self) -> &str {
        self.ours.split_at(12).0
    }

    fn good(&self) -> Identity {
        self.bench.granted(&self.grant(), "good")
    }

    /// Returns a harmless granted call. Every bad certificate is tried with it.
    fn resize(&self) -> RequestLine {
        RequestLine::of(&self.grant(), self.bench.version, Call::Resize(SIZE))
    }

    fn add(&mut self, name: impl Into<String>, identity: Option<Identity>, expected: Outcome) {
        let line = self.resize();
        self.attempts.push(Attempt { name: name.into(), identity, line, expected });
    }

    fn line(&mut self, identity: &Identity, line: RequestLine, expected: Outcome) {
        let name = format!("{} {}", line.method, line.target);
        let identity = Some(identity.clone());
        self.attempts.push(Attempt { name, identity, line, expected });
    }

    /// Adds attempts with certificates that the engine refuses.
    fn refused_at_the_handshake(&mut self) {
        let grant = self.grant().to_string();
        let rogue_ca = RogueCa::of(&self.bench.ca_directory());
        let purposes = |all| rogue_ca.identity(&grant, |params| params.extended_key_usages = all);
        let now = Utc::now();
        let early =
            Identity::granted(&self.bench.ca, &self.grant(), "early", now + Duration::hours(1));
        let late =
            Identity::granted(&self.bench.ca, &self.grant(), "late", now - Duration::hours(1));
        let own = self.bench.rogue_ca.with_another_key().identity(&grant, |_| {});
        let below = self.good().behind(&own);
        let good = self.good();
        let signed_by_a_grant = good.as_ca().identity(&grant, |_| {}).followed_by(&good);
        let stranger = RogueCa::named("theirs");
        for (name, identity) in [
            ("no certificate", None),
            ("expired", Some(late)),
            ("not valid yet", Some(early)),
            ("another key", Some(self.good().stolen())),
            ("another CA", Some(stranger.identity(&grant, |_| {}))),
            (
                "another CA, sent along",
                Some(stranger.identity(&grant, |_| {}).followed_by(&stranger.itself())),
            ),
            (
                "a CA with the name of ours",
                Some(rogue_ca.with_another_key().identity(&grant, |_| {})),
            ),
            ("self-signed", Some(stranger.itself())),
            ("a certificate with a grant appended", Some(below)),
            ("signed with a grant's key", Some(signed_by_a_grant)),
            ("for servers", Some(purposes(vec![Purpose::ServerAuth]))),
            ("for code signing", Some(purposes(vec![Purpose::CodeSigning]))),
        ] {
            self.add(name, identity, Outcome::Handshake);
        }
    }

    /// Adds attempts with certificates of our CA that the engine accepts and the plugin refuses.
    fn refused_by_the_plugin(&mut self) {
        let grant = self.grant().to_string();
        let rogue_ca = RogueCa::of(&self.bench.ca_directory());
        let names = |names: Vec<SanType>| {
            rogue_ca.identity(&grant, |params| params.subject_alt_names = names)
        };
        let purposes = |all: Vec<Purpose>| {
            rogue_ca.identity(&grant, |params| params.extended_key_usages = all)
        };
        let rows = [
            ("for another host", names(vec![uri(&grant.replace("compute1", "compute2"))])),
            ("for another container", names(vec![uri(&grant.replace(&self.ours, &self.victim))])),
            (
                "for an exec of that id",
                names(vec![uri(&format!("zun://compute1/exec/{}", self.ours))]),
            ),
            ("read-only, for a call that types", names(vec![uri(&grant.replace("rw", "ro"))])),
            ("an unknown mode", names(vec![uri(&grant.replace("rw", "rwx"))])),
            ("a grant with a suffix", names(vec![uri(&format!("{grant}&x=1"))])),
            ("a container's name", names(vec![uri(&grant.replace(&self.ours, "ours"))])),
            ("a prefix of an id", names(vec![uri(&grant.replace(&self.ours, self.short()))])),
            ("two grants", names(vec![uri(&grant), uri(&grant.replace(&self.ours, &self.victim))])),
            ("a grant and a name", names(vec![uri(&grant), dns("compute1")])),
            ("a name", names(vec![dns("compute1")])),
            ("no alternative name", names(Vec::new())),
            (
                "no common name",
                rogue_ca.identity(&grant, |params| {
                    params.distinguished_name = rcgen::DistinguishedName::new();
                }),
            ),
            (
                "an empty common name",
                rogue_ca.identity(&grant, |params| params.distinguished_name = common_name("")),
            ),
            (
                "a common name with blanks",
                rogue_ca.identity(&grant, |params| params.distinguished_name = common_name("a b")),
            ),
            (
                "valid for longer than any grant",
                rogue_ca.identity(&grant, |params| params.not_after += time::Duration::SECOND * 5),
            ),
            ("no purpose", purposes(Vec::new())),
            ("any purpose", purposes(vec![Purpose::Any])),
            ("for clients and servers", purposes(vec![Purpose::ClientAuth, Purpose::ServerAuth])),
            (
                "a CA certificate",
                rogue_ca.identity(&grant, |params| {
                    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                }),
            ),
            ("the CA itself", rogue_ca.itself()),
        ];
        for (name, identity) in rows {
            self.add(name, Some(identity), Outcome::Status(403));
        }
    }

    /// Adds attempts with a valid read-write grant on calls that it does not cover.
    fn other_calls(&mut self) {
        let (identity, ours, victim) = (self.good(), self.ours.clone(), self.victim.clone());
        let v = format!("/v{}", self.bench.version);
        for (method, target) in [
            ("GET", "/_ping".to_owned()),
            ("GET", "/info".to_owned()),
            ("GET", format!("{v}/containers/json")),
            ("POST", format!("{v}/containers/create")),
            ("POST", format!("{v}/images/create?fromImage=x")),
            ("GET", format!("{v}/containers/{ours}/json")),
            ("POST", format!("{v}/containers/{ours}/exec")),
            ("POST", format!("{v}/containers/{ours}/kill")),
            ("POST", format!("{v}/containers/{ours}/stop")),
            ("DELETE", format!("{v}/containers/{ours}?force=1")),
            ("GET", format!("{v}/containers/{ours}/logs?stdout=1")),
            ("GET", format!("{v}/containers/{ours}/archive?path=/")),
            ("PUT", format!("{v}/containers/{ours}/archive?path=/")),
            ("GET", format!("{v}/events")),
            ("POST", format!("{v}/containers/{ours}/wait?condition=removed&x=1")),
            ("POST", format!("{v}/containers/{victim}/resize?h=24&w=80")),
            ("POST", format!("{v}/containers/ours/resize?h=24&w=80")),
            ("POST", format!("{v}/containers/{}/resize?h=24&w=80", ours.split_at(12).0)),
            ("POST", format!("{v}/containers/{}/resize?h=24&w=80", ours.to_uppercase())),
            ("POST", format!("/v1.40/containers/{ours}/resize?h=24&w=80")),
            ("POST", format!("/containers/{ours}/resize?h=24&w=80")),
            ("POST", format!("{v}/containers/{ours}/resize?w=80&h=24")),
            ("POST", format!("{v}/containers/{ours}/resize?h=024&w=80")),
            ("POST", format!("{v}/containers/{ours}/resize?h=24&w=80#")),
            ("POST", format!("{v}/containers%2F{ours}/resize?h=24&w=80")),
            (
                "POST",
                format!(
                    "{v}/containers/{victim}/resize?h=24&w=80&x=/containers/{ours}/resize?h=24&w=80"
                ),
            ),
            ("POST", format!("{v}/containers/{victim}/attach?stream=1&stdin=1&id={ours}")),
            ("POST", format!("http://engine{v}/containers/{ours}/resize?h=24&w=80")),
            ("POST", format!("{v}/exec/{ours}/start")),
        ] {
            self.line(&identity, RequestLine::new(method, target), Outcome::Status(403));
        }
        for (method, target) in [
            ("GET", format!("{v}/containers/{ours}/wait?condition=removed")),
            ("PUT", format!("{v}/containers/{ours}/resize?h=24&w=80")),
            ("POST", format!("{v}/containers/{ours}/resize%3Fh=24&w=80")),
            ("POST", format!("{v}/containers/{ours}/resize/?h=24&w=80")),
        ] {
            self.line(&identity, RequestLine::new(method, target), Outcome::NoSuchCall);
        }
        // The engine redirects these before it asks the plugin. The target of the redirect is refused.
        for (method, target) in [
            ("POST", format!("/{v}/containers/{ours}/resize?h=24&w=80")),
            ("POST", format!("{v}/containers//{ours}/resize?h=24&w=80")),
            ("POST", format!("{v}/containers/{ours}/../{victim}/resize?h=24&w=80")),
            ("POST", format!("{v}/containers/{victim}/./kill")),
        ] {
            self.line(&identity, RequestLine::new(method, target), Outcome::Status(301));
        }
    }

    /// Adds attempts to type with a read-only grant.
    fn read_only(&mut self) {
        let version = self.bench.version;
        let identity = self.bench.granted(&console(&self.ours, Mode::ReadOnly), "reader");
        let typing = self.grant();
        for call in [Call::AttachWebsocket, Call::Attach, Call::Resize(SIZE)] {
            self.line(&identity, RequestLine::of(&typing, version, call), Outcome::Status(403));
        }
        let output =
            RequestLine::of(&console(&self.ours, Mode::ReadOnly), version, Call::AttachOutput);
        for (method, from, to) in [
            ("POST", "stdin=0", "stdin=1"),
            ("POST", "&stdin=0", ""),
            ("POST", "stream=1", "stream=1&stdin=1"),
            ("GET", "/attach?", "/attach/ws?"),
        ] {
            let target = output.target.replace(from, to);
            self.line(&identity, RequestLine::new(method, target), Outcome::Status(403));
        }
        self.line(&identity, output, Outcome::Status(101));
    }

    /// Adds attempts with an exec's grant on another exec and on the container, and with the container's grant on
    /// the exec.
    fn execs(&mut self) {
        let version = self.bench.version;
        let [one, two] = ["a", "b"].map(|letter| letter.repeat(64));
        let identity = self.bench.granted(&exec(&one), "exec");
        for call in [Call::ExecStart, Call::ExecInspect, Call::ExecResize(SIZE)] {
            self.line(&identity, RequestLine::of(&exec(&two), version, call), Outcome::Status(403));
            // The grant's own exec does not exist. The request passes, and the engine says so.
            self.line(&identity, RequestLine::of(&exec(&one), version, call), Outcome::Status(404));
        }
        self.line(&identity, self.resize(), Outcome::Status(403));
        let container = self.good();
        self.line(
            &container,
            RequestLine::of(&exec(&one), version, Call::ExecStart),
            Outcome::Status(403),
        );
    }

    /// Adds requests that must pass. Without them the refusals would prove nothing.
    fn passing(&mut self) {
        let identity = self.good();
        self.add("a good grant", Some(identity.clone()), Outcome::Status(200));
        let chain = identity.followed_by(&self.bench.rogue_ca.itself());
        self.add("a valid grant with its CA", Some(chain), Outcome::Status(200));
        let missing = console(&"c".repeat(64), Mode::ReadWrite);
        let identity = self.bench.granted(&missing, "missing");
        let wait =
            RequestLine::of(&missing, self.bench.version, Call::Wait(WaitCondition::NextExit));
        self.line(&identity, wait, Outcome::Status(404));
    }

    /// Tries all attempts. Returns the counts and the unexpected outcomes.
    async fn run(&self) -> (String, Vec<String>) {
        let (mut handshake, mut refused, mut elsewhere, mut passed) = (0, 0, 0, 0);
        let mut wrong = Vec::new();
        for Attempt { name, identity, line, expected } in &self.attempts {
            let got = outcome(&self.bench.dialer, identity.as_ref(), line).await;
            match &got {
                Outcome::Handshake => handshake += 1,
                Outcome::Status(403) => refused += 1,
                Outcome::Status(301) | Outcome::NoSuchCall => elsewhere += 1,
                Outcome::Status(_) => passed += 1,
            }
            if got != *expected {
                wrong.push(format!("{name}: {got:?} instead of {expected:?}"));
            }
        }
        let tried = self.attempts.len();
        let counts = format!(
            "{tried} tried: {handshake} refused at the handshake, {refused} with 403, \
             {elsewhere} redirected or unknown to the engine, {passed} passed"
        );
        (counts, wrong)
    }
}

#[tokio::test]
async fn only_granted_calls_get_through() {
    let mut table = Table::new().await;
    table.refused_at_the_handshake();
    table.refused_by_the_plugin();
    table.other_calls();
    table.read_only();
    table.execs();
    table.passing();
    let (counts, wrong) = table.run().await;
    println!("{counts}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Nothing was changed, and local requests still work.
    for id in [&table.ours, &table.victim] {
        assert_eq!(table.bench.docker(&["inspect", "-f", "{{.State.Running}}", id]), "true");
    }
    let log = table.bench.stop().await;
    let refusals = log.lines().filter(|line| line.contains("\"refused\"")).count();
    assert!(refusals > 60, "{log}");
    assert!(!log.contains("PRIVATE KEY") && !log.contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn a_refusal_does_not_say_why() {
    let bench = Bench::start().await;
    let id = bench.container(&["small", "sh"]);
    let grant = console(&id, Mode::ReadWrite);
    let rogue_ca = RogueCa::of(&bench.ca_directory());
    let mut bodies = Vec::new();
    for other in [grant.to_string().replace("compute1", "compute2"), "x:y".to_owned()] {
        let identity = rogue_ca.identity(&other, |_| {});
        let line = RequestLine::of(&grant, bench.version, Call::Attach);
        let answer =
            super::request::open(&bench.dialer, Some(&identity), &line).await.expect("an answer");
        assert_eq!(answer.status, 403);
        bodies.push(answer.body);
    }
    assert_eq!(bodies[0], bodies[1]);
    assert!(bodies[0].contains("not granted"), "{}", bodies[0]);
    let log = bench.stop().await;
    assert!(log.contains("the grant is for another host"), "{log}");
    assert!(
        log.contains("the only subject alternative name of the certificate must be a grant URI"),
        "{log}"
    );
}
