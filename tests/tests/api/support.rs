//! A zun-api per test, and requests to it.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use zun_api::Service;
use zun_api::ca::{CertificateAuthority, EnrolledHosts};
use zun_api::settings::{DatabaseUrl, QuotaSettings, Settings};
use zun_common::bus::{Bus, BusSettings, connect};
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;
use zun_common::status::Status;
use zun_tests::postgres::Database;
use zun_tests::scripted_agent::ScriptedAgent;

use crate::ON_POSTGRES;

/// Token of an administrator.
pub const ADMIN: &str = "admin-token";
/// Token of a user in the project `blue`.
pub const ANN: &str = "ann-token";
/// Token of a user in the project `red`.
pub const BOB: &str = "bob-token";
/// Token of a user in the project `red` who may only read.
pub const REA: &str = "rea-token";

/// A running zun-api.
pub struct Api {
    service: Option<Service>,
    settings: Settings,
    address: SocketAddr,
    client: reqwest::Client,
    pub bus: Bus,
    pub tasks: Tasks,
    pub directory: TempDir,
    database: Option<Database>,
}

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns status, code and message of an error, and checks the rest of its body.
    pub fn refusal(&self) -> String {
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        let error = &body["errors"][0];
        assert_eq!(error["status"], json!(self.status));
        assert_eq!(error["request_id"], json!(self.header("x-openstack-request-id")));
        assert_eq!(error["links"], json!([]));
        assert_eq!(error["title"], error["detail"]);
        format!(
            "{} {} {}",
            self.status,
            error["code"].as_str().unwrap(),
            error["title"].as_str().unwrap()
        )
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a zun-api with a CA.
    pub async fn with_consoles() -> Self {
        Self::start_with(|settings| {
            let tokens = settings.auth.token_file.as_ref().unwrap();
            let directory = tokens.with_file_name("ca");
            CertificateAuthority::init(&directory).unwrap();
            settings.console.ca_directory = Some(directory);
        })
        .await
    }

    /// Returns the directory of enrolled hosts.
    pub fn hosts(&self) -> EnrolledHosts {
        EnrolledHosts::of_ca(&self.directory.path().join("ca"))
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_over(change, |bus| bus).await
    }

    /// Starts a zun-api whose transport is wrapped.
    pub async fn start_over(
        change: impl FnOnce(&mut Settings),
        between: impl FnOnce(Bus) -> Bus,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.http.drain = 5;
        settings.quotas = QuotaSettings::UNLIMITED;
        let database = ON_POSTGRES.then(Database::create);
        settings.database.url = match &database {
            Some(database) => database.url().parse().unwrap(),
            None => DatabaseUrl::Sqlite(directory.path().join("zun.sqlite")),
        };
        settings.auth.token_file = Some(token_file(directory.path()));
        change(&mut settings);
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).unwrap();
        let service = Service::start(settings.clone(), between(bus.clone()), &tasks).await.unwrap();
        let address = service.address();
        let client = client();
        let service = Some(service);
        Self { service, settings, address, client, bus, tasks, directory, database }
    }

    pub async fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// Begins to stop the service. It still answers open requests.
    pub fn begin_to_stop(&mut self) {
        if let Some(service) = self.service.take() {
            self.tasks.spawn(service.stop());
        }
    }

    /// Changes the settings of the next start.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
    }

    /// Restarts the service on the same file and bus.
    pub async fn start_again(&mut self) {
        let service =
            Service::start(self.settings.clone(), self.bus.clone(), &self.tasks).await.unwrap();
        self.address = service.address();
        self.service = Some(service);
    }

    /// Starts an agent and waits until zun-api reports its host as up.
    pub async fn agent(&self, host: &str) -> ScriptedAgent {
        let agent = ScriptedAgent::start(&self.bus, host, &self.tasks).await;
        self.until_service(host, "up").await;
        agent
    }

    pub async fn until_service(&self, host: &str, state: &str) {
        eventually_some(&format!("{host} is {state}"), || async {
            let services = self.get(ADMIN, "/v1/services").await.json();
            let services = services["services"].as_array().unwrap().clone();
            services.iter().any(|one| one["host"] == host && one["state"] == state).then_some(())
        })
        .await;
    }

    /// Returns the database, if it is one of PostgreSQL.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the listen address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the listener for metrics.
    pub fn metrics_address(&self) -> SocketAddr {
        let address = self.service.as_ref().and_then(Service::metrics_address);
        address.expect("a listener for metrics")
    }

    /// Starts another zun-api on the same database and bus. An SQLite file has only one.
    pub async fn second_service(&self) -> Option<Service> {
        if !ON_POSTGRES {
            return None;
        }
        let service = Service::start(self.settings.clone(), self.bus.clone(), &self.tasks).await;
        Some(service.unwrap())
    }

    pub fn request(&self, method: Method, token: &str, path: &str) -> RequestBuilder {
        self.request_at(self.address, method, token, path)
    }

    pub fn request_at(
        &self,
        address: SocketAddr,
        method: Method,
        token: &str,
        path: &str,
    ) -> RequestBuilder {
        let url = format!("http://{address}{path}");
        self.client.request(method, url).header("x-auth-token", token)
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        send(self.request(Method::GET, token, path)).await
    }

    pub async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, token, path);
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub async fn delete(&self, token: &str, path: &str) -> Answer {
        send(self.request(Method::DELETE, token, path)).await
    }

    /// Creates a container. Its host has received the operation and reported nothing.
    pub async fn create(&self, token: &str, body: Value) -> ContainerId {
        let answer = self.post(token, "/v1/containers", body).await.expect(202);
        answer.json()["uuid"].as_str().unwrap().parse().unwrap()
    }

    /// Creates a container of Ann in this status.
    pub async fn container(
        &self,
        agent: &ScriptedAgent,
        name: &str,
        status: Status,
    ) -> ContainerId {
        let id =
            self.create(ANN, json!({"image": "cirros", "name": name, "interactive": true})).await;
        agent.receives_about("container.create", id).await;
        agent.report(id, status, |_| {}).await;
        self.until(id, status).await;
        id
    }

    pub async fn until(&self, id: ContainerId, status: Status) {
        let path = format!("/v1/containers/{id}?wait_for={status}&timeout=10");
        let shown = self.get(ADMIN, &path).await.expect(200).json();
        assert_eq!(shown["status"], json!(status.as_str()), "{shown}");
    }

    /// Returns the value of a counter, 0 if it does not exist yet.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get(ADMIN, "/metrics").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub async fn until_metric(&self, name: &str, value: f64) {
        eventually_some(&format!("{name} is {value}"), || async {
            (self.metric(name).await >= value).then_some(())
        })
        .await;
    }
}

pub async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, text: answer.text().await.expect("a body") }
}

/// Polls until there is an answer.
pub async fn eventually_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Checks values that differ between runs and replaces them with placeholders.
pub fn steady(mut value: Value) -> Value {
    hide(&mut value, "");
    value
}

fn hide(value: &mut Value, name: &str) {
    match value {
        Value::Object(object) => object.iter_mut().for_each(|(name, value)| hide(value, name)),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, name)),
        Value::String(text) => {
            if name == "uuid" {
                text.parse::<uuid::Uuid>().expect("a uuid");
                "UUID".clone_into(text);
            } else if name.ends_with("_at") || name == "last_seen_up" {
                chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.6f")
                    .expect("Zun's JSON format");
                "TIME".clone_into(text);
            } else if name == "href" || name == "next" {
                *text = plain_address(text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns an address without port and identifiers.
pub fn plain_address(text: &str) -> String {
    let rest = text.strip_prefix("http://127.0.0.1:").expect("an address of ours");
    let path = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let parts = path.split_inclusive(['/', '=', '&', '?']);
    let mut shown = "http://HOST".to_owned();
    for part in parts {
        let bare = part.trim_end_matches(['/', '=', '&', '?']);
        if bare.parse::<uuid::Uuid>().is_ok() {
            shown.push_str(&part.replace(bare, "UUID"));
        } else {
            shown.push_str(part);
        }
    }
    shown
}

fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("the first provider");
    });
    // Of the newest version, unless a test says otherwise.
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("openstack-api-version", "container latest".parse().unwrap());
    reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap()
}

/// Writes the tokens, hashed by `sha256sum`.
pub fn token_file(directory: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::OpenOptionsExt;
    let mut text = String::new();
    for (hash, user, project, roles) in [
        (
            "10a4c7c9fc5206d6f36dc6944a81bb6f4a3cb0e25014ae3b12e6c3e52712292a",
            "admin",
            "admin",
            "[\"admin\"]",
        ),
        (
            "dfa603dfa2ef13eb23a30434d7feef5de20829cb6c5181623c8028a74eaf4971",
            "ann",
            "blue",
            "[\"member\"]",
        ),
        ("97dd3707015dcf069cf73022ed7173b1165db6eff24b441cb57fd069a8c4e525", "bob", "red", "[]"),
        (
            "19cec9ae1a5a8831b042e4007d244104318d0bb67d1f3771f7eed26f8927a420",
            "rea",
            "red",
            "[\"reader\"]",
        ),
    ] {
        write!(text, "[[token]]\nsha256 = \"{hash}\"\nuser = \"{user}\"\nproject = \"{project}\"\nroles = {roles}\n").unwrap();
    }
    let path = directory.join("tokens.toml");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}
