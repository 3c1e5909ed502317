//! A TCP proxy that adds a round-trip time, as a long network does, without a limit on the bandwidth.
//!
//! The kernel accepts a connection at once. So that connecting takes a round trip too, the first bytes of each direction
//! wait as long as if it had.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use zun_common::shutdown::Tasks;

/// How many reads may be on the way in one direction.
const ON_THE_WAY: usize = 4096;

/// The round-trip time, in microseconds.
type RoundTrip = Arc<AtomicU64>;

/// A proxy on a free port of loopback. It stops on drop.
#[derive(Debug)]
pub struct DelayingProxy {
    address: SocketAddr,
    round_trip: RoundTrip,
    tasks: Tasks,
}

impl DelayingProxy {
    /// Starts a proxy that forwards to `target`, at first without delay.
    ///
    /// # Panics
    /// Panics if there is no free port.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (tasks, round_trip) = (Tasks::new(), RoundTrip::default());
        let (own, stop, time) = (tasks.clone(), tasks.token().clone(), Arc::clone(&round_trip));
        tasks.spawn(async move {
            stop.run_until_cancelled(accept(listener, target, time, own)).await;
        });
        Self { address, round_trip, tasks }
    }

    /// Returns the address on which the proxy listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the round-trip time, also of open connections.
    ///
    /// # Panics
    /// Panics if it is longer than 500,000 years.
    pub fn set_round_trip(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).expect("a short time");
        self.round_trip.store(micros, Ordering::Relaxed);
    }
}

impl Drop for DelayingProxy {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, time: RoundTrip, tasks: Tasks) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (time, stop) = (Arc::clone(&time), tasks.token().clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(relay(client, target, time)).await;
        });
    }
}

async fn relay(client: TcpStream, target: SocketAddr, time: RoundTrip) {
    let accepted = Instant::now();
    let Ok(server) = TcpStream::connect(target).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let round_trip = read(&time);
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::join!(
        carry(from_client, to_server, (accepted + round_trip, Arc::clone(&time))),
        carry(from_server, to_client, (accepted + round_trip / 2, time)),
    );
}

fn read(time: &RoundTrip) -> Duration {
    Duration::from_micros(time.load(Ordering::Relaxed))
}

/// Carries bytes, each half a round trip long. Those that are read before `ready` begin their way then.
async fn carry(
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    (ready, time): (Instant, RoundTrip),
) {
    let (sender, mut arriving) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let reading = async move {
        let mut buffer = vec![0; 64 << 10];
        // An error ends the direction like its end does: an empty chunk.
        loop {
            let count = source.read(&mut buffer).await.unwrap_or(0);
            let arrives = Instant::now().max(ready) + read(&time) / 2;
            let chunk = Bytes::copy_from_slice(&buffer[..count]);
            if sender.send((arrives, chunk)).await.is_err() || count == 0 {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((arrives, chunk)) = arriving.recv().await {
            if arrives > Instant::now() {
                tokio::time::sleep_until(arrives).await;
            }
            if chunk.is_empty() || sink.write_all(&chunk).await.is_err() {
                break;
            }
        }
        // Fails if the peer is already gone, which is fine.
        drop(sink.shutdown().await);
    };
    tokio::join!(reading, writing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connecting_takes_a_round_trip_and_each_answer_another_one() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let proxy = DelayingProxy::to(server.local_addr().expect("an address")).await;
        proxy.set_round_trip(Duration::from_millis(60));
        let echo = async {
            let (stream, _) = server.accept().await.expect("the proxy connects");
            let (mut source, mut sink) = stream.into_split();
            tokio::io::copy(&mut source, &mut sink).await.expect("copied");
        };
        let client = async {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(proxy.address()).await.expect("connected");
            let mut byte = [0];
            let mut times = Vec::new();
            for _ in 0..2 {
                stream.write_all(b"x").await.expect("written");
                stream.read_exact(&mut byte).await.expect("an echo");
                times.push(begun.elapsed().as_millis());
            }
            times
        };
        let ((), times) = tokio::join!(echo, client);
        assert!(times[0] >= 120 && times[1] >= times[0] + 60, "{times:?}");
        assert!(times[1] < 2000, "{times:?}");
    }
}
