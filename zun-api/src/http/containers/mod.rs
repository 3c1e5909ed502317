//! `/v1/containers`, with one file for each verb.

mod actions;
mod archive;
mod attach;
mod attachments;
mod bounds;
mod changes;
mod commit;
mod create;
mod data;
mod delete;
mod execute;
mod exposed_ports;
mod hints;
mod kill;
mod list;
mod logs;
mod not_offered;
mod options;
mod pause;
mod reboot;
mod rebuild;
mod resize;
mod runs;
mod show;
mod start;
mod stats;
mod stop;
mod ticket;
mod top;
mod update;

pub(super) use create::IMAGE_DRIVER;
pub(super) use options::rules::PLATFORM;
use serde_json::{Value, json};
use zun_common::api::v1::action::{ContainerActionDetail, ContainerActions};
use zun_common::api::v1::console::{ConsoleEndpoint, ConsoleTicket};
use zun_common::api::v1::container::{Container, ContainerList, ContainerStats, ContainerTop};
use zun_common::api::v1::exec::Executed;
use zun_common::api::v1::files::{CommittedImage, ContainerArchive, ContainerChanges};
use zun_common::api::v1::run::{RunList, Waited};
use zun_common::rpc::container::PullPolicy;
use zun_common::units::TerminalSize;

use super::field::{Field, Kind, boolean_field, field, invalid_value, text_field, whole_field};
use super::fields::Fields;
use super::routes::{Route, Waits, to};
use super::rules;
use crate::app::containers::{
    Attach, Commit, Exec, ListQuery, NewContainer, NewTicket, Rebuild, Update, WaitForRun,
};
use crate::app::{InvalidField, Permission};

/// The routes of containers.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/containers", "Create a container", to!(create::create))
        .reads::<NewContainer>()
        .returns::<Container>()
        .success(202),
    Route::get("/v1/containers", "List containers", to!(list::list))
        .for_all()
        .reads::<ListQuery>()
        .returns::<ContainerList>(),
    Route::get(
        "/v1/containers/{ident}",
        "Show a container, at once or after it has reached a status",
        to!(show::show),
    )
    .for_all()
    .reads::<show::Show>()
    .returns::<Container>()
    .waits(Waits::With(show::WAIT_FOR)),
    Route::patch("/v1/containers/{ident}", "Change a container", to!(update::update))
        .reads::<Update>()
        .returns::<Container>(),
    Route::post("/v1/containers/{ident}/rename", "Rename a container", to!(update::rename))
        .until(13)
        .reads::<update::Rename>()
        .returns::<Container>(),
    Route::post(
        "/v1/containers/{ident}/resize_container",
        "Change a container",
        to!(update::resize_container),
    )
    .since(19)
    .reads::<Update>()
    .success(202)
    .returns::<Container>(),
    Route::delete("/v1/containers/{ident}", "Remove a container", to!(delete::delete))
        .reads::<delete::Delete>()
        .returns_nothing(),
    Route::post("/v1/containers/{ident}/start", "Start a container", to!(start::start))
        .success(202),
    Route::post("/v1/containers/{ident}/stop", "Stop a container", to!(stop::stop))
        .reads::<stop::Stop>()
        .success(202),
    Route::post(
        "/v1/containers/{ident}/reboot",
        "Stop a container and start it again",
        to!(reboot::reboot),
    )
    .reads::<reboot::Reboot>()
    .success(202),
    Route::post(
        "/v1/containers/{ident}/rebuild",
        "Replace a container with a new one from an image",
        to!(rebuild::rebuild),
    )
    .reads::<Rebuild>()
    .success(202),
    Route::post("/v1/containers/{ident}/pause", "Pause a container", to!(pause::pause))
        .success(202),
    Route::post("/v1/containers/{ident}/unpause", "Unpause a container", to!(pause::unpause))
        .success(202),
    Route::post("/v1/containers/{ident}/kill", "Send a signal to a container", to!(kill::kill))
        .reads::<kill::Kill>()
        .success(202),
    Route::get("/v1/containers/{ident}/logs", "Show a container's output", to!(logs::logs))
        .reads::<logs::Logs>()
        .returns::<String>(),
    Route::post(
        "/v1/containers/{ident}/logs",
        "Grant direct access to a container's output",
        to!(data::grant_logs),
    )
    .reads::<data::GrantLogs>()
    .returns::<ConsoleEndpoint>(),
    Route::post(
        "/v1/containers/{ident}/archive",
        "Grant direct access to a container's files",
        to!(data::grant_archive),
    )
    .reads::<data::GrantArchive>()
    .returns::<ConsoleEndpoint>(),
    Route::get(
        "/v1/containers/{ident}/get_archive",
        "Copy files out of a container, at most 4 MiB",
        to!(archive::get_archive),
    )
    .reads::<archive::GetArchive>()
    .returns::<ContainerArchive>()
    .waits(Waits::ForHost),
    Route::post(
        "/v1/containers/{ident}/put_archive",
        "Copy files into a container, at most 4 MiB",
        to!(archive::put_archive),
    )
    .reads::<archive::PutArchive>()
    .largest_body(archive::LARGEST_BODY)
    .waits(Waits::ForHost),
    Route::get(
        "/v1/containers/{ident}/changes",
        "List the files of a container that differ from its image",
        to!(changes::changes),
    )
    .returns::<ContainerChanges>(),
    Route::post(
        "/v1/containers/{ident}/commit",
        "Create an image from a container, on its host",
        to!(commit::commit),
    )
    .only(Permission::Commit)
    .reads::<Commit>()
    .success(202)
    .returns::<CommittedImage>()
    .waits(Waits::ForHost),
    Route::post(
        "/v1/containers/{ident}/add_security_group",
        "Add a security group",
        to!(not_offered::security_group),
    )
    .until(14)
    .reads::<not_offered::SecurityGroup>()
    .not_offered(),
    Route::post(
        "/v1/containers/{ident}/remove_security_group",
        "Remove a security group",
        to!(not_offered::security_group),
    )
    .until(14)
    .reads::<not_offered::SecurityGroup>()
    .not_offered(),
    Route::post(
        "/v1/containers/{ident}/network_attach",
        "Attach a network",
        to!(not_offered::change_network),
    )
    .since(8)
    .reads::<not_offered::Network>()
    .not_offered(),
    Route::post(
        "/v1/containers/{ident}/network_detach",
        "Detach a network",
        to!(not_offered::change_network),
    )
    .since(6)
    .reads::<not_offered::Network>()
    .not_offered(),
    Route::get(
        "/v1/containers/{ident}/network_list",
        "List a container's networks",
        to!(not_offered::list_networks),
    )
    .since(13)
    .not_offered(),
    Route::get(
        "/v1/containers/{ident}/attach",
        "Return the address of a websocket to a container's console, for OpenStack's clients",
        to!(attach::attach_websocket),
    )
    .returns::<String>(),
    Route::post(
        "/v1/containers/{ident}/attach",
        "Grant direct access to a container's console",
        to!(attach::attach),
    )
    .reads::<Attach>()
    .returns::<ConsoleEndpoint>()
    .waits(Waits::With(attach::BEFORE_START)),
    Route::post(
        "/v1/containers/{ident}/console_ticket",
        "Issue a ticket: a link that opens a console without a certificate",
        to!(ticket::console_ticket),
    )
    .only(Permission::ShareConsole)
    .reads::<NewTicket>()
    .returns::<ConsoleTicket>(),
    Route::post(
        "/v1/containers/{ident}/resize",
        "Set the size of a container's terminal",
        to!(resize::resize),
    )
    .reads::<resize::Resize>(),
    Route::post(
        "/v1/containers/{ident}/execute",
        "Run a command in a container, or create an exec",
        to!(execute::execute),
    )
    .reads::<Exec>()
    .returns::<Executed>()
    .waits(Waits::ForHost),
    Route::post(
        "/v1/containers/{ident}/execute_resize",
        "Set the size of an exec's terminal",
        to!(execute::execute_resize),
    )
    .reads::<execute::ExecuteResize>(),
    Route::post(
        "/v1/containers/{ident}/execute_attach",
        "Grant direct access to an exec",
        to!(execute::execute_attach),
    )
    .reads::<execute::ExecuteAttach>()
    .returns::<ConsoleEndpoint>(),
    Route::post(
        "/v1/containers/{ident}/execute_kill",
        "Send a signal to the process of an exec",
        to!(execute::execute_kill),
    )
    .reads::<execute::ExecuteKill>(),
    Route::get("/v1/containers/{ident}/top", "List a container's processes", to!(top::top))
        .reads::<top::TopRequest>()
        .returns::<ContainerTop>(),
    Route::get(
        "/v1/containers/{ident}/stats",
        "Show a container's resource usage",
        to!(stats::stats),
    )
    .returns::<ContainerStats>()
    .waits(Waits::ForHost),
    Route::get(
        "/v1/containers/{ident}/container_actions",
        "List the operations on a container",
        to!(actions::list_actions),
    )
    .for_all()
    .returns::<ContainerActions>(),
    Route::get(
        "/v1/containers/{ident}/container_actions/{request}",
        "Show the operation that a request started",
        to!(actions::show_action),
    )
    .for_all()
    .returns::<ContainerActionDetail>(),
    Route::get(
        "/v1/containers/{ident}/runs",
        "List a container's newest runs",
        to!(runs::list_runs),
    )
    .for_all()
    .returns::<RunList>(),
    Route::post("/v1/containers/{ident}/wait", "Wait for the end of a run", to!(runs::wait))
        .reads::<WaitForRun>()
        .returns::<Waited>()
        .waits(Waits::Always),
];

/// Maximum grace period of a stop: one day.
const MAX_GRACE: u64 = 86_400;

/// The grace period in seconds.
const GRACE: Field = whole_field(
    "timeout",
    (0, MAX_GRACE, " of seconds"),
    "Seconds before SIGKILL; by default what the container was created with, or 10",
)
.in_query();

/// The size of a terminal.
const ROWS: Field =
    whole_field("h", (1, u16::MAX as u64, ""), "Rows of the terminal").required().in_query();
const COLUMNS: Field =
    whole_field("w", (1, u16::MAX as u64, ""), "Columns of the terminal").required().in_query();

/// Reads the fields `h` and `w`.
fn size(fields: &mut Fields) -> Result<TerminalSize, InvalidField> {
    let mut side = |name: &str| fields.whole(name).ok_or_else(|| fields.missing(name));
    Ok(TerminalSize { rows: side("h")?, columns: side("w")? })
}

const INITIAL_SIZE: &str = "[rows, columns], each from 1 to 65535";

/// The initial size of a terminal.
const CONSOLE_SIZE: Field = field(
    "console_size",
    Kind::Custom(|| {
        let side = json!({"type": "integer", "minimum": 1, "maximum": 65535});
        json!({"type": "array", "items": side, "minItems": 2, "maxItems": 2})
    }),
    "The initial size of the terminal, [rows, columns]. Not in OpenStack Zun's API",
);

/// Reads the field `console_size`.
fn initial_size(fields: &mut Fields) -> Result<Option<TerminalSize>, InvalidField> {
    let Some(value) = fields.take("console_size") else { return Ok(None) };
    let side = |side: &Value| side.as_u64().and_then(|side| u16::try_from(side).ok());
    let sides = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if let [rows, columns] = sides
        && let (Some(rows @ 1..), Some(columns @ 1..)) = (side(rows), side(columns))
    {
        return Ok(Some(TerminalSize { rows, columns }));
    }
    Err(invalid_value("console_size", &value, INITIAL_SIZE))
}

/// A signal, by name or number.
const SIGNAL: Field = field(
    "signal",
    Kind::Custom(|| json!({"type": ["string", "integer"]})),
    "The signal, such as `SIGTERM`, `term` or `15`; SIGKILL if absent",
)
.in_query();

/// The field `image_pull_policy`.
pub(super) const PULL_POLICY: Field = field(
    "image_pull_policy",
    Kind::Word(&["always", "ifnotpresent", "never"]),
    "When the host pulls the image; if absent, `ifnotpresent` for a container, and `always` for an explicit pull",
);

/// Reads the field `image_pull_policy`.
pub(super) fn pull_policy(fields: &mut Fields) -> Option<PullPolicy> {
    match fields.word("image_pull_policy")? {
        "always" => Some(PullPolicy::Always),
        "never" => Some(PullPolicy::Never),
        _ => Some(PullPolicy::IfNotPresent),
    }
}

/// Reads the field `signal`.
fn signal(fields: &mut Fields) -> Result<String, InvalidField> {
    let Some(value) = fields.take("signal") else { return Ok("SIGKILL".to_owned()) };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rules::signal(&text).ok_or_else(|| invalid_value("signal", &value, rules::SIGNAL_RULE))
}

/// A certificate signing request.
pub(super) const CSR: Field = text_field(
    "csr",
    rules::CSR,
    "A certificate signing request in PEM, for the certificate to connect with. Not in OpenStack Zun's API",
);

/// Reads the field `csr`, which must be there.
pub(super) fn csr(fields: &mut Fields) -> Result<String, InvalidField> {
    fields.text("csr").ok_or_else(|| fields.missing("csr"))
}

/// OpenStack's client always sends it.
const ALL_PROJECTS: Field = boolean_field(
    "all_projects",
    "Ignored: administrators can always access the containers of all projects",
);

/// Ignores `all_projects`.
fn ignore_all_projects(fields: &mut Fields) {
    fields.boolean("all_projects");
}
