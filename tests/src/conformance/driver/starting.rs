//! Creating and starting containers.

use zun_common::id::ContainerId;
use zun_common::restart::Restart;
use zun_common::rpc::container::ConsoleSpec;
use zun_common::status::Status;
use zun_compute::driver::{Change, DriverError};

use super::{IDLE, Subject, TestEngine, exec, shell, spec};

pub async fn a_created_container_is_shown_as_not_run(engine: &dyn TestEngine) {
    let subject = Subject::new(engine);
    let (engine, change) = subject.driver.create(subject.id, &spec(engine, IDLE)).await.unwrap();
    assert_eq!(change, Change::Done);
    let seen = subject.info().await;
    assert_eq!((seen.container, seen.engine, seen.status), (subject.id, engine, Status::Created));
    assert_eq!((seen.reason, seen.exit_code, seen.oom_killed), (None, None, false));
    assert_eq!((seen.started_at, seen.finished_at), (None, None));
}

pub async fn creating_a_container_twice_creates_one_and_says_so(engine: &dyn TestEngine) {
    let subject = Subject::new(engine);
    let spec = spec(engine, IDLE);
    let (first, _) = subject.driver.create(subject.id, &spec).await.unwrap();
    let again = subject.driver.create(subject.id, &spec).await.unwrap();
    assert_eq!(again, (first, Change::Already));
    // The same while it runs.
    subject.driver.start(subject.id).await.unwrap();
    assert_eq!(subject.driver.create(subject.id, &spec).await.unwrap(), again);
    assert_eq!(subject.status().await, Status::Running);
}

pub async fn concurrent_creates_create_one_container(engine: &dyn TestEngine) {
    let subject = Subject::new(engine);
    let spec = spec(engine, IDLE);
    let make = || subject.driver.create(subject.id, &spec);
    let created: Vec<_> = futures_util::future::join_all((0..8).map(|_| make())).await;
    let created: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    let just_created = created.iter().filter(|(_, change)| *change == Change::Done).count();
    assert_eq!(just_created, 1);
    assert!(created.iter().all(|(engine, _)| *engine == created[0].0));
}

pub async fn the_process_gets_what_the_spec_says(engine: &dyn TestEngine) {
    let mut spec = spec(engine, "echo $GREETING; pwd; hostname; id -u");
    spec.environment.insert("GREETING".to_owned(), "hello=you there".to_owned());
    spec.workdir = Some("/tmp".to_owned());
    spec.hostname = Some("inside".to_owned());
    spec.user = Some("65534".to_owned());
    let subject = Subject::started(engine, &spec).await;
    assert_eq!(subject.exit_code().await, 0);
    assert_eq!(subject.output().await, "hello=you there\n/tmp\ninside\n65534\n");

    let mut split = spec;
    split.entrypoint = Some(vec!["echo".to_owned(), "one".to_owned()]);
    split.command = Some(vec!["two words".to_owned()]);
    let subject = Subject::started(engine, &split).await;
    assert_eq!(subject.exit_code().await, 0);
    assert_eq!(subject.output().await, "one two words\n");
}

pub async fn a_container_without_its_image_is_not_created(engine: &dyn TestEngine) {
    let subject = Subject::new(engine);
    let mut spec = spec(engine, IDLE);
    spec.image = engine.unpullable();
    let error = subject.driver.create(subject.id, &spec).await.unwrap_err();
    assert!(matches!(&error, DriverError::NoImage(image) if *image == spec.image), "{error:?}");
    let error = subject.driver.inspect(subject.id).await.unwrap_err();
    assert!(matches!(error, DriverError::NoContainer(id) if id == subject.id), "{error:?}");
}

pub async fn an_invalid_field_is_refused_by_name(engine: &dyn TestEngine) {
    let subject = Subject::new(engine);
    let good = spec(engine, IDLE);
    let mut forged = good.clone();
    forged.labels.insert("zun.container".to_owned(), ContainerId::random().to_string());
    let mut image = good.clone();
    image.image = String::from("../containers/json?all=1#");
    for (spec, word) in [(forged, "zun.container"), (image, "image")] {
        let error = subject.driver.create(subject.id, &spec).await.unwrap_err();
        assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let mut both = good;
    both.restart = Some(Restart::Always);
    both.auto_remove = true;
    let error = subject.driver.create(subject.id, &both).await.unwrap_err();
    assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
}

pub async fn a_started_container_runs_and_starting_it_again_changes_nothing(
    engine: &dyn TestEngine,
) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    assert_eq!(subject.driver.start(subject.id).await.unwrap(), Change::Done);
    let seen = subject.info().await;
    assert_eq!((seen.status, seen.exit_code, seen.finished_at), (Status::Running, None, None));
    assert!(seen.started_at.is_some());
    assert_eq!(subject.driver.start(subject.id).await.unwrap(), Change::Already);
    assert_eq!(subject.info().await, seen);
}

pub async fn an_ended_container_runs_again(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, "echo once; exit 3").await;
    assert_eq!(subject.exit_code().await, 3);
    let first = subject.info().await;
    assert_eq!((first.status, first.exit_code), (Status::Stopped, Some(3)));
    assert!(first.finished_at >= first.started_at);
    assert_eq!(subject.driver.start(subject.id).await.unwrap(), Change::Done);
    assert_eq!(subject.exit_code().await, 3);
    let second = subject.info().await;
    assert_eq!(second.engine, first.engine);
    assert!(second.started_at > first.started_at);
}

pub async fn a_command_that_is_not_found_is_127(engine: &dyn TestEngine) {
    for command in ["frobnicate", "/bin/frobnicate"] {
        cannot_run(engine, command, 127).await;
    }
}

pub async fn a_command_that_is_not_executable_is_126(engine: &dyn TestEngine) {
    cannot_run(engine, "/etc", 126).await;
}

async fn cannot_run(engine: &dyn TestEngine, command: &str, wanted: i64) {
    let mut spec = spec(engine, IDLE);
    spec.command = Some(vec![command.to_owned()]);
    let subject = Subject::created(engine, &spec).await;
    let error = subject.driver.start(subject.id).await.unwrap_err();
    let DriverError::NotRunnable { code, words } = &error else { panic!("{error:?}") };
    assert_eq!(*code, wanted);
    assert!(words.contains(command), "{words}");
    let seen = subject.info().await;
    assert_eq!((seen.status, seen.exit_code), (Status::Created, Some(wanted)));
    assert!(seen.reason.is_some_and(|reason| reason.contains(command)));
}

pub async fn a_terminal_and_stdin_are_shown(engine: &dyn TestEngine) {
    let mut asked = spec(engine, IDLE);
    for (tty, stdin_open) in [(false, false), (true, true), (true, false), (false, true)] {
        asked.console = ConsoleSpec { tty, stdin_open, stdin_once: false, size: None };
        let seen = Subject::created(engine, &asked).await.info().await;
        assert_eq!((seen.tty, seen.stdin), (tty, stdin_open));
    }
    // A shell with an open stdin waits for input.
    asked.console = ConsoleSpec { tty: true, stdin_open: true, stdin_once: false, size: None };
    asked.command = Some(shell("echo ready; cat"));
    let subject = Subject::started(engine, &asked).await;
    subject.prints("ready").await;
    let output = subject.driver.exec_run(subject.id, &exec(&["true"])).await.unwrap();
    assert_eq!(output.exit_code, 0);
    assert_eq!(subject.status().await, Status::Running);
}
