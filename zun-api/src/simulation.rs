//! zun-api without HTTP and threads, for the simulation of the whole system. Any number of processes share a database in
//! memory, which outlives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zun_common::api::v1::container::PullPolicy;
use zun_common::bus::Bus;
use zun_common::engine_options::EngineOptions;
use zun_common::id::ContainerId;
use zun_common::restart::Restart;
use zun_common::rpc::container::ConsoleSpec;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::exec::ExecSpec;
use zun_common::shutdown::Tasks;
use zun_common::status::Status;
use zun_common::units::{Mebibytes, Resources};

use crate::app::containers::{Deletion, Exec, Ident, ListQuery, NewContainer, Rebuild, Update};
use crate::app::{App, AppError, Caller, IdempotencyKey};
use crate::auth::Site;
use crate::db::container::{Filter, Page, Record, SortKey};
use crate::db::{Conn, Db, snapshot};
use crate::http::status_and_code;
use crate::scheduler::Hints;
use crate::service::{DbFailure, StartError, serve_agents};
use crate::settings::{QuotaSettings, Settings, Strategy};

pub use crate::db::snapshot::{ContainerRow, HostRow, OperationRow, ProjectRow, Snapshot};

/// A list is never longer.
const LONGEST_LIST: usize = 10_000;

/// A database in memory. Clones share it.
#[derive(Clone)]
pub struct Database {
    conn: Arc<Mutex<Conn>>,
}

impl Database {
    /// Creates an empty database.
    pub fn new() -> Result<Self, DbFailure> {
        Ok(Self { conn: Arc::new(Mutex::new(snapshot::in_memory()?)) })
    }

    /// Keeps a copy of all rows.
    pub fn save(&self) -> Result<(), DbFailure> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(snapshot::save(&mut conn)?)
    }

    /// Restores the copy of all rows. No process may use the database meanwhile.
    pub fn restore(&self) -> Result<(), DbFailure> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(snapshot::restore(&mut conn)?)
    }

    /// Loses what was reported of a container: its row has this status.
    pub fn lose_report(&self, container: ContainerId, status: Status) -> Result<(), DbFailure> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(snapshot::set_status(&mut conn, container, status)?)
    }

    /// Returns all rows.
    pub fn snapshot(&self) -> Result<Snapshot, DbFailure> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(snapshot::snapshot(&mut conn)?)
    }
}

/// A request of an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Create a container.
    Create(New),
    /// Delete a container.
    Delete(ContainerId, Removal),
    /// Start a container.
    Start(ContainerId),
    /// Stop a container, with the default grace period.
    Stop(ContainerId),
    /// Stop a container and start it again.
    Reboot(ContainerId),
    /// Rebuild a container with this image.
    Rebuild(ContainerId, String),
    /// Pause a container.
    Pause(ContainerId),
    /// Unpause a container.
    Unpause(ContainerId),
    /// Send a container this signal.
    Kill(ContainerId, String),
    /// Change the memory limit of a container.
    Update(ContainerId, Mebibytes),
    /// Run a command in a container to its end.
    Execute(ContainerId, Vec<String>),
    /// Let a host carry out operations again after the database was restored.
    Recover(String),
    /// Show a container.
    Show(ContainerId),
    /// List all containers.
    List,
}

/// What to do if the container to delete is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Refuse to delete it.
    OnlyStopped,
    /// Stop it first.
    StopFirst,
    /// Kill it.
    Force,
}

/// A container to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its command.
    pub command: Vec<String>,
    /// Its memory limit.
    pub memory: Mebibytes,
    /// Whether to start it.
    pub start: bool,
    /// What happens when its process ends.
    pub at_end: AtEnd,
}

/// What happens to a container when its process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// Nothing.
    Keep,
    /// It is removed.
    Remove,
    /// The engine restarts it.
    Restart,
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// It is accepted or done.
    Done,
    /// This container.
    Container(Shown),
    /// These containers.
    List(Vec<Shown>),
    /// An error.
    Error {
        /// The HTTP status.
        status: u16,
        /// The code.
        code: &'static str,
        /// The message.
        message: String,
    },
}

/// A container in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
}

/// A zun-api process. It runs until its tasks are dropped or cancelled.
pub struct Process {
    app: Arc<App>,
}

impl Process {
    /// Starts it.
    pub async fn start(database: &Database, bus: Bus, tasks: &Tasks) -> Result<Self, StartError> {
        let mut settings = Settings::default();
        settings.auth.strategy = Strategy::None;
        settings.quotas = QuotaSettings::UNLIMITED;
        let db = Db::inline(Arc::clone(&database.conn));
        Ok(Self { app: serve_agents(settings, db, bus, (tasks, tasks)).await? })
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request, key: Option<&str>) -> Response {
        match Box::pin(self.perform(request, key)).await {
            Ok(response) => response,
            Err(error) => {
                let (status, code) = status_and_code(&error);
                Response::Error { status, code, message: zun_common::chain(&error) }
            }
        }
    }

    async fn perform(&self, request: Request, key: Option<&str>) -> Result<Response, AppError> {
        let (app, caller) = (&self.app, self.caller(key).await?);
        let by = |id: ContainerId| Ident(id.to_string());
        match request {
            Request::Create(new) => {
                return app.create(&caller, requested(new)).await.map(|one| shown(&one));
            }
            Request::Update(id, memory) => {
                let update = Update { memory: Some(memory), ..Update::default() };
                let ident = by(id);
                let updating = Box::pin(app.update(&caller, &ident, update));
                return updating.await.map(|one| shown(&one));
            }
            Request::Show(id) => return app.find(&caller, &by(id)).await.map(|one| shown(&one)),
            Request::List => return self.list(&caller).await,
            Request::Delete(id, how) => app.delete(&caller, &by(id), deletion(how)).await?,
            Request::Start(id) => app.start(&caller, &by(id)).await?,
            Request::Stop(id) => app.stop(&caller, &by(id), None).await?,
            Request::Reboot(id) => app.reboot(&caller, &by(id), None).await?,
            Request::Rebuild(id, image) => {
                app.rebuild(&caller, &by(id), Rebuild { image: Some(image) }).await?;
            }
            Request::Pause(id) => app.pause(&caller, &by(id)).await?,
            Request::Unpause(id) => app.unpause(&caller, &by(id)).await?,
            Request::Kill(id, signal) => app.kill(&caller, &by(id), signal).await?,
            Request::Execute(id, command) => {
                drop(app.execute(&caller, &by(id), executed(command)).await?);
            }
            Request::Recover(host) => app.recover_host(&caller, &host).await?,
        }
        Ok(Response::Done)
    }

    async fn caller(&self, key: Option<&str>) -> Result<Caller, AppError> {
        let identifying = self.app.authenticator.identify(None, Site::default()).await;
        let identity = identifying.map_err(|_refusal| AppError::Unauthenticated)?;
        let values: Vec<&[u8]> = key.map(str::as_bytes).into_iter().collect();
        let key = IdempotencyKey::read(&values)?;
        let policy = self.app.policy.clone();
        Ok(Caller {
            identity,
            policy,
            context: CallContext::internal(),
            key,
            container: Arc::default(),
        })
    }

    async fn list(&self, caller: &Caller) -> Result<Response, AppError> {
        let page = Page { key: SortKey::Id, descending: false, marker: None, limit: LONGEST_LIST };
        let query = ListQuery { all_projects: false, filter: Filter::default(), page };
        let part = self.app.list(caller, query).await?;
        Ok(Response::List(part.containers.iter().map(|listed| seen(&listed.record)).collect()))
    }
}

fn seen(record: &Record) -> Shown {
    Shown {
        id: record.id,
        name: record.spec.name.clone(),
        status: record.status.as_str().to_owned(),
    }
}

fn shown(record: &Record) -> Response {
    Response::Container(seen(record))
}

fn executed(command: Vec<String>) -> Exec {
    let spec = ExecSpec {
        command,
        tty: false,
        stdin: false,
        environment: Vec::new(),
        user: None,
        workdir: None,
        privileged: false,
        size: None,
    };
    Exec { spec, run: true, csr: None, protocols: Vec::new() }
}

const fn deletion(how: Removal) -> Deletion {
    match how {
        Removal::OnlyStopped => Deletion::OnlyStopped,
        Removal::StopFirst => Deletion::StopFirst,
        Removal::Force => Deletion::Force,
    }
}

fn requested(new: New) -> NewContainer {
    let New { name, image, command, memory, start, at_end } = new;
    NewContainer {
        request: serde_json::json!([name, image, command, memory, start, format!("{at_end:?}")]),
        name: Some(name),
        host: None,
        record: None,
        availability_zone: None,
        hints: Hints::default(),
        start,
        image,
        pull: PullPolicy::IfNotPresent,
        command: Some(command),
        entrypoint: None,
        environment: BTreeMap::new(),
        labels: BTreeMap::new(),
        workdir: None,
        hostname: None,
        user: None,
        console: ConsoleSpec::default(),
        resources: Resources { memory, ..Resources::default() },
        restart: (at_end == AtEnd::Restart).then_some(Restart::Always),
        auto_remove: at_end == AtEnd::Remove,
        auto_heal: false,
        read_only: false,
        stop_signal: None,
        privileged: false,
        runtime: None,
        disk: None,
        healthcheck: None,
        options: EngineOptions::default(),
        ports: Vec::new(),
        registry: None,
        mounts: Vec::new(),
        network: None,
    }
}
