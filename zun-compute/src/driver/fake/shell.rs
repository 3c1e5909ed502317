//! The shell commands that the in-memory engine can run. A script behaves as in a real container.

use std::collections::BTreeMap;
use std::time::Duration;

use super::output::Stream;

/// One step of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Print(Stream, Vec<u8>),
    Sleep(Duration),
    /// Waits for input that never comes.
    Forever,
    Trap(Trap),
    /// Prints the terminal's size.
    ShowSize,
    Exit(i64),
}

/// The effect of SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trap {
    #[default]
    Die,
    Ignore,
    Exit(i64),
}

/// The environment of a process.
#[derive(Debug, Clone, Default)]
pub(super) struct ShellContext {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) workdir: Option<String>,
    pub(super) hostname: String,
    pub(super) user: Option<String>,
}

/// A command that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotRunnable {
    pub(super) code: i64,
    pub(super) words: String,
}

/// Returns the steps of a command.
pub(super) fn program(words: &[String], context: &ShellContext) -> Result<Vec<Step>, NotRunnable> {
    let first = words.first().map(String::as_str).unwrap_or_default();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["sh" | "/bin/sh", "-c", script, ..] => Ok(run(script, context)),
        ["sh" | "/bin/sh", ..] => Ok(vec![Step::Forever]),
        ["/" | "/etc" | "/tmp" | "/etc/passwd", ..] => Err(NotRunnable {
            code: 126,
            words: format!("cannot run the command: exec: \"{first}\": permission denied"),
        }),
        _ => statement(words, context).map(|done| done.steps).ok_or_else(|| NotRunnable {
            code: 127,
            words: format!(
                "cannot run the command: exec: \"{first}\": executable file not found in $PATH"
            ),
        }),
    }
}

/// The steps of one statement, and its exit status.
struct Done {
    steps: Vec<Step>,
    status: i64,
}

fn run(script: &str, context: &ShellContext) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut last = 0;
    for words in statements(script) {
        let words: Vec<String> = words.iter().map(|word| expand(word, context)).collect();
        let done = statement(&words, context).unwrap_or_else(|| {
            let first = words.first().map(String::as_str).unwrap_or_default();
            let complaint = format!("sh: {first}: not found\n").into_bytes();
            Done { steps: vec![Step::Print(Stream::Stderr, complaint)], status: 127 }
        });
        steps.extend(done.steps);
        last = done.status;
    }
    steps.push(Step::Exit(last));
    steps
}

fn statement(words: &[String], context: &ShellContext) -> Option<Done> {
    let done = |steps| Some(Done { steps, status: 0 });
    let say =
        |text: &str| done(vec![Step::Print(Stream::Stdout, format!("{text}\n").into_bytes())]);
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [":" | "true"] => done(Vec::new()),
        ["false"] => Some(Done { steps: Vec::new(), status: 1 }),
        ["exit", code] => done(vec![Step::Exit(code.parse().unwrap_or(2))]),
        ["exec", ..] => statement(words.get(1..)?, context),
        ["sleep", length] | ["sleep", length, "&", "wait"] => {
            done(vec![Step::Sleep(seconds(length))])
        }
        ["cat"] | ["read", ..] => done(vec![Step::Forever]),
        ["trap", action, _signal] => done(vec![Step::Trap(trap(action))]),
        ["echo", text @ .., ">&2"] => {
            let line = format!("{}\n", text.join(" ")).into_bytes();
            done(vec![Step::Print(Stream::Stderr, line)])
        }
        ["echo", text @ ..] => say(&text.join(" ")),
        ["yes", line, "|", "head", "-c", count] => {
            let count = count.parse().unwrap_or(0);
            let bytes: Vec<u8> = format!("{line}\n").bytes().cycle().take(count).collect();
            done(vec![Step::Print(Stream::Stdout, bytes)])
        }
        ["pwd"] => say(context.workdir.as_deref().unwrap_or("/")),
        ["hostname"] => say(&context.hostname),
        ["id", "-u"] => say(context.user.as_deref().unwrap_or("0")),
        ["stty", "-F", "/dev/console", "size"] => done(vec![Step::ShowSize]),
        _ => None,
    }
}

fn seconds(text: &str) -> Duration {
    let seconds = text.parse().unwrap_or(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn trap(action: &str) -> Trap {
    match action.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] => Trap::Ignore,
        ["exit", code] => Trap::Exit(code.parse().unwrap_or(2)),
        _ => Trap::Die,
    }
}

fn expand(word: &str, context: &ShellContext) -> String {
    match word.strip_prefix('$') {
        Some(name) => context.environment.get(name).cloned().unwrap_or_default(),
        None => word.to_owned(),
    }
}

/// Splits a script at semicolons and newlines, and statements at blanks. Quotes keep words together.
fn statements(script: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in script.chars() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (Some(_), inner) => word.get_or_insert_default().push(inner),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | ';' | '\n') => {
                if let (Some(word), Some(words)) = (word.take(), all.last_mut()) {
                    words.push(word);
                }
                if letter != ' ' {
                    all.push(Vec::new());
                }
            }
            (None, plain) => word.get_or_insert_default().push(plain),
        }
    }
    if let (Some(word), Some(words)) = (word, all.last_mut()) {
        words.push(word);
    }
    all.retain(|words| !words.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(script: &str) -> Vec<Step> {
        let context = ShellContext {
            environment: BTreeMap::from([("A".to_owned(), "b c".to_owned())]),
            ..ShellContext::default()
        };
        let words = ["sh", "-c", script].map(str::to_owned);
        program(&words, &context).expect("a shell")
    }

    fn out(text: &str) -> Step {
        Step::Print(Stream::Stdout, text.as_bytes().to_vec())
    }

    #[test]
    fn a_script_returns_the_steps_and_the_status_of_the_last_statement() {
        assert_eq!(steps("echo hi; false"), [out("hi\n"), Step::Exit(1)]);
        assert_eq!(
            steps("echo $A; echo 'x;  y' z"),
            [out("b c\n"), out("x;  y z\n"), Step::Exit(0)]
        );
        let half = Step::Sleep(Duration::from_millis(500));
        let seven = Step::Trap(Trap::Exit(7));
        assert_eq!(steps("trap 'exit 7' TERM; sleep 0.5 & wait"), [seven, half, Step::Exit(0)]);
        assert_eq!(steps("trap '' TERM"), [Step::Trap(Trap::Ignore), Step::Exit(0)]);
        assert_eq!(steps("yes ab | head -c 5"), [out("ab\nab"), Step::Exit(0)]);
    }

    #[test]
    fn an_unknown_command_is_127_in_a_script_and_not_runnable_alone() {
        let missing = Step::Print(Stream::Stderr, b"sh: frobnicate: not found\n".to_vec());
        assert_eq!(steps("frobnicate"), [missing, Step::Exit(127)]);
        let alone = |word: &str| {
            program(&[word.to_owned()], &ShellContext::default()).expect_err("not runnable").code
        };
        assert_eq!((alone("frobnicate"), alone("/etc/passwd")), (127, 126));
    }
}
