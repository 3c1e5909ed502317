//! A small cluster of real processes: one zun-api or several, and for each host a zun-compute and a private engine.
//! Clusters use the RabbitMQ of the test run, each with its own virtual host, so that they are separate, or a RabbitMQ
//! cluster of their own.

mod clock;
mod database;
mod faults;
mod gate;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use zun_common::id::HostName;
use zun_common::shutdown::Tasks;
use zun_compute::certificate::{CertificateFiles, CertificateSettings, ensure};
use zun_standalone::engine::{EngineSettings, Layout, Plugin, PrivateEngine, TlsListener};

use crate::eventually::eventually;
use crate::postgres::Database;
use crate::proxy::Proxy;
use crate::rabbit::{Rabbit, RabbitCluster, VirtualHost};
use crate::tunnel::Tunnel;
use crate::zun_cli::{ZunCli, binary};
use gate::Gate;

/// Number of lines of each log that a failed test prints.
const LOG_TAIL_LINES: usize = 60;
const LOG_FILTER: &str = "info,zun_common::bus=debug";
const TOKEN: &str = "a-token-of-this-cluster-and-of-no-other";
const STRANGERS_TOKEN: &str = "a-token-of-a-stranger-in-this-cluster";

/// What clients dial instead of a host's engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// Nothing: clients dial the engine.
    Direct,
    /// A proxy that a test can break.
    Proxy,
    /// A proxy on IPv6. The engine itself listens on IPv4.
    Ipv6,
    /// A proxy on an address other than loopback, and an HTTP CONNECT tunnel that leads to it.
    Tunnel,
    /// A proxy that closes a connection after this idle time.
    IdleTimeout(Duration),
    /// A console gate, through a proxy that a test can break.
    Gate,
}

/// What a cluster consists of.
#[derive(Debug)]
pub struct Shape {
    /// Number of hosts.
    pub hosts: usize,
    /// Number of zun-api. Several need PostgreSQL.
    pub apis: usize,
    /// Number of RabbitMQ nodes.
    pub brokers: usize,
    /// Where zun-api keeps its rows; a SQLite file if it is None.
    pub database: Option<Database>,
}

impl Shape {
    const fn small(hosts: usize) -> Self {
        Self { hosts, apis: 1, brokers: 1, database: None }
    }
}

/// The cluster. [`Cluster::stop`] shuts it down. If it is dropped instead, its processes are killed.
pub struct Cluster {
    brokers: RabbitCluster,
    bus: VirtualHost,
    apis: Vec<Api>,
    hosts: Vec<Host>,
    front: Front,
    /// Whether each service has a proxy of its own to the broker.
    has_links: bool,
    /// Where zun-api keeps its rows; a SQLite file in the directory if it is None.
    database: Option<Database>,
    /// Must be dropped last: when an engine is dropped, it finds its processes through files in this directory.
    directory: TempDir,
}

struct Api {
    endpoint: SocketAddr,
    /// The proxy in front of PostgreSQL.
    database_link: Option<Proxy>,
    /// The listener for its metrics.
    metrics: SocketAddr,
    running: Option<Running>,
    link: Option<Proxy>,
}

struct Host {
    name: HostName,
    settings: PathBuf,
    metrics: SocketAddr,
    link: Option<Proxy>,
    agent: Option<Running>,
    /// Another agent with the same name.
    twin: Option<Running>,
    engine: PrivateEngine,
    proxy: Option<Proxy>,
    tunnel: Option<Tunnel>,
    gate: Option<Gate>,
}

/// A child process, killed on drop.
struct Running(Child);

impl Cluster {
    /// Starts zun-api and this number of hosts, and waits until all hosts are up.
    pub async fn start(hosts: usize) -> Self {
        let brokers = RabbitCluster::one(Rabbit::shared().await);
        Self::with(brokers, Shape::small(hosts), (Front::Direct, false)).await
    }

    /// Starts zun-api and one host whose engine is behind `front`.
    pub async fn behind(front: Front) -> Self {
        let brokers = RabbitCluster::one(Rabbit::shared().await);
        Self::with(brokers, Shape::small(1), (front, false)).await
    }

    /// Like [`Self::start`], with exclusive use of RabbitMQ, so that the test can restart it.
    pub async fn exclusive(hosts: usize) -> Self {
        let brokers = RabbitCluster::one(Rabbit::exclusive().await);
        Self::with(brokers, Shape::small(hosts), (Front::Direct, false)).await
    }

    /// Starts a cluster of which each part, and each service's link to the broker, can be broken.
    pub async fn breakable(shape: Shape) -> Self {
        let brokers = match shape.brokers {
            1 => RabbitCluster::one(Rabbit::exclusive().await),
            count => RabbitCluster::start(count).await,
        };
        Self::with(brokers, shape, (Front::Direct, true)).await
    }

    async fn with(brokers: RabbitCluster, shape: Shape, (front, has_links): (Front, bool)) -> Self {
        let directory =
            tempfile::Builder::new().prefix("zun-cluster-").tempdir().expect("a directory");
        let bus = brokers.nodes()[0].virtual_host().await;
        let Shape { hosts, apis, brokers: _, database } = shape;
        run(Command::new(binary("zun-api"))
            .args(["ca", "init", "--directory"])
            .arg(directory.path().join("ca")));
        let none = (Vec::new(), Vec::new());
        let mut cluster = Self {
            directory,
            brokers,
            bus,
            apis: none.0,
            hosts: none.1,
            front,
            has_links,
            database,
        };
        for index in 0..apis {
            let (link, bus) = cluster.link().await;
            let (endpoint, metrics) = (free_address(), free_address());
            let (database_link, database) = cluster.database_link().await;
            write_api_settings(&cluster, (index, &bus, &database), (endpoint, metrics));
            cluster.apis.push(Api { endpoint, database_link, metrics, running: None, link });
            cluster.start_api(index);
        }
        for index in 0..hosts {
            let host = cluster.start_host(index).await;
            cluster.hosts.push(host);
            cluster.start_agent(index);
        }
        cluster
    }

    /// Returns the type of the queues in RabbitMQ.
    fn queues(&self) -> &'static str {
        if self.brokers.nodes().len() > 1 { "quorum" } else { "classic" }
    }

    /// Returns the URL of the bus for one service, and the proxy through which it leads.
    async fn link(&self) -> (Option<Proxy>, String) {
        if !self.has_links {
            return (None, self.bus.url().to_owned());
        }
        let proxy = Proxy::to_any(&self.brokers.addresses()).await;
        let url = self.bus.settings_through(proxy.address()).url;
        (Some(proxy), url)
    }

    /// Returns the CLI with an administrator's token.
    pub fn zun(&self) -> ZunCli {
        ZunCli::at(&format!("{}/v1", self.endpoint(0)), TOKEN)
    }

    /// Returns the CLI with the token of a user in another project.
    pub fn stranger(&self) -> ZunCli {
        ZunCli::at(&format!("{}/v1", self.endpoint(0)), STRANGERS_TOKEN)
    }

    /// Returns the number of zun-api.
    pub const fn apis(&self) -> usize {
        self.apis.len()
    }

    /// Returns the number of hosts.
    pub const fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Returns the address of a zun-api, without the version.
    pub fn endpoint(&self, index: usize) -> String {
        format!("http://{}", self.apis[index].endpoint)
    }

    /// Returns the administrator's token.
    pub const fn token(&self) -> &'static str {
        TOKEN
    }

    /// Returns the proxy in front of the first host's engine.
    pub fn proxy(&self) -> &Proxy {
        self.hosts[0].proxy.as_ref().expect("a cluster behind a proxy")
    }

    /// Returns the tunnel to the first host.
    pub fn tunnel(&self) -> &Tunnel {
        self.hosts[0].tunnel.as_ref().expect("a cluster behind a tunnel")
    }

    /// Returns the name of a host.
    pub fn host(&self, index: usize) -> &str {
        self.hosts[index].name.as_str()
    }

    /// Returns the address of zun-api's metrics.
    pub fn metrics_of_api(&self) -> SocketAddr {
        self.apis[0].metrics
    }

    /// Returns the address of the metrics of a host's agent.
    pub fn metrics_of_agent(&self, index: usize) -> SocketAddr {
        self.hosts[index].metrics
    }

    /// Returns the socket of the plugin of a host's engine.
    pub fn plugin_socket(&self, index: usize) -> PathBuf {
        Layout::new(&self.engine_directory(index)).plugin_socket()
    }

    /// Returns the file with the certificates of the cluster's CA.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("host0/tls/ca.pem")
    }

    /// Returns the log of the first zun-api so far.
    pub fn api_log(&self) -> String {
        let log = self.directory.path().join("zun-api-0.log");
        std::fs::read_to_string(log).expect("zun-api has a log")
    }

    /// Returns the unix socket of a host's engine.
    pub fn engine_socket(&self, index: usize) -> PathBuf {
        self.hosts[index].engine.socket()
    }

    /// Starts a zun-api and waits until it listens.
    pub fn start_api(&mut self, index: usize) {
        self.launch_api(index);
        let endpoint = self.apis[index].endpoint;
        eventually("zun-api listens", || std::net::TcpStream::connect(endpoint).is_ok());
    }

    /// Sends a zun-api a signal and waits until it has ended.
    pub fn end_api(&mut self, index: usize, signal: Signal) {
        self.apis[index].running.take().expect("zun-api runs").end(signal);
    }

    /// Starts a host's agent and waits until zun-api reports the host as up.
    pub fn start_agent(&mut self, index: usize) {
        self.launch_agent(index);
        let (zun, name) = (self.zun(), self.hosts[index].name.to_string());
        eventually("the host is up", || is_up(&zun, &name));
    }

    /// Sends a host's agent a signal and waits until it has ended.
    pub fn end_agent(&mut self, index: usize, signal: Signal) {
        self.hosts[index].agent.take().expect("the agent runs").end(signal);
    }

    /// Kills RabbitMQ and starts it again. All connections and messages are lost.
    pub async fn restart_rabbit(&self) {
        self.rabbit(0).kill_and_start().await;
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        for host in &mut self.hosts {
            if let Some(agent) = host.agent.take() {
                agent.end(Signal::TERM);
            }
        }
        for api in &mut self.apis {
            if let Some(api) = api.running.take() {
                api.end(Signal::TERM);
            }
        }
        for host in self.hosts.drain(..) {
            host.engine.stop().await.expect("the engine stops");
        }
        self.rabbit(0).remove(&self.bus).await;
    }

    async fn start_host(&self, index: usize) -> Host {
        let name: HostName = format!("host{index}").parse().expect("a host name");
        let directory = self.directory.path().join(format!("host{index}"));
        std::fs::create_dir(&directory).expect("a directory");
        let notify = directory.join("notify.sock");
        let version = PrivateEngine::api_version().await.expect("an installed engine");
        let names = self.names();
        let files = self.certificate(&name, &directory.join("tls")).await;
        let address = free_address();
        let plugin = Plugin {
            program: binary("zun-authz"),
            host: name.clone(),
            api_version: version,
            notify: Some(notify.clone()),
        };
        let CertificateFiles { ca, certificate, key } = files.clone();
        let listener = TlsListener { address, ca, certificate, key, plugin };
        let engine = EngineSettings {
            directory: directory.join("engine"),
            listener: Some(listener),
            runtime: PrivateEngine::runtime_for(version, &binary("zun-authz")),
        };
        let engine = PrivateEngine::start(&engine).await.expect("a private engine");
        copy_image(&engine.socket());
        let proxy = match self.front {
            Front::Direct | Front::Gate => None,
            Front::Proxy => Some(Proxy::to(address).await),
            Front::Ipv6 => Some(Proxy::on(Ipv6Addr::LOCALHOST.into(), address).await),
            Front::Tunnel => Some(Proxy::on(gateway(), address).await),
            Front::IdleTimeout(idle) => Some(Proxy::with_idle_timeout(address, idle).await),
        };
        let address = proxy.as_ref().map_or(address, Proxy::address);
        let tunnel = match self.front {
            Front::Tunnel => Some(Tunnel::to(address).await),
            Front::Direct | Front::Proxy | Front::Ipv6 | Front::IdleTimeout(_) | Front::Gate => {
                None
            }
        };
        let gate = match self.front {
            Front::Gate => {
                let files = (&*engine.socket(), &files);
                Some(Gate::start(&name, &directory, files, &self.endpoint(0)).await)
            }
            Front::Direct | Front::Proxy | Front::Ipv6 | Front::Tunnel | Front::IdleTimeout(_) => {
                None
            }
        };
        let advertised = gate.as_ref().map(|gate| {
            let control = gate.control().display();
            format!("gate = '{}'\ngate_control = '{control}'\n", gate.address())
        });
        let metrics = free_address();
        let settings = directory.join("zun-compute.toml");
        let (link, bus) = self.link().await;
        let text = format!(
            "host = '{name}'\nstate_directory = '{}'\n[bus]\nurl = '{}'\nqueues = '{}'\n[docker]\nsocket = '{}'\n[heartbeat]\ninterval = 1\n\
             [console]\naddress = '{address}'\ncheck_interval = 3600\napi_version = '{version}'\nnotify_socket = '{}'\n\
             certificates = '{}'\nnames = {names:?}\n{}[metrics]\nlisten = '{metrics}'\n[log]\nfilter = '{LOG_FILTER}'\n",
            directory.join("state").display(),
            bus,
            self.queues(),
            engine.socket().display(),
            notify.display(),
            directory.join("tls").display(),
            advertised.unwrap_or_default(),
        );
        write_private(&settings, &text);
        Host { name, engine, settings, metrics, link, agent: None, twin: None, proxy, tunnel, gate }
    }

    /// Returns the names and addresses for the hosts' certificates.
    fn names(&self) -> Vec<String> {
        let mut names = ["127.0.0.1", "::1", "localhost"].map(str::to_owned).to_vec();
        if self.front == Front::Tunnel {
            names.push(gateway().to_string());
        }
        names
    }

    async fn certificate(&self, host: &HostName, directory: &Path) -> CertificateFiles {
        run(Command::new(binary("zun-api"))
            .args(["host", "enrol", host.as_str()])
            .args(self.names().iter().flat_map(|name| ["--name", name]))
            .arg("--directory")
            .arg(self.directory.path().join("ca")));
        let tasks = Tasks::new();
        let bus =
            zun_common::bus::connect(&self.bus.settings(), host.as_str(), &tasks).expect("the bus");
        let wanted = CertificateSettings {
            directory: directory.to_owned(),
            host: host.clone(),
            names: self.names(),
        };
        let files = ensure(&bus, &wanted).await.expect("a server certificate");
        assert!(tasks.finish(Duration::from_secs(10)).await, "the bus closes");
        files
    }
}

/// A failed test prints the end of every service's log.
impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let hosts = (0..self.hosts.len()).map(|index| format!("zun-compute-{index}.log"));
        let apis = (0..self.apis.len()).map(|index| format!("zun-api-{index}.log"));
        for name in apis.chain(hosts) {
            let text = std::fs::read_to_string(self.directory.path().join(&name));
            let text = text.unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
            eprintln!("--- {name}\n{}", last.join("\n"));
        }
    }
}

impl Running {
    fn spawn(program: &str, (settings, log): (&Path, &Path), clock: Option<&Path>) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let mut command = Command::new(binary(program));
        if let Some(clock) = clock {
            clock::follow(&mut command, clock);
        }
        let child = command
            .arg("--config")
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the service runs");
        Self(child)
    }

    fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("the service runs");
        let child = &mut self.0;
        eventually("the service has ended", || child.try_wait().expect("its status").is_some());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.kill().is_ok() && self.0.wait().is_err() {
            eprintln!("cannot wait for a service");
        }
        clock::clean(self.0.id());
    }
}

fn write_api_settings(
    cluster: &Cluster,
    (index, bus, database): (usize, &str, &str),
    (endpoint, metrics): (SocketAddr, SocketAddr),
) {
    let directory = cluster.directory.path();
    let tokens = directory.join("tokens.toml");
    let entries = [(TOKEN, "admin", "['admin']"), (STRANGERS_TOKEN, "stranger", "[]")];
    let entries = entries.map(|(token, user, roles)| {
        let digest = run(Command::new("sh").args(["-c", "printf %s \"$0\" | sha256sum", token]));
        let hash = digest.split_whitespace().next().expect("a digest");
        format!(
            "[[token]]\nsha256 = '{hash}'\nuser = '{user}'\nproject = '{user}'\nroles = {roles}\n"
        )
    });
    write_private(&tokens, &entries.concat());
    let (here, queues) = (directory.display(), cluster.queues());
    let text = format!(
        "[http]\nlisten = '{endpoint}'\n[auth]\nstrategy = 'token'\ntoken_file = '{here}/tokens.toml'\n\
         [database]\nurl = '{database}'\n[bus]\nurl = '{bus}'\nqueues = '{queues}'\n[console]\nca_directory = '{here}/ca'\n\
         [quotas]\ncontainers = -1\ncpu = -1\nmemory = -1\ndisk = -1\n\
         [metrics]\nlisten = '{metrics}'\n[log]\nfilter = '{LOG_FILTER}'\n"
    );
    write_private(&directory.join(format!("zun-api-{index}.toml")), &text);
}

fn write_private(path: &Path, text: &str) {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .expect("a file");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
}

/// Returns this machine's address on the bridge of the test run's engine.
fn gateway() -> IpAddr {
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    let script = "docker -H \"$ZUN_TEST_DOCKER\" network inspect bridge -f \"$0\"";
    let shown = run(Command::new("sh").args(["-c", script, format]));
    shown.trim().parse().expect("an address")
}

/// Copies the image `cirros` from the test run's engine into another engine.
fn copy_image(socket: &Path) {
    let script =
        "docker -H \"$ZUN_TEST_DOCKER\" save cirros:latest | docker -H \"unix://$0\" load -q";
    run(Command::new("sh").args(["-c", script]).arg(socket));
}

fn is_up(zun: &ZunCli, host: &str) -> bool {
    let url = format!("{}/services", zun.variable("OS_ENDPOINT"));
    let header = format!("X-Auth-Token: {TOKEN}");
    let output = Command::new("curl")
        .args(["-sf", "-m", "5", "-H", &header, &url])
        .output()
        .expect("curl runs");
    let Ok(list) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        return false;
    };
    let services = list["services"].as_array().cloned().unwrap_or_default();
    services.iter().any(|service| {
        let ready = service["state"] == "up" && service["console_trouble"].is_null();
        service["host"] == host && ready
    })
}

/// Returns a free address on loopback.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {message}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
