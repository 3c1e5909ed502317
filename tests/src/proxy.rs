//! A TCP proxy that can be broken: cut, refuse, stall, restore.

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
    /// Connections of an older epoch are cut.
    epoch: u64,
}

/// When it loses patience.
type Idle = Option<Duration>;

/// A proxy on a free loopback port. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    tasks: Tasks,
}

impl Proxy {
    /// Passes everything on to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        Self::over((Ipv4Addr::LOCALHOST, 0).into(), target, None).await
    }

    /// The same, listening on this address.
    pub async fn on(address: IpAddr, target: SocketAddr) -> Self {
        Self::over((address, 0).into(), target, None).await
    }

    /// The same, and cuts a connection on which nothing went either way for so long.
    pub async fn with_idle_timeout(target: SocketAddr, idle: Duration) -> Self {
        Self::over((Ipv4Addr::LOCALHOST, 0).into(), target, Some(idle)).await
    }

    async fn over(listen: SocketAddr, target: SocketAddr, idle: Idle) -> Self {
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

    /// Where to connect instead.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; new ones are taken.
    pub fn disconnect(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }

    /// Ends all connections and takes no new ones.
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.mode = Mode::Refuse;
            state.epoch += 1;
        });
    }

    /// Leads new connections elsewhere.
    pub fn redirect_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Passes nothing on any more; connections stay open, and new ones are taken and left alone.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.mode = Mode::Stall);
    }

    /// Works again. What was held while it stalled goes on.
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
        let taken = tokio::select! {
            taken = listener.accept() => Some(taken),
            () = is(&mut state, Mode::Refuse) => None,
        };
        let Some(taken) = taken else {
            drop(listener);
            is(&mut state, Mode::Pass).await;
            listener = TcpListener::bind(address).await.expect("the port is still free");
            continue;
        };
        let Ok((client, _)) = taken else { continue };
        let (state, stop) = (state.clone(), tasks.token().clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(relay(client, idle, state)).await;
        });
    }
}

/// Ends when it is so; never once the proxy is dropped.
async fn is(state: &mut watch::Receiver<State>, mode: Mode) {
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

/// Until the source ends; then the sink is told so.
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
    // A peer that is gone already needs no goodbye.
    drop(sink.shutdown().await);
}
