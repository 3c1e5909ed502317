//! Tests of the Docker driver that need a real engine.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::mpsc;
use zun_common::engine_options::Healthcheck;
use zun_common::id::ContainerId;
use zun_common::restart::Restart;
use zun_common::rpc::container::ConsoleSpec;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources, TerminalSize};
use zun_compute::driver::docker::DockerDriver;
use zun_compute::driver::{
    ContainerDriver, DriverError, Images as _, Inspect as _, Lifecycle as _, PullRequest,
};
use zun_tests::conformance::driver::{IDLE, Subject, spec, within};

use super::proxy::{Fault, Proxy};
use super::real::{docker, docker_cli, raw};

#[tokio::test]
async fn every_field_of_a_spec_reaches_the_engine() {
    let engine = docker();
    let mut spec = spec(&engine, IDLE);
    spec.labels.insert("mine".to_owned(), "yes".to_owned());
    spec.console = ConsoleSpec {
        tty: true,
        stdin_open: true,
        stdin_once: true,
        size: Some(TerminalSize { rows: 24, columns: 80 }),
    };
    spec.resources = Resources { cpus: Cpus::from_millis(500), memory: Mebibytes(64) };
    spec.restart = Some(Restart::OnFailure { retries: 3 });
    spec.read_only = true;
    spec.stop_signal = Some("SIGINT".to_owned());
    let subject = Subject::created(&engine, &spec).await;
    let name = subject.id.engine_name();
    let shown = raw(&engine, &format!("/v1.41/containers/{name}/json")).await;
    let config = &shown["Config"];
    for (key, wanted) in [
        ("OpenStdin", json!(true)),
        ("StdinOnce", json!(true)),
        ("AttachStdin", json!(true)),
        ("Tty", json!(true)),
        ("StopSignal", json!("SIGINT")),
        ("Image", json!("cirros:latest")),
    ] {
        assert_eq!(config[key], wanted, "{key}");
    }
    let labels = &config["Labels"];
    assert_eq!(labels["zun.container"], json!(subject.id.to_string()));
    assert_eq!(labels["zun.project"], json!("conformance"));
    assert_eq!(labels["zun.name"], json!("subject"));
    assert_eq!(labels["mine"], json!("yes"));
    let host = &shown["HostConfig"];
    for (key, wanted) in [
        ("NanoCpus", json!(500_000_000)),
        ("Memory", json!(64 << 20)),
        ("RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        ("ReadonlyRootfs", json!(true)),
        ("AutoRemove", json!(false)),
        ("Privileged", json!(false)),
    ] {
        assert_eq!(host[key], wanted, "{key}");
    }
}

#[tokio::test]
async fn a_stopped_container_has_no_restart_policy_until_it_is_started() {
    let engine = docker();
    let mut spec = spec(&engine, IDLE);
    for (restart, name) in
        [(Restart::Always, "always"), (Restart::OnFailure { retries: 2 }, "on-failure")]
    {
        spec.restart = Some(restart);
        let subject = Subject::started(&engine, &spec).await;
        let path = format!("/v1.41/containers/{}/json", subject.id.engine_name());
        let policy = async || raw(&engine, &path).await["HostConfig"]["RestartPolicy"].clone();
        let wanted = policy().await;
        assert_eq!(wanted["Name"], json!(name));
        // Docker starts a stopped container with its policy when it starts itself.
        subject.driver.stop(subject.id, Some(std::time::Duration::ZERO)).await.unwrap();
        assert_eq!(policy().await["Name"], json!("no"));
        subject.driver.start(subject.id).await.unwrap();
        assert_eq!(policy().await, wanted);
        subject.driver.stop(subject.id, Some(std::time::Duration::ZERO)).await.unwrap();
        subject.driver.restart(subject.id, None).await.unwrap();
        assert_eq!(policy().await, wanted);
    }
}

#[tokio::test]
async fn a_container_that_docker_does_not_stop_keeps_its_restart_policy() {
    let engine = docker();
    let mut spec = spec(&engine, IDLE);
    spec.restart = Some(Restart::Always);
    let subject = Subject::started(&engine, &spec).await;
    let proxy = Proxy::new(&engine.socket);
    let driver = DockerDriver::connect(&proxy.socket()).unwrap();
    let _broken = proxy.refuse_stop(subject.id);
    let refused = driver.stop(subject.id, Some(std::time::Duration::ZERO)).await.unwrap_err();
    assert!(matches!(refused, DriverError::Engine { .. }), "{refused:?}");
    let path = format!("/v1.41/containers/{}/json", subject.id.engine_name());
    let shown = raw(&engine, &path).await;
    assert_eq!(shown["HostConfig"]["RestartPolicy"]["Name"], json!("always"));
    assert_eq!(shown["State"]["Running"], json!(true));
}

#[tokio::test]
async fn every_engine_option_reaches_the_engine() {
    let engine = docker();
    let mut spec = spec(&engine, IDLE);
    spec.privileged = true;
    spec.runtime = Some("runc".to_owned());
    spec.healthcheck = Some(Healthcheck {
        cmd: Some("true".to_owned()),
        interval: Some(5),
        retries: Some(2),
        timeout: Some(3),
        start_period: Some(1),
        disable: false,
    });
    spec.options = serde_json::from_value(json!({
        "init": true, "tmpfs": {"/run": "size=64m"}, "shm_size": 128, "memory_swap": 500,
        "pids_limit": 100, "ulimits": {"nofile": {"soft": 64, "hard": 128}},
        "cap_add": ["NET_ADMIN"], "cap_drop": ["MKNOD"], "security_opt": ["no-new-privileges"],
        "group_add": ["1000"], "sysctls": {"net.ipv4.ip_forward": "1"}, "stop_timeout": 3,
        "domainname": "example.org", "extra_hosts": ["db:10.0.0.1"], "dns": ["10.0.0.2"],
        "dns_search": ["example.org"], "dns_options": ["ndots:2"], "log_driver": "json-file",
        "log_opts": {"max-size": "10m"}, "pid_mode": "host", "ipc_mode": "shareable",
        "devices": [{"host_path": "/dev/null", "container_path": "/dev/x", "permissions": "r"}],
    }))
    .unwrap();
    spec.resources.memory = Mebibytes(300);
    let subject = Subject::created(&engine, &spec).await;
    let name = subject.id.engine_name();
    let shown = raw(&engine, &format!("/v1.41/containers/{name}/json")).await;
    let config = &shown["Config"];
    assert_eq!((&config["StopTimeout"], &config["Domainname"]), (&json!(3), &json!("example.org")));
    let second = 1_000_000_000_u64;
    let check = json!({"Test": ["CMD-SHELL", "true"], "Interval": 5 * second, "Timeout": 3 * second,
        "StartPeriod": second, "Retries": 2});
    assert_eq!(config["Healthcheck"], check);
    let host = &shown["HostConfig"];
    for (key, wanted) in [
        ("Init", json!(true)),
        ("Tmpfs", json!({"/run": "size=64m"})),
        ("ShmSize", json!(128 << 20)),
        ("MemorySwap", json!(500 << 20)),
        ("PidsLimit", json!(100)),
        ("Ulimits", json!([{"Name": "nofile", "Soft": 64, "Hard": 128}])),
        ("GroupAdd", json!(["1000"])),
        ("Sysctls", json!({"net.ipv4.ip_forward": "1"})),
        ("ExtraHosts", json!(["db:10.0.0.1"])),
        ("Dns", json!(["10.0.0.2"])),
        ("DnsSearch", json!(["example.org"])),
        ("DnsOptions", json!(["ndots:2"])),
        ("LogConfig", json!({"Type": "json-file", "Config": {"max-size": "10m"}})),
        ("PidMode", json!("host")),
        ("IpcMode", json!("shareable")),
        ("Privileged", json!(true)),
        ("Runtime", json!("runc")),
    ] {
        assert_eq!(host[key], wanted, "{key}");
    }
    // Docker before 23 does not add `CAP_`.
    for (key, name) in [("CapAdd", "NET_ADMIN"), ("CapDrop", "MKNOD")] {
        let shown = host[key][0].as_str().unwrap();
        assert_eq!(shown.trim_start_matches("CAP_"), name, "{key}");
    }
    let security = host["SecurityOpt"].as_array().unwrap();
    assert!(security.contains(&json!("no-new-privileges")), "{security:?}");
    let device =
        json!({"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"});
    assert_eq!(host["Devices"], json!([device]));
    // Another memory limit leaves the sum of memory and swap as it was requested.
    let more = Resources { memory: Mebibytes(400), ..spec.resources };
    subject.driver.update(subject.id, more).await.unwrap();
    let shown = raw(&engine, &format!("/v1.41/containers/{name}/json")).await;
    let host = &shown["HostConfig"];
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&json!(400 << 20), &json!(500 << 20)));
}

#[tokio::test]
async fn changed_limits_reach_the_engine() {
    let engine = docker();
    let mut spec = spec(&engine, IDLE);
    spec.resources = Resources { cpus: Cpus::from_millis(500), memory: Mebibytes(64) };
    let subject = Subject::created(&engine, &spec).await;
    let more = Resources { cpus: Cpus::from_millis(1500), memory: Mebibytes(300) };
    subject.driver.update(subject.id, more).await.unwrap();
    let name = subject.id.engine_name();
    let shown = raw(&engine, &format!("/v1.41/containers/{name}/json")).await;
    let host = &shown["HostConfig"];
    assert_eq!((&host["NanoCpus"], &host["Memory"]), (&json!(1_500_000_000), &json!(300 << 20)));
}

#[tokio::test]
async fn unknown_arguments_of_ps_are_refused_with_its_message() {
    let engine = docker();
    let subject = Subject::running(&engine, IDLE).await;
    for bad in ["-eo nonsense", "-eo comm"] {
        let error = subject.driver.top(subject.id, Some(bad)).await.unwrap_err();
        assert!(matches!(error, DriverError::Invalid { .. }), "{bad}: {error:?}");
    }
}

#[tokio::test]
async fn a_read_only_root_cannot_be_written() {
    let engine = docker();
    let mut spec = spec(&engine, "touch /x");
    spec.read_only = true;
    let subject = Subject::started(&engine, &spec).await;
    assert_eq!(subject.exit_code().await, 1);
    assert!(subject.output().await.contains("Read-only file system"));
}

#[tokio::test]
async fn too_little_memory_is_refused_with_the_engines_message() {
    let engine = docker();
    let subject = Subject::new(&engine);
    let mut spec = spec(&engine, IDLE);
    spec.resources.memory = Mebibytes(1);
    let error = subject.driver.create(subject.id, &spec).await.unwrap_err();
    assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
    assert!(error.to_string().to_lowercase().contains("memory limit"), "{error}");
}

#[tokio::test]
async fn a_driver_can_be_created_before_its_engine_runs() {
    let driver = DockerDriver::connect(Path::new("/nowhere/docker.sock")).unwrap();
    let id = ContainerId::random();
    let errors = [
        driver.engine().await.err(),
        driver.inspect(id).await.err(),
        driver.list().await.err(),
        driver.events().await.err(),
        driver.start(id).await.err(),
        driver.wait(id).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(DriverError::Down { .. })), "{error:?}");
    }
    assert!(DockerDriver::connect(Path::new("relative.sock")).is_err());
}

#[tokio::test]
async fn events_and_waits_end_with_the_engine_and_the_driver_works_again_after_a_restart() {
    let engine = docker();
    let mut proxy = Proxy::new(&engine.socket);
    let driver = Arc::new(DockerDriver::connect(&proxy.socket()).unwrap());
    let subject = Subject::running(&engine, IDLE).await;
    assert_eq!(driver.inspect(subject.id).await.unwrap().status, Status::Running);
    let mut events = driver.events().await.unwrap();
    let wait = driver.wait(subject.id);
    let (waited, ()) = within(async { tokio::join!(wait, proxy.disconnect()) }).await;
    assert!(matches!(waited, Err(DriverError::Down { .. })), "{waited:?}");
    // Events of other tests may still arrive.
    let ended = async { while events.next().await.is_some() {} };
    within(ended).await;
    let error = driver.inspect(subject.id).await.unwrap_err();
    assert!(matches!(error, DriverError::Down { .. }), "{error:?}");
    proxy.reconnect(&engine.socket);
    assert_eq!(driver.inspect(subject.id).await.unwrap().status, Status::Running);
    assert!(driver.events().await.is_ok());
}

#[tokio::test]
async fn containers_that_cannot_be_inspected_fail_neither_the_listing_nor_each_other() {
    let engine = docker();
    let proxy = Proxy::new(&engine.socket);
    let driver = DockerDriver::connect(&proxy.socket()).unwrap();
    let healthy = Subject::running(&engine, IDLE).await;
    let mut broken = Vec::new();
    for fault in [Fault::Stalled, Fault::Unreadable, Fault::LinkLost, Fault::Refused] {
        let subject = Subject::created(&engine, &spec(&engine, IDLE)).await;
        let fault = proxy.break_inspection(subject.id, fault);
        broken.push((subject, fault));
    }
    let listed = within(driver.list()).await.unwrap();
    let find = |subject: &Subject| {
        let found = listed.iter().find(|one| one.container() == subject.id);
        found.expect("every container is listed").info()
    };
    assert_eq!(find(&healthy).map(|info| info.status), Some(Status::Running));
    for (subject, _fault) in &broken {
        assert_eq!(find(subject), None);
    }
}

#[tokio::test]
async fn raw_terminal_output_is_kept_byte_for_byte() {
    let engine = docker();
    // Bytes that look like the engine's framing, a line without an end, and bytes that are not text.
    let mut spec = spec(&engine, r"printf '\001\000\000\000\377\377\377\377tail\300'");
    spec.console.tty = true;
    let subject = Subject::started(&engine, &spec).await;
    subject.exit_code().await;
    let request = zun_tests::conformance::driver::all_logs();
    let logs = subject.driver.logs(subject.id, &request).await.unwrap();
    // The engine's log file is JSON, which cannot store bytes that are not text.
    assert!(logs.data.starts_with(b"\x01\0\0\0"), "{:?}", logs.data);
    assert!(String::from_utf8_lossy(&logs.data).contains("tail"));
}

#[tokio::test]
async fn a_container_with_forged_labels_is_not_ours() {
    let engine = docker();
    let driver: Arc<dyn ContainerDriver> = Arc::new(DockerDriver::connect(&engine.socket).unwrap());
    let victim = ContainerId::random();
    let forged = format!("dev-forged-{}", ContainerId::random());
    let mut events = driver.events().await.unwrap();
    let label = format!("zun.container={victim}");
    let create = ["create", "--name", &forged, "--label", &label, "cirros", "true"];
    assert!(docker_cli(&engine.socket, &create));
    let listed = driver.list().await;
    let subject = Subject::created(&engine, &spec(&engine, IDLE)).await;
    assert!(docker_cli(&engine.socket, &["rm", "-f", &forged]));
    assert!(listed.unwrap().iter().all(|seen| seen.container() != victim));
    // The forged container was created first, and there is no event of it.
    let events_of_ours = events.by_ref().filter(|event| {
        let ours = event.container == victim || event.container == subject.id;
        std::future::ready(ours)
    });
    let first = within(std::pin::pin!(events_of_ours).next()).await.unwrap();
    assert_eq!(first.container, subject.id);
}

#[tokio::test]
async fn an_image_is_pulled_by_its_digest_and_an_unknown_tag_is_no_image() {
    let engine = docker();
    let registry = engine.registry().await;
    let driver = DockerDriver::connect(&engine.socket).unwrap();
    let by_digest = format!("{}/zun-conformance@{}", registry.address, registry.digest);
    let (progress, _taken) = mpsc::channel(1000);
    within(driver.image_pull(PullRequest::of(&by_digest), progress)).await.unwrap();
    assert!(driver.image_present(&by_digest, None).await.unwrap());
    let unknown = format!("{}/zun-conformance:v2", registry.address);
    let (progress, _taken) = mpsc::channel(1000);
    let error = within(driver.image_pull(PullRequest::of(&unknown), progress)).await.unwrap_err();
    assert!(matches!(&error, DriverError::NoImage(image) if *image == unknown), "{error:?}");
    // A name without a tag means one image, not all tags.
    let bare = format!("{}/zun-conformance", registry.address);
    let (progress, _taken) = mpsc::channel(1000);
    let error = within(driver.image_pull(PullRequest::of(&bare), progress)).await.unwrap_err();
    assert!(error.to_string().contains(":latest"), "{error}");
}
