//! Images.

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use zun_compute::driver::{DriverError, PullRequest};

use super::{IDLE, Subject, TestEngine, spec, within};

pub async fn an_image_exists_or_not(engine: &dyn TestEngine) {
    let driver = engine.driver();
    let image = engine.image();
    assert!(driver.image_present(&image, None).await.unwrap());
    assert!(driver.image_present(&format!("{image}:latest"), None).await.unwrap());
    assert!(!driver.image_present(&format!("{image}:no-such-tag"), None).await.unwrap());
    assert!(!driver.image_present("no-such-image", None).await.unwrap());
    let digest = format!("{image}@sha256:{}", "ab".repeat(32));
    assert!(!driver.image_present(&digest, None).await.unwrap());
}

pub async fn an_invalid_image_name_is_refused(engine: &dyn TestEngine) {
    let driver = engine.driver();
    for name in ["", "a b", "../version", "a?b", "a#b", "a/../../x", "-a", "a@b"] {
        let (progress, _taken) = mpsc::channel(1);
        let errors = [
            driver.image_present(name, None).await.err(),
            driver.image_pull(PullRequest::of(name), progress).await.err(),
        ];
        for error in errors {
            assert!(matches!(error, Some(DriverError::Invalid { .. })), "{name}: {error:?}");
        }
    }
}

pub async fn a_pull_fetches_an_image_and_reports_progress(engine: &dyn TestEngine) {
    let Some(image) = engine.pullable().await else { return };
    let driver = engine.driver();
    assert!(!driver.image_present(&image, None).await.unwrap());
    let (progress, mut receiver) = mpsc::channel(1000);
    within(driver.image_pull(PullRequest::of(&image), progress)).await.unwrap();
    assert!(driver.image_present(&image, None).await.unwrap());
    let mut steps = Vec::new();
    while let Some(step) = receiver.recv().await {
        assert!(!step.layer.is_empty() && !step.state.is_empty(), "{step:?}");
        steps.push(step);
    }
    assert!(!steps.is_empty());
    assert!(steps.iter().any(|step| step.bytes.is_some()), "{steps:?}");
    // The second time, the image is already there.
    let (progress, _taken) = mpsc::channel(1000);
    within(driver.image_pull(PullRequest::of(&image), progress)).await.unwrap();
}

pub async fn a_pull_continues_if_nobody_reads_its_progress(engine: &dyn TestEngine) {
    let Some(image) = engine.pullable().await else { return };
    let driver = engine.driver();
    let (progress, never_taken) = mpsc::channel(1);
    within(driver.image_pull(PullRequest::of(&image), progress)).await.unwrap();
    drop(never_taken);
    assert!(driver.image_present(&image, None).await.unwrap());
    let (progress, gone) = mpsc::channel(1);
    drop(gone);
    within(driver.image_pull(PullRequest::of(&image), progress)).await.unwrap();
}

pub async fn an_unknown_image_is_an_error_with_a_message(engine: &dyn TestEngine) {
    let image = engine.unpullable();
    let (progress, _taken) = mpsc::channel(1000);
    let error =
        within(engine.driver().image_pull(PullRequest::of(&image), progress)).await.unwrap_err();
    assert!(matches!(error, DriverError::NoImage(_) | DriverError::Engine { .. }), "{error:?}");
    assert!(error.to_string().contains(&image) || error.to_string().len() > 20, "{error}");
    assert!(!engine.driver().image_present(&image, None).await.unwrap());
}

pub async fn each_change_of_the_images_is_told(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    let mut changes = subject.driver.image_changes().await.unwrap();
    subject.driver.commit(subject.id, ("zun.local/test/changes", "v1")).await.unwrap();
    within(changes.next()).await.expect("it was added");
    let mut changes = subject.driver.image_changes().await.unwrap();
    subject.driver.image_remove("zun.local/test/changes:v1").await.unwrap();
    within(changes.next()).await.expect("it was removed");
}
