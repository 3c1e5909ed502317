//! `zun attach`

use clap::Args;
use zun_common::api::v1;
use zun_common::api::v1::container::Container;
use zun_common::grant;
use zun_common::status::Status;

use super::attach_link::{Link, LinkSession};
use super::exec::{ExecSession, OnDisconnect};
use super::session::{ConsoleFlags, OnOpen, Session, TerminalNeeds, next_run, own_size};
use super::starting::unless_ended;
use crate::api::ListQuery;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;
use crate::relay::{SignalRouting, redraw};
use crate::tty::signals::Signals;

/// The environment variable with a link.
const LINK_VARIABLE: &str = "ZUN_LINK";

/// Connect this terminal to a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun attach test                       Connect to it; ctrl-p ctrl-q detaches
  zun attach                            Reattach to the last session you left
  zun attach --session 12-Kq3           Reattach to a command of `zun exec`
  ZUN_LINK=https://... zun attach       Join a session that someone shared
  zun attach --no-stdin test | tee log  Save its output

If the container has not started yet, or is between two runs, zun waits until it
starts.

Exit status: the exit code of the container's command, 0 after detaching, 1 if
zun failed, 125 if the session was lost.")]
pub(in crate::cmd) struct Attach {
    /// Name or UUID of the container (default the running one that you detached from last)
    container: Option<String>,
    /// Reattach to this session of a container or command (`zun sessions` shows IDs; a prefix is enough)
    #[arg(long, value_name = "ID", conflicts_with = "container")]
    session: Option<String>,
    /// Join through a link of `zun share`, without an account (better in `ZUN_LINK`: other users can read command lines)
    #[arg(long, value_name = "URL", conflicts_with_all = ["container", "session"])]
    link: Option<String>,
    /// Do not attach stdin
    #[arg(long)]
    no_stdin: bool,
    /// Show output only, with a grant that does not allow input
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    console_flags: ConsoleFlags,
}

impl Attach {
    /// Runs it if it has a link: then it needs no settings.
    pub(in crate::cmd) async fn run_with_link(&self) -> Option<Result<Exit, Failure>> {
        let (text, source) = self.link_text()?;
        let link: Link = match text.parse() {
            Ok(link) => link,
            // clap would print the link, which is a secret.
            Err(why) => {
                let message = format!("the link in {source} cannot be used: {why}");
                return Some(Err(Failure::with_exit(message, Exit::ZUN_FAILED)));
            }
        };
        let input = !self.no_stdin && !self.read_only;
        let session = LinkSession { link: &link, console_flags: &self.console_flags, input };
        Some(Box::pin(session.run()).await)
    }

    /// The link and where it was found. The variable only counts if the command line names nothing else.
    fn link_text(&self) -> Option<(String, &'static str)> {
        if let Some(link) = &self.link {
            return Some((link.clone(), "--link"));
        }
        if self.container.is_some() || self.session.is_some() {
            return None;
        }
        let link = std::env::var_os(LINK_VARIABLE).filter(|link| !link.is_empty())?;
        Some((link.to_string_lossy().into_owned(), LINK_VARIABLE))
    }

    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let former = match &self.session {
            Some(id) => Some(find(context, id).await?),
            None => None,
        };
        if let Some((former, exec)) =
            former.as_ref().and_then(|former| Some((former, former.exec_id.as_deref()?)))
        {
            return self.rejoin(context, former, exec).await;
        }
        let mut signals = Signals::catch()?;
        let named = former.map(|former| former.container.to_string());
        let container = match named.as_ref().or(self.container.as_ref()) {
            Some(container) => context.api.show(container).await?,
            None => unless_ended(&mut signals, last_left(context)).await?,
        };
        let session = Session {
            context,
            container: &container,
            console_flags: &self.console_flags,
            input: container.interactive && !self.no_stdin && !self.read_only,
            mode: if self.read_only { grant::Mode::ReadOnly } else { grant::Mode::ReadWrite },
            // Without stdin there are no detach keys, so Ctrl-C has to end zun itself.
            signal_routing: if self.no_stdin || self.read_only {
                SignalRouting::ToClient
            } else {
                self.console_flags.signal_routing(container.tty)
            },
        };
        if container.status == Status::Restarting {
            unless_ended(&mut signals, next_run(context, &container)).await?;
        }
        let opened = unless_ended(&mut signals, session.dial(false)).await?;
        // The process may have begun and printed its prompt just before zun attached.
        let runs = if let Some(running) = opened.console.running {
            running
        } else {
            let control = opened.console.control.as_ref();
            let begun = async { container.tty && redraw(control, own_size()).await };
            opened.running || unless_ended(&mut signals, async { Ok(begun.await) }).await?
        };
        if !runs {
            out::notice(&format!("waiting for {} to start", container.name));
        }
        let redraws = runs && !self.read_only && !opened.console.has_screen;
        let begin = if redraws { OnOpen::Redraw } else { OnOpen::Nothing };
        Ok(session.hold(opened, begin, &mut signals).await?)
    }
}

impl Attach {
    /// Joins a command whose client has left or is disconnected.
    async fn rejoin(
        &self,
        context: &Context,
        former: &v1::session::Session,
        exec: &str,
    ) -> Result<Exit, Failure> {
        let container = former.container.to_string();
        let session = ExecSession {
            context,
            container: &container,
            console_flags: &self.console_flags,
            on_disconnect: OnDisconnect::Keep,
        };
        let input = !self.no_stdin && !self.read_only;
        // A ticket may have other sessions.
        let is_alone = !former.connected && former.grant.starts_with("grant-");
        let replaces = is_alone.then_some(former.grant.as_str());
        session.rejoin(exec, TerminalNeeds { tty: former.tty, input }, replaces).await
    }
}

/// The fewest characters of an exec's ID that stand for it.
const SHORT_EXEC_ID: usize = 8;

/// Finds a session by its ID or the beginning of it, or that of its exec.
async fn find(context: &Context, id: &str) -> Result<v1::session::Session, Failure> {
    let mut found = context.api.sessions().await?.sessions;
    if id.len() >= SHORT_EXEC_ID {
        let is_of_exec = |session: &&v1::session::Session| {
            session.exec_id.as_ref().is_some_and(|exec| exec.starts_with(id))
        };
        // Other clients of it may be connected.
        if let Some(session) = found.iter().filter(is_of_exec).max_by_key(|one| one.connected) {
            return Ok(session.clone());
        }
    }
    found.retain(|session| session.id.starts_with(id));
    match (found.pop(), found.is_empty()) {
        (Some(session), true) => Ok(session),
        (None, _) => Err(Failure::new(format!(
            "no session has an ID that begins with `{id}`; `zun sessions` shows them"
        ))),
        (Some(last), false) => {
            let all = found.iter().chain([&last]);
            let named = all.map(|session| format!("{} ({})", session.id, session.container_name));
            Err(Failure::new(format!(
                "several sessions have IDs that begin with `{id}`: {}; use more characters",
                named.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// The running container whose session was left last. Skips containers that were deleted, or are in a project that the
/// caller cannot see.
async fn last_left(context: &Context) -> Result<Container, Failure> {
    let mut ended = None;
    for left in context.left_sessions.all() {
        match context.api.show(&left.container).await {
            Ok(container) if is_over(container.status) => {
                let (name, status) = (&container.name, container.status);
                let why = format!("your session with {name} has ended: it is {status}");
                ended.get_or_insert(format!("{why}; `zun why {name}` shows more"));
            }
            Ok(container) => {
                if let Some(ended) = ended {
                    out::notice(&ended);
                }
                out::notice(&format!("coming back to {}", container.name));
                return Ok(container);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let none = ended.unwrap_or_else(|| "there is no session to reattach to".to_owned());
    Err(Failure::new(format!("{none}; {}", instead(context).await?)))
}

/// What to do if there is no session to reattach to.
async fn instead(context: &Context) -> Result<String, Failure> {
    let parameters = [
        ("status", Status::Running.to_string()),
        ("sort_key", "id".to_owned()),
        ("sort_dir", "desc".to_owned()),
        ("limit", "1".to_owned()),
    ];
    let query = ListQuery { parameters: parameters.into() };
    let newest = context.api.list_page(&query, None).await?.containers.into_iter().next();
    Ok(match newest {
        Some(Container { name, .. }) => {
            format!("name a container: `zun attach {name}` connects to the newest one that runs")
        }
        None => "no container runs: `zun run -i IMAGE` starts one".to_owned(),
    })
}

const fn is_over(status: Status) -> bool {
    matches!(status, Status::Stopped | Status::Error | Status::Dead | Status::Deleted)
}
