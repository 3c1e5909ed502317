//! A container's status, and the table of what is allowed in each.
//!
//! The table follows Zun's `VALID_STATES`, with one difference on purpose: `attach` is also allowed on
//! a created container, because a client attaches before it starts, so that no output is lost.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Generates an enum whose variants have one text each, used on the wire and in the database.
macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in order.
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

/// A text that names no value of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {kind}")]
pub struct UnknownName {
    /// The enumeration.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub value: String,
}

named_enum!(
    /// What a container is now. The words are Zun's.
    Status {
        /// Accepted; the engine has no container yet.
        Creating = "Creating",
        /// The engine has it; it never ran.
        Created = "Created",
        /// Its process runs.
        Running = "Running",
        /// Its process ended.
        Stopped = "Stopped",
        /// Its processes are frozen.
        Paused = "Paused",
        /// The engine's restart policy, or a reboot, is about to run it again.
        Restarting = "Restarting",
        /// It is being made anew from an image.
        Rebuilding = "Rebuilding",
        /// It is being removed.
        Deleting = "Deleting",
        /// It is gone; its row goes next.
        Deleted = "Deleted",
        /// The engine could not remove it whole.
        Dead = "Dead",
        /// It could not be made or started, or it vanished; the reason says why.
        Error = "Error",
        /// Its host does not answer.
        Unknown = "Unknown",
    }
);

named_enum!(
    /// What is being done to a container now. The words are Zun's.
    TaskState {
        /// Its image is on the way.
        ImagePulling = "image_pulling",
        /// The engine makes it.
        Creating = "container_creating",
        /// The engine starts it.
        Starting = "container_starting",
        /// The engine removes it.
        Deleting = "container_deleting",
        /// The engine stops it.
        Stopping = "container_stopping",
        /// The engine restarts it.
        Rebooting = "container_rebooting",
        /// The engine freezes it.
        Pausing = "container_pausing",
        /// The engine thaws it.
        Unpausing = "container_unpausing",
        /// The engine sends it a signal.
        Killing = "container_killing",
    }
);

named_enum!(
    /// What can be asked of a container.
    Action {
        /// Run it.
        Start = "start",
        /// Stop it with a grace period.
        Stop = "stop",
        /// Stop and start it.
        Reboot = "reboot",
        /// Freeze it.
        Pause = "pause",
        /// Thaw it.
        Unpause = "unpause",
        /// Send it a signal.
        Kill = "kill",
        /// Run another command in it.
        Execute = "execute",
        /// Set the terminal size of such a command.
        ExecuteResize = "execute_resize",
        /// Open its console.
        Attach = "attach",
        /// Set its terminal's size.
        Resize = "resize",
        /// Read its output.
        Logs = "logs",
        /// List its processes.
        Top = "top",
        /// See what it uses.
        Stats = "stats",
        /// Copy files out of it.
        GetArchive = "get_archive",
        /// Copy files into it.
        PutArchive = "put_archive",
        /// Change what it may use, or its name.
        Update = "update",
        /// Remove it.
        Delete = "delete",
        /// Stop it, then remove it.
        DeleteStop = "delete_stop",
        /// Remove it whatever it does.
        DeleteForce = "delete_force",
    }
);

impl Status {
    /// Whether this action may begin on a container in this status.
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Start => matches!(self, Self::Created | Self::Stopped | Self::Error),
            Action::Stop | Action::Kill => matches!(self, Self::Running | Self::Restarting),
            Action::Reboot => {
                matches!(self, Self::Created | Self::Running | Self::Stopped | Self::Error)
            }
            Action::Pause
            | Action::Execute
            | Action::ExecuteResize
            | Action::Top
            | Action::Stats => {
                matches!(self, Self::Running)
            }
            Action::GetArchive | Action::PutArchive | Action::Update => {
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
    fn what_is_allowed_in_each_status() {
        insta::assert_snapshot!(grid(), @r"
        Creating   delete_force
        Created    start reboot attach resize logs get_archive put_archive update delete delete_stop delete_force
        Running    stop reboot pause kill execute execute_resize attach resize logs top stats get_archive put_archive update delete_stop delete_force
        Stopped    start reboot logs get_archive put_archive update delete delete_stop delete_force
        Paused     unpause logs get_archive put_archive update delete_force
        Restarting stop kill logs delete_stop delete_force
        Rebuilding delete_force
        Deleting   delete_force
        Deleted    delete delete_stop delete_force
        Dead       delete delete_stop delete_force
        Error      start reboot logs delete delete_stop delete_force
        Unknown    logs delete_force
        ");
    }

    #[test]
    fn every_name_reads_back() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().as_ref(), Ok(status));
        }
        for task in TaskState::ALL {
            assert_eq!(task.as_str().parse::<TaskState>().as_ref(), Ok(task));
        }
        assert!("running".parse::<Status>().is_err());
    }
}
