//! Checks the service's health over its own listener, like a client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zun_common::bus::Bus;
use zun_common::notify::{Health, ServiceManager};
use zun_common::shutdown::Tasks;

use crate::tls;

/// Longer than the database's timeout, so that `/healthz` logs a database error before this check gives up.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval of the checks until the service is ready.
const STARTUP_INTERVAL: Duration = Duration::from_millis(500);
const SUCCESS: &[u8; 13] = b"HTTP/1.1 200 ";

/// Checks the health of a running zun-api.
#[derive(Debug)]
pub struct HealthMonitor {
    address: SocketAddr,
    /// How to dial a listener with TLS.
    tls: Option<Arc<ClientConfig>>,
    bus: Bus,
}

impl HealthMonitor {
    pub(crate) const fn new(address: SocketAddr, tls: Option<Arc<ClientConfig>>, bus: Bus) -> Self {
        Self { address, tls, bus }
    }

    /// Notifies the service manager until shutdown, and more often until the service is ready.
    pub async fn run(self, mut manager: ServiceManager, tasks: Tasks) {
        loop {
            manager.notify(&self.check().await);
            let pause = if manager.is_ready() { manager.period() } else { STARTUP_INTERVAL };
            if tasks.token().run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn check(&self) -> Health {
        let bus = self.bus.transport().is_serving();
        let responds = matches!(timeout(RESPONSE_TIMEOUT, self.responds()).await, Ok(Ok(true)));
        let status = match (responds, bus) {
            (true, true) => format!("listening on {}", self.address),
            (true, false) => format!("listening on {}; the bus is not connected", self.address),
            (false, _) => "zun-api or its database does not answer".to_owned(),
        };
        Health { ready: responds && bus, alive: responds, status }
    }

    /// Whether `/healthz` reports success, which involves the listener, a worker and the database.
    async fn responds(&self) -> io::Result<bool> {
        let stream = TcpStream::connect(dialable(self.address)).await?;
        match &self.tls {
            None => is_healthy(stream).await,
            Some(config) => {
                let connector = TlsConnector::from(Arc::clone(config));
                is_healthy(connector.connect(tls::server_name(), stream).await?).await
            }
        }
    }
}

/// Whether the service reports success over this connection.
async fn is_healthy(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<bool> {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut start = [0; SUCCESS.len()];
    stream.read_exact(&mut start).await?;
    Ok(start == *SUCCESS)
}

/// Replaces an unspecified listen address (`0.0.0.0` or `::`) by loopback.
fn dialable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use zun_common::bus::{BusSettings, connect};

    use super::*;

    /// Returns the health if the listener sends this response, or never responds if it is `None`.
    async fn health_of(response: Option<&'static str>) -> Health {
        let tasks = Tasks::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let own = tasks.clone();
        tasks.spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("asked");
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.expect("read") > 0, "a request");
            match response {
                Some(response) => stream.write_all(response.as_bytes()).await.expect("answered"),
                None => own.cancelled().await,
            }
        });
        let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).expect("a bus");
        let health = HealthMonitor::new(address, None, bus).check().await;
        tasks.cancel();
        health
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_is_alive_only_if_its_listener_reports_success() {
        assert!(health_of(Some("HTTP/1.1 200 OK\r\n\r\n")).await.alive);
        for response in [Some("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(""), None] {
            let health = health_of(response).await;
            assert!(!health.alive && !health.ready, "{response:?}: {health:?}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_checked_over_loopback() {
        let asked = |text: &str| dialable(text.parse().expect("an address")).to_string();
        assert_eq!(asked("0.0.0.0:9517"), "127.0.0.1:9517");
        assert_eq!(asked("[::]:9517"), "[::1]:9517");
        assert_eq!(asked("192.0.2.7:9517"), "192.0.2.7:9517");
    }
}
