//! The calls of the API for images on hosts.

use reqwest::Method;
use zun_common::api::v1::image::{FoundImage, Image, ImageList, PullImage};

use super::client::{LONG_TIMEOUT, SHORT_TIMEOUT, json};
use super::{ApiError, Client};

/// Images in one response.
const PAGE: &str = "1000";

impl Client {
    /// Lists the images that have these values of fields, such as `host`.
    pub async fn images(&self, filters: &[(&'static str, String)]) -> Result<Vec<Image>, ApiError> {
        let mut all: Vec<Image> = Vec::new();
        loop {
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(all.last().map(|last| ("marker", last.uuid.to_string())));
            let request = self.request(Method::GET, &["images"])?.query(filters).query(&query);
            let page: ImageList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
            let is_last = page.next.is_none() || page.images.is_empty();
            all.extend(page.images);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Returns an image by its ID.
    pub async fn image(&self, id: &str) -> Result<Image, ApiError> {
        let request = self.request(Method::GET, &["images", id])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Requests that a host pulls an image.
    pub async fn pull_image(&self, ask: &PullImage) -> Result<Image, ApiError> {
        let request = self.request(Method::POST, &["images"])?.json(ask);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Requests that a host removes an image.
    pub async fn delete_image(&self, id: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::DELETE, &["images", id])?).await
    }

    /// Searches Docker's registry.
    pub async fn search_images(&self, term: &str) -> Result<Vec<FoundImage>, ApiError> {
        let request = self.request(Method::GET, &["images", term, "search"])?;
        json(self.send(request, LONG_TIMEOUT).await?).await
    }
}
