//! Injects the faults of the plan into the cluster, and watches the engines meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;
use zun_common::id::ContainerId;
use zun_tests::cluster::Cluster;

use crate::engines::{Engines, doubled};
use crate::plan::{Fault, How, Part, Round};
use crate::timeline::stamp;

/// How often to look at the engines and at services that ended by themselves.
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
}

/// The injector.
pub struct Injector<'a> {
    pub cluster: &'a mut Cluster,
    pub engines: Engines,
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
        let begun = Instant::now();
        for fault in &faults {
            self.log(&format!("{:?} {:?} for {:?}", fault.how, fault.part, fault.lasts));
            *self.injected.faults.entry(kind(fault)).or_default() += 1;
            self.begin(fault).await;
        }
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
        };
        let freeze = fault.how == How::Freeze;
        match fault.part {
            Part::Api if freeze => self.cluster.signal_api(signal),
            Part::Api => self.cluster.end_api(signal),
            Part::Agent(host) if freeze => self.cluster.signal_agent(host, signal),
            Part::Agent(host) => self.cluster.end_agent(host, signal),
            Part::Engine(host) => self.cluster.signal_engine(host, signal),
            Part::Rabbit if freeze => self.cluster.rabbit().pause().await,
            Part::Rabbit => self.cluster.rabbit().kill().await,
        }
    }

    async fn end(&mut self, fault: &Fault) {
        let freeze = fault.how == How::Freeze;
        match fault.part {
            Part::Api if freeze => self.cluster.signal_api(Signal::CONT),
            Part::Api => self.cluster.launch_api(),
            Part::Agent(host) if freeze => self.cluster.signal_agent(host, Signal::CONT),
            Part::Agent(host) => self.cluster.launch_agent(host),
            Part::Engine(host) if freeze => self.cluster.signal_engine(host, Signal::CONT),
            Part::Engine(host) => self.cluster.start_engine(host).await,
            Part::Rabbit if freeze => self.cluster.rabbit().unpause().await,
            Part::Rabbit => self.cluster.rabbit().start().await,
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
            tokio::time::sleep(TICK.min(left)).await;
        }
    }
}

fn kind(fault: &Fault) -> String {
    let part = match fault.part {
        Part::Api => "zun-api",
        Part::Agent(_) => "zun-compute",
        Part::Engine(_) => "dockerd",
        Part::Rabbit => "RabbitMQ",
    };
    format!("{part} {}", format!("{:?}", fault.how).to_lowercase())
}
