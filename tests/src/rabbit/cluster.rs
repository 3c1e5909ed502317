//! The RabbitMQ of one test: the one of the test run, used exclusively, or a cluster of nodes on this machine.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use url::Url;
use uuid::Uuid;

use super::{Rabbit, answers_greeting, docker, variable};
use crate::cluster::free_address;
use crate::eventually::eventually_some;

/// Seconds after which a node takes a silent one for dead. Shorter than the default, so that a test sees it.
const NET_TICK: u32 = 15;

/// The nodes of a broker. Dropping it removes those that were started for it.
#[derive(Debug)]
pub struct RabbitCluster {
    nodes: Vec<Rabbit>,
    _containers: Containers,
}

/// Removes its containers when it is dropped.
#[derive(Debug)]
struct Containers {
    engine: String,
    names: Vec<String>,
}

impl RabbitCluster {
    /// Uses one broker.
    pub fn one(node: Rabbit) -> Self {
        let containers = Containers { engine: node.engine.clone(), names: Vec::new() };
        Self { nodes: vec![node], _containers: containers }
    }

    /// Starts a cluster of so many nodes, and waits until it works.
    ///
    /// # Panics
    /// Panics if it does not.
    pub async fn start(count: usize) -> Self {
        let engine = variable("ZUN_TEST_DOCKER");
        let shared = variable("ZUN_TEST_RABBIT_CONTAINER");
        let image = docker(&engine, &["inspect", "-f", "{{.Config.Image}}", &shared]).await;
        let prefix = format!("zun-rabbitmq-{}", Uuid::new_v4().simple());
        let mut containers = Containers { engine: engine.clone(), names: Vec::new() };
        // The nodes find each other through epmd. In a container of its own, it outlives each of them.
        let epmd = free_address().port().to_string();
        let name = format!("{prefix}-epmd");
        containers.names.push(name.clone());
        let run = ["run", "-d", "--name", &name, "--network", "host"];
        let program = ["--entrypoint", "epmd", &image, "-address", "127.0.0.1", "-port", &epmd];
        docker(&engine, &[&run[..], &program].concat()).await;
        let mut nodes = Vec::new();
        for index in 0..count {
            let name = format!("{prefix}-{index}");
            containers.names.push(name.clone());
            nodes.push(start_node((&engine, &image), name, (index, &epmd)).await);
        }
        for node in &nodes {
            eventually_some("the node answers", || answers_greeting(node.address())).await;
        }
        for node in nodes.iter().skip(1) {
            for words in [&["stop_app"][..], &["join_cluster", &node_name(0)], &["start_app"]] {
                let exec = ["exec", &node.container, "rabbitmqctl", "-q"];
                docker(&engine, &[&exec[..], words].concat()).await;
            }
        }
        for node in &nodes {
            eventually_some("the node answers", || answers_greeting(node.address())).await;
        }
        Self { nodes, _containers: containers }
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &[Rabbit] {
        &self.nodes
    }

    /// Returns the addresses of all nodes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Rabbit::address).collect()
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let mut command = Command::new("docker");
        command.args(["--host", &self.engine, "rm", "-f"]).args(&self.names);
        let removed = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("cannot remove the containers {:?}", self.names);
        }
    }
}

fn node_name(index: usize) -> String {
    format!("zun-{index}@localhost")
}

async fn start_node(
    (engine, image): (&str, &str),
    container: String,
    (index, epmd): (usize, &str),
) -> Rabbit {
    let [listener, management, distribution] = [(); 3].map(|()| free_address().port());
    let mut amqp: Url = variable("ZUN_TEST_AMQP").parse().expect("a URL");
    let mut api: Url = variable("ZUN_TEST_RABBIT_API").parse().expect("a URL");
    amqp.set_port(Some(listener)).expect("a port");
    api.set_port(Some(management)).expect("a port");
    let arguments = format!(
        "-kernel inet_dist_use_interface {{127,0,0,1}} -kernel net_ticktime {NET_TICK} \
         -rabbit cluster_partition_handling pause_minority \
         -rabbitmq_management listener [{{port,{management}}},{{ip,\"127.0.0.1\"}}]"
    );
    let variables = [
        format!("RABBITMQ_NODENAME={}", node_name(index)),
        "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1".to_owned(),
        format!("RABBITMQ_NODE_PORT={listener}"),
        format!("RABBITMQ_DIST_PORT={distribution}"),
        format!("ERL_EPMD_PORT={epmd}"),
        "ERL_EPMD_ADDRESS=127.0.0.1".to_owned(),
        format!("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={arguments}"),
        format!("RABBITMQ_DEFAULT_USER={}", amqp.username()),
        format!("RABBITMQ_DEFAULT_PASS={}", amqp.password().unwrap_or_default()),
    ];
    let mut run = vec!["run", "-d", "--name", &container, "--network", "host", "--memory", "1g"];
    run.extend(variables.iter().flat_map(|variable| ["-e", variable]));
    run.push(image);
    docker(engine, &run).await;
    Rabbit { amqp, api, container, engine: engine.to_owned(), _lock: None }
}
