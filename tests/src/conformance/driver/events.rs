//! Events of the engine.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use zun_common::status::Status;
use zun_compute::driver::{EngineEvent, EngineEventKind};

use super::{IDLE, Subject, TestEngine, exec, spec, within};

type Events = BoxStream<'static, EngineEvent>;

/// Returns the next event of this container.
async fn next(events: &mut Events, subject: &Subject) -> EngineEvent {
    let mut own = events.filter(|event| std::future::ready(event.container == subject.id));
    within(own.next()).await.expect("the subscription lives")
}

/// Waits until the container has this status after an event. Returns whether one of the events began a run.
async fn wait_for_status(events: &mut Events, subject: &Subject, wanted: Status) -> bool {
    let mut began = false;
    loop {
        let event = next(events, subject).await;
        assert_ne!(event.what, EngineEventKind::Removed);
        began |= event.what == EngineEventKind::Started;
        if subject.status().await == wanted {
            return began;
        }
    }
}

pub async fn every_change_after_the_subscription_is_an_event(engine: &dyn TestEngine) {
    let mut events = engine.driver().events().await.unwrap();
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    assert!(!wait_for_status(&mut events, &subject, Status::Created).await);
    let engine = subject.info().await.engine;
    subject.driver.start(subject.id).await.unwrap();
    let mut began = wait_for_status(&mut events, &subject, Status::Running).await;
    subject.driver.pause(subject.id).await.unwrap();
    // An engine may start the container before it sends the event of the start.
    began |= wait_for_status(&mut events, &subject, Status::Paused).await;
    assert!(began);
    subject.driver.unpause(subject.id).await.unwrap();
    assert!(!wait_for_status(&mut events, &subject, Status::Running).await);
    subject.driver.kill(subject.id, "SIGKILL").await.unwrap();
    assert!(!wait_for_status(&mut events, &subject, Status::Stopped).await);
    subject.driver.remove(subject.id, true).await.unwrap();
    loop {
        let event = next(&mut events, &subject).await;
        assert_eq!(event.engine, engine);
        if event.what == EngineEventKind::Removed {
            return;
        }
    }
}

pub async fn an_end_is_reported_at_once(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let mut events = engine.driver().events().await.unwrap();
    let begun = Instant::now();
    subject.driver.kill(subject.id, "SIGKILL").await.unwrap();
    wait_for_status(&mut events, &subject, Status::Stopped).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

pub async fn execs_cause_no_events(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let mut events = engine.driver().events().await.unwrap();
    subject.driver.exec_run(subject.id, &exec(&["true"])).await.unwrap();
    subject.driver.exec_create(subject.id, &exec(&["true"])).await.unwrap();
    subject.driver.remove(subject.id, true).await.unwrap();
    // The first event is the removal.
    let first = next(&mut events, &subject).await;
    let gone = subject.driver.inspect(subject.id).await.is_err();
    assert!(gone, "{first:?}");
}

pub async fn each_event_names_its_container(engine: &dyn TestEngine) {
    let mut events = engine.driver().events().await.unwrap();
    let one = Subject::created(engine, &spec(engine, IDLE)).await;
    let other = Subject::created(engine, &spec(engine, IDLE)).await;
    let (first, second) = (one.info().await.engine, other.info().await.engine);
    assert_eq!(next(&mut events, &one).await.engine, first);
    assert_eq!(next(&mut events, &other).await.engine, second);
}

pub async fn every_subscriber_gets_every_event(engine: &dyn TestEngine) {
    let mut one = engine.driver().events().await.unwrap();
    let mut other = engine.driver().events().await.unwrap();
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    assert_eq!(next(&mut one, &subject).await, next(&mut other, &subject).await);
}
