//! An operation's row, and its parsed form.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use zun_common::id::{ContainerId, OperationId};
use zun_common::rpc::operation::{Change, Operation, Outcome};
use zun_common::rpc::{Code, Problem};

use crate::db::column::{self, unreadable};
use crate::db::schema::operations;
use crate::db::{Backend, DbError};

/// An operation in the ledger, as users see it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) container: ContainerId,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) kind: Kind,
    pub(crate) request: String,
    pub(crate) outcome: Option<OutcomeKind>,
    pub(crate) problem: Option<Problem>,
    pub(crate) accepted_at: NaiveDateTime,
    pub(crate) finished_at: Option<NaiveDateTime>,
    /// The run that it began, if it began one.
    pub(crate) run: Option<i64>,
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $name {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            /// The text in the database.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownText;
            fn from_str(text: &str) -> Result<Self, UnknownText> {
                let named = Self::ALL.iter().find(|one| one.as_str() == text);
                named.copied().ok_or_else(|| UnknownText(text.chars().take(80).collect()))
            }
        }
    };
}

/// The text in a column is not one that this build writes.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not known")]
pub(crate) struct UnknownText(String);

texts!(
    /// What an operation does.
    Kind {
        Create = "create",
        Start = "start",
        Stop = "stop",
        Reboot = "reboot",
        Rebuild = "rebuild",
        Pause = "pause",
        Unpause = "unpause",
        Kill = "kill",
        Update = "update",
        Delete = "delete",
        PullImage = "pull_image",
        RemoveImage = "remove_image",
        RemoveResource = "remove_resource",
        Attach = "attach",
        Execute = "execute",
    }
);

texts!(
    /// How an operation ended.
    OutcomeKind {
        Succeeded = "succeeded",
        Failed = "failed",
        Expired = "expired",
        Unknown = "unknown",
    }
);

impl Kind {
    /// The kinds that may only be carried out once.
    pub(super) const NON_IDEMPOTENT: [&'static str; 2] =
        [Self::Reboot.as_str(), Self::Kill.as_str()];

    /// The kinds that remove their subject.
    pub(super) const REMOVALS: [&'static str; 3] =
        [Self::Delete.as_str(), Self::RemoveImage.as_str(), Self::RemoveResource.as_str()];

    /// The kinds that the next agent must finish if an earlier one may have begun them ([`Change::must_be_finished`]).
    pub(super) const FINISHED: [Self; 2] = [Self::Update, Self::Rebuild];

    /// The removals that stay open until they succeed, because the API no longer shows what they remove.
    pub(super) const LASTING: [&'static str; 2] =
        [Self::Delete.as_str(), Self::RemoveResource.as_str()];

    /// Whether a user connected to a container or ran a command in it. That is recorded when it has ended, and no agent
    /// receives it.
    pub(crate) const fn is_access(self) -> bool {
        matches!(self, Self::Attach | Self::Execute)
    }

    pub(crate) const fn of(change: &Change) -> Self {
        match change {
            Change::Create { .. } => Self::Create,
            Change::Start { .. } => Self::Start,
            Change::Stop { .. } => Self::Stop,
            Change::Reboot { .. } => Self::Reboot,
            Change::Rebuild { .. } => Self::Rebuild,
            Change::Pause => Self::Pause,
            Change::Unpause => Self::Unpause,
            Change::Kill { .. } => Self::Kill,
            Change::Update { .. } => Self::Update,
            Change::Delete { .. } => Self::Delete,
            Change::PullImage { .. } => Self::PullImage,
            Change::RemoveImage { .. } => Self::RemoveImage,
            Change::RemoveResource { .. } => Self::RemoveResource,
        }
    }
}

impl OutcomeKind {
    pub(super) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Expired => Self::Expired,
            Outcome::Unknown => Self::Unknown,
        }
    }
}

/// The columns of a row, unparsed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = operations, check_for_backend(Backend))]
pub(super) struct Row {
    pub(super) uuid: String,
    pub(super) sequence: i64,
    pub(super) previous: Option<i64>,
    pub(super) container: String,
    pub(super) project_id: String,
    pub(super) user_id: String,
    pub(super) kind: String,
    pub(super) arguments: Option<String>,
    pub(super) request_id: String,
    pub(super) epoch: Option<i64>,
    pub(super) not_after: Option<NaiveDateTime>,
    pub(super) outcome: Option<String>,
    pub(super) problem: Option<String>,
    pub(super) accepted_at: NaiveDateTime,
    pub(super) finished_at: Option<NaiveDateTime>,
    pub(super) run: Option<i64>,
}

impl Row {
    pub(super) fn id(&self) -> Result<OperationId, DbError> {
        self.parse("uuid", &self.uuid)
    }

    pub(super) fn container(&self) -> Result<ContainerId, DbError> {
        self.parse("container", &self.container)
    }

    pub(super) fn kind(&self) -> Result<Kind, DbError> {
        self.parse("kind", &self.kind)
    }

    /// The operation as it is on the bus. `change` is `None` if it is in the row.
    pub(super) fn operation(
        &self,
        change: Option<Change>,
        epoch: i64,
    ) -> Result<Operation, DbError> {
        let change = match (change, &self.arguments) {
            (Some(change), _) => change,
            (None, Some(arguments)) => serde_json::from_str(arguments)
                .map_err(|cause| unreadable("arguments", &self.uuid, cause))?,
            (None, None) => {
                let missing = UnknownText(self.kind.clone());
                return Err(unreadable("arguments", &self.uuid, missing));
            }
        };
        Ok(Operation {
            id: self.id()?,
            sequence: self.sequence,
            previous: self.previous,
            container: self.container()?,
            request: self.parse("request_id", &self.request_id)?,
            not_after: self
                .not_after
                .map(|limit| DateTime::<Utc>::from_naive_utc_and_offset(limit, Utc)),
            again: self.epoch.is_some_and(|former| former != epoch),
            change,
        })
    }

    pub(super) fn record(self) -> Result<Record, DbError> {
        Ok(Record {
            container: self.container()?,
            kind: self.kind()?,
            outcome: self.outcome()?,
            problem: self.problem(),
            project: self.project_id,
            user: self.user_id,
            request: self.request_id,
            accepted_at: self.accepted_at,
            finished_at: self.finished_at,
            run: self.run,
        })
    }

    pub(super) fn outcome(&self) -> Result<Option<OutcomeKind>, DbError> {
        self.outcome.as_ref().map(|text| self.parse("outcome", text)).transpose()
    }

    /// The stored failure.
    pub(super) fn problem(&self) -> Option<Problem> {
        let text = self.problem.as_ref()?;
        let problem = serde_json::from_str(text);
        Some(problem.unwrap_or_else(|_unreadable| Problem::new(Code::Internal, text.clone())))
    }

    pub(super) fn parse<T>(&self, column: &'static str, text: &str) -> Result<T, DbError>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        column::parse(column, &self.uuid, text)
    }
}
