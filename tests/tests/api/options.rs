//! What `docker run` offers beyond OpenStack Zun's API: limits, rights and health checks.

use serde_json::{Value, json};

use zun_common::id::ContainerId;
use zun_common::status::{Health, Status};

use crate::support::{ADMIN, ANN, Api, eventually_some};

const PATH: &str = "/v1/containers";

fn image_with(mut fields: Value) -> Value {
    fields["image"] = json!("cirros");
    fields
}

#[tokio::test]
async fn the_host_gets_the_engine_options_and_they_are_shown() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let options = json!({
        "init": true, "tmpfs": {"/run": "size=64m"}, "shm_size": 128, "memory_swap": 600,
        "pids_limit": 100, "ulimits": {"nofile": {"soft": 64, "hard": 128}},
        "cap_add": ["CHOWN"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"],
        "group_add": ["1000"], "sysctls": {"net.ipv4.ip_forward": "1"}, "stop_timeout": 3,
        "domainname": "example.org", "extra_hosts": ["db:10.0.0.1"], "dns": ["10.0.0.2"],
        "dns_search": ["example.org"], "dns_options": ["ndots:2"], "log_driver": "local",
        "log_opts": {"max-size": "10m"}, "ipc_mode": "private", "platform": "linux/amd64",
    });
    let check =
        json!({"cmd": "true", "interval": 5, "retries": 2, "timeout": 3, "start_period": 1});
    let body = image_with(json!({"engine_options": options, "healthcheck": check, "disk": 10}));
    let answer = api.post(ANN, PATH, body).await.expect(202).json();
    let spec = agent.receives("container.create").await.body["spec"].clone();
    assert_eq!(spec["options"], options);
    assert_eq!(spec["healthcheck"], check);
    assert_eq!(spec["disk"], json!(10));
    let id = answer["uuid"].as_str().unwrap();
    let shown = api.get(ANN, &format!("{PATH}/{id}")).await.expect(200).json();
    assert_eq!(shown["engine_options"], options);
    assert_eq!(shown["healthcheck"]["test"], json!("true"));
    assert_eq!(shown["disk"], json!(10));
    for admin_only in ["privileged", "runtime"] {
        assert_eq!(shown.get(admin_only), None, "{admin_only}");
    }
}

#[tokio::test]
async fn a_wrong_option_is_named_with_its_value_and_its_rule() {
    let api = Api::start().await;
    let mut table = Vec::new();
    for wrong in [
        json!({"engine_options": {"memory_swap": 100}}),
        json!({"engine_options": {"cap_add": ["FLY"]}}),
        json!({"engine_options": {"fly": true}}),
        json!({"engine_options": []}),
        json!({"healthcheck": {"interval": 0}}),
        json!({"disk": 0}),
    ] {
        table.push(api.post(ANN, PATH, image_with(wrong)).await.refusal());
    }
    insta::assert_snapshot!(table.join("\n"), @"
    400 container.schema-validation-error Invalid input for field 'engine_options.memory_swap'. Value: '100'. It must be -1, or at least the memory (512 MiB), because it is the sum of memory and swap.
    400 container.schema-validation-error Invalid input for field 'engine_options.cap_add'. Value: 'FLY'. It must be a list of strings, each of them a capability of Linux such as `NET_ADMIN`, or `ALL`.
    400 container.schema-validation-error Additional properties are not allowed ('engine_options.fly' was unexpected)
    400 container.schema-validation-error Invalid input for field 'engine_options'. Value: '[]'. It must be an object.
    400 container.schema-validation-error Invalid input for field 'healthcheck.interval'. Value: '0'. It must be a whole number of seconds from 1 to 86400.
    400 container.schema-validation-error Invalid input for field 'disk'. Value: '0'. It must be a whole number of GiB from 1 to 160.
    ");
}

fn what_reaches_the_host() -> Vec<(Value, &'static str)> {
    let device = json!({"host_path": "/dev/null", "container_path": "/dev/x", "permissions": "r"});
    let option = |name: &str, value: Value| json!({"engine_options": {name: value}});
    vec![
        (json!({"privileged": true}), "privileged"),
        (json!({"runtime": "runc"}), "runtime"),
        (option("cap_add", json!(["NET_ADMIN"])), "cap_add"),
        (option("cap_add", json!(["ALL"])), "cap_add"),
        (option("devices", json!([device])), "device"),
        (option("pid_mode", json!("host")), "pid_mode"),
        (option("ipc_mode", json!("host")), "ipc_mode"),
        (option("security_opt", json!(["seccomp=unconfined"])), "security_opt"),
        (option("security_opt", json!(["no-new-privileges=false"])), "security_opt"),
        (option("sysctls", json!({"kernel.panic": "1"})), "sysctl"),
        (option("ulimits", json!({"rtprio": {"soft": 9, "hard": 9}})), "ulimit"),
        (option("memory_swap", json!(-1)), "memory_swap"),
        (option("memory_swap", json!(1025)), "memory_swap"),
        (option("annotations", json!({"a": "b"})), "annotation"),
        (option("log_driver", json!("syslog")), "log_driver"),
        (option("log_opts", json!({"max-buffer-size": "1g"})), "log_driver"),
    ]
}

#[tokio::test]
async fn what_reaches_the_host_is_refused_with_the_name_of_its_rule() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    for (fields, rule) in what_reaches_the_host() {
        for token in [ADMIN, ANN] {
            let refusal = api.post(token, PATH, image_with(fields.clone())).await.refusal();
            let wanted = format!(
                "403 container.policy-not-authorized Policy doesn't allow container:create:{rule} to be performed."
            );
            assert!(refusal.starts_with(&wanted), "{fields}: {refusal}");
        }
    }
    assert!(agent.received().iter().all(|call| call.method != "container.create"));
}

#[tokio::test]
async fn the_operator_can_allow_it_to_administrators_or_to_everybody() {
    let api = Api::start_with(|settings| {
        let rules = what_reaches_the_host();
        let rules = rules.iter().map(|(_, rule)| format!("\"container:create:{rule}\""));
        let rules: std::collections::BTreeSet<_> = rules.collect();
        let lines = rules.iter().map(|rule| {
            let who = if rule.contains("cap_add") { "member" } else { "admin" };
            format!("{rule} = \"{who}\"\n")
        });
        settings.policy = toml::from_str(&lines.collect::<String>()).unwrap();
    })
    .await;
    let _agent = api.agent("h1").await;
    for (fields, rule) in what_reaches_the_host() {
        let small = |mut fields: Value| {
            fields["memory"] =
                json!(fields["engine_options"].get("memory_swap").map_or(6, |_| 512));
            fields["cpu"] = json!(0.1);
            image_with(fields)
        };
        api.post(ADMIN, PATH, small(fields.clone())).await.expect(202);
        let by_member = api.post(ANN, PATH, small(fields)).await;
        assert_eq!(by_member.status, if rule == "cap_add" { 202 } else { 403 }, "{rule}");
    }
}

#[tokio::test]
async fn health_and_addresses_are_shown_while_the_container_runs() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "web", Status::Created).await;
    let shown = || async { api.get(ANN, &format!("{PATH}/{id}")).await.expect(200).json() };
    agent
        .report(id, Status::Running, |report| {
            report.started_at = Some(chrono::Utc::now());
            report.live.health = Some(Health::Unhealthy);
            let addresses = vec!["172.17.0.2".parse().unwrap()];
            report.live.addresses = [("bridge".to_owned(), addresses)].into();
        })
        .await;
    let running = eventually_some("it is unhealthy", || async {
        Some(shown().await).filter(|shown| shown["health"] == json!("unhealthy"))
    })
    .await;
    let detail = running["status_detail"].as_str().unwrap();
    assert!(detail.starts_with("Up ") && detail.ends_with(" (unhealthy)"), "{detail}");
    assert_eq!(running["addresses"], json!({"bridge": [{"addr": "172.17.0.2", "version": 4}]}));
    agent.report(id, Status::Stopped, |_| {}).await;
    api.until(id, Status::Stopped).await;
    let stopped = shown().await;
    assert_eq!((&stopped["health"], &stopped["addresses"]), (&json!(null), &json!({})));
}

#[tokio::test]
async fn an_unhealthy_container_is_restarted_once_in_each_run_if_it_was_requested() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let create = async |mut fields: Value| {
        fields["image"] = json!("cirros");
        let id = api.create(ANN, fields).await;
        agent.receives_about("container.create", id).await;
        id
    };
    let healed = create(json!({"auto_heal": true})).await;
    let plain = create(json!({})).await;
    let now = chrono::Utc::now();
    let report = async |id, minutes, health| {
        let started = now - chrono::TimeDelta::minutes(minutes);
        agent
            .report(id, Status::Running, |report| {
                report.started_at = Some(started);
                report.live.health = Some(health);
            })
            .await;
    };
    let reboots = async |id: ContainerId| {
        let all = api.get(ANN, &format!("{PATH}/{id}/container_actions")).await.expect(200).json();
        let all = all["containerActions"].as_array().unwrap().clone();
        all.iter().filter(|action| action["action"] == "reboot").count()
    };
    report(healed, 10, Health::Starting).await;
    assert_eq!(reboots(healed).await, 0);
    for _ in 0..2 {
        report(healed, 10, Health::Unhealthy).await;
        report(plain, 10, Health::Unhealthy).await;
    }
    assert_eq!((reboots(healed).await, reboots(plain).await), (1, 0));
    agent.receives_about("container.reboot", healed).await;
    report(healed, 5, Health::Starting).await;
    report(healed, 5, Health::Unhealthy).await;
    assert_eq!(reboots(healed).await, 2);
    let shown = api.get(ANN, &format!("{PATH}/{healed}")).await.expect(200).json();
    assert_eq!(shown["auto_heal"], json!(true));
}

#[tokio::test]
async fn a_stop_waits_as_long_as_the_container_was_created_to() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let body = image_with(json!({"engine_options": {"stop_timeout": 77}}));
    let id = api.create(ANN, body).await;
    agent.receives("container.create").await;
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    api.post(ANN, &format!("{PATH}/{id}/stop"), Value::Null).await.expect(202);
    assert_eq!(agent.receives("container.stop").await.body["grace"], json!(77));
}
