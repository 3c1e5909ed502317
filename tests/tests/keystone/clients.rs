//! OpenStack's own clients, python-zunclient and `openstack appcontainer`, with each strategy of authentication: the script
//! `tests/services/zunclient-checks.py` runs every group of verbs, filters, pages and refusals in one process. Behind
//! zun-api is a whole agent, with an engine in memory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use zun_api::Service;
use zun_api::settings::{DatabaseUrl, Settings, Strategy};
use zun_common::bus::{BusSettings, connect};
use zun_common::shutdown::Tasks;
use zun_compute::Agent;
use zun_compute::driver::fake::FakeDriver;
use zun_tests::keystone::Keystone;
use zun_tests::postgres::Database;

use super::cli::created;
use super::support::password_file;

/// Runs the checks with these variables against a service with these settings.
async fn check(change: impl FnOnce(&mut Settings, &Path), variables: &[(&str, &str)]) {
    check_in(None, change, variables).await;
}

/// Like [`check`]. With a Keystone, `openstack` finds the service in its catalog.
async fn check_in(
    keystone: Option<&Keystone>,
    change: impl FnOnce(&mut Settings, &Path),
    variables: &[(&str, &str)],
) {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.database.url = DatabaseUrl::Sqlite(directory.path().join("zun.sqlite"));
    change(&mut settings, directory.path());
    let tasks = Tasks::new();
    let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).unwrap();
    let service = Service::start(settings, bus.clone(), &tasks).await.unwrap();
    let of_agent = zun_compute::settings::Settings {
        host: Some("h1".parse().unwrap()),
        state_directory: directory.path().join("agent"),
        ..zun_compute::settings::Settings::default()
    };
    let engine = Arc::new(FakeDriver::new());
    let agent = Agent::start(of_agent, bus, engine, &tasks).await.expect("an agent");
    let programs = PathBuf::from(std::env::var_os("ZUN_TEST_OPENSTACK").expect("the clients"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("services/zunclient-checks.py");
    let mut python = Command::new(programs.join("python"));
    python.arg(script).env_clear().env("HOME", directory.path()).env("PYTHONWARNINGS", "ignore");
    let endpoint = format!("http://{}/v1", service.address());
    python.env("ZUN_TEST_ENDPOINT", &endpoint);
    if let Some(keystone) = keystone {
        let region = format!("clients-{}", service.address().port());
        announce(keystone, (&region, &endpoint)).await;
        python.env("OS_REGION_NAME", region);
    } else {
        python.env("OS_ENDPOINT", endpoint);
    }
    python.envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let done = python.output().await.expect("python runs");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let failed = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && printed.ends_with("checks\n"), "{printed}{failed}");
    assert!(agent.stop().await);
    service.stop().await;
}

/// Adds the service to the catalog, in a region of its own.
async fn announce(keystone: &Keystone, (region, endpoint): (&str, &str)) {
    let service = json!({"service": {"type": "container", "name": "zun"}});
    let service = created(keystone, "/services", service).await;
    created(keystone, "/regions", json!({"region": {"id": region}})).await;
    let body = json!({"endpoint": {"service_id": service["service"]["id"], "interface": "public",
        "region_id": region, "url": endpoint}});
    created(keystone, "/endpoints", body).await;
}

/// Writes the hashes of the tokens `admin-token`, of an administrator of `web`, and `bob-token`, of a user of `red`.
fn tokens(directory: &Path) -> PathBuf {
    let path = directory.join("tokens.toml");
    let entry = |token: &str, (user, project, roles): (&str, &str, &str)| {
        let hash = hex::encode(Sha256::digest(token));
        format!(
            "[[token]]\nsha256 = \"{hash}\"\nuser = \"{user}\"\nproject = \"{project}\"\nroles = [{roles}]\n"
        )
    };
    let text = entry("admin-token", ("root", "web", "\"admin\""))
        + &entry("bob-token", ("bob", "red", ""));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn with_tokens(settings: &mut Settings, directory: &Path) {
    settings.auth.token_file = Some(tokens(directory));
}

const WITH_TOKENS: &[(&str, &str)] = &[
    ("OS_AUTH_TYPE", "admin_token"),
    ("OS_TOKEN", "admin-token"),
    ("ZUN_TEST_PROJECT", "web"),
    ("ZUN_TEST_OTHER", "bob-token"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openstacks_clients_work_with_tokens() {
    Box::pin(check(with_tokens, WITH_TOKENS)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openstacks_clients_work_with_tokens_on_postgresql() {
    let database = Database::create();
    let url = database.url();
    let change = |settings: &mut Settings, directory: &Path| {
        with_tokens(settings, directory);
        settings.database.url = url.parse().unwrap();
    };
    Box::pin(check(change, WITH_TOKENS)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openstacks_clients_work_without_authentication() {
    let change = |settings: &mut Settings, _: &Path| settings.auth.strategy = Strategy::None;
    let variables = [("OS_AUTH_TYPE", "none"), ("ZUN_TEST_PROJECT", "admin")];
    Box::pin(check(change, &variables)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openstacks_clients_work_with_keystone() {
    let keystone = Keystone::shared();
    let url = keystone.url();
    let found = keystone.admin(Method::GET, "/projects?name=admin", json!({})).await;
    let found: Value = found.json().await.unwrap();
    let project = found["projects"][0]["id"].as_str().unwrap().to_owned();
    let other = keystone.token("demo", Some("demo")).await;
    let change = |settings: &mut Settings, directory: &Path| {
        settings.auth.strategy = Strategy::Keystone;
        settings.auth.keystone.url = Some(url.parse().unwrap());
        settings.auth.keystone.timeout = 60;
        settings.auth.keystone.password_file = Some(password_file(directory));
    };
    let variables = [
        ("OS_AUTH_TYPE", "password"),
        ("OS_AUTH_URL", url.as_str()),
        ("OS_USERNAME", "admin"),
        ("OS_PASSWORD", keystone.admin_password()),
        ("OS_PROJECT_NAME", "admin"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ("ZUN_TEST_PROJECT", project.as_str()),
        ("ZUN_TEST_OTHER", other.as_str()),
    ];
    Box::pin(check_in(Some(&keystone), change, &variables)).await;
}
