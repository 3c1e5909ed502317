//! Tenants do not see each other, on any route: the routes are those of the OpenAPI document.

use reqwest::Method;
use serde_json::{Map, Value, json};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Answer, Api, BOB, REA, send};

/// A route of the document.
struct Route {
    method: Method,
    path: String,
    operation: Value,
}

async fn routes(api: &Api) -> Vec<Route> {
    let document = api.get("", "/openapi.json").await.expect(200).json();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            routes.push(Route { method, path: path.clone(), operation: operation.clone() });
        }
    }
    routes
}

impl Route {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn needs_token(&self) -> bool {
        self.operation["security"].is_array()
    }

    /// Sends a valid request about an object, of the newest version that has the route.
    async fn about(&self, api: &Api, token: &str, ident: &str) -> Answer {
        let path = self.path.replace("{ident}", ident).replace("{request}", "req-1");
        let parameters = self.operation["parameters"].as_array().unwrap().iter();
        let query = parameters
            .filter(|it| it["in"] == "query" && it["required"] == true)
            .map(|it| (it["name"].as_str().unwrap().to_owned(), example(&it["name"])));
        let query = query.map(|(name, value)| {
            (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
        let query = query.collect::<Vec<_>>();
        let version = self.operation["x-until"].as_str().unwrap_or("latest");
        let mut request = api
            .request(self.method.clone(), token, &path)
            .header("openstack-api-version", format!("container {version}"))
            .query(&query);
        let body = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        if let Some(required) = body["required"].as_array() {
            let field = |name: &Value| (name.as_str().unwrap().to_owned(), example(name));
            request = request.json(&required.iter().map(field).collect::<Map<_, _>>());
        }
        send(request).await
    }
}

/// A valid value of a required field.
fn example(name: &Value) -> Value {
    match name.as_str().unwrap() {
        "csr" => {
            let key = rcgen::KeyPair::generate().unwrap();
            json!(
                rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
            )
        }
        "protocols" => json!(["docker.attach"]),
        "mode" => json!("ro"),
        "h" | "w" => json!(24),
        "host" => json!("h1"),
        "binary" => json!("zun-compute"),
        "forced_down" => json!(true),
        "exec_id" => json!("a".repeat(64)),
        "command" => json!("ls"),
        "image" | "repo" => json!("cirros"),
        "registry" => json!({"username": "ann"}),
        "name" | "repository" => json!("example"),
        "path" => json!("/etc"),
        "data" => json!("AAAA"),
        other => panic!("add an example of the field {other}"),
    }
}

#[tokio::test]
async fn every_route_needs_a_token_except_the_version_documents_and_monitoring() {
    let api = Api::start().await;
    let routes = routes(&api).await;
    let public = routes.iter().filter(|route| !route.needs_token()).map(Route::name);
    assert_eq!(
        public.collect::<Vec<_>>(),
        ["GET /", "GET /healthz", "GET /metrics", "GET /openapi.json", "GET /v1"]
    );
    for route in routes.iter().filter(|route| route.needs_token()) {
        for token in ["", "wrong"] {
            assert_eq!(route.about(&api, token, "x").await.status, 401, "{}", route.name());
        }
    }
}

#[tokio::test]
async fn an_object_of_another_project_is_like_one_that_does_not_exist() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await.to_string();
    let shown = api.get(ANN, &format!("/v1/containers/{id}")).await.expect(200).text;
    let received = agent.received().len();
    let login = json!({"registry": {"domain": "quay.io", "name": "test"}});
    let login = api.post(ANN, "/v1/registries", login).await.expect(201).json();
    let named = json!({"name": "test"});
    let volume = api.post(ANN, "/v1/volumes", named.clone()).await.expect(201).json();
    let network = api.post(ANN, "/v1/networks", named).await.expect(201).json();
    let objects = [
        ("containers", id.clone()),
        ("registries", login["registry"]["uuid"].as_str().unwrap().to_owned()),
        ("volumes", volume["uuid"].as_str().unwrap().to_owned()),
        ("networks", network["uuid"].as_str().unwrap().to_owned()),
    ];
    let nobody = uuid::Uuid::nil().to_string();
    let mut checked = 0;
    for route in routes(&api).await {
        // Hosts are no tenant's: only administrators address them.
        let is_of_host = route.path.starts_with("/v1/hosts/");
        if !route.path.contains("{ident}") || is_of_host {
            continue;
        }
        let collection = route.path.split('/').nth(2).unwrap_or_default();
        let known = objects.iter().find(|(of, _)| *of == collection);
        let (_, id) = known.unwrap_or_else(|| panic!("add an object of {}", route.path));
        for ident in [id.as_str(), "test"] {
            let member = route.about(&api, BOB, ident).await;
            assert_eq!(member.status, 404, "{}: {}", route.name(), member.text);
            let missing = route.about(&api, BOB, &nobody).await;
            assert_eq!(member.refusal().replace(ident, &nobody), missing.refusal());
            // A reader learns nothing either: 404 where readers may ask, and otherwise the rule that every reader gets.
            let reader = route.about(&api, REA, ident).await.refusal().replace(ident, &nobody);
            assert_eq!(reader, route.about(&api, REA, &nobody).await.refusal());
            let needs_more = !route.operation["x-permission"].is_null();
            let expected = if needs_more { "403 container.policy-not-authorized" } else { "404 " };
            assert!(reader.starts_with(expected), "{}: {reader}", route.name());
        }
        checked += 1;
    }
    assert!(checked >= 34, "only {checked} routes");
    let listed = api.get(BOB, "/v1/containers").await.expect(200).json();
    assert_eq!(listed["containers"], json!([]));
    let now = api.get(ANN, &format!("/v1/containers/{id}")).await.expect(200).text;
    let steady = |text: &str| {
        let mut shown: Value = serde_json::from_str(text).unwrap();
        shown["status_detail"].take();
        shown
    };
    assert_eq!(steady(&now), steady(&shown));
    let about = agent.received().into_iter().skip(received);
    assert_eq!(about.map(|call| call.method).collect::<Vec<_>>(), Vec::<String>::new());
    let actions = api.get(ADMIN, &format!("/v1/containers/{id}/container_actions")).await.json();
    assert_eq!(actions["containerActions"].as_array().unwrap().len(), 1);
}
