//! The JSON formats that existing clients read.

use reqwest::Method;
use serde_json::json;
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Api, plain_address, send, steady};

#[tokio::test]
async fn the_root_names_the_versions_and_needs_no_token() {
    let api = Api::start().await;
    let answer = api.get("", "/").await.expect(200);
    insta::assert_json_snapshot!(steady(answer.json()), @r#"
    {
      "default_version": {
        "id": "v1",
        "links": [
          {
            "href": "http://HOST/v1/",
            "rel": "self"
          }
        ],
        "max_version": "1.40",
        "min_version": "1.1",
        "status": "CURRENT"
      },
      "description": "Zun runs containers on many hosts.",
      "name": "OpenStack Zun API",
      "versions": [
        {
          "id": "v1",
          "links": [
            {
              "href": "http://HOST/v1/",
              "rel": "self"
            }
          ],
          "max_version": "1.40",
          "min_version": "1.1",
          "status": "CURRENT"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn the_document_of_v1_lists_the_resources() {
    let api = Api::start().await;
    for path in ["/v1", "/v1/"] {
        let answer = api.get("", path).await.expect(200);
        assert_eq!(answer.header("openstack-api-version"), "container 1.40");
    }
    insta::assert_json_snapshot!(steady(api.get("", "/v1").await.json()), @r#"
    {
      "availability_zones": [
        {
          "href": "http://HOST/v1/availability_zones/",
          "rel": "self"
        },
        {
          "href": "http://HOST/availability_zones/",
          "rel": "bookmark"
        }
      ],
      "capsules": [
        {
          "href": "http://HOST/v1/capsules/",
          "rel": "self"
        },
        {
          "href": "http://HOST/capsules/",
          "rel": "bookmark"
        }
      ],
      "containers": [
        {
          "href": "http://HOST/v1/containers/",
          "rel": "self"
        },
        {
          "href": "http://HOST/containers/",
          "rel": "bookmark"
        }
      ],
      "events": [
        {
          "href": "http://HOST/v1/events/",
          "rel": "self"
        },
        {
          "href": "http://HOST/events/",
          "rel": "bookmark"
        }
      ],
      "grants": [
        {
          "href": "http://HOST/v1/grants/",
          "rel": "self"
        },
        {
          "href": "http://HOST/grants/",
          "rel": "bookmark"
        }
      ],
      "hosts": [
        {
          "href": "http://HOST/v1/hosts/",
          "rel": "self"
        },
        {
          "href": "http://HOST/hosts/",
          "rel": "bookmark"
        }
      ],
      "id": "v1",
      "images": [
        {
          "href": "http://HOST/v1/images/",
          "rel": "self"
        },
        {
          "href": "http://HOST/images/",
          "rel": "bookmark"
        }
      ],
      "links": [
        {
          "href": "http://HOST/v1/",
          "rel": "self"
        },
        {
          "href": "http://HOST/",
          "rel": "describedby",
          "type": "text/html"
        }
      ],
      "media_types": [
        {
          "base": "application/json",
          "type": "application/vnd.openstack.zun.v1+json"
        }
      ],
      "networks": [
        {
          "href": "http://HOST/v1/networks/",
          "rel": "self"
        },
        {
          "href": "http://HOST/networks/",
          "rel": "bookmark"
        }
      ],
      "quota_classes": [
        {
          "href": "http://HOST/v1/quota_classes/",
          "rel": "self"
        },
        {
          "href": "http://HOST/quota_classes/",
          "rel": "bookmark"
        }
      ],
      "quotas": [
        {
          "href": "http://HOST/v1/quotas/",
          "rel": "self"
        },
        {
          "href": "http://HOST/quotas/",
          "rel": "bookmark"
        }
      ],
      "recordings": [
        {
          "href": "http://HOST/v1/recordings/",
          "rel": "self"
        },
        {
          "href": "http://HOST/recordings/",
          "rel": "bookmark"
        }
      ],
      "registries": [
        {
          "href": "http://HOST/v1/registries/",
          "rel": "self"
        },
        {
          "href": "http://HOST/registries/",
          "rel": "bookmark"
        }
      ],
      "services": [
        {
          "href": "http://HOST/v1/services/",
          "rel": "self"
        },
        {
          "href": "http://HOST/services/",
          "rel": "bookmark"
        }
      ],
      "sessions": [
        {
          "href": "http://HOST/v1/sessions/",
          "rel": "self"
        },
        {
          "href": "http://HOST/sessions/",
          "rel": "bookmark"
        }
      ],
      "volumes": [
        {
          "href": "http://HOST/v1/volumes/",
          "rel": "self"
        },
        {
          "href": "http://HOST/volumes/",
          "rel": "bookmark"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_container_has_zuns_json_format() {
    let api = Api::start().await;
    let _agent = api.agent("h1").await;
    let wanted = json!({
        "image": "cirros", "name": "test", "command": ["/bin/sh"], "interactive": true, "tty": true,
        "cpu": "0.5", "memory": "128", "environment": {"A": "1"}, "labels": {"role": "demo"},
        "workdir": "/srv", "hostname": "box",
    });
    let answer = api.post(ANN, "/v1/containers", wanted).await.expect(202);
    let location = plain_address(answer.header("location"));
    assert_eq!(location, "http://HOST/v1/containers/UUID");
    insta::assert_json_snapshot!(steady(answer.json()), @r#"
    {
      "addresses": {},
      "attached": 0,
      "auto_heal": false,
      "auto_remove": false,
      "command": [
        "/bin/sh"
      ],
      "cpu": 0.5,
      "cpu_policy": "shared",
      "created_at": "TIME",
      "disk": 0,
      "engine_options": {},
      "entrypoint": null,
      "environment": {
        "A": "1"
      },
      "exit_code": null,
      "finished_at": null,
      "health": null,
      "healthcheck": null,
      "hostname": "box",
      "image": "cirros",
      "image_driver": "docker",
      "interactive": true,
      "labels": {
        "role": "demo"
      },
      "links": [
        {
          "href": "http://HOST/v1/containers/UUID",
          "rel": "self"
        },
        {
          "href": "http://HOST/containers/UUID",
          "rel": "bookmark"
        }
      ],
      "memory": "128",
      "name": "test",
      "ports": [],
      "project_id": "blue",
      "published_ports": [],
      "read_only": false,
      "registry_id": null,
      "restart_policy": null,
      "security_groups": null,
      "started_at": null,
      "status": "Creating",
      "status_detail": null,
      "status_reason": null,
      "stop_signal": null,
      "task_state": null,
      "tty": true,
      "updated_at": "TIME",
      "user": null,
      "user_id": "ann",
      "uuid": "UUID",
      "workdir": "/srv"
    }
    "#);
}

#[tokio::test]
async fn only_administrators_see_the_host() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}");
    assert_eq!(api.get(ADMIN, &path).await.json()["host"], json!("h1"));
    assert!(api.get(ANN, &path).await.json().get("host").is_none());
}

#[tokio::test]
async fn a_response_has_no_fields_that_are_newer_than_its_version() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let started = Some(chrono::Utc::now() - chrono::TimeDelta::hours(3));
    agent.report(id, Status::Running, |report| report.started_at = started).await;
    let at = async |token: &'static str, minor: u16, path: &str| {
        let request = api.request(Method::GET, token, path);
        let version = format!("container 1.{minor}");
        send(request.header("openstack-api-version", version)).await.expect(200).json()
    };
    let one = format!("/v1/containers/{id}");
    let names = ["cpu_policy", "entrypoint", "hostname", "registry_id", "tty", "uuid"];
    for (minor, newer) in [(35, vec!["entrypoint", "tty"]), (40, vec![])] {
        let list = at(ANN, minor, "/v1/containers").await;
        for shown in [&list["containers"][0], &at(ADMIN, minor, &one).await] {
            let missing = names.into_iter().filter(|name| shown.get(name).is_none());
            assert_eq!(missing.collect::<Vec<_>>(), newer, "{minor}: {shown}");
            let detail = shown["status_detail"].as_str();
            assert!(detail.is_some_and(|detail| detail.starts_with("Up ")), "{shown}");
        }
    }
    let hosts = at(ADMIN, 28, "/v1/hosts").await;
    assert_eq!(hosts["hosts"][0].get("enable_cpu_pinning"), None);
    assert_eq!(at(ADMIN, 29, "/v1/hosts/h1").await["enable_cpu_pinning"], json!(false));
    let actions = format!("{one}/container_actions");
    let first = |list: &serde_json::Value| list["containerActions"][0].clone();
    assert_eq!(first(&at(ANN, 32, &actions).await).get("finish_time"), None);
    assert!(first(&at(ANN, 33, &actions).await).get("finish_time").is_some());
}

#[tokio::test]
async fn a_list_has_no_links_except_to_the_next_page() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "first", Status::Running).await;
    let listed = api.get(ANN, "/v1/containers/?limit=1&status=Running").await.expect(200).json();
    assert!(listed["containers"][0].get("links").is_none());
    let next = plain_address(listed["next"].as_str().unwrap());
    assert_eq!(next, "http://HOST/v1/containers?status=Running&limit=1&marker=UUID");
}

#[tokio::test]
async fn hosts_and_services_are_shown_as_zun_shows_them() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "test", Status::Running).await;
    insta::assert_json_snapshot!(steady(api.get(ADMIN, "/v1/hosts/").await.expect(200).json()), @r#"
    {
      "hosts": [
        {
          "architecture": "x86_64",
          "console": "192.0.2.7:2376",
          "cpu_used": 1.0,
          "cpus": 4.0,
          "disabled": false,
          "disk_quota_supported": false,
          "disk_total": 20,
          "disk_used": 0,
          "enable_cpu_pinning": false,
          "engine": "scripted 1.0",
          "hostname": "h1",
          "kernel_version": "6.1.0",
          "labels": {},
          "links": [
            {
              "href": "http://HOST/v1/hosts/UUID",
              "rel": "self"
            },
            {
              "href": "http://HOST/hosts/UUID",
              "rel": "bookmark"
            }
          ],
          "mem_total": 4096,
          "mem_used": 512,
          "os": "Debian GNU/Linux 12 (bookworm)",
          "os_type": "linux",
          "runtimes": [
            "runc"
          ],
          "state": "up",
          "state_reason": null,
          "strays": [],
          "total_containers": 1,
          "uuid": "UUID"
        }
      ],
      "next": null
    }
    "#);
    insta::assert_json_snapshot!(steady(api.get(ADMIN, "/v1/services").await.expect(200).json()), @r#"
    {
      "services": [
        {
          "availability_zone": "nova",
          "binary": "zun-compute",
          "console_trouble": null,
          "created_at": "TIME",
          "disabled": false,
          "disabled_reason": null,
          "forced_down": false,
          "host": "h1",
          "id": 1,
          "last_seen_up": "TIME",
          "report_count": 1,
          "state": "up",
          "updated_at": "TIME"
        }
      ]
    }
    "#);
    let one = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    assert_eq!(one["hostname"], json!("h1"));
}

#[tokio::test]
async fn every_status_of_a_container_is_explained() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let path = format!("/v1/containers/{id}");
    assert_eq!(api.get(ANN, &path).await.json()["status_detail"], json!("Created"));
    let now = chrono::Utc::now();
    agent
        .report(id, Status::Running, |report| {
            report.started_at = Some(now - chrono::TimeDelta::hours(3));
        })
        .await;
    api.until(id, Status::Running).await;
    assert_eq!(api.get(ANN, &path).await.json()["status_detail"], json!("Up 3 hours"));
    agent
        .report(id, Status::Stopped, |report| {
            report.exit_code = Some(42);
            report.finished_at = Some(now - chrono::TimeDelta::minutes(8));
        })
        .await;
    api.until(id, Status::Stopped).await;
    let shown = api.get(ANN, &path).await.json();
    assert_eq!(shown["status_detail"], json!("Exited(42) 8 mins ago "));
    assert_eq!(shown["exit_code"], json!(42));
}
