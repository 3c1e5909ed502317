//! The life of a session: from the opened stream until all clients know how it ended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};
use zun_common::chain;
use zun_common::pty::{Ending, EndingReason};
use zun_common::shutdown::Tasks;

use super::live::{Found, Live, Watch};
use super::pace::Pace;
use super::streams::Streams;
use super::{pumps, reattach};
use crate::engine::{Engine, EngineError, Exit, Inspected, Run, Start, Target, exit_of};
use crate::session::Departure;

/// How long output may still arrive after the engine has reported the exit.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// How long to wait for the exit code after the end of the output before inspecting the process.
const EXIT_CODE: Duration = Duration::from_secs(2);
/// How many times the process is inspected.
const INSPECTIONS: u32 = 5;
/// How long a stopping gate waits for the engine's answer about a signal.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the engine may take to report the exit of a container that was removed during a restart of the gate.
const LAST_EXIT: Duration = Duration::from_secs(5);
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

/// Serves a session until nobody needs it.
pub(super) async fn run(
    live: &Live,
    (engine, pace): (&dyn Engine, &Pace),
    streams: Streams,
    awaited: Awaited,
) {
    if !live.read(|session| session.is_over()) {
        let ending = serve(live, (engine, pace), streams, awaited).await;
        live.change(|session, _| session.end(ending));
    }
    tokio::select! {
        () = keep_attachments(live) => {}
        () = live.until(Watch::Others, |session, _| if session.is_abandoned() { Found::This(()) } else { Found::Nothing(None) }) => {}
    }
    log_departures(live);
}

/// Serves a session until it is known how it ends.
async fn serve(
    live: &Live,
    (engine, pace): (&dyn Engine, &Pace),
    streams: Streams,
    awaited: Awaited,
) -> Ending {
    tokio::select! {
        ending = serve_streams(live, engine, streams, awaited) => ending,
        () = keep_attachments(live) => Ending::new(EndingReason::Detached, ""),
        () = pumps::act_on_disconnect(live, engine) => Ending::new(EndingReason::Detached, ""),
        () = pumps::follow_screen(live, pace) => Ending::new(EndingReason::Detached, ""),
    }
}

/// Serves a session with one stream of the engine after another.
async fn serve_streams(
    live: &Live,
    engine: &dyn Engine,
    mut streams: Streams,
    mut awaited: Awaited,
) -> Ending {
    if live.run().starting {
        match start(live, engine, &streams, &mut awaited).await {
            Ok(()) => {}
            Err(ending) => return *ending,
        }
    }
    loop {
        match serve_stream(live, engine, &mut streams, awaited).await {
            StreamEnd::Over(ending) => return ending,
            StreamEnd::EngineUnavailable => {}
        }
        let (stream, exit) = match reattach::attach(live, engine).await {
            Ok(attached) => attached,
            Err(ending) => return ending,
        };
        streams.stream = stream;
        awaited = exit;
        live.reattached(&streams);
        info!(target = %live.target(), "attached again after a restart of the engine");
    }
}

/// Waits until an exec has been started. Until then, its stream may contain the reason for a failed start.
async fn start(
    live: &Live,
    engine: &dyn Engine,
    streams: &Streams,
    awaited: &mut Awaited,
) -> Result<(), Box<Ending>> {
    let (target, tty) = (live.target(), live.read(|session| session.process().tty));
    let mut early = Vec::new();
    streams.output.read(0, &mut early);
    let pid = match engine.start_of_exec(target, &streams.stream, (&early, tty)).await {
        Ok(Start::Running { pid }) => pid,
        Ok(Start::Ended(exit)) => {
            awaited.exit = Box::pin(std::future::ready(Ok(exit)));
            None
        }
        Ok(Start::Failed(exit)) => return Err(Box::new(exited_with(exit))),
        Err(error) => return Err(Box::new(lost(target, &error))),
    };
    live.started(Run { starting: false, pid, ..live.run() });
    Ok(())
}

/// How a stream has ended.
enum StreamEnd {
    Over(Ending),
    /// The engine ended, and the process did not.
    EngineUnavailable,
}

async fn serve_stream(
    live: &Live,
    engine: &dyn Engine,
    streams: &mut Streams,
    awaited: Awaited,
) -> StreamEnd {
    let Streams { stream, output: journal, input } = streams;
    let (stream, Awaited { output_ended, exit, again }) = (&*stream, awaited);
    let (Run { stdin_ends, .. }, tty) = (live.run(), live.read(|session| session.process().tty));
    // On a terminal, one client's end of stdin is not that of the others.
    let stdin_ends = stdin_ends && !tty;
    let served = async {
        let mut output = std::pin::pin!(pumps::read(live, stream, journal, tty));
        let mut exit = std::pin::pin!(exit);
        let exited = tokio::select! {
            ended = &mut output => {
                output_ended.notify_one();
                if let Err(error) = ended {
                    warn!(target = %live.target(), error = %chain(&error), "the engine's stream failed");
                }
                return after_output(live, engine, exit.as_mut()).await;
            }
            exited = &mut exit => exited,
        };
        if exited.is_ok() {
            live.change(|session, _| session.exited());
        }
        if timeout(LAST_OUTPUT, output).await.is_err() {
            warn!(target = %live.target(), "the process has exited, but its output has not ended");
        }
        stream_end(live, exited)
    };
    let detached = || StreamEnd::Over(Ending::new(EndingReason::Detached, ""));
    tokio::select! {
        end = served => end,
        () = unused(live, engine) => detached(),
        () = pumps::write(live, stream, input, stdin_ends) => detached(),
        () = pumps::control(live, engine) => detached(),
        removed = watch_process(live, engine, again) => StreamEnd::Over(removed),
    }
}

/// Decides from the result of the wait how the stream ended.
fn stream_end(live: &Live, exited: Result<Exit, EngineError>) -> StreamEnd {
    match exited {
        Ok(exit) => StreamEnd::Over(exited_with(exit)),
        // Docker forgets its execs when it restarts.
        Err(EngineError::Failed { .. } | EngineError::Unreachable { .. })
            if matches!(live.target(), Target::Container(_)) =>
        {
            StreamEnd::EngineUnavailable
        }
        Err(error) => StreamEnd::Over(lost(live.target(), &error)),
    }
}

pub(super) fn exited_with(exit: Exit) -> Ending {
    if let Some(reason) = exit.failed_start {
        return Ending::with_code(EndingReason::NotStarted, exit.code, reason);
    }
    let message = if exit.out_of_memory { "the process ran out of memory" } else { "" };
    let reason = if exit.restarts { EndingReason::Restarted } else { EndingReason::Exited };
    let mut ending = Ending::with_code(reason, exit.code, message);
    ending.zun.out_of_memory = exit.out_of_memory;
    ending
}

pub(super) fn lost(target: &Target, error: &EngineError) -> Ending {
    match error {
        EngineError::NotFound(_) if matches!(target, Target::Exec(_)) => {
            Ending::new(EndingReason::EngineLost, "the engine no longer knows the exec")
        }
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

/// The stream has ended. Finds out how the process ended.
async fn after_output(
    live: &Live,
    engine: &dyn Engine,
    mut exit: impl Future<Output = Result<Exit, EngineError>> + Unpin,
) -> StreamEnd {
    let mut asked = 0;
    while asked < INSPECTIONS {
        if let Ok(exited) = timeout(EXIT_CODE, &mut exit).await {
            return stream_end(live, exited);
        }
        match engine.inspect(live.target()).await {
            Ok(Inspected { failed_start: Some((code, reason)), .. }) => {
                let ending = Ending::with_code(EndingReason::NotStarted, code, reason);
                return StreamEnd::Over(ending);
            }
            // The process has closed its output.
            Ok(Inspected { process, .. }) if process.running => {}
            Err(error @ EngineError::NotFound(_)) => return stream_end(live, Err(error)),
            Ok(_) | Err(_) => asked += 1,
        }
    }
    StreamEnd::Over(Ending::new(EndingReason::EngineLost, "the engine ended the stream"))
}

/// Watches for the start and the exit of the process. Returns only if the container is removed before its start: its
/// stream would never end.
async fn watch_process(live: &Live, engine: &dyn Engine, again: bool) -> Ending {
    let mut run = live.run();
    if again && run.running {
        // Another process may have its process ID by now.
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
            Err(removed @ EngineError::NotFound(_)) => {
                if again {
                    // It may have run while the gate was restarting. The wait for its exit detects that.
                    tokio::time::sleep(LAST_EXIT).await;
                }
                return lost(live.target(), &removed);
            }
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

/// Returns if the process has not been started, and no client waits for it.
async fn unused(live: &Live, engine: &dyn Engine) {
    loop {
        live.until(Watch::Others, |session, _| {
            if session.is_unused() { Found::This(()) } else { Found::Nothing(None) }
        })
        .await;
        // The last client may have left right after the start, before the engine has reported it. Its output is kept.
        let inspected = engine.inspect(live.target()).await;
        if let Some(started) = inspected.ok().filter(|inspected| inspected.process.running) {
            live.started(started.run());
        } else if live.change(|session, _| session.close_unused()) {
            return;
        }
    }
}

/// Forgets attachments whose clients do not come back, and logs all that leave. Never returns.
async fn keep_attachments(live: &Live) {
    loop {
        let departure = live
            .until(Watch::Input, |session, now| {
                let released = session.expire(now);
                match session.next_departure() {
                    None if !released => Found::Nothing(session.next_expiry()),
                    departure => Found::This(departure),
                }
            })
            .await;
        // There may be input, and an expired writer may have ended stdin.
        live.change(|_, _| {});
        if let Some(departure) = departure {
            log_departure(live, &departure);
        }
    }
}

/// Completes when the gate stops and no signal is unconfirmed.
pub(super) async fn stopped(live: &Live, tasks: &Tasks) {
    tasks.cancelled().await;
    let answered = live.until(Watch::Others, |session, _| {
        if session.is_signalling() { Found::Nothing(None) } else { Found::This(()) }
    });
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
    while let Some(departure) = live.read(crate::session::Session::next_departure) {
        log_departure(live, &departure);
    }
}

fn log_departure(live: &Live, departure: &Departure) {
    let Departure { session, grant, reason, stdin, stdout, stderr } = departure;
    let (target, run) = (live.target(), live.run().started_at.unwrap_or_default());
    info!(
        session.id = %session, grant.id = %grant, %target, run, stdin, stdout, stderr,
        "session ended: {reason}"
    );
}
