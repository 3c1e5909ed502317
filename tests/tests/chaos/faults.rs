//! Injects the faults of the plan into the cluster, and checks the engines during them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;
use zun_common::id::ContainerId;
use zun_tests::cluster::Cluster;
use zun_tests::eventually::eventually_some;
use zun_tests::proxy::Proxy;

use crate::client::Client;
use crate::engines::{Engines, doubled};
use crate::forgotten::Window;
use crate::plan::{Fault, How, Part, Round};
use crate::timeline::stamp;

/// The time between checks of the engines and of services that ended by themselves.
const TICK: Duration = Duration::from_millis(500);

/// What happened.
#[derive(Debug, Default)]
pub struct Injected {
    /// Number of faults, by kind.
    pub faults: BTreeMap<String, usize>,
    /// Containers that were in two engines at once.
    pub on_two_hosts: BTreeMap<ContainerId, Vec<usize>>,
    /// The faults in order, for the report.
    pub log: Vec<String>,
    /// What the database has forgotten.
    pub forgotten: Vec<Window>,
    /// Number of `zun host recover` calls after restores.
    pub recoveries: usize,
}

/// The injector.
pub struct Injector<'a> {
    pub cluster: &'a mut Cluster,
    pub engines: Engines,
    pub client: Arc<Client>,
    pub injected: Injected,
}

impl Injector<'_> {
    /// Injects round after round until the token is cancelled. Afterwards, all parts run again.
    pub async fn run(&mut self, rounds: impl Iterator<Item = Round>, enough: &CancellationToken) {
        for round in rounds {
            if enough.run_until_cancelled(self.watch(round.pause)).await.is_none() {
                return;
            }
            self.round(round.faults).await;
        }
    }

    async fn round(&mut self, mut faults: Vec<Fault>) {
        for fault in &faults {
            self.log(&format!("{:?} {:?} for {:?}", fault.how, fault.part, fault.lasts));
            *self.injected.faults.entry(kind(fault)).or_default() += 1;
            self.begin(fault).await;
        }
        let begun = Instant::now();
        // A killed engine takes long to start, and must not delay the others.
        let killed =
            |fault: &Fault| matches!(fault.part, Part::Engine(_)) && fault.how == How::Kill;
        faults.sort_by_key(|fault| (killed(fault), fault.lasts));
        for fault in &faults {
            self.watch(fault.lasts.saturating_sub(begun.elapsed())).await;
            self.end(fault).await;
            self.log(&format!("{:?} is back", fault.part));
        }
    }

    fn log(&mut self, words: &str) {
        let line = format!("{} [fault] {words}", stamp(Utc::now()));
        println!("chaos: {line}");
        self.injected.log.push(line);
    }

    async fn begin(&mut self, fault: &Fault) {
        let signal = match fault.how {
            How::Kill => Signal::KILL,
            How::Terminate => Signal::TERM,
            How::Freeze => Signal::STOP,
            How::Cut | How::Stall | How::StallAnswers => {
                return disturb(self.link(fault.part), fault.how);
            }
            How::Restore => return self.save().await,
            How::Wipe => return self.cluster.wipe_rabbit().await,
            How::Step(seconds) => return self.step(fault.part, seconds),
            How::Twin | How::Impostor => return self.launch_twin(fault),
        };
        let freeze = fault.how == How::Freeze;
        match fault.part {
            Part::Api(api) if freeze => self.cluster.signal_api(api, signal),
            Part::Api(api) => self.cluster.end_api(api, signal),
            Part::Agent(host) if freeze => self.cluster.signal_agent(host, signal),
            Part::Agent(host) => self.cluster.end_agent(host, signal),
            Part::Engine(host) => self.cluster.signal_engine(host, signal),
            Part::Rabbit(node) if freeze => self.cluster.rabbit(node).pause().await,
            Part::Rabbit(node) => self.cluster.rabbit(node).kill().await,
            Part::Postgres => self.cluster.crash_postgres(),
            Part::ApiLink(_)
            | Part::AgentLink(_)
            | Part::DatabaseLink(_)
            | Part::ApiClock(_)
            | Part::AgentClock(_)
            | Part::HostName(_)
            | Part::Database
            | Part::Queues => {}
        }
    }

    async fn end(&mut self, fault: &Fault) {
        let freeze = fault.how == How::Freeze;
        match fault.part {
            Part::Api(api) if freeze => self.cluster.signal_api(api, Signal::CONT),
            Part::Api(api) => self.cluster.launch_api(api),
            Part::Agent(host) if freeze => self.cluster.signal_agent(host, Signal::CONT),
            Part::Agent(host) => self.cluster.launch_agent(host),
            Part::Engine(host) if freeze => self.cluster.signal_engine(host, Signal::CONT),
            Part::Engine(host) => self.cluster.start_engine(host).await,
            Part::Rabbit(node) if freeze => self.cluster.rabbit(node).unpause().await,
            Part::Rabbit(node) => self.cluster.rabbit(node).start().await,
            Part::ApiLink(_) | Part::AgentLink(_) | Part::DatabaseLink(_) => {
                if let Some(link) = self.link(fault.part) {
                    link.restore();
                }
            }
            Part::ApiClock(_) | Part::AgentClock(_) => self.step(fault.part, 0),
            Part::HostName(host) => self.cluster.end_twin(host),
            Part::Postgres => {}
            Part::Database => self.restore(),
            Part::Queues => self.cluster.refill_rabbit().await,
        }
    }

    fn step(&self, part: Part, seconds: i32) {
        match part {
            Part::ApiClock(api) => self.cluster.step_api_clock(api, seconds),
            Part::AgentClock(host) => self.cluster.step_agent_clock(host, seconds),
            Part::Api(_)
            | Part::Agent(_)
            | Part::Engine(_)
            | Part::Rabbit(_)
            | Part::ApiLink(_)
            | Part::AgentLink(_)
            | Part::DatabaseLink(_)
            | Part::HostName(_)
            | Part::Postgres
            | Part::Database
            | Part::Queues => {}
        }
    }

    fn launch_twin(&mut self, fault: &Fault) {
        let Part::HostName(host) = fault.part else { return };
        let hosts = self.cluster.hosts();
        let engine = if fault.how == How::Impostor { (host + 1) % hosts } else { host };
        self.cluster.launch_twin(host, engine);
    }

    fn link(&self, part: Part) -> Option<&Proxy> {
        match part {
            Part::ApiLink(api) => Some(self.cluster.api_link(api)),
            Part::AgentLink(host) => Some(self.cluster.agent_link(host)),
            Part::DatabaseLink(api) => Some(self.cluster.postgres_link(api)),
            Part::Api(_)
            | Part::Agent(_)
            | Part::Engine(_)
            | Part::Rabbit(_)
            | Part::ApiClock(_)
            | Part::AgentClock(_)
            | Part::HostName(_)
            | Part::Postgres
            | Part::Database
            | Part::Queues => None,
        }
    }

    /// Copies the database. What the clients do afterwards will be forgotten.
    async fn save(&mut self) {
        self.without_apis(Cluster::copy_database);
        let from = self.client.recorder.now();
        self.injected.forgotten.push(Window { from, to: Duration::MAX });
        // Without it, nothing may happen that could be forgotten. It may have to wait for the broker.
        eventually_some("zun-api answers", || self.client.get("/hosts")).await;
    }

    fn restore(&mut self) {
        self.without_apis(Cluster::restore_database);
        let to = self.client.recorder.now();
        if let Some(window) = self.injected.forgotten.last_mut() {
            window.to = to;
        }
    }

    /// Kills all zun-api, does something, and starts them again.
    fn without_apis(&mut self, work: impl FnOnce(&Cluster)) {
        for api in 0..self.cluster.apis() {
            self.cluster.end_api(api, Signal::KILL);
        }
        work(self.cluster);
        for api in 0..self.cluster.apis() {
            self.cluster.launch_api(api);
        }
    }

    /// Lets hosts recover that know more than the database, as an administrator does.
    async fn recover(&mut self) {
        if self.injected.forgotten.is_empty() {
            return;
        }
        let hosts = self.client.get("/hosts").await.unwrap_or_default();
        for host in hosts["hosts"].as_array().into_iter().flatten() {
            let Some(name) = host["hostname"].as_str() else { continue };
            if host["state"] == "recovering" && self.client.recover(name).await {
                self.injected.recoveries += 1;
                self.log(&format!("host {name} has recovered"));
            }
        }
    }

    /// Waits, and meanwhile looks for containers on two hosts and for services that ended by themselves.
    pub async fn watch(&mut self, how_long: Duration) {
        let end = Instant::now() + how_long;
        loop {
            self.cluster.start_ended_services();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // A frozen engine does not answer, and must not delay the end of the fault.
            let asked = tokio::time::timeout(left, self.engines.containers()).await;
            if let Ok((all, _)) = asked {
                self.injected.on_two_hosts.extend(doubled(&all));
            }
            let left = end.saturating_duration_since(Instant::now());
            // A zun-api that is frozen does not answer.
            drop(tokio::time::timeout(left.min(TICK), self.recover()).await);
            let left = end.saturating_duration_since(Instant::now());
            tokio::time::sleep(TICK.min(left)).await;
        }
    }
}

fn disturb(link: Option<&Proxy>, how: How) {
    match (link, how) {
        (Some(link), How::Stall) => link.stall(),
        (Some(link), How::StallAnswers) => link.stall_answers(),
        (Some(link), _) => link.refuse(),
        (None, _) => {}
    }
}

fn kind(fault: &Fault) -> String {
    let part = match fault.part {
        Part::Api(_) => "zun-api",
        Part::Agent(_) => "zun-compute",
        Part::Engine(_) => "dockerd",
        Part::Rabbit(_) => "RabbitMQ",
        Part::ApiLink(_) => "zun-api's link",
        Part::AgentLink(_) => "zun-compute's link",
        Part::DatabaseLink(_) => "link to PostgreSQL",
        Part::ApiClock(_) => "zun-api's clock",
        Part::AgentClock(_) => "zun-compute's clock",
        Part::HostName(_) => "host name",
        Part::Postgres => "PostgreSQL",
        Part::Database => "database",
        Part::Queues => "queues",
    };
    format!("{part} {}", format!("{:?}", fault.how).to_lowercase())
}
