//! Terminal sizes and execs.

use zun_common::id::ExecId;
use zun_common::rpc::container::ConsoleSpec;
use zun_common::units::TerminalSize;
use zun_compute::driver::{DriverError, LARGEST_OUTPUT};

use super::{IDLE, Subject, TestEngine, eventually, exec, spec};

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 101 };

pub async fn a_terminal_has_the_requested_size(engine: &dyn TestEngine) {
    let mut asked = spec(engine, IDLE);
    asked.console = ConsoleSpec { tty: true, stdin_open: true, ..ConsoleSpec::default() };
    let subject = Subject::started(engine, &asked).await;
    for size in [SIZE, TerminalSize { rows: 5, columns: 500 }] {
        subject.driver.resize(subject.id, size).await.unwrap();
        let show = exec(&["stty", "-F", "/dev/console", "size"]);
        let shown = subject.driver.exec_run(subject.id, &show).await.unwrap();
        let wanted = format!("{} {}\n", size.rows, size.columns);
        assert_eq!(String::from_utf8(shown.stdout).unwrap(), wanted);
    }
}

pub async fn a_resize_is_refused_if_nothing_runs(engine: &dyn TestEngine) {
    let mut asked = spec(engine, "exit 0");
    asked.console.tty = true;
    let subject = Subject::created(engine, &asked).await;
    for _ in 0..2 {
        let error = subject.driver.resize(subject.id, SIZE).await.unwrap_err();
        assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
        // The second time, the container has ended.
        subject.driver.start(subject.id).await.unwrap();
        subject.exit_code().await;
    }
}

pub async fn a_command_returns_both_streams_and_its_exit_code(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let script = exec(&["/bin/sh", "-c", "echo out; echo err >&2; exit 42"]);
    let output = subject.driver.exec_run(subject.id, &script).await.unwrap();
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!((output.exit_code, output.truncated), (42, false));
    let seen = subject.driver.exec_inspect(&output.exec).await.unwrap();
    assert_eq!((seen.running, seen.exit_code), (false, Some(42)));
    assert_eq!(seen.engine, subject.info().await.engine);
    subject.prints("ready").await;
    // The container's own output does not contain it.
    assert_eq!(subject.output().await, "ready\n");
}

pub async fn a_command_has_its_own_environment_user_and_directory(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let mut asked = exec(&["/bin/sh", "-c", "echo $A; pwd; id -u"]);
    asked.environment = vec!["A=b=c".to_owned()];
    asked.workdir = Some("/etc".to_owned());
    asked.user = Some("65534".to_owned());
    // A command that the driver runs to its end has no terminal and no stdin, whatever the spec says.
    (asked.tty, asked.stdin) = (true, true);
    let output = subject.driver.exec_run(subject.id, &asked).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "b=c\n/etc\n65534\n");
}

pub async fn a_command_that_cannot_run_is_reported_on_stderr(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    for (command, code) in [("frobnicate", 127), ("/bin/frobnicate", 127), ("/etc", 126)] {
        let output = subject.driver.exec_run(subject.id, &exec(&[command])).await.unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.exit_code, output.stdout.len()), (code, 0), "{command}: {message}");
        assert!(message.contains(command) && message.ends_with('\n'), "{message}");
    }
}

pub async fn output_is_truncated_to_four_mebibytes(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let flood = "echo first; yes 0123456 | head -c 6000000; echo done >&2";
    let flood = exec(&["/bin/sh", "-c", flood]);
    let output = subject.driver.exec_run(subject.id, &flood).await.unwrap();
    assert_eq!(
        (output.stdout.len(), output.truncated, output.exit_code),
        (LARGEST_OUTPUT, true, 0)
    );
    assert!(output.stdout.starts_with(b"first\n0123456\n"));
    assert_eq!(output.stderr, b"done\n");
}

pub async fn an_exec_starts_when_it_is_dialled(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let mut asked = exec(&["sleep", "600"]);
    (asked.tty, asked.stdin, asked.size) = (true, true, Some(SIZE));
    let created = subject.driver.exec_create(subject.id, &asked).await.unwrap();
    let seen = subject.driver.exec_inspect(&created).await.unwrap();
    assert_eq!((seen.running, seen.exit_code), (false, None));
    assert_eq!(seen.engine, subject.info().await.engine);
    let _console = engine.start_exec(&created).await;
    eventually("it runs", || async {
        subject.driver.exec_inspect(&created).await.unwrap().running
    })
    .await;
    subject.driver.exec_resize(&created, SIZE).await.unwrap();
}

pub async fn a_signal_reaches_the_process_of_an_exec(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let created = subject.driver.exec_create(subject.id, &exec(&["sleep", "600"])).await.unwrap();
    let error = subject.driver.exec_signal(&created, "SIGTERM").await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
    let _console = engine.start_exec(&created).await;
    eventually("it runs", || async {
        subject.driver.exec_inspect(&created).await.unwrap().running
    })
    .await;
    let error = subject.driver.exec_signal(&created, "SIGFOO").await.unwrap_err();
    assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
    subject.driver.exec_signal(&created, "SIGTERM").await.unwrap();
    eventually("it has ended", || async {
        subject.driver.exec_inspect(&created).await.unwrap().exit_code == Some(143)
    })
    .await;
    assert_eq!(subject.info().await.status, zun_common::status::Status::Running);
}

pub async fn an_exec_that_does_not_run_is_not_resized(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let created = subject.driver.exec_create(subject.id, &exec(&["true"])).await.unwrap();
    let error = subject.driver.exec_resize(&created, SIZE).await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
    let ended = subject.driver.exec_run(subject.id, &exec(&["true"])).await.unwrap().exec;
    let error = subject.driver.exec_resize(&ended, SIZE).await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
}

pub async fn an_unknown_exec_is_an_error_with_its_id(engine: &dyn TestEngine) {
    let unknown: ExecId = "0f".repeat(32).parse().unwrap();
    let errors = [
        engine.driver().exec_inspect(&unknown).await.err(),
        engine.driver().exec_resize(&unknown, SIZE).await.err(),
    ];
    for error in errors {
        let named = matches!(&error, Some(DriverError::NoExec(named)) if *named == unknown);
        assert!(named, "{error:?}");
    }
}

pub async fn a_command_is_refused_if_nothing_runs(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    let errors = [
        subject.driver.exec_create(subject.id, &exec(&["true"])).await.err(),
        subject.driver.exec_run(subject.id, &exec(&["true"])).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(DriverError::Conflict { .. })), "{error:?}");
    }
}

pub async fn an_empty_command_is_refused(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let error = subject.driver.exec_create(subject.id, &exec(&[])).await.unwrap_err();
    assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
}
