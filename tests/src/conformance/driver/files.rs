//! Archives, changed files, and images of containers.

use zun_common::rpc::files::ChangeKind;
use zun_compute::driver::DriverError;

use super::{IDLE, Subject, TestEngine, spec};

/// A tar archive with an empty file of this name.
fn archive(name: &str) -> Vec<u8> {
    let mut archive = vec![0_u8; 512];
    let mut put = |at: usize, text: &str| {
        archive[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, "00000000000\0");
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = archive.iter().map(|byte| u32::from(*byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend([0; 1024]);
    archive
}

pub async fn an_archive_is_unpacked_and_read_again(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    let driver = &subject.driver;
    driver.archive_put(subject.id, "/tmp", archive("copied")).await.expect("unpacked");
    let read = driver.archive_get(subject.id, "/tmp").await.expect("an archive");
    assert_eq!(read.stat.name, "tmp");
    let holds = |name: &[u8]| read.data.windows(name.len()).any(|part| part == name);
    assert!(holds(b"copied"));
    let changes = driver.changes(subject.id).await.expect("changes");
    let tmp = changes.iter().find(|change| change.path == "/tmp").expect("/tmp has changed");
    assert_eq!(tmp.kind, ChangeKind::Changed);
}

pub async fn a_missing_file_differs_from_a_missing_container(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    let missing = subject.driver.archive_get(subject.id, "/no/such/file").await;
    assert!(matches!(missing, Err(DriverError::NoFile(path)) if path == "/no/such/file"));
    let nobody = Subject::new(engine);
    let missing = nobody.driver.archive_get(nobody.id, "/tmp").await;
    assert!(matches!(missing, Err(DriverError::NoContainer(_))));
}

pub async fn an_image_of_a_container_can_be_used_on_its_host(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    let id =
        subject.driver.commit(subject.id, ("zun.local/test/made", "v1")).await.expect("an image");
    assert!(id.starts_with("sha256:"), "{id}");
    let made = "zun.local/test/made:v1";
    assert!(subject.driver.image_present(made, None).await.expect("an answer"));
    let origin = subject.driver.image_origin(made).await.expect("its origin");
    let project = spec(engine, IDLE).project.to_string();
    assert_eq!((origin.project, origin.names), (Some(project), vec![made.to_owned()]));
}
