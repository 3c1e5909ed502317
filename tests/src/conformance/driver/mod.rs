//! What every container driver must do. One line makes all of it tests:
//! `driver_conformance!(engine)`, where `engine` is a function that makes a [`TestEngine`].

pub mod events;
pub mod execs;
pub mod images;
pub mod inspecting;
pub mod lifecycle;
pub mod logs;
pub mod pausing;
pub mod removal;
pub mod starting;
pub mod stopping;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::container::{ConsoleSpec, ContainerSpec, LogRequest, PullPolicy};
use zun_common::rpc::exec::ExecSpec;
use zun_common::status::Status;
use zun_common::units::Resources;
use zun_compute::driver::{ContainerDriver, ContainerInfo};

/// How long anything may take before a test gives up.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What differs between the engines under test.
#[async_trait]
pub trait TestEngine: Send + Sync {
    /// The driver under test.
    fn driver(&self) -> Arc<dyn ContainerDriver>;

    /// An image that the engine has, with a shell.
    fn image(&self) -> String {
        "cirros".to_owned()
    }

    /// An image that the engine does not have and that a registry gives at each pull; `None` where there
    /// is no registry.
    async fn pullable(&self) -> Option<String>;

    /// An image that a registry, or the lack of one, does not give.
    fn unpullable(&self) -> String;

    /// Dials an exec, so that it runs. The console is open until this is dropped.
    async fn start_exec(&self, exec: &ExecId) -> Box<dyn Any + Send>;
}

/// A container of a test. It is removed when the test ends, however it ends.
pub struct Subject {
    /// Its id.
    pub id: ContainerId,
    /// The driver that it is on.
    pub driver: Arc<dyn ContainerDriver>,
}

impl Subject {
    /// One that is not made yet.
    pub fn new(engine: &dyn TestEngine) -> Self {
        Self { id: ContainerId::fresh(), driver: engine.driver() }
    }

    /// One that is made.
    pub async fn created(engine: &dyn TestEngine, spec: &ContainerSpec) -> Self {
        let subject = Self::new(engine);
        subject.driver.create(subject.id, spec).await.expect("it can be made");
        subject
    }

    /// One that is made and started.
    pub async fn started(engine: &dyn TestEngine, spec: &ContainerSpec) -> Self {
        let subject = Self::created(engine, spec).await;
        subject.driver.start(subject.id).await.expect("it can be started");
        subject
    }

    /// One that runs a script of the shell.
    pub async fn running(engine: &dyn TestEngine, script: &str) -> Self {
        Self::started(engine, &spec(engine, script)).await
    }

    /// As the engine shows it now.
    pub async fn seen(&self) -> ContainerInfo {
        self.driver.inspect(self.id).await.expect("it is there")
    }

    /// What it is now.
    pub async fn status(&self) -> Status {
        self.seen().await.status
    }

    /// Waits for its end.
    pub async fn exit_code(&self) -> i64 {
        within(self.driver.wait(self.id)).await.expect("it ends")
    }

    /// All that it printed.
    pub async fn output(&self) -> String {
        let logs = self.driver.logs(self.id, &all_logs()).await.expect("it has output");
        String::from_utf8(logs.data).expect("text")
    }

    /// Waits until it has printed so.
    pub async fn prints(&self, wanted: &str) {
        eventually(wanted, || async { self.output().await.contains(wanted) }).await;
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let (driver, id) = (Arc::clone(&self.driver), self.id);
        // A runtime of its own, because this one may be unwinding.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(driver.remove(id, true))
        });
        match removal.join() {
            Ok(Ok(_change)) => {}
            Ok(Err(error)) => tracing::warn!(container.id = %id, error = %error, "not removed"),
            Err(_panic) => tracing::warn!(container.id = %id, "not removed"),
        }
    }
}

/// A container that runs a script of the shell.
pub fn spec(engine: &dyn TestEngine, script: &str) -> ContainerSpec {
    ContainerSpec {
        project: "conformance".parse().expect("a project"),
        name: "subject".to_owned(),
        image: engine.image(),
        pull: PullPolicy::Never,
        command: Some(shell(script)),
        entrypoint: None,
        environment: BTreeMap::new(),
        labels: BTreeMap::new(),
        workdir: None,
        hostname: None,
        user: None,
        console: ConsoleSpec::default(),
        resources: Resources::default(),
        restart: None,
        auto_remove: false,
        read_only: false,
        stop_signal: None,
    }
}

/// An exec of a command.
pub fn exec(command: &[&str]) -> ExecSpec {
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

/// The words that run a script of the shell.
pub fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

/// Both streams, all of it.
pub const fn all_logs() -> LogRequest {
    LogRequest { stdout: true, stderr: true, timestamps: false, tail: None, since: None }
}

/// Does nothing, ends at once when asked to, with exit code 7.
pub const POLITE: &str = "trap 'exit 7' TERM; echo ready; sleep 600 & wait";
/// Does nothing and does not listen.
pub const STUBBORN: &str = "trap '' TERM; echo ready; sleep 600 & wait";
/// Does nothing.
pub const IDLE: &str = "echo ready; sleep 600";

/// Fails a test rather than hang.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work).await.expect("it takes too long")
}

/// Waits for a fact.
pub async fn eventually<Fact: Future<Output = bool>>(what: &str, mut fact: impl FnMut() -> Fact) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let latest = tokio::time::Instant::now() + TIMEOUT;
    while !fact().await {
        assert!(looks.tick().await < latest, "never: {what}");
    }
}

/// Makes a test of every case.
#[macro_export]
macro_rules! driver_conformance {
    ($engine:path) => {
        $crate::driver_cases! { $engine, starting {
            a_created_container_is_shown_and_has_not_run
            making_one_twice_makes_one_and_says_so
            many_makers_at_once_make_one
            what_a_spec_says_reaches_the_process
            a_container_without_its_image_is_not_made
            what_is_not_valid_is_refused_by_name
            a_started_container_runs_and_starting_it_again_changes_nothing
            an_ended_container_runs_again
            a_command_that_is_not_found_is_127
            a_command_that_is_no_program_is_126
            a_terminal_and_stdin_are_shown
        }}
        $crate::driver_cases! { $engine, stopping {
            a_process_is_given_time_to_end_by_itself
            a_process_that_does_not_listen_is_killed_after_the_grace
            stopping_what_does_not_run_changes_nothing
            the_stop_signal_of_the_container_is_sent
            a_kill_ends_the_process_at_once
            a_kill_sends_the_named_signal
            a_kill_is_refused_where_nothing_runs_and_where_no_signal_is_named
        }}
        $crate::driver_cases! { $engine, lifecycle {
            a_restart_runs_it_anew
            its_limits_can_be_changed_in_any_state
            a_restart_starts_what_does_not_run
            a_failing_process_runs_again_as_often_as_the_policy_says
            a_stop_ends_what_its_policy_would_run_again
            every_operation_on_nothing_says_that_there_is_no_container
        }}
        $crate::driver_cases! { $engine, pausing {
            a_paused_container_is_frozen_until_it_is_thawed
            pausing_and_thawing_twice_change_nothing
            only_a_running_container_is_paused_and_thawed
            a_paused_container_can_be_stopped_and_killed
            a_paused_container_is_neither_started_nor_entered_nor_removed
        }}
        $crate::driver_cases! { $engine, removal {
            a_removed_container_is_gone_and_removing_it_again_changes_nothing
            a_running_container_is_removed_only_by_force
            two_removals_at_once_both_see_it_gone
            a_container_that_goes_by_itself_tells_its_exit_code
            a_removed_container_can_be_made_again
        }}
        $crate::driver_cases! { $engine, inspecting {
            a_wait_ends_with_the_process_for_all_who_wait
            a_wait_for_what_does_not_run_is_answered_at_once
            times_and_codes_are_those_of_the_last_run
            all_of_ours_are_listed_as_they_are
            the_processes_of_what_runs_are_listed
            what_runs_is_measured
            the_engine_tells_of_itself
        }}
        $crate::driver_cases! { $engine, logs {
            both_streams_come_in_order_or_apart
            only_the_last_lines_come_where_a_tail_is_asked_for
            each_line_begins_with_its_time_where_times_are_asked_for
            only_what_is_new_comes_where_a_time_is_given
            only_the_last_four_mebibytes_come_and_the_cut_is_told
            a_terminal_has_one_stream
            no_stream_at_all_is_refused
            output_stays_after_the_end_and_over_a_restart
        }}
        $crate::driver_cases! { $engine, execs {
            a_terminal_has_the_size_that_it_was_given
            a_resize_is_refused_where_nothing_runs
            a_command_comes_back_with_both_streams_and_its_code
            a_command_sees_its_own_surroundings
            a_command_that_cannot_be_run_is_told_on_stderr
            a_flood_is_cut_to_four_mebibytes
            an_exec_runs_once_it_is_dialled
            a_signal_reaches_the_process_of_an_exec
            an_exec_that_does_not_run_is_not_resized
            an_unknown_exec_is_told_by_its_id
            a_command_is_refused_where_nothing_runs
            an_empty_command_is_refused
        }}
        $crate::driver_cases! { $engine, images {
            an_image_is_there_or_not
            a_name_that_is_not_valid_is_refused
            a_pull_brings_an_image_and_shows_its_progress
            a_pull_goes_on_where_nobody_takes_its_progress
            an_image_that_nobody_has_is_an_error_in_words
        }}
        $crate::driver_cases! { $engine, events {
            every_change_is_told_from_the_moment_of_the_subscription
            an_end_is_told_at_once
            commands_in_a_container_are_no_change
            each_container_is_told_by_its_own_id
            every_subscriber_hears_everything
        }}
    };
}

/// Makes a module of tests of cases.
#[macro_export]
macro_rules! driver_cases {
    ($engine:path, $room:ident { $($case:ident)* }) => {
        mod $room {
            $(
                #[tokio::test]
                async fn $case() {
                    let engine = $engine();
                    $crate::conformance::driver::$room::$case(&engine).await;
                }
            )*
        }
    };
}
