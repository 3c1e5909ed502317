//! Runs tasks in an order that depends only on a seed. Each task belongs to a process. A process crashes by dropping all
//! its tasks between two polls.
//!
//! tokio's clock is paused: it advances to the next timer when no task is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use zun_common::environment::{self, Environment, Task};

use super::random::Random;

/// More polls than this at one moment mean that tasks wake each other in an endless loop.
const MOST_POLLS_AT_ONCE: u64 = 200_000;

/// The Unix time at which each simulation starts.
const START: Duration = Duration::from_secs(1_700_000_000);

/// A process of the simulation. Number 0 is the test itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process(u64);

impl Process {
    /// The test, which never crashes.
    pub const TEST: Self = Self(0);
}

/// The simulation's tasks, clock and randomness. Clones share them.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    random: Mutex<Random>,
    tasks: Mutex<BTreeMap<u64, Entry>>,
    ready: Arc<Ready>,
    /// The process of the task that runs.
    current: AtomicU64,
    next: AtomicU64,
    polls: AtomicU64,
    started: Instant,
    /// By how many seconds the wall clocks of processes are wrong. Timers are not affected.
    clocks: Mutex<BTreeMap<u64, i64>>,
    /// After how many polls of its tasks a process crashes.
    doomed: Mutex<BTreeMap<u64, u64>>,
    panics: Mutex<Vec<String>>,
}

struct Entry {
    process: u64,
    task: Task,
    waker: Waker,
}

/// The tasks that can make progress.
#[derive(Default)]
struct Ready {
    tasks: Mutex<BTreeSet<u64>>,
    outer: Mutex<Option<Waker>>,
}

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.ready.tasks).insert(self.task);
        let outer = lock(&self.ready.outer).take();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

/// The environment of the thread.
struct OnThread(Executor);

impl Environment for OnThread {
    fn now(&self) -> Duration {
        let right = START + self.0.inner.started.elapsed();
        let process = self.0.inner.current.load(Ordering::Relaxed);
        let wrong_by = lock(&self.0.inner.clocks).get(&process).copied().unwrap_or_default();
        let seconds = Duration::from_secs(wrong_by.unsigned_abs());
        if wrong_by < 0 { right.saturating_sub(seconds) } else { right + seconds }
    }

    fn random(&self) -> u64 {
        self.0.random().number()
    }

    fn spawn(&self, task: Task) {
        self.0.add(self.0.inner.current.load(Ordering::Relaxed), task);
    }
}

/// Runs a test to its end. The runtime must have one thread, and a paused clock.
pub fn run<T, F>(runtime: &Runtime, seed: u64, test: impl FnOnce(Executor) -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    runtime.block_on(async {
        let executor = Executor::new(seed);
        let _simulated = environment::replace(Rc::new(OnThread(executor.clone())));
        let result = Arc::new(Mutex::new(None));
        let (test, slot) = (test(executor.clone()), Arc::clone(&result));
        executor.spawn(Process::TEST, async move {
            let value = test.await;
            *lock(&slot) = Some(value);
        });
        let value = poll_fn(|context| executor.turn(context, &result)).await;
        executor.crash_all();
        value
    })
}

impl Executor {
    fn new(seed: u64) -> Self {
        let inner = Inner {
            random: Mutex::new(Random::new(seed)),
            tasks: Mutex::default(),
            ready: Arc::default(),
            current: AtomicU64::new(Process::TEST.0),
            next: AtomicU64::new(1),
            polls: AtomicU64::new(0),
            started: Instant::now(),
            clocks: Mutex::default(),
            doomed: Mutex::default(),
            panics: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The simulation's randomness.
    pub fn random(&self) -> MutexGuard<'_, Random> {
        lock(&self.inner.random)
    }

    /// The time since the start. No two polls have the same, so that what one task sees after another has another time.
    pub fn now(&self) -> Duration {
        self.inner.started.elapsed() + Duration::from_nanos(self.polls())
    }

    /// How many times a task was polled.
    pub fn polls(&self) -> u64 {
        self.inner.polls.load(Ordering::Relaxed)
    }

    /// Returns a new process.
    pub fn process(&self) -> Process {
        Process(self.next())
    }

    /// Adds a task to a process.
    pub fn spawn(&self, process: Process, task: impl Future<Output = ()> + Send + 'static) {
        self.add(process.0, Box::pin(task));
    }

    /// Drops all tasks of a process.
    pub fn crash(&self, process: Process) {
        let mut dropped = Vec::new();
        lock(&self.inner.doomed).remove(&process.0);
        let mut tasks = lock(&self.inner.tasks);
        let ids: Vec<u64> =
            tasks.iter().filter(|(_, one)| one.process == process.0).map(|(id, _)| *id).collect();
        for id in ids {
            dropped.extend(tasks.remove(&id));
        }
        drop(tasks);
        drop(dropped);
    }

    /// Crashes a process after so many polls of its tasks.
    pub fn crash_after(&self, process: Process, polls: u64) {
        lock(&self.inner.doomed).insert(process.0, polls);
    }

    /// Sets by how many seconds the wall clock of a process is wrong.
    pub fn set_clock(&self, process: Process, wrong_by: i64) {
        lock(&self.inner.clocks).insert(process.0, wrong_by);
    }

    /// Whether the process is still to crash.
    pub fn is_doomed(&self, process: Process) -> bool {
        lock(&self.inner.doomed).contains_key(&process.0)
    }

    /// What tasks panicked with.
    pub fn panics(&self) -> Vec<String> {
        lock(&self.inner.panics).clone()
    }

    fn crash_all(&self) {
        let tasks = std::mem::take(&mut *lock(&self.inner.tasks));
        drop(tasks);
    }

    fn next(&self) -> u64 {
        self.inner.next.fetch_add(1, Ordering::Relaxed)
    }

    fn add(&self, process: u64, task: Task) {
        let id = self.next();
        let ready = Arc::clone(&self.inner.ready);
        let waker = Waker::from(Arc::new(TaskWaker { task: id, ready }));
        waker.wake_by_ref();
        lock(&self.inner.tasks).insert(id, Entry { process, task, waker });
    }

    /// Polls tasks until none is ready, or the test has ended.
    fn turn<T>(&self, context: &mut Context<'_>, result: &Mutex<Option<T>>) -> Poll<T> {
        let most = self.polls() + MOST_POLLS_AT_ONCE;
        loop {
            if let Some(value) = lock(result).take() {
                return Poll::Ready(value);
            }
            *lock(&self.inner.ready.outer) = None;
            let Some(task) = self.choose() else { break };
            assert!(self.polls() < most, "tasks wake each other in an endless loop");
            self.poll(task);
        }
        *lock(&self.inner.ready.outer) = Some(context.waker().clone());
        Poll::Pending
    }

    fn choose(&self) -> Option<u64> {
        let mut ready = lock(&self.inner.ready.tasks);
        let index = self.random().below(ready.len())?;
        let task = ready.iter().nth(index).copied()?;
        ready.remove(&task);
        Some(task)
    }

    fn poll(&self, id: u64) {
        // One that has ended or crashed may still be woken.
        let Some(mut entry) = lock(&self.inner.tasks).remove(&id) else { return };
        self.inner.polls.fetch_add(1, Ordering::Relaxed);
        self.inner.current.store(entry.process, Ordering::Relaxed);
        let waker = entry.waker.clone();
        let mut context = Context::from_waker(&waker);
        // tokio limits how much a task does in one turn, which is all tasks here.
        let mut task = tokio::task::unconstrained(entry.task.as_mut());
        let polled =
            catch_unwind(AssertUnwindSafe(|| std::pin::Pin::new(&mut task).poll(&mut context)));
        self.inner.current.store(Process::TEST.0, Ordering::Relaxed);
        let process = Process(entry.process);
        match polled {
            Ok(Poll::Pending) => {
                lock(&self.inner.tasks).insert(id, entry);
            }
            Ok(Poll::Ready(())) => drop(entry),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned();
                let words =
                    words.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
                lock(&self.inner.panics).push(words.unwrap_or_default());
            }
        }
        if self.is_due(process) {
            self.crash(process);
        }
    }

    fn is_due(&self, process: Process) -> bool {
        let mut doomed = lock(&self.inner.doomed);
        let Some(left) = doomed.get_mut(&process.0) else { return false };
        *left = left.saturating_sub(1);
        *left == 0
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
