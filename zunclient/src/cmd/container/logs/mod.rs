//! `zun logs`: reads the log directly from Docker on the host.

mod follow;
mod records;

use clap::Args;
use hyper::Method;
use zun_common::docker_stream::{Demultiplexer, Part};
use zun_common::grant::{LogTime, LogsQuery};

use super::data::{self, DataChannel};
use crate::cmd::{Context, Failure, time};
use crate::console::docker::direct::next_chunk;
use crate::exit::Exit;
use crate::tty::screen::{Output, Screen};
use records::{Answer, Shown, Written, output};

/// Show the output of a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun logs test
  zun logs -f --tail 20 --timestamps web
  zun logs --since 10m --until 2026-11-23T18:00:00Z web
  zun logs --stderr web

TIME is a date, a date and time, Unix seconds, or how long ago (90s, 10m,
1h30m). Without a time zone it is UTC.

The output is what Docker logged. Its default log driver replaces bytes that are
not UTF-8.")]
pub(in crate::cmd) struct Logs {
    #[command(flatten)]
    outputs: OutputFlags,
    #[command(flatten)]
    range: RangeFlags,
    /// Show the labels and variables that --log-opt labels=... and env=... add to the log
    #[arg(long)]
    details: bool,
    /// Name or UUID of the container
    container: String,
}

#[derive(Debug, Args)]
struct OutputFlags {
    /// Show only stdout (with --stderr: both)
    #[arg(long)]
    stdout: bool,
    /// Show only stderr (with --stdout: both)
    #[arg(long)]
    stderr: bool,
}

#[derive(Debug, Args)]
struct RangeFlags {
    /// Follow the output until the container stops
    #[arg(short, long)]
    follow: bool,
    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,
    /// Show only the last lines: a number or all (default all)
    #[arg(short = 'n', long, value_name = "LINES", value_parser = lines)]
    tail: Option<Lines>,
    /// Show only output since this time
    #[arg(long, value_name = "TIME", value_parser = time::stamp)]
    since: Option<LogTime>,
    /// Show only output before this time
    #[arg(long, value_name = "TIME", value_parser = time::stamp)]
    until: Option<LogTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    All,
    Last(u32),
}

fn lines(text: &str) -> Result<Lines, String> {
    match text {
        "all" => Ok(Lines::All),
        // As in Docker, a negative number means all.
        text if text.parse::<i64>().is_ok_and(|number| number < 0) => Ok(Lines::All),
        text => text
            .parse()
            .map(Lines::Last)
            .map_err(|_not_a_number| "use a number of lines, or all".to_owned()),
    }
}

impl Logs {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let own = |stream: &dyn std::os::fd::AsFd| stream.as_fd().try_clone_to_owned();
        let screen = Screen::write_to(own(&std::io::stdout())?, own(&std::io::stderr())?)?;
        let outcome = self.show(context, &screen).await;
        // If the link was lost, the output that arrived before is still shown.
        let finished = screen.finish().await;
        outcome?.and(finished)?;
        Ok(Exit::OK)
    }

    async fn show(&self, context: &Context, screen: &Screen) -> Result<Written, Failure> {
        let query = self.query();
        if query.follow {
            return follow::follow((context, &self.container), &query, screen).await;
        }
        let channel = data::open_logs(context, &self.container).await?;
        if query.timestamps {
            with_timestamps(&channel, &query, screen).await
        } else {
            without_timestamps(&channel, &query, screen).await
        }
    }

    fn query(&self) -> LogsQuery {
        let Self { outputs, range, details, container: _ } = self;
        LogsQuery {
            follow: range.follow,
            stdout: outputs.stdout || !outputs.stderr,
            stderr: outputs.stderr || !outputs.stdout,
            timestamps: range.timestamps,
            since: range.since.unwrap_or_default(),
            until: range.until.unwrap_or_default(),
            tail: match range.tail {
                Some(Lines::Last(lines)) => Some(lines),
                Some(Lines::All) | None => None,
            },
            details: *details,
        }
    }
}

/// The most output that [`last_lines`] returns, in bytes.
const MAX_TAIL: usize = 64 << 10;

/// Returns the last lines of the output, both streams together.
pub(super) async fn last_lines(
    context: &Context,
    container: &str,
    lines: u32,
) -> Result<String, Failure> {
    let DataChannel { direct, address, tty, export: _ } =
        data::open_logs(context, container).await?;
    let query = LogsQuery {
        follow: false,
        stdout: true,
        stderr: true,
        timestamps: false,
        since: LogTime::default(),
        until: LogTime::default(),
        tail: Some(lines),
        details: false,
    };
    let mut body = direct.get(Method::GET, &address.with(&query.query())).await?.into_body();
    let mut frames = Demultiplexer::default();
    let mut output = Vec::new();
    while let Some(bytes) = next_chunk(&mut body).await.transpose()? {
        if tty {
            output.extend_from_slice(&bytes);
        } else {
            frames.feed(&bytes);
            while let Some(part) =
                frames.next_part().map_err(|unknown| Failure::new(unknown.to_string()))?
            {
                output.extend_from_slice(&part.data);
            }
        }
        let excess = output.len().saturating_sub(MAX_TAIL);
        output.drain(..excess);
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

async fn with_timestamps(
    channel: &DataChannel,
    query: &LogsQuery,
    screen: &Screen,
) -> Result<Written, Failure> {
    let mut shown = Shown::on(screen, true);
    let mut answer = Answer::of(channel, query).await?;
    while let Some(piece) = answer.next().await? {
        let written = shown.show(piece).await;
        if written.is_err() {
            return Ok(written);
        }
    }
    Ok(Ok(()))
}

async fn without_timestamps(
    DataChannel { direct, address, tty, export: _ }: &DataChannel,
    query: &LogsQuery,
    screen: &Screen,
) -> Result<Written, Failure> {
    let mut body = direct.get(Method::GET, &address.with(&query.query())).await?.into_body();
    let mut frames = Demultiplexer::default();
    while let Some(bytes) = next_chunk(&mut body).await.transpose()? {
        let written = if *tty {
            screen.write(Output::Stdout, bytes).await
        } else {
            frames.feed(&bytes);
            show(&mut frames, screen).await?
        };
        if written.is_err() {
            return Ok(written);
        }
    }
    Ok(Ok(()))
}

/// Shows the output that has arrived, including parts of frames.
async fn show(frames: &mut Demultiplexer, screen: &Screen) -> Result<Written, Failure> {
    loop {
        let next = frames.next_part().map_err(|unknown| Failure::new(unknown.to_string()))?;
        let Some(Part { stream, data, .. }) = next else { return Ok(Ok(())) };
        let written = screen.write(output(stream), data).await;
        if written.is_err() {
            return Ok(written);
        }
    }
}
