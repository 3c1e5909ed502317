//! A small host with a new dockerd, and a zun-api in this process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::RwLock;
use zun_api::Service;
use zun_api::ca::{CertificateAuthority, EnrolledHost, EnrolledHosts};
use zun_api::settings::DatabaseUrl;
use zun_common::bus::{Bus, BusSettings, connect};
use zun_common::shutdown::Tasks;
use zun_compute::docker_setup::{
    Machine, Outcome, Paths, Services, SetupError, UnitAction, set_up,
};
use zun_compute::driver::docker::{CONSOLE_SIZE_API, RUNTIME_PROGRAM};
use zun_compute::settings::Settings;
use zun_standalone::engine::{Layout, PrivateEngine};
use zun_tests::tls::TlsDialer;
use zun_tests::zun_cli::binary;

use super::units::Units;

pub(super) const HOST: &str = "compute1";
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// A signal reaches every setup of this process, so a test that sends one takes the write lock.
pub(super) static SIGNALS: RwLock<()> = RwLock::const_new(());

pub(super) struct Host {
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) bus: Bus,
    pub(super) units: Arc<Units>,
    api: Option<Service>,
    pub(super) tasks: Tasks,
    pub(super) layout: Layout,
    pub(super) directory: TempDir,
}

impl Host {
    /// Starts a host with these Docker settings.
    pub(super) async fn start(daemon_json: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("zset").tempdir().expect("a directory");
        let layout = Layout::new(&directory.path().join("e"));
        for directory in
            [layout.data(), layout.run_docker().join("plugins"), layout.run_containerd()]
        {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .expect("a directory");
        }
        let units = directory.path().join("units");
        std::fs::create_dir(&units).expect("a directory");
        let bridge = bridge(&layout);
        std::fs::write(units.join("docker.service"), unit(&layout, &bridge)).expect("written");
        std::fs::write(layout.config(), daemon_json).expect("written");
        let manager = Arc::new(Units::new(&units, Layout::new(layout.root())));
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).expect("a bus");
        let api = api(directory.path(), bus.clone(), &tasks).await;
        let paths = Paths {
            daemon_json: directory.path().join("never.json"),
            units,
            record: directory.path().join("record/former.json"),
            undo_marker: directory.path().join("undone/undone"),
            plugin_socket: layout.plugin_socket(),
            runtime: directory.path().join("zun-runtime"),
        };
        // It must belong to root, because Docker runs it as root.
        std::fs::copy(binary(RUNTIME_PROGRAM), &paths.runtime).expect("copied");
        let services: Arc<dyn Services> = Arc::clone(&manager) as Arc<dyn Services>;
        let machine = Machine { paths, services, engine: layout.socket() };
        let settings = settings(directory.path());
        let units = manager;
        let host = Self { machine, settings, bus, units, api: Some(api), tasks, layout, directory };
        host.units.control(UnitAction::Restart, "docker.service").await.expect("dockerd starts");
        host.import();
        host
    }

    /// Returns the address where clients dial consoles.
    pub(super) fn address(&self) -> SocketAddr {
        let address = self.settings.console.address.as_ref().expect("an address");
        (Ipv4Addr::LOCALHOST, address.port().expect("a port")).into()
    }

    pub(super) async fn set_up(&self) -> Result<Outcome, SetupError> {
        let _no_signal = SIGNALS.read().await;
        self.set_up_on(&self.machine).await
    }

    /// Runs the setup with another `Machine`, which may have faults.
    pub(super) async fn set_up_on(&self, machine: &Machine) -> Result<Outcome, SetupError> {
        set_up(machine, &self.settings, Some(self.address()), &self.bus).await
    }

    /// Runs Docker's client and returns its stdout.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker")
            .arg("-H")
            .arg(format!("unix://{}", self.layout.socket().display()))
            .args(arguments)
            .output()
            .expect("docker runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "docker {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs Docker's client, asserts that it fails, and returns its stderr.
    pub(super) fn refuses(&self, arguments: &[&str]) -> String {
        let socket = format!("unix://{}", self.layout.socket().display());
        let output = Command::new("docker").args(["-H", &socket]).args(arguments).output();
        let output = output.expect("docker runs");
        assert!(!output.status.success(), "docker {arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts a container and returns its ID.
    pub(super) fn container(&self) -> String {
        self.docker(&["run", "-d", "--network", "none", "small", "/bin/busybox", "sleep", "100000"])
    }

    /// Returns the pid of a running container.
    pub(super) fn pid(&self, container: &str) -> String {
        self.docker(&["inspect", "-f", "{{.State.Running}} {{.State.Pid}}", container])
    }

    /// Returns whether its Docker needs zun-runtime for the initial terminal size.
    pub(super) fn needs_runtime(&self) -> bool {
        self.settings.console.api_version.expect("a version") < CONSOLE_SIZE_API
    }

    /// Returns a dialer that trusts the host's CA.
    pub(super) fn dialer(&self) -> TlsDialer {
        let ca = std::fs::read_to_string(self.directory.path().join("ca/ca.pem")).expect("a CA");
        TlsDialer { address: self.address(), name: "127.0.0.1".to_owned(), ca }
    }

    /// Returns the content of every file that the setup may write: units, Docker's settings, keys and the record.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let place = self.directory.path();
        for directory in ["units", "pki", "record"] {
            collect(&place.join(directory), &mut found);
        }
        if let Ok(bytes) = std::fs::read(self.layout.config()) {
            found.insert(self.layout.config(), bytes);
        }
        found
    }

    fn import(&self) {
        let script = "b=$(command -v busybox); d=$(mktemp -d); mkdir $d/bin; cp $b $d/bin/busybox; \
            tar -C $d -c . | docker -H unix://$0 import - small; rm -r $d";
        let done = Command::new("sh").args(["-c", script]).arg(self.layout.socket()).output();
        let done = done.expect("sh runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Stops zun-api.
    pub(super) async fn stop_api(&mut self) {
        self.take_api().stop().await;
    }

    /// Takes zun-api out, so that the test can stop it later.
    pub(super) fn take_api(&mut self) -> Service {
        self.api.take().expect("zun-api runs")
    }

    pub(super) async fn stop(mut self) {
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        self.tasks.finish(Duration::from_secs(5)).await;
        // Ends every process in this host's namespace and removes the bridge.
        PrivateEngine::clear(self.layout.root()).expect("cleared");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        PrivateEngine::clear(self.layout.root()).unwrap_or_default();
    }
}

fn collect(place: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    found.insert(place.to_owned(), Vec::new());
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("read"));
        }
    }
}

/// Like Debian's unit, except for the paths.
fn unit(layout: &Layout, bridge: &str) -> String {
    format!(
        "[Unit]\nDescription=Docker\n[Service]\nType=notify\n\
         ExecStart=dockerd -H unix://{} --config-file {} --data-root {} --pidfile {} --group root \
         --exec-root /run/docker --bridge {bridge} --iptables=false --ip6tables=false --ip-forward=false\n\
         ExecReload=/bin/kill -s HUP $MAINPID\n",
        layout.socket().display(),
        layout.config().display(),
        layout.data().display(),
        layout.pidfile().display(),
    )
}

/// Creates a bridge with this engine's mark. The cleanup finds the bridge by it.
fn bridge(layout: &Layout) -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    let name = format!("zuns{}n{number}", pid % 100_000);
    let address = format!("10.{}.{}.1/24", 216 + number % 8, pid % 250);
    for arguments in [
        vec!["link", "add", &name, "type", "bridge"],
        vec!["link", "set", &name, "alias", &layout.mark()],
        vec!["address", "add", &address, "dev", &name],
        vec!["link", "set", &name, "up"],
    ] {
        let done = Command::new("ip").args(&arguments).output().expect("ip runs");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    name
}

async fn api(directory: &Path, bus: Bus, tasks: &Tasks) -> Service {
    let mut settings = zun_api::settings::Settings::default();
    settings.http.listen = (Ipv4Addr::LOCALHOST, 0).into();
    settings.auth.strategy = zun_api::settings::Strategy::None;
    settings.database.url = DatabaseUrl::Sqlite(directory.join("zun.sqlite"));
    let ca = directory.join("ca");
    CertificateAuthority::init(&ca).expect("a CA");
    let names = ["127.0.0.1", "127.0.0.2"].map(|name| name.parse().expect("an address"));
    let enrolled = EnrolledHost::new(HOST.parse().expect("a name"), names);
    EnrolledHosts::of_ca(&ca).enrol(&enrolled).expect("enrolled");
    settings.console.ca_directory = Some(ca);
    Service::start(settings, bus, tasks).await.expect("zun-api")
}

fn settings(directory: &Path) -> Settings {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = probe.local_addr().expect("an address");
    let mut settings =
        Settings { host: Some(HOST.parse().expect("a name")), ..Settings::default() };
    settings.console.address = Some(address.to_string().try_into().expect("an address"));
    let version = Command::new("dockerd").arg("--version").output().expect("dockerd");
    let old = String::from_utf8_lossy(&version.stdout).contains(" 20.10");
    let version = if old { "1.41" } else { "1.45" };
    settings.console.api_version = Some(version.parse().expect("a version"));
    settings.console.certificates = Some(directory.join("pki"));
    settings.state_directory = directory.join("state");
    settings
}
