//! The progress of an image pull, on stderr: a line, and on a terminal also a bar for each layer. The bars disappear at
//! the end.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use zun_common::api::v1::container::{ImagePull, PulledLayer};

use crate::out;

/// The line of a layer whose size is not known yet.
const UNKNOWN: &str = "  {prefix:12!} {msg:.60!}";
const KNOWN: &str = "  {prefix:12!} {msg:18!} [{bar:18}] {bytes}/{total_bytes}";

/// Shows the progress of a pull.
#[derive(Default)]
pub(in crate::cmd) struct PullProgress {
    is_announced: bool,
    bars: Option<Bars>,
}

impl PullProgress {
    /// Shows the current state of a pull.
    pub(in crate::cmd) fn show(&mut self, image: &str, pull: Option<&ImagePull>) {
        if !self.is_announced {
            out::notice(&format!("pulling {image} …"));
            self.is_announced = true;
        }
        let Some(pull) = pull.filter(|_| out::stderr_is_live()) else { return };
        self.bars.get_or_insert_with(Bars::new).show(pull);
    }
}

/// The bars. Dropping it removes them from the terminal.
struct Bars {
    all: MultiProgress,
    layers: Vec<(String, ProgressBar)>,
    plain: ProgressStyle,
    bar: ProgressStyle,
}

impl Bars {
    fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let style = |template| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_bad_template| ProgressStyle::default_spinner())
                .progress_chars("=> ")
        };
        Self {
            all: MultiProgress::with_draw_target(target),
            layers: Vec::new(),
            plain: style(UNKNOWN),
            bar: style(KNOWN),
        }
    }

    fn show(&mut self, pull: &ImagePull) {
        for layer in &pull.layers {
            let known = self.layers.iter().position(|(id, _)| *id == layer.id);
            let index = known.unwrap_or_else(|| {
                // It is hidden until it has its style, so that no frame has another one.
                let bar = ProgressBar::hidden().with_style(self.plain.clone());
                bar.set_prefix(clean(&layer.id));
                bar.set_message(clean(&layer.state));
                let bar = self.all.add(bar);
                self.layers.push((layer.id.clone(), bar));
                self.layers.len() - 1
            });
            if let Some((_, bar)) = self.layers.get(index) {
                self.draw(bar, layer);
            }
        }
    }

    fn draw(&self, bar: &ProgressBar, layer: &PulledLayer) {
        let PulledLayer { id: _, state, current, total } = layer;
        bar.set_style(if *total > 0 { self.bar.clone() } else { self.plain.clone() });
        bar.set_length(*total);
        bar.set_message(clean(state));
        bar.set_position(*current);
        bar.tick();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to remove.
        drop(self.all.clear());
    }
}

/// Removes control characters, which Docker must not send to the terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    fn layer(id: &str, state: &str, bytes: (u64, u64)) -> PulledLayer {
        let (current, total) = bytes;
        PulledLayer { id: id.to_owned(), state: state.to_owned(), current, total }
    }

    #[test]
    fn each_layer_has_a_line_and_nothing_is_left_at_the_end() {
        let term = InMemoryTerm::new(10, 80);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let mut bars = Bars::on(target);
        let first = layer("aaaaaaaaaaaa", "Downloading", (1000 << 20, 1023 << 20));
        let second = layer("bbbbbbbbbbbb", "Waiting\x1b[2J", (0, 0));
        bars.show(&ImagePull { layers: vec![first.clone(), second] });
        let shown = term.contents();
        assert!(shown.contains("aaaaaaaaaaaa Downloading"), "{shown}");
        assert!(shown.contains("1000.00 MiB/1023.00 MiB"), "{shown}");
        assert!(shown.contains("bbbbbbbbbbbb Waiting[2J"), "{shown}");
        assert_eq!(shown.lines().count(), 2, "one line for each layer: {shown}");
        bars.show(&ImagePull { layers: vec![PulledLayer { current: 1 << 20, ..first }] });
        drop(bars);
        assert_eq!(term.contents(), "");
    }
}
