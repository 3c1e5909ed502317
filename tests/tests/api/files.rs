//! Small archives, changed files, and images of containers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Api, BOB, send};

#[tokio::test]
async fn archives_are_base64_since_1_25_and_characters_before() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    let get = |version: &str| {
        let path = "/v1/containers/test/get_archive?path=/etc";
        let request = api.request(Method::GET, ANN, path);
        send(request.header("openstack-api-version", format!("container {version}")))
    };
    let archive = get("1.25").await.expect(200).json();
    let stat = json!({"name": "etc", "size": 4096, "mode": (1_u32 << 31) | 0o755, "mtime": null, "linkTarget": ""});
    assert_eq!(archive, json!({"data": STANDARD.encode([0, 200, b'a']), "stat": stat}));
    assert_eq!(get("1.24").await.expect(200).json()["data"], json!("\u{0}\u{c8}a"));
    assert_eq!(agent.receives("container.get_archive").await.body["path"], json!("/etc"));
    let put = |version: &str, data: &str| {
        let request = api
            .request(Method::POST, ANN, "/v1/containers/test/put_archive?path=/tmp")
            .header("openstack-api-version", format!("container {version}"));
        send(request.json(&json!({"data": data})))
    };
    for (version, data) in [("1.25", STANDARD.encode([1, 255])), ("1.24", "\u{1}\u{ff}".to_owned())]
    {
        assert_eq!(put(version, &data).await.expect(200).text, "null");
        let received = agent.receives("container.put_archive").await.body;
        assert_eq!(received["data"], json!(STANDARD.encode([1, 255])));
    }
    assert!(put("1.25", "%").await.refusal().contains("'data'. Value: '%'. It must be base64."));
    assert!(put("1.24", "\u{100}").await.refusal().contains("characters up to U+00FF"));
}

#[tokio::test]
async fn a_large_archive_is_refused_with_the_way_to_copy_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    let path = "/v1/containers/test/put_archive?path=/tmp";
    let put = |size: usize| api.post(ANN, path, json!({"data": STANDARD.encode(vec![0; size])}));
    put(4 << 20).await.expect(200);
    let words =
        "The archive is larger than 4 MiB. Use `zun cp`, which connects to the host directly.";
    let refused = put((4 << 20) + 1).await.refusal();
    assert_eq!(refused, format!("413 container.body-too-large {words}"));
    agent.refuse("container.get_archive", Problem::new(Code::TooLarge, words));
    let refused = api.get(ANN, "/v1/containers/test/get_archive?path=/").await.refusal();
    assert_eq!(refused, format!("413 container.body-too-large {words}"));
}

#[tokio::test]
async fn changed_files_are_listed() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    let changes = api.get(ANN, "/v1/containers/test/changes").await.expect(200).json();
    assert_eq!(
        changes,
        json!({"changes": [{"path": "/tmp/x", "kind": "added"}], "truncated": false})
    );
}

#[tokio::test]
async fn an_image_of_a_container_is_only_for_its_project() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    let commit = "/v1/containers/test/commit?repository=web/site&tag=v1";
    let made = api.post(ANN, commit, Value::Null).await.expect(202).json();
    assert_eq!(made["uuid"], json!(format!("sha256:{}", "ab".repeat(32))));
    let image = made["image"].as_str().unwrap();
    assert_eq!(image, "zun.local/16477688c0e00699/web/site:v1");
    let received = agent.receives("container.commit").await.body;
    assert_eq!(received["repository"], json!("zun.local/16477688c0e00699/web/site"));
    assert_eq!(received["tag"], json!("v1"));
    // It is listed, and can be removed.
    let list =
        async |token| api.get(token, "/v1/images").await.expect(200).json()["images"].clone();
    let listed = list(ANN).await[0].clone();
    assert_eq!(
        (&listed["repo"], &listed["tag"], &listed["status"], &listed["size"]),
        (
            &json!("zun.local/16477688c0e00699/web/site"),
            &json!("v1"),
            &json!("Available"),
            &json!(7)
        )
    );
    assert_eq!((list(BOB).await, list(ADMIN).await), (json!([]), json!([])));
    // The project may leave the prefix out.
    let run = async |token, image: &str| {
        let asked = json!({"image": image, "memory": 6});
        api.post(token, "/v1/containers", asked).await.expect(202).json()
    };
    assert_eq!(run(ANN, "web/site:v1").await["image"], image);
    assert_eq!(run(ANN, "web/site:v2").await["image"], json!("web/site:v2"));
    assert_eq!(run(BOB, "web/site:v1").await["image"], json!("web/site:v1"));
    let of_image = format!("/v1/images/{}", listed["uuid"].as_str().unwrap());
    api.delete(BOB, &of_image).await.expect(404);
    api.delete(ANN, &of_image).await.expect(200);
    assert_eq!(agent.receives("image.remove").await.body["image"], image);
    let create = |token| api.post(token, "/v1/containers", json!({"image": image, "memory": 6}));
    create(ANN).await.expect(202);
    assert!(create(ADMIN).await.refusal().starts_with("400 "), "nor for administrators");
    let refused = create(BOB).await.refusal();
    assert!(
        refused.starts_with("400 ") && refused.contains("your project has committed"),
        "{refused}"
    );
    for bad in ["repository=Web", "repository=a//b", "repository=a&tag=-x", "tag=x"] {
        let path = format!("/v1/containers/test/commit?{bad}");
        assert!(api.post(ANN, &path, Value::Null).await.refusal().starts_with("400 "), "{bad}");
    }
}

/// Forms in which another project could name an image that a project has committed. Docker drops its own domains, and
/// finds images by the first digits of their IDs.
const FORMS: [&str; 12] = [
    "zun.local/16477688c0e00699/web:v1",
    "docker.io/zun.local/16477688c0e00699/web:v1",
    "index.docker.io/zun.local/16477688c0e00699/web:v1",
    "docker.io/docker.io/zun.local/16477688c0e00699/web:v1",
    "docker.io/index.docker.io/zun.local/16477688c0e00699/web:v1",
    "ZUN.LOCAL/16477688c0e00699/web:v1",
    "zun.local:443/16477688c0e00699/web:v1",
    "zun.local/16477688c0e00699/web@sha256:abababababababababababababababababababababababababababababababab",
    "sha256:ab",
    "docker.io/sha256:ab",
    "docker.io/library/sha256:ab",
    "library/sha256:abababababababababababababababababababababababababababababababab",
];

#[tokio::test]
async fn an_image_of_another_project_is_refused_in_each_form_of_its_name() {
    let api = Api::start_with(|settings| {
        settings.policy = toml::from_str(
            "\"image:pull\" = \"member\"\n\"image:search\" = \"member\"\n\"image:get_all\" = \"member\"",
        )
        .unwrap();
    })
    .await;
    let agent = api.agent("h1").await;
    let id = api.create(BOB, json!({"image": "cirros", "name": "bobs"})).await;
    agent.receives_about("container.create", id).await;
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    for form in FORMS {
        let body = json!({"image": form, "memory": 6});
        for (path, body) in [
            ("/v1/containers".to_owned(), body.clone()),
            ("/v1/placement".to_owned(), body),
            (format!("/v1/containers/bobs/rebuild?image={form}"), Value::Null),
            ("/v1/images".to_owned(), json!({"repo": form})),
        ] {
            let refused = api.post(BOB, &path, body).await.refusal();
            assert!(refused.starts_with("400 "), "{path} {form}: {refused}");
        }
    }
    let domain = |domain: &str| json!({"registry": {"domain": domain, "name": "zl"}});
    for bad in ["zun.local", "ZUN.LOCAL", "zun.local:443"] {
        let refused = api.post(BOB, "/v1/registries", domain(bad)).await.refusal();
        assert!(refused.contains("reserved for images of `zun commit`"), "{refused}");
    }
    api.post(BOB, "/v1/registries", domain("quay.io")).await.expect(201);
    let moved = api.request(Method::PATCH, BOB, "/v1/registries/zl").json(&domain("zun.local"));
    assert!(send(moved).await.refusal().starts_with("400 "));
    let search = api.get(BOB, "/v1/images/zun.local%2F16477688c0e00699/search").await.refusal();
    assert!(search.starts_with("400 "), "{search}");
    let glance = api.get(BOB, "/v1/images/cirros/search?image_driver=glance").await.refusal();
    assert!(
        glance.starts_with("501 container.not-offered ") && glance.contains("Glance"),
        "{glance}"
    );
    // The login's domain goes before a name without one, and before no other.
    let with_login = |image: &str| json!({"image": image, "registry": "zl", "memory": 6});
    let placed = api.post(BOB, "/v1/containers", with_login("a/b")).await.expect(202).json();
    assert_eq!(placed["image"], "quay.io/a/b");
    let refused = api.post(BOB, "/v1/containers", with_login("docker.io/a/b")).await.refusal();
    assert!(refused.contains("this one is for quay.io"), "{refused}");
    let received = agent.received();
    let images = received.iter().filter(|call| call.method != "container.create");
    assert!(images.clone().all(|call| !call.method.starts_with("image.")), "{images:?}");
}

#[tokio::test]
async fn a_name_that_no_image_has_is_refused_at_once() {
    let api = Api::start().await;
    api.agent("h1").await;
    for image in ["None", "docker.io//x", "a/../b", "a/B"] {
        let refused = api.post(ANN, "/v1/containers", json!({"image": image})).await.refusal();
        assert!(refused.starts_with("400 ") && refused.contains("'image'"), "{image}: {refused}");
    }
}

#[tokio::test]
async fn the_older_forms_of_patch_work_in_their_versions() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    let rename = |version: &str| {
        let request = api.request(Method::POST, ANN, "/v1/containers/test/rename?name=web");
        send(request.header("openstack-api-version", format!("container {version}")))
    };
    assert!(rename("1.14").await.refusal().starts_with("406 "));
    assert_eq!(rename("1.13").await.expect(200).json()["name"], json!("web"));
    let resized = api.post(ANN, "/v1/containers/web/resize_container", json!({"memory": 64})).await;
    assert_eq!(resized.expect(202).json()["memory"], json!("64"));
}

#[tokio::test]
async fn what_needs_other_services_is_refused_with_their_names() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    let mut table = Vec::new();
    for (method, version, path) in [
        (Method::POST, "1.14", "containers/test/add_security_group?name=x"),
        (Method::POST, "1.14", "containers/test/remove_security_group?name=x"),
        (Method::POST, "latest", "containers/test/network_attach?network=x"),
        (Method::POST, "latest", "containers/test/network_detach?network=x"),
        (Method::GET, "latest", "containers/test/network_list"),
        (Method::POST, "latest", "capsules"),
        (Method::GET, "latest", "capsules"),
        (Method::GET, "latest", "capsules/x"),
        (Method::DELETE, "latest", "capsules/x?all_projects=True"),
    ] {
        let request = api
            .request(method.clone(), ANN, &format!("/v1/{path}"))
            .header("openstack-api-version", format!("container {version}"));
        table.push(format!("{method} {path}: {}", send(request).await.refusal()));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    POST containers/test/add_security_group?name=x: 501 container.not-offered Security groups are not supported, because they need Neutron. Publish only the ports that others may reach.
    POST containers/test/remove_security_group?name=x: 501 container.not-offered Security groups are not supported, because they need Neutron. Publish only the ports that others may reach.
    POST containers/test/network_attach?network=x: 501 container.not-offered Attaching and detaching networks is not supported, because it needs Neutron.
    POST containers/test/network_detach?network=x: 501 container.not-offered Attaching and detaching networks is not supported, because it needs Neutron.
    GET containers/test/network_list: 501 container.not-offered Listing a container's networks is not supported, because it needs Neutron. Its field `addresses` has its addresses.
    POST capsules: 501 container.not-offered Capsules are not supported: containers cannot share a network namespace or volumes of Cinder.
    GET capsules: 501 container.not-offered Capsules are not supported: containers cannot share a network namespace or volumes of Cinder.
    GET capsules/x: 501 container.not-offered Capsules are not supported: containers cannot share a network namespace or volumes of Cinder.
    DELETE capsules/x?all_projects=True: 501 container.not-offered Capsules are not supported: containers cannot share a network namespace or volumes of Cinder.
    ");
}
