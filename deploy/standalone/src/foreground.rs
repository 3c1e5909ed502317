//! `zun-standalone run`: runs the service in the foreground.

use std::path::Path;

use tracing::info;
use zun_api::settings::KeystoneSettings;
use zun_common::shutdown::signal;
use zun_common::telemetry::{self, LogSettings};
use zun_standalone::service::{Settings, Standalone};
use zun_standalone::state::{Environment, Lock, State};

use crate::Failure;
use crate::args::StartArgs;

/// Runs the service until a signal arrives or the engine fails.
pub(crate) fn run(start: &StartArgs) -> Result<(), Failure> {
    if !start.listen.ip().is_loopback() {
        return Err(Failure::NotLoopback(start.listen));
    }
    telemetry::init(&LogSettings { filter: start.log.clone(), ..LogSettings::default() })?;
    let state = State::new(&start.place.state)?;
    state.create()?;
    let _lock = Lock::acquire(&state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::system("start the runtime"))?;
    runtime.block_on(serve(start, state))
}

async fn serve(start: &StartArgs, state: State) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(Failure::system("find this program"))?;
    let programs = program.parent().unwrap_or(Path::new("/")).to_owned();
    let authz = start.authz.clone().unwrap_or_else(|| programs.join("zun-authz"));
    let console = start.console.clone().unwrap_or_else(|| programs.join("zun-console"));
    let keystone = start.keystone.as_ref().map(|url| KeystoneSettings {
        url: Some(url.clone()),
        password_file: start.keystone_password_file.clone(),
        ..KeystoneSettings::default()
    });
    let log = start.log.clone();
    let settings = Settings { state, listen: start.listen, authz, console, log, keystone };
    let mut standalone = tokio::select! {
        started = Standalone::start(&settings) => started?,
        ended = signal() => return ended.map_err(Failure::system("wait for signals")),
    };
    let ended = match announce(start, &standalone, programs) {
        Ok(()) => until_ended(&mut standalone).await,
        Err(failure) => Err(failure),
    };
    if let Some(path) = &start.place.env_file {
        std::fs::remove_file(path).unwrap_or_default();
    }
    standalone.stop().await;
    ended
}

async fn until_ended(standalone: &mut Standalone) -> Result<(), Failure> {
    tokio::select! {
        failed = standalone.watch() => Err(Failure::Ended(failed)),
        signalled = signal() => signalled.map_err(Failure::system("wait for signals")),
    }
}

/// Announces that the service is ready: writes the environment file and prints `ready`.
#[expect(clippy::print_stdout, reason = "the caller waits for this line")]
fn announce(
    start: &StartArgs,
    standalone: &Standalone,
    programs: std::path::PathBuf,
) -> Result<(), Failure> {
    let address = standalone.address();
    if let Some(path) = &start.place.env_file {
        let token = start.keystone.is_none().then(|| standalone.token());
        Environment { address, token, programs }.write(path)?;
    }
    info!("the standalone service is ready on {address}");
    println!("ready");
    Ok(())
}
