//! A process of the in-memory engine. It performs its steps until they are done or something ends it.

use std::future::Future;
use std::sync::Weak;

use tokio::sync::{mpsc, watch};
use zun_common::id::ContainerId;

use super::output::{Printed, Stream};
use super::record::Control;
use super::shared::Shared;
use super::shell::{Step, Trap};
use super::signal::Signal;

/// One run of a container.
pub(super) struct Running {
    pub(super) container: ContainerId,
    pub(super) control: mpsc::UnboundedReceiver<Control>,
    pub(super) paused: watch::Receiver<bool>,
}

impl Running {
    /// Performs the steps, and returns the exit code.
    pub(super) async fn perform(mut self, engine: &Weak<Shared>, steps: Vec<Step>) -> i64 {
        let mut trap = Trap::default();
        for step in steps {
            if let Err(code) = self.uninterrupted(trap, wait(&step)).await {
                return code;
            }
            match step {
                Step::Print(stream, bytes) => self.print(engine, stream, &bytes),
                Step::ShowSize => {
                    self.print(engine, Stream::Stdout, size(engine, self.container).as_bytes());
                }
                Step::Trap(action) => trap = action,
                Step::Exit(code) => return code,
                Step::Sleep(_) | Step::Forever => {}
            }
        }
        0
    }

    fn print(&self, engine: &Weak<Shared>, stream: Stream, bytes: &[u8]) {
        if let Some(engine) = engine.upgrade() {
            engine.print(self.container, Printed::now(stream, bytes));
        }
    }

    /// Waits for `wait` and then until the process is not paused. Returns the exit code if the process ends
    /// earlier.
    async fn uninterrupted(
        &mut self,
        trap: Trap,
        wait: impl Future<Output = ()> + Send,
    ) -> Result<(), i64> {
        let Self { control, paused, .. } = self;
        let released = async {
            wait.await;
            if paused.wait_for(|paused| !*paused).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            code = end(control, trap) => Err(code),
            () = released => Ok(()),
        }
    }
}

/// Waits for as long as a step takes.
async fn wait(step: &Step) {
    match step {
        Step::Sleep(length) => tokio::time::sleep(*length).await,
        Step::Forever => std::future::pending().await,
        Step::Print(..) | Step::Trap(_) | Step::ShowSize | Step::Exit(_) => {}
    }
}

/// Waits for a control message that ends the process, and returns the exit code.
async fn end(control: &mut mpsc::UnboundedReceiver<Control>, trap: Trap) -> i64 {
    loop {
        let code = match control.recv().await {
            Some(Control::Exit(code)) => Some(code),
            Some(Control::Signal(Signal::TERM)) => match trap {
                Trap::Die => Signal::TERM.exit_code(),
                Trap::Ignore => None,
                Trap::Exit(code) => Some(code),
            },
            Some(Control::Signal(signal)) => signal.exit_code(),
            None => Signal::KILL.exit_code(),
        };
        if let Some(code) = code {
            return code;
        }
    }
}

/// Returns a terminal's size as `stty size` prints it.
pub(super) fn size(engine: &Weak<Shared>, container: ContainerId) -> String {
    let size = engine.upgrade().and_then(|engine| {
        engine.state().containers.get(&container).and_then(|record| record.size)
    });
    size.map_or_else(|| "0 0\n".to_owned(), |size| format!("{} {}\n", size.rows, size.columns))
}
