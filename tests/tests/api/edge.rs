//! Authentication, limits, headers and errors, which are the same for every request.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::{Value, json};
use zun_api::settings::Strategy;

use crate::support::{ADMIN, ANN, Api, send};

#[tokio::test]
async fn every_refusal_has_the_same_body() {
    let api = Api::start().await;
    let mut table = Vec::new();
    let unknown = uuid::Uuid::nil();
    for (method, token, path) in [
        (Method::GET, "", "/v1/containers".to_owned()),
        (Method::GET, "wrong", "/v1/containers".to_owned()),
        (Method::GET, ANN, "/nowhere".to_owned()),
        (Method::GET, ANN, "/v1/nowhere".to_owned()),
        (Method::GET, "", "/v1/nowhere".to_owned()),
        (Method::PATCH, ANN, format!("/v1/containers/{unknown}")),
        (Method::PUT, ANN, "/v1/containers".to_owned()),
        (Method::PUT, "", "/v1/containers".to_owned()),
        (Method::POST, ANN, "/".to_owned()),
        (Method::GET, ANN, format!("/v1/containers/{unknown}")),
        (Method::GET, ANN, "/v1/containers/no-such-name".to_owned()),
        (Method::GET, ANN, "/v1/hosts".to_owned()),
        (Method::GET, ANN, "/v1/services".to_owned()),
    ] {
        let answer = send(api.request(method.clone(), token, &path)).await;
        table.push(format!("{method} {path}: {}", answer.refusal()));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    GET /v1/containers: 401 container.unauthorized The request you have made requires authentication.
    GET /v1/containers: 401 container.unauthorized The request you have made requires authentication.
    GET /nowhere: 404 container.not-found Not Found
    GET /v1/nowhere: 404 container.not-found Not Found
    GET /v1/nowhere: 401 container.unauthorized The request you have made requires authentication.
    PATCH /v1/containers/00000000-0000-0000-0000-000000000000: 404 container.container-not-found Container 00000000-0000-0000-0000-000000000000 could not be found.
    PUT /v1/containers: 405 container.method-not-allowed The method PUT is not allowed here. Use POST, GET, HEAD, OPTIONS.
    PUT /v1/containers: 401 container.unauthorized The request you have made requires authentication.
    POST /: 405 container.method-not-allowed The method POST is not allowed here. Use GET, HEAD, OPTIONS.
    GET /v1/containers/00000000-0000-0000-0000-000000000000: 404 container.container-not-found Container 00000000-0000-0000-0000-000000000000 could not be found.
    GET /v1/containers/no-such-name: 404 container.container-not-found Container no-such-name could not be found.
    GET /v1/hosts: 403 container.policy-not-authorized Policy doesn't allow host:get_all to be performed.
    GET /v1/services: 403 container.policy-not-authorized Policy doesn't allow zun-service:get_all to be performed.
    ");
}

#[tokio::test]
async fn a_bearer_token_works_like_openstacks_header() {
    let api = Api::start().await;
    let request = api.request(Method::GET, "", "/v1/containers");
    let request = request.header("authorization", format!("Bearer {ANN}"));
    // zun-api uses `X-Auth-Token` first, and that is empty here.
    send(request).await.expect(401);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = api.request(Method::GET, ANN, "/v1/containers").build().unwrap().url().clone();
    send(client.get(url).bearer_auth(ANN)).await.expect(200);
}

#[tokio::test]
async fn unreadable_bodies_are_refused() {
    let api = Api::start().await;
    let post = || api.request(Method::POST, ANN, "/v1/containers");
    let mut table = Vec::new();
    for request in [
        post().header("content-type", "application/json").body("{"),
        post().header("content-type", "application/json").body("[]"),
        post().header("content-type", "text/plain").body("{}"),
        post().body("{}"),
        post().header("content-type", "application/json").body("x".repeat((1 << 20) + 1)),
        post().header("x-large", "x".repeat(20_000)).json(&json!({"image": "cirros"})),
    ] {
        table.push(send(request).await.refusal());
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    400 container.schema-validation-error The body must be a JSON object: EOF while parsing an object at line 1 column 1
    400 container.schema-validation-error The body must be a JSON object: invalid type: sequence, expected a map at line 1 column 0
    415 container.unsupported-media-type The content type must be application/json.
    415 container.unsupported-media-type The content type must be application/json.
    413 container.body-too-large The body is larger than 1048576 bytes.
    431 container.head-too-large The request line and headers are larger than 16384 bytes.
    ");
    let empty = post().header("content-type", "application/json").header("content-length", "0");
    assert!(send(empty).await.refusal().contains("'image' is a required property"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() {
    let api = Api::start_with(|settings| settings.http.client_timeout = 1).await;
    let address = api.request(Method::GET, ANN, "/").build().unwrap().url().clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut socket =
            TcpStream::connect((address.host_str().unwrap(), address.port().unwrap())).unwrap();
        let head = format!(
            "POST /v1/containers HTTP/1.1\r\nhost: x\r\nx-auth-token: {ANN}\r\n\
             content-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok();
        answer
    });
    let answer = reading.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("container.timeout"), "{answer}");
}

#[tokio::test]
async fn requests_are_limited_except_health_and_metrics() {
    let api = Api::start_with(|settings| settings.http.requests = 1).await;
    let address = api.request(Method::GET, ANN, "/").build().unwrap().url().clone();
    let mut slow =
        TcpStream::connect((address.host_str().unwrap(), address.port().unwrap())).unwrap();
    let head = format!(
        "POST /v1/containers HTTP/1.1\r\nhost: x\r\nx-auth-token: {ANN}\r\ncontent-length: 10\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).unwrap();
    // The slow request, and the one that reads the counter.
    api.until_metric("zun_api_requests_open", 2.0).await;
    let answer = api.get(ANN, "/v1/containers").await;
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        answer.refusal(),
        "503 container.busy Too many concurrent requests; try again in a second."
    );
    api.get(ANN, "/healthz").await.expect(200);
    // Only a request that waits for a container has another limit, however its parameter is spelled.
    for path in [
        "/v1/containers?name=wait_for=",
        "/v1/containers?wait_for=Running",
        "/v1/hosts?wait_for=Running",
        "/v1/containers/x/logs?wait_for=Running",
        "/v1/containers/x?name=wait_for=",
        "/v1/containers/x?xwait_for=Running",
    ] {
        assert!(api.get(ANN, path).await.refusal().starts_with("503 "), "{path}");
    }
    for path in [
        "/v1/containers/x?wait_for=Running",
        "/v1/containers/x?timeout=0&wait%5Ffor=Running",
        "/v1/containers/x/?wait_for=Running",
    ] {
        assert!(api.get(ANN, path).await.refusal().starts_with("404 "), "{path}");
    }
    let removal = api.request(Method::DELETE, ANN, "/v1/containers/x?wait_for=Running");
    assert!(send(removal).await.refusal().starts_with("503 "));
    drop(slow);
    crate::support::eventually_some("there is room again", || async {
        (api.get(ANN, "/v1/containers").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_version_is_negotiated_in_headers() {
    let api = Api::start().await;
    let asked = |version: &str| {
        api.request(Method::GET, ANN, "/v1/containers").header("openstack-api-version", version)
    };
    let answer = send(asked("container latest")).await.expect(200);
    assert_eq!(answer.header("openstack-api-version"), "container 1.40");
    assert_eq!(answer.header("openstack-api-minimum-version"), "container 1.1");
    assert_eq!(answer.header("openstack-api-maximum-version"), "container 1.40");
    assert_eq!(answer.header("vary"), "OpenStack-API-Version");
    assert_eq!(
        send(asked("container 1.36")).await.header("openstack-api-version"),
        "container 1.36"
    );
    for bad in ["container 1.99", "compute 1.1", "1.1", "container 1.latest"] {
        assert!(send(asked(bad)).await.refusal().starts_with("406 "), "{bad}");
    }
}

#[tokio::test]
async fn a_route_or_a_field_of_another_version_is_refused() {
    let api = Api::start().await;
    let at = |version: &str, request: reqwest::RequestBuilder| {
        send(request.header("openstack-api-version", format!("container {version}")))
    };
    let hosts = || api.request(Method::GET, ADMIN, "/v1/hosts");
    let answer = at("1.3", hosts()).await;
    assert_eq!(answer.header("openstack-api-minimum-version"), "container 1.1");
    assert_eq!(answer.header("openstack-api-maximum-version"), "container 1.40");
    assert_eq!(
        answer.refusal(),
        "406 zun.microversion-unsupported Version 1.3 was requested but the requested API is not \
         supported for this version."
    );
    at("1.4", hosts()).await.expect(200);
    let delete =
        |query: &str| api.request(Method::DELETE, ADMIN, &format!("/v1/containers/x?{query}"));
    assert_eq!(
        at("1.6", delete("force=True")).await.refusal(),
        "400 container.invalid-param-in-version Invalid param force because current request version \
         is 1.6. force is only supported from version 1.7"
    );
    // OpenStack's client sends the fields of newer versions if they have no effect.
    at("1.6", delete("force=False&stop=False")).await.expect(404);
    at("1.12", delete("stop=True")).await.expect(404);
    let unversioned = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/hosts", api.address());
    send(unversioned.get(url).header("x-auth-token", ADMIN)).await.expect(406);
}

#[tokio::test]
async fn a_path_says_which_methods_it_has() {
    let api = Api::start().await;
    let path = "/v1/containers";
    let answer = send(api.request(Method::PUT, ANN, path)).await.expect(405);
    assert_eq!(answer.header("allow"), "POST, GET, HEAD, OPTIONS");
    let answer = send(api.request(Method::OPTIONS, ANN, path)).await.expect(204);
    assert_eq!(answer.header("allow"), "POST, GET, HEAD, OPTIONS");
    send(api.request(Method::OPTIONS, "", path)).await.expect(401);
    let answer = send(api.request(Method::HEAD, ANN, path)).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text, "");
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let api = Api::start().await;
    for path in ["/", "/v1/containers", "/nowhere", "/healthz"] {
        let answer = api.get(ANN, path).await;
        assert!(answer.header("x-openstack-request-id").starts_with("req-"), "{path}");
    }
    let bad = api.request(Method::GET, ANN, "/").header("x-openstack-request-id", "no good!");
    assert!(send(bad).await.header("x-openstack-request-id").starts_with("req-"));
}

#[tokio::test]
async fn trailing_slashes_are_accepted_everywhere() {
    let api = Api::start().await;
    for path in ["/v1/containers/", "/v1/containers/?limit=1", "/healthz/"] {
        api.get(ANN, path).await.expect(200);
    }
    let answer = api.post(ANN, "/v1/containers/nothing/start/", Value::Null).await;
    assert!(answer.refusal().contains("Container nothing could not be found."));
}

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let api = Api::start().await;
    let health = api.get("", "/healthz").await.expect(200).json();
    assert_eq!(health, json!({"status": "ok", "database": "ok", "bus": "connected"}));
    api.get(ANN, "/v1/containers").await.expect(200);
    let text = api.get("", "/metrics").await.expect(200).text;
    assert!(text.contains("zun_api_http_request_duration_seconds_count{method=\"GET\""), "{text}");
}

#[tokio::test]
async fn the_dashboard_is_served_unless_it_is_switched_off() {
    let api = Api::start().await;
    let page = api.get("", "/ui").await;
    if page.status == 404 {
        assert!(page.text.contains("`make web`"), "{}", page.text);
    } else {
        assert_eq!(page.status, 200, "{}", page.text);
        assert_eq!(page.headers["cache-control"], "no-store");
        let policy = page.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        let (_, script) = page.text.split_once("src=\"").expect("a script");
        let (script, _) = script.split_once('"').expect("an end");
        let script = api.get("", script).await;
        assert_eq!(script.status, 200);
        assert_eq!(script.headers["cache-control"], "public, max-age=31536000, immutable");
        api.get("", "/ui/").await.expect(200);
        assert_eq!(send(api.request(Method::HEAD, "", "/ui")).await.expect(200).text, "");
    }
    assert_eq!(api.get("", "/ui/nothing").await.status, 404);
    assert_eq!(api.post("", "/ui", Value::Null).await.status, 405);
    let sign_in = json!({"user": "ann", "password": "secret", "project": "web"});
    api.post("", "/ui/sign_in", sign_in.clone()).await.expect(404);

    let password = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&password, "secret").expect("a password");
    let off = Api::start_with(|settings| {
        settings.http.ui = false;
        settings.auth.strategy = Strategy::Keystone;
        settings.auth.keystone.url = Some("http://127.0.0.1:9/v3".parse().expect("a URL"));
        settings.auth.keystone.password_file = Some(password.path().to_owned());
    })
    .await;
    let refusal = "404 container.not-found Not Found";
    assert_eq!(off.get("", "/ui").await.refusal(), refusal);
    assert_eq!(off.post("", "/ui/sign_in", sign_in).await.refusal(), refusal);
}
