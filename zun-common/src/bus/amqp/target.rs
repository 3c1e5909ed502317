//! The broker's address, and how to connect to it.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use tokio::time::timeout;

use crate::bus::settings::{BusSettings, ConnectError};

/// Time limit for the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for the connection including the AMQP handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// lapin buffers 32 frames in each direction, so smaller frames save memory.
const MAX_FRAME: u32 = 32 << 10;

/// A broker.
pub(super) struct Target {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    /// The name that the broker shows for the connection.
    name: String,
}

impl Target {
    pub(super) fn new(settings: &BusSettings, name: &str) -> Result<Self, ConnectError> {
        let mut uri: AMQPUri = settings.url.parse().map_err(|why| ConnectError::Url { why })?;
        uri.query.heartbeat.get_or_insert(settings.heartbeat);
        uri.query.frame_max.get_or_insert(MAX_FRAME);
        let tls = match uri.scheme {
            AMQPScheme::AMQP => OwnedTLSConfig::default(),
            AMQPScheme::AMQPS => {
                OwnedTLSConfig { identity: None, cert_chain: Some(read_ca_file(settings)?) }
            }
        };
        Ok(Self { uri, tls, name: name.to_owned() })
    }

    /// Returns this service's broker user.
    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    /// Connects once.
    pub(super) async fn connect(&self) -> io::Result<Connection> {
        let socket = Socket::default();
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
        let (own, tls) = (socket.clone(), self.tls.clone());
        let connected = Connection::connector(
            self.uri.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                let host = (uri.authority.host.clone(), uri.authority.port);
                let stream = timeout(CONNECT_TIMEOUT, async {
                    AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs(host)).await
                });
                let stream = stream.await.map_err(io::Error::from)??;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    own.keep(plain.get_ref())?;
                }
                if uri.scheme == AMQPScheme::AMQP {
                    return Ok(stream);
                }
                let stream = stream.into_tls(&uri.authority.host, tls.as_ref()).await?;
                // Without TLS support, lapin continues in plain text and would send the password.
                if matches!(stream, AsyncTcpStream::Plain(_)) {
                    return Err(
                        io::Error::other("this build has no TLS support for the bus").into()
                    );
                }
                Ok(stream)
            },
            properties,
        );
        match timeout(HANDSHAKE_TIMEOUT, connected).await {
            Ok(connection) => connection.map_err(io::Error::other),
            Err(_elapsed) => {
                socket.shut_down();
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the broker did not finish the AMQP handshake in time",
                ))
            }
        }
    }
}

impl fmt::Display for Target {
    /// Shows the address without user and password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, query: _ } = &self.uri;
        write!(out, "{scheme}://{}:{}/{vhost}", authority.host, authority.port)
    }
}

fn read_ca_file(settings: &BusSettings) -> Result<String, ConnectError> {
    let path = settings.ca_file.clone().ok_or(ConnectError::NoCaFile)?;
    let pem = match std::fs::read_to_string(&path) {
        Ok(pem) => pem,
        Err(cause) => return Err(ConnectError::CaFile { path, cause }),
    };
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(ConnectError::NoCertificate { path });
    }
    Ok(pem)
}

/// A second handle to the connection's socket. lapin's own thread blocks on the first one. Shutting down
/// the socket unblocks that thread.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    fn keep(&self, stream: &impl AsFd) -> io::Result<()> {
        let copy = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        Ok(())
    }

    fn shut_down(&self) {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(cause)) = socket.map(|socket| socket.shutdown(Shutdown::Both)) {
            tracing::debug!(error = %cause, "the socket was already closed");
        }
    }
}
