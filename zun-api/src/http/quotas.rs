//! `/v1/quotas` and `/v1/quota_classes`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::{Value, json};
use zun_common::api::v1::quota::{Quota as Shown, QuotaUsage, ShownQuota, Used};

use super::extract::{FromFields, Parsed};
use super::field::{Field, Kind, boolean_field, field, invalid_value};
use super::fields::Fields;
use super::response::{ApiResult, done, ok};
use super::routes::{Route, to};
use crate::app::{App, AppError, Caller, InvalidField, Permission};
use crate::db::quota::{Amounts, Limits, Quota};

/// The routes of the quotas.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/quotas", "Show the quota of the caller's project", to!(show_own))
        .since(26)
        .only(Permission::SeeQuota)
        .reads::<WithUsage>()
        .returns::<ShownQuota>(),
    Route::get("/v1/quotas/{project}", "Show the quota of a project", to!(show))
        .since(26)
        .only(Permission::SeeQuota)
        .reads::<WithUsage>()
        .returns::<ShownQuota>(),
    Route::put("/v1/quotas/{project}", "Set limits of a project", to!(set))
        .since(26)
        .only(Permission::SetQuota)
        .reads::<Limits>()
        .returns::<Shown>(),
    Route::delete("/v1/quotas/{project}", "Remove the limits of a project", to!(reset))
        .since(26)
        .only(Permission::ResetQuota),
    Route::get(
        "/v1/quotas/{project}/defaults",
        "Show the default quota, for projects without a quota of their own",
        to!(defaults),
    )
    .since(26)
    .only(Permission::SeeQuota)
    .returns::<Shown>(),
    Route::get("/v1/quota_classes/{name}", "Show the limits of a quota class", to!(show_class))
        .since(26)
        .only(Permission::SeeQuotaClass)
        .returns::<Shown>(),
    Route::put("/v1/quota_classes/{name}", "Set limits of a quota class", to!(set_class))
        .since(26)
        .only(Permission::SetQuotaClass)
        .reads::<Limits>()
        .returns::<Shown>(),
];

const LIMIT_RULE: &str = "a whole number from 0 to 2147483647, or -1 for unlimited";

/// Whether the response has the usage.
pub(super) struct WithUsage(bool);

impl FromFields for WithUsage {
    const FIELDS: &'static [Field] = &[boolean_field("usages", "Whether to show what is in use")];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self(fields.flag("usages")))
    }
}

impl FromFields for Limits {
    const FIELDS: &'static [Field] = &[
        limit_field("containers", "Number of containers; -1 is unlimited"),
        limit_field("cpu", "CPUs; -1 is unlimited"),
        limit_field("memory", "Memory in MiB; -1 is unlimited"),
        limit_field("disk", "Disk in GiB; -1 is unlimited"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self {
            containers: limit(fields, "containers")?,
            cpus: limit(fields, "cpu")?,
            memory_mib: limit(fields, "memory")?,
            disk_gib: limit(fields, "disk")?,
        })
    }
}

const fn limit_field(name: &'static str, about: &'static str) -> Field {
    field(name, Kind::Custom(limit_schema), about)
}

fn limit_schema() -> Value {
    let number = json!({"type": "integer", "minimum": -1, "maximum": i32::MAX});
    json!({"anyOf": [number, {"type": "string", "pattern": "^(-1|[0-9]+)$"}]})
}

/// Takes a limit, as a number or a string.
fn limit(fields: &mut Fields, name: &str) -> Result<Option<i64>, InvalidField> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number
        .filter(|number| (-1..=i64::from(i32::MAX)).contains(number))
        .map(Some)
        .ok_or_else(|| invalid_value(name, &value, LIMIT_RULE))
}

fn shown(quota: &Quota) -> Shown {
    let Quota { containers, cpus, memory_mib, disk_gib } = *quota;
    Shown { containers, memory: memory_mib, cpu: cpus, disk: disk_gib }
}

#[expect(clippy::cast_precision_loss, reason = "no project has 2^52 thousandths of a CPU")]
fn with_usage(quota: &Quota, used: Amounts) -> QuotaUsage {
    let count = |limit, in_use| Used { limit, in_use };
    QuotaUsage {
        containers: count(quota.containers, used.containers),
        memory: count(quota.memory_mib, used.memory_mib),
        cpu: Used { limit: quota.cpus, in_use: used.cpu_millis as f64 / 1000.0 },
        disk: count(quota.disk_gib, used.disk_gib),
    }
}

/// `GET /v1/quotas`. Not in OpenStack Zun's API.
pub(super) async fn show_own(
    app: Data<App>,
    caller: Caller,
    input: Parsed<WithUsage>,
) -> ApiResult {
    let quota = app.quota(&caller, caller.identity.project.as_str()).await?;
    Ok(response(&quota, &input.0))
}

/// `GET /v1/quotas/{project}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    project: Path<String>,
    input: Parsed<WithUsage>,
) -> ApiResult {
    let quota = app.quota(&caller, &project).await?;
    Ok(response(&quota, &input.0))
}

fn response((quota, used): &(Quota, Amounts), WithUsage(with_used): &WithUsage) -> HttpResponse {
    ok(&if *with_used {
        ShownQuota::WithUsage(with_usage(quota, *used))
    } else {
        ShownQuota::Limits(shown(quota))
    })
}

/// `GET /v1/quotas/{project}/defaults`
pub(super) async fn defaults(app: Data<App>, caller: Caller, _project: Path<String>) -> ApiResult {
    Ok(ok(&shown(&app.default_quota(&caller).await?)))
}

/// `PUT /v1/quotas/{project}`
pub(super) async fn set(
    app: Data<App>,
    caller: Caller,
    project: Path<String>,
    input: Parsed<Limits>,
) -> ApiResult {
    Ok(ok(&shown(&app.set_quota(&caller, &project, input.0).await?)))
}

/// `DELETE /v1/quotas/{project}`
pub(super) async fn reset(app: Data<App>, caller: Caller, project: Path<String>) -> ApiResult {
    app.reset_quota(&caller, &project).await?;
    Ok(done())
}

/// `GET /v1/quota_classes/{name}`
pub(super) async fn show_class(app: Data<App>, caller: Caller, name: Path<String>) -> ApiResult {
    Ok(ok(&shown(&app.quota_class(&caller, &name).await?)))
}

/// `PUT /v1/quota_classes/{name}`
pub(super) async fn set_class(
    app: Data<App>,
    caller: Caller,
    name: Path<String>,
    input: Parsed<Limits>,
) -> ApiResult {
    Ok(ok(&shown(&app.set_quota_class(&caller, &name, input.0).await?)))
}
