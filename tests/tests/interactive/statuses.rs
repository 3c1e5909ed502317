//! Verbs on containers that restart again and again, are paused or have just changed: each verb returns promptly.

use std::time::{Duration, Instant};

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::{Finished, Name, ZunCli};

/// The longest that a verb may take: well below its timeouts, but enough for a busy engine.
const SOON: Duration = Duration::from_secs(12);

fn run(zun: &ZunCli, test: &str, flags: &[&str], script: &str) -> Name {
    let name = zun.name(test);
    let begin = ["run", "-d", "--name", name.as_str()];
    soon(zun, &[&begin[..], flags, &["cirros", "sh", "-c", script]].concat());
    name
}

fn timely(zun: &ZunCli, words: &[&str]) -> Finished {
    let begun = Instant::now();
    let finished = zun.run(words);
    assert!(begun.elapsed() < SOON, "{words:?} took {:?}: {finished:?}", begun.elapsed());
    finished
}

fn soon(zun: &ZunCli, words: &[&str]) -> String {
    let finished = timely(zun, words);
    assert_eq!(finished.code, 0, "{words:?}: {finished:?}");
    finished.stdout
}

fn status(zun: &ZunCli, name: &Name) -> String {
    zun.field(name.as_str(), "status").as_str().expect("a text").to_owned()
}

fn wait_for_restarting(zun: &ZunCli, name: &Name) {
    eventually("it is between two runs", || status(zun, name) == "Restarting");
}

#[test]
fn a_restart_loop_delays_no_verb() {
    let zun = ZunCli::shared();
    for (policy, script) in [("unless-stopped", "exit 1"), ("always", "exit 0")] {
        for _ in 0..3 {
            let name = run(&zun, "loop", &["--restart", policy], script);
            wait_for_restarting(&zun, &name);
            soon(&zun, &["start", name.as_str()]);
            wait_for_restarting(&zun, &name);
            soon(&zun, &["restart", "-t", "1", name.as_str()]);
            wait_for_restarting(&zun, &name);
            let code = soon(&zun, &["wait", name.as_str()]);
            assert_eq!(format!("exit {code}"), format!("{script}\n"));
            for words in [&["attach"][..], &["pause"], &["start", "-a"]] {
                wait_for_restarting(&zun, &name);
                timely(&zun, &[words, &[name.as_str()]].concat());
            }
            for end in [&["stop"][..], &["kill"]] {
                wait_for_restarting(&zun, &name);
                soon(&zun, &[end, &[name.as_str()]].concat());
                assert_eq!(status(&zun, &name), "Stopped", "{end:?}");
                soon(&zun, &["start", name.as_str()]);
            }
            soon(&zun, &["delete", "--force", name.as_str()]);
        }
    }
    let name = run(&zun, "loop", &["--restart", "on-failure:3"], "exit 1");
    eventually("the engine has stopped restarting it", || status(&zun, &name) == "Stopped");
    assert_eq!(soon(&zun, &["wait", name.as_str()]), "1\n");
}

#[test]
fn a_restart_returns_when_the_new_process_runs() {
    let zun = ZunCli::shared();
    let name = run(&zun, "restart", &[], "sleep 1000");
    for grace in ["0", "0", "0", "0", "1"] {
        let before = zun.field(name.as_str(), "started_at");
        soon(&zun, &["restart", "--time", grace, name.as_str()]);
        assert_ne!(zun.field(name.as_str(), "started_at"), before);
        assert_eq!(soon(&zun, &["exec", name.as_str(), "echo", "hi"]), "hi\n");
    }
    // A signal that ends the process needs no grace period.
    let before = zun.field(name.as_str(), "started_at");
    soon(&zun, &["restart", "--signal", "KILL", "--time", "60", name.as_str()]);
    assert_ne!(zun.field(name.as_str(), "started_at"), before);
}

#[test]
fn each_verb_sees_the_effect_of_the_verb_before_it() {
    let zun = ZunCli::shared();
    let name = run(&zun, "chain", &[], "trap 'touch /hup' HUP; while :; do sleep 0.1; done");
    let name = name.as_str();
    for _ in 0..3 {
        for words in [
            &["kill", name][..],
            &["start", name],
            &["exec", name, "true"],
            &["stop", "-t", "0", name],
            &["start", name],
            &["exec", name, "true"],
            &["pause", name],
            &["unpause", name],
            &["exec", name, "true"],
            &["kill", name],
            &["delete", name],
            &["create", "--name", name, "cirros", "sleep", "1000"],
            &["start", name],
        ] {
            soon(&zun, words);
        }
    }
}

#[test]
fn a_paused_container_can_be_killed_stopped_restarted_and_removed() {
    let zun = ZunCli::shared();
    let name = run(&zun, "paused", &[], "sleep 1000");
    let name = name.as_str();
    for (end, after) in [
        (&["kill", name][..], "Stopped"),
        (&["stop", "-t", "1", name], "Stopped"),
        (&["restart", "-t", "1", name], "Running"),
    ] {
        soon(&zun, &["start", name]);
        soon(&zun, &["pause", name]);
        soon(&zun, end);
        assert_eq!(zun.field(name, "status"), after, "{end:?}");
    }
    soon(&zun, &["pause", name]);
    assert_eq!(timely(&zun, &["start", name]).code, 1);
    soon(&zun, &["delete", "--force", name]);
}

#[test]
fn a_wait_returns_the_code_of_the_run_that_ends_next() {
    let zun = ZunCli::shared();
    for policy in ["always", "unless-stopped", "on-failure"] {
        let name = run(&zun, "wait", &["--restart", policy], "sleep 1; exit 5");
        assert_eq!(soon(&zun, &["wait", name.as_str()]), "5\n", "{policy}");
        soon(&zun, &["delete", "--force", name.as_str()]);
    }
}

#[test]
fn a_wait_returns_when_another_client_ends_the_run() {
    let zun = ZunCli::shared();
    for (on_term, end, code) in [
        ("exit 7", &["restart", "-t", "5"][..], "7\n"),
        ("", &["restart", "-t", "0"], "137\n"),
        ("exit 7", &["kill"], "137\n"),
        ("exit 7", &["delete", "--stop"], "7\n"),
    ] {
        let script = format!("trap '{on_term}' TERM; while :; do sleep 0.05; done");
        let name = run(&zun, "waits", &[], &script);
        let mut waiting = zun.term(&["wait", "--debug", name.as_str()], (24, 80));
        waiting.shows("-> 200 OK");
        soon(&zun, &[end, &[name.as_str()]].concat());
        assert_eq!(waiting.exit(), 0, "{end:?}: {}", waiting.transcript());
        let printed = waiting.transcript().lines().last().unwrap_or_default().to_owned();
        assert_eq!(format!("{}\n", printed.trim()), code, "{end:?}");
    }
}

#[test]
fn several_containers_are_stopped_at_the_same_time() {
    let zun = ZunCli::shared();
    let stubborn = "trap '' TERM; while :; do sleep 0.2; done";
    let names: Vec<Name> = (0..4).map(|_| run(&zun, "several", &[], stubborn)).collect();
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    for verb in ["stop", "restart"] {
        let begun = Instant::now();
        let printed = soon(&zun, &[&[verb, "--time", "5"][..], &names].concat());
        assert!(begun.elapsed() >= Duration::from_secs(5), "{verb} took {:?}", begun.elapsed());
        assert_eq!(printed.lines().collect::<Vec<_>>(), names);
        soon(&zun, &[&["start"][..], &names].concat());
    }
    soon(&zun, &[&["kill"][..], &names].concat());
    assert_eq!(soon(&zun, &[&["wait"][..], &names].concat()), "137\n".repeat(4));
}
