//! Commands that users of Docker type by habit.

use serde_json::{Value, json};
use zun_common::api::v1::container::CreateContainer;

use crate::fake::service::{ID, Service, ServiceRequest};
use crate::lists::piped;
use crate::run::container;

/// A service with one container, `web`, in this status.
async fn service(status: &'static str) -> Service {
    Service::start(move |ask| match (ask.method.as_str(), ask.target.as_str()) {
        ("GET", target) if target.starts_with("/v1/containers/") && !target.contains("web") => {
            let title = "Container wbe could not be found.";
            (
                404,
                json!({ "errors": [{ "status": 404, "code": "", "title": title, "detail": title,
                "request_id": "req-fake", "links": [] }] }),
            )
        }
        ("GET", "/v1/containers") => {
            let web = container(status, &json!({ "name": "web" }));
            (200, json!({ "containers": [web], "next": null }))
        }
        ("DELETE", _) => {
            let title = "Cannot delete container web in Running state";
            (
                409,
                json!({ "errors": [{ "status": 409, "code": "", "title": title, "detail": title,
                "request_id": "req-fake", "links": [] }] }),
            )
        }
        (_, _) => (200, container(status, &json!({ "name": "web" }))),
    })
    .await
}

fn lines(service: &Service) -> Vec<String> {
    service.requests().iter().map(ServiceRequest::line).collect()
}

#[tokio::test]
async fn a_stop_of_a_stopped_container_and_a_start_of_a_running_one_do_nothing() {
    for (verb, status) in [("stop", "Stopped"), ("stop", "Created"), ("start", "Running")] {
        let service = service(status).await;
        let (code, text, _) = piped(&service, &[verb, "web"]).await;
        assert_eq!((code, text.as_str()), (Some(0), "web\n"), "{verb}");
        assert_eq!(lines(&service), ["GET /v1/containers/web"], "{verb}");
    }
}

#[tokio::test]
async fn a_forced_removal_of_a_missing_container_succeeds() {
    let service = service("Running").await;
    let (code, text, message) = piped(&service, &["rm", "-f", "-v", "wbe"]).await;
    assert_eq!((code, text.as_str()), (Some(0), ""));
    assert!(message.starts_with("zun: wbe: Container wbe could not be found."), "{message}");
    let (code, text, _) = piped(&service, &["rm", "-f", "wbe", "-o", "json"]).await;
    assert_eq!((code, text.as_str()), (Some(0), "[]\n"));
    let (code, _, _) = piped(&service, &["rm", "wbe"]).await;
    assert_eq!(code, Some(1));
    for kind in ["volume", "network"] {
        let missing = Service::start(|_ask| (404, Value::Null)).await;
        for (force, wanted) in [(&["-f"][..], 0), (&["--force"], 0), (&[], 1)] {
            let words = [&[kind, "rm", "wbe"], force].concat();
            let (code, text, _) = piped(&missing, &words).await;
            assert_eq!((code, text.as_str()), (Some(wanted), ""), "{words:?}");
        }
    }
}

#[tokio::test]
async fn a_misspelt_container_is_answered_with_the_nearest_name() {
    let service = service("Running").await;
    for words in [&["show", "wbe"][..], &["stop", "wbe"]] {
        let (code, _, message) = piped(&service, words).await;
        assert_eq!(code, Some(1));
        assert!(message.contains("could not be found. Did you mean `web`?"), "{message}");
    }
}

#[tokio::test]
async fn a_removal_of_a_running_container_says_how_to_remove_it() {
    let service = service("Running").await;
    let (code, _, message) = piped(&service, &["rm", "web"]).await;
    assert_eq!(code, Some(1));
    assert!(message.contains("zun delete --stop web, or --force"), "{message}");
}

/// Returns the request that `zun create` sends with these flags.
async fn request(flags: &[&str]) -> CreateContainer {
    let service = service("Created").await;
    let words = [&["create", "-q"], flags, &["cirros"]].concat();
    let (code, _, message) = piped(&service, &words).await;
    assert_eq!(code, Some(0), "{flags:?}: {message}");
    let asked = service.requests().into_iter().find(|request| request.method == "POST");
    serde_json::from_value(asked.expect("a request").body).expect("a container")
}

#[tokio::test]
async fn flags_have_dockers_forms() {
    let ask = request(&["-h", "box", "--cpus", "0.5", "-m", "4.5g"]).await;
    assert_eq!(
        (ask.hostname.as_deref(), ask.cpu, ask.memory),
        (Some("box"), Some(0.5), Some(4608))
    );
    let ask = request(&["--interactive=true", "--read-only=1", "--tty=false", "--rm=false"]).await;
    assert!(ask.interactive && ask.read_only && !ask.tty && !ask.auto_remove);
    let ask = request(&["-it=false", "--read-only"]).await;
    assert!(ask.interactive && ask.read_only && !ask.tty);
    let ask = request(&["-i=false", "-t=true", "--net=back", "-c", "512"]).await;
    assert!(!ask.interactive && ask.tty);
    assert_eq!((ask.nets[0].network.as_str(), ask.engine_options.cpu_shares), ("back", Some(512)));
    let words = ["create", "--rm", "--restart", "always", "cirros"];
    let (code, _, message) = piped(&service("Created").await, &words).await;
    assert_eq!(code, Some(125), "{message}");
    assert!(message.starts_with("zun: cannot use --rm with --restart:"), "{message}");
    for wrong in ["--tty=maybe", "-it=maybe"] {
        let (code, _, message) = piped(&service("Created").await, &["create", wrong, "x"]).await;
        assert_eq!(code, Some(125), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[tokio::test]
async fn options_after_the_image_are_explained_and_nothing_is_left() {
    let failed = |ask: ServiceRequest| match ask.method.as_str() {
        "POST" if ask.target.ends_with("/start") => {
            let title = "exec: \"--name\": executable file not found in $PATH";
            (
                500,
                json!({ "errors": [{ "status": 500, "code": "", "title": title, "detail": title,
                "request_id": "req-fake", "links": [] }] }),
            )
        }
        "DELETE" => (204, Value::Null),
        _ => (200, container("Created", &json!({ "name": "web" }))),
    };
    let service = Service::start(failed).await;
    let (code, _, message) = piped(&service, &["run", "-d", "cirros", "--name", "x"]).await;
    assert_eq!(code, Some(127), "{message}");
    let advice = "zun's options go before the image: zun run --name … cirros";
    assert!(message.contains(advice), "{message}");
    assert!(lines(&service).iter().any(|line| line.starts_with("DELETE ")), "it is removed");
    let service = Service::start(failed).await;
    let (_, _, message) = piped(&service, &["run", "-d", "cirros", "--no-such-option"]).await;
    assert!(!message.contains("before the image"), "{message}");
    assert!(!lines(&service).iter().any(|line| line.starts_with("DELETE ")), "it is kept");
}

#[tokio::test]
async fn a_command_on_a_stopped_container_says_to_start_it_first() {
    let service = Service::start(|ask| match ask.method.as_str() {
        "POST" => {
            let title = "Cannot execute container web in Stopped state";
            let error = json!({ "status": 409, "code": "", "title": title, "detail": title,
                "request_id": "req-fake", "links": [] });
            (409, json!({ "errors": [error] }))
        }
        _ => (200, container("Stopped", &json!({ "name": "web" }))),
    })
    .await;
    let (code, _, message) = piped(&service, &["exec", "web", "true"]).await;
    assert_eq!(code, Some(1));
    let expected = "zun: Cannot execute container web in Stopped state; \
                    start it first: zun start web (request req-fake)\n";
    assert_eq!(message, expected);
}

/// A service that refuses every change of its container, whose UUID it names.
async fn refusing() -> Service {
    Service::start(|ask| match ask.method.as_str() {
        "POST" => {
            let title = format!("Cannot execute container {ID} in Paused state");
            let error = json!({ "status": 409, "code": "", "title": title, "detail": title,
                "request_id": "req-fake", "links": [] });
            (409, json!({ "errors": [error] }))
        }
        _ => (200, container("Running", &json!({ "name": "web" }))),
    })
    .await
}

#[tokio::test]
async fn an_error_has_the_name_that_the_user_gave_and_not_the_uuid() {
    // `exec` sends the name; `kill` and `attach` first ask for the container, and then send its UUID.
    for (words, typed) in [
        (&["exec", "web", "true"][..], "web"),
        (&["kill", "web"], "web"),
        (&["attach", "web"], "web"),
        (&["attach", "5bb9"], "5bb9"),
        (&["attach", ID], ID),
    ] {
        let (code, _, message) = piped(&refusing().await, words).await;
        assert_eq!(code, Some(1), "{words:?}: {message}");
        let next =
            format!("container {typed} in Paused state; unpause it first: zun unpause {typed}");
        assert!(message.contains(&next), "{words:?}: {message}");
    }
}

#[tokio::test]
async fn an_address_without_a_version_means_the_only_one() {
    let service = service("Running").await;
    let ended = tokio::process::Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(["show", "web"])
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}", service.port))
        .output()
        .await
        .expect("the binary runs");
    assert_eq!(ended.status.code(), Some(0));
    assert!(lines(&service).iter().all(|line| line.starts_with("GET /v1/containers/web")));
}
