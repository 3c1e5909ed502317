//! What the containers of each project use, and how much they may use.
//!
//! A project's row has the totals of its containers. They change in the transaction that changes a container's claim:
//! each container counts until its removal is confirmed, and its resources while it holds a claim on a host. The row is
//! locked before the host's (see `lock`).

mod limits;
mod usage;

use std::fmt;

pub(crate) use limits::{Limits, Quota, class, lock, project, reset, set, set_class, usage};
pub(crate) use usage::{Amounts, change, check, release, reserve};

use crate::db::host::Growth;
use crate::db::{Conn, DbError};

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    Containers,
    Cpus,
    Memory,
    Disk,
}

impl Limited {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Cpus => "CPUs",
            Self::Memory => "MiB of memory",
            Self::Disk => "GiB of disk",
        }
    }
}

/// A limit that a request exceeds. CPUs are in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExceededLimit {
    pub(crate) what: Limited,
    pub(crate) requested: i64,
    pub(crate) used: i64,
    pub(crate) allowed: i64,
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |number: i64| match self.what {
            Limited::Cpus => decimal(number),
            Limited::Containers | Limited::Memory | Limited::Disk => number.to_string(),
        };
        let [requested, used, allowed] = [self.requested, self.used, self.allowed].map(amount);
        write!(out, "{requested} {} requested, {used} of {allowed} in use", self.what.as_str())
    }
}

/// All limits that a request exceeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverQuota(pub(crate) Vec<ExceededLimit>);

impl fmt::Display for OverQuota {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(out, "The quota of the project is exceeded: {}.", all.join("; "))
    }
}

/// Thousandths as a decimal number without trailing zeros.
fn decimal(millis: i64) -> String {
    let (whole, rest) = (millis / 1000, (millis % 1000).abs());
    let text = format!("{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_is_requested_used_and_allowed() {
        let excess =
            |what, requested, used, allowed| ExceededLimit { what, requested, used, allowed };
        let over = OverQuota(vec![
            excess(Limited::Containers, 1, 40, 40),
            excess(Limited::Cpus, 1500, 19_250, 20_000),
            excess(Limited::Memory, 512, 51_000, 51_200),
        ]);
        insta::assert_snapshot!(over, @"The quota of the project is exceeded: 1 containers requested, 40 of 40 in use; 1.5 CPUs requested, 19.25 of 20 in use; 512 MiB of memory requested, 51000 of 51200 in use.");
    }
}
