//! Logins to image registries. They never travel with operations: the agent asks for one when it pulls.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::Call;
use crate::id::{Epoch, HostName, OperationId};
use crate::secret::Secret;

/// Requests the login that an operation's image is pulled with. zun-api refuses it unless the operation is open, belongs
/// to the host, was received in this epoch, and names a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetRegistryLogin {
    /// The host. It must be the sender.
    pub host: HostName,
    /// The agent's epoch.
    pub epoch: Epoch,
    /// The operation.
    pub operation: OperationId,
}

impl Call for GetRegistryLogin {
    const METHOD: &'static str = "registry.login";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = FoundLogin;
}

/// The login of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLogin {
    /// The login; `None` if the registry needs none.
    pub login: Option<RegistryLogin>,
}

/// A login to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLogin {
    /// The domain of the registry, and its port if it has one. The login is sent to no other.
    pub domain: String,
    /// The user.
    pub username: String,
    /// The password or token.
    #[serde(serialize_with = "exposed")]
    pub password: Secret<String>,
}

fn exposed<S: Serializer>(password: &Secret<String>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(password.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_round_trips_and_its_debug_form_hides_the_password() {
        let login = RegistryLogin {
            domain: "registry:5000".to_owned(),
            username: "ann".to_owned(),
            password: Secret::new("hunter2".to_owned()),
        };
        assert!(!format!("{login:?}").contains("hunter2"));
        let wire = serde_json::to_string(&login).expect("JSON");
        assert_eq!(serde_json::from_str::<RegistryLogin>(&wire).expect("a login"), login);
    }
}
