//! The ways to a console: through the gate, directly to Docker over TLS, and over Docker's unix socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint, DOCKER_ATTACH, DOCKER_EXEC};
use zun_common::api::v1::exec::Execute;
use zun_common::grant::Mode;
use zun_common::pki::signing_request;
use zun_common::pty::{PROTOCOL, container_path, exec_path};
use zun_common::secret::Secret;
use zun_common::shutdown::Tasks;
use zun_tests::cluster::Cluster;
use zun_tests::zun_cli::ZunCli;
use zunclient::api::{Client, TlsFiles};
use zunclient::auth::Auth;
use zunclient::console::pty::Pty;
use zunclient::console::{Connection as _, Console, Dial, Event, Proxies, connection};
use zunclient::settings::Settings;

const TIMEOUT: Duration = Duration::from_mins(1);

/// A way to a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The console gate.
    Gate,
    /// Docker's TLS port.
    Direct,
    /// Docker's unix socket.
    Socket,
}

/// A host with its service.
pub struct Host {
    zun: ZunCli,
    api: Client,
    engine: PathBuf,
    gate: SocketAddr,
}

/// A console of one of these ways.
pub enum Peer {
    /// With the CLI's library.
    Console(Box<Console>),
    /// A stream of Docker's, with what was read of it already.
    Socket(UnixStream, BytesMut),
}

impl Host {
    /// The cluster's first host, with a gate at this address.
    pub fn of(cluster: &Cluster, gate: SocketAddr) -> Self {
        let settings = Settings {
            endpoint: format!("{}/v1", cluster.endpoint(0)),
            auth: Auth::Token(Secret::new(cluster.token().to_owned())),
            tls: TlsFiles::default(),
            proxies: Proxies::default(),
            debug: false,
        };
        let api = Client::new(&settings, |_| {}).expect("a client");
        Self { zun: cluster.zun(), api, engine: cluster.engine_socket(0), gate }
    }

    /// Starts a container with a shell script, and returns its name.
    pub fn container(&self, name: &str, tty: bool, script: &str) -> String {
        let terminal = if tty { "-t" } else { "-T" };
        let command = ["cirros", "sh", "-c", script];
        self.zun.must(&[&["create", "-i", terminal, "--name", name], &command[..]].concat());
        self.zun.must(&["start", name]);
        name.to_owned()
    }

    /// Removes it.
    pub fn remove(&self, name: &str) {
        self.zun.must(&["delete", "--force", name]);
    }

    /// Connects to a container's console.
    pub async fn attach(&self, name: &str, way: Way) -> Peer {
        self.attach_at(name, way, (self.gate, false)).await
    }

    /// Connects to a container's console, with the gate at this address. `shows_screen` asks for the terminal's screen.
    pub async fn attach_at(
        &self,
        name: &str,
        way: Way,
        (gate, shows_screen): (SocketAddr, bool),
    ) -> Peer {
        let id = self.engine_id(name);
        if way == Way::Socket {
            return self.attach_to_socket(&id).await;
        }
        let request = signing_request("bench", Vec::new()).expect("a request");
        let ask = AttachRequest {
            csr: request.csr,
            protocols: vec![DOCKER_ATTACH.to_owned()],
            mode: Mode::ReadWrite,
            before_start: false,
        };
        let endpoint = self.api.attach(name, &ask).await.expect("a console");
        let path = container_path(&id);
        open((endpoint, request.key), (way, gate, &path), shows_screen).await
    }

    /// Starts a command in a container, through the gate or with a direct connection.
    pub async fn exec(&self, name: &str, way: Way, (tty, script): (bool, &str)) -> Peer {
        let request = signing_request("bench", Vec::new()).expect("a request");
        let ask = Execute {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            interactive: true,
            tty: Some(tty),
            csr: Some(request.csr),
            protocols: vec![DOCKER_EXEC.to_owned()],
            ..Execute::default()
        };
        let executed = self.api.execute(name, &ask).await.expect("an exec");
        let endpoint = executed.console.expect("a console");
        let path = exec_path(&executed.exec_id.expect("an id"));
        open((endpoint, request.key), (way, self.gate, &path), false).await
    }

    fn engine_id(&self, name: &str) -> String {
        let uuid = self.zun.field(name, "uuid");
        let name = format!("zun-{}", uuid.as_str().expect("a uuid"));
        let output = Command::new("docker")
            .arg("-H")
            .arg(format!("unix://{}", self.engine.display()))
            .args(["inspect", "--format", "{{.Id}}", &name])
            .output();
        let output = output.expect("docker runs").stdout;
        String::from_utf8(output).expect("text").trim().to_owned()
    }

    async fn attach_to_socket(&self, id: &str) -> Peer {
        let mut stream = UnixStream::connect(&self.engine).await.expect("a connection");
        let request = format!(
            "POST /v1.41/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\n\
             Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut read = BytesMut::new();
        let end = loop {
            assert!(stream.read_buf(&mut read).await.expect("an answer") > 0, "an answer");
            if let Some(at) = read.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
        };
        assert!(read.starts_with(b"HTTP/1.1 101 "), "{read:?}");
        Peer::Socket(stream, read.split_off(end))
    }
}

async fn open(
    (mut endpoint, key): (ConsoleEndpoint, Secret<String>),
    (way, gate, path): (Way, SocketAddr, &str),
    shows_screen: bool,
) -> Peer {
    if way == Way::Gate {
        PROTOCOL.clone_into(&mut endpoint.protocol);
        endpoint.calls.pty = Some(format!("wss://{gate}{path}"));
    }
    let dial = Dial { shows_screen, ..Dial::new(endpoint, key, Tasks::new()) };
    let opened = match way {
        Way::Gate => Box::new(Pty::new(&dial).expect("an endpoint")).open().await,
        Way::Direct | Way::Socket => connection(dial).expect("an endpoint").open().await,
    };
    Peer::Console(Box::new(opened.expect("a console")))
}

impl Peer {
    /// Sends input.
    pub async fn write(&mut self, typed: Bytes) {
        let written = async {
            match self {
                Self::Console(console) => console.input.write(typed).await.expect("sent"),
                Self::Socket(stream, _) => stream.write_all(&typed).await.expect("sent"),
            }
        };
        timeout(TIMEOUT, written).await.expect("in time");
    }

    /// Returns the next event.
    pub async fn event(&mut self) -> Event {
        let event = async {
            match self {
                Self::Console(console) => console.events.next().await.expect("an event"),
                Self::Socket(stream, read) => {
                    if read.is_empty() {
                        read.reserve(64 << 10);
                        assert!(stream.read_buf(read).await.expect("output") > 0, "output");
                    }
                    Event::Stdout(read.split().freeze())
                }
            }
        };
        timeout(TIMEOUT, event).await.expect("in time")
    }

    /// Returns the next output.
    pub async fn output(&mut self) -> Bytes {
        loop {
            match self.event().await {
                Event::Stdout(bytes) => return bytes,
                Event::Reconnecting { .. }
                | Event::Reconnected
                | Event::Snapshot(_)
                | Event::TerminalSize { .. } => {}
                other @ (Event::Stderr(_)
                | Event::Exit(_)
                | Event::NotStarted { .. }
                | Event::Lost(_)
                | Event::Closed(_)
                | Event::Gap(_)
                | Event::Notice(_)) => panic!("{other:?}"),
            }
        }
    }

    /// Receives until the output ends with this text.
    pub async fn until(&mut self, text: &str) {
        let mut seen = Vec::new();
        while !seen.windows(text.len()).any(|part| part == text.as_bytes()) {
            seen.extend_from_slice(&self.output().await);
        }
    }
}
