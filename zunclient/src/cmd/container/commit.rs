//! `zun commit`

use clap::Args;

use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Create an image from a container, on the container's host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun commit test web:v1
  zun run web:v1

Notes:
  - Prints the full name of the image. zun adds a prefix for your project,
    because projects share the images of a host. Only your project can use this
    image. The name without the prefix works too, and goes before an image of
    that name in a registry.
  - Only the container's host has the image. Containers on other hosts cannot
    use it.
  - The container is paused while the image is created.")]
pub(in crate::cmd) struct Commit {
    /// Name or UUID of the container
    container: String,
    /// Name of the image, such as web or web:v1
    #[arg(value_name = "REPOSITORY[:TAG]")]
    image: String,
}

impl Commit {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (repository, tag) = match self.image.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (self.image.as_str(), None),
        };
        let made = context.api.commit(&self.container, (repository, tag)).await?;
        context.printer.value(&made, || made.image.clone())?;
        Ok(Exit::OK)
    }
}
