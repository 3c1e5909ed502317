//! The console gate of a host, which clients dial through a proxy that a test can break.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use zun_common::id::HostName;
use zun_compute::certificate::CertificateFiles;

use super::{Cluster, Running, free_address, write_private};
use crate::eventually::eventually;
use crate::proxy::Proxy;

/// The gate. It is killed on drop.
pub(super) struct Gate {
    running: Option<Running>,
    settings: PathBuf,
    control: PathBuf,
    address: SocketAddr,
    proxy: Proxy,
}

impl Gate {
    /// Starts a gate for this engine, with its certificate. Pages of `origin` may show its page.
    pub(super) async fn start(
        host: &HostName,
        directory: &Path,
        (engine, files): (&Path, &CertificateFiles),
        origin: &str,
    ) -> Self {
        let address = free_address();
        let CertificateFiles { ca, certificate, key } = files;
        let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
        let proxy = Proxy::to(address).await;
        let control = directory.join("gate.sock");
        let text = format!(
            "host = '{host}'\nlisten = '{address}'\ncontrol_socket = '{}'\nstate_directory = '{}'\n[recordings]\nquota = 1\n[docker]\nsocket = '{}'\n\
             [tls]\nca = '{ca}'\ncertificate = '{certificate}'\nkey = '{key}'\n\
             [public]\nname = 'localhost'\nport = {}\ncertificate = '{certificate}'\nkey = '{key}'\n\
             origins = ['{origin}']\n",
            control.display(),
            directory.join("gate").display(),
            engine.display(),
            proxy.address().port(),
        );
        let settings = directory.join("zun-console.toml");
        write_private(&settings, &text);
        let mut gate = Self { running: None, settings, control, address, proxy };
        gate.run();
        gate
    }

    /// The address that clients dial.
    pub(super) const fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The control socket.
    pub(super) fn control(&self) -> &Path {
        &self.control
    }

    fn run(&mut self) {
        let log = self.settings.with_extension("log");
        self.running = Some(Running::spawn("zun-console", (&self.settings, &log), None));
        let address = self.address;
        eventually("the gate listens", || std::net::TcpStream::connect(address).is_ok());
    }
}

impl Cluster {
    /// Returns the proxy in front of the first host's console gate.
    pub fn gate(&self) -> &Proxy {
        &self.hosts[0].gate.as_ref().expect("a cluster with a gate").proxy
    }

    /// Sends the first host's gate a signal, waits until it has ended, and starts another one.
    pub fn restart_gate(&mut self, signal: Signal) {
        let gate = self.hosts[0].gate.as_mut().expect("a cluster with a gate");
        gate.running.take().expect("the gate runs").end(signal);
        gate.run();
    }
}
