//! The credentials for Keystone.

use serde_json::{Value, json};
use zun_common::secret::Secret;

use super::{LoginError, Values};

/// How a user proves its identity to Keystone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A user name and a password.
    Password,
    /// A token, which Keystone exchanges for one of the project.
    Token,
    /// An application credential.
    ApplicationCredential,
}

/// Credentials: the body of the request to Keystone, and what identifies them.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The method.
    pub method: Method,
    /// The body of the request for a token.
    pub(super) body: Secret<Value>,
    /// The body without secrets.
    pub(super) identity: Value,
    /// For messages: whose credentials these are, such as `user ann`.
    pub(super) owner: String,
}

impl Credentials {
    /// Reads the credentials of a method.
    pub(crate) fn read(method: Method, values: &Values) -> Result<Self, LoginError> {
        let (name, proof, secret, owner) = match method {
            Method::Password => {
                let user = user(values)?;
                let owner = format!("user {}", describe(&user));
                ("password", json!({ "user": user }), ("user", "password", "OS_PASSWORD"), owner)
            }
            Method::Token => {
                ("token", json!({}), ("", "token", "OS_TOKEN"), "the token in OS_TOKEN".to_owned())
            }
            Method::ApplicationCredential => {
                let credential = application_credential(values)?;
                let owner = format!("application credential {}", describe(&credential));
                let secret =
                    ("", "application_credential_secret", "OS_APPLICATION_CREDENTIAL_SECRET");
                ("application_credential", credential, secret, owner)
            }
        };
        let (within, key, variable) = secret;
        let secret = values.get(key).ok_or(LoginError::Missing(variable))?;
        let scope = match method {
            Method::Password | Method::Token => scope(values),
            Method::ApplicationCredential => None,
        };
        let identity = document(name, &proof, scope.as_ref());
        let mut proven = proof;
        let field = match method {
            Method::Password => "password",
            Method::Token => "id",
            Method::ApplicationCredential => "secret",
        };
        let holder = if within.is_empty() { Some(&mut proven) } else { proven.get_mut(within) };
        if let Some(Value::Object(object)) = holder {
            object.insert(field.to_owned(), json!(secret));
        }
        let body = Secret::new(document(name, &proven, scope.as_ref()));
        Ok(Self { method, body, identity, owner })
    }
}

fn document(method: &str, proof: &Value, scope: Option<&Value>) -> Value {
    let identity = json!({ "methods": [method], method: proof });
    match scope {
        Some(scope) => json!({ "auth": { "identity": identity, "scope": scope } }),
        None => json!({ "auth": { "identity": identity } }),
    }
}

/// Returns the ID or the name, for messages.
fn describe(object: &Value) -> String {
    let text = object.get("name").or_else(|| object.get("id")).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn user(values: &Values) -> Result<Value, LoginError> {
    if let Some(id) = values.get("user_id") {
        return Ok(json!({ "id": id }));
    }
    let name = values.get("username").ok_or(LoginError::Missing("OS_USERNAME"))?;
    Ok(json!({ "name": name, "domain": domain(values, "user") }))
}

/// Returns the domain of `user` or `project`.
fn domain(values: &Values, of: &str) -> Value {
    if let Some(id) = values.get(&format!("{of}_domain_id")) {
        return json!({ "id": id });
    }
    if let Some(name) = values.get(&format!("{of}_domain_name")) {
        return json!({ "name": name });
    }
    json!({ "id": values.get("default_domain").unwrap_or("default") })
}

fn scope(values: &Values) -> Option<Value> {
    let project =
        |key: &str| values.get(&format!("project_{key}")).or(values.get(&format!("tenant_{key}")));
    if let Some(id) = project("id") {
        return Some(json!({ "project": { "id": id } }));
    }
    let name = project("name")?;
    Some(json!({ "project": { "name": name, "domain": domain(values, "project") } }))
}

fn application_credential(values: &Values) -> Result<Value, LoginError> {
    if let Some(id) = values.get("application_credential_id") {
        return Ok(json!({ "id": id }));
    }
    let name = values
        .get("application_credential_name")
        .ok_or(LoginError::Missing("OS_APPLICATION_CREDENTIAL_ID"))?;
    Ok(json!({ "name": name, "user": user(values)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(variables: &[(&str, &str)]) -> Values {
        Values::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn each_method_has_its_document_and_no_secret_in_its_identity() {
        let password = values(&[
            ("OS_USERNAME", "ann"),
            ("OS_PASSWORD", "hunter2"),
            ("OS_USER_DOMAIN_NAME", "Lab"),
            ("OS_PROJECT_NAME", "web"),
        ]);
        let credentials = Credentials::read(Method::Password, &password).unwrap();
        assert_eq!(
            *credentials.body.expose(),
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {
                    "user": {"name": "ann", "domain": {"name": "Lab"}, "password": "hunter2"}}},
                "scope": {"project": {"name": "web", "domain": {"id": "default"}}},
            }})
        );
        let application = values(&[
            ("OS_APPLICATION_CREDENTIAL_ID", "a1"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "hunter2"),
            ("OS_PROJECT_NAME", "ignored"),
        ]);
        let credentials = Credentials::read(Method::ApplicationCredential, &application).unwrap();
        assert_eq!(
            *credentials.body.expose(),
            json!({"auth": {"identity": {"methods": ["application_credential"],
                "application_credential": {"id": "a1", "secret": "hunter2"}}}})
        );
        let token = values(&[("OS_TOKEN", "hunter2"), ("OS_PROJECT_ID", "p")]);
        let credentials = Credentials::read(Method::Token, &token).unwrap();
        assert_eq!(
            *credentials.body.expose(),
            json!({"auth": {"identity": {"methods": ["token"], "token": {"id": "hunter2"}},
                "scope": {"project": {"id": "p"}}}})
        );
        for (method, values) in [
            (Method::Password, &password),
            (Method::ApplicationCredential, &application),
            (Method::Token, &token),
        ] {
            let credentials = Credentials::read(method, values).unwrap();
            assert!(!format!("{credentials:?}").contains("hunter2"), "{credentials:?}");
        }
    }

    #[test]
    fn a_missing_value_is_named_by_its_variable() {
        for (method, given, missing) in [
            (Method::Password, &[][..], "OS_USERNAME"),
            (Method::Password, &[("OS_USERNAME", "ann")][..], "OS_PASSWORD"),
            (Method::ApplicationCredential, &[][..], "OS_APPLICATION_CREDENTIAL_ID"),
            (
                Method::ApplicationCredential,
                &[("OS_APPLICATION_CREDENTIAL_ID", "a")][..],
                "OS_APPLICATION_CREDENTIAL_SECRET",
            ),
            (Method::Token, &[][..], "OS_TOKEN"),
        ] {
            let error = Credentials::read(method, &values(given)).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }
}
