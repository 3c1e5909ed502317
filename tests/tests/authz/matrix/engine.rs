//! The matrix against a real engine.

use std::collections::HashMap;
use std::fmt;

use futures_util::future::join_all;
use zun_tests::eventually::eventually;
use zun_tests::profile;

use super::callers::{self, Caller};
use super::keep_alive::{KeepAliveClient, Outcome};
use super::routes::{self, Base};
use super::site::{Allowed, Site};
use super::spellings;
use crate::authz::request::RequestLine;

/// Maximum number of redirects to follow.
const HOPS: usize = 4;

/// Number of requests by outcome.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    tried: usize,
    handshake: usize,
    refused: usize,
    unknown: usize,
    malformed: usize,
    redirected: usize,
    passed: usize,
}

/// The results of one caller.
#[derive(Default)]
struct CallerResult {
    counts: Counts,
    /// Requests that passed, with their status. The plugin's log must contain them.
    passed: Vec<(RequestLine, u16)>,
    wrong: Vec<String>,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, handshake, refused, unknown, malformed, redirected, passed } = self;
        write!(
            out,
            "{tried} tried: {handshake} refused at the handshake, {refused} with 403, \
             {unknown} with 404 and {malformed} with 400 before the plugin was asked, \
             {redirected} redirected (and followed), {passed} passed"
        )
    }
}

impl Counts {
    fn count(&mut self, outcome: &Outcome) {
        self.tried += 1;
        *match outcome {
            Outcome::Handshake => &mut self.handshake,
            Outcome::Refused => &mut self.refused,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Malformed => &mut self.malformed,
            Outcome::Redirected(_) => &mut self.redirected,
            Outcome::Passed(_) => &mut self.passed,
        } += 1;
    }

    const fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.handshake += other.handshake;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.malformed += other.malformed;
        self.redirected += other.redirected;
        self.passed += other.passed;
    }
}

/// Sends all lines, and follows the engine's redirects.
async fn try_all(
    site: &Site,
    caller: &Caller<'_>,
    lines: &[(&str, RequestLine, bool)],
) -> CallerResult {
    let mut client = KeepAliveClient::new(&site.dialer, || caller.identity());
    let mut tried = CallerResult::default();
    for (name, line, known) in lines {
        let (mut line, mut hops) = (line.clone(), 0);
        loop {
            let outcome = client.send(&line).await;
            tried.counts.count(&outcome);
            if let Some(wrong) = wrong_outcome(caller, &line, *known && hops == 0, &outcome) {
                tried.wrong.push(format!("{}, {name}: {wrong}", caller.name));
            }
            match outcome {
                Outcome::Passed(status) => tried.passed.push((line.clone(), status)),
                Outcome::Redirected(place) if hops < HOPS => {
                    line = RequestLine::new(&line.method, place);
                    hops += 1;
                    continue;
                }
                Outcome::Redirected(_)
                | Outcome::Handshake
                | Outcome::Refused
                | Outcome::Unknown
                | Outcome::Malformed => {}
            }
            break;
        }
    }
    tried
}

/// Returns a message if the outcome is wrong. `known` means that the engine must know the route.
fn wrong_outcome(
    caller: &Caller<'_>,
    line: &RequestLine,
    known: bool,
    outcome: &Outcome,
) -> Option<String> {
    let granted = caller.granted.contains(line);
    let good = match outcome {
        Outcome::Handshake => caller.handshake,
        Outcome::Passed(_) => granted,
        Outcome::Refused => !caller.handshake && !granted,
        Outcome::Unknown | Outcome::Malformed | Outcome::Redirected(_) => {
            !caller.handshake && !granted && !known
        }
    };
    (!good).then(|| format!("{} {} ended with {outcome:?}", line.method, line.target))
}

/// Returns the lines that a caller sends. A long run has all of them. A short run has every route in its plain
/// spelling, console routes in every spelling, and the others in a few spellings that rotate from route to route.
/// A caller whose handshake is refused sends only the plain spelling: of every route in a long run, of every fourth one
/// in a short run.
fn lines(
    site: &Site,
    caller: &Caller<'_>,
    bases: &[Base],
) -> Vec<(&'static str, RequestLine, bool)> {
    const FEW: usize = 2;
    // Every caller sends all its granted calls. Otherwise the refusals would prove nothing.
    let mut lines: Vec<_> =
        caller.granted.iter().map(|line| ("granted", line.clone(), true)).collect();
    for (turn, base) in bases.iter().enumerate() {
        let all = spellings::all(&site.fixture, base);
        let count = all.len();
        for (index, (name, line)) in all.into_iter().enumerate() {
            let has_turn = (index + turn * FEW) % count < FEW;
            // If the handshake is refused, every line costs a new handshake.
            let wanted = if caller.handshake {
                index == 0 && (profile::is_long() || turn % 4 == 0)
            } else {
                index == 0 || base.console || has_turn || profile::is_long()
            };
            if wanted {
                lines.push((name, line, index == 0 && base.known));
            }
        }
    }
    lines
}

/// Returns the granted calls that did not pass. A call on the exec, which exists, must also succeed.
fn missing_calls(site: &Site, caller: &Caller<'_>, passed: &[(RequestLine, u16)]) -> Vec<String> {
    let answers = |line: &RequestLine| {
        let own = passed.iter().filter(|(done, _)| done == line);
        own.map(|(_, status)| *status).collect::<Vec<_>>()
    };
    let good = |line: &RequestLine| {
        let answers = answers(line);
        let starts = line.target.ends_with("/start");
        let works = |status: &u16| match status {
            101 | 200 => true,
            // The exec has already started.
            status => starts && !site.has_new_exec() && *status != 404,
        };
        !answers.is_empty() && (caller.name != callers::EXEC || answers.iter().any(works))
    };
    let missing_calls = caller.granted.iter().filter(|line| !good(line));
    missing_calls
        .map(|line| format!("{}: {line:?} ended with {:?}", caller.name, answers(line)))
        .collect()
}

#[tokio::test]
async fn exactly_the_granted_calls_pass() {
    let site = Site::open().await;
    let callers = callers::all(&site.fixture, &site.rogue_ca);
    let bases = routes::bases(&site.fixture);
    let before = site.allowed().len();
    let all = join_all(callers.iter().map(|caller| {
        let lines = lines(&site, caller, &bases);
        let site = &site;
        async move { try_all(site, caller, &lines).await }
    }))
    .await;
    let (mut counts, mut wrong) = (Counts::default(), Vec::new());
    let mut passed: HashMap<Allowed, usize> = HashMap::new();
    for (caller, tried) in callers.iter().zip(all) {
        println!("{}: {}", caller.name, tried.counts);
        counts.add(tried.counts);
        wrong.extend(tried.wrong);
        wrong.extend(missing_calls(&site, caller, &tried.passed));
        for (RequestLine { method, target }, _) in tried.passed {
            *passed.entry(Allowed { grant: caller.id(), method, target }).or_default() += 1;
        }
    }
    println!("API {}, {} routes and granted calls: {counts}", site.fixture.version, bases.len());
    assert!(wrong.is_empty(), "{} are wrong: {wrong:#?}", wrong.len());
    // The plugin's log has exactly these requests.
    let total: usize = passed.values().sum();
    eventually("the log has all requests that passed", || site.allowed().len() - before >= total);
    for line in &site.allowed()[before..] {
        let times = passed.get_mut(line);
        *times.unwrap_or_else(|| panic!("{line:?} is in the log, but no caller saw it pass")) -= 1;
    }
    passed.retain(|_, times| *times > 0);
    assert!(passed.is_empty(), "passed the engine but not the plugin: {passed:#?}");
    // Nothing was changed.
    for id in [&site.fixture.ours, &site.fixture.victim] {
        assert_eq!(site.docker(&["inspect", "-f", "{{.State.Running}}", id]), "true");
    }
    drop(callers);
    site.close().await;
}
