//! Tests of the pure parts together: from the state of the host to the plan.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::command_line::CommandLine;
use super::daemon_json::{self, ListenerSettings};
use super::docker_api::Engine;
use super::files;
use super::plan::{Found, Plan, PlanError, Targets, Wanted, plan};
use super::undo_record::UndoRecord;
use super::*;

const DOCKERD: &str =
    "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS";

fn wanted() -> Wanted {
    Wanted {
        host: "compute1".parse().expect("a name"),
        listen: "0.0.0.0:2376".parse().expect("an address"),
        address: "compute1.example:2376".to_owned(),
        api_version: "1.41".parse().expect("a version"),
        certificates: CertificateFiles::within(Path::new("/etc/zun/pki")),
        notify: None,
    }
}

fn listening(moved: bool) -> ListenerSettings {
    ListenerSettings {
        socket: wanted().socket(),
        files: wanted().certificates,
        command_hosts: vec!["fd://".to_owned()],
        hosts_moved: moved,
        active_plugins: vec!["opa".to_owned()],
        runtime: Some("/bin/zun-runtime".into()),
        separate: true,
    }
}

fn found(directory: &Path, daemon_json: Option<&str>) -> Found {
    let targets = Targets {
        daemon_json: directory.join("etc/docker/daemon.json"),
        drop_in: directory.join("units/docker.service.d/zun.conf"),
        plugin_host: directory.join("units/zun-authz.service.d/host.conf"),
        socket_unit: Some(directory.join("units/zun-authz.socket")),
        plugin_unit: Some(directory.join("units/zun-authz.service")),
    };
    let mut there = BTreeMap::new();
    for path in targets.all() {
        files::create_parents(path).expect("a directory");
        if let (Some(text), true) = (daemon_json, *path == targets.daemon_json) {
            files::write(path, text).expect("written");
        }
        there.insert(path.clone(), files::read(path).expect("read"));
    }
    let engine = Engine {
        newest: "1.41".parse().expect("a version"),
        oldest: "1.12".parse().expect("a version"),
        live_restore: false,
        swarm: false,
        plugins: Vec::new(),
        default_runtime: "runc".to_owned(),
    };
    let command = CommandLine::new(DOCKERD);
    let (variables, runtime) = (Vec::new(), Some("/bin/zun-runtime".into()));
    let (record, has_others) = (None, false);
    Found { targets, files: there, command, variables, engine, runtime, record, has_others }
}

fn obstacle(found: &Found) -> String {
    zun_common::chain(&plan(found, &wanted()).expect_err("an obstacle"))
}

fn merged(text: &str) -> Result<String, String> {
    daemon_json::merge(Some(text), &listening(false), None)
        .map_err(|error| zun_common::chain(&error))
}

/// Writes the files of a plan, and returns the state of the host afterwards.
fn applied(found: &Found, plan: &Plan) -> Found {
    let mut after = found.clone();
    let mut record = found.record.clone().unwrap_or_default();
    for change in plan.changes() {
        record.note(&change.path, found.kept(&change.path), Some(&change.after));
        files::write(&change.path, &change.after).expect("written");
        after.files.insert(change.path.clone(), files::read(&change.path).expect("read"));
    }
    after.record = Some(record);
    after
}

#[test]
fn a_fresh_debian_host_gets_five_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let found = found(directory.path(), None);
    let plan = plan(&found, &wanted()).expect("a plan");
    assert_eq!(plan.changes().count(), 5);
    let settings = &plan.daemon_json.expect("a change").after;
    let expected = r#"{
  "hosts": ["fd://", "tcp://0.0.0.0:2376"],
  "authorization-plugins": ["zun-authz"],
  "live-restore": true,
  "icc": false,
  "tlsverify": true,
  "tlscacert": "/etc/zun/pki/ca.pem",
  "tlscert": "/etc/zun/pki/cert.pem",
  "tlskey": "/etc/zun/pki/key.pem",
  "runtimes": {
    "zun-sized": {
      "path": "/bin/zun-runtime"
    }
  }
}
"#;
    assert_eq!(settings, expected);
    let drop_in = &plan.drop_in.expect("a change").after;
    let command =
        "ExecStart=/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock $DOCKER_OPTS\n";
    assert!(drop_in.ends_with(&format!("ExecStart=\n{command}")), "{drop_in}");
}

#[test]
fn containers_are_separated_unless_others_use_this_docker_or_its_settings_say_otherwise() {
    let directory = tempfile::tempdir().expect("a directory");
    let alone = found(directory.path(), None);
    let icc = |found: &Found| {
        let settings = plan(found, &wanted()).expect("a plan").daemon_json.expect("a change").after;
        serde_json::from_str::<Value>(&settings).expect("JSON").get("icc").cloned()
    };
    assert_eq!(icc(&alone), Some(json!(false)));
    assert_eq!(icc(&Found { has_others: true, ..alone.clone() }), None);
    for flag in ["--icc=true", "--iptables=false"] {
        let command = CommandLine::new(&format!("{DOCKERD} {flag}"));
        assert_eq!(icc(&Found { command, ..alone.clone() }), None, "{flag}");
        let variables = vec![("/etc/default/docker".into(), CommandLine::new(flag))];
        assert_eq!(icc(&Found { variables, ..alone.clone() }), None, "{flag}");
    }
    let read = |text| serde_json::from_str::<Value>(&merged(text).expect("merged")).expect("JSON");
    assert_eq!(read(r#"{"icc": true}"#)["icc"], json!(true));
    assert_eq!(read(r#"{"iptables": false}"#).get("icc"), None);
}

#[test]
fn other_keys_keep_their_order_and_formatting_and_another_plugin_stays_first() {
    let text = "{\n    \"debug\" : true,\n\n    \"authorization-plugins\": [\"opa\"],\n    \
        \"log-opts\": {\"max-size\":\"1m\"}\n}";
    let after = merged(text).expect("merged");
    let start = "{\n    \"debug\" : true,\n\n    \"authorization-plugins\": [\"opa\", \"zun-authz\"],\n    \
        \"log-opts\": {\"max-size\":\"1m\"},\n    \"hosts\"";
    assert!(after.starts_with(start), "{after}");
}

#[test]
fn conflicting_settings_are_named_with_what_they_must_be() {
    let cases = [
        ("{", "it is not JSON"),
        ("[]", "must be a JSON object"),
        (r#"{"hosts": ["fd://"]}"#, "starts Docker with `-H fd://`"),
        (r#"{"hosts": "fd://"}"#, "`hosts` must be a list of strings"),
        (r#"{"authorization-plugins": 1}"#, "`authorization-plugins` must be a list of strings"),
        (r#"{"authorization-plugins": ["dead"]}"#, "`dead`, which the running Docker does not use"),
        (r#"{"tlscacert": "/other.pem"}"#, "`tlscacert` is already \"/other.pem\""),
        (r#"{"tlsverify": false}"#, "`tlsverify` is already false"),
        (r#"{"tls": false}"#, "`tls` is already false"),
        (r#"{"runtimes": []}"#, "`runtimes` must be an object"),
        (
            r#"{"runtimes": {"zun-sized": {"path": "/mine"}}}"#,
            r#"has `zun-sized` as {"path":"/mine"}; it must be {"path":"/bin/zun-runtime"}"#,
        ),
        (r#"{"live-restore": false, "live-restore": false}"#, "`live-restore` occurs twice"),
    ];
    for (text, words) in cases {
        let error = merged(text).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
    let moved = listening(true);
    let other = daemon_json::merge(Some(r#"{"hosts": ["tcp://127.0.0.1:2375"]}"#), &moved, None);
    let words = other.expect_err("somebody else's").to_string();
    assert!(words.contains("another TCP listener `tcp://127.0.0.1:2375`"), "{words}");
}

#[test]
fn other_runtimes_stay_and_a_docker_that_sets_sizes_itself_gets_no_runtime() {
    let text = "{\n  \"runtimes\": { \"crun\" : {\"path\":\"crun\"} }\n}\n";
    let after = merged(text).expect("merged");
    let expected =
        "{\n  \"runtimes\": {\n    \"crun\" : {\"path\":\"crun\"},\n    \"zun-sized\": {\n";
    assert!(after.starts_with(expected), "{after}");
    assert!(daemon_json::has_runtime(Some(&after)) && !daemon_json::has_runtime(Some(text)));
    let none = ListenerSettings { runtime: None, ..listening(false) };
    let after = daemon_json::merge(Some(text), &none, None).expect("merged");
    assert!(!daemon_json::has_runtime(Some(&after)), "{after}");
    // Our own entry is updated if the program has moved.
    let before = merged("{}").expect("merged");
    let moved = ListenerSettings { runtime: Some("/new/zun-runtime".into()), ..listening(true) };
    let after = daemon_json::merge(Some(&before), &moved, Some(&before)).expect("merged");
    let read: Value = serde_json::from_str(&after).expect("JSON");
    assert_eq!(read["runtimes"], json!({"zun-sized": {"path": "/new/zun-runtime"}}));
}

#[test]
fn our_listener_can_move_to_another_port() {
    let first = merged("{}").expect("merged");
    let other = ListenerSettings { socket: "tcp://0.0.0.0:2377".to_owned(), ..listening(true) };
    let second = daemon_json::merge(Some(&first), &other, Some(&first)).expect("merged");
    let read: Value = serde_json::from_str(&second).expect("JSON");
    assert_eq!(read["hosts"], json!(["fd://", "tcp://0.0.0.0:2377"]));
}

#[test]
fn conflicting_engines_flags_and_variables_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = found(directory.path(), None);
    let mut old = good.clone();
    old.engine.newest = "1.39".parse().expect("a version");
    assert!(obstacle(&old).contains("1.39"), "{}", obstacle(&old));
    let mut newer = good.clone();
    newer.engine.newest = "1.51".parse().expect("a version");
    newer.engine.oldest = "1.44".parse().expect("a version");
    assert!(obstacle(&newer).contains("`console.api_version` is 1.41"), "{}", obstacle(&newer));
    let mut swarm = good.clone();
    swarm.engine.swarm = true;
    assert!(matches!(plan(&swarm, &wanted()), Err(PlanError::Swarm)));
    let mut flag = good.clone();
    flag.command = CommandLine::new("dockerd -H fd:// --tlsverify");
    assert!(obstacle(&flag).contains("`--tlsverify`"), "{}", obstacle(&flag));
    let mut variable = good;
    variable.variables = vec![("/etc/default/docker".into(), CommandLine::new("-H tcp://x"))];
    assert!(
        obstacle(&variable).contains("/etc/default/docker has the flag `-H`"),
        "{}",
        obstacle(&variable)
    );
}

#[test]
fn a_missing_setting_and_a_different_port_are_named() {
    let words = |settings: &Settings, listen: Option<&str>| {
        let listen = listen.map(|listen| listen.parse().expect("an address"));
        super::wanted(settings, listen).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let mut settings = Settings { host: Some(wanted().host), ..Settings::default() };
    assert!(words(&settings, None).contains("`console.address`"));
    settings.console.address = Some("c1.example:2376".to_owned().try_into().expect("an address"));
    assert!(words(&settings, None).contains("`console.api_version`"));
    settings.console.api_version = Some(wanted().api_version);
    assert_eq!(words(&settings, None), "");
    assert!(words(&settings, Some("0.0.0.0:2375")).contains("the same port"));
    let (wanted, certificate) = super::wanted(&settings, None).expect("wanted");
    assert_eq!(wanted.listen.to_string(), "0.0.0.0:2376");
    assert_eq!(certificate.names, ["c1.example"]);
}

/// Random settings with other keys than ours.
fn settings() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop::collection::vec("[a-z]{0,4}", 0..3).prop_map(Value::from),
        prop::collection::btree_map("[a-z]{1,4}", "\\PC{0,4}", 0..3).prop_map(|keys| json!(keys)),
    ];
    prop::collection::btree_map("x-[a-z]{0,6}", value, 0..6)
        .prop_map(|keys| keys.into_iter().collect())
}

/// Settings as compact or pretty text, blank text, or no file at all.
fn texts() -> impl Strategy<Value = Option<String>> {
    (settings(), 0..4).prop_map(|(keys, form)| match form {
        0 => None,
        1 => Some(serde_json::to_string(&keys).expect("JSON")),
        2 => Some(format!("{:#}\n", Value::Object(keys))),
        _ => Some(" \n".to_owned()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn other_keys_stay_a_second_run_changes_nothing_and_undo_restores_every_file(text in texts()) {
        let directory = tempfile::tempdir().expect("a directory");
        let before = found(directory.path(), text.as_deref());
        let first = plan(&before, &wanted()).expect("a plan");
        let after = applied(&before, &first);

        let settings = after.text(&after.targets.daemon_json).expect("a file");
        let read: Map<String, Value> = serde_json::from_str(settings).expect("JSON");
        let foreign: Map<String, Value> = match text.as_deref().map(str::trim) {
            None | Some("") => Map::new(),
            Some(text) => serde_json::from_str(text).expect("JSON"),
        };
        for (key, value) in &foreign {
            prop_assert_eq!(read.get(key), Some(value));
        }
        prop_assert_eq!(read.len(), foreign.len() + 9);

        prop_assert!(plan(&after, &wanted()).expect("a plan").is_empty());

        let record: UndoRecord = after.record.expect("a record");
        prop_assert_eq!(record.changed_since().expect("read"), None);
        for (path, entry) in &record.files {
            files::restore(path, entry.former.as_ref()).expect("restored");
        }
        for (path, kept) in &before.files {
            prop_assert_eq!(&files::read(path).expect("read"), kept);
        }
    }

    #[test]
    fn switching_live_restore_changes_nothing_else(text in texts(), on in any::<bool>()) {
        let after = daemon_json::with_live_restore(text.as_deref(), on).expect("switched");
        prop_assert_eq!(daemon_json::has_live_restore(Some(&after)).expect("read"), on);
        let mut read: Map<String, Value> = serde_json::from_str(&after).expect("JSON");
        read.remove("live-restore");
        let foreign = match text.as_deref().map(str::trim) {
            None | Some("") => Map::new(),
            Some(text) => serde_json::from_str(text).expect("JSON"),
        };
        prop_assert_eq!(read, foreign);
    }

    #[test]
    fn random_text_never_panics_the_merge(text in "\\PC*") {
        let merged = daemon_json::merge(Some(&text), &listening(false), Some(&text));
        prop_assert!(merged.is_ok() || merged.is_err());
    }
}
