//! `/v1/services` and `/v1/availability_zones`.

use actix_web::web::Data;
use zun_common::api::v1::host::{
    AvailabilityZone, AvailabilityZoneList, ServiceBody, ServiceDown, ServiceList, ServiceState,
};

use super::extract::{FromFields, NoFields, Parsed};
use super::field::{Field, Kind, boolean_field, field, text_field};
use super::fields::Fields;
use super::paging::{self, MAX_PAGE};
use super::response::{ApiResult, done, ok};
use super::routes::{Route, to};
use super::rules::{DISABLED_REASON, SHORT_TEXT};
use super::view::{self, ViewContext};
use crate::app::services::{ServiceChange, ServiceName};
use crate::app::{App, AppError, Caller, Permission};

/// The routes of the agents and of the availability zones.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/services", "List the agents of the hosts", to!(list))
        .only(Permission::SeeServices)
        .returns::<ServiceList>(),
    Route::put("/v1/services/enable", "Allow new containers on a host", to!(enable))
        .only(Permission::EnableService)
        .reads::<Named>()
        .returns::<ServiceBody<ServiceState>>(),
    Route::put("/v1/services/disable", "Keep new containers off a host", to!(disable))
        .only(Permission::DisableService)
        .reads::<DisableRequest>()
        .returns::<ServiceBody<ServiceState>>(),
    Route::put(
        "/v1/services/force_down",
        "Mark a host as down, even if it sends heartbeats",
        to!(force_down),
    )
    .only(Permission::ForceDownService)
    .reads::<ForceDownRequest>()
    .returns::<ServiceBody<ServiceDown>>(),
    Route::delete("/v1/services", "Remove a host that will not return", to!(delete))
        .only(Permission::DeleteService)
        .reads::<Named>(),
    Route::get("/v1/availability_zones", "List the availability zones", to!(list_zones))
        .for_all()
        .reads::<ZonePage>()
        .returns::<AvailabilityZoneList>(),
];

const HOST: Field = text_field("host", SHORT_TEXT, "The host").required().in_query();
const BINARY: Field =
    text_field("binary", SHORT_TEXT, "The program, always `zun-compute`").required().in_query();

/// Names a service.
pub(super) struct Named(ServiceName);

impl FromFields for Named {
    const FIELDS: &'static [Field] = &[HOST, BINARY];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let mut required = |name| fields.text(name).ok_or_else(|| fields.missing(name));
        Ok(Self(ServiceName { host: required("host")?, binary: required("binary")? }))
    }
}

/// Names a service, and says why it is disabled.
pub(super) struct DisableRequest(Named, Option<String>);

impl FromFields for DisableRequest {
    const FIELDS: &'static [Field] = &[
        HOST,
        BINARY,
        text_field("disabled_reason", DISABLED_REASON, "Why, for other administrators").in_query(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self(Named::read(fields)?, fields.text("disabled_reason")))
    }
}

/// Names a service, and says whether it is forced down.
pub(super) struct ForceDownRequest(Named, bool);

impl FromFields for ForceDownRequest {
    const FIELDS: &'static [Field] = &[
        HOST,
        BINARY,
        boolean_field("forced_down", "Whether to mark it as down").required().in_query(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let forced = fields.boolean("forced_down");
        Ok(Self(Named::read(fields)?, forced.ok_or_else(|| fields.missing("forced_down"))?))
    }
}

/// `GET /v1/services`
pub(super) async fn list(app: Data<App>, caller: Caller, _input: Parsed<NoFields>) -> ApiResult {
    let hosts = app.services(&caller).await?;
    let services = hosts.iter().map(|(host, liveness)| view::service(host, *liveness)).collect();
    Ok(ok(&ServiceList { services }))
}

/// `PUT /v1/services/enable`
pub(super) async fn enable(app: Data<App>, caller: Caller, input: Parsed<Named>) -> ApiResult {
    change_state(&app, &caller, (input.0.0, ServiceChange::Enable)).await
}

/// `PUT /v1/services/disable`
pub(super) async fn disable(
    app: Data<App>,
    caller: Caller,
    input: Parsed<DisableRequest>,
) -> ApiResult {
    let DisableRequest(Named(service), reason) = input.0;
    change_state(&app, &caller, (service, ServiceChange::Disable { reason })).await
}

/// `PUT /v1/services/force_down`
pub(super) async fn force_down(
    app: Data<App>,
    caller: Caller,
    input: Parsed<ForceDownRequest>,
) -> ApiResult {
    let ForceDownRequest(Named(service), forced) = input.0;
    let change = if forced { ServiceChange::ForceDown } else { ServiceChange::AllowUp };
    let binary = service.binary.clone();
    let record = app.change_service(&caller, service, change).await?;
    let service =
        ServiceDown { host: record.name.to_string(), binary, forced_down: record.forced_down };
    Ok(ok(&ServiceBody { service }))
}

/// `DELETE /v1/services`
pub(super) async fn delete(app: Data<App>, caller: Caller, input: Parsed<Named>) -> ApiResult {
    app.delete_service(&caller, input.0.0).await?;
    Ok(done())
}

async fn change_state(
    app: &App,
    caller: &Caller,
    (service, change): (ServiceName, ServiceChange),
) -> ApiResult {
    let binary = service.binary.clone();
    let record = app.change_service(caller, service, change).await?;
    let service = ServiceState {
        host: record.name.to_string(),
        binary,
        disabled: record.disabled,
        disabled_reason: record.disabled_reason,
    };
    Ok(ok(&ServiceBody { service }))
}

/// Selects a part of the list of zones.
pub(super) struct ZonePage {
    limit: usize,
    marker: Option<String>,
    descending: bool,
}

impl FromFields for ZonePage {
    const FIELDS: &'static [Field] = &[
        paging::LIMIT,
        text_field("marker", SHORT_TEXT, "The last zone of the previous page"),
        paging::SORT_DIR,
        field("sort_key", Kind::Word(&["availability_zone"]), "What to sort by"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        fields.word("sort_key");
        Ok(Self {
            limit: paging::limit(fields).unwrap_or(MAX_PAGE),
            marker: fields.text("marker"),
            descending: paging::descending(fields),
        })
    }
}

/// `GET /v1/availability_zones`
pub(super) async fn list_zones(
    app: Data<App>,
    _caller: Caller,
    view_context: ViewContext,
    request: actix_web::HttpRequest,
    input: Parsed<ZonePage>,
) -> ApiResult {
    let ZonePage { limit, marker, descending } = input.0;
    let mut zones: Vec<String> = app.availability_zones().await?.into_iter().collect();
    if descending {
        zones.reverse();
    }
    let is_after = |zone: &String| match &marker {
        None => true,
        Some(marker) if descending => zone < marker,
        Some(marker) => zone > marker,
    };
    let page: Vec<String> = zones.into_iter().filter(is_after).take(limit).collect();
    let last = page.last().filter(|_| page.len() == limit);
    let next = last.map(|last| {
        view_context.base.next_page("availability_zones", request.query_string(), (limit, last))
    });
    let availability_zones =
        page.into_iter().map(|availability_zone| AvailabilityZone { availability_zone }).collect();
    Ok(ok(&AvailabilityZoneList { availability_zones, next }))
}
