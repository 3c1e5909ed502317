//! Operations on existing containers. zun-api accepts them, the agent decides whether they fit the engine's state, and
//! a report carries the result. Only reports change the task state, so that a response never overwrites a newer report.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use zun_common::rpc::operation::Change;
use zun_common::status::Action;

use super::Ident;
use crate::app::{App, AppError, Caller};
use crate::db::container::Record;
use crate::db::operation::Kind;

impl App {
    /// Starts a container.
    pub(crate) async fn start(&self, caller: &Caller, ident: &Ident) -> Result<(), AppError> {
        let start = |record: &Record| Change::Start {
            last_start: record
                .started_at
                .map(|time| DateTime::<Utc>::from_naive_utc_and_offset(time, Utc)),
        };
        self.operate(caller, ident, (Action::Start, (Kind::Start, Value::Null), start)).await
    }

    /// Stops a container. `grace` is in seconds; by default what the container was created with.
    pub(crate) async fn stop(
        &self,
        caller: &Caller,
        ident: &Ident,
        grace: Option<u32>,
    ) -> Result<(), AppError> {
        self.operate(
            caller,
            ident,
            (Action::Stop, (Kind::Stop, json!(grace)), |record: &Record| Change::Stop {
                grace: grace.or(record.spec.options.stop_timeout),
            }),
        )
        .await
    }

    /// Stops a container and starts it again. `grace` is as in [`App::stop`].
    pub(crate) async fn reboot(
        &self,
        caller: &Caller,
        ident: &Ident,
        grace: Option<u32>,
    ) -> Result<(), AppError> {
        self.operate(
            caller,
            ident,
            (Action::Reboot, (Kind::Reboot, json!(grace)), |record: &Record| Change::Reboot {
                grace: grace.or(record.spec.options.stop_timeout),
            }),
        )
        .await
    }

    /// Pauses a container.
    pub(crate) async fn pause(&self, caller: &Caller, ident: &Ident) -> Result<(), AppError> {
        self.operate(
            caller,
            ident,
            (Action::Pause, (Kind::Pause, Value::Null), |_: &_| Change::Pause),
        )
        .await
    }

    /// Unpauses a container.
    pub(crate) async fn unpause(&self, caller: &Caller, ident: &Ident) -> Result<(), AppError> {
        self.operate(
            caller,
            ident,
            (Action::Unpause, (Kind::Unpause, Value::Null), |_: &_| Change::Unpause),
        )
        .await
    }

    /// Sends a signal to a container.
    pub(crate) async fn kill(
        &self,
        caller: &Caller,
        ident: &Ident,
        signal: String,
    ) -> Result<(), AppError> {
        self.operate(
            caller,
            ident,
            (Action::Kill, (Kind::Kill, json!(signal)), |_: &_| Change::Kill { signal }),
        )
        .await
    }
}
