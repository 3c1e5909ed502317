//! The directory of recordings: what it contains, and what is removed from it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};
use zun_common::atomic_file::{self, Attributes};
use zun_common::gate_control::{GateRecordings, MOST_RECORDINGS, RecordingsRequest};
use zun_common::id::{ProjectId, RecordingId};
use zun_common::pty::Size;
use zun_common::recording::{KeptRecording, RecordingInfo};

use super::now;
use super::writer::{Place, Writer};

/// The space that a recording takes in addition to the content of its file, in bytes.
const OVERHEAD: u64 = 8 << 10;
/// The most recordings.
const MOST: usize = 10_000;
/// The ending of a recording whose session disappeared before it ended.
const LOST: &str = "the console gate has lost the session";

/// There are no recordings, or one cannot begin or continue.
#[derive(Debug, thiserror::Error)]
pub enum NoRecording {
    /// The settings name no directory.
    #[error("the console gate has no `state_directory` for recordings")]
    NoDirectory,
    /// A file or directory cannot be used.
    #[error("cannot use `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The gate stops, or has an internal error.
    #[error("the console gate stops, or an internal error ended the work")]
    Interrupted(#[from] tokio::task::JoinError),
    /// There is no such recording in progress.
    #[error("recording {0} is not in progress")]
    Ended(RecordingId),
}

/// Why a recording was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum NotDeleted {
    /// There is none.
    #[error("there is no recording {0}")]
    NotFound(RecordingId),
    /// Its session has not ended.
    #[error("recording {0} is still in progress: delete it after it has ended")]
    InProgress(RecordingId),
    /// Its file cannot be removed.
    #[error("cannot remove the files of recording {0}")]
    Files(RecordingId, #[source] io::Error),
}

/// The most bytes of recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Of all together.
    pub all: u64,
    /// Of one project, so that others have room for theirs.
    pub of_project: u64,
}

/// A recording that is read.
#[derive(Debug)]
pub struct OpenRecording {
    /// Its file.
    pub file: File,
    /// How much of the file to read, in bytes.
    pub length: u64,
    /// Whether its session has not ended.
    pub is_in_progress: bool,
}

/// All recordings of the host.
#[derive(Debug, Default)]
pub struct Recordings {
    /// Without one, there are none.
    directory: Option<PathBuf>,
    quota: Quota,
    age: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By their start and their IDs.
    kept: BTreeMap<(u64, RecordingId), Kept>,
    /// How many bytes the recordings of each project take.
    used: HashMap<ProjectId, u64>,
}

#[derive(Debug)]
struct Kept {
    info: RecordingInfo,
    size: u64,
    /// Whether this process writes it.
    is_written: bool,
}

impl Kept {
    const fn is_in_progress(&self) -> bool {
        self.info.ended.is_none()
    }

    const fn charge(&self) -> u64 {
        self.size + OVERHEAD
    }

    const fn key(&self) -> (u64, RecordingId) {
        key(&self.info)
    }
}

const fn key(info: &RecordingInfo) -> (u64, RecordingId) {
    (info.started, info.id)
}

impl State {
    fn insert(&mut self, kept: Kept) {
        *self.used.entry(kept.info.project.clone()).or_default() += kept.charge();
        self.kept.insert(kept.key(), kept);
    }

    fn remove(&mut self, key: (u64, RecordingId)) {
        let Some(kept) = self.kept.remove(&key) else { return };
        if let Some(used) = self.used.get_mut(&kept.info.project) {
            *used = used.saturating_sub(kept.charge());
        }
        self.used.retain(|_, used| *used > 0);
    }

    fn used(&self) -> u64 {
        self.used.values().sum()
    }

    fn used_by(&self, project: &ProjectId) -> u64 {
        self.used.get(project).copied().unwrap_or_default()
    }

    fn find(&mut self, id: RecordingId) -> Option<&mut Kept> {
        self.kept.values_mut().find(|kept| kept.info.id == id)
    }

    fn set_size(&mut self, info: &RecordingInfo, size: u64) {
        if let Some(kept) = self.kept.get_mut(&key(info)) {
            let used = self.used.entry(kept.info.project.clone()).or_default();
            *used = used.saturating_sub(kept.size) + size;
            kept.size = size;
        }
    }

    /// The oldest finished recording of this project.
    fn oldest_finished_of(&self, project: &ProjectId) -> Option<(u64, RecordingId)> {
        let mut finished = self.kept.iter().filter(|(_, kept)| !kept.is_in_progress());
        finished.find(|(_, kept)| kept.info.project == *project).map(|(key, _)| *key)
    }

    /// The oldest finished recording of the project that has the most recordings, of those that have finished ones. Among
    /// projects with the same number, this one comes first.
    fn oldest_of_most(&self, first: &ProjectId) -> Option<(u64, RecordingId)> {
        let mut counts: HashMap<_, (usize, bool)> = HashMap::new();
        for kept in self.kept.values() {
            let (count, has_finished) = counts.entry(&kept.info.project).or_default();
            *count += 1;
            *has_finished |= !kept.is_in_progress();
        }
        let candidates = counts.into_iter().filter(|(_, (_, has_finished))| *has_finished);
        let (most, _) =
            candidates.max_by_key(|(project, (count, _))| (*count, *project == first))?;
        self.oldest_finished_of(most)
    }

    /// The oldest finished recording of the project that uses the most space, among the projects that have finished
    /// ones. So no project can push out the recordings of others.
    fn oldest_finished(&self) -> Option<(u64, RecordingId)> {
        let finished = self.kept.values().filter(|kept| !kept.is_in_progress());
        let projects: HashSet<_> = finished.map(|kept| &kept.info.project).collect();
        let largest = projects.into_iter().max_by_key(|project| self.used_by(project))?;
        self.oldest_finished_of(largest)
    }
}

impl Recordings {
    /// Opens a directory, which is created if it is missing, with what former processes have recorded.
    pub(super) fn open(
        directory: PathBuf,
        quota: Quota,
        age: Duration,
    ) -> Result<Self, NoRecording> {
        let failed = |cause| NoRecording::File { path: directory.clone(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let state = Mutex::new(read(&directory).map_err(failed)?);
        let recordings = Self { directory: Some(directory), quota, age, state };
        recordings.remove_old();
        Ok(recordings)
    }

    /// Begins a recording.
    pub fn begin(
        self: &Arc<Self>,
        info: RecordingInfo,
        size: Option<Size>,
    ) -> Result<Writer, NoRecording> {
        let (id, mut removed) = (info.id, Vec::new());
        {
            let mut state = self.state();
            while state.kept.len() >= MOST
                && let Some(oldest) = state.oldest_of_most(&info.project)
            {
                state.remove(oldest);
                removed.push(oldest.1);
            }
            let info = info.clone();
            state.insert(Kept { info, size: 0, is_written: true });
        }
        self.remove(removed, "the host has too many");
        let begun = self.create(&info).and_then(|files| {
            let path = self.path(id, "cast")?;
            let failed = |cause| NoRecording::File { path, cause };
            Writer::begin(Arc::clone(self), info, files, size).map_err(failed)
        });
        if begun.is_err() {
            self.discard(id);
        }
        begun
    }

    /// Removes a recording of a session that did not begin.
    pub fn discard(&self, id: RecordingId) {
        let mut state = self.state();
        if let Some(key) = state.find(id).map(|kept| kept.key()) {
            state.remove(key);
        }
        drop(state);
        if let Err(error) = self.remove_files(id) {
            warn!(%error, recording.id = %id, "cannot remove a recording");
        }
    }

    /// Continues a recording of a former process.
    pub fn resume(self: &Arc<Self>, id: RecordingId) -> Result<Writer, NoRecording> {
        let info = {
            let mut state = self.state();
            let found = state.find(id).filter(|kept| kept.is_in_progress() && !kept.is_written);
            let found = found.ok_or(NoRecording::Ended(id))?;
            found.is_written = true;
            found.info.clone()
        };
        let open = |kind| {
            let path = self.path(id, kind)?;
            let opened = OpenOptions::new().read(true).write(true).open(&path);
            opened.map_err(|cause| NoRecording::File { path, cause })
        };
        let (cast, place) = (open("cast")?, open("place")?);
        let path = self.path(id, "place")?;
        let failed = |cause| NoRecording::File { path, cause };
        Writer::resumed(Arc::clone(self), info, (cast, place)).map_err(failed)
    }

    /// Ends the recordings of former processes that were not resumed.
    pub fn end_others(&self) {
        let lost: Vec<_> = {
            let state = self.state();
            let all = state.kept.values().filter(|kept| kept.is_in_progress() && !kept.is_written);
            all.map(|kept| (kept.info.clone(), kept.size)).collect()
        };
        for (info, size) in lost {
            let length = self.path(info.id, "place").ok().and_then(|path| File::open(path).ok());
            let length = length.and_then(|file| Place::read(&file).ok()).map(Place::length);
            if let Err(error) = self.finished(&info, length.unwrap_or(size), LOST) {
                warn!(%error, recording.id = %info.id, "cannot end a recording");
            }
        }
    }

    /// Makes room for a recording of this size. Removes finished ones if necessary.
    pub(super) fn reserve(&self, info: &RecordingInfo, size: u64) -> io::Result<()> {
        let (mut of_project, mut of_all) = (Vec::new(), Vec::new());
        let reserved = {
            let mut state = self.state();
            self.make_room(&mut state, (info, size), (&mut of_project, &mut of_all))
        };
        self.remove(of_project, "the project needs the space for another");
        self.remove(of_all, "the space is needed for others");
        reserved
    }

    /// Takes finished recordings out until there is room. Their files must be removed afterwards.
    fn make_room(
        &self,
        state: &mut State,
        (info, size): (&RecordingInfo, u64),
        (of_project, of_all): (&mut Vec<RecordingId>, &mut Vec<RecordingId>),
    ) -> io::Result<()> {
        let former = state.kept.get(&key(info)).map_or(0, |kept| kept.size);
        let more = size.saturating_sub(former);
        let full = |words: &str| io::Error::new(io::ErrorKind::QuotaExceeded, words);
        while state.used_by(&info.project).saturating_add(more) > self.quota.of_project {
            let oldest = state.oldest_finished_of(&info.project).ok_or_else(|| {
                full("the project's recordings in progress have used up `recordings.project_quota`")
            })?;
            state.remove(oldest);
            of_project.push(oldest.1);
        }
        while state.used().saturating_add(more) > self.quota.all {
            let oldest = state.oldest_finished().ok_or_else(|| {
                full("the recordings in progress have used up `recordings.quota`")
            })?;
            state.remove(oldest);
            of_all.push(oldest.1);
        }
        state.set_size(info, size);
        Ok(())
    }

    /// A recording has ended with this length.
    pub(super) fn finished(&self, info: &RecordingInfo, length: u64, end: &str) -> io::Result<()> {
        let (ended, end) = (Some(now()), end.to_owned());
        let info = RecordingInfo { ended, end, ..info.clone() };
        {
            let mut state = self.state();
            state.set_size(&info, length);
            if let Some(kept) = state.kept.get_mut(&key(&info)) {
                kept.info = info.clone();
                kept.is_written = false;
            }
        }
        let path = |kind| self.path(info.id, kind).map_err(io::Error::other);
        let cast = OpenOptions::new().write(true).open(path("cast")?)?;
        cast.set_len(length)?;
        write_info(&path("json")?, &info)?;
        fs::remove_file(path("place")?)
    }

    /// Removes recordings that have reached their age.
    pub fn remove_old(&self) {
        let age = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
        let before = now().saturating_sub(age);
        let old: Vec<_> = {
            let mut state = self.state();
            let is_old = |kept: &Kept| kept.info.ended.is_some_and(|ended| ended < before);
            let old = state.kept.iter().filter(|(_, kept)| is_old(kept));
            let old: Vec<_> = old.map(|(key, _)| *key).collect();
            for key in &old {
                state.remove(*key);
            }
            old.into_iter().map(|(_, id)| id).collect()
        };
        self.remove(old, "it has reached recordings.days");
    }

    /// The recordings that were selected.
    pub fn list(&self, request: &RecordingsRequest) -> GateRecordings {
        let RecordingsRequest { project, container, name, id } = request;
        let state = self.state();
        let selected = state.kept.values().filter(|Kept { info, .. }| {
            project.as_ref().is_none_or(|project| *project == info.project)
                && container.is_none_or(|container| container == info.container)
                && name.as_ref().is_none_or(|name| *name == info.container_name)
                && id.is_none_or(|id| id == info.id)
        });
        let mut newest = selected
            .rev()
            .map(|Kept { info, size, .. }| KeptRecording { info: info.clone(), size: *size });
        let mut recordings: Vec<_> = newest.by_ref().take(MOST_RECORDINGS).collect();
        recordings.reverse();
        GateRecordings { recordings, more: newest.next().is_some() }
    }

    /// Opens a recording.
    pub fn read(&self, id: RecordingId) -> Result<OpenRecording, NoRecording> {
        let path = self.path(id, "cast")?;
        let (length, is_in_progress) = {
            let mut state = self.state();
            let kept = state.find(id).ok_or(NoRecording::Ended(id))?;
            (kept.size, kept.is_in_progress())
        };
        let file = File::open(&path).map_err(|cause| NoRecording::File { path, cause })?;
        Ok(OpenRecording { file, length, is_in_progress })
    }

    /// Deletes a recording that has ended. Returns its size.
    pub fn delete(&self, id: RecordingId) -> Result<u64, NotDeleted> {
        let (key, size) = {
            let mut state = self.state();
            let found = state.find(id).ok_or(NotDeleted::NotFound(id))?;
            if found.is_in_progress() {
                return Err(NotDeleted::InProgress(id));
            }
            (found.key(), found.size)
        };
        self.remove_files(id).map_err(|cause| NotDeleted::Files(id, cause))?;
        self.state().remove(key);
        Ok(size)
    }

    /// How many recordings there are, and how many bytes they take.
    pub fn used(&self) -> (usize, u64) {
        let state = self.state();
        (state.kept.len(), state.used())
    }

    /// Removes the files of recordings that are not in the state any more. The state is not locked meanwhile: a disk may be
    /// slow, and others ask for the state without waiting for a disk.
    fn remove(&self, ids: Vec<RecordingId>, why: &'static str) {
        for id in ids {
            match self.remove_files(id) {
                Ok(()) => info!(recording.id = %id, "removed a recording: {why}"),
                Err(error) => warn!(%error, recording.id = %id, "cannot remove a recording"),
            }
        }
    }

    fn create(&self, info: &RecordingInfo) -> Result<(File, File), NoRecording> {
        let path = self.path(info.id, "json")?;
        write_info(&path, info).map_err(|cause| NoRecording::File { path, cause })?;
        let create = |kind| {
            let path = self.path(info.id, kind)?;
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create_new(true).mode(0o600);
            options.open(&path).map_err(|cause| NoRecording::File { path, cause })
        };
        Ok((create("cast")?, create("place")?))
    }

    fn remove_files(&self, id: RecordingId) -> io::Result<()> {
        // The description is removed last: if it remains, the next process still lists the recording.
        for kind in ["place", "cast", "json"] {
            let path = self.path(id, kind).map_err(io::Error::other)?;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn path(&self, id: RecordingId, kind: &str) -> Result<PathBuf, NoRecording> {
        let directory = self.directory.as_ref().ok_or(NoRecording::NoDirectory)?;
        Ok(directory.join(format!("{id}.{kind}")))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_info(path: &Path, info: &RecordingInfo) -> io::Result<()> {
    atomic_file::replace_unsynced(path, &serde_json::to_vec(info)?, Attributes::PRIVATE)
}

/// Finds what former processes have recorded, and removes files that belong to nothing.
fn read(directory: &Path) -> io::Result<State> {
    let mut state = State::default();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let id = path.file_stem().and_then(|stem| stem.to_str());
        let Some(id) = id.and_then(|stem| stem.parse::<RecordingId>().ok()) else { continue };
        let is_rest = match kind {
            "json" => !path.with_extension("cast").exists(),
            "cast" | "place" => !path.with_extension("json").exists(),
            _ => continue,
        };
        if is_rest {
            warn!("removed {}: it belongs to no recording", path.display());
            fs::remove_file(&path)?;
        } else if kind == "json" {
            match kept(&path, id) {
                Ok(kept) => state.insert(kept),
                // A newer version may have written it.
                Err(error) => warn!(%error, "cannot read {}", path.display()),
            }
        }
    }
    Ok(state)
}

fn kept(path: &Path, id: RecordingId) -> io::Result<Kept> {
    let size = fs::metadata(path.with_extension("cast"))?.len();
    let info: RecordingInfo = serde_json::from_slice(&fs::read(path)?)?;
    if info.id == id {
        Ok(Kept { info, size, is_written: false })
    } else {
        Err(io::Error::other("it is of another recording"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::info;
    use super::*;

    #[test]
    fn if_there_are_too_many_recordings_the_project_with_the_most_of_them_loses_one() {
        let mut state = State::default();
        let mut add = |project: &str, started: u64, size: u64, ended: Option<u64>| {
            let project = project.parse().expect("a project");
            let info = RecordingInfo { project, ended, ..info(started) };
            let key = key(&info);
            state.insert(Kept { info, size, is_written: false });
            key
        };
        add("large", 1, 1 << 30, Some(2));
        add("goes-on", 2, 0, None);
        add("goes-on", 3, 0, None);
        add("goes-on", 4, 0, None);
        let oldest_of_many = add("many", 5, 0, Some(6));
        add("many", 6, 0, Some(7));
        let own = add("beginner", 7, 0, Some(8));
        let project = |id: &str| id.parse::<ProjectId>().expect("a project");
        assert_eq!(state.oldest_of_most(&project("large")), Some(oldest_of_many));
        state.remove(oldest_of_many);
        assert_eq!(state.oldest_of_most(&project("beginner")), Some(own));
    }
}
