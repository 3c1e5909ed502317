//! Runs in the API's responses.

use zun_common::api::v1::run::Run;
use zun_common::status::EndReason;

use super::container::out_of_memory;
use crate::db::container::{self, Record};

/// A run of this container.
pub(in crate::http) fn run(record: &Record, run: container::Run) -> Run {
    let container::Run { number, started_at, finished_at, exit_code, reason, message } = run;
    let no_memory = reason == Some(EndReason::OutOfMemory);
    let message = message.or_else(|| no_memory.then(|| out_of_memory(record)));
    Run { number, started_at, finished_at, exit_code, reason, message }
}
