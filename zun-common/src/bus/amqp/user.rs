//! Checks the sender of a message. The broker verifies a message's `user-id`. The user's name decides which hosts
//! it may act for: `zun-compute.HOST` for that host only, `zun-api` for none, and any other user (if all services
//! share one) for every host.
//!
//! The broker's permissions keep a host's user from reading other queues. They cannot keep it from writing,
//! because replies and reports use the default exchange, which reaches every queue.

use lapin::types::ShortString;

use crate::bus::transport::Route;
use crate::id::HostName;

const HOST_USER_PREFIX: &str = "zun-compute.";
/// The user that `install.sh` creates for zun-api. Each host has its own.
const API_USER: &str = "zun-api";

/// Why a message is refused because of its sender.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SenderError {
    #[error("it has no user-id")]
    NoUser,
    #[error("`{0}` is a host's user and may not send commands or queries to hosts")]
    HostUser(String),
    #[error("`{API_USER}` is not a host's user and may not send reports")]
    ApiUser,
    #[error(
        "`{0}` looks like a host's user, but the part after `zun-compute.` is not a valid host name"
    )]
    BadHostName(String),
}

/// Whether the user belongs to one host.
pub(super) fn is_host_user(user: &str) -> bool {
    user.starts_with(HOST_USER_PREFIX)
}

/// Returns the only host that the message may come from, or `None` if its user is not a host's.
pub(super) fn sending_host(
    route: &Route,
    user: Option<&ShortString>,
) -> Result<Option<HostName>, SenderError> {
    let user = user.ok_or(SenderError::NoUser)?.as_str();
    let Some(host) = user.strip_prefix(HOST_USER_PREFIX) else {
        let sent_to_api = matches!(route, Route::Reports | Route::Controller);
        return if user == API_USER && sent_to_api { Err(SenderError::ApiUser) } else { Ok(None) };
    };
    match route {
        Route::Commands(_) | Route::Queries(_) => Err(SenderError::HostUser(user.to_owned())),
        Route::Reports | Route::Controller => {
            host.parse().map(Some).map_err(|_bad| SenderError::BadHostName(user.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostName {
        "compute1".parse().expect("a name")
    }

    fn check_sender(route: &Route, user: &str) -> Result<Option<HostName>, SenderError> {
        sending_host(route, Some(&user.into()))
    }

    #[test]
    fn a_hosts_user_may_send_to_zun_api_and_only_for_its_host() {
        for route in [Route::Reports, Route::Controller] {
            assert_eq!(check_sender(&route, "zun-compute.compute1"), Ok(Some(host())));
        }
        for route in [Route::Commands(host()), Route::Queries(host())] {
            assert!(matches!(
                check_sender(&route, "zun-compute.compute1"),
                Err(SenderError::HostUser(_))
            ));
            assert_eq!(check_sender(&route, "zun-api"), Ok(None));
        }
        assert!(matches!(
            check_sender(&Route::Reports, "zun-compute.A b"),
            Err(SenderError::BadHostName(_))
        ));
    }

    #[test]
    fn zun_apis_user_may_not_send_for_a_host_but_a_shared_user_may() {
        for route in [Route::Reports, Route::Controller] {
            assert_eq!(check_sender(&route, "zun-api"), Err(SenderError::ApiUser));
            assert_eq!(check_sender(&route, "zun"), Ok(None));
        }
    }

    #[test]
    fn a_message_without_a_user_is_refused() {
        assert_eq!(sending_host(&Route::Reports, None), Err(SenderError::NoUser));
    }
}
