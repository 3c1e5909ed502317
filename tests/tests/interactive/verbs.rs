//! Other verbs with the real programs: logs, cp, top, stats, rename and update.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::{Finished, Name, ZunCli};

fn run(zun: &ZunCli, test: &str, script: &str) -> Name {
    let name = zun.name(test);
    zun.must(&["run", "-d", "--name", name.as_str(), "cirros", "sh", "-c", script]);
    name
}

#[test]
fn logs_keep_stdout_and_stderr_separate_and_unchanged() {
    let zun = ZunCli::shared();
    // More than the control plane can carry.
    let line = "0123456789abcdef".repeat(4) + "\n";
    let flood = format!("yes {} | head -c 6500000", line.trim_end());
    let script = format!(
        "printf 'a\\303\\274\\000\\r\\033b\\n'; sleep 0.3; echo oops >&2; sleep 0.3; {flood}"
    );
    let name = run(&zun, "logs", &script);
    zun.must(&["wait", name.as_str()]);
    let first = b"a\xc3\xbc\0\r\x1bb\n";
    let output = zun.piped(&["logs", name.as_str()], b"");
    assert!(output.stdout.starts_with(first));
    assert_eq!(output.stdout.len(), first.len() + 6_500_000);
    assert_eq!(output.stderr, b"oops\n");
    let only = zun.run(&["logs", "--stderr", name.as_str()]);
    assert_eq!((only.stdout.as_str(), only.stderr.as_str()), ("", "oops\n"));
    assert_eq!(zun.must(&["logs", "--stdout", "-n", "2", name.as_str()]), line.repeat(2));
    let stamped = zun.run(&["logs", "--stderr", "--timestamps", name.as_str()]).stderr;
    let (time, text) = stamped.split_once(' ').expect("a time");
    assert_eq!(text, "oops\n");
    let before = zun.piped(&["logs", "--stdout", "--until", time, name.as_str()], b"");
    assert_eq!(before.stdout, first);
    assert_eq!(zun.must(&["logs", "--since", "1s", "--until", "0.5", name.as_str()]), "");
}

#[test]
fn followed_logs_appear_at_once_until_the_container_ends() {
    let zun = ZunCli::shared();
    let name = run(&zun, "follow", "echo first; sleep 2; echo second; sleep 2; echo last >&2");
    let mut child = zun
        .command(&["logs", "-f", name.as_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zun runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let begun = Instant::now();
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "first\nsecond\n");
    assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("text");
    let mut text = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("text");
    assert_eq!((rest.as_str(), text.as_str()), ("", "last\n"));
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn files_are_copied_in_and_out_unchanged() {
    let zun = ZunCli::shared();
    let name = run(&zun, "cp", "sleep 1000");
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name).to_str().expect("text").to_owned();
    let inside = |path: &str| format!("{}:{path}", name.as_str());
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    std::fs::create_dir_all(place.path().join("tree/deep/er")).expect("directories");
    std::fs::write(path("tree/deep/file"), &bytes).expect("a file");
    std::fs::write(path("tree/deep/er/ünï code"), b"x").expect("a file");
    std::os::unix::fs::symlink("deep/file", path("tree/link")).expect("a link");
    // If the destination is an existing directory, the copy is created in it. Otherwise the copy gets that path.
    zun.must(&["cp", &path("tree"), &inside("/tmp")]);
    zun.must(&["cp", &path("tree"), &inside("/tmp/other")]);
    zun.must(&["cp", &path("tree/deep/file"), &inside("/tmp/renamed file")]);
    let script = "cd /tmp && cmp tree/deep/file 'renamed file' && cmp tree/link other/deep/file && \
                  stat -c %u 'renamed file' && cat 'other/deep/er/ünï code'";
    assert_eq!(zun.must(&["exec", name.as_str(), "sh", "-c", script]), "0\nx");
    // From the container to the machine.
    zun.must(&["cp", &inside("/tmp/tree"), &path("back")]);
    assert!(std::fs::read(path("back/deep/file")).expect("a file") == bytes);
    assert_eq!(std::fs::read_link(path("back/link")).expect("a link").to_str(), Some("deep/file"));
    zun.must(&["cp", &inside("/tmp/tree/."), &path("back/deep")]);
    assert_eq!(std::fs::read(path("back/deep/deep/er/ünï code")).expect("a file"), b"x");
    zun.must(&["cp", &inside("/tmp/renamed file"), &path("back/link2")]);
    assert!(std::fs::read(path("back/link2")).expect("a file") == bytes);
    for (source, destination) in [
        (inside("/no/such"), path("x")),
        (path("no-such"), inside("/tmp")),
        (path("tree"), inside("/no/such/directory")),
        (path("tree"), inside("/tmp/renamed file")),
        (inside("/tmp/tree"), path("back/link2")),
        (path("tree"), path("other")),
    ] {
        let refused = zun.run(&["cp", &source, &destination]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{source}: {refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{source}: {refused:?}");
    }
}

#[test]
fn a_copy_that_docker_refuses_gives_the_reason_with_the_containers_own_path() {
    let zun = ZunCli::shared();
    let name = run(&zun, "cpfile", "sleep 1000");
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file").to_str().expect("text").to_owned();
    std::fs::write(&file, b"x").expect("a file");
    let inside = |path: &str| format!("{}:{path}", name.as_str());
    for (source, destination) in [
        (inside("/etc/passwd/"), file.clone()),
        (inside("/etc/passwd/x/y"), file.clone()),
        (inside("/etc/passwd/x"), "-".to_owned()),
        (file.clone(), inside("/etc/passwd/sub")),
        (file.clone(), inside("/etc/passwd/sub/x")),
        ("-".to_owned(), inside("/etc/passwd")),
    ] {
        let refused = zun.run(&["cp", &source, &destination]);
        let words = refused.stderr.as_str();
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{source}: {refused:?}");
        assert_eq!(words.lines().count(), 1, "{source}: {refused:?}");
        assert!(words.contains("/etc/passwd"), "{source}: {refused:?}");
        assert!(words.contains("not a directory"), "{source}: {refused:?}");
        assert!(!words.contains("merged") && !words.contains("overlay"), "{source}: {refused:?}");
    }
}

#[test]
fn files_go_through_pipes_as_a_tar_stream() {
    let zun = ZunCli::shared();
    let name = zun.name("cptar");
    zun.must(&["create", "--name", name.as_str(), "cirros", "sleep", "1000"]);
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("a"), b"content").expect("a file");
    let packed = std::process::Command::new("tar")
        .args(["-C", place.path().to_str().expect("text"), "-c", "."])
        .output()
        .expect("tar runs");
    let inside = format!("{}:/root", name.as_str());
    let output = zun.piped(&["cp", "-", &inside], &packed.stdout);
    assert!(output.status.success(), "{:?}", Finished::from(output));
    let output = zun.piped(&["cp", &format!("{inside}/a"), "-"], b"");
    assert!(output.status.success());
    std::fs::write(place.path().join("out.tar"), &output.stdout).expect("a file");
    let listed = std::process::Command::new("tar")
        .args(["-xOf", place.path().join("out.tar").to_str().expect("text"), "a"])
        .output()
        .expect("tar runs");
    assert_eq!(listed.stdout, b"content");
}

#[test]
fn top_and_stats_show_processes_and_usage() {
    let zun = ZunCli::shared();
    let name = run(&zun, "top", "sleep 1000");
    // The engine reports it as running a moment before the command has replaced the init of the runtime.
    eventually("the command is shown", || zun.must(&["top", name.as_str()]).contains("sleep 1000"));
    let top = zun.must(&["top", "--format", "json", name.as_str(), "-eo", "pid,comm"]);
    let top: serde_json::Value = serde_json::from_str(&top).expect("JSON");
    assert!(top[0]["PID"].is_string() && top[0]["COMMAND"].is_string(), "{top}");
    let table = zun.must(&["stats", "--no-stream", name.as_str()]);
    assert!(table.contains(name.as_str()) && table.contains("512.0 MiB"), "{table}");
    let stats = zun.must(&["stats", "--format", "json", name.as_str()]);
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert!(stats[0]["pids"].as_u64().is_some_and(|count| count >= 1), "{stats}");
    let mut live = zun.term(&["stats", name.as_str()], (24, 120));
    live.shows("512.0 MiB");
    live.types("\x03");
    for flags in [&["stats", "--no-stream"][..], &["stats"]] {
        let mut live = zun.term(&[flags, &["no-such-container"]].concat(), (24, 120));
        assert_eq!(live.exit(), 1, "{flags:?}: {}", live.transcript());
        live.shows("no-such-container");
    }
}

#[test]
fn why_shows_the_last_output_and_how_a_container_ended() {
    let zun = ZunCli::shared();
    // One stream: Docker does not keep the order between two.
    let name = run(&zun, "why", "seq 100 >&2; echo oops >&2; exit 3");
    zun.must(&["wait", name.as_str()]);
    let text = zun.must(&["why", name.as_str()]);
    for part in ["Exited (3)", "exit code 3", "\n  100\n", "\n  oops\n", "zun start -a "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\n  80\n"), "only the last lines: {text}");
    let id = zun.field(name.as_str(), "uuid");
    let id = id.as_str().expect("an id");
    assert_eq!(zun.field(&id[..12], "uuid"), id, "the beginning of an id names it");
    let listed = zun.must(&["ps", "-a", "--filter", &format!("name={}", name.as_str())]);
    assert!(listed.contains(&id[..12]) && listed.contains("Exited (3) "), "{listed}");
    let listed =
        zun.must(&["list", "--format", "{{.ID}} {{.State}}", "-n", "1", "--name", name.as_str()]);
    assert_eq!(listed, format!("{} Stopped\n", &id[..12]));
}

#[test]
fn a_container_is_renamed_and_its_limits_are_changed_while_it_runs() {
    let zun = ZunCli::shared();
    let name = run(&zun, "update", "sleep 1000");
    zun.must(&["update", "--memory", "96m", "--cpu", "0.5", name.as_str()]);
    assert_eq!(zun.field(name.as_str(), "memory_bytes"), 96 << 20);
    // The host name inside is the beginning of the ID that the engine gave it.
    let inside = zun.must(&["exec", name.as_str(), "hostname"]);
    assert_eq!(zun.field(inside.trim(), "name"), name.as_str());
    let stats = zun.must(&["stats", "--no-stream", name.as_str()]);
    assert!(stats.contains("96.0 MiB"), "{stats}");
    let other = zun.name("renamed");
    assert_eq!(
        zun.must(&["rename", name.as_str(), other.as_str()]),
        format!("{}\n", other.as_str())
    );
    assert_eq!(zun.field(other.as_str(), "status"), "Running");
    assert_eq!(zun.run(&["show", name.as_str()]).code, 1);
    assert_eq!(zun.run(&["update", other.as_str()]).code, 1);
    assert_eq!(zun.run(&["update", "--memory", "1", other.as_str()]).code, 125);
}

#[test]
fn a_wait_for_several_prints_their_codes_in_order() {
    let zun = ZunCli::shared();
    let slow = run(&zun, "wait", "sleep 2; exit 3");
    let quick = run(&zun, "wait", "exit 4");
    let finished = zun.run(&["wait", slow.as_str(), quick.as_str(), "no-such-container"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (1, "3\n4\n"), "{finished:?}");
    assert!(finished.stderr.contains("no-such-container"), "{finished:?}");
}

#[test]
fn every_verb_can_print_json() {
    let zun = ZunCli::shared();
    // The process runs until the test ends it, because the engine cannot change the limits of a process that is ending.
    let name = run(&zun, "format", "until [ -e /end ]; do sleep 0.1; done; exit 3");
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&zun.must(&[&["--format", "json"], arguments].concat())).expect("JSON")
    };
    let id = zun.field(name.as_str(), "uuid");
    assert!(json(&["list", "-q", "--name", name.as_str()]) == serde_json::json!([id]));
    assert_eq!(json(&["list", "-q", "--name", "nobody"]), serde_json::json!([]));
    assert_eq!(
        json(&["update", "--cpu", "0.5", name.as_str()]),
        serde_json::json!([name.as_str()])
    );
    let other = zun.name("format-renamed");
    assert_eq!(json(&["rename", name.as_str(), other.as_str()])["name"], other.as_str());
    zun.must(&["exec", other.as_str(), "touch", "/end"]);
    let finished = zun.run(&["wait", "--format", "json", other.as_str(), "nobody"]);
    let waited: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let expected = serde_json::json!([
        {"container": other.as_str(), "exit_code": 3},
        {"container": "nobody", "exit_code": null},
    ]);
    assert_eq!((finished.code, waited), (1, expected));
    assert_eq!(json(&["delete", other.as_str()]), serde_json::json!([other.as_str()]));
    let third = zun.name("format-run");
    let created = json(&["create", "-q", "--name", third.as_str(), "cirros"]);
    assert_eq!(created["uuid"], zun.field(third.as_str(), "uuid"));
}

#[test]
fn the_environment_of_a_run_comes_from_files_flags_and_the_client() {
    let zun = ZunCli::shared().with("FROM_HERE", "a b").with("OVERRIDDEN", "no");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let lines = "# a comment\n\nFROM_FILE=c=d\nFROM_HERE\nUNSET_ANYWHERE\nBOTH=file\n";
    std::io::Write::write_all(&mut file, lines.as_bytes()).expect("written");
    let path = file.path().to_str().expect("text").to_owned();
    let flags = ["--env-file", &path, "-e", "BOTH=flag", "-e", "OVERRIDDEN=yes", "-e", "EMPTY="];
    let script =
        "echo $FROM_FILE/$FROM_HERE/$BOTH/$OVERRIDDEN/${EMPTY-unset}/${UNSET_ANYWHERE-unset}";
    let run = [&["run", "--rm"][..], &flags, &["cirros", "sh", "-c", script]].concat();
    let shown = zun.retry_if_engine_lost_output(|| zun.must(&run), |shown| !shown.is_empty());
    assert_eq!(shown, "c=d/a b/flag/yes//unset\n");
    std::io::Write::write_all(&mut file, b"export A=b\n").expect("written");
    let refused = zun.run(&["run", "--rm", "--env-file", &path, "cirros"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (125, 1), "{refused:?}");
    assert!(refused.stderr.contains("line 7"), "{refused:?}");
    let missing = zun.run(&["run", "--rm", "--env-file", "/no/such/file", "cirros"]);
    assert_eq!((missing.code, missing.stderr.lines().count()), (125, 1), "{missing:?}");
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
    let output =
        zun.command(&["run", "--rm", "-e", "BYTES", "cirros"]).env("BYTES", bytes).output();
    let refused = Finished::from(output.expect("zun runs"));
    assert_eq!((refused.code, refused.stderr.lines().count()), (125, 1), "{refused:?}");
    assert!(refused.stderr.contains("`BYTES`"), "{refused:?}");
}

#[test]
fn symlinks_cannot_lead_outside_the_container_or_the_destination() {
    let zun = ZunCli::shared();
    let place = tempfile::tempdir().expect("a directory");
    let outside = place.path().join("outside");
    let destination = place.path().join("destination");
    std::fs::create_dir(&outside).expect("a directory");
    std::fs::create_dir(&destination).expect("a directory");
    let path = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let script = format!(
        "mkdir /tree /tree/down; ln -s {0} /tree/link; ln -s {0}/new /tree/dangling; echo x > /tree/down/file; \
         ln -s /etc /within; echo ready; sleep 1000",
        outside.display()
    );
    let name = run(&zun, "cp-links", &script);
    eventually("the links are there", || zun.run(&["logs", name.as_str()]).stdout == "ready\n");
    let inside = |path: &str| format!("{}:{path}", name.as_str());
    // Symlinks are copied as symlinks.
    zun.must(&["cp", &inside("/tree/."), &path(&destination)]);
    for (link, to) in [("link", outside.clone()), ("dangling", outside.join("new"))] {
        assert_eq!(std::fs::read_link(destination.join(link)).expect("a link"), to);
    }
    assert_eq!(std::fs::read(destination.join("down/file")).expect("a file"), b"x\n");
    // An existing symlink is not followed.
    let planted = place.path().join("planted");
    std::fs::create_dir(&planted).expect("a directory");
    std::os::unix::fs::symlink(&outside, planted.join("down")).expect("a link");
    let copied = zun.run(&["cp", &inside("/tree/."), &path(&planted)]);
    let left: Vec<_> = std::fs::read_dir(&outside).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?} after {copied:?}");
    let refused = copied.code == 1 && copied.stderr.contains("down");
    let replaced =
        copied.code == 0 && planted.join("down").symlink_metadata().is_ok_and(|it| it.is_dir());
    assert!(refused || replaced, "{copied:?}");
    // In a container, a symlink is resolved within the container.
    let file = place.path().join("zun-was-here");
    std::fs::write(&file, "x").expect("a file");
    zun.must(&["cp", &path(&file), &inside("/within/zun-was-here")]);
    assert_eq!(zun.must(&["exec", name.as_str(), "cat", "/etc/zun-was-here"]), "x");
    assert!(!std::path::Path::new("/etc/zun-was-here").exists());
}

#[test]
fn every_flag_of_run_reaches_the_container_and_is_shown() {
    let zun = ZunCli::shared();
    let name = zun.name("flags");
    let mut flags = vec!["run", "-d", "--name", name.as_str(), "-e", "A=b c", "--workdir", "/etc"];
    flags.extend(["--hostname", "box", "--label", "role=demo", "--cpu", "0.5", "--memory", "64m"]);
    flags.extend(["--entrypoint", "sh -c", "--restart", "on-failure:2", "--user", "65534"]);
    flags.extend(["--read-only", "--stop-signal", "INT", "--pull", "never", "cirros"]);
    flags.push(
        "echo $A; pwd; hostname; id -u; touch /x; trap 'exit 5' INT; while :; do sleep 0.1; done",
    );
    zun.must(&flags);
    let shown = zun.must(&["show", name.as_str(), "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    for (field, value) in [
        ("environment", serde_json::json!({"A": "b c"})),
        ("workdir", serde_json::json!("/etc")),
        ("hostname", serde_json::json!("box")),
        ("labels", serde_json::json!({"role": "demo"})),
        ("cpu", serde_json::json!(0.5)),
        ("memory_bytes", serde_json::json!(64 << 20)),
        ("entrypoint", serde_json::json!(["sh", "-c"])),
        ("restart_policy", serde_json::json!({"Name": "on-failure", "MaximumRetryCount": "2"})),
        ("user", serde_json::json!("65534")),
        ("read_only", serde_json::json!(true)),
        ("stop_signal", serde_json::json!("SIGINT")),
        ("image_pull_policy", serde_json::json!("never")),
        ("interactive", serde_json::json!(false)),
        ("tty", serde_json::json!(false)),
        ("auto_remove", serde_json::json!(false)),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    eventually("it has printed", || {
        zun.run(&["logs", name.as_str()]).stderr.contains("Read-only file system")
    });
    assert_eq!(zun.must(&["logs", "--stdout", name.as_str()]), "b c\n/etc\nbox\n65534\n");
    zun.must(&["stop", name.as_str()]);
    assert_eq!(zun.must(&["wait", name.as_str()]), "5\n");
    let missing = zun.run(&["run", "--pull", "never", "no-such-image-at-all"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (125, ""), "{missing:?}");
}
