//! A TCP proxy that a test can break: disconnect, refuse, stall, restore. With several targets, it is also the load
//! balancer in front of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    StallAnswers,
}

#[derive(Debug, Clone)]
struct State {
    mode: Mode,
    targets: Arc<[SocketAddr]>,
    /// Connections of an older epoch are closed.
    epoch: u64,
}

/// Which of several targets the next connection leads to.
type Turn = Arc<AtomicUsize>;

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
        Self::to_any(&[target]).await
    }

    /// Starts a proxy on loopback that forwards each connection to the next of `targets` that accepts it.
    pub async fn to_any(targets: &[SocketAddr]) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), targets, None).await
    }

    /// Starts a proxy that listens on this address.
    pub async fn on(address: IpAddr, target: SocketAddr) -> Self {
        Self::start((address, 0).into(), &[target], None).await
    }

    /// Starts a proxy on loopback that closes a connection that has been idle in both directions for this time.
    pub async fn with_idle_timeout(target: SocketAddr, idle: Duration) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), &[target], Some(idle)).await
    }

    async fn start(listen: SocketAddr, targets: &[SocketAddr], idle: Idle) -> Self {
        let listener = TcpListener::bind(listen).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tasks = Tasks::new();
        let state = State { mode: Mode::Pass, targets: targets.into(), epoch: 0 };
        let (state, seen) = watch::channel(state);
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

    /// Returns the address to which the proxy forwards new connections; of several, the first.
    ///
    /// # Panics
    /// Panics if it has none.
    pub fn target(&self) -> SocketAddr {
        *self.state.borrow().targets.first().expect("a target")
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
        self.state.send_modify(|state| state.targets = [target].into());
    }

    /// Stops forwarding. Connections stay open, and new ones are accepted but not served.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.mode = Mode::Stall);
    }

    /// Stops forwarding what the target sends. What clients send still arrives, as in a partition of one direction.
    pub fn stall_answers(&self) {
        self.state.send_modify(|state| state.mode = Mode::StallAnswers);
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
    let turn = Turn::default();
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
        let (state, stop, turn) = (state.clone(), tasks.token().clone(), Arc::clone(&turn));
        tasks.spawn(async move {
            stop.run_until_cancelled(relay(client, idle, (state, &turn))).await;
        });
    }
}

/// Waits until the proxy is in this mode. Never returns once the proxy is dropped.
async fn wait_for_mode(state: &mut watch::Receiver<State>, mode: Mode) {
    if state.wait_for(|state| state.mode == mode).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn relay(client: TcpStream, idle: Idle, (mut state, turn): (watch::Receiver<State>, &Turn)) {
    let State { mode, epoch, targets } = state.borrow().clone();
    // A client that connects again at once can be accepted before the listener is closed.
    if mode == Mode::Refuse {
        return;
    }
    let passed = state.clone();
    let (moved, mut seen) = watch::channel(());
    let (up, down) = (moved.clone(), moved);
    let idle_timeout = async {
        let Some(idle) = idle else { return std::future::pending().await };
        while let Ok(Ok(())) = tokio::time::timeout(idle, seen.changed()).await {}
    };
    let pass = async move {
        let Some(server) = connect(&targets, turn).await else { return };
        if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
            return;
        }
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        tokio::join!(
            pump((from_client, to_server), (passed.clone(), Mode::Stall), up),
            pump((from_server, to_client), (passed, Mode::StallAnswers), down)
        );
    };
    tokio::select! {
        () = pass => {}
        () = idle_timeout => {}
        _ = state.wait_for(|state| state.epoch != epoch) => {}
    }
}

/// Connects to the next target that accepts.
async fn connect(targets: &[SocketAddr], turn: &Turn) -> Option<TcpStream> {
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for index in 0..targets.len() {
        let target = targets[(first + index) % targets.len()];
        if let Ok(server) = TcpStream::connect(target).await {
            return Some(server);
        }
    }
    None
}

/// Copies until the source ends, and then shuts down the sink. Waits while the proxy is stalled, or in the other mode.
async fn pump(
    (mut source, mut sink): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (mut state, stalled): (watch::Receiver<State>, Mode),
    moved: watch::Sender<()>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match source.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        moved.send_replace(());
        let passes = |state: &State| state.mode != Mode::Stall && state.mode != stalled;
        if state.wait_for(passes).await.is_err() || sink.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
    // Fails if the peer is already gone, which is fine.
    drop(sink.shutdown().await);
}
