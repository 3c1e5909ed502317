//! The commands of `zun` over those of `docker`, on the engine of the standalone service.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zun_tests::pty::Pty;
use zun_tests::zun_cli::ZunCli;

use crate::figures::{Figure, Summary};
use crate::run::{Run, interleaved};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["cli-"];

const SIZE: (u16, u16) = (24, 80);

/// The two clients.
struct Clients {
    zun: ZunCli,
    docker: Vec<String>,
}

/// Measures all of them in turn with docker's.
pub fn measure(run: &Run) {
    let zun = ZunCli::shared();
    let socket = format!("unix://{}", zun.engine_socket().display());
    let clients = Clients { zun, docker: vec!["-H".to_owned(), socket] };
    if run.wants("cli-run") {
        let zun = ["run", "-i", "--rm", "cirros", "true"];
        run.record("cli-run", clients.compare(run.samples(25), &zun, &zun));
    }
    if run.wants("cli-run-terminal") {
        run.record("cli-run-terminal", clients.compare_terminals(run.samples(25)));
    }
    if !run.wants("cli-exec") && !run.wants("cli-list") {
        return;
    }
    let name = clients.zun.name("bench");
    clients.zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sleep", "100000"]);
    let id = clients.zun.field(name.as_str(), "uuid");
    let engine_name = format!("zun-{}", id.as_str().expect("a uuid"));
    if run.wants("cli-exec") {
        let ours = ["exec", name.as_str(), "true"];
        let theirs = ["exec", engine_name.as_str(), "true"];
        run.record("cli-exec", clients.compare(run.samples(40), &ours, &theirs));
    }
    if run.wants("cli-list") {
        run.record("cli-list", clients.compare(run.samples(100), &["list"], &["ps"]));
    }
}

impl Clients {
    fn compare(&self, rounds: usize, ours: &[&str], theirs: &[&str]) -> Figure {
        let (ours, theirs) = interleaved(
            rounds,
            || succeeds(&mut self.zun.command(ours)),
            || succeeds(Command::new("docker").args(&self.docker).args(theirs)),
        );
        Figure::ratio(Summary::of_times(&ours), Summary::of_times(&theirs))
    }

    fn compare_terminals(&self, rounds: usize) -> Figure {
        let ours = ["run", "-i", "--rm", "cirros", "true"];
        let theirs: Vec<&str> = self.docker.iter().map(String::as_str).collect();
        let theirs = [theirs.as_slice(), &["run", "-it", "--rm", "cirros", "true"]].concat();
        let (ours, theirs) = interleaved(
            rounds,
            || ends(|| self.zun.term(&ours, SIZE)),
            || ends(|| Pty::spawn("docker", &theirs, &[], SIZE)),
        );
        Figure::ratio(Summary::of_times(&ours), Summary::of_times(&theirs))
    }
}

/// Runs a command with an empty stdin, and returns how long it takes.
pub fn succeeds(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("the program runs");
    let took = begun.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// Starts a program on a terminal, and returns how long it takes until it has ended.
fn ends(start: impl FnOnce() -> Pty) -> Duration {
    let begun = Instant::now();
    let mut term = start();
    let code = term.exit();
    let took = begun.elapsed();
    assert_eq!(code, 0, "{}", term.transcript());
    took
}
