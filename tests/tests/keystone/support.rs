//! A zun-api that uses the Keystone of this test run.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use zun_api::Service;
use zun_api::settings::{DatabaseUrl, KeystoneSettings, Settings, Strategy};
use zun_common::bus::{BusSettings, connect};
use zun_common::shutdown::Tasks;
use zun_tests::keystone::Keystone;

/// A running zun-api.
pub struct Api {
    pub address: SocketAddr,
    _directory: TempDir,
    client: Client,
    _service: Service,
    _tasks: Tasks,
}

/// An answer: its status, body and the header `WWW-Authenticate`.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
    pub challenge: Option<String>,
}

impl Api {
    /// Starts a zun-api that validates tokens at this address and uses each answer again for `cache` seconds.
    pub async fn start(keystone: SocketAddr, cache: u64) -> Self {
        Self::start_with(keystone, |settings| settings.cache = cache).await
    }

    /// Starts a zun-api that validates tokens at this address.
    pub async fn start_with(
        keystone: SocketAddr,
        change: impl FnOnce(&mut KeystoneSettings),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.database.url = DatabaseUrl::Sqlite(directory.path().join("zun.sqlite"));
        settings.auth.strategy = Strategy::Keystone;
        settings.auth.keystone.url = Some(format!("http://{keystone}/v3").parse().unwrap());
        settings.auth.keystone.timeout = 60;
        settings.auth.keystone.password_file = Some(password_file(directory.path()));
        change(&mut settings.auth.keystone);
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).unwrap();
        let service = Service::start(settings, bus, &tasks).await.unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            address: service.address(),
            _directory: directory,
            client,
            _service: service,
            _tasks: tasks,
        }
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(Method::GET, token, path, &Value::Null).await
    }

    /// Sends a request, with a body unless that is null.
    pub async fn send(&self, method: Method, token: &str, path: &str, body: &Value) -> Answer {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        let request = request.header("x-auth-token", token);
        let request = request.header("openstack-api-version", "container latest");
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.expect("an answer");
        let challenge = answer.headers().get("www-authenticate");
        Answer {
            status: answer.status(),
            challenge: challenge.map(|value| value.to_str().unwrap().to_owned()),
            body: answer.json().await.unwrap_or_default(),
        }
    }

    /// Creates a container without a host that could run it, and returns its project.
    pub async fn project_of_new_container(&self, token: &str) -> String {
        let body = json!({"image": "cirros"});
        let answer = self.send(Method::POST, token, "/v1/containers", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["project_id"].as_str().unwrap().to_owned()
    }
}

/// Returns the number of containers that the caller sees.
pub fn count(answer: &Answer) -> usize {
    answer.body["containers"].as_array().unwrap_or_else(|| panic!("{answer:?}")).len()
}

/// Writes the password of the service user.
pub fn password_file(directory: &std::path::Path) -> std::path::PathBuf {
    let path = directory.join("keystone-password");
    std::fs::write(&path, "zun\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Returns the Keystone and a zun-api that does not cache.
pub async fn world() -> (Keystone, Api) {
    let keystone = Keystone::shared();
    let api = Api::start(keystone.address, 0).await;
    (keystone, api)
}
