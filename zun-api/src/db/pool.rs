//! A pool of connections.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::connect::{CONNECTION_TIMEOUT, Conn, Connector};
use super::{DbError, TURN};

/// The pool. Cloning it is cheap.
#[derive(Clone)]
pub(super) enum Pool {
    /// Its work runs on the blocking pool.
    Threads(Threads),
    /// One connection, whose work runs at once on the thread of the caller. So it is the same in each run of a
    /// simulation.
    Inline(Arc<Mutex<Conn>>),
}

/// Connections, and the threads for their work.
#[derive(Clone)]
pub(super) struct Threads {
    connections: diesel::r2d2::Pool<Connector>,
    /// One permit for each connection, so that work without a connection does not occupy threads of the blocking pool.
    turns: Arc<Semaphore>,
    /// The service's runtime: actix's workers have one each, and each would have threads of its own.
    runtime: Handle,
}

impl Pool {
    /// Opens the pool, and its first connection. Blocks.
    pub(super) fn open(
        connector: Connector,
        connections: u32,
        runtime: Handle,
    ) -> Result<Self, DbError> {
        let turns = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        let connections = diesel::r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(1))
            .idle_timeout(Some(Duration::from_mins(1)))
            .connection_timeout(CONNECTION_TIMEOUT)
            .build(connector)
            .map_err(|cause| DbError::Connection(cause.into()))?;
        Ok(Self::Threads(Threads { connections, turns: Arc::new(Semaphore::new(turns)), runtime }))
    }

    /// Runs work on a connection. It is not interrupted when the caller is dropped.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        match self {
            Self::Threads(threads) => threads.run(work).await,
            Self::Inline(conn) => {
                // As with threads, the caller may be cancelled before or after the work.
                give_way().await;
                let done = work(&mut conn.lock().unwrap_or_else(PoisonError::into_inner));
                give_way().await;
                done
            }
        }
    }
}

/// Lets other tasks run. Unlike `tokio::task::yield_now`, does not wait until all of them have run.
async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Threads {
    async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let turn = timeout_at(Instant::now() + TURN, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|late| DbError::Busy(late.into()))?
            .map_err(|closed| DbError::Busy(closed.into()))?;
        let connections = self.connections.clone();
        let working = self.runtime.spawn_blocking(move || {
            let _turn = turn;
            let mut conn = connections.get().map_err(|cause| DbError::Connection(cause.into()))?;
            work(&mut conn)
        });
        working.await.map_err(DbError::GivenUp)?
    }
}
