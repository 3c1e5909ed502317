//! Starts and stops all parts of the service in order.
//!
//! ```text
//!  start: token → bus → CA → zun-api → host's certificate → private engine → console gate → agent → ready
//!  stop:  drain agent → drain zun-api → close sessions → stop engine, remove bridge and sockets
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use zun_api::Service;
use zun_api::ca::{CaError, CertificateAuthority, EnrolledHost, EnrolledHosts};
use zun_api::secrets::KeyFileError;
use zun_api::settings::{DatabaseUrl, KeystoneSettings, QuotaSettings, Strategy};
use zun_common::bus::{Bus, BusSettings, ConnectError, connect};
use zun_common::chain;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;
use zun_common::shutdown::Tasks;
use zun_compute::certificate::{self, CertificateError, CertificateFiles, CertificateSettings};
use zun_compute::driver::DriverError;
use zun_compute::driver::docker::DockerDriver;
use zun_compute::settings::ConsoleAddress;
use zun_compute::{Agent, LockError};

use crate::console_gate::{self, ConsoleGate};
use crate::engine::{EngineError, EngineSettings, Layout, Plugin, PrivateEngine, TlsListener};
use crate::host_name::this_host;
use crate::logs::keep_bounded;
pub use crate::registration::NotRegistered;
use crate::registration::wait_for_host;
use crate::state::{State, StateError, Token};

/// The time limit for background tasks at shutdown.
const TASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the standalone service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory")]
    State(#[from] StateError),
    /// The CA cannot be created or read.
    #[error("cannot use the CA")]
    Ca(#[from] CaError),
    /// The keys of secrets cannot be created.
    #[error("cannot create the file of keys")]
    Secrets(#[from] KeyFileError),
    /// The in-memory bus cannot be created.
    #[error("cannot create the in-memory bus")]
    Bus(#[from] ConnectError),
    /// zun-api cannot start.
    #[error("cannot start zun-api")]
    Api(#[from] zun_api::StartError),
    /// The host's certificate cannot be created.
    #[error("cannot create the host's certificate")]
    Certificate(#[from] CertificateError),
    /// The private engine cannot start.
    #[error("cannot start the private Docker engine")]
    Engine(#[from] EngineError),
    /// There is no free port for the engine.
    #[error("cannot find a free port on 127.0.0.1")]
    Port(#[source] std::io::Error),
    /// The driver cannot use the engine.
    #[error("cannot use the private Docker engine")]
    Driver(#[from] DriverError),
    /// The console gate cannot start.
    #[error("cannot start the console gate")]
    Gate(#[from] console_gate::Failure),
    /// The agent cannot start.
    #[error("cannot start zun-compute")]
    Agent(#[from] zun_compute::StartError),
    /// The agent's heartbeats do not reach zun-api.
    #[error(transparent)]
    NotRegistered(#[from] NotRegistered),
}

/// Why the service cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The private engine has exited.
    #[error("the private Docker engine failed")]
    Engine(#[from] EngineError),
    /// The agent cannot continue.
    #[error(transparent)]
    Agent(Arc<LockError>),
}

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state directory.
    pub state: State,
    /// The address of zun-api.
    pub listen: SocketAddr,
    /// The program of the authorization plugin.
    pub authz: PathBuf,
    /// The program of the console gate.
    pub console: PathBuf,
    /// What the console gate logs.
    pub log: String,
    /// Keystone, if it authenticates the callers.
    pub keystone: Option<KeystoneSettings>,
}

/// The running service.
pub struct Standalone {
    api: Service,
    agent: Agent,
    gate: ConsoleGate,
    engine: PrivateEngine,
    tasks: Tasks,
    token: Token,
}

impl Standalone {
    /// Starts all parts. The caller must hold the lock of the state directory.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let tasks = Tasks::new();
        let started = Self::start_with(settings, &tasks).await;
        if started.is_err() {
            tasks.finish(TASK_TIMEOUT).await;
        }
        started
    }

    async fn start_with(settings: &Settings, tasks: &Tasks) -> Result<Self, StartError> {
        let state = &settings.state;
        state.create()?;
        let token = Token::fresh();
        token.write_hash(state)?;
        let host = this_host();
        let bus = connect(&BusSettings::at("memory://"), "zun-api", tasks)?;
        set_up_ca(state, &host)?;
        set_up_secrets(state)?;
        let api = Service::start(api_settings(settings), bus.clone(), tasks).await?;
        let host_bus = bus.with_sender(host.as_str());
        let files = certificate_files(state, &host, &host_bus).await?;
        let (engine, console) = start_engine(settings, &host, &files).await?;
        let gate = ConsoleGate::start(gate_settings(settings, (&host, engine.socket(), files)));
        let gate = gate.await?;
        let driver = DockerDriver::connect(&engine.socket())?;
        let driver = Arc::new(driver.naming_bridges(engine.network_bridges()));
        let dialled = console.address;
        let mut agent_settings = agent_settings(state, host.clone(), console);
        agent_settings.console.gate = Some(advertised(gate.address()));
        agent_settings.console.gate_control = Some(state.gate_socket());
        let agent = Agent::start(agent_settings, host_bus, driver, tasks).await?;
        wait_for_host(&api, &host, dialled).await?;
        tasks.spawn(keep_bounded(logs(state), tasks.clone()));
        Ok(Self { api, agent, gate, engine, tasks: tasks.clone(), token })
    }

    /// The address of zun-api.
    pub const fn address(&self) -> SocketAddr {
        self.api.address()
    }

    /// The admin token.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Waits until the engine exits unexpectedly, or the agent cannot continue, and returns why.
    pub async fn watch(&mut self) -> Ended {
        tokio::select! {
            error = self.engine.watch() => Ended::Engine(error),
            error = self.agent.failed() => Ended::Agent(error),
        }
    }

    /// Stops all parts. The database, images and containers stay in the state directory.
    pub async fn stop(self) {
        let Self { api, agent, gate, engine, tasks, token: _ } = self;
        agent.stop().await;
        api.stop().await;
        gate.stop().await;
        let removed = engine.stop().await;
        if !tasks.finish(TASK_TIMEOUT).await {
            warn!("some tasks did not end before the time limit");
        }
        log_leftovers(removed);
    }
}

fn log_leftovers(removed: Result<(), EngineError>) {
    if let Err(error) = removed {
        warn!(error = %chain(&error), "cannot clean up completely after the private engine");
    }
}

/// All logs of the service.
fn logs(state: &State) -> Vec<PathBuf> {
    let engine = Layout::new(&state.engine());
    vec![state.log(), engine.log("dockerd"), engine.log("zun-authz")]
}

/// Creates the CA at the first start, and enrols this host.
fn set_up_ca(state: &State, host: &HostName) -> Result<(), CaError> {
    let directory = state.ca();
    if !directory.join(zun_api::ca::KEY_FILE).exists() {
        CertificateAuthority::init(&directory)?;
    }
    let names = dialled().into_iter().filter_map(|name| name.parse().ok());
    EnrolledHosts::of_ca(&directory).enrol(&EnrolledHost::new(host.clone(), names))
}

/// Creates the key that encrypts secrets in the database at the first start.
fn set_up_secrets(state: &State) -> Result<(), KeyFileError> {
    match zun_api::secrets::init(&state.secrets()) {
        Ok(()) | Err(KeyFileError::Exists) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The addresses at which clients dial this host, besides its name.
fn dialled() -> Vec<String> {
    let addresses = [Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
    addresses.into_iter().chain(["localhost".to_owned()]).collect()
}

fn api_settings(settings: &Settings) -> zun_api::settings::Settings {
    let state = &settings.state;
    let mut api = zun_api::settings::Settings::default();
    api.http.listen = settings.listen;
    // One person uses it.
    api.quotas = QuotaSettings::UNLIMITED;
    match &settings.keystone {
        Some(keystone) => {
            api.auth.strategy = Strategy::Keystone;
            api.auth.keystone = keystone.clone();
        }
        None => api.auth.token_file = Some(state.tokens()),
    }
    api.database.url = DatabaseUrl::Sqlite(state.database());
    api.bus = BusSettings::at("memory://");
    api.console.ca_directory = Some(state.ca());
    api.secrets.key_file = Some(state.secrets());
    api
}

/// The engine's TLS listener for consoles, and the version of Docker's API that grants permit.
#[derive(Debug, Clone, Copy)]
struct Console {
    address: SocketAddr,
    api_version: ApiVersion,
}

/// Requests the host's certificate, with which both listeners for consoles serve.
async fn certificate_files(
    state: &State,
    host: &HostName,
    bus: &Bus,
) -> Result<CertificateFiles, CertificateError> {
    let wanted =
        CertificateSettings { directory: state.host(), host: host.clone(), names: dialled() };
    certificate::ensure(bus, &wanted).await
}

async fn start_engine(
    settings: &Settings,
    host: &HostName,
    files: &CertificateFiles,
) -> Result<(PrivateEngine, Console), StartError> {
    let state = &settings.state;
    let CertificateFiles { ca, certificate, key } = files.clone();
    let api_version = PrivateEngine::api_version().await?;
    let address = free_port().map_err(StartError::Port)?;
    let plugin = Plugin {
        program: settings.authz.clone(),
        host: host.clone(),
        api_version,
        notify: Some(state.notify_socket()),
    };
    let listener = TlsListener { address, ca, certificate, key, plugin };
    let runtime = PrivateEngine::runtime_for(api_version, &settings.authz);
    let engine = EngineSettings { directory: state.engine(), listener: Some(listener), runtime };
    Ok((PrivateEngine::start(&engine).await?, Console { address, api_version }))
}

fn gate_settings(
    settings: &Settings,
    (host, engine, files): (&HostName, PathBuf, CertificateFiles),
) -> console_gate::Settings {
    let Settings { state, console, log, .. } = settings;
    console_gate::Settings {
        program: console.clone(),
        host: host.clone(),
        engine,
        files,
        notify: state.notify_socket(),
        control: state.gate_socket(),
        store: state.gate_store(),
        data: state.gate(),
        log: log.clone(),
    }
}

/// Finds a free port on the loopback address.
fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn advertised(address: SocketAddr) -> ConsoleAddress {
    address.to_string().try_into().expect("an address with a port is one")
}

fn agent_settings(
    state: &State,
    host: HostName,
    console: Console,
) -> zun_compute::settings::Settings {
    let address = advertised(console.address);
    let mut agent = zun_compute::settings::Settings { host: Some(host), ..Default::default() };
    agent.bus = BusSettings::at("memory://");
    agent.docker.socket = Layout::new(&state.engine()).socket();
    agent.console.address = Some(address);
    agent.console.api_version = Some(console.api_version);
    agent.console.notify_socket = Some(state.notify_socket());
    agent.console.certificates = Some(state.host());
    agent.state_directory = state.agent();
    agent
}
