//! An engine without processes, for tests. The test acts as the processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use zun_common::pty::Size;

use super::{
    ArchiveAnswer, ArchiveError, ArchiveRequest, Engine, EngineError, Exit, Inspected, Opened,
    Owner, Run, Signal, Start, Target,
};
use crate::session::{Control, Process};

/// The engine. Clones share its processes.
#[derive(Clone, Default)]
pub struct FakeEngine(Arc<Mutex<HashMap<Target, FakeProcess>>>);

struct FakeProcess {
    process: Process,
    /// The process's end of the newest stream.
    stream: Option<UnixStream>,
    controls: Vec<Control>,
    started: watch::Sender<bool>,
    exit: watch::Sender<Option<Exit>>,
    /// Changes when the engine restarts.
    engine: watch::Sender<()>,
    /// The step of its opening at which the engine blocks.
    held: watch::Sender<Option<OpeningStep>>,
    /// Why it cannot be started, if it is an exec.
    failed_start: Option<Exit>,
    owner: Option<Owner>,
}

/// A step of the opening of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpeningStep {
    /// The engine inspects the target.
    Inspect,
    /// The engine opens the stream.
    Open,
    /// The engine starts the exec, whose stream is open.
    Start,
}

impl FakeEngine {
    /// Adds a process.
    pub fn add(&self, target: Target, process: Process) {
        let added = FakeProcess {
            process,
            stream: None,
            controls: Vec::new(),
            started: watch::Sender::new(process.running),
            exit: watch::Sender::new(None),
            engine: watch::Sender::new(()),
            held: watch::Sender::new(None),
            failed_start: None,
            owner: None,
        };
        self.lock().insert(target, added);
    }

    /// Blocks the engine at this step, or unblocks it.
    pub fn hold(&self, target: &Target, step: Option<OpeningStep>) {
        if let Some(found) = self.lock().get_mut(target) {
            found.held.send_replace(step);
        }
    }

    /// The container has these labels.
    pub fn label(&self, target: &Target, owner: Owner) {
        if let Some(found) = self.lock().get_mut(target) {
            found.owner = Some(owner);
        }
    }

    /// An exec cannot be started.
    pub fn fail_start(&self, target: &Target, exit: Exit) {
        if let Some(found) = self.lock().get_mut(target) {
            found.failed_start = Some(exit);
        }
    }

    async fn pass(&self, target: &Target, step: OpeningStep) -> Result<(), EngineError> {
        let mut held = self.find(target, |found| found.held.subscribe())?;
        let gone = |_closed| EngineError::NotFound(target.clone());
        held.wait_for(|held| *held != Some(step)).await.map_err(gone).map(drop)
    }

    /// Takes the process's end of the opened stream.
    pub fn take_stream(&self, target: &Target) -> Option<UnixStream> {
        self.lock().get_mut(target)?.stream.take()
    }

    /// The sizes and signals that the process received.
    pub fn controls(&self, target: &Target) -> Vec<Control> {
        self.lock().get(target).map(|found| found.controls.clone()).unwrap_or_default()
    }

    /// Starts a process.
    pub fn start(&self, target: &Target) {
        if let Some(found) = self.lock().get_mut(target) {
            found.process.running = true;
            found.started.send_replace(true);
        }
    }

    /// Starts the process without reporting it yet.
    pub fn start_unreported(&self, target: &Target) {
        if let Some(found) = self.lock().get_mut(target) {
            found.process.running = true;
        }
    }

    /// Ends the process. The test must also drop its stream.
    pub fn exit(&self, target: &Target, exit: Exit) {
        if let Some(found) = self.lock().get_mut(target) {
            found.process.running = false;
            found.exit.send_replace(Some(exit));
        }
    }

    /// Restarts the engine, while its processes keep running. The test must also drop their streams.
    pub fn restart(&self, target: &Target) {
        if let Some(found) = self.lock().get_mut(target) {
            found.engine.send_replace(());
        }
    }

    async fn exit_of(&self, target: &Target) -> Result<Exit, EngineError> {
        let (mut exit, mut engine) =
            self.find(target, |found| (found.exit.subscribe(), found.engine.subscribe()))?;
        let exited = tokio::select! {
            exited = exit.wait_for(Option::is_some) => exited.ok().and_then(|exit| exit.clone()),
            Ok(()) = engine.changed() => {
                let message = "the engine restarts".to_owned();
                return Err(EngineError::Failed { doing: "wait for the exit", message });
            }
        };
        exited.ok_or_else(|| EngineError::NotFound(target.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, FakeProcess>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find<T>(
        &self,
        target: &Target,
        look: impl FnOnce(&mut FakeProcess) -> T,
    ) -> Result<T, EngineError> {
        let mut all = self.lock();
        all.get_mut(target).map(look).ok_or_else(|| EngineError::NotFound(target.clone()))
    }
}

fn inspected(found: &FakeProcess) -> Inspected {
    Inspected {
        process: found.process,
        ended: false,
        stdin_ends: true,
        pid: None,
        failed_start: None,
        started_at: None,
        container: None,
        owner: found.owner.clone(),
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn inspect(&self, target: &Target) -> Result<Inspected, EngineError> {
        self.pass(target, OpeningStep::Inspect).await?;
        self.find(target, |found| inspected(found))
    }

    async fn open(
        &self,
        target: &Target,
        _inspected: &Inspected,
        _size: Option<Size>,
    ) -> Result<Opened, EngineError> {
        const DOING: &str = "open a stream";
        let unreachable = |cause| EngineError::Unreachable { doing: DOING, cause };
        let (stream, theirs) = UnixStream::pair().map_err(unreachable)?;
        self.pass(target, OpeningStep::Open).await?;
        let is_started = self.find(target, |found| {
            let is_exec = matches!(target, Target::Exec(_));
            if is_exec && found.process.running {
                return true;
            }
            found.stream = Some(theirs);
            found.process.running |= is_exec;
            false
        })?;
        if is_started {
            let message = "it was started already".to_owned();
            return Err(EngineError::Conflict { doing: "start the exec", message });
        }
        let (engine, target) = (self.clone(), target.clone());
        let exit = Box::pin(async move { engine.exit_of(&target).await });
        Ok(Opened { stream, early: Bytes::new(), output_ended: Arc::default(), exit })
    }

    async fn start_of_exec(
        &self,
        target: &Target,
        _stream: &UnixStream,
        _early: (&[u8], bool),
    ) -> Result<Start, EngineError> {
        self.pass(target, OpeningStep::Start).await?;
        let failed = self.find(target, |found| found.failed_start.clone())?;
        Ok(failed.map_or(Start::Running { pid: None }, Start::Failed))
    }

    async fn exit_after_restart(
        &self,
        target: &Target,
        _run: &Run,
        _output_ended: &Notify,
    ) -> Result<Exit, EngineError> {
        self.exit_of(target).await
    }

    async fn started(&self, target: &Target) -> Result<Inspected, EngineError> {
        let mut started = self.find(target, |found| found.started.subscribe())?;
        let gone = |_closed| EngineError::NotFound(target.clone());
        started.wait_for(|started| *started).await.map_err(gone)?;
        self.inspect(target).await
    }

    async fn resize(&self, target: &Target, size: Size) -> Result<(), EngineError> {
        self.find(target, |found| found.controls.push(Control::Resize(size)))
    }

    async fn signal(&self, target: &Target, signal: Signal<'_>) -> Result<(), EngineError> {
        self.find(target, |found| found.controls.push(Control::Signal(signal.name.to_owned())))
    }

    /// It has no files.
    async fn archive(&self, request: ArchiveRequest) -> Result<ArchiveAnswer, ArchiveError> {
        self.find(&Target::Container(request.container), |_found| ())?;
        Err(ArchiveError::NoFile)
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
