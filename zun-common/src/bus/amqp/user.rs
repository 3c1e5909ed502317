//! Whom a message comes from. The broker vouches for the user of a message (`user-id`), and the user's name
//! says for whom it may speak: `zun-compute.HOST` for that host alone, `zun-api` for no host, any other one
//! (where all have one user) for everybody.
//!
//! The broker's permissions keep a host's user from reading what is not its own. They cannot keep it from
//! writing: replies and reports go through the default exchange, which leads to every queue.

use lapin::types::ShortString;

use crate::bus::transport::Route;
use crate::id::HostName;

const HOST_USER_PREFIX: &str = "zun-compute.";
/// The user that `install.sh` makes for zun-api, beside one for each host.
const API_USER: &str = "zun-api";

/// Why a message is not heard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SenderError {
    #[error("it does not say which user sent it")]
    NoUser,
    #[error("the user `{0}` of a host may not command or ask a host")]
    HostUser(String),
    #[error("the user `{API_USER}` is no host's, and hosts have users of their own")]
    ApiUser,
    #[error("the user `{0}` is named like a host's, and there is no such host name")]
    BadHostName(String),
}

/// Whether a user speaks for one host alone.
pub(super) fn is_host_user(user: &str) -> bool {
    user.starts_with(HOST_USER_PREFIX)
}

/// The host that a message can only come from; `None` where its user may speak for all.
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
    fn a_hosts_user_speaks_for_its_host_and_to_zun_api_alone() {
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
    fn zun_apis_own_user_asks_for_nothing_in_a_hosts_name_and_a_user_of_all_does() {
        for route in [Route::Reports, Route::Controller] {
            assert_eq!(check_sender(&route, "zun-api"), Err(SenderError::ApiUser));
            assert_eq!(check_sender(&route, "zun"), Ok(None));
        }
    }

    #[test]
    fn one_that_names_no_user_is_not_heard() {
        assert_eq!(sending_host(&Route::Reports, None), Err(SenderError::NoUser));
    }
}
