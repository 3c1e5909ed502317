//! The calls of the API for hosts.

use reqwest::Method;

use super::{ApiError, Client};

impl Client {
    /// Confirms that the machine or the engine's data of a host was replaced.
    pub async fn replace_host(&self, host: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::POST, &["hosts", host, "replace"])?).await
    }
}
