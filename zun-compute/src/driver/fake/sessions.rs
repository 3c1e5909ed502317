//! Terminal sizes and execs of the in-memory engine.

use std::sync::Arc;

use async_trait::async_trait;
use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::status::Status;
use zun_common::units::TerminalSize;

use super::FakeDriver;
use super::faults::Operation;
use super::output::Stream;
use super::process;
use super::record::ExecRecord;
use super::shared::fresh_id;
use super::shell::{NotRunnable, ShellContext, Step, program};
use super::signal::Signal;
use crate::driver::docker::to_docker;
use crate::driver::{DriverError, ExecInfo, LARGEST_OUTPUT, Sessions};

#[async_trait]
impl Sessions for FakeDriver {
    async fn resize(&self, container: ContainerId, size: TerminalSize) -> Result<(), DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let record = state.record(container)?;
            if !record.is_active() {
                let words = format!("Container {container} is not running");
                return Err(DriverError::Conflict { words });
            }
            record.size = Some(size);
            Ok(())
        };
        self.shared.faults.perform(Operation::Resize, Some(container), work).await
    }

    async fn exec_create(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecId, DriverError> {
        let work = async { self.create_exec(container, spec) };
        self.shared.faults.perform(Operation::ExecCreate, Some(container), work).await
    }

    async fn exec_run(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, DriverError> {
        let work = async {
            let exec = self.create_exec(container, spec)?;
            let context = self.shell_context(container, spec)?;
            let output = match program(&spec.command, &context) {
                Ok(steps) => self.follow(container, steps, exec.clone()).await,
                Err(NotRunnable { code, words }) => ExecOutput {
                    exec: exec.clone(),
                    stdout: Vec::new(),
                    stderr: format!("{words}\n").into_bytes(),
                    exit_code: code,
                    truncated: false,
                },
            };
            self.end_exec(&exec, output.exit_code);
            Ok(output)
        };
        self.shared.faults.perform(Operation::ExecRun, Some(container), work).await
    }

    async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let record = state.exec(exec)?;
            Ok(ExecInfo {
                engine: record.engine.clone(),
                running: record.running,
                never_began: false,
                exit_code: record.exit_code,
                tty: record.spec.tty,
                stdin: record.spec.stdin,
            })
        };
        self.shared.faults.perform(Operation::ExecInspect, None, work).await
    }

    async fn exec_signal(&self, exec: &ExecId, signal: &str) -> Result<(), DriverError> {
        let work = async {
            let signal = Signal::parse(signal)?;
            let mut state = self.shared.state();
            let record = state.exec(exec)?;
            if !record.running {
                return Err(DriverError::Conflict { words: format!("Exec {exec} is not running") });
            }
            if let Some(code) = signal.exit_code() {
                record.running = false;
                record.exit_code = Some(code);
            }
            Ok(())
        };
        self.shared.faults.perform(Operation::ExecSignal, None, work).await
    }

    async fn exec_resize(&self, exec: &ExecId, size: TerminalSize) -> Result<(), DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let record = state.exec(exec)?;
            if !record.running {
                return Err(DriverError::Conflict { words: format!("Exec {exec} is not running") });
            }
            record.size = Some(size);
            Ok(())
        };
        self.shared.faults.perform(Operation::ExecResize, None, work).await
    }
}

impl FakeDriver {
    fn create_exec(&self, container: ContainerId, spec: &ExecSpec) -> Result<ExecId, DriverError> {
        to_docker::exec(spec)?;
        let mut state = self.shared.state();
        let record = state.record(container)?;
        if record.status != Status::Running {
            let words = format!("Container {container} is {}", record.status);
            return Err(DriverError::Conflict { words });
        }
        let made = ExecRecord {
            container,
            engine: record.engine.clone(),
            size: spec.size,
            spec: spec.clone(),
            running: false,
            exit_code: None,
        };
        let exec: ExecId = fresh_id()?;
        state.execs.insert(exec.clone(), made);
        Ok(exec)
    }

    fn shell_context(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ShellContext, DriverError> {
        let mut context = self.shared.state().record(container)?.shell_context();
        let pairs = spec.environment.iter().filter_map(|pair| pair.split_once('='));
        context.environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        context.workdir = spec.workdir.clone().or(context.workdir);
        context.user = spec.user.clone().or(context.user);
        Ok(context)
    }

    /// Runs steps to their end. Stdin is empty.
    async fn follow(&self, container: ContainerId, steps: Vec<Step>, exec: ExecId) -> ExecOutput {
        let mut output = ExecOutput {
            exec,
            stdout: Vec::new(),
            stderr: Vec::new(),
            exit_code: 0,
            truncated: false,
        };
        for step in steps {
            match step {
                Step::Print(stream, bytes) => keep(&mut output, stream, &bytes),
                Step::ShowSize => {
                    let size = process::size(&Arc::downgrade(&self.shared), container);
                    keep(&mut output, Stream::Stdout, size.as_bytes());
                }
                Step::Sleep(length) => tokio::time::sleep(length).await,
                Step::Exit(code) => {
                    output.exit_code = code;
                    break;
                }
                Step::Forever | Step::Trap(_) => {}
            }
        }
        output
    }
}

fn keep(output: &mut ExecOutput, stream: Stream, bytes: &[u8]) {
    let kept = match stream {
        Stream::Stdout => &mut output.stdout,
        Stream::Stderr => &mut output.stderr,
    };
    let room = LARGEST_OUTPUT - kept.len();
    output.truncated |= bytes.len() > room;
    kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}
