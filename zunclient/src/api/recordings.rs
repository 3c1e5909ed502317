//! The calls of the API for recordings of sessions.

use reqwest::Method;
use serde_json::json;
use zun_common::api::v1::console::ConsoleEndpoint;
use zun_common::api::v1::recording::{Recording, RecordingList};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

impl Client {
    /// Lists recordings. `filters` are the names and values of query parameters.
    pub async fn recordings(&self, filters: &[(&str, String)]) -> Result<RecordingList, ApiError> {
        let request = self.request(Method::GET, &["recordings"])?.query(filters);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Shows a recording.
    pub async fn recording(&self, id: &str) -> Result<Recording, ApiError> {
        let request = self.request(Method::GET, &["recordings", id])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Gets a grant to download a recording.
    pub async fn download_recording(
        &self,
        id: &str,
        csr: &str,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["recordings", id, "download"])?;
        json(self.send(request.json(&json!({ "csr": csr })), SHORT_TIMEOUT).await?).await
    }

    /// Deletes a recording that has ended.
    pub async fn delete_recording(&self, id: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::DELETE, &["recordings", id])?).await
    }
}
