//! The interactive conditions: what they are, what each run of a test found, and the table that is made of it.

mod table;
mod trial;

use serde::{Deserialize, Serialize};

pub use table::table;
pub use trial::Trial;

/// One condition that must hold on the direct dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Such as `C06`.
    pub id: &'static str,
    /// In a few words.
    pub words: &'static str,
}

macro_rules! conditions {
    ($($id:ident $words:literal),+ $(,)?) => {
        /// All of them, in order.
        pub const CONDITIONS: &[Condition] =
            &[$(Condition { id: stringify!($id), words: $words }),+];
    };
}

conditions!(
    C01 "`run -i sh`: a prompt without Enter, a command, `exit`; the terminal is restored",
    C02 "the shell's exit code is the CLI's",
    C03 "a command that dies of SIGKILL or SIGTERM: 137, 143",
    C04 "missing, not executable, bad flag, no service: 127, 126, 125, 125, one line, nothing left",
    C05 "`exec` of a missing binary: 127, the line on stderr",
    C06 "the end of a pipe ends `cat`, under 2 s behind docker itself",
    C07 "50 MiB through a pipe, unharmed",
    C08 "output after the end of the input still arrives",
    C09 "`exec -i cat < file`, 100 times",
    C10 "stdout and stderr apart, without a terminal",
    C12 "`run -i stty size` as the first command, 50 times",
    C13 "`exec -i stty size`, 50 times",
    C14 "a resize arrives within 200 ms; also when the grant has expired",
    C15 "200 resizes in a second: the last wins, without a word",
    C16 "a resize in the last milliseconds: no error, the right exit code",
    C17 "a full-screen program draws, is resized, quits",
    C18 "detach and come back: exit 0, Running, the prompt is redrawn",
    C19 "own detach keys leave ctrl-p to the shell",
    C20 "no detach keys: ctrl-p ctrl-q reach the program",
    C24 "attach to created, paused, exited, missing, another tenant's",
    C25 "a terminal that is not there: an error for run, a warning for exec",
    C26 "two consoles: both see both",
    C30 "without a terminal, signals are the process's (run, attach, exec)",
    C31 "with a terminal, ctrl-c, ctrl-z, ctrl-\\ and ctrl-d go to the program",
    C32 "TERM, HUP, QUIT, a panic, stop and continue: the terminal is restored",
    C34 "the terminal window is closed: the container and the exec go on",
    C39 "zun-api, agent and RabbitMQ killed and restarted during a session and an exec: not a line is lost",
    C43 "a restart while attached is said, and never exit 0",
    C44 "out of memory, removed by another, host down: one line with the reason",
    C45 "`--rm`: exit, detach, killed client, lost link: removed, kept, kept, kept",
    C46 "idle for 10 minutes behind a proxy that cuts after 60 s",
    C47 "a peer that vanishes is noticed within 15 s",
    C49 "characters split over writes arrive whole",
    C50 "10 MiB of random bytes come out identical",
    C52 "a grant after its end, elsewhere, for another verb, with another key: refused",
    C55 "the address without the key: no handshake",
    C57 "a wrong host certificate: refused before a byte",
    C58 "IPv6, an advertised name; an error names the address tried",
    C63 "`exec -e -w -u --privileged`",
    C64 "`exec --format json`; live without it",
    C65 "progress of a pull on stderr; ctrl-c leaves nothing",
    C68 "a key's echo against `docker exec` on the unix socket",
);

/// What one run of one test found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The condition.
    pub condition: String,
    /// The test's name.
    pub test: String,
    /// The engine, such as `20.10.24 (API 1.41)`.
    pub engine: String,
    /// Whether it held.
    pub held: bool,
    /// In full length.
    pub long: bool,
    /// How long it took.
    pub seconds: f64,
    /// What was measured, where something was.
    pub figure: Option<String>,
}
