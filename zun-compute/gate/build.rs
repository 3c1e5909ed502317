//! Embeds the web console.

#[path = "../../web/embed.rs"]
mod embed;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    embed::embed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist"), "console")
}
