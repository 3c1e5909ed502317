//! Requests with an idempotency key. zun-api carries out the first accepted one; repeats get its answer.
//!
//! ```text
//!  known key ──> the first answer
//!  new key ──> attempt ──> accepted
//!                └── refused ──known by now: a repeat overtook this one──> the first answer
//! ```

use std::future::Future;

use serde::Serialize;
use sha2::{Digest, Sha256};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::{Code, Problem};

use super::wait::as_deleted;
use crate::app::{App, AppError, Caller};
use crate::db::Conn;
use crate::db::container::{self, Record, Scope};
use crate::db::operation::{self, First, Kind, OutcomeKind, RequestKey};

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked<'a, A> {
    pub(super) kind: Kind,
    /// The container as the request names it. Its name may belong to another one when the request is repeated.
    pub(super) container: &'a str,
    pub(super) arguments: A,
}

/// The result of [`App::once`].
pub(super) enum Once<T> {
    /// The request was done.
    Done(T),
    /// It is a repeat of the request that was accepted as this operation.
    Repeated(Box<First>),
}

impl Caller {
    /// The key of the request, if it has one.
    pub(super) fn request_key<A: Serialize>(
        &self,
        asked: &Asked<'_, A>,
    ) -> Result<Option<RequestKey>, AppError> {
        let Some(key) = &self.key else { return Ok(None) };
        let Asked { kind, container, arguments } = asked;
        let text = serde_json::to_vec(&(kind.as_str(), container, arguments))
            .map_err(|cause| AppError::Db(cause.into()))?;
        Ok(Some(RequestKey {
            project: self.identity.project.clone(),
            text: key.as_str().to_owned(),
            fingerprint: hex::encode(Sha256::digest(text)),
        }))
    }
}

impl App {
    /// Makes the attempt, unless a request with this key was accepted before. The attempt stores the key with its
    /// operation.
    pub(super) async fn once<T>(
        &self,
        key: Option<RequestKey>,
        attempt: impl Future<Output = Result<T, AppError>>,
    ) -> Result<Once<T>, AppError> {
        let Some(key) = key else { return attempt.await.map(Once::Done) };
        if let Some(first) = self.first(&key).await? {
            return Ok(Once::Repeated(first));
        }
        match attempt.await {
            Ok(done) => Ok(Once::Done(done)),
            // This one may have been refused because another request with the key was accepted meanwhile.
            Err(error) => match self.first(&key).await? {
                Some(first) => Ok(Once::Repeated(first)),
                None => Err(error),
            },
        }
    }

    async fn first(&self, key: &RequestKey) -> Result<Option<Box<First>>, AppError> {
        let wanted = key.clone();
        let found = self.db.read(move |conn| operation::by_key(conn, &wanted)).await?;
        match found {
            Some(first) if first.fingerprint.as_ref() != Some(&key.fingerprint) => {
                let (kind, id) = (first.kind.as_str(), first.container);
                Err(AppError::KeyReused { key: key.text.clone(), kind, id })
            }
            found => Ok(found.map(Box::new)),
        }
    }

    /// Returns the first answer to a request on an existing container: the error, if the operation has failed. If its
    /// host may not have begun it yet, nudges the host again, which does not carry it out twice.
    pub(super) async fn answer_again(
        &self,
        context: &CallContext,
        first: First,
    ) -> Result<(), AppError> {
        tracing::info!(
            container.id = %first.container, request.id = %context.request,
            "a request for {} of container {} was repeated", first.kind.as_str(), first.container
        );
        match (first.open, first.outcome, first.host) {
            (Some(accepted), _, _) => self.nudge(context, accepted).await,
            (None, Some(OutcomeKind::Failed), Some(host)) => {
                let unknown = || Problem::new(Code::Internal, "The operation has failed.");
                Err(AppError::Refused { host, problem: first.problem.unwrap_or_else(unknown) })
            }
            (None, _, _) => Ok(()),
        }
    }

    /// The container of a repeated request in its present state, also if it has been deleted since.
    pub(super) async fn container_again(
        &self,
        caller: &Caller,
        first: &First,
    ) -> Result<Record, AppError> {
        let id = first.container;
        let read = move |conn: &mut Conn| {
            if let Some(record) = container::by_id(conn, &Scope::All, id)? {
                return Ok(Some(record));
            }
            Ok(container::with_tombstone(conn, id)?.map(as_deleted))
        };
        let found = self.db.read(read).await?.filter(|record| caller.sees(&record.project));
        found.ok_or_else(|| AppError::ContainerNotFound(id.to_string()))
    }
}

/// Whether a later attempt may succeed after this refusal. Such a refusal is not the answer to all repeats.
pub(super) const fn is_transient(code: Code) -> bool {
    match code {
        Code::Busy | Code::Closing | Code::Expired | Code::EngineDown => true,
        Code::BadRequest
        | Code::NotFound
        | Code::Conflict
        | Code::UnknownMethod
        | Code::Unsupported
        | Code::TooLarge
        | Code::Forbidden
        | Code::NoConsole
        | Code::NotOffered
        | Code::Unfinished
        | Code::Engine
        | Code::Uncertain
        | Code::StaleEpoch
        | Code::Internal
        | Code::Unknown => false,
    }
}
