//! Output that is collected and printed as one result at the end.

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::exit::Exit;
use crate::tty::screen::Output;

/// The most bytes of each stream that are kept.
const MAX_OUTPUT: usize = 64 << 20;

/// The output is larger than what can be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot collect the output: the command printed more than 64 MiB; run it without --format")]
pub(super) struct OutputTooLarge;

/// The output of a command.
#[derive(Debug, Default)]
pub(super) struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The printed result. Bytes that are not UTF-8 are replaced.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    exit_code: Option<u8>,
    stdout: String,
    stderr: String,
}

/// Collects all output. If it is too large, the channel is closed.
pub(super) async fn collect(
    mut chunks: mpsc::Receiver<(Output, Bytes)>,
) -> Result<Collected, OutputTooLarge> {
    let mut collected = Collected::default();
    while let Some((output, bytes)) = chunks.recv().await {
        let stream = match output {
            Output::Stdout => &mut collected.stdout,
            Output::Stderr => &mut collected.stderr,
        };
        if bytes.len() > MAX_OUTPUT - stream.len() {
            return Err(OutputTooLarge);
        }
        stream.extend_from_slice(&bytes);
    }
    Ok(collected)
}

impl Collected {
    /// Returns the result with the exit code of the command, if it is known.
    pub(super) fn shown(&self, exit: Option<Exit>) -> Shown {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Shown {
            exit_code: exit.map(|exit| exit.0),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_come_apart_and_a_character_that_was_cut_is_whole_again() {
        let (send, chunks) = mpsc::channel(8);
        let euro = "€".as_bytes();
        for (output, chunk) in [
            (Output::Stdout, euro[..1].to_vec()),
            (Output::Stderr, b"oops\xff".to_vec()),
            (Output::Stdout, euro[1..].to_vec()),
        ] {
            send.send((output, chunk.into())).await.expect("it takes");
        }
        drop(send);
        let shown = collect(chunks).await.expect("little").shown(Some(Exit(3)));
        let expected =
            Shown {
                exit_code: Some(3), stdout: "€".to_owned(), stderr: "oops\u{fffd}".to_owned()
            };
        assert_eq!(shown, expected);
    }

    #[tokio::test]
    async fn a_flood_is_refused_in_words() {
        let (send, chunks) = mpsc::channel(1);
        let (outcome, ()) = tokio::join!(collect(chunks), flood(send));
        assert!(outcome.expect_err("too much").to_string().contains("64 MiB"));
    }

    async fn flood(send: mpsc::Sender<(Output, Bytes)>) {
        let chunk = Bytes::from(vec![0; 1 << 20]);
        while send.send((Output::Stdout, chunk.clone())).await.is_ok() {}
    }
}
