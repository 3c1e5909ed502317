//! The life of a session: from the opened stream to the last client that knows how it ended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};
use zun_common::chain;
use zun_common::pty::{Ending, EndingReason};
use zun_common::shutdown::Tasks;

use super::live::{Found, Live};
use super::pumps;
use super::streams::Streams;
use crate::engine::{Engine, EngineError, Exit, Inspected, Run, exit_of};
use crate::session::Departure;

/// How long output may still arrive after the engine has reported the exit.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// How long the exit code may be missing after the end of the output until the engine is asked what happened.
const EXIT_CODE: Duration = Duration::from_secs(2);
/// How often the engine is asked.
const QUESTIONS: u32 = 5;
/// How long a stopping gate waits for the engine's answer about a signal.
const ANSWER: Duration = Duration::from_secs(1);
/// The pause after the engine failed to watch for a start.
const START_RETRY: Duration = Duration::from_secs(1);

/// The exit of a session's process.
pub(super) struct Awaited {
    /// To be notified when the output has ended.
    pub(super) output_ended: Arc<Notify>,
    pub(super) exit: BoxFuture<'static, Result<Exit, EngineError>>,
    /// Whether a former gate has opened the stream, so that the process may have exited meanwhile.
    pub(super) again: bool,
}

/// Serves a session until nobody needs it any more.
pub(super) async fn run(live: &Live, engine: &dyn Engine, streams: Streams, awaited: Awaited) {
    if !live.look(|session| session.is_over()) {
        let ending = serve(live, engine, streams, awaited).await;
        live.change(|session, _| session.end(ending));
    }
    tokio::select! {
        () = keep_attachments(live) => {}
        () = live.until(|session, _| if session.is_abandoned() { Found::This(()) } else { Found::Nothing(None) }) => {}
    }
    log_departures(live);
}

/// Serves a session until it is known how it ends.
async fn serve(live: &Live, engine: &dyn Engine, streams: Streams, awaited: Awaited) -> Ending {
    let Streams { stream, output: mut journal, mut input } = streams;
    let Awaited { output_ended, exit, again } = awaited;
    let (Run { stdin_ends, .. }, tty) = (live.run(), live.look(|session| session.process().tty));
    let ending = async {
        let mut output = std::pin::pin!(pumps::read(live, &stream, &mut journal, tty));
        let mut exit = std::pin::pin!(exit);
        tokio::select! {
            ended = &mut output => {
                output_ended.notify_one();
                if let Err(error) = ended {
                    warn!(target = %live.target(), error = %chain(&error), "the engine's stream failed");
                }
                after_output(live, engine, exit.as_mut()).await
            }
            exited = &mut exit => {
                live.change(|session, _| session.exited());
                let drained = timeout(LAST_OUTPUT, output).await;
                if drained.is_err() {
                    warn!(target = %live.target(), "the process has exited, but its output has not ended");
                }
                exited.map_or_else(|error| lost(&error), exited_with)
            }
        }
    };
    let serving = async {
        tokio::select! {
            ending = ending => Some(ending),
            () = unused(live) => None,
            () = pumps::write(live, &stream, &mut input, stdin_ends) => None,
            () = pumps::control(live, engine) => None,
            removed = watch_process(live, engine, again) => Some(removed),
        }
    };
    let ending = tokio::select! {
        ending = serving => ending,
        () = keep_attachments(live) => None,
    };
    ending.unwrap_or_else(|| Ending::new(EndingReason::Detached, ""))
}

fn exited_with(exit: Exit) -> Ending {
    if let Some(reason) = exit.failed_start {
        return Ending::with_code(EndingReason::NotStarted, exit.code, reason);
    }
    let message = if exit.out_of_memory { "the process ran out of memory" } else { "" };
    let mut ending = Ending::with_code(EndingReason::Exited, exit.code, message);
    ending.zun.out_of_memory = exit.out_of_memory;
    ending
}

fn lost(error: &EngineError) -> Ending {
    match error {
        EngineError::NotFound(_) => Ending::new(EndingReason::Removed, "the container was removed"),
        EngineError::Restarted(_) => {
            Ending::new(EndingReason::Restarted, "the container was started again")
        }
        EngineError::Conflict { .. }
        | EngineError::Failed { .. }
        | EngineError::Unreachable { .. } => {
            Ending::new(EndingReason::EngineLost, "the engine ended the stream")
        }
    }
}

/// The stream has ended. Finds out how the process did.
async fn after_output(
    live: &Live,
    engine: &dyn Engine,
    mut exit: impl Future<Output = Result<Exit, EngineError>> + Unpin,
) -> Ending {
    let mut asked = 0;
    while asked < QUESTIONS {
        if let Ok(exited) = timeout(EXIT_CODE, &mut exit).await {
            return exited.map_or_else(|error| lost(&error), exited_with);
        }
        match engine.inspect(live.target()).await {
            Ok(Inspected { failed_start: Some((code, words)), .. }) => {
                return Ending::with_code(EndingReason::NotStarted, code, words);
            }
            // The process has closed its output.
            Ok(Inspected { process, .. }) if process.running => {}
            Err(error @ EngineError::NotFound(_)) => return lost(&error),
            Ok(_) | Err(_) => asked += 1,
        }
    }
    Ending::new(EndingReason::EngineLost, "the engine ended the stream")
}

/// Watches for the start and the exit of the process. Returns only if the container is removed before its start: its
/// stream would never end.
async fn watch_process(live: &Live, engine: &dyn Engine, again: bool) -> Ending {
    let mut run = live.run();
    if again && run.running {
        // Its former number may be another process's by now.
        let inspected = engine.inspect(live.target()).await.ok();
        let inspected = inspected.filter(|now| now.started_at == run.started_at);
        run.pid = inspected.as_ref().and_then(|inspected| inspected.pid);
        if inspected.is_some_and(|inspected| !inspected.process.running) {
            live.change(|session, _| session.exited());
        }
    }
    while !run.running {
        match engine.started(live.target()).await {
            Ok(started) => run = started.run(),
            Err(removed @ EngineError::NotFound(_)) => return lost(&removed),
            Err(_) => tokio::time::sleep(START_RETRY).await,
        }
    }
    let pid = run.pid;
    live.started(run);
    if let Some(pid) = pid
        && exit_of(pid).await.is_ok()
    {
        live.change(|session, _| session.exited());
    }
    std::future::pending().await
}

/// Returns if the process has not been started, and nobody waits for it.
async fn unused(live: &Live) {
    live.until(
        |session, _| {
            if session.close_unused() { Found::This(()) } else { Found::Nothing(None) }
        },
    )
    .await;
}

/// Forgets attachments whose clients do not come back, and logs all that leave. Never returns.
async fn keep_attachments(live: &Live) {
    loop {
        let departure = live
            .until(|session, now| {
                session.expire(now);
                match session.next_departure() {
                    Some(departure) => Found::This(departure),
                    None => Found::Nothing(session.next_expiry()),
                }
            })
            .await;
        // An expired writer may have ended stdin.
        live.change(|_, _| {});
        log_departure(live, &departure);
    }
}

/// Completes when the gate stops and no signal is in doubt.
pub(super) async fn stopped(live: &Live, tasks: &Tasks) {
    tasks.cancelled().await;
    let answered =
        live.until(
            |session, _| {
                if session.is_signalling() { Found::Nothing(None) } else { Found::This(()) }
            },
        );
    drop(timeout(ANSWER, answered).await);
}

/// Ends a session because the gate stops, unless the next gate continues it.
pub(super) fn stop(live: &Live) {
    if !live.is_kept() {
        live.change(|session, _| session.forget_all());
    }
    log_departures(live);
}

fn log_departures(live: &Live) {
    while let Some(departure) = live.look(crate::session::Session::next_departure) {
        log_departure(live, &departure);
    }
}

fn log_departure(live: &Live, departure: &Departure) {
    let Departure { session, grant, reason, stdin, stdout, stderr } = departure;
    let target = live.target();
    info!(
        session.id = %session, grant.id = %grant, %target, stdin, stdout, stderr,
        "session ended: {reason}"
    );
}
