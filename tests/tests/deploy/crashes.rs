//! Crashes of the standalone at various moments. The next start must work.

use std::io::{BufRead as _, BufReader, Write as _};

use zun_tests::eventually::eventually;

use super::machine::{Machine, engine_pid, gate_pid, kill, printed};

#[test]
fn the_next_start_cleans_up_after_a_killed_instance() {
    let machine = Machine::new();
    machine.up();
    machine.load_image();
    let created = machine.shell("zun run -d --name sleeper cirros sleep 1000");
    assert!(created.status.success(), "{}", printed(&created));
    session_outlives_the_gate(&machine);
    let gate = gate_pid(machine.pid()).expect("a console gate");
    kill(machine.pid());
    eventually("the gate ends with its owner", || {
        !std::path::Path::new(&format!("/proc/{gate}")).exists()
    });
    let former = engine_pid(&machine);
    assert!(!machine.processes().is_empty(), "the engine outlives its owner");
    machine.up();
    assert_ne!(engine_pid(&machine), former);
    // A program that dockerd has just forked looks like dockerd for a moment.
    eventually("there is one engine", || {
        let processes = machine.processes();
        processes.iter().filter(|line| line.contains(" dockerd ")).count() == 1
    });
    let former = format!("{former} ");
    let engines = machine.processes();
    assert!(!engines.iter().any(|line| line.starts_with(&former)), "the former engine is gone");
    assert_eq!(machine.docker(&["ps", "-q"]), "", "its containers are removed");
}

/// A killed console gate is started again, and its sessions continue.
fn session_outlives_the_gate(machine: &Machine) {
    let mut session = machine.spawn("exec zun exec -i sleeper cat");
    let mut stdin = session.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(session.stdout.take().expect("a pipe"));
    let mut gates = Vec::new();
    for line in ["one\n", "two\n", "three\n"] {
        stdin.write_all(line.as_bytes()).expect("sent");
        let mut copied = String::new();
        stdout.read_line(&mut copied).expect("a line");
        assert_eq!(copied, line);
        let gate = gate_pid(machine.pid()).expect("a console gate");
        assert!(!gates.contains(&gate));
        kill(gate);
        gates.push(gate);
        eventually("it is started again", || gate_pid(machine.pid()).is_some());
    }
    drop(stdin);
    assert!(session.wait().expect("it ends").success());
}

#[test]
fn down_cleans_up_after_a_crash() {
    let machine = Machine::new();
    machine.up();
    machine.load_image();
    let created = machine.shell("zun run -d --name sleeper cirros sleep 1000");
    assert!(created.status.success(), "{}", printed(&created));
    kill(machine.pid());
    kill(engine_pid(&machine));
    machine.down();
    assert_eq!(machine.traces(), Vec::<String>::new());
}

#[test]
fn a_crashed_engine_ends_the_service_with_an_error_that_names_it() {
    let machine = Machine::new();
    let child = machine.run();
    kill(engine_pid(&machine));
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("dockerd exited"), "{}", printed(&output));
    assert_eq!(machine.processes(), Vec::<String>::new());
    assert!(!machine.env_file().exists());
}

#[test]
fn a_plugin_that_crashes_is_restarted() {
    let machine = Machine::new();
    machine.up();
    let plugin = || {
        let processes = machine.processes();
        let line = processes.iter().find(|line| line.contains("zun-authz --socket"));
        let pid = line.and_then(|line| line.split_whitespace().next());
        pid.expect("zun-authz runs").parse().expect("a number")
    };
    let former: i32 = plugin();
    kill(former);
    // The engine tries to reach the plugin for 15 seconds.
    machine.docker(&["version"]);
    assert_ne!(plugin(), former);
}
