//! `zun recording play`

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::cast::{Header, Line, Lines};
use super::find;
use crate::cmd::container::data::{DataChannel, open_recording};
use crate::cmd::{Context, Failure};
use crate::console::docker::direct::next_chunk;
use crate::exit::Exit;
use crate::out;
use crate::tty::keys::Keys;
use crate::tty::output_state::OutputState;
use crate::tty::raw::RawMode;
use crate::tty::screen::{Output, Screen};
use crate::tty::signals::Signals;
use crate::tty::size;

/// Play a recording in the terminal
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun recording play 5c2d8a4e
  zun recording play 5c2d8a4e --speed 4 --idle-limit 1
  zun recording play 5c2d8a4e | grep error      Print all output at once

Space pauses and continues. Ctrl-c or q ends the playback and resets the
terminal's modes. If stdout is not a terminal, the output is printed without
pauses.")]
pub(super) struct Play {
    /// ID of the recording (a prefix is enough)
    recording: String,
    /// How many times faster than it was recorded, 0.01 to 1000
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Shorten pauses to this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_limit: Option<Duration>,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (0.01..=1000.0).contains(speed));
    speed.ok_or_else(|| "use a number from 0.01 to 1000".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "use a number of seconds, such as 2 or 0.5".to_owned())
}

/// Why the playback ended.
enum Stopped {
    /// Everything was played.
    AtEnd,
    /// The user quit.
    ByUser,
    BySignal(u8),
}

/// The local terminal of the user.
struct Player {
    screen: Screen,
    signals: Signals,
    /// In a terminal.
    keys: Option<Keys>,
    output: OutputState,
    pace: Pace,
}

/// When output is shown.
struct Pace {
    /// `None` if stdout is not a terminal.
    speed: Option<f64>,
    idle_limit: Option<Duration>,
    /// The time of the last event in the recording, and when it was shown.
    last: (Duration, Instant),
}

impl Pace {
    /// When an event of this time is shown.
    fn due(&mut self, time: Duration) -> Option<Instant> {
        let speed = self.speed?;
        let pause = time.saturating_sub(self.last.0);
        let pause = self.idle_limit.map_or(pause, |limit| pause.min(limit));
        let shown = self.last.1 + pause.div_f64(speed);
        self.last = (time.max(self.last.0), shown);
        Some(shown)
    }
}

impl Play {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let id = find(context, &self.recording).await?.id.to_string();
        let DataChannel { direct, address, .. } = open_recording(context, &id).await?;
        let mut body = direct.get(Method::GET, &address).await?.into_body();
        let mut lines = Lines::default();
        let header = header(&mut body, &mut lines).await?;
        let in_terminal = io::stdout().is_terminal();
        if in_terminal {
            warn_of_size(&header);
        }
        let own = |stream: &dyn std::os::fd::AsFd| stream.as_fd().try_clone_to_owned();
        let stdin = own(&io::stdin())?;
        // Keys are not echoed, and the replies of the terminal do not reach the shell.
        let raw = if in_terminal && stdin.as_fd().is_terminal() {
            Some((RawMode::enter(own(&stdin)?)?, Keys::read(stdin)?))
        } else {
            None
        };
        let (raw, keys) = raw.unzip();
        let mut player = Player {
            screen: Screen::write_to(own(&io::stdout())?, own(&io::stderr())?)?,
            signals: Signals::catch()?,
            keys,
            output: OutputState::default(),
            pace: Pace {
                speed: in_terminal.then_some(self.speed),
                idle_limit: self.idle_limit,
                last: (Duration::ZERO, Instant::now()),
            },
        };
        let stopped = player.play(&mut body, &mut lines).await;
        let Player { screen, output, .. } = player;
        if in_terminal {
            screen.write(Output::Stdout, output.reset().into()).await.ok();
        }
        let finished = screen.finish().await;
        drop(raw);
        match stopped? {
            Stopped::AtEnd => finished?,
            Stopped::ByUser => {}
            Stopped::BySignal(code) => return Ok(Exit(code)),
        }
        Ok(Exit::OK)
    }
}

impl Player {
    async fn play(&mut self, body: &mut Incoming, lines: &mut Lines) -> Result<Stopped, Failure> {
        loop {
            if let Some(stopped) = self.show(lines).await? {
                return Ok(stopped);
            }
            match next_chunk(body).await.transpose()? {
                Some(bytes) => lines.feed(&bytes),
                None => return Ok(Stopped::AtEnd),
            }
        }
    }

    /// Shows all lines that have arrived. Returns a reason if the playback must end.
    async fn show(&mut self, lines: &mut Lines) -> Result<Option<Stopped>, Failure> {
        while let Some(line) = next(lines)? {
            let (time, text) = match line {
                Line::Output(time, text) => (time, text),
                Line::Header(_) | Line::Remark(..) | Line::Other(_) => continue,
            };
            let stopped = self.wait(time).await?;
            if stopped.is_some() {
                return Ok(stopped);
            }
            self.output.follow(text.as_bytes());
            self.screen.write(Output::Stdout, Bytes::from(text)).await?;
        }
        Ok(None)
    }

    /// Waits until an event is due. Returns a reason if the playback must end first.
    async fn wait(&mut self, time: Duration) -> Result<Option<Stopped>, Failure> {
        let Some(mut due) = self.pace.due(time) else { return Ok(None) };
        let mut paused_at = None;
        loop {
            let waited = async {
                match paused_at {
                    None => sleep_until(due).await,
                    Some(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = waited => return Ok(None),
                signal = self.signals.ended() => return Ok(Some(Stopped::BySignal(signal.exit_code()))),
                Some(typed) = key(self.keys.as_mut()) => match command(&typed) {
                    Some(Command::End) => return Ok(Some(Stopped::ByUser)),
                    Some(Command::Pause) => match paused_at.take() {
                        None => paused_at = Some(Instant::now()),
                        Some(since) => {
                            due += since.elapsed();
                            self.pace.last.1 = due;
                        }
                    },
                    None => {}
                },
            }
        }
    }
}

/// What the user wants.
enum Command {
    Pause,
    End,
}

/// What was typed. Replies of the terminal begin with an escape character, and are no commands.
fn command(typed: &[u8]) -> Option<Command> {
    match typed.first()? {
        0x03 | b'q' => Some(Command::End),
        b' ' => Some(Command::Pause),
        _ => None,
    }
}

async fn key(keys: Option<&mut Keys>) -> Option<Bytes> {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

async fn header(body: &mut Incoming, lines: &mut Lines) -> Result<Header, Failure> {
    loop {
        if let Some(Line::Header(header)) = next(lines)? {
            return Ok(header);
        }
        match next_chunk(body).await.transpose()? {
            Some(bytes) => lines.feed(&bytes),
            None => return Err(Failure::new("the recording is empty")),
        }
    }
}

fn next(lines: &mut Lines) -> Result<Option<Line>, Failure> {
    lines.next().map_err(|invalid| Failure::new(format!("cannot play the recording: {invalid}")))
}

fn warn_of_size(Header { width, height, .. }: &Header) {
    let Some(window) = size::size_of(io::stdout()) else { return };
    if window.columns < *width || window.rows < *height {
        out::notice(&format!(
            "recorded at {width}x{height}, and this window has {}x{}",
            window.columns, window.rows
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(speed: f64, idle_limit: Option<Duration>, times: &[u64]) -> Vec<u128> {
        let begun = Instant::now();
        let mut pace = Pace { speed: Some(speed), idle_limit, last: (Duration::ZERO, begun) };
        let due = times.iter().filter_map(|time| pace.due(Duration::from_millis(*time)));
        due.map(|due| due.duration_since(begun).as_millis()).collect()
    }

    #[test]
    fn pauses_are_scaled_and_limited_and_time_does_not_go_back() {
        assert_eq!(pauses(1.0, None, &[100, 500, 400, 600]), [100, 500, 500, 600]);
        assert_eq!(pauses(2.0, None, &[100, 500]), [50, 250]);
        assert_eq!(pauses(0.5, None, &[100]), [200]);
        let second = Some(Duration::from_secs(1));
        assert_eq!(pauses(1.0, second, &[100, 60_100, 60_200]), [100, 1100, 1200]);
    }

    #[test]
    fn speeds_and_limits_are_numbers_in_their_ranges() {
        assert_eq!(speed("2.5"), Ok(2.5));
        for bad in ["0", "-1", "inf", "NaN", "fast", "1001"] {
            assert!(speed(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("x").is_err());
    }

    #[test]
    fn replies_of_the_terminal_are_no_commands() {
        assert!(matches!(command(b"\x03"), Some(Command::End)));
        assert!(matches!(command(b" "), Some(Command::Pause)));
        assert!(command(b"\x1b[?1;2c q").is_none());
    }
}
