//! The `zun` command. Each verb has its own file.

mod action;
mod arguments;
mod availability_zone;
mod completion;
mod console_page;
mod container;
mod context;
mod docker_users;
mod events;
mod failure;
mod for_each;
mod grants;
mod help;
mod host;
mod image;
mod manual;
mod missing;
mod pull_progress;
mod quota;
mod recording;
mod refused_fields;
mod registry;
mod resource;
mod select;
mod service;
mod sessions;
mod share;
mod time;
mod version;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{
    ArgAction, Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
};

use crate::exit::Exit;
use crate::out::{self, Format, PrintError};
use crate::settings::AuthType;
pub use context::Context;
pub use failure::Failure;
use refused_fields::RefusedFields;

/// Run containers on many hosts and connect to them from this terminal
#[derive(Debug, Parser)]
#[command(
    name = "zun",
    version,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    /// Print the version of this client
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::Version, help_heading = GLOBAL_OPTIONS)]
    version: Option<bool>,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Environment:
  OS_ENDPOINT      API address, if --os-endpoint is not given
  OS_TOKEN         Token for the API (there is no option for it)
  OS_AUTH_TYPE     Type of authentication, if --os-auth-type is not given
  OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME, ...
                   Credentials for Keystone, as for the OpenStack clients
  OS_CLOUD         Cloud in clouds.yaml, if --os-cloud is not given
  OS_CACERT        File of CA certificates to trust for the API, in PEM
  OS_CERT, OS_KEY  Files of a client certificate and its key, in PEM
  ZUN_LINK         Link of `zun share` for `zun attach` without arguments
  ZUN_DETACH_KEYS  Key sequence for detaching, if --detach-keys is not given
  HTTPS_PROXY, ALL_PROXY, NO_PROXY
                   Proxies for connections to the API and to hosts
  NO_COLOR         Disable colors if not empty

Examples:
  zun run -i --name test cirros /bin/sh   Open a shell in a new container
  zun attach test                         Connect to it again
  zun list                                List all containers
  zun logs test                           Show its output
  zun delete --stop test                  Stop and remove it

Run `zun help COMMAND` or `zun COMMAND --help` for the options of a command.";

const GLOBAL_OPTIONS: &str = "Global options";

/// Flags of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = GLOBAL_OPTIONS)]
pub struct Global {
    #[arg(
        long,
        global = true,
        env = "OS_ENDPOINT",
        hide_env_values = true,
        value_name = "URL",
        help = "API address, such as http://127.0.0.1:9517/v1"
    )]
    os_endpoint: Option<String>,
    #[arg(
        long,
        global = true,
        env = "OS_AUTH_TYPE",
        hide_env_values = true,
        hide_possible_values = true,
        value_name = "TYPE",
        help = "Authentication: admin_token (sends OS_TOKEN) or none; with Keystone: password, token or v3applicationcredential"
    )]
    os_auth_type: Option<AuthType>,
    #[arg(
        long,
        global = true,
        env = "OS_CLOUD",
        hide_env_values = true,
        value_name = "NAME",
        help = "Cloud in clouds.yaml, instead of the OS_ variables"
    )]
    os_cloud: Option<String>,
    #[arg(
        short = 'o',
        long,
        global = true,
        value_name = "FORMAT",
        help = "Output format: table, wide, json, yaml, csv, name, value, or a template such as '{{.Name}} {{.Status}}'"
    )]
    format: Option<Format>,
    /// Print each API request to stderr
    #[arg(long, global = true)]
    debug: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<container::run::Run>),
    Create(Box<container::create::Create>),
    Start(container::start::Start),
    Stop(container::stop::Stop),
    Restart(container::restart::Restart),
    Rebuild(container::rebuild::Rebuild),
    Pause(container::pause::Pause),
    Unpause(container::unpause::Unpause),
    Kill(container::kill::Kill),
    #[command(visible_alias = "rm")]
    Delete(container::delete::Delete),
    #[command(visible_aliases = ["ls", "ps"])]
    List(container::list::List),
    #[command(visible_alias = "inspect")]
    Show(container::show::Show),
    Logs(container::logs::Logs),
    Events(events::Events),
    Action(action::Action),
    Port(container::port::Port),
    Top(container::top::Top),
    Stats(container::stats::Stats),
    Cp(container::cp::Cp),
    Export(container::export::Export),
    Diff(container::diff::Diff),
    Commit(container::commit::Commit),
    Prune(container::prune::Prune),
    Rename(container::rename::Rename),
    Update(container::update::Update),
    Attach(container::attach::Attach),
    Exec(container::exec::Exec),
    Console(console_page::Console),
    Wait(container::wait::Wait),
    Why(container::why::Why),
    Sessions(sessions::Sessions),
    Share(share::Share),
    Grants(grants::Grants),
    Recording(recording::Recording),
    Image(image::Image),
    Login(registry::Login),
    Logout(registry::Logout),
    Registry(registry::Registry),
    Volume(resource::Volume),
    Network(resource::Network),
    Host(host::Host),
    Completion(completion::Completion),
    Service(service::Service),
    Quota(quota::Quota),
    QuotaClass(quota::QuotaClass),
    AvailabilityZone(availability_zone::AvailabilityZone),
    Version(version::Version),
}

impl Verb {
    /// Returns the exit code for a failure that has no code of its own: 125 of `run`, and 1 of the others, as in
    /// docker. A session that failed, which docker does not know, ends with 125.
    const fn exit_when_failed(&self, of_console: bool) -> Exit {
        match self {
            Self::Run(_) => Exit::ZUN_FAILED,
            Self::Attach(_) | Self::Exec(_) | Self::Start(_) if of_console => Exit::ZUN_FAILED,
            Self::Attach(_)
            | Self::Exec(_)
            | Self::Start(_)
            | Self::Create(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Rebuild(_)
            | Self::Pause(_)
            | Self::Unpause(_)
            | Self::Kill(_)
            | Self::Delete(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Logs(_)
            | Self::Events(_)
            | Self::Action(_)
            | Self::Port(_)
            | Self::Top(_)
            | Self::Stats(_)
            | Self::Cp(_)
            | Self::Export(_)
            | Self::Diff(_)
            | Self::Commit(_)
            | Self::Prune(_)
            | Self::Rename(_)
            | Self::Update(_)
            | Self::Wait(_)
            | Self::Why(_)
            | Self::Console(_)
            | Self::Sessions(_)
            | Self::Share(_)
            | Self::Grants(_)
            | Self::Recording(_)
            | Self::Image(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Registry(_)
            | Self::Volume(_)
            | Self::Network(_)
            | Self::Host(_)
            | Self::Completion(_)
            | Self::Service(_)
            | Self::Quota(_)
            | Self::QuotaClass(_)
            | Self::AvailabilityZone(_)
            | Self::Version(_) => Exit::FAILED,
        }
    }

    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Run(verb) => Box::pin(verb.run(context)).await,
            Self::Create(verb) => verb.run(context).await,
            Self::Start(verb) => verb.run(context).await,
            Self::Stop(verb) => verb.run(context).await,
            Self::Restart(verb) => verb.run(context).await,
            Self::Rebuild(verb) => verb.run(context).await,
            Self::Pause(verb) => verb.run(context).await,
            Self::Unpause(verb) => verb.run(context).await,
            Self::Kill(verb) => verb.run(context).await,
            Self::Delete(verb) => verb.run(context).await,
            Self::List(verb) => verb.run(context).await,
            Self::Show(verb) => verb.run(context).await,
            Self::Logs(verb) => verb.run(context).await,
            Self::Events(verb) => verb.run(context).await,
            Self::Action(verb) => verb.run(context).await,
            Self::Port(verb) => verb.run(context).await,
            Self::Top(verb) => verb.run(context).await,
            Self::Stats(verb) => verb.run(context).await,
            Self::Cp(verb) => verb.run(context).await,
            Self::Export(verb) => verb.run(context).await,
            Self::Diff(verb) => verb.run(context).await,
            Self::Commit(verb) => verb.run(context).await,
            Self::Prune(verb) => verb.run(context).await,
            Self::Rename(verb) => verb.run(context).await,
            Self::Update(verb) => verb.run(context).await,
            Self::Attach(verb) => Box::pin(verb.run(context)).await,
            Self::Exec(verb) => verb.run(context).await,
            Self::Wait(verb) => verb.run(context).await,
            Self::Why(verb) => Box::pin(verb.run(context)).await,
            Self::Console(verb) => verb.run(context).await,
            Self::Sessions(verb) => verb.run(context).await,
            Self::Share(verb) => verb.run(context).await,
            Self::Grants(verb) => verb.run(context).await,
            Self::Recording(verb) => verb.run(context).await,
            Self::Image(verb) => verb.run(context).await,
            Self::Login(verb) => verb.run(context).await,
            Self::Logout(verb) => verb.run(context).await,
            Self::Registry(verb) => verb.run(context).await,
            Self::Volume(verb) => verb.run(context).await,
            Self::Network(verb) => verb.run(context).await,
            Self::Host(verb) => verb.run(context).await,
            Self::Completion(verb) => verb.run(),
            Self::Service(verb) => verb.run(context).await,
            Self::Quota(verb) => verb.run(context).await,
            Self::QuotaClass(verb) => verb.run(context).await,
            Self::AvailabilityZone(verb) => verb.run(context).await,
            Self::Version(verb) => verb.run(context).await,
        }
    }
}

/// Runs the command with these arguments, the first being its own name.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let command = help::with_groups(Cli::command());
    if let Some(words) = completion::asked(arguments) {
        return completion::complete(command, &words).into();
    }
    if let Some(directory) = manual::asked(arguments) {
        return manual::write(command, directory).into();
    }
    let colours = if out::stdout_has_colours() { ColorChoice::Always } else { ColorChoice::Never };
    let parsed = arguments::parse(&command.color(colours), arguments);
    let parsed = parsed.and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, RefusedFields::of(&matches)))
    });
    match parsed {
        Ok((cli, refused_fields)) => execute(cli, refused_fields).into(),
        Err(error) => report_usage_error(&error, arguments).into(),
    }
}

fn execute(cli: Cli, refused_fields: RefusedFields) -> Exit {
    let usual = cli.verb.exit_when_failed(false);
    let of_console = cli.verb.exit_when_failed(true);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            out::notice(&format!("cannot start: {cause}"));
            return usual;
        }
    };
    let outcome = runtime.block_on(async {
        // It needs no settings.
        if let Verb::Completion(verb) = cli.verb {
            return verb.run();
        }
        if let Verb::Attach(verb) = &cli.verb
            && let Some(outcome) = verb.run_with_link().await
        {
            return outcome;
        }
        let context = Context::new(&cli.global, refused_fields).await?;
        let outcome = match Box::pin(cli.verb.run(&context)).await {
            Ok(exit) => Ok(exit),
            Err(failure) => {
                let failure = context.refused_fields.in_words(failure);
                Err(missing::with_similar_name(&context, failure).await)
            }
        };
        context.tasks.cancel();
        outcome
    });
    // A pending DNS lookup must not delay the exit.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| {
        if let Some(message) = failure.message {
            out::notice(&message);
        }
        failure.exit.unwrap_or(if failure.of_console { of_console } else { usual })
    })
}

/// Prints requested help on stdout, and one line about a wrong command line on stderr.
fn report_usage_error(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        return match error.print().and_then(|()| std::io::stdout().flush()) {
            Ok(()) => Exit::OK,
            // Whoever closed the pipe has read enough.
            Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Exit::OK,
            Err(cause) => {
                out::notice(&PrintError::Failed(cause).to_string());
                Exit::FAILED
            }
        };
    }
    let text = match arguments.iter().find(|word| word.to_str().is_none()) {
        Some(word) if error.kind() == ErrorKind::InvalidUtf8 => format!(
            "the argument `{}` is not valid UTF-8: use UTF-8, also for names and commands",
            word.to_string_lossy()
        ),
        Some(_) | None => arguments::in_plain_words(&error.to_string()),
    };
    let problem: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("tip:"))
        .collect();
    let message = problem.join(" ");
    let verbs = arguments::verbs(&Cli::command(), arguments, error);
    let near = || arguments::suggestion(&Cli::command(), arguments, error);
    let message = match (docker_users::advice(&verbs, error), near()) {
        (Some(advice), _) => format!("{message}; {advice};"),
        (None, Some(near)) => format!("{message}; did you mean `{near}`?"),
        (None, None) => format!("{message};"),
    };
    let help = [&["zun"], verbs.as_slice(), &["--help"]].concat().join(" ");
    out::notice(&format!("{} see `{help}`", message.trim_start_matches("error: ")));
    usage_exit(error)
}

/// Returns Docker's exit code for a wrong command line: 1 if a verb or an argument is missing or not expected, 125 if
/// an option is wrong.
fn usage_exit(error: &clap::Error) -> Exit {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(_) | None => "",
    };
    let is_about_arguments = if error.kind() == ErrorKind::UnknownArgument {
        !argument.starts_with('-')
    } else if argument.starts_with("--detach-keys") {
        // Docker's client leaves it to the daemon to refuse them.
        true
    } else {
        matches!(
            error.kind(),
            ErrorKind::InvalidSubcommand
                | ErrorKind::MissingSubcommand
                | ErrorKind::MissingRequiredArgument
                | ErrorKind::TooFewValues
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        )
    };
    if is_about_arguments { Exit::FAILED } else { Exit::ZUN_FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        help::with_groups(Cli::command()).debug_assert();
    }
}
