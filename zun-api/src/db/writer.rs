//! The writer of an SQLite file: one thread with one connection, and a queue of work.
//!
//! Work that waits together is one transaction, so that it shares one commit. Each piece has a savepoint: if it fails,
//! only its own changes are undone. Callers get their answers after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use diesel::Connection;
use diesel::connection::{
    AnsiTransactionManager, SimpleConnection, TransactionManager, TransactionManagerStatus,
};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connect::{Conn, Connector};
use super::file::FileLock;
use super::{DbError, Durability, TURN};

/// How many pieces of work may wait.
const QUEUE: usize = 1024;

/// How many pieces of work may share a commit.
const BATCH: usize = 64;

type Manager = <Conn as Connection>::TransactionManager;
type BatchResult<T> = Result<T, Arc<diesel::result::Error>>;

/// Answers the caller, given the result of the commit.
type Answer = Box<dyn FnOnce(BatchResult<()>) + Send>;

/// A piece of work. Without a connection, it answers with an error.
type Work = Box<dyn FnOnce(BatchResult<&mut Conn>) -> Answer + Send>;

enum Message {
    Work(Durability, Work),
    /// Finish what was queued before, and end.
    Close,
}

impl Message {
    fn into_work(self) -> Option<(Durability, Work)> {
        match self {
            Self::Work(durability, work) => Some((durability, work)),
            Self::Close => None,
        }
    }
}

/// The queue of the writer. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    /// Cancelled when the thread has ended and the file is unlocked.
    ended: CancellationToken,
}

impl Writer {
    /// Starts the thread. It ends after `close`, or when the last clone of the writer is dropped.
    pub(super) fn start(
        connector: Connector,
        lock: FileLock,
        writes: Histogram,
    ) -> Result<Self, DbError> {
        let conn = connector.open_session().map_err(|cause| DbError::Connection(cause.into()))?;
        let (queue, messages) = mpsc::channel(QUEUE);
        let ended = CancellationToken::new();
        let thread = Thread {
            conn,
            synced: None,
            connector,
            writes,
            _lock: lock,
            _ended: ended.clone().drop_guard(),
        };
        std::thread::Builder::new()
            .name("zun-db-writer".to_owned())
            .spawn(move || thread.run(messages))
            .map_err(|cause| DbError::Connection(cause.into()))?;
        Ok(Self { queue, ended })
    }

    /// Queues work, and waits until it is committed. If the caller is dropped before the work begins, it is not done.
    pub(super) async fn run<T, F>(&self, durability: Durability, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let deadline = Instant::now() + TURN;
        let (answer, answered) = oneshot::channel();
        let place = timeout_at(deadline, self.queue.reserve())
            .await
            .map_err(|late| DbError::Busy(late.into()))?
            .map_err(|closed| DbError::Busy(closed.into()))?;
        place.send(Message::Work(durability, Box::new(move |conn| perform(conn, work, answer))));
        timeout_at(deadline, answered)
            .await
            .map_err(|late| DbError::Busy(late.into()))?
            .map_err(|ended| DbError::Busy(ended.into()))?
    }

    /// Finishes the queued work and unlocks the file. Later work is refused.
    pub(super) async fn close(&self) {
        let deadline = Instant::now() + TURN;
        let closing = async {
            // If the queue is closed, the thread has ended or is about to.
            self.queue.send(Message::Close).await.ok();
            self.ended.cancelled().await;
        };
        if timeout_at(deadline, closing).await.is_err() {
            tracing::error!("the database writer did not finish its work in time");
        }
    }
}

/// Runs work in a savepoint, and prepares the answer.
fn perform<T, F>(
    conn: BatchResult<&mut Conn>,
    work: F,
    answer: oneshot::Sender<Result<T, DbError>>,
) -> Answer
where
    T: Send + 'static,
    F: FnOnce(&mut Conn) -> Result<T, DbError>,
{
    if answer.is_closed() {
        return Box::new(|_| {});
    }
    let done = conn.map_err(DbError::Batch).and_then(|conn| {
        let guarded = |conn: &mut Conn| {
            catch_unwind(AssertUnwindSafe(|| work(conn))).unwrap_or(Err(DbError::Panicked))
        };
        conn.transaction(guarded)
    });
    Box::new(move |committed| {
        let done = done.and_then(|value| committed.map(|()| value).map_err(DbError::Batch));
        if answer.send(done).is_err() {
            tracing::debug!("a request ended before the database answered it");
        }
    })
}

/// What the thread owns. The connection is closed before the lock is released, and that before `ended` is cancelled.
struct Thread {
    conn: Conn,
    /// The current value of `PRAGMA synchronous`, once it is set.
    synced: Option<Durability>,
    connector: Connector,
    writes: Histogram,
    _lock: FileLock,
    _ended: DropGuard,
}

impl Thread {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut batch = Vec::new();
        while messages.blocking_recv_many(&mut batch, BATCH) > 0 {
            if batch.iter().any(|message| matches!(message, Message::Close)) {
                messages.close();
            }
            let (durabilities, works): (Vec<_>, Vec<_>) =
                batch.drain(..).filter_map(Message::into_work).unzip();
            if let Some(durability) = durabilities.into_iter().max() {
                self.commit_together(durability, works);
            }
        }
    }

    fn commit_together(&mut self, durability: Durability, works: Vec<Work>) {
        let mut answers = Vec::with_capacity(works.len());
        let started = Instant::now();
        let begun = self.begin(durability);
        for work in works {
            let conn = match &begun {
                Ok(()) => Ok(&mut self.conn),
                Err(failure) => Err(Arc::clone(failure)),
            };
            answers.push(work(conn));
        }
        let done = begun.and_then(|()| self.commit());
        self.writes.observe(started.elapsed().as_secs_f64());
        if let Err(failure) = &done {
            tracing::error!(error = %zun_common::chain(failure), "cannot write to the database");
            self.reconnect();
        }
        for answer in answers {
            answer(done.clone());
        }
    }

    fn begin(&mut self, durability: Durability) -> BatchResult<()> {
        if self.synced != Some(durability) {
            let level = match durability {
                Durability::Relaxed => "PRAGMA synchronous = NORMAL",
                Durability::Synced => "PRAGMA synchronous = FULL",
            };
            self.conn.batch_execute(level)?;
            self.synced = Some(durability);
        }
        begin(&mut self.conn, durability)?;
        Ok(())
    }

    fn commit(&mut self) -> BatchResult<()> {
        // Work that panicked in a transaction of its own has left it open, so a commit would not end the outer one.
        if depth(&mut self.conn)? != 1 {
            return Err(Arc::new(diesel::result::Error::BrokenTransactionManager));
        }
        Ok(Manager::commit_transaction(&mut self.conn)?)
    }

    /// Replaces the connection. SQLite undoes what the former one has not committed.
    fn reconnect(&mut self) {
        match self.connector.open_session() {
            Ok(conn) => {
                self.conn = conn;
                self.synced = None;
            }
            Err(error) => {
                tracing::error!(error = %zun_common::chain(&error), "cannot open the database again");
            }
        }
    }
}

/// Begins a transaction. On SQLite it excludes other writers. On PostgreSQL the durability is that of its commit; on
/// SQLite that of the connection.
pub(super) fn begin(conn: &mut Conn, durability: Durability) -> diesel::QueryResult<()> {
    match (conn, durability) {
        (Conn::Sqlite(conn), _) => {
            AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
        }
        (Conn::Postgres(conn), Durability::Synced) => {
            AnsiTransactionManager::begin_transaction(conn)
        }
        (Conn::Postgres(conn), Durability::Relaxed) => {
            let begin = "BEGIN; SET LOCAL synchronous_commit = off";
            AnsiTransactionManager::begin_transaction_sql(conn, begin)
        }
    }
}

/// Returns how many transactions are open, one within the other.
pub(super) fn depth(conn: &mut Conn) -> diesel::QueryResult<u32> {
    let status: &mut TransactionManagerStatus = Manager::transaction_manager_status_mut(conn);
    Ok(status.transaction_depth()?.map_or(0, std::num::NonZeroU32::get))
}
