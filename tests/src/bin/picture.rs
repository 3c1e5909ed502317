//! `picture DIRECTORY`: records a session with the service that the environment names, and writes its picture for light
//! and dark pages to DIRECTORY. The programs must be in PATH, and the service must have the image `cirros`.

use std::path::Path;
use std::process::ExitCode;

use zun_tests::picture::{DARK, LIGHT, svg};
use zun_tests::pty::Pty;

const SIZE: (u16, u16) = (40, 92);
/// What zun prints before it attaches.
const BACK: &str = "zun: coming back to web\r\n";
const DETACH: &str = "\x10\x11";

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: picture DIRECTORY");
        return ExitCode::from(2);
    };
    let shown = record();
    // An attach clears the terminal, and draws the screen of the container. The picture also shows what was before.
    let end = shown.find(BACK).map_or(0, |at| at + BACK.len());
    let (before, after) = shown.split_at(end);
    let [before, after] = [before, after].map(|part| {
        let mut parser = vt100::Parser::new(SIZE.0, SIZE.1, 0);
        parser.process(part.as_bytes());
        parser
    });
    let screens = [before.screen(), after.screen()];
    let directory = Path::new(&directory);
    for (name, colours) in [("session-light.svg", LIGHT), ("session-dark.svg", DARK)] {
        if let Err(cause) = std::fs::write(directory.join(name), svg(&screens, colours)) {
            eprintln!("cannot write {name}: {cause}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Types a session into a shell, and returns what the terminal has shown.
fn record() -> String {
    let environment =
        [("PS1", "$ "), ("ENV", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut shell = Pty::spawn("sh", &["-i"], &environment, SIZE);
    shell.shows("$ ");
    shell.types("zun run -i --name web cirros /bin/sh\r");
    shell.shows("/ # ");
    shell.types("hostname\r");
    shell.shows("/ # ");
    shell.types("echo served from $(uname -n) >/tmp/note\r");
    shell.shows("/ # ");
    shell.types(DETACH);
    shell.shows("$ ");
    for command in ["zun list", "zun exec web cat /tmp/note"] {
        shell.types(format!("{command}\r"));
        shell.shows("\n$ ");
    }
    shell.types("zun attach\r");
    shell.shows("/ # ");
    shell.types("exit 3\r");
    shell.shows("\n$ ");
    for command in ["echo $?", "zun run --explain -m 256m cirros", "zun delete web"] {
        shell.types(format!("{command}\r"));
        shell.shows("\n$ ");
    }
    let shown = shell.transcript();
    shell.types("exit\r");
    shell.exit();
    shown.trim_end_matches("$ ").to_owned()
}
