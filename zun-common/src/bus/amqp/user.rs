//! Whom a message comes from. The broker vouches for the user of a message (`user-id`), and the user's name
//! says for whom it may speak: `zun-compute.HOST` for that host alone, `zun-api` for no host, any other one
//! (where all have one user) for everybody.
//!
//! The broker's permissions keep a host's user from reading what is not its own. They cannot keep it from
//! writing: replies and reports go through the default exchange, which leads to every queue.

use lapin::types::ShortString;

use crate::bus::transport::Route;
use crate::id::HostName;

const OF_A_HOST: &str = "zun-compute.";
/// The user that `install.sh` makes for zun-api, beside one for each host.
const OF_THE_API: &str = "zun-api";

/// Why a message is not heard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unheard {
    #[error("it does not say which user sent it")]
    Nobody,
    #[error("the user `{0}` of a host may not command or ask a host")]
    FromAHost(String),
    #[error("the user `{OF_THE_API}` is no host's, and hosts have users of their own")]
    FromTheApi,
    #[error("the user `{0}` is named like a host's, and there is no such host name")]
    NoHost(String),
}

/// Whether a user speaks for one host alone.
pub(super) fn is_of_a_host(user: &str) -> bool {
    user.starts_with(OF_A_HOST)
}

/// The host that a message can only come from; `None` where its user may speak for all.
pub(super) fn speaker(
    route: &Route,
    user: Option<&ShortString>,
) -> Result<Option<HostName>, Unheard> {
    let user = user.ok_or(Unheard::Nobody)?.as_str();
    let Some(host) = user.strip_prefix(OF_A_HOST) else {
        let to_the_api = matches!(route, Route::Reports | Route::Controller);
        return if user == OF_THE_API && to_the_api { Err(Unheard::FromTheApi) } else { Ok(None) };
    };
    match route {
        Route::Commands(_) | Route::Queries(_) => Err(Unheard::FromAHost(user.to_owned())),
        Route::Reports | Route::Controller => {
            host.parse().map(Some).map_err(|_bad| Unheard::NoHost(user.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostName {
        "compute1".parse().expect("a name")
    }

    fn heard(route: &Route, user: &str) -> Result<Option<HostName>, Unheard> {
        speaker(route, Some(&user.into()))
    }

    #[test]
    fn a_hosts_user_speaks_for_its_host_and_to_zun_api_alone() {
        for route in [Route::Reports, Route::Controller] {
            assert_eq!(heard(&route, "zun-compute.compute1"), Ok(Some(host())));
        }
        for route in [Route::Commands(host()), Route::Queries(host())] {
            assert!(matches!(heard(&route, "zun-compute.compute1"), Err(Unheard::FromAHost(_))));
            assert_eq!(heard(&route, "zun-api"), Ok(None));
        }
        assert!(matches!(heard(&Route::Reports, "zun-compute.A b"), Err(Unheard::NoHost(_))));
    }

    #[test]
    fn zun_apis_own_user_asks_for_nothing_in_a_hosts_name_and_a_user_of_all_does() {
        for route in [Route::Reports, Route::Controller] {
            assert_eq!(heard(&route, "zun-api"), Err(Unheard::FromTheApi));
            assert_eq!(heard(&route, "zun"), Ok(None));
        }
    }

    #[test]
    fn one_that_names_no_user_is_not_heard() {
        assert_eq!(speaker(&Route::Reports, None), Err(Unheard::Nobody));
    }
}
