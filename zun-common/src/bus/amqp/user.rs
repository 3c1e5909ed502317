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
    #[error("`{0}` is a host's user and may not send calls to hosts")]
    HostUser(String),
    #[error("`{API_USER}` is not a host's user and may not send calls to zun-api")]
    ApiUser,
    #[error(
        "`{0}` looks like a host's user, but the part after `zun-compute.` is not a valid host name"
    )]
    BadHostName(String),
}

/// Returns the only host that the message may come from, or `None` if its user is not a host's.
pub(super) fn sending_host(
    route: &Route,
    user: Option<&ShortString>,
) -> Result<Option<HostName>, SenderError> {
    let user = user.ok_or(SenderError::NoUser)?.as_str();
    let Some(host) = user.strip_prefix(HOST_USER_PREFIX) else {
        let is_to_api = matches!(route, Route::Controller);
        return if user == API_USER && is_to_api { Err(SenderError::ApiUser) } else { Ok(None) };
    };
    match route {
        Route::Host(_) => Err(SenderError::HostUser(user.to_owned())),
        Route::Controller => {
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
        let to_api = |user| check_sender(&Route::Controller, user);
        assert_eq!(to_api("zun-compute.compute1"), Ok(Some(host())));
        assert!(matches!(to_api("zun-compute.A b"), Err(SenderError::BadHostName(_))));
        let to_host = |user| check_sender(&Route::Host(host()), user);
        assert!(matches!(to_host("zun-compute.compute1"), Err(SenderError::HostUser(_))));
        assert_eq!(to_host("zun-api"), Ok(None));
    }

    #[test]
    fn zun_apis_user_may_not_send_for_a_host_but_a_shared_user_may() {
        assert_eq!(check_sender(&Route::Controller, "zun-api"), Err(SenderError::ApiUser));
        assert_eq!(check_sender(&Route::Controller, "zun"), Ok(None));
    }

    #[test]
    fn a_message_without_a_user_is_refused() {
        assert_eq!(sending_host(&Route::Controller, None), Err(SenderError::NoUser));
    }
}
