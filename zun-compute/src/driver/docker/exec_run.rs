//! Running a command in a container to its end.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};

use super::DockerDriver;
use super::deadline::{SLOW, within};
use super::errors::{Trouble, not_runnable};
use crate::driver::{DriverError, LARGEST_OUTPUT, Sessions as _};

const DOING: &str = "run the command";
/// How long after the end of its output a command may take to end.
const LINGER: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl DockerDriver {
    /// Neither stdin nor a terminal: both streams come apart and to their end.
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
            Err(Trouble::Refused { status: 400 | 500, words })
                if not_runnable(&words).is_some() =>
            {
                return Ok(refused(exec, words));
            }
            Err(trouble) => return Err(trouble.about_exec(DOING, &exec)),
        };
        let exit_code = self.exec_end(&exec).await?;
        Ok(printed.finish(exec, exit_code))
    }

    /// The exit code. Docker may close the output a moment before it knows the end.
    async fn exec_end(&self, exec: &ExecId) -> Result<i64, DriverError> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let latest = Instant::now() + LINGER;
        while looks.tick().await < latest {
            let seen = self.exec_inspect(exec).await?;
            if let (false, Some(code)) = (seen.running, seen.exit_code) {
                return Ok(code);
            }
        }
        let words = "it closed its output and still runs".to_owned();
        Err(DriverError::Engine { doing: DOING, words })
    }
}

/// Both streams, each up to its bound.
#[derive(Debug, Default)]
struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    cut: bool,
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
        self.cut |= message.len() > room;
        kept.extend_from_slice(message.get(..room).unwrap_or(message));
    }

    fn finish(self, exec: ExecId, exit_code: i64) -> ExecOutput {
        let Self { stdout, stderr, cut } = self;
        // What cannot be run is an exit code, and the runtime's words on stdout.
        if matches!(exit_code, 126 | 127) && stdout.starts_with(b"OCI runtime exec failed") {
            return refused(exec, String::from_utf8_lossy(&stdout).trim_end().to_owned());
        }
        ExecOutput { exec, stdout, stderr, exit_code, cut }
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

/// The answer for a command that could not be run.
fn refused(exec: ExecId, words: String) -> ExecOutput {
    let exit_code = not_runnable(&words).unwrap_or(126);
    let mut stderr = words.into_bytes();
    stderr.push(b'\n');
    ExecOutput { exec, stdout: Vec::new(), stderr, exit_code, cut: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec() -> ExecId {
        "cd".repeat(32).parse().expect("an exec id")
    }

    #[test]
    fn each_stream_is_bounded_by_itself() {
        let mut collected = Collected::default();
        for _ in 0..5 {
            collected.take(&LogOutput::StdOut { message: vec![b'x'; 1 << 20].into() });
        }
        collected.take(&LogOutput::StdErr { message: "oops".into() });
        let output = collected.finish(exec(), 0);
        assert_eq!((output.stdout.len(), output.stderr.as_slice()), (LARGEST_OUTPUT, &b"oops"[..]));
        assert!(output.cut);
    }

    #[test]
    fn the_runtimes_words_go_to_stderr_and_a_programs_own_126_stays() {
        let printed = |text: &'static str| Collected {
            stdout: text.as_bytes().to_vec(),
            ..Collected::default()
        };
        let missing =
            "OCI runtime exec failed: exec: \"x\": executable file not found in $PATH\r\n";
        let output = printed(missing).finish(exec(), 126);
        assert_eq!((output.exit_code, output.stdout.len()), (127, 0));
        assert!(output.stderr.starts_with(b"OCI runtime exec failed"));
        let own = printed("sorry\n").finish(exec(), 126);
        assert_eq!((own.exit_code, own.stdout.as_slice()), (126, &b"sorry\n"[..]));
    }
}
