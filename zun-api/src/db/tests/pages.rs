//! Lists and their pages.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime};
use diesel::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use zun_common::id::ContainerId;
use zun_common::status::{Status, TaskState};
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::{Fixture, on_both};
use crate::db::container::{
    Filter, Fresh, ListedRows, Page, PlacementResult, Record, Scope, SortKey, Spec, insert, page,
};
use crate::db::host::ClaimSettings;
use crate::db::schema::containers::dsl;
use crate::db::{Conn, migrate};
use crate::settings::{QuotaSettings, SchedulerSettings};

on_both! {
    walking_the_pages_of_a_list_gives_exactly_the_sorted_list
    a_list_continues_after_a_container_that_was_deleted_between_two_pages
    a_row_that_cannot_be_read_is_one_container_in_error
    a_filter_that_no_row_can_match_gives_an_empty_list
    a_list_shows_each_change_of_a_row_that_it_has_shown_before
    a_list_does_not_read_rows_again_that_have_not_changed
}

const PROJECTS: [&str; 2] = ["blue", "red"];
/// In each locale another order than that of their bytes.
const TEXTS: [&str; 6] = ["a", "B", "b", "_", "ä", "a b"];
const STATUSES: [Status; 3] = [Status::Running, Status::Error, Status::Stopped];
const TASKS: [Option<TaskState>; 2] = [None, Some(TaskState::Deleting)];

/// What a row has. Few different values, so that many rows are equal in a sort key.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    project: usize,
    user: usize,
    image: usize,
    status: usize,
    task: usize,
    memory: i64,
    cpu: u32,
    auto_remove: bool,
    created: i64,
    updated: i64,
}

/// A row in the database.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Its place in the order by `id`.
    place: usize,
    uuid: ContainerId,
    name: String,
    sample: Sample,
}

fn sample() -> impl Strategy<Value = Sample> {
    let texts = (0..2usize, 0..2usize, 0..TEXTS.len(), 0..STATUSES.len(), 0..TASKS.len());
    let numbers = (6..9i64, 1..4u32, any::<bool>(), 0..4i64, 0..4i64);
    (texts, numbers).prop_map(|(texts, numbers)| {
        let (project, user, image, status, task) = texts;
        let (memory, cpu, auto_remove, created, updated) = numbers;
        Sample { project, user, image, status, task, memory, cpu, auto_remove, created, updated }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let texts = (
        proptest::option::weighted(0.1, 0..TEXTS.len()),
        proptest::option::weighted(0.1, 0..STATUSES.len()),
        proptest::option::weighted(0.1, 0..PROJECTS.len()),
        proptest::option::weighted(0.1, 0..2usize),
    );
    let others = (
        proptest::option::weighted(0.1, 6..9i64),
        proptest::option::weighted(0.1, any::<bool>()),
        proptest::option::weighted(0.1, Just(TaskState::Deleting)),
    );
    (texts, others).prop_map(
        |((image, status, project, user), (memory, auto_remove, task_state))| Filter {
            name: None,
            image: image.map(|image| TEXTS[image].to_owned()),
            status: status.map(|status| STATUSES[status]),
            task_state,
            host: None,
            project: project.map(|project| PROJECTS[project].to_owned()),
            user: user.map(|user| format!("user{user}")),
            memory,
            auto_remove,
        },
    )
}

/// Times with and without a fraction: SQLite stores text.
fn time(number: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(number * 500_001).expect("a time").naive_utc()
}

pub(super) fn spec(name: &str, image: &str, resources: Resources) -> Spec {
    Spec {
        command: Some(vec!["sh".to_owned(), "-c".to_owned(), "sleep 1000".to_owned()]),
        environment: [("A".to_owned(), "1".to_owned())].into(),
        labels: [("role".to_owned(), "demo".to_owned())].into(),
        resources,
        ..Spec::of_image(name, image)
    }
}

pub(super) fn store(conn: &mut Conn, place: usize, sample: &Sample) -> Stored {
    let (project, image) = (PROJECTS[sample.project], TEXTS[sample.image]);
    // Names are unique in a project.
    let name = format!("{}{place}", TEXTS[(place * 7) % TEXTS.len()]);
    let memory = Mebibytes(u64::try_from(sample.memory).expect("positive"));
    let resources = Resources { cpus: Cpus::from_millis(sample.cpu), memory };
    let mut spec = spec(&name, image, resources);
    spec.auto_remove = sample.auto_remove;
    let uuid = ContainerId::random();
    let fresh = Fresh {
        id: uuid,
        project: project.parse().expect("a project"),
        user: format!("user{}", sample.user).parse().expect("a user"),
        spec,
        start_wanted: false,
        placement_result: PlacementResult::NoHost { reason: String::new(), detail: String::new() },
    };
    let (scheduler, quotas) = (SchedulerSettings::default(), QuotaSettings::UNLIMITED);
    insert(conn, fresh, &ClaimSettings { scheduler, quotas }).expect("inserted");
    diesel::update(dsl::containers.filter(dsl::uuid.eq(uuid.to_string())))
        .set((
            dsl::status.eq(STATUSES[sample.status].as_str()),
            dsl::task_state.eq(TASKS[sample.task].map(TaskState::as_str)),
            dsl::created_at.eq(time(sample.created)),
            dsl::updated_at.eq(time(sample.updated)),
        ))
        .execute(conn)
        .expect("updated");
    Stored { place, uuid, name, sample: sample.clone() }
}

fn matches(filter: &Filter, row: &Stored) -> bool {
    let Sample { project, user, image, status, task, memory, auto_remove, .. } = &row.sample;
    let same = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|it| it == text);
    same(&filter.image, TEXTS[*image])
        && same(&filter.project, PROJECTS[*project])
        && same(&filter.user, &format!("user{user}"))
        && filter.status.is_none_or(|wanted| wanted == STATUSES[*status])
        && filter.task_state.is_none_or(|wanted| Some(wanted) == TASKS[*task])
        && filter.memory.is_none_or(|wanted| wanted == *memory)
        && filter.auto_remove.is_none_or(|wanted| wanted == *auto_remove)
}

/// What a row is sorted by, as text in the order of its bytes.
fn key(key: SortKey, row: &Stored) -> (String, usize) {
    let Sample { image, status, memory, cpu, created, updated, .. } = &row.sample;
    let text = match key {
        SortKey::Id => String::new(),
        SortKey::Uuid => row.uuid.to_string(),
        SortKey::Name => row.name.clone(),
        SortKey::Image => TEXTS[*image].to_owned(),
        SortKey::Status => STATUSES[*status].as_str().to_owned(),
        SortKey::Memory => memory.to_string(),
        SortKey::Cpu => cpu.to_string(),
        SortKey::CreatedAt => created.to_string(),
        SortKey::UpdatedAt => updated.to_string(),
    };
    (text, row.place)
}

fn expected(rows: &[Stored], scope: &Scope, filter: &Filter, page: &Page) -> Vec<ContainerId> {
    let visible = |row: &&Stored| match scope {
        Scope::All => true,
        Scope::Project(project) => project.as_str() == PROJECTS[row.sample.project],
    };
    let mut found: Vec<&Stored> =
        rows.iter().filter(visible).filter(|row| matches(filter, row)).collect();
    found.sort_by_key(|row| key(page.key, row));
    if page.descending {
        found.reverse();
    }
    found.into_iter().map(|row| row.uuid).collect()
}

fn walk(
    conn: &mut Conn,
    (scope, filter): (&Scope, &Filter),
    first: Page,
    kept: &ListedRows,
) -> Vec<ContainerId> {
    let mut walked = Vec::new();
    let mut current = first;
    loop {
        let part = page(conn, scope, filter, &current, kept);
        let part = part.expect("a page").expect("the marker exists");
        walked.extend(part.containers.iter().map(|listed| listed.record.id));
        let Some(next) = part.next else { return walked };
        current.marker = Some(next.parse().expect("an id"));
    }
}

fn walking_the_pages_of_a_list_gives_exactly_the_sorted_list(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let lists =
        proptest::collection::vec((0..9usize, any::<bool>(), 1..9usize, filter(), 0..3usize), 8);
    let all = (proptest::collection::vec(sample(), 0..40), lists);
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let conn = std::cell::RefCell::new(conn);
    let kept = ListedRows::new();
    let done = runner.run(&all, |(samples, lists)| {
        let conn = &mut *conn.borrow_mut();
        diesel::delete(dsl::containers).execute(conn).expect("deleted");
        let rows: Vec<Stored> =
            samples.iter().enumerate().map(|(place, sample)| store(conn, place, sample)).collect();
        for (number, descending, limit, filter, scope) in lists {
            let (_, key) = SortKey::NAMES[number];
            let scope = match PROJECTS.get(scope) {
                Some(project) => Scope::Project(project.parse().expect("a project")),
                None => Scope::All,
            };
            let first = Page { key, descending, marker: None, limit };
            let wanted = expected(&rows, &scope, &filter, &first);
            let walked = walk(conn, (&scope, &filter), first.clone(), &kept);
            if walked != wanted {
                return Err(TestCaseError::fail(format!("{first:?} {scope:?} {filter:?}")));
            }
        }
        Ok(())
    });
    done.expect("each walk gives the sorted list");
}

fn first_page(key: SortKey) -> Page {
    Page { key, descending: false, marker: None, limit: 10 }
}

pub(super) const ORDINARY: Sample = Sample {
    project: 0,
    user: 0,
    image: 0,
    status: 0,
    task: 0,
    memory: 64,
    cpu: 100,
    auto_remove: false,
    created: 1,
    updated: 1,
};

fn a_list_continues_after_a_container_that_was_deleted_between_two_pages(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let rows: Vec<_> = (0..4).map(|place| store(&mut conn, place, &ORDINARY)).collect();
    set(&mut conn, &rows[1], "deleted_at = created_at");
    let kept = ListedRows::new();
    let of = |project: &str| Scope::Project(project.parse().expect("a project"));
    for (scope, expected) in
        [(Scope::All, Some(2)), (of(PROJECTS[0]), Some(2)), (of(PROJECTS[1]), None)]
    {
        let second = Page { marker: Some(rows[1].uuid), ..first_page(SortKey::Id) };
        let part = page(&mut conn, &scope, &Filter::default(), &second, &kept).expect("a page");
        assert_eq!(part.map(|part| part.containers.len()), expected, "{scope:?}");
    }
}

fn a_row_that_cannot_be_read_is_one_container_in_error(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let rows: Vec<_> = (0..4).map(|place| store(&mut conn, place, &ORDINARY)).collect();
    set(&mut conn, &rows[1], "spec = '{\"from\": \"the future\"}'");
    set(&mut conn, &rows[2], "status = 'Confused'");
    let found = records(&mut conn, &ListedRows::new());
    let shown: Vec<_> = found.iter().map(|one| (one.id, one.status)).collect();
    let status = [Status::Running, Status::Error, Status::Error, Status::Running];
    assert_eq!(shown, rows.iter().map(|row| row.uuid).zip(status).collect::<Vec<_>>());
    let reason = found[1].status_reason.as_deref().expect("a reason");
    assert!(reason.contains("cannot read column spec"), "{reason}");
    assert_eq!((&found[1].spec.name, &found[1].spec.image), (&rows[1].name, &"a".to_owned()));
}

fn a_filter_that_no_row_can_match_gives_an_empty_list(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    store(&mut conn, 0, &ORDINARY);
    let filter = Filter { user: Some("a\0b".to_owned()), ..Filter::default() };
    let key = first_page(SortKey::Id);
    let found = page(&mut conn, &Scope::All, &filter, &key, &ListedRows::new());
    assert_eq!(found.expect("a page").expect("no marker").containers.len(), 0);
}

/// Changes a row as nothing in zun-api does.
fn set(conn: &mut Conn, row: &Stored, change: &str) {
    let statement = format!("UPDATE containers SET {change} WHERE uuid = '{}'", row.uuid);
    diesel::sql_query(statement).execute(conn).expect("changed");
}

/// The first containers of all projects.
fn records(conn: &mut Conn, kept: &ListedRows) -> Vec<Record> {
    let part = page(conn, &Scope::All, &Filter::default(), &first_page(SortKey::Id), kept);
    let part = part.expect("a page").expect("no marker");
    part.containers.iter().map(|listed| listed.record.clone()).collect()
}

fn a_list_shows_each_change_of_a_row_that_it_has_shown_before(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let rows: Vec<_> = (0..3).map(|place| store(&mut conn, place, &ORDINARY)).collect();
    let kept = ListedRows::new();
    let codes = |records: &[Record]| -> Vec<_> { records.iter().map(|it| it.exit_code).collect() };
    assert_eq!(codes(&records(&mut conn, &kept)), [None; 3]);
    for code in 1..4 {
        set(&mut conn, &rows[1], &format!("exit_code = {code}"));
        assert_eq!(codes(&records(&mut conn, &kept)), [None, Some(code), None]);
    }
    set(&mut conn, &rows[1], "status = 'Confused'");
    let status = |records: Vec<Record>| -> Vec<_> { records.iter().map(|it| it.status).collect() };
    let (running, error) = (Status::Running, Status::Error);
    assert_eq!(status(records(&mut conn, &kept)), [running, error, running]);
    set(&mut conn, &rows[1], "status = 'Stopped'");
    assert_eq!(status(records(&mut conn, &kept)), [running, Status::Stopped, running]);
    set(&mut conn, &rows[0], "deleted_at = created_at");
    let ids: Vec<_> = records(&mut conn, &kept).iter().map(|record| record.id).collect();
    assert_eq!(ids, [rows[1].uuid, rows[2].uuid]);
}

fn a_list_does_not_read_rows_again_that_have_not_changed(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    store(&mut conn, 0, &ORDINARY);
    let kept = ListedRows::new();
    let key = first_page(SortKey::Id);
    let mut list = || {
        let part = page(&mut conn, &Scope::All, &Filter::default(), &key, &kept);
        part.expect("a page").expect("no marker").containers.remove(0)
    };
    assert!(Arc::ptr_eq(&list(), &list()), "the same container in memory");
}
