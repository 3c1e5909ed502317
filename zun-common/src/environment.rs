//! The source of a program's time, random numbers and tasks: the machine and tokio, unless a simulation replaces them
//! on its thread.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use uuid::{Builder, Uuid};

/// A task of a simulation.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The environment of a simulation.
pub trait Environment {
    /// The time since the Unix epoch.
    fn now(&self) -> Duration;
    /// A random number.
    fn random(&self) -> u64;
    /// Adds a task to the process that is calling.
    fn spawn(&self, task: Task);
}

thread_local! {
    static REPLACED: RefCell<Option<Rc<dyn Environment>>> = const { RefCell::new(None) };
}

/// While this exists, its thread has the environment of a simulation.
#[derive(Debug)]
#[must_use = "the environment is the machine's again when this is dropped"]
pub struct Replaced(());

/// Replaces the environment of this thread.
pub fn replace(environment: Rc<dyn Environment>) -> Replaced {
    REPLACED.set(Some(environment));
    Replaced(())
}

impl Drop for Replaced {
    fn drop(&mut self) {
        REPLACED.set(None);
    }
}

fn replaced() -> Option<Rc<dyn Environment>> {
    REPLACED.with_borrow(Option::clone)
}

/// The current time.
#[cfg(feature = "messages")]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    match replaced() {
        Some(simulated) => (std::time::UNIX_EPOCH + simulated.now()).into(),
        None => chrono::Utc::now(),
    }
}

/// A random UUID.
pub fn random_uuid() -> Uuid {
    match replaced() {
        Some(simulated) => {
            let bytes = (u128::from(simulated.random()) << 64) | u128::from(simulated.random());
            Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
        }
        None => Uuid::new_v4(),
    }
}

/// Returns a random number from `least` to 1.
#[cfg(feature = "service")]
pub fn random_share(least: f64) -> f64 {
    match replaced() {
        Some(simulated) => {
            let share = f64::from(u32::try_from(simulated.random() >> 32).unwrap_or(u32::MAX));
            least + (1.0 - least) * share / f64::from(u32::MAX)
        }
        None => rand::random_range(least..=1.0),
    }
}

/// Runs work that blocks on tokio's blocking pool, or at once in a simulation.
#[cfg(feature = "service")]
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    if is_simulated() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// Whether this thread has the environment of a simulation.
#[cfg(feature = "service")]
pub(crate) fn is_simulated() -> bool {
    REPLACED.with_borrow(Option::is_some)
}

/// Adds a task to the simulation, if there is one.
#[cfg(feature = "service")]
pub(crate) fn spawn(task: Task) {
    if let Some(simulated) = replaced() {
        simulated.spawn(task);
    }
}

#[cfg(all(test, feature = "messages"))]
mod tests {
    use super::*;

    struct Fixed;

    impl Environment for Fixed {
        fn now(&self) -> Duration {
            Duration::from_secs(1_000_000_000)
        }
        fn random(&self) -> u64 {
            7
        }
        fn spawn(&self, _task: Task) {}
    }

    #[test]
    fn a_simulation_has_its_own_time_and_randomness_until_it_ends() {
        assert_ne!(random_uuid(), random_uuid());
        let simulation = replace(Rc::new(Fixed));
        assert_eq!(random_uuid(), random_uuid());
        assert_eq!(now().timestamp(), 1_000_000_000);
        drop(simulation);
        assert_ne!(random_uuid(), random_uuid());
        assert!(now().timestamp() > 1_600_000_000);
    }
}
