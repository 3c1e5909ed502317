//! The status of a container, and the table of the actions that each status allows.
//!
//! The table is based on OpenStack Zun's `VALID_STATES` and allows more. It allows `attach` on a created container: a
//! client attaches before it starts the container, so that it misses no output. It also allows `kill` and `stop` on a
//! paused or restarting container, as Docker does.

mod goal;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::goal::{Goal, GoalState};

/// Generates an enum with one text for each variant, for the wire and the database.
macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All values, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The text on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { kind: stringify!($name), value: text.chars().take(80).collect() }),
                }
            }
        }
    };
}

/// The text is not a value of the enum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {kind}")]
pub struct UnknownName {
    /// The enum.
    pub kind: &'static str,
    /// The text, truncated to 80 characters.
    pub value: String,
}

named_enum!(
    /// The status of a container, with OpenStack Zun's names.
    Status {
        /// Accepted. The engine does not have the container yet.
        Creating = "Creating",
        /// The engine has created it. It has never run.
        Created = "Created",
        /// Its process is running.
        Running = "Running",
        /// Its process has ended.
        Stopped = "Stopped",
        /// Its processes are paused.
        Paused = "Paused",
        /// Its process has ended, and the engine will start it again by its restart policy.
        Restarting = "Restarting",
        /// A rebuild replaces it with a new one from an image.
        Rebuilding = "Rebuilding",
        /// It is being removed.
        Deleting = "Deleting",
        /// It was deleted. Lists no longer show it, and its row is kept for some time.
        Deleted = "Deleted",
        /// The engine could not remove it completely.
        Dead = "Dead",
        /// It could not be created or started, or it vanished. The status reason says why.
        Error = "Error",
        /// Its state is not known.
        Unknown = "Unknown",
    }
);

named_enum!(
    /// The operation in progress on a container, with OpenStack Zun's names.
    TaskState {
        /// The engine is pulling its image.
        ImagePulling = "image_pulling",
        /// The engine is creating it.
        Creating = "container_creating",
        /// The engine is starting it.
        Starting = "container_starting",
        /// The engine is removing it.
        Deleting = "container_deleting",
        /// The engine is stopping it.
        Stopping = "container_stopping",
        /// The engine is restarting it.
        Rebooting = "container_rebooting",
        /// A rebuild replaces it.
        Rebuilding = "container_rebuilding",
        /// The engine is pausing it.
        Pausing = "container_pausing",
        /// The engine is unpausing it.
        Unpausing = "container_unpausing",
        /// The engine is sending it a signal.
        Killing = "container_killing",
    }
);

named_enum!(
    /// Why a run of a container ended.
    EndReason {
        /// Its process exited.
        Exited = "exited",
        /// The exit code is 128 + the number of a signal, so a signal probably killed the process.
        Signal = "signal",
        /// The kernel killed its process because the container was out of memory.
        OutOfMemory = "out_of_memory",
        /// The container was removed.
        Removed = "removed",
        /// The container was started again, by its restart policy or by a restart.
        Restarted = "restarted",
        /// The container's host was lost, or lost its engine's data.
        HostLost = "host_lost",
        /// How the run ended is not known: the engine and the agent know neither the exit code nor the reason.
        Unseen = "unseen",
        /// The engine could not start its process. The run never began.
        NotStarted = "not_started",
    }
);

named_enum!(
    /// The health status of a running container.
    Health {
        /// No result yet.
        Starting = "starting",
        /// It succeeds.
        Healthy = "healthy",
        /// It has failed several times in a row.
        Unhealthy = "unhealthy",
    }
);

named_enum!(
    /// An action on a container.
    Action {
        /// Start it.
        Start = "start",
        /// Stop it with a grace period.
        Stop = "stop",
        /// Stop it and start it again.
        Reboot = "reboot",
        /// Replace it with a new one from an image.
        Rebuild = "rebuild",
        /// Pause it.
        Pause = "pause",
        /// Unpause it.
        Unpause = "unpause",
        /// Send it a signal.
        Kill = "kill",
        /// Run another command in it.
        Execute = "execute",
        /// Set the terminal size of an exec.
        ExecuteResize = "execute_resize",
        /// Open its console.
        Attach = "attach",
        /// Set the size of its terminal.
        Resize = "resize",
        /// Read its output.
        Logs = "logs",
        /// List its processes.
        Top = "top",
        /// Read its resource usage.
        Stats = "stats",
        /// Copy files out of it.
        GetArchive = "get_archive",
        /// Copy files into it.
        PutArchive = "put_archive",
        /// List what differs from its image.
        Changes = "changes",
        /// Make an image of it.
        Commit = "commit",
        /// Change its limits or its name.
        Update = "update",
        /// Remove it.
        Delete = "delete",
        /// Stop it, then remove it.
        DeleteStop = "delete_stop",
        /// Remove it in any status.
        DeleteForce = "delete_force",
    }
);

impl Status {
    /// Whether the action may begin on a container in this status.
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Start => matches!(self, Self::Created | Self::Stopped | Self::Error),
            Action::Stop | Action::Kill => {
                matches!(self, Self::Running | Self::Restarting | Self::Paused)
            }
            Action::Reboot => matches!(
                self,
                Self::Created
                    | Self::Running
                    | Self::Restarting
                    | Self::Paused
                    | Self::Stopped
                    | Self::Error
            ),
            Action::Rebuild => self.allows(Action::Reboot) && !matches!(self, Self::Paused),
            Action::Pause
            | Action::Execute
            | Action::ExecuteResize
            | Action::Top
            | Action::Stats => {
                matches!(self, Self::Running)
            }
            Action::Commit => matches!(self, Self::Running | Self::Stopped | Self::Paused),
            Action::GetArchive | Action::PutArchive | Action::Changes | Action::Update => {
                matches!(self, Self::Created | Self::Running | Self::Stopped | Self::Paused)
            }
            Action::Unpause => matches!(self, Self::Paused),
            Action::Attach | Action::Resize => matches!(self, Self::Created | Self::Running),
            Action::Logs => matches!(
                self,
                Self::Created
                    | Self::Error
                    | Self::Paused
                    | Self::Running
                    | Self::Stopped
                    | Self::Restarting
                    | Self::Rebuilding
                    | Self::Unknown
            ),
            Action::Delete => {
                matches!(
                    self,
                    Self::Created | Self::Error | Self::Stopped | Self::Deleted | Self::Dead
                )
            }
            Action::DeleteStop => matches!(
                self,
                Self::Running
                    | Self::Restarting
                    | Self::Rebuilding
                    | Self::Paused
                    | Self::Created
                    | Self::Error
                    | Self::Stopped
                    | Self::Deleted
                    | Self::Dead
            ),
            Action::DeleteForce => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> String {
        Status::ALL.iter().map(|status| row(*status)).collect()
    }

    fn row(status: Status) -> String {
        let allowed = Action::ALL.iter().filter(|action| status.allows(**action));
        let allowed: Vec<_> = allowed.map(|action| action.as_str()).collect();
        format!("{status:<11}{}\n", allowed.join(" "))
    }

    #[test]
    fn each_status_allows_the_listed_actions() {
        insta::assert_snapshot!(grid(), @r"
        Creating   delete_force
        Created    start reboot rebuild attach resize logs get_archive put_archive changes update delete delete_stop delete_force
        Running    stop reboot rebuild pause kill execute execute_resize attach resize logs top stats get_archive put_archive changes commit update delete_stop delete_force
        Stopped    start reboot rebuild logs get_archive put_archive changes commit update delete delete_stop delete_force
        Paused     stop reboot unpause kill logs get_archive put_archive changes commit update delete_stop delete_force
        Restarting stop reboot rebuild kill logs delete_stop delete_force
        Rebuilding logs delete_stop delete_force
        Deleting   delete_force
        Deleted    delete delete_stop delete_force
        Dead       delete delete_stop delete_force
        Error      start reboot rebuild logs delete delete_stop delete_force
        Unknown    logs delete_force
        ");
    }

    #[test]
    fn every_name_round_trips() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().as_ref(), Ok(status));
        }
        for task in TaskState::ALL {
            assert_eq!(task.as_str().parse::<TaskState>().as_ref(), Ok(task));
        }
        assert!("running".parse::<Status>().is_err());
    }
}
