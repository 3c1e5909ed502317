//! A client of the REST API that records each request and its answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use zun_common::id::ContainerId;
use zun_tests::history::{Answer, Attempt, Call, Outcome, Recorder};

use crate::plan::New;
use crate::witness::Witness;

/// A client gives up after this time. Long enough for a stop with its grace period.
const TIMEOUT: Duration = Duration::from_secs(25);
/// The grace period of a stop, in seconds.
const GRACE: &str = "2";

/// All clients of a run share one.
pub struct Client {
    http: reqwest::Client,
    endpoints: Vec<String>,
    token: &'static str,
    witness: Witness,
    /// The endpoint of the next request.
    turn: AtomicUsize,
    pub recorder: Recorder,
    facts: Mutex<Facts>,
}

/// What the clients did and learned.
#[derive(Debug, Default)]
pub struct Facts {
    /// The container of each create, by the token of the create.
    pub created: BTreeMap<String, ContainerId>,
    /// How often each container may have run, by the token of its create. None: as often as its engine likes.
    pub runs_allowed: BTreeMap<String, Option<usize>>,
    /// All execs.
    pub execs: Vec<Attempt>,
    /// Number of requests: those that changed something, and those that did or may have, by kind.
    pub sent: BTreeMap<&'static str, Counts>,
    next: usize,
}

/// The outcomes of one kind of request.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub struct Counts {
    pub accepted: usize,
    pub refused: usize,
    pub unknown: usize,
}

/// An answer of the service.
#[derive(Debug, Clone)]
struct Reply {
    /// None if there was none. The flag says whether the request may have arrived.
    status: Result<u16, bool>,
    body: Value,
}

impl Client {
    /// Creates a client.
    pub fn new(endpoints: Vec<String>, token: &'static str, witness: Witness) -> Self {
        // Another test may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(TIMEOUT)
            .build()
            .expect("an HTTP client");
        Self {
            http,
            endpoints,
            token,
            witness,
            turn: AtomicUsize::default(),
            recorder: Recorder::default(),
            facts: Mutex::default(),
        }
    }

    /// Returns what is known.
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, kind: &str) -> String {
        let mut facts = self.facts();
        facts.next += 1;
        format!("{kind}-{}", facts.next)
    }

    /// Creates a container.
    pub async fn create(&self, client: usize, name: &str, new: &New) -> Answer {
        let token = self.token("create");
        let run = self.witness.send("run $CHAOS");
        let script = format!("trap 'exit 0' TERM; {run}; sleep 1000000 & wait");
        let mut body = json!({
            "name": name, "image": "cirros", "image_pull_policy": "never", "run": new.run,
            "command": ["/bin/sh", "-c", script], "environment": {"CHAOS": token}, "labels": {"chaos": token},
            "cpu": 0.1, "memory": new.memory,
        });
        if new.restarts {
            body["restart_policy"] = json!({"Name": "always"});
        }
        let open =
            self.recorder.called(client, Some(token.clone()), Call::Create { name: name.into() });
        let reply = self.send(Method::POST, "/containers", Some(body)).await;
        let mut answer = reply.answer();
        if answer == Answer::Done {
            self.learn(&reply.body);
            answer = reply.id().map_or(Answer::Unknown { created: None }, Answer::Created);
        }
        self.recorder.answered(open, answer.clone());
        let exists = matches!(answer, Answer::Created(_) | Answer::Unknown { .. });
        let allowed = if new.restarts { None } else { Some(usize::from(exists && new.run)) };
        let mut facts = self.facts();
        facts.runs_allowed.insert(token, allowed);
        facts.count("create", &answer);
        answer
    }

    /// Deletes a container.
    pub async fn delete(&self, client: usize, id: ContainerId, query: &str) -> Answer {
        let open = self.recorder.called(client, None, Call::Delete { id });
        let reply = self.send(Method::DELETE, &format!("/containers/{id}{query}"), None).await;
        let answer = reply.answer();
        self.recorder.answered(open, answer.clone());
        self.facts().count("delete", &answer);
        answer
    }

    /// Gives a container another name.
    pub async fn rename(&self, client: usize, id: ContainerId, to: &str) -> Answer {
        let open = self.recorder.called(client, None, Call::Rename { id, to: to.into() });
        let body = json!({"name": to});
        let answer = self.send(Method::PATCH, &format!("/containers/{id}"), Some(body)).await;
        let answer = answer.answer();
        self.recorder.answered(open, answer.clone());
        self.facts().count("rename", &answer);
        answer
    }

    /// Changes the memory limit of a container.
    pub async fn limit(&self, client: usize, id: ContainerId, memory: u64) -> Answer {
        let open = self.recorder.called(client, None, Call::Act { id });
        let body = json!({"memory": memory});
        let reply = self.send(Method::PATCH, &format!("/containers/{id}"), Some(body)).await;
        let answer = reply.answer_without_name();
        self.recorder.answered(open, answer.clone());
        self.facts().count("limit", &answer);
        answer
    }

    /// Starts, stops or kills a container.
    pub async fn act(&self, client: usize, id: ContainerId, verb: &'static str) -> Answer {
        let query = match verb {
            "stop" => format!("?timeout={GRACE}"),
            _ => String::new(),
        };
        let open = self.recorder.called(client, None, Call::Act { id });
        let path = format!("/containers/{id}/{verb}{query}");
        let answer = self.send(Method::POST, &path, None).await.answer_without_name();
        self.recorder.answered(open, answer.clone());
        let mut facts = self.facts();
        facts.count(verb, &answer);
        if verb == "start" && matches!(answer, Answer::Done | Answer::Unknown { .. }) {
            facts.allow_run(id);
        }
        answer
    }

    /// Runs a command in a container.
    pub async fn exec(&self, client: usize, id: ContainerId) -> Answer {
        let token = self.token("exec");
        let script = self.witness.send(&token);
        let open = self.recorder.called(client, None, Call::Act { id });
        let body = json!({"command": ["/bin/sh", "-c", script], "run": true});
        let reply = self.send(Method::POST, &format!("/containers/{id}/execute"), Some(body)).await;
        let answer = reply.answer_without_name();
        let outcome = if answer == Answer::Done && reply.body["exit_code"] == 0 {
            Outcome::Ran
        } else if matches!(answer, Answer::Done | Answer::Unknown { .. }) {
            Outcome::Unknown
        } else {
            Outcome::Refused
        };
        self.recorder.answered(open, answer.clone());
        let mut facts = self.facts();
        facts.count("exec", &answer);
        facts.execs.push(Attempt { token, outcome, answered: self.recorder.now() });
        answer
    }

    /// Shows a container by its ID.
    pub async fn show(&self, client: usize, id: ContainerId) -> Answer {
        self.read_one(client, &id.to_string(), Call::Show { id }).await
    }

    /// Shows a container by its name.
    pub async fn find(&self, client: usize, name: &str) -> Answer {
        self.read_one(client, name, Call::Find { name: name.into() }).await
    }

    async fn read_one(&self, client: usize, ident: &str, call: Call) -> Answer {
        let open = self.recorder.called(client, None, call);
        let reply = self.send(Method::GET, &format!("/containers/{ident}"), None).await;
        let mut answer = reply.answer();
        if answer == Answer::Done {
            let shown = reply.id().zip(reply.body["name"].as_str());
            answer = shown
                .map_or(Answer::Refused, |(id, name)| Answer::Found { id, name: name.to_owned() });
        }
        self.learn(&reply.body);
        self.recorder.answered(open, answer.clone());
        answer
    }

    /// Lists all containers.
    pub async fn list(&self, client: usize) -> Option<Vec<Value>> {
        let open = self.recorder.called(client, None, Call::List);
        let reply = self.send(Method::GET, "/containers?limit=1000", None).await;
        let rows = reply.body["containers"].as_array().cloned();
        let rows = rows.filter(|_| reply.answer() == Answer::Done && reply.body["next"].is_null());
        for row in rows.iter().flatten() {
            self.learn(row);
        }
        let row = |row: &Value| Some((id_of(row)?, row["name"].as_str()?.to_owned()));
        let listed = rows.as_ref().map(|rows| rows.iter().filter_map(row).collect());
        let answer = listed.map_or(Answer::Refused, Answer::Listed);
        self.recorder.answered(open, answer);
        rows
    }

    /// Reads something that is not part of the history.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let reply = self.send(Method::GET, path, None).await;
        (reply.answer() == Answer::Done).then_some(reply.body)
    }

    /// Notes which create a container comes from.
    fn learn(&self, row: &Value) {
        if let (Some(id), Some(token)) = (id_of(row), row["labels"]["chaos"].as_str()) {
            self.facts().created.insert(token.to_owned(), id);
        }
    }

    /// Lets a host recover after its database was restored. Returns whether the request was accepted.
    pub async fn recover(&self, host: &str) -> bool {
        let reply = self.send(Method::POST, &format!("/hosts/{host}/recover"), None).await;
        reply.answer() == Answer::Done
    }

    /// Sends a request to the next zun-api, or if nothing listens there, to another one.
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut reply = Reply { status: Err(false), body: Value::Null };
        for index in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[(first + index) % self.endpoints.len()];
            let url = format!("{endpoint}/v1{path}");
            reply = self.send_to(method.clone(), url, body.as_ref()).await;
            if reply.status != Err(false) {
                break;
            }
        }
        reply
    }

    async fn send_to(&self, method: Method, url: String, body: Option<&Value>) -> Reply {
        let mut request = self
            .http
            .request(method, url)
            .header("X-Auth-Token", self.token)
            .header("OpenStack-API-Version", "container 1.40");
        if let Some(body) = body {
            request = request.json(body);
        }
        let sent = match request.send().await {
            Ok(sent) => sent,
            Err(error) => {
                return Reply { status: Err(!error.is_connect()), body: Value::Null };
            }
        };
        let status = sent.status().as_u16();
        match sent.bytes().await {
            Ok(bytes) => {
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                Reply { status: Ok(status), body }
            }
            Err(_) => Reply { status: Err(true), body: Value::Null },
        }
    }
}

impl Reply {
    /// What the answer says. `NameTaken` stands for every conflict that is not about the status.
    fn answer(&self) -> Answer {
        let code = self.body["errors"][0]["code"].as_str().unwrap_or_default();
        match (self.status, code) {
            (Ok(200..300), _) => Answer::Done,
            (Ok(404), "container.container-not-found") => Answer::NotFound,
            (Ok(409), "container.invalid-state-exception") => Answer::WrongStatus,
            (Ok(409), _) => Answer::NameTaken,
            // The engine may have stopped during the request.
            (Ok(503), code) if code != "container.engine-down" => Answer::Refused,
            (Err(false) | Ok(400..500), _) => Answer::Refused,
            (Err(true) | Ok(_), _) => Answer::Unknown { created: None },
        }
    }

    /// Like [`Self::answer`], for a request without a name: a conflict is about something else.
    fn answer_without_name(&self) -> Answer {
        let answer = self.answer();
        if answer == Answer::NameTaken { Answer::Refused } else { answer }
    }

    fn id(&self) -> Option<ContainerId> {
        id_of(&self.body)
    }
}

impl Facts {
    fn count(&mut self, kind: &'static str, answer: &Answer) {
        let counts = self.sent.entry(kind).or_default();
        if matches!(answer, Answer::Created(_) | Answer::Done) {
            counts.accepted += 1;
        } else if matches!(answer, Answer::Unknown { .. }) {
            counts.unknown += 1;
        } else {
            counts.refused += 1;
        }
    }

    /// Allows one more run of a container.
    fn allow_run(&mut self, id: ContainerId) {
        let token = self.created.iter().find(|(_, of)| **of == id).map(|(token, _)| token.clone());
        let allowed = token.and_then(|token| self.runs_allowed.get_mut(&token));
        if let Some(Some(allowed)) = allowed {
            *allowed += 1;
        }
    }
}

/// Returns the ID of a container in an answer.
pub fn id_of(row: &Value) -> Option<ContainerId> {
    row["uuid"].as_str()?.parse().ok()
}
