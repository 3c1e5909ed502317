use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use zun_common::gate_control::RecordingsRequest;
use zun_common::id::{ContainerId, RecordingId};
use zun_common::pty::Size;
use zun_common::recording::{RecordPolicy, RecordingInfo};

use super::*;

const MEBIBYTE: u64 = 1 << 20;
const DAY: Duration = Duration::from_hours(24);

fn open(directory: &Path, all: u64) -> Arc<Recordings> {
    open_with(directory, Quota { all, of_project: u64::MAX })
}

fn open_with(directory: &Path, quota: Quota) -> Arc<Recordings> {
    Arc::new(Recordings::open(directory.join("recordings"), quota, DAY).expect("recordings"))
}

pub(super) fn info(started: u64) -> RecordingInfo {
    RecordingInfo {
        id: RecordingId::random(),
        project: "p1".parse().expect("a project"),
        container: ContainerId::random(),
        container_name: "web".to_owned(),
        exec: None,
        tty: true,
        policy: RecordPolicy::Required,
        started,
        ended: None,
        end: String::new(),
    }
}

fn batch(stdout: &[u8], end: u64) -> Batch {
    Batch { stdout: stdout.to_vec(), to: (end, 0), ..Batch::default() }
}

fn file(directory: &Path, id: RecordingId, kind: &str) -> PathBuf {
    directory.join("recordings").join(format!("{id}.{kind}"))
}

/// The output in a recording, whose format is checked.
fn output(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("UTF-8");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let header = lines.next().expect("a header");
    assert_eq!((&header["version"], &header["title"]), (&2.into(), &"web".into()));
    assert!(header["width"].as_u64().is_some_and(|width| width > 0), "{header}");
    let (mut output, mut last) = (String::new(), 0.0);
    for event in lines {
        let time = event[0].as_f64().expect("a time");
        assert!(time >= last, "{event}");
        last = time;
        if event[1] == "o" {
            output.push_str(event[2].as_str().expect("text"));
        }
    }
    output
}

#[test]
fn a_recording_continues_in_another_process_without_a_byte_twice_and_only_its_owner_can_read_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let info = info(now());
    let size = Some(Size { width: 100, height: 30 });
    let mut writer =
        open(directory.path(), MEBIBYTE).begin(info.clone(), size).expect("a recording");
    writer.write(&batch("one €".as_bytes(), 7)).expect("written");
    // Half of a character is not in the recording yet.
    writer.write(&batch(&"€".as_bytes()[..2], 9)).expect("written");
    drop(writer);
    // As if the process was killed before it wrote the place.
    let cast = fs::OpenOptions::new().write(true).open(file(directory.path(), info.id, "cast"));
    let cast = cast.expect("a file");
    cast.write_all_at(b"[9.0, \"o\", \"twice", cast.metadata().expect("a size").len())
        .expect("written");
    let recordings = open(directory.path(), MEBIBYTE);
    let mut writer = recordings.resume(info.id).expect("it is in progress");
    assert!(recordings.resume(info.id).is_err(), "it is written already");
    assert_eq!(writer.next(), (7, 0));
    writer.write(&batch("€ two".as_bytes(), 14)).expect("written");
    recordings.end_others();
    writer.finish("the process exited with 0").expect("finished");
    for kind in ["cast", "json"] {
        let mode = fs::metadata(file(directory.path(), info.id, kind)).expect("a file");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
    assert!(!file(directory.path(), info.id, "place").exists());
    assert_eq!(output(&file(directory.path(), info.id, "cast")), "one €€ two");
    let listed = open(directory.path(), MEBIBYTE).list(&RecordingsRequest::default());
    let [kept] = &listed.recordings[..] else { panic!("{listed:?}") };
    assert_eq!(kept.info.end, "the process exited with 0");
    assert!(kept.info.ended.is_some());
}

#[test]
fn the_oldest_finished_recordings_make_room_and_those_in_progress_do_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let recordings = open(directory.path(), MEBIBYTE);
    let large = vec![b'x'; 300_000];
    let begin = |started| recordings.begin(info(started), None).expect("a recording");
    let (mut first, mut second) = (begin(now()), begin(now() + 1));
    let ids = (first.info().id, second.info().id);
    for writer in [&mut first, &mut second] {
        writer.write(&batch(&large, 300_000)).expect("written");
    }
    second.finish("done").expect("finished");
    let mut third = begin(now() + 2);
    third.write(&batch(&large, 300_000)).expect("written");
    let refused = third.write(&batch(&large, 600_000)).map(|()| third.info().id);
    let third_id = refused.expect("the second one has made room");
    assert!(!file(directory.path(), ids.1, "cast").exists());
    let full = first.write(&batch(&large, 600_000)).expect_err("nothing has ended");
    assert!(full.to_string().contains("recordings.quota"), "{full}");
    third.finish("done").expect("finished");
    first.write(&batch(&large, 600_000)).expect("the third one has made room");
    assert!(!file(directory.path(), third_id, "cast").exists());
    first.finish("done").expect("finished");
    let text = fs::read_to_string(file(directory.path(), ids.0, "cast")).expect("a file");
    assert_eq!(output(&file(directory.path(), ids.0, "cast")).len(), 600_000);
    assert!(text.contains("could not continue for a while"), "the pause is marked");
    assert!(recordings.used().1 <= MEBIBYTE);
}

#[test]
fn a_project_with_many_recordings_pushes_out_its_own_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let quota = Quota { all: MEBIBYTE, of_project: 700_000 };
    let recordings = open_with(directory.path(), quota);
    let of = |project: &str, started| {
        let project = project.parse().expect("a project");
        RecordingInfo { project, ..info(started) }
    };
    let record = |project, started, size: usize| {
        let mut writer = recordings.begin(of(project, started), None).expect("a recording");
        let written = writer.write(&batch(&vec![b'x'; size], size as u64));
        let id = writer.info().id;
        (writer, id, written)
    };
    let exists = |id| file(directory.path(), id, "cast").exists();
    let (oldest, of_other, _) = record("p2", 1, 100_000);
    oldest.finish("done").expect("finished");
    let (first, first_id, _) = record("p1", 2, 300_000);
    first.finish("done").expect("finished");
    let (second, second_id, _) = record("p1", 3, 300_000);
    // Its own quota.
    let (third, third_id, _) = record("p1", 4, 300_000);
    assert_eq!([of_other, first_id, second_id, third_id].map(exists), [true, false, true, true]);
    let (_fourth, _, refused) = record("p1", 5, 300_000);
    let refused = refused.expect_err("nothing has ended");
    assert!(refused.to_string().contains("recordings.project_quota"), "{refused}");
    // The quota of all.
    second.finish("done").expect("finished");
    third.finish("done").expect("finished");
    let (_fifth, _, written) = record("p3", 6, 400_000);
    written.expect("the project that uses most has made room");
    assert_eq!([of_other, second_id, third_id].map(exists), [true, false, true]);
}

#[test]
fn recordings_are_removed_when_they_are_old_or_deleted_but_not_in_progress() {
    let directory = tempfile::tempdir().expect("a directory");
    let recordings = open(directory.path(), MEBIBYTE);
    let writer = recordings.begin(info(1), None).expect("a recording");
    let id = writer.info().id;
    recordings.remove_old();
    assert!(matches!(recordings.delete(id), Err(NotDeleted::InProgress(_))));
    writer.finish("done").expect("finished");
    assert_eq!(recordings.used().0, 1, "its age counts from its end");
    let path = file(directory.path(), id, "json");
    let mut old: RecordingInfo =
        serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    old.ended = Some(2);
    fs::write(&path, serde_json::to_vec(&old).expect("JSON")).expect("written");
    assert_eq!(open(directory.path(), MEBIBYTE).used(), (0, 0));
    assert!(!path.exists());
    let other = recordings.begin(info(now()), None).expect("a recording");
    let other_id = other.info().id;
    other.finish("done").expect("finished");
    assert!(recordings.read(other_id).is_ok());
    assert!(recordings.delete(other_id).expect("deleted") > 0);
    assert!(matches!(recordings.delete(other_id), Err(NotDeleted::NotFound(_))));
    assert!(recordings.read(other_id).is_err());
}

#[test]
fn recordings_without_a_session_end_and_files_without_a_recording_are_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let recordings = open(directory.path(), MEBIBYTE);
    let mut writer = recordings.begin(info(now()), None).expect("a recording");
    let id = writer.info().id;
    writer.write(&batch(b"last", 4)).expect("written");
    let rest = file(directory.path(), RecordingId::random(), "cast");
    fs::write(&rest, "rest").expect("written");
    let again = open(directory.path(), MEBIBYTE);
    again.end_others();
    assert!(!rest.exists());
    let listed = again.list(&RecordingsRequest { id: Some(id), ..RecordingsRequest::default() });
    assert!(listed.recordings[0].info.end.contains("lost"), "{listed:?}");
    assert_eq!(output(&file(directory.path(), id, "cast")), "last");
}

#[test]
fn only_the_recordings_of_the_project_and_container_are_listed() {
    let directory = tempfile::tempdir().expect("a directory");
    let recordings = open(directory.path(), MEBIBYTE);
    let own = info(now());
    let other = RecordingInfo { project: "p2".parse().expect("a project"), ..info(now()) };
    for info in [&own, &other] {
        recordings.begin(info.clone(), None).expect("a recording").finish("").expect("finished");
    }
    let count = |request: RecordingsRequest| recordings.list(&request).recordings.len();
    let project = Some(own.project.clone());
    let (container, name) = (Some(other.container), Some("web".to_owned()));
    let all = RecordingsRequest::default;
    assert_eq!(count(all()), 2);
    assert_eq!(count(RecordingsRequest { project: project.clone(), ..all() }), 1);
    assert_eq!(count(RecordingsRequest { container, ..all() }), 1);
    assert_eq!(count(RecordingsRequest { project, container, ..all() }), 0);
    assert_eq!(count(RecordingsRequest { name, ..all() }), 2);
}

#[test]
fn without_a_directory_nothing_is_recorded() {
    let recordings = Arc::new(Recordings::default());
    assert!(matches!(recordings.begin(info(1), None), Err(NoRecording::NoDirectory)));
    assert_eq!(recordings.used().0, 0);
}
