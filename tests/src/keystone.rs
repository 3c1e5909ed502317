//! The Keystone of this test run. `tests/services/keystone.sh` starts it and names an openrc file in
//! `ZUN_TEST_KEYSTONE`.

use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

/// Keystone, with the credentials of its administrator.
#[derive(Debug)]
pub struct Keystone {
    /// The openrc file of the administrator.
    pub openrc: PathBuf,
    /// The address of the server.
    pub address: SocketAddr,
    admin_password: String,
    client: Client,
}

impl Keystone {
    /// Returns the Keystone of this test run.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn shared() -> Self {
        let openrc = PathBuf::from(std::env::var_os("ZUN_TEST_KEYSTONE").expect(
            "ZUN_TEST_KEYSTONE is not set: run the tests with `make test`, or with `tests/services/keystone.sh cargo test …`",
        ));
        let text = std::fs::read_to_string(&openrc).expect("an openrc file");
        let variable = |name: &str| {
            let start = format!("export {name}=");
            let value = text.lines().find_map(|line| line.strip_prefix(&start));
            value.unwrap_or_else(|| panic!("{name} is not in the openrc file")).to_owned()
        };
        let url: url::Url = variable("OS_AUTH_URL").parse().expect("a URL");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        // Tests of one process share the provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { openrc, address, admin_password: variable("OS_PASSWORD"), client }
    }

    /// Returns the URL of the Identity API.
    pub fn url(&self) -> String {
        format!("http://{}/v3", self.address)
    }

    /// Returns the administrator's password.
    pub fn admin_password(&self) -> &str {
        &self.admin_password
    }

    /// Returns a token of a user in a project, or in none. The password of each user but the administrator is its name.
    pub async fn token(&self, user: &str, project: Option<&str>) -> String {
        let password = if user == "admin" { self.admin_password() } else { user };
        let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"name": "Default"}, "password": password,
        }}}});
        auth["scope"] = match project {
            Some(name) => json!({"project": {"name": name, "domain": {"name": "Default"}}}),
            None => json!("unscoped"),
        };
        let request = self.client.post(format!("{}/auth/tokens", self.url()));
        let answer = request.json(&json!({ "auth": auth })).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{user} in {project:?}");
        answer.headers()["x-subject-token"].to_str().expect("text").to_owned()
    }

    /// Revokes a token.
    pub async fn revoke(&self, token: &str) {
        let admin = self.token("admin", Some("admin")).await;
        let request = self.client.delete(format!("{}/auth/tokens", self.url()));
        let request = request.header("x-auth-token", admin).header("x-subject-token", token);
        assert_eq!(request.send().await.expect("an answer").status(), 204);
    }

    /// Sends a request as the administrator.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Response {
        let token = self.token("admin", Some("admin")).await;
        let request = self.client.request(method, format!("{}{path}", self.url()));
        request.header("x-auth-token", token).json(&body).send().await.expect("an answer")
    }
}
