//! `/v1/recordings`. Not in OpenStack Zun's API.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use zun_common::api::v1::console::ConsoleEndpoint;
use zun_common::api::v1::recording::{Recording, RecordingList, RecordingTicket};
use zun_common::id::RecordingId;

use super::containers::{CSR, csr};
use super::extract::{FromFields, NoFields, Parsed};
use super::field::{Field, boolean_field, text_field};
use super::fields::Fields;
use super::response::{ApiResult, ok};
use super::routes::{Route, to};
use super::rules::SHORT_TEXT;
use crate::app::{App, AppError, Caller, Permission, RecordingQuery};

/// The routes of recordings.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/recordings", "List the recordings of sessions", to!(list))
        .for_all()
        .reads::<RecordingQuery>()
        .returns::<RecordingList>(),
    Route::get("/v1/recordings/{recording}", "Show a recording of a session", to!(show))
        .for_all()
        .returns::<Recording>(),
    Route::post(
        "/v1/recordings/{recording}/download",
        "Get a grant to download a recording from its host",
        to!(download),
    )
    .only(Permission::PlayRecording)
    .reads::<DownloadRequest>()
    .returns::<ConsoleEndpoint>(),
    Route::post(
        "/v1/recordings/{recording}/ticket",
        "Issue a ticket: a link that plays a recording once, within a minute, without a certificate",
        to!(ticket),
    )
    .only(Permission::PlayRecording)
    .returns::<RecordingTicket>(),
    Route::delete("/v1/recordings/{recording}", "Delete a recording that has ended", to!(delete))
        .only(Permission::DeleteRecording)
        .returns_nothing(),
];

impl FromFields for RecordingQuery {
    const FIELDS: &'static [Field] = &[
        boolean_field("all_projects", "List the recordings of all projects")
            .only(Permission::SeeAllProjects),
        text_field(
            "container",
            SHORT_TEXT,
            "Only those of the container with this UUID, or of containers with this name",
        ),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { all_projects: fields.flag("all_projects"), container: fields.text("container") })
    }
}

/// A request for access to a recording.
pub(super) struct DownloadRequest {
    csr: String,
}

impl FromFields for DownloadRequest {
    const FIELDS: &'static [Field] = &[CSR.required()];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { csr: csr(fields)? })
    }
}

/// Lists recordings.
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    input: Parsed<RecordingQuery>,
) -> ApiResult {
    Ok(ok(&app.recordings(&caller, &input.0).await?))
}

/// Shows a recording.
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    recording: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    Ok(ok(&app.recording(&caller, id(&recording)?).await?))
}

/// Grants access to a recording.
pub(super) async fn download(
    app: Data<App>,
    caller: Caller,
    recording: Path<String>,
    input: Parsed<DownloadRequest>,
) -> ApiResult {
    Ok(ok(&app.download_recording(&caller, id(&recording)?, &input.0.csr).await?))
}

/// Issues a ticket for a recording.
pub(super) async fn ticket(
    app: Data<App>,
    caller: Caller,
    recording: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    Ok(ok(&app.recording_ticket(&caller, id(&recording)?).await?))
}

/// Deletes a recording.
pub(super) async fn delete(
    app: Data<App>,
    caller: Caller,
    recording: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.delete_recording(&caller, id(&recording)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn id(text: &str) -> Result<RecordingId, AppError> {
    let unknown = |_invalid| AppError::RecordingNotFound(text.chars().take(80).collect());
    text.parse().map_err(unknown)
}
