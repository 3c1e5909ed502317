//! What the sessions of one project may use together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use zun_common::id::ProjectId;

use super::{Hub, Live, Sessions};
use crate::ring::Memory;
use crate::session::{Limits, Newcomer};
use crate::stats::Limit;

/// What limits all sessions together, and those of one project. `usize::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// The most sessions.
    pub sessions: usize,
    /// The most sessions of one project.
    pub project_sessions: usize,
    /// The most clients of one project, including disconnected ones that may resume.
    pub project_attachments: usize,
    /// The most memory of one project, in bytes.
    pub project_memory: usize,
}

impl From<usize> for HubLimits {
    /// Limits only the number of sessions.
    fn from(sessions: usize) -> Self {
        let most = usize::MAX;
        Self { sessions, project_sessions: most, project_attachments: most, project_memory: most }
    }
}

/// The projects that have sessions.
#[derive(Debug, Default)]
pub(super) struct Projects {
    all: HashMap<ProjectId, Project>,
    /// How often the memory of a project was too small.
    denied: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Project {
    memory: Memory,
    /// The places that are reserved for its sessions and clients that are being opened.
    reserved: Reserved,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    sessions: usize,
    attachments: usize,
}

/// A place among the sessions and clients of a project, for those that are about to be added.
pub(super) struct ProjectPlace<'a> {
    hub: &'a Hub,
    project: ProjectId,
    reserved: Reserved,
}

impl<'a> ProjectPlace<'a> {
    /// Takes a place for a client, and for its session if it opens one, unless the project has too many. It replaces a
    /// disconnected client if necessary.
    pub(super) fn take(
        hub: &'a Hub,
        project: Option<&ProjectId>,
        (newcomer, opens): (Newcomer<'_>, bool),
    ) -> Result<Option<Self>, Limit> {
        let Some(project) = project else { return Ok(None) };
        let limits = hub.most;
        let mut sessions = hub.sessions();
        let own: Vec<_> = sessions.of_project(project).map(Arc::clone).collect();
        let attachments: usize = own.iter().map(|live| live.attachments()).sum();
        let found = sessions.project(hub, project);
        if opens && own.len() + found.reserved.sessions >= limits.project_sessions {
            return Err(Limit::ProjectSessions);
        }
        let is_full = attachments + found.reserved.attachments >= limits.project_attachments;
        if is_full && !make_room(&own, newcomer) {
            return Err(Limit::ProjectAttachments);
        }
        let reserved = Reserved { sessions: usize::from(opens), attachments: 1 };
        found.reserved.sessions += reserved.sessions;
        found.reserved.attachments += reserved.attachments;
        drop(sessions);
        Ok(Some(Self { hub, project: project.clone(), reserved }))
    }
}

/// Replaces a disconnected client of one of the sessions. Returns whether there was one.
fn make_room(sessions: &[Arc<Live>], newcomer: Newcomer<'_>) -> bool {
    let disconnected = sessions
        .iter()
        .filter_map(|live| Some((live.read(|session| session.replaceable(newcomer))?, live)));
    let first = disconnected.min_by_key(|(found, _)| *found);
    first.is_some_and(|(found, live)| live.change(|session, _| session.replace(found)))
}

impl Drop for ProjectPlace<'_> {
    fn drop(&mut self) {
        let mut sessions = self.hub.sessions();
        if let Some(found) = sessions.projects.all.get_mut(&self.project) {
            found.reserved.sessions =
                found.reserved.sessions.saturating_sub(self.reserved.sessions);
            found.reserved.attachments =
                found.reserved.attachments.saturating_sub(self.reserved.attachments);
        }
    }
}

impl Sessions {
    fn of_project(&self, project: &ProjectId) -> impl Iterator<Item = &Arc<Live>> {
        self.live.values().filter(move |live| live.project() == Some(project))
    }

    fn project(&mut self, hub: &Hub, project: &ProjectId) -> &mut Project {
        let Projects { all, denied } = &mut self.projects;
        // Also a session that has printed nothing yet has its share of the memory.
        all.retain(|id, found| {
            id == project || found.memory.is_shared() || found.reserved != Reserved::default()
        });
        all.entry(project.clone()).or_insert_with(|| {
            let (whole, most) = (hub.limits.memory.clone(), hub.most.project_memory);
            let memory = Memory::part_of(whole, most, Arc::clone(denied));
            Project { memory, reserved: Reserved::default() }
        })
    }
}

impl Hub {
    /// The limits of a session of this project.
    pub(super) fn limits_of(&self, project: Option<&ProjectId>) -> Limits {
        let limits = self.limits.clone();
        let Some(project) = project.filter(|_| self.most.project_memory < usize::MAX) else {
            return limits;
        };
        let memory = self.sessions().project(self, project).memory.clone();
        Limits { memory, ..limits }
    }

    /// How often a session could not get more memory because of the host's limit, and of its project's.
    pub(super) fn denied(&self) -> [u64; 2] {
        let of_projects =
            self.sessions().projects.denied.load(std::sync::atomic::Ordering::Relaxed);
        [self.limits.memory.denied(), of_projects]
    }
}

#[cfg(test)]
mod tests {
    use zun_common::docker_stream::Stream;
    use zun_common::id::ContainerId;
    use zun_common::pty::{ClientHello, SessionKind};
    use zun_common::recording::RecordPolicy;
    use zun_common::shutdown::Tasks;

    use super::*;
    use crate::engine::fake::FakeEngine;
    use crate::engine::{Owner, Target};
    use crate::hub::{Client, ConnectError, Connected};
    use crate::session::{KeyHash, Left, Process};
    use crate::settings::LimitSettings;

    fn target(number: u8) -> Target {
        Target::Container(format!("{number:02x}").repeat(32).parse().expect("an id"))
    }

    async fn connect(hub: &Arc<Hub>, number: u8) -> Result<Connected, Limit> {
        let (grant, key) = ("g1".to_owned(), KeyHash::of(b"key"));
        let client =
            Client { grant, key, may_write: true, files: None, hello: ClientHello::default() };
        match hub.connect(&target(number), client, &Arc::default()).await {
            Ok(connected) => Ok(connected),
            Err(ConnectError::Limit(limit)) => Err(limit),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_project_leaves_room_for_others() {
        let fake = FakeEngine::default();
        for (number, project) in (0..).zip(["p1", "p1", "p1", "p2"]) {
            let kind = SessionKind::Container;
            fake.add(target(number), Process { kind, tty: true, stdin: true, running: true });
            let owner = Owner {
                project: project.parse().expect("an id"),
                container: ContainerId::random(),
                name: "web".to_owned(),
                record: RecordPolicy::Off,
            };
            fake.label(&target(number), owner);
        }
        let most = HubLimits {
            sessions: 8,
            project_sessions: 2,
            project_attachments: 3,
            project_memory: 1 << 20,
        };
        let limits = LimitSettings::default().of_sessions(None);
        let hub = Hub::new(Arc::new(fake), (limits, most), Tasks::new(), Default::default());
        let first = connect(&hub, 0).await.expect("the first");
        let _second = connect(&hub, 1).await.expect("the second");
        assert_eq!(connect(&hub, 2).await.expect_err("full"), Limit::ProjectSessions);
        let _of_other = connect(&hub, 3).await.expect("another project's");
        let project = |id: &str| id.parse::<ProjectId>().expect("an id");
        assert_eq!(hub.limits_of(Some(&project("p1"))).memory.left(), 1 << 20);
        first.live.change(|session, now| session.output(Stream::Stdout, b"$ ", now));
        assert!(hub.limits_of(Some(&project("p1"))).memory.left() < 1 << 20, "forgotten");
        let _third = connect(&hub, 0).await.expect("another client");
        assert_eq!(connect(&hub, 1).await.expect_err("full"), Limit::ProjectAttachments);
        first.live.disconnect(first.id, Left::Lost);
        let _instead = connect(&hub, 1).await.expect("a disconnected client is replaced");
        assert_eq!(connect(&hub, 1).await.expect_err("full"), Limit::ProjectAttachments);
        assert!(hub.limits_of(None).memory.left() > 1 << 20);
    }
}
