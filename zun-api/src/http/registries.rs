//! `/v1/registries`: the logins of projects to image registries.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use zun_common::api::v1::registry::{RegistryBody, RegistryList};
use zun_common::secret::Secret;

use super::extract::{FromFields, NoFields, Parsed};
use super::field::{Field, Kind, Rule, boolean_field, field, text_field};
use super::fields::Fields;
use super::paging::{self, ItemPage};
use super::response::{ApiResult, ok};
use super::routes::{Route, to};
use super::rules::{NAME, SHORT_TEXT};
use super::view::{self, ViewContext};
use crate::app::registries::{RegistryFilter, Requested};
use crate::app::{App, AppError, Caller, InvalidField, Permission};

/// The routes of logins to registries.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/registries", "List the logins to registries", to!(list))
        .since(30)
        .for_all()
        .reads::<RegistryPage>()
        .returns::<RegistryList>(),
    Route::post("/v1/registries", "Store a login to a registry", to!(create))
        .since(30)
        .reads::<Requested>()
        .success(201)
        .returns::<RegistryBody>(),
    Route::get("/v1/registries/{ident}", "Show a login to a registry", to!(show))
        .since(30)
        .for_all()
        .returns::<RegistryBody>(),
    Route::patch("/v1/registries/{ident}", "Change a login to a registry", to!(update))
        .since(30)
        .reads::<Requested>()
        .returns::<RegistryBody>(),
    Route::delete("/v1/registries/{ident}", "Delete a login to a registry", to!(delete))
        .since(30)
        .returns_nothing(),
];

const DOMAIN: Rule = Rule {
    description: "the domain of a registry, with its port if it is not 443, such as `docker.io` or `registry.example.org:5000`",
    is_valid: is_domain,
};
/// `zun login` uses the domain as name.
const LOGIN_NAME: Rule = Rule {
    description: "2 to 255 letters, digits, `_`, `.` or `-`, starting with a letter or digit, or the domain of a registry",
    is_valid: |text| (NAME.is_valid)(text) || is_domain(text),
};
const USERNAME: Rule = Rule {
    description: "1 to 255 printable characters",
    is_valid: |text| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control),
};
const PASSWORD_RULE: &str = "1 to 8192 characters without control characters";

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'[' | b']' | b':');
    (1..=253).contains(&host.len())
        && host.bytes().all(is_allowed)
        && !host.starts_with(['.', '-', ':'])
        && (host.starts_with('[') || !host.contains(':'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

const NAME_FIELD: Field = text_field("name", LOGIN_NAME, "The name, unique in the project");
const DOMAIN_FIELD: Field = text_field("domain", DOMAIN, "The domain of the registry");
const USERNAME_FIELD: Field = text_field("username", USERNAME, "The user");
const PASSWORD_FIELD: Field = field(
    "password",
    Kind::Custom(|| json!({"type": "string", "writeOnly": true})),
    "The password or token. It is stored encrypted, and shown to nobody",
);
const LOGIN: &[Field] = &[DOMAIN_FIELD, NAME_FIELD, USERNAME_FIELD, PASSWORD_FIELD];

impl FromFields for Requested {
    const FIELDS: &'static [Field] =
        &[field("registry", Kind::Object(LOGIN), "The login").required()];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let missing = fields.missing("registry");
        let mut login = fields.object("registry").ok_or(missing)?;
        let domain = login.text("domain");
        Ok(Self {
            name: login.text("name"),
            domain: domain.map(|domain| domain.to_ascii_lowercase()),
            username: login.text("username"),
            password: password(&mut login).map_err(|refusal| refusal.within("registry"))?,
        })
    }
}

/// Reads the password. An error does not repeat it.
fn password(fields: &mut Fields) -> Result<Option<Secret<String>>, InvalidField> {
    let Some(value) = fields.take("password") else { return Ok(None) };
    let fits =
        |text: &&str| (1..=8192).contains(&text.len()) && !text.chars().any(char::is_control);
    let text = value.as_str().filter(fits);
    let password = text.map(|text| Secret::new(text.to_owned()));
    password.map(Some).ok_or_else(|| InvalidField::new("password", "***", PASSWORD_RULE))
}

/// Selects a part of the list.
pub(super) struct RegistryPage {
    filter: RegistryFilter,
    page: ItemPage,
}

impl FromFields for RegistryPage {
    const FIELDS: &'static [Field] = &[
        paging::LIMIT,
        paging::MARKER,
        paging::SORT_DIR,
        paging::SORT_KEY,
        boolean_field("all_projects", "Include the logins of all projects")
            .only(Permission::SeeAllProjects),
        text_field("name", SHORT_TEXT, "Only logins with this name"),
        text_field("domain", SHORT_TEXT, "Only logins to this registry"),
        text_field("username", SHORT_TEXT, "Only logins of this user at the registry"),
        text_field("project_id", SHORT_TEXT, "Only logins of this project"),
        text_field("user_id", SHORT_TEXT, "Only logins that this user has created"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let filter = RegistryFilter {
            all_projects: fields.flag("all_projects"),
            name: fields.text("name"),
            domain: fields.text("domain"),
            username: fields.text("username"),
            project: fields.text("project_id"),
            user: fields.text("user_id"),
        };
        Ok(Self { filter, page: ItemPage::read(fields) })
    }
}

/// `GET /v1/registries`
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    request: HttpRequest,
    input: Parsed<RegistryPage>,
) -> ApiResult {
    let RegistryPage { filter, page } = input.0;
    let all = app.registries(&caller, filter).await?;
    let missing = |marker| AppError::RegistryNotFound(marker);
    let of = |record: &crate::db::registry::Record| record.id.to_string();
    let (shown, last) = page.select(all, of).map_err(missing)?;
    let next = last.map(|last| {
        view_context.base.next_page("registries", request.query_string(), (page.limit, &last))
    });
    let registries = shown.iter().map(|record| view::registry(record, &view_context)).collect();
    Ok(ok(&RegistryList { registries, next }))
}

/// `POST /v1/registries`
pub(super) async fn create(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    input: Parsed<Requested>,
) -> ApiResult {
    let record = app.create_registry(&caller, input.0).await?;
    let location = view_context.base.join(&format!("/v1/registries/{}", record.id));
    let registry = view::registry(&record, &view_context);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(RegistryBody { registry }))
}

/// `GET /v1/registries/{id or name}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let record = app.registry(&caller, &ident).await?;
    Ok(ok(&RegistryBody { registry: view::registry(&record, &view_context) }))
}

/// `PATCH /v1/registries/{id or name}`
pub(super) async fn update(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Path<String>,
    input: Parsed<Requested>,
) -> ApiResult {
    let record = app.update_registry(&caller, &ident, input.0).await?;
    Ok(ok(&RegistryBody { registry: view::registry(&record, &view_context) }))
}

/// `DELETE /v1/registries/{id or name}`
pub(super) async fn delete(
    app: Data<App>,
    caller: Caller,
    ident: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.delete_registry(&caller, &ident).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::microversion::Microversion;

    #[test]
    fn a_domain_has_no_scheme_no_path_and_no_user() {
        for good in ["docker.io", "localhost", "127.0.0.1:5000", "r.example.org:443", "[::1]:5000"]
        {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["", "https://x.y", "x.y/z", "a@b", "x:0", "x:y", "x y", ".x", "-x", "::1", ":1"]
        {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn a_refused_password_is_not_repeated() {
        let body = json!({"registry": {"domain": "x.y", "password": "a\nb"}});
        let body = body.as_object().cloned();
        let fields = Fields::new(Vec::new(), body);
        let mut fields =
            fields.check(Requested::FIELDS, (Microversion::NEWEST, None)).expect("good fields");
        let refusal = Requested::read(&mut fields);
        let words = refusal.expect_err("a control character").to_string();
        assert!(words.contains("'registry.password'") && !words.contains("a\nb"), "{words}");
    }
}
