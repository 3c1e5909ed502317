//! Faults of a cluster: its processes are killed, frozen and started again, one by one. Nothing here waits until the
//! cluster works again.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use zun_common::chain;

use super::{Cluster, Running, clock, free_address, write_private};
use crate::proxy::Proxy;
use crate::rabbit::Rabbit;

/// How often to try to start an engine.
const ENGINE_TRIES: usize = 5;

impl Cluster {
    /// Starts a zun-api.
    pub fn launch_api(&mut self, index: usize) {
        let settings = self.directory.path().join(format!("zun-api-{index}.toml"));
        let log = self.directory.path().join(format!("zun-api-{index}.log"));
        let clock = self.clock("zun-api", index);
        self.apis[index].running =
            Some(Running::spawn("zun-api", (&settings, &log), clock.as_deref()));
    }

    /// Starts a host's agent.
    pub fn launch_agent(&mut self, index: usize) {
        let log = self.directory.path().join(format!("zun-compute-{index}.log"));
        let clock = self.clock("zun-compute", index);
        let host = &mut self.hosts[index];
        host.agent = Some(Running::spawn("zun-compute", (&host.settings, &log), clock.as_deref()));
    }

    /// Starts another agent with the name of a host, as on a machine that was copied. Its engine is that of
    /// `engine`, which can be the same host.
    pub fn launch_twin(&mut self, index: usize, engine: usize) {
        let directory = self.directory.path();
        let log = directory.join(format!("zun-compute-{index}-twin.log"));
        let settings = directory.join(format!("zun-compute-{index}-twin.toml"));
        let text = std::fs::read_to_string(&self.hosts[index].settings).expect("the settings");
        let own = directory.join(format!("host{index}"));
        let replaced = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}: {text}");
            text.replacen(from, to, 1)
        };
        let state = own.join("state").display().to_string();
        let text = replaced(&text, &state, &format!("{state}-twin"));
        let socket = |host: usize| self.engine_socket(host).display().to_string();
        let text = replaced(&text, &socket(index), &socket(engine));
        let metrics = format!("'{}'", self.hosts[index].metrics);
        let text = replaced(&text, &metrics, &format!("'{}'", free_address()));
        write_private(&settings, &text);
        self.hosts[index].twin = Some(Running::spawn("zun-compute", (&settings, &log), None));
    }

    /// Kills the agent that [`Self::launch_twin`] started, if it still runs.
    pub fn end_twin(&mut self, index: usize) {
        drop(self.hosts[index].twin.take());
    }

    /// Sets the clock of a zun-api so many seconds ahead of the machine's, or behind. The clock of waits stays.
    pub fn step_api_clock(&self, index: usize, seconds: i32) {
        self.step_clock("zun-api", index, seconds);
    }

    /// Like [`Self::step_api_clock`], for the agent of a host.
    pub fn step_agent_clock(&self, index: usize, seconds: i32) {
        self.step_clock("zun-compute", index, seconds);
    }

    fn step_clock(&self, program: &str, index: usize, seconds: i32) {
        let clock = self.clock(program, index).expect("a breakable cluster");
        clock::set(&clock, seconds);
    }

    /// Returns the file with the clock of a service. Only in a cluster that is breakable.
    fn clock(&self, program: &str, index: usize) -> Option<PathBuf> {
        if !self.has_links {
            return None;
        }
        let clock = self.directory.path().join(format!("{program}-{index}.clock"));
        if !clock.exists() {
            clock::set(&clock, 0);
        }
        Some(clock)
    }

    /// Removes everything that the broker has for this cluster, and ends its connections, as after the loss of the
    /// broker's disk.
    pub async fn wipe_rabbit(&self) {
        self.rabbit(0).until_managed().await;
        self.rabbit(0).remove(&self.bus).await;
    }

    /// Lets services use the broker again after [`Self::wipe_rabbit`].
    pub async fn refill_rabbit(&self) {
        self.rabbit(0).create(&self.bus).await;
    }

    /// Starts a service again that has ended by itself, as systemd does.
    pub fn start_ended_services(&mut self) {
        for index in 0..self.apis.len() {
            if self.apis[index].running.as_mut().is_some_and(Running::has_ended) {
                self.launch_api(index);
            }
        }
        for index in 0..self.hosts.len() {
            if self.hosts[index].agent.as_mut().is_some_and(Running::has_ended) {
                self.launch_agent(index);
            }
        }
    }

    /// Sends a zun-api a signal, if it runs.
    pub fn signal_api(&self, index: usize, signal: Signal) {
        if let Some(api) = &self.apis[index].running {
            api.signal(signal);
        }
    }

    /// Sends a host's agent a signal, if it runs.
    pub fn signal_agent(&self, index: usize, signal: Signal) {
        if let Some(agent) = &self.hosts[index].agent {
            agent.signal(signal);
        }
    }

    /// Sends a host's engine a signal.
    pub fn signal_engine(&self, index: usize, signal: Signal) {
        let file = self.engine_directory(index).join("dockerd.pid");
        let pid = std::fs::read_to_string(&file).expect("the engine's pid");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("the engine runs");
    }

    /// Kills a host's engine with SIGKILL. Its containers keep running.
    pub fn kill_engine(&self, index: usize) {
        self.signal_engine(index, Signal::KILL);
    }

    /// Starts a host's engine that was killed. Unless live-restore is on, it stops the containers that still run. Tries
    /// again if it fails, as systemd does: dockerd may find a containerd that is about to end.
    pub async fn start_engine(&mut self, index: usize) {
        let mut tries = 0;
        while let Err(error) = self.hosts[index].engine.start_again().await {
            tries += 1;
            assert!(tries < ENGINE_TRIES, "the engine does not start again: {}", chain(&error));
        }
    }

    /// Switches on live-restore in a host's engine: containers keep running while it is restarted.
    pub fn set_live_restore(&self, index: usize) {
        let file = self.engine_directory(index).join("daemon.json");
        let text = std::fs::read_to_string(&file).expect("the engine's settings");
        let mut settings: Value = serde_json::from_str(&text).expect("JSON");
        settings["live-restore"] = Value::Bool(true);
        std::fs::write(&file, settings.to_string()).expect("written");
        self.signal_engine(index, Signal::HUP);
    }

    /// Returns a node of the broker.
    pub fn rabbit(&self, index: usize) -> &Rabbit {
        &self.brokers.nodes()[index]
    }

    /// Returns the link of a zun-api to the broker. Only in a cluster that is breakable.
    pub fn api_link(&self, index: usize) -> &Proxy {
        self.apis[index].link.as_ref().expect("a breakable cluster")
    }

    /// Returns the link of a host's agent to the broker. Only in a cluster that is breakable.
    pub fn agent_link(&self, index: usize) -> &Proxy {
        self.hosts[index].link.as_ref().expect("a breakable cluster")
    }

    /// Copies the logs of all processes into a directory.
    pub fn save_logs(&self, into: &Path) {
        std::fs::create_dir_all(into).expect("a directory");
        let copy = |from: PathBuf, name: String| {
            if from.exists() {
                std::fs::copy(from, into.join(name)).expect("copied");
            }
        };
        for index in 0..self.apis.len() {
            let api = format!("zun-api-{index}.log");
            copy(self.directory.path().join(&api), api);
        }
        for index in 0..self.hosts.len() {
            let agent = format!("zun-compute-{index}.log");
            copy(self.directory.path().join(&agent), agent);
            let twin = format!("zun-compute-{index}-twin.log");
            copy(self.directory.path().join(&twin), twin);
            let engine = self.engine_directory(index).join("dockerd.log");
            copy(engine, format!("dockerd-{index}.log"));
        }
    }

    pub(super) fn engine_directory(&self, index: usize) -> PathBuf {
        self.directory.path().join(format!("host{index}/engine"))
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("the service runs");
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("its status").is_some()
    }
}
