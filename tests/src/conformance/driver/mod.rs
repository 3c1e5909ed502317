//! The conformance suite of the container drivers. `driver_conformance!(engine)` creates a test for every case, where
//! `engine` is a function that returns a [`TestEngine`].

pub mod events;
pub mod execs;
pub mod files;
pub mod images;
pub mod inspecting;
pub mod lifecycle;
pub mod logs;
pub mod pausing;
pub mod removal;
pub mod starting;
pub mod stopping;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::container::{ContainerSpec, LogRequest, PullPolicy};
use zun_common::rpc::exec::ExecSpec;
use zun_common::status::Status;
use zun_compute::driver::fake::InspectionFault;
use zun_compute::driver::{ContainerDriver, ContainerInfo};

/// Timeout of every wait.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// An engine under test, and what differs between engines.
#[async_trait]
pub trait TestEngine: Send + Sync {
    /// Returns the driver under test.
    fn driver(&self) -> Arc<dyn ContainerDriver>;

    /// Returns an image that the engine has and that contains a shell.
    fn image(&self) -> String {
        "cirros".to_owned()
    }

    /// Returns an image that the engine does not have and that a registry serves; `None` if there is no registry.
    async fn pullable(&self) -> Option<String>;

    /// Returns an image that cannot be pulled.
    fn unpullable(&self) -> String;

    /// Breaks the inspection of this container for a driver of its own.
    fn break_inspection(&self, container: ContainerId, fault: InspectionFault) -> BrokenInspection;

    /// Dials an exec, which starts it. Its console is open until the returned value is dropped.
    async fn start_exec(&self, exec: &ExecId) -> Box<dyn Any + Send>;
}

/// A driver for which the inspection of one container is broken until `fault` is dropped.
pub struct BrokenInspection {
    /// The driver.
    pub driver: Arc<dyn ContainerDriver>,
    /// The fault.
    pub fault: Box<dyn Any + Send>,
    /// What the driver needs to reach the engine.
    pub link: Box<dyn Any + Send>,
}

/// A container of a test. It is removed on drop.
pub struct Subject {
    /// Its ID.
    pub id: ContainerId,
    /// The driver under test.
    pub driver: Arc<dyn ContainerDriver>,
}

impl Subject {
    /// Returns a container that does not exist yet.
    pub fn new(engine: &dyn TestEngine) -> Self {
        Self { id: ContainerId::random(), driver: engine.driver() }
    }

    /// Creates a container.
    pub async fn created(engine: &dyn TestEngine, spec: &ContainerSpec) -> Self {
        let subject = Self::new(engine);
        subject.driver.create(subject.id, spec).await.expect("the container is created");
        subject
    }

    /// Creates and starts a container.
    pub async fn started(engine: &dyn TestEngine, spec: &ContainerSpec) -> Self {
        let subject = Self::created(engine, spec).await;
        subject.driver.start(subject.id).await.expect("the container starts");
        subject
    }

    /// Starts a container that runs a shell script.
    pub async fn running(engine: &dyn TestEngine, script: &str) -> Self {
        Self::started(engine, &spec(engine, script)).await
    }

    /// Inspects the container.
    pub async fn info(&self) -> ContainerInfo {
        self.driver.inspect(self.id).await.expect("the container exists")
    }

    /// Returns the current status.
    pub async fn status(&self) -> Status {
        self.info().await.status
    }

    /// Waits until the container has ended and returns its exit code.
    pub async fn exit_code(&self) -> i64 {
        within(self.driver.wait(self.id)).await.expect("it ends")
    }

    /// Returns all its output.
    pub async fn output(&self) -> String {
        let logs = self.driver.logs(self.id, &all_logs()).await.expect("it has output");
        String::from_utf8(logs.data).expect("text")
    }

    /// Waits until its output contains this text.
    pub async fn prints(&self, wanted: &str) {
        eventually(wanted, || async { self.output().await.contains(wanted) }).await;
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let (driver, id) = (Arc::clone(&self.driver), self.id);
        // It needs its own runtime, because the test's runtime may be unwinding.
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

/// Returns the spec of a container that runs a shell script.
pub fn spec(engine: &dyn TestEngine, script: &str) -> ContainerSpec {
    ContainerSpec {
        pull: PullPolicy::Never,
        command: Some(shell(script)),
        ..ContainerSpec::of_image(
            "conformance".parse().expect("a project"),
            "subject",
            &engine.image(),
        )
    }
}

/// Returns the spec of an exec.
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

/// Returns the command that runs a shell script.
pub fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

/// Requests both streams from the beginning.
pub const fn all_logs() -> LogRequest {
    LogRequest { stdout: true, stderr: true, timestamps: false, tail: None, since: None }
}

/// Waits, and ends with exit code 7 on SIGTERM.
pub const POLITE: &str = "trap 'exit 7' TERM; echo ready; sleep 600 & wait";
/// Waits, and ignores SIGTERM.
pub const STUBBORN: &str = "trap '' TERM; echo ready; sleep 600 & wait";
/// Waits.
pub const IDLE: &str = "echo ready; sleep 600";

/// Fails the test if the work takes too long.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work).await.expect("the work must end in time")
}

/// Polls until the condition holds.
pub async fn eventually<Fact: Future<Output = bool>>(what: &str, mut fact: impl FnMut() -> Fact) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let latest = tokio::time::Instant::now() + TIMEOUT;
    while !fact().await {
        assert!(looks.tick().await < latest, "never: {what}");
    }
}

/// Creates a test for every case.
#[macro_export]
macro_rules! driver_conformance {
    ($engine:path) => {
        $crate::driver_cases! { $engine, starting {
            a_created_container_is_shown_as_not_run
            creating_a_container_twice_creates_one_and_says_so
            concurrent_creates_create_one_container
            the_process_gets_what_the_spec_says
            a_container_without_its_image_is_not_created
            an_invalid_field_is_refused_by_name
            a_started_container_runs_and_starting_it_again_changes_nothing
            an_ended_container_runs_again
            a_command_that_is_not_found_is_127
            a_command_that_is_not_executable_is_126
            a_terminal_and_stdin_are_shown
        }}
        $crate::driver_cases! { $engine, stopping {
            a_process_gets_time_to_stop_by_itself
            a_process_that_ignores_the_signal_is_killed_after_the_grace_period
            stopping_a_stopped_container_changes_nothing
            the_stop_signal_of_the_container_is_sent
            a_kill_ends_the_process_at_once
            a_kill_sends_the_named_signal
            a_kill_is_refused_if_nothing_runs_or_the_signal_is_unknown
        }}
        $crate::driver_cases! { $engine, lifecycle {
            a_restart_runs_the_process_again
            limits_can_be_changed_in_any_status
            a_restart_starts_a_stopped_container
            a_failing_process_runs_again_as_often_as_the_policy_says
            a_stop_overrides_the_restart_policy
            every_operation_on_a_missing_container_says_so
        }}
        $crate::driver_cases! { $engine, pausing {
            a_paused_container_is_frozen_until_it_is_unpaused
            pausing_and_unpausing_twice_changes_nothing
            only_a_running_container_can_be_paused_and_unpaused
            a_paused_container_can_be_stopped_and_killed
            a_paused_container_refuses_start_exec_and_removal
        }}
        $crate::driver_cases! { $engine, removal {
            a_removed_container_is_gone_and_removing_it_again_changes_nothing
            a_running_container_is_removed_only_by_force
            an_old_container_leaves_its_name_and_can_get_it_back
            two_concurrent_removals_both_succeed
            the_engine_keeps_a_container_with_auto_remove
            a_removed_container_can_be_created_again
        }}
        $crate::driver_cases! { $engine, inspecting {
            a_wait_ends_with_the_process_for_every_waiter
            a_wait_for_a_stopped_container_is_answered_at_once
            times_and_codes_are_those_of_the_last_run
            all_our_containers_are_listed_with_their_status
            a_container_that_hangs_is_listed_with_unknown_state_next_to_the_others
            a_container_that_cannot_be_read_is_listed_with_unknown_state_next_to_the_others
            the_processes_of_a_running_container_are_listed
            a_running_container_has_stats
            the_engine_describes_itself
        }}
        $crate::driver_cases! { $engine, logs {
            streams_can_be_read_together_or_separately
            a_tail_returns_only_the_last_lines
            with_timestamps_each_line_begins_with_its_time
            since_returns_only_newer_output
            only_the_last_four_mebibytes_are_returned_and_marked_as_cut
            a_terminal_has_one_stream
            a_request_for_no_stream_is_refused
            output_is_kept_after_the_end_and_a_restart
        }}
        $crate::driver_cases! { $engine, execs {
            a_terminal_has_the_requested_size
            a_resize_is_refused_if_nothing_runs
            a_command_returns_both_streams_and_its_exit_code
            a_command_has_its_own_environment_user_and_directory
            a_command_that_cannot_run_is_reported_on_stderr
            output_is_truncated_to_four_mebibytes
            an_exec_starts_when_it_is_dialled
            a_signal_reaches_the_process_of_an_exec
            an_exec_that_does_not_run_is_not_resized
            an_unknown_exec_is_an_error_with_its_id
            a_command_is_refused_if_nothing_runs
            an_empty_command_is_refused
        }}
        $crate::driver_cases! { $engine, images {
            an_image_exists_or_not
            an_invalid_image_name_is_refused
            a_pull_fetches_an_image_and_reports_progress
            a_pull_continues_if_nobody_reads_its_progress
            an_unknown_image_is_an_error_with_a_message
            each_change_of_the_images_is_told
        }}
        $crate::driver_cases! { $engine, files {
            an_archive_is_unpacked_and_read_again
            a_missing_file_differs_from_a_missing_container
            an_image_of_a_container_can_be_used_on_its_host
        }}
        $crate::driver_cases! { $engine, events {
            every_change_after_the_subscription_is_an_event
            an_end_is_reported_at_once
            execs_cause_no_events
            each_event_names_its_container
            every_subscriber_gets_every_event
        }}
    };
}

/// Creates a module with a test for each case.
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
