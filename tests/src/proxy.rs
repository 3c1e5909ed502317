//! A TCP proxy that a test can break: disconnect, refuse, stall, restore.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use zun_common::shutdown::Tasks;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Refuse,
    Stall,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    target: SocketAddr,
    /// Connections of an older epoch are closed.
    epoch: u64,
}

/// The idle time after which a connection is closed; `None` means never.
type Idle = Option<Duration>;

/// A proxy on a free port. It stops on drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    tasks: Tasks,
}

impl Proxy {
    /// Starts a proxy on loopback that forwards to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), target, None).await
    }

    /// Starts a proxy that listens on this address.
    pub async fn on(address: IpAddr, target: SocketAddr) -> Self {
        Self::start((address, 0).into(), target, None).await
    }

    /// Starts a proxy on loopback that closes a connection that has been idle in both directions for this time.
    pub async fn with_idle_timeout(target: SocketAddr, idle: Duration) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), target, Some(idle)).await
    }

    async fn start(listen: SocketAddr, target: SocketAddr, idle: Idle) -> Self {
        let listener = TcpListener::bind(listen).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tasks = Tasks::new();
        let (state, seen) = watch::channel(State { mode: Mode::Pass, target, epoch: 0 });
        let (own, stop) = (tasks.clone(), tasks.token().clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(accept(listener, idle, seen, own)).await;
        });
        Self { address, state, tasks }
    }

    /// Returns the address on which the proxy listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address to which the proxy forwards new connections.
    pub fn target(&self) -> SocketAddr {
        self.state.borrow().target
    }

    /// Closes all connections and accepts new ones.
    pub fn disconnect(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }

    /// Closes all connections and refuses new ones.
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.mode = Mode::Refuse;
            state.epoch += 1;
        });
    }

    /// Forwards new connections to another target.
    pub fn redirect_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Stops forwarding. Connections stay open, and new ones are accepted but not served.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.mode = Mode::Stall);
    }

    /// Forwards again, including what arrived while the proxy was stalled.
    pub fn restore(&self) {
        self.state.send_modify(|state| state.mode = Mode::Pass);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn accept(
    mut listener: TcpListener,
    idle: Idle,
    mut state: watch::Receiver<State>,
    tasks: Tasks,
) {
    let address = listener.local_addr().expect("an address");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => Some(accepted),
            () = wait_for_mode(&mut state, Mode::Refuse) => None,
        };
        let Some(accepted) = accepted else {
            drop(listener);
            wait_for_mode(&mut state, Mode::Pass).await;
            listener = TcpListener::bind(address).await.expect("the port is still free");
            continue;
        };
        let Ok((client, _)) = accepted else { continue };
        let (state, stop) = (state.clone(), tasks.token().clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(relay(client, idle, state)).await;
        });
    }
}

/// Waits until the proxy is in this mode. Never returns once the proxy is dropped.
async fn wait_for_mode(state: &mut watch::Receiver<State>, mode: Mode) {
    if state.wait_for(|state| state.mode == mode).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn relay(client: TcpStream, idle: Idle, mut state: watch::Receiver<State>) {
    let State { epoch, target, .. } = *state.borrow();
    let passed = state.clone();
    let (moved, mut seen) = watch::channel(());
    let (up, down) = (moved.clone(), moved);
    let idle_timeout = async {
        let Some(idle) = idle else { return std::future::pending().await };
        while let Ok(Ok(())) = tokio::time::timeout(idle, seen.changed()).await {}
    };
    let pass = async move {
        let Ok(server) = TcpStream::connect(target).await else { return };
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        tokio::join!(
            pump(from_client, to_server, passed.clone(), up),
            pump(from_server, to_client, passed, down)
        );
    };
    tokio::select! {
        () = pass => {}
        () = idle_timeout => {}
        _ = state.wait_for(|state| state.epoch != epoch) => {}
    }
}

/// Copies until the source ends, and then shuts down the sink.
async fn pump(
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    moved: watch::Sender<()>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match source.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        moved.send_replace(());
        if state.wait_for(|state| state.mode != Mode::Stall).await.is_err()
            || sink.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
    // Fails if the peer is already gone, which is fine.
    drop(sink.shutdown().await);
}
