//! Embeds the web console and the player of recordings.

#[path = "../../web/embed.rs"]
mod embed;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist");
    embed::embed(&pages, "console")?;
    embed::embed(&pages, "player")
}
