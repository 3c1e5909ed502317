//! How zun-api validates tokens.

use reqwest::{Method, StatusCode};
use serde_json::json;
use zun_tests::eventually::eventually_some;
use zun_tests::keystone::Keystone;
use zun_tests::proxy::Proxy;

use super::support::{Api, count, world};

#[tokio::test]
async fn a_token_identifies_its_user_and_project() {
    let (keystone, api) = world().await;
    let demo = keystone.token("demo", Some("demo")).await;
    let viewer = keystone.token("viewer", Some("demo")).await;
    let admin = keystone.token("admin", Some("admin")).await;
    let service = keystone.token("zun", Some("service")).await;
    let project = api.project_of_new_container(&demo).await;
    assert_eq!(project.len(), 32, "Keystone's id of the project: {project}");
    assert_eq!(count(&api.get(&demo, "/v1/containers").await), 1);
    assert_eq!(count(&api.get(&viewer, "/v1/containers").await), 1);
    assert_eq!(count(&api.get(&service, "/v1/containers").await), 0);
    assert_eq!(count(&api.get(&admin, "/v1/containers").await), 0);
    assert_eq!(count(&api.get(&admin, "/v1/containers?all_projects=True").await), 1);
    assert_eq!(
        api.get(&demo, "/v1/containers?all_projects=True").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_reader_lists_and_shows_containers_and_nothing_else() {
    let (keystone, api) = world().await;
    let demo = keystone.token("demo", Some("demo")).await;
    let viewer = keystone.token("viewer", Some("demo")).await;
    let body = json!({"image": "cirros", "name": "web"});
    let status = async |method: Method, path: &str, body: &serde_json::Value| {
        api.send(method, &viewer, path, body).await.status
    };
    assert_eq!(status(Method::POST, "/v1/containers", &body).await, StatusCode::FORBIDDEN);
    let created = api.send(Method::POST, &demo, "/v1/containers", &body).await;
    assert_eq!(created.status, StatusCode::ACCEPTED);
    let nothing = serde_json::Value::Null;
    for path in ["", "/web", "/web/runs", "/web/container_actions"] {
        let path = format!("/v1/containers{path}");
        assert_eq!(status(Method::GET, &path, &nothing).await, StatusCode::OK, "{path}");
    }
    for (method, path) in [
        (Method::GET, "/logs"),
        (Method::GET, "/top"),
        (Method::GET, "/stats"),
        (Method::GET, "/attach"),
        (Method::POST, "/attach"),
        (Method::POST, "/execute?command=id"),
        (Method::POST, "/archive"),
        (Method::POST, "/start"),
        (Method::DELETE, ""),
    ] {
        let path = format!("/v1/containers/web{path}");
        assert_eq!(status(method, &path, &nothing).await, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_valid_token_is_referred_to_keystone() {
    let (keystone, api) = world().await;
    let expected = format!("Keystone uri=\"{}\"", keystone.url());
    for token in ["", "guess", "gAAAAABnot-a-token", "with space"] {
        let answer = api.get(token, "/v1/containers").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{token}: {answer:?}");
        assert_eq!(answer.challenge.as_deref(), Some(&*expected), "{token}");
    }
}

#[tokio::test]
async fn a_token_without_a_project_is_refused_with_a_reason() {
    let (keystone, api) = world().await;
    let token = keystone.token("demo", None).await;
    let answer = api.get(&token, "/v1/containers").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let words = answer.body["errors"][0]["title"].as_str().unwrap().to_owned();
    assert!(words.contains("not for a project"), "{words}");
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    let (keystone, api) = world().await;
    let token = keystone.token("demo", Some("demo")).await;
    assert_eq!(api.get(&token, "/v1/containers").await.status, StatusCode::OK);
    keystone.revoke(&token).await;
    assert_eq!(api.get(&token, "/v1/containers").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn while_keystone_is_down_requests_get_503_and_cached_tokens_work() {
    let keystone = Keystone::shared();
    let proxy = Proxy::to(keystone.address).await;
    let api = Api::start(proxy.address(), 60).await;
    let known = keystone.token("demo", Some("demo")).await;
    let unknown = keystone.token("viewer", Some("demo")).await;
    assert_eq!(api.get(&known, "/v1/containers").await.status, StatusCode::OK);
    proxy.refuse();
    assert_eq!(api.get(&known, "/v1/containers").await.status, StatusCode::OK);
    let answer = api.get(&unknown, "/v1/containers").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.body["errors"][0]["code"], json!("container.identity-service-down"));
    assert_eq!(answer.challenge, None);
    proxy.restore();
    eventually_some("zun-api reaches Keystone again", || async {
        (api.get(&unknown, "/v1/containers").await.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_keystone_that_does_not_answer_is_given_up_after_the_timeout() {
    let keystone = Keystone::shared();
    let proxy = Proxy::to(keystone.address).await;
    let api = Api::start_with(proxy.address(), |settings| settings.timeout = 1).await;
    let token = keystone.token("demo", Some("demo")).await;
    proxy.stall();
    let answer = api.get(&token, "/v1/containers").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
}

#[tokio::test]
async fn a_service_user_that_may_not_validate_tokens_is_no_reason_to_refuse_the_caller() {
    let keystone = Keystone::shared();
    let token = keystone.token("demo", Some("demo")).await;
    for (user, project, password) in [("viewer", "demo", "viewer"), ("zun", "service", "wrong")] {
        let api = Api::start_with(keystone.address, |settings| {
            settings.user = user.to_owned();
            settings.project = project.to_owned();
            let file = settings.password_file.as_ref().unwrap();
            std::fs::write(file, password).unwrap();
        })
        .await;
        let answer = api.get(&token, "/v1/containers").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{user}: {answer:?}");
    }
}

#[tokio::test]
async fn the_version_documents_and_the_health_check_need_no_token() {
    let (_keystone, api) = world().await;
    for path in ["/", "/v1", "/healthz"] {
        let answer = api.send(Method::GET, "", path, &serde_json::Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_password_of_keystone_signs_in_to_the_dashboard_and_nothing_of_it_is_repeated() {
    let (_keystone, api) = world().await;
    let sign_in =
        async |body: &serde_json::Value| api.send(Method::POST, "", "/ui/sign_in", body).await;
    let mut body = json!({"user": "demo", "password": "demo", "project": "demo"});
    let answer = sign_in(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let token = answer.body["token"].as_str().expect("a token");
    assert!(answer.body["expires_at"].is_string(), "{answer:?}");
    assert_eq!(count(&api.get(token, "/v1/containers").await), 0);
    for (field, wrong) in [("password", "guess"), ("project", "admin"), ("user_domain", "nowhere")]
    {
        let mut refused = body.clone();
        refused[field] = json!(wrong);
        let answer = sign_in(&refused).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{field}");
        assert!(!answer.body.to_string().contains(wrong), "{answer:?}");
    }
    // The service user: wrong passwords would lock it out.
    for user in ["zun", " ZUN "] {
        let own = json!({"user": user, "password": "zun", "project": "service"});
        assert_eq!(sign_in(&own).await.status, StatusCode::UNAUTHORIZED, "{user}");
    }
    body["password"] = json!("p".repeat(256));
    let answer = sign_in(&body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!answer.body.to_string().contains("ppp"), "{answer:?}");
}
