//! Runs a command in a container to its end.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use zun_common::docker_errors::{exit_code_of_exec, user_message};
use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};

use super::DockerDriver;
use super::deadline::{SLOW, within};
use super::errors::RequestFailure;
use crate::driver::{DriverError, ExecInfo, LARGEST_OUTPUT, Sessions as _};

const DOING: &str = "run the command";
/// How long a command may keep running after it has closed its output.
const LINGER: Duration = Duration::from_secs(10);
const CHECK_EVERY: Duration = Duration::from_millis(10);

impl DockerDriver {
    /// Runs a command without stdin and terminal, so that stdout and stderr arrive separately and completely.
    pub(super) async fn run(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, DriverError> {
        let mut spec = spec.clone();
        (spec.tty, spec.stdin) = (false, false);
        let exec = self.exec_create(container, &spec).await?;
        let docker = self.api().await?.docker;
        let options = StartExecOptions { detach: false, tty: false, output_capacity: None };
        let run = async {
            match docker.start_exec(exec.as_str(), Some(options)).await? {
                StartExecResults::Attached { output, input: _closed_at_the_end } => {
                    collect(output).await
                }
                StartExecResults::Detached => Ok(Collected::default()),
            }
        };
        let printed = match within(SLOW, run).await {
            Ok(printed) => printed,
            Err(RequestFailure::Refused { status: 400 | 500, words }) => {
                return Ok(refused(exec, &words));
            }
            Err(failure) => return Err(failure.about_exec(DOING, &exec)),
        };
        let (seen, exit_code) = self.exec_end(&exec).await?;
        Ok(printed.finish(exec, seen.never_began, exit_code))
    }

    /// Waits for the exit. Docker may close the output a moment before it knows the exit code.
    async fn exec_end(&self, exec: &ExecId) -> Result<(ExecInfo, i64), DriverError> {
        let mut checks = tokio::time::interval(CHECK_EVERY);
        let latest = Instant::now() + LINGER;
        while checks.tick().await < latest {
            let seen = self.exec_inspect(exec).await?;
            if let (false, Some(code)) = (seen.running, seen.exit_code) {
                return Ok((seen, code));
            }
        }
        let words = "the command closed its output but is still running".to_owned();
        Err(DriverError::Engine { doing: DOING, words })
    }
}

/// The output of both streams, each up to the limit.
#[derive(Debug, Default)]
struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

impl Collected {
    fn take(&mut self, output: &LogOutput) {
        let (kept, message) = match output {
            LogOutput::StdErr { message } => (&mut self.stderr, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (&mut self.stdout, message),
        };
        let room = LARGEST_OUTPUT - kept.len();
        self.truncated |= message.len() > room;
        kept.extend_from_slice(message.get(..room).unwrap_or(message));
    }

    /// Returns the result. If the command never started, the output is Docker's reason.
    fn finish(self, exec: ExecId, never_began: bool, exit_code: i64) -> ExecOutput {
        let Self { stdout, stderr, truncated } = self;
        if never_began {
            return refused(
                exec,
                &user_message(&String::from_utf8_lossy(&[stdout, stderr].concat())),
            );
        }
        ExecOutput { exec, stdout, stderr, exit_code, truncated }
    }
}

async fn collect(
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
) -> Result<Collected, Error> {
    let mut collected = Collected::default();
    while let Some(piece) = output.next().await {
        collected.take(&piece?);
    }
    Ok(collected)
}

/// Returns the result of a command that could not be run.
fn refused(exec: ExecId, reason: &str) -> ExecOutput {
    let exit_code = exit_code_of_exec(reason);
    let stderr = format!("{reason}\n").into_bytes();
    ExecOutput { exec, stdout: Vec::new(), stderr, exit_code, truncated: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec() -> ExecId {
        "cd".repeat(32).parse().expect("an exec id")
    }

    #[test]
    fn each_stream_has_its_own_limit() {
        let mut collected = Collected::default();
        for _ in 0..5 {
            collected.take(&LogOutput::StdOut { message: vec![b'x'; 1 << 20].into() });
        }
        collected.take(&LogOutput::StdErr { message: "oops".into() });
        let output = collected.finish(exec(), false, 0);
        assert_eq!((output.stdout.len(), output.stderr.as_slice()), (LARGEST_OUTPUT, &b"oops"[..]));
        assert!(output.truncated);
    }

    #[test]
    fn dockers_reason_goes_to_stderr_and_the_output_of_a_command_that_ran_does_not_change() {
        let printed = |text: &'static str| Collected {
            stdout: text.as_bytes().to_vec(),
            ..Collected::default()
        };
        let missing =
            "OCI runtime exec failed: exec: \"x\": executable file not found in $PATH\r\n";
        let user = "unable to find user nobody: no matching entries in passwd file\r\n";
        for (words, code, reason) in [
            (missing, 127, "exec: \"x\": executable file not found in $PATH\n"),
            (user, 126, "unable to find user nobody: no matching entries in passwd file\n"),
            ("", 126, "Docker gave no reason\n"),
        ] {
            let output = printed(words).finish(exec(), true, 126);
            assert_eq!((output.exit_code, output.stdout.len()), (code, 0));
            assert_eq!(String::from_utf8_lossy(&output.stderr), reason);
            let own = printed(words).finish(exec(), false, 126);
            assert_eq!((own.exit_code, own.stdout.as_slice()), (126, words.as_bytes()));
            assert_eq!(own.stderr.len(), 0);
        }
    }
}
