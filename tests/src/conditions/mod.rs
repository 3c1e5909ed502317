//! The interactive conditions, the recorded results of their tests, and the table of the results.

mod recorder;
mod table;

use serde::{Deserialize, Serialize};

pub use recorder::Recorder;
pub use table::table;

/// One condition that must hold for sessions that the CLI dials directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Its number, such as `C06`.
    pub id: &'static str,
    /// One line for the table.
    pub summary: &'static str,
}

macro_rules! conditions {
    ($($id:ident $summary:literal),+ $(,)?) => {
        /// All conditions, in order.
        pub const CONDITIONS: &[Condition] =
            &[$(Condition { id: stringify!($id), summary: $summary }),+];
    };
}

conditions!(
    C01 "`run -i sh`: a prompt without pressing Enter, a command, `exit`; the terminal is restored",
    C02 "the exit code of zun is the shell's",
    C03 "a command killed by SIGKILL or SIGTERM: 137, 143",
    C04 "command missing, not executable, bad flag, service down: 127, 126, 125, 125, one line, nothing left behind",
    C05 "`exec` of a missing program: 127, one line on stderr",
    C06 "the end of a pipe ends `cat`, at most 2 s after docker itself",
    C07 "50 MiB through a pipe arrive unchanged",
    C08 "output after the end of the input still arrives",
    C09 "`exec -i cat < file`, 100 times",
    C10 "stdout and stderr stay separate without a terminal",
    C12 "`run -i stty size` as the first command, 50 times",
    C13 "`exec -i stty size`, 50 times",
    C14 "a resize arrives within 200 ms, even after the grant has expired",
    C15 "200 resizes in a second: the last one wins, no message",
    C16 "a resize in the last milliseconds: no error, the right exit code",
    C17 "a full-screen program draws, is resized, quits",
    C18 "detach and come back: exit 0, Running, the prompt is redrawn",
    C19 "custom detach keys leave ctrl-p to the shell",
    C20 "detach keys off: ctrl-p ctrl-q reach the program",
    C22 "with a gate, attach to a container that has printed a prompt without a newline: it is visible at once",
    C23 "with a gate, 3 MB were printed before: a client that asks for all output gets each byte once",
    C24 "attach to a created, paused, exited or missing container, or another project's",
    C25 "`-t` without a terminal on stdin: an error for run, a warning for exec",
    C26 "two sessions on one container: each shows the input and output of both",
    C27 "with a gate, nothing that a read-only client sends reaches the process",
    C29 "with a gate, the only viewer does not read: the process continues, and a gap and the screen follow",
    C30 "without a terminal, signals go to the process (run, attach, exec)",
    C31 "with a terminal, ctrl-c, ctrl-z, ctrl-\\ and ctrl-d go to the program",
    C32 "TERM, HUP, QUIT, a panic, stop and continue: the terminal is restored",
    C34 "the terminal window is closed: the container and the exec keep running; `--on-disconnect` ends the exec",
    C35 "with a gate, the link is cut for 5 s in a stream of output: it arrives complete and once, and a line says so meanwhile",
    C36 "with a gate, the link is reset while typing: each key arrives once",
    C37 "with a gate, the link is cut for a piped `cat`: its input does not end",
    C39 "zun-api, agent and RabbitMQ killed and restarted during a session and an exec: no line is lost",
    C42 "with a gate, Docker is restarted with live-restore: the session continues, and a line says so",
    C43 "a restart while attached is reported, and never as exit 0",
    C44 "out of memory, removed by someone else, host down: one line with the reason",
    C45 "`--rm`: exit, detach, killed client, lost link: removed, kept, kept, kept",
    C46 "idle for 10 minutes behind a proxy that closes idle connections after 60 s",
    C47 "a peer that vanishes is noticed within 15 s",
    C49 "characters split over several writes arrive whole",
    C50 "10 MiB of random bytes arrive unchanged",
    C52 "a grant that has expired, or is used on another host, for another verb or with another key: refused",
    C53 "with a gate, a revoked session: closed within 5 s with the reason",
    C55 "the address without the key: no handshake",
    C57 "a wrong host certificate: refused before the first byte",
    C58 "IPv6, an advertised name; an error names the address that zun tried",
    C60 "with a gate, a recorded session with resizes and an exec: the file is valid and plays, also after the container was deleted",
    C63 "`exec -e -w -u --privileged`",
    C64 "`exec --format json`; live output without it",
    C65 "pull progress on stderr; ctrl-c leaves nothing behind",
    C67 "with a gate, many sessions that print 1 MB/s each: all are complete, and keys echo meanwhile",
    C68 "echo of a key, compared with `docker exec` on the unix socket",
    C70 "with a gate, `openstack appcontainer run --interactive`, `attach` and `exec --interactive`",
    C71 "with a gate, websocket clients that offer `binary`: whole characters in small messages",
    C72 "with a gate, all 256 byte values: as text with `binary`, exact without a subprotocol",
    C73 "with a gate, questions to the terminal: one client replies, and late joiners are asked none",
    C74 "with a gate, leave an editor and come back: the terminal is restored, then the screen and modes are the same",
    C75 "with a gate, a frozen link delivers its input after a resume: it is dropped",
    C76 "with a gate, the gate is killed and restarted under load: nothing is lost or repeated, execs survive",
    C77 "with a gate, a pipe is not read: nothing is lost, and `zun kill` works meanwhile",
    C78 "with a gate, several viewers: the terminal has the size of the one that typed last",
    C79 "with a gate, a resume after the grant has expired; another key or token, or a revoked grant: refused",
    C80 "with a gate, the web console in a browser; pages of other sites and used tickets are refused",
);

/// The result of one run of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The condition.
    pub condition: String,
    /// The test's name.
    pub test: String,
    /// The engine, such as `20.10.24 (API 1.41)`.
    pub engine: String,
    /// Whether the condition held.
    pub held: bool,
    /// Whether the run had full length.
    pub long: bool,
    /// Duration of the run.
    pub seconds: f64,
    /// The measured value, if the test measures one.
    pub figure: Option<String>,
}
