//! How the command `zun` logs in.

use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use zun_tests::keystone::Keystone;
use zun_tests::proxy::Proxy;
use zun_tests::zun_cli::{Finished, binary};

use super::support::{Api, world};

/// A user with an empty home directory.
struct User {
    home: TempDir,
    environment: Vec<(String, String)>,
}

impl User {
    fn new(variables: &[(&str, &str)]) -> Self {
        let environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { home: tempfile::tempdir().unwrap(), environment: environment.collect() }
    }

    /// The user `demo`, who logs in at `auth_url` with a password.
    fn demo(auth_url: &str, api: &Api) -> Self {
        let endpoint = endpoint(api);
        Self::new(&[
            ("OS_AUTH_URL", auth_url),
            ("OS_USERNAME", "demo"),
            ("OS_PASSWORD", "demo"),
            ("OS_PROJECT_NAME", "demo"),
            ("OS_ENDPOINT", &endpoint),
        ])
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs `zun` without blocking other tasks.
    async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary("zun"));
        command.args(arguments).env_clear().env("HOME", self.home.path());
        command.envs(self.environment.clone()).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        Finished::from(output.await.unwrap().expect("zun runs"))
    }

    async fn must(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments).await;
        assert_eq!(finished.code, 0, "{finished:?}");
        finished.stdout
    }

    /// Returns the cached tokens.
    fn tokens(&self) -> Vec<Value> {
        let directory = self.home.path().join(".cache/zun/tokens");
        let files = std::fs::read_dir(directory).into_iter().flatten();
        let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        files.map(|file| read(&file.unwrap().path())).collect()
    }
}

fn endpoint(api: &Api) -> String {
    format!("http://{}/v1", api.address)
}

#[tokio::test]
async fn a_user_logs_in_once_for_many_commands() {
    let keystone = Keystone::shared();
    let proxy = Proxy::to(keystone.address).await;
    let api = Api::start(keystone.address, 60).await;
    let user = User::demo(&format!("http://{}", proxy.address()), &api);
    user.must(&["list"]).await;
    assert_eq!(user.tokens().len(), 1);
    proxy.refuse();
    user.must(&["list"]).await;
    // The token belongs to the password that it was issued for.
    let other = user.with("OS_PASSWORD", "hunter2").run(&["list"]).await;
    assert!(other.stderr.contains("cannot reach Keystone"), "{other:?}");
}

#[tokio::test]
async fn a_rejected_token_is_replaced_by_a_new_login() {
    let (keystone, api) = world().await;
    let user = User::demo(&keystone.url(), &api);
    user.must(&["list"]).await;
    let first = user.tokens()[0]["token"].as_str().unwrap().to_owned();
    keystone.revoke(&first).await;
    user.must(&["list"]).await;
    assert_ne!(user.tokens()[0]["token"], json!(first));
}

#[tokio::test]
async fn a_wrong_password_is_reported_with_the_user_and_without_the_password() {
    let (keystone, api) = world().await;
    let user = User::demo(&keystone.url(), &api).with("OS_PASSWORD", "hunter2");
    let finished = user.run(&["list"]).await;
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("rejects these credentials (user demo)"), "{finished:?}");
    assert!(!format!("{finished:?}").contains("hunter2"));
    assert_eq!(user.tokens(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_keystone_that_cannot_be_reached_is_named() {
    let (keystone, api) = world().await;
    let proxy = Proxy::to(keystone.address).await;
    proxy.refuse();
    let url = format!("http://{}/v3", proxy.address());
    let finished = User::demo(&url, &api).run(&["list"]).await;
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains(&format!("cannot reach Keystone at {url}")), "{finished:?}");
}

#[tokio::test]
async fn a_cloud_of_clouds_yaml_replaces_the_variables() {
    let (keystone, api) = world().await;
    let (url, endpoint) = (keystone.url(), endpoint(&api));
    let user = User::new(&[("OS_AUTH_TYPE", "none")]);
    let directory = user.home.path().join(".config/openstack");
    std::fs::create_dir_all(&directory).unwrap();
    let clouds = json!({"clouds": {"lab": {
        "auth": {"auth_url": url, "username": "demo", "project_name": "demo"},
        "container_endpoint_override": endpoint,
    }}});
    std::fs::write(directory.join("clouds.yaml"), clouds.to_string()).unwrap();
    let secrets = json!({"clouds": {"lab": {"auth": {"password": "demo"}}}});
    std::fs::write(directory.join("secure.yaml"), secrets.to_string()).unwrap();
    user.must(&["--os-cloud", "lab", "list"]).await;
    let finished = user.run(&["--os-cloud", "prod", "list"]).await;
    assert!(finished.stderr.contains("there is no cloud `prod`"), "{finished:?}");
    assert!(finished.stderr.contains("it has: lab"), "{finished:?}");
}

#[tokio::test]
async fn the_service_is_found_in_the_catalog() {
    let (keystone, api) = world().await;
    let region = format!("region-{}", api.address.port());
    let user =
        User::demo(&keystone.url(), &api).with("OS_ENDPOINT", "").with("OS_REGION_NAME", &region);
    let finished = user.run(&["list"]).await;
    assert!(finished.stderr.contains(&format!("in region {region}")), "{finished:?}");
    let service = json!({"service": {"type": "container", "name": "zun"}});
    let service = created(&keystone, "/services", service).await;
    created(&keystone, "/regions", json!({"region": {"id": region}})).await;
    let body = json!({"endpoint": {"service_id": service["service"]["id"], "interface": "public",
        "region_id": region, "url": endpoint(&api)}});
    created(&keystone, "/endpoints", body).await;
    std::fs::remove_dir_all(user.home.path().join(".cache")).unwrap();
    user.must(&["list"]).await;
}

#[tokio::test]
async fn an_application_credential_logs_in_to_its_project() {
    let (keystone, api) = world().await;
    let token = keystone.token("demo", Some("demo")).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let me = client.get(format!("{}/auth/tokens", keystone.url()));
    let me: Value = me
        .header("x-auth-token", &token)
        .header("x-subject-token", &token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let user = me["token"]["user"]["id"].as_str().unwrap();
    let url = format!("{}/users/{user}/application_credentials", keystone.url());
    let name = format!("zun-{}", api.address.port());
    // Without a role, Keystone takes those of the token, and may refuse the one that `member` implies.
    let body = json!({"application_credential":
        {"name": name, "secret": "hunter2", "roles": [{"name": "member"}]}});
    let answer = client.post(url).header("x-auth-token", &token).json(&body).send().await.unwrap();
    let status = answer.status();
    let credential: Value = answer.json().await.unwrap();
    assert_eq!(status, 201, "{credential}");
    let id = credential["application_credential"]["id"].as_str().unwrap();
    let (url, endpoint) = (keystone.url(), endpoint(&api));
    let user = User::new(&[
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_AUTH_URL", &url),
        ("OS_APPLICATION_CREDENTIAL_ID", id),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "hunter2"),
        ("OS_ENDPOINT", &endpoint),
    ]);
    user.must(&["list"]).await;
}

#[tokio::test]
async fn a_token_of_keystone_is_exchanged_for_one_of_the_project() {
    let (keystone, api) = world().await;
    let token = keystone.token("demo", None).await;
    let (url, endpoint) = (keystone.url(), endpoint(&api));
    let user = User::new(&[
        ("OS_AUTH_TYPE", "v3token"),
        ("OS_AUTH_URL", &url),
        ("OS_TOKEN", &token),
        ("OS_PROJECT_NAME", "demo"),
        ("OS_ENDPOINT", &endpoint),
    ]);
    user.must(&["list"]).await;
    assert_eq!(user.tokens(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_missing_variable_is_named() {
    let finished = User::new(&[("OS_AUTH_URL", "http://127.0.0.1:1/v3")]).run(&["list"]).await;
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("OS_USERNAME is not set"), "{finished:?}");
}

pub async fn created(keystone: &Keystone, path: &str, body: Value) -> Value {
    let answer = keystone.admin(Method::POST, path, body).await;
    assert_eq!(answer.status(), 201, "{path}");
    answer.json().await.unwrap()
}
