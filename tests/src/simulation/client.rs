//! Clients: each sends requests to any zun-api, repeats those whose answer was lost, and records everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::sleep;
use zun_api::simulation::{AtEnd, New, Removal, Request, Response, Shown};
use zun_common::id::ContainerId;
use zun_common::units::Mebibytes;

use super::cluster::{Cluster, Reply};
use crate::history::{Answer, Attempt, Call, Entry, Outcome};

/// The names of containers. They are few, so that they are used again.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Signals that do not end the process. Each container gets each of them once at most.
pub const SIGNALS: [&str; 3] = ["SIGWINCH", "SIGCONT", "SIGSTOP"];

/// How often a client repeats a request whose answer was lost.
const REPEATS: usize = 4;

/// What all clients know.
#[derive(Default)]
pub struct Notes {
    /// The requests and answers.
    pub entries: Vec<Entry>,
    /// The containers that nobody has deleted yet, as far as is known.
    known: BTreeSet<ContainerId>,
    /// The signals that nobody has sent to a container yet.
    signals: BTreeMap<ContainerId, Vec<&'static str>>,
    /// The commands that were to run once.
    pub execs: Vec<Attempt>,
    keys: u64,
}

/// A client. Clones share the notes.
#[derive(Clone)]
pub struct Client {
    cluster: Cluster,
    number: usize,
    notes: Arc<Mutex<Notes>>,
}

impl Client {
    /// Creates a client.
    pub fn new(cluster: &Cluster, number: usize, notes: &Arc<Mutex<Notes>>) -> Self {
        Self { cluster: cluster.clone(), number, notes: Arc::clone(notes) }
    }

    /// Sends so many requests, with pauses of up to so many milliseconds.
    pub async fn work(self, requests: usize, pause: u64) {
        for _ in 0..requests {
            let (pause, chosen) = {
                let mut random = self.cluster.executor().random();
                (random.millis(0..pause), random.number())
            };
            sleep(pause).await;
            let request = self.choose(chosen);
            self.send_until_answered(request).await;
        }
    }

    fn choose(&self, chosen: u64) -> Request {
        let mut notes = self.notes();
        let mut random = self.cluster.executor().random();
        let known: Vec<ContainerId> = notes.known.iter().copied().collect();
        let target = random.choose(&known).copied();
        let Some(id) = target.filter(|_| chosen % 100 >= 30) else {
            return new_container(&mut random);
        };
        match chosen % 100 {
            30..55 => {
                notes.known.remove(&id);
                let how = [Removal::Force, Removal::StopFirst, Removal::OnlyStopped];
                Request::Delete(id, *random.choose(&how).unwrap_or(&Removal::Force))
            }
            55..63 => Request::Start(id),
            63..69 => Request::Stop(id),
            69..71 => Request::Reboot(id),
            71..73 => Request::Rebuild(id, image(&mut random)),
            73..80 => {
                let left = notes.signals.entry(id).or_insert_with(|| SIGNALS.to_vec()).pop();
                left.map_or(Request::Show(id), |signal| Request::Kill(id, signal.to_owned()))
            }
            80..83 => Request::Kill(id, "SIGKILL".to_owned()),
            83..86 => Request::Pause(id),
            86..89 => Request::Unpause(id),
            89..91 => Request::Update(id, Mebibytes(64 << random.within(0..4))),
            91..95 => {
                notes.keys += 1;
                let token = format!("exec-{}", notes.keys);
                let command = ["/bin/sh", "-c", "sleep 1"].map(str::to_owned);
                Request::Execute(id, command.into_iter().chain([token]).collect())
            }
            95..97 => Request::Show(id),
            _ => Request::List,
        }
    }

    async fn send_until_answered(&self, request: Request) {
        let has_key = {
            let mut random = self.cluster.executor().random();
            // Without a key, nobody would know what became of a create without an answer.
            match request {
                Request::Show(_) | Request::List | Request::Execute(..) | Request::Recover(_) => {
                    false
                }
                Request::Create(_) => true,
                Request::Delete(..)
                | Request::Start(_)
                | Request::Stop(_)
                | Request::Reboot(_)
                | Request::Rebuild(..)
                | Request::Pause(_)
                | Request::Unpause(_)
                | Request::Kill(..)
                | Request::Update(..) => random.percent(75),
            }
        };
        let key = has_key.then(|| {
            let mut notes = self.notes();
            notes.keys += 1;
            format!("key-{}", notes.keys)
        });
        let restores = self.cluster.restores();
        for _ in 0..REPEATS {
            // A restored database does not know the key.
            if self.cluster.restores() > restores {
                return;
            }
            let answer = self.send(&request, key.clone()).await;
            let asks_again = matches!(answer, Answer::Unknown { .. } | Answer::Refused);
            if key.is_none() || !asks_again {
                break;
            }
            let pause = self.cluster.executor().random().millis(0..6_000);
            sleep(pause).await;
        }
    }

    /// Sends a request once.
    pub async fn send(&self, request: &Request, key: Option<String>) -> Answer {
        let executor = self.cluster.executor();
        let (controller, timeout_after, loses) = {
            let mut random = executor.random();
            let timeout_after = if random.percent(15) { 10..2_000 } else { 20_000..60_000 };
            let controller = random.choose(self.cluster.controllers()).expect("one exists");
            (controller, random.millis(timeout_after), random.percent(5))
        };
        let called = executor.now();
        let mut reply =
            self.cluster.request(controller, (request.clone(), key.clone()), timeout_after).await;
        if loses && reply != Reply::Unreachable {
            reply = Reply::Lost;
        }
        let answer = answer(request, &reply);
        self.learn(&reply);
        if let Request::Execute(_, command) = request {
            let token = command.last().cloned().unwrap_or_default();
            let attempt = Attempt { token, outcome: executed(&reply), answered: executor.now() };
            self.notes().execs.push(attempt);
        }
        let answered = executor.now();
        let (client, call) = (self.number, call(request));
        let entry = Entry { client, key, call, called, answered, answer: answer.clone() };
        self.notes().entries.push(entry);
        answer
    }

    fn learn(&self, reply: &Reply) {
        let mut notes = self.notes();
        let mut note = |shown: &Shown| {
            notes.known.insert(shown.id);
        };
        match reply {
            Reply::Response(Response::Container(shown)) => note(shown),
            Reply::Response(Response::List(list)) => list.iter().for_each(note),
            Reply::Response(Response::Done | Response::Error { .. })
            | Reply::Unreachable
            | Reply::Lost => {}
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_container(random: &mut super::random::Random) -> Request {
    let scripts = [
        "sleep 1000000",
        "trap '' TERM; sleep 1000000",
        "exit 0",
        "sleep 3; exit 3",
        "sleep 30; exit 1",
    ];
    let script = *random.choose(&scripts).expect("not empty");
    let at_end = match random.within(0..100) {
        0..25 => AtEnd::Remove,
        25..36 => AtEnd::Restart,
        _ => AtEnd::Keep,
    };
    Request::Create(New {
        name: (*random.choose(&NAMES).expect("not empty")).to_owned(),
        image: image(random),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        memory: Mebibytes(64 << random.within(0..5)),
        start: random.percent(70),
        at_end,
    })
}

/// Rarely one that no registry has.
fn image(random: &mut super::random::Random) -> String {
    match random.within(0..100) {
        0..3 => "nowhere",
        3..35 => "busybox",
        _ => "cirros",
    }
    .to_owned()
}

fn call(request: &Request) -> Call {
    match request {
        Request::Create(new) => Call::Create { name: new.name.clone() },
        Request::Delete(id, _) => Call::Delete { id: *id },
        Request::Show(id) => Call::Show { id: *id },
        Request::List => Call::List,
        Request::Start(id)
        | Request::Stop(id)
        | Request::Reboot(id)
        | Request::Rebuild(id, _)
        | Request::Pause(id)
        | Request::Unpause(id)
        | Request::Kill(id, _)
        | Request::Execute(id, _)
        | Request::Update(id, _) => Call::Act { id: *id },
        Request::Recover(_) => unreachable!("no client sends it"),
    }
}

/// What the answer to a command says.
const fn executed(reply: &Reply) -> Outcome {
    match reply {
        Reply::Response(Response::Done) => Outcome::Ran,
        Reply::Unreachable | Reply::Response(Response::Error { status: 404, .. }) => {
            Outcome::Refused
        }
        Reply::Lost | Reply::Response(_) => Outcome::Unknown,
    }
}

fn answer(request: &Request, reply: &Reply) -> Answer {
    let response = match reply {
        Reply::Unreachable => return Answer::Refused,
        Reply::Lost => return Answer::Unknown { created: None },
        Reply::Response(response) => response,
    };
    match (response, request) {
        (Response::Container(shown), Request::Create(_)) => Answer::Created(shown.id),
        (Response::Container(shown), Request::Show(_)) => {
            Answer::Found { id: shown.id, name: shown.name.clone() }
        }
        (Response::List(list), _) => {
            Answer::Listed(list.iter().map(|one| (one.id, one.name.clone())).collect())
        }
        (Response::Done | Response::Container(_), _) => Answer::Done,
        (Response::Error { status, code, message: _ }, _) => match (*status, *code) {
            (404, "container.container-not-found") => Answer::NotFound,
            (409, "container.invalid-state-exception") => Answer::WrongStatus,
            (409, _) if matches!(request, Request::Create(_)) => Answer::NameTaken,
            // The engine may have stopped during the request.
            (503, code) if code != "container.engine-down" => Answer::Refused,
            (400..500, _) => Answer::Refused,
            _ => Answer::Unknown { created: None },
        },
    }
}
