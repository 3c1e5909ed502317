//! `POST /ui/sign_in`: exchanges a password for a token of Keystone, for the dashboard.
//!
//! This is not a proxy: zun-api reads a few short texts, and sends its own request to Keystone at the address in the
//! settings. Keystone counts wrong passwords, and locks users out if it is set up so.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use zun_common::secret::Secret;

use crate::app::{App, AppError};
use crate::auth::{Credentials, SignedIn};
use crate::http::extract;
use crate::http::response::ApiResult;

/// Maximum length of each string, in bytes.
const LONGEST: usize = 255;
const RULE: &str = "The body must be a JSON object with the strings `user`, `password` and `project`, and optionally \
                    `user_domain` and `project_domain`, each of 1 to 255 bytes.";

/// The body of the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user: String,
    password: Secret<String>,
    project: String,
    #[serde(default = "default_domain")]
    user_domain: String,
    #[serde(default = "default_domain")]
    project_domain: String,
}

fn default_domain() -> String {
    "Default".to_owned()
}

/// Signs a user in.
pub(super) async fn sign_in(app: Data<App>, request: HttpRequest, payload: Payload) -> ApiResult {
    super::require(&app)?;
    let body = extract::object(&request, payload.into_inner()).await?;
    let credentials = credentials(Value::Object(body.unwrap_or_default()))?;
    let SignedIn { token, expires_at } = app.authenticator.sign_in(&credentials).await?;
    let body = json!({"token": token.expose(), "expires_at": expires_at});
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body))
}

/// The errors do not repeat the values: one of them is a password.
fn credentials(body: Value) -> Result<Credentials, AppError> {
    let malformed = || AppError::Malformed(RULE.to_owned());
    let body: Body = serde_json::from_value(body).map_err(|_cause| malformed())?;
    let Body { user, password, project, user_domain, project_domain } = body;
    let all = [&user, password.expose(), &project, &user_domain, &project_domain];
    if all.iter().any(|text| !(1..=LONGEST).contains(&text.len())) {
        return Err(malformed());
    }
    Ok(Credentials { user, user_domain, password, project, project_domain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_body_is_not_repeated() {
        let body = json!({"user": "ann", "password": "hunter2", "project": "web"});
        let read = credentials(body.clone()).expect("credentials");
        assert_eq!((read.user_domain.as_str(), read.project.as_str()), ("Default", "web"));
        let changes = [
            ("password", json!(42)),
            ("password", json!("p".repeat(256))),
            ("user", json!("")),
            ("url", json!("http://elsewhere")),
        ];
        for (field, value) in changes {
            let mut body = body.clone();
            body[field] = value;
            let refusal = credentials(body).map(drop).expect_err(field).to_string();
            assert_eq!(refusal, RULE);
        }
    }
}
