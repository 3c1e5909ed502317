//! Docker's authorization plugin, which the program `zun-authz` runs on each host. It decides which requests of
//! untrusted clients reach Docker, so it is a separate package with few dependencies.
//!
//! Requests over Docker's unix socket are allowed as before. A client that connects over TLS may make only the
//! requests that the grant in its certificate permits. The plugin keeps no state and needs no network: it decides from
//! Docker's request, the CA certificates and the clock.
//!
//! ```text
//! dockerd ──POST /AuthZPlugin.AuthZReq──▶ server ─▶ truncate ─▶ request ─▶ decision ─▶ {"Allow": …}
//!                                                                  │            ├─▶ decision_log (stderr)
//!                                              reload ─▶ certificate            ├─▶ counts (--stats, --metrics)
//!                                       (re-reads --ca)                         └─▶ notify (the agent)
//! ```

mod certificate;
mod counts;
mod decision;
mod decision_log;
mod health;
mod listen;
mod notify;
mod plugin;
mod refusal;
mod reload;
mod request;
mod run;
mod server;
mod stats;
#[cfg(test)]
mod testing;
mod truncate;

pub use certificate::read as read_certificate;
pub use decision::{Decision, Phase, Policy};
pub use decision_log::DecisionLog;
pub use listen::ListenError;
pub use refusal::Refusal;
pub use request::{AuthzRequest, ContentType, PeerCertificates};
pub use run::{Failure, Options, run};
pub use stats::{StatsError, metrics, stats};
pub use truncate::JsonTruncator;
