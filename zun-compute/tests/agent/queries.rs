//! Calls that are not commands are answered from the engine, or refused with a message.

use std::time::Duration;

use zun_common::grant::Mode;
use zun_common::id::ContainerId;
use zun_common::rpc::Code;
use zun_common::rpc::container::{
    ConsoleListener, LocateConsole, LogRequest, ReadLogs, ResizeTerminal, ShowContainer,
};
use zun_common::rpc::exec::{CreateExec, ExecSpec, LocateExec, ResizeExec, RunExec, SignalExec};
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::status::Status;
use zun_common::units::TerminalSize;
use zun_compute::ConsoleStatus;
use zun_compute::driver::fake::InspectionFault;

use crate::world::{World, create};

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 101 };

fn listener() -> ConsoleListener {
    let api_version = "1.41".parse().expect("a version");
    ConsoleListener { address: "compute1.example:2376".to_owned(), api_version, gate: None }
}

fn locate(container: ContainerId) -> LocateConsole {
    LocateConsole { container, mode: Mode::ReadWrite, before_start: false }
}

fn words(command: &[&str]) -> ExecSpec {
    ExecSpec {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        tty: false,
        stdin: false,
        environment: Vec::new(),
        user: None,
        workdir: None,
        privileged: false,
        size: None,
    }
}

#[tokio::test]
async fn a_console_is_located_for_a_created_or_running_container_while_the_listener_is_up() {
    let world = World::new().await;
    let agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let problem = world.refusal(&locate(container)).await;
    assert_eq!(problem.code, Code::NoConsole);
    assert!(problem.message.contains("console.address"), "{problem}");
    agent.set_console(ConsoleStatus::Up(listener()));
    let console = world.call(&locate(container)).await.expect("a console");
    assert_eq!((console.tty, console.stdin, console.listener), (true, true, listener()));
    let beat = world.controller.until_heartbeat(|beat| beat.console.is_some()).await;
    assert_eq!(beat.console, Some(listener()), "reported at once");
    world.order(container, Change::Stop { grace: Some(1) }).await;
    world.controller.until(container, Status::Stopped).await;
    let problem = world.refusal(&locate(container)).await;
    let words = format!("Cannot attach container {container} in Stopped state.");
    assert_eq!((problem.code, problem.message), (Code::Conflict, words));
    agent.set_console(ConsoleStatus::Down("its certificate expired".to_owned()));
    let fresh = create(&["/bin/sh"]);
    world.create(&fresh).await;
    world.controller.until(fresh.container, Status::Created).await;
    assert_eq!(world.refusal(&locate(fresh.container)).await.message, "its certificate expired");
}

#[tokio::test]
async fn a_terminal_is_resized_and_a_container_without_one_is_refused() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.call(&ResizeTerminal { container, size: SIZE }).await.expect("resized");
    assert_eq!(world.engine.terminal_size(container), Some(SIZE));
    let mut plain = create(&["/bin/sh"]);
    (plain.spec.console.tty, plain.start) = (false, true);
    world.create(&plain).await;
    world.controller.until(plain.container, Status::Running).await;
    let problem = world.refusal(&ResizeTerminal { container: plain.container, size: SIZE }).await;
    assert_eq!(problem.code, Code::Conflict);
    assert!(problem.message.contains("no terminal"), "{problem}");
}

#[tokio::test]
async fn an_exec_is_created_run_and_resized_only_through_its_own_container() {
    let world = World::new().await;
    let agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let other = world.running(&["/bin/sh"]).await;
    let output =
        world.call(&RunExec { container, spec: words(&["echo", "hi"]) }).await.expect("an output");
    assert_eq!((output.stdout.as_slice(), output.exit_code), (&b"hi\n"[..], 0));
    assert_eq!(
        world.refusal(&RunExec { container, spec: words(&[]) }).await.code,
        Code::BadRequest
    );

    agent.set_console(ConsoleStatus::Up(listener()));
    let spec = ExecSpec { tty: true, stdin: true, ..words(&["/bin/sh"]) };
    let made = world.call(&CreateExec { container, spec }).await.expect("an exec");
    assert_eq!(made.listener, Some(listener()));
    assert!(world.engine.start_exec(&made.exec));
    let resize = |container| ResizeExec { container, exec: made.exec.clone(), size: SIZE };
    world.call(&resize(container)).await.expect("resized");
    assert_eq!(world.refusal(&resize(other)).await.code, Code::NotFound);
    let locate = |container| LocateExec { container, exec: made.exec.clone() };
    let console = world.call(&locate(container)).await.expect("a console");
    assert_eq!((console.listener, console.tty, console.stdin), (listener(), true, true));
    assert_eq!(world.refusal(&locate(other)).await.code, Code::NotFound);
    let signal =
        |container| SignalExec { container, exec: made.exec.clone(), signal: "SIGTERM".to_owned() };
    assert_eq!(world.refusal(&signal(other)).await.code, Code::NotFound);
    world.call(&signal(container)).await.expect("sent");
    assert_eq!(world.refusal(&signal(container)).await.code, Code::Conflict);
    world.call(&locate(container)).await.expect("an exec that has exited can be located too");
}

#[tokio::test]
async fn a_container_is_shown_and_its_logs_are_read() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh", "-c", "echo hello; sleep 1000"]).await;
    let request =
        LogRequest { stdout: true, stderr: true, timestamps: false, tail: None, since: None };
    let read = ReadLogs { container, request: request.clone() };
    while world.call(&read).await.expect("logs").data.is_empty() {
        tokio::task::yield_now().await;
    }
    let logs = world.call(&read).await.expect("logs");
    assert!(String::from_utf8_lossy(&logs.data).contains("hello"));
    let none = LogRequest { stdout: false, stderr: false, ..request };
    let problem = world.refusal(&ReadLogs { container, request: none }).await;
    assert_eq!(problem.code, Code::BadRequest);
    let missing = ContainerId::random();
    assert_eq!(world.refusal(&ShowContainer { container: missing }).await.code, Code::NotFound);
}

#[tokio::test]
async fn calls_and_operations_wait_for_a_container_that_docker_holds() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.until_heartbeat(|_beat| true).await;
    let exec = CreateExec { container, spec: words(&["true"]) };
    let copied = |seconds| {
        let held = world.engine.break_inspection(container, InspectionFault::Stalled);
        async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            drop(held);
        }
    };
    // The clock moves whenever all tasks wait.
    tokio::time::pause();
    let (created, ()) = tokio::join!(world.call(&exec), copied(12));
    created.expect("created after the copy");
    let stop = world.controller.accept(container, Change::Stop { grace: Some(1) });
    let operation = stop.operation.id;
    let (_told, ()) = tokio::join!(world.call(&stop), copied(12));
    assert_eq!(world.controller.outcome(operation).await, Outcome::Succeeded);
    let start = world.controller.accept(container, Change::Start { last_start: None });
    world.call(&start).await.expect("started");
    let (problem, ()) = tokio::join!(world.refusal(&exec), copied(30));
    let words = "cannot inspect the container: Docker answers, but not about this container within 18 s. \
                 Another action holds it";
    assert!(problem.message.starts_with(words), "{problem}");
}
