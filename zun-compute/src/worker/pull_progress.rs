//! The progress of an image pull, throttled for reports: the newest state of each layer, at most four times a second.

use std::time::Duration;

use tokio::time::Instant;
use zun_common::api::v1::container::{ImagePull, PulledLayer};

use crate::driver::PullProgress;

/// The shortest time between two reports.
const PACE: Duration = Duration::from_millis(250);
/// The most layers that are tracked; no image has more.
const MOST_LAYERS: usize = 128;
/// The longest text that is taken for a state.
const LONGEST: usize = 40;

/// The progress that was reported so far.
#[derive(Debug)]
pub(super) struct Progress {
    pull: ImagePull,
    due: Instant,
}

impl Progress {
    /// Creates it without any progress.
    pub(super) fn new() -> Self {
        Self { pull: ImagePull::default(), due: Instant::now() }
    }

    /// Records a step. Returns the progress if a report is due.
    pub(super) fn take(&mut self, step: PullProgress) -> Option<ImagePull> {
        if !self.note(step) || Instant::now() < self.due {
            return None;
        }
        self.due = Instant::now() + PACE;
        Some(self.pull.clone())
    }

    /// Whether the step is about a layer.
    fn note(&mut self, step: PullProgress) -> bool {
        let PullProgress { layer, mut state, bytes } = step;
        let is_layer = layer.len() == 12 && layer.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_layer {
            return false;
        }
        state.truncate(state.floor_char_boundary(LONGEST));
        let (current, total) = bytes.unwrap_or((0, 0));
        let layers = &mut self.pull.layers;
        let full = layers.len() >= MOST_LAYERS;
        let newest = PulledLayer { id: layer, state, current, total };
        match layers.iter_mut().find(|known| known.id == newest.id) {
            Some(known) => *known = newest,
            None if full => return false,
            None => layers.push(newest),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(layer: &str, state: &str, bytes: Option<(u64, u64)>) -> PullProgress {
        PullProgress { layer: layer.to_owned(), state: state.to_owned(), bytes }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_of_each_layer_is_told_and_not_too_often() {
        let mut progress = Progress::new();
        assert_eq!(progress.take(step("v1", "Pulling from x", None)), None);
        let first = progress.take(step("aaaaaaaaaaaa", "Pulling fs layer", None)).expect("at once");
        assert_eq!(first.layers.len(), 1);
        assert_eq!(progress.take(step("bbbbbbbbbbbb", "Downloading", Some((1, 9)))), None);
        assert_eq!(progress.take(step("aaaaaaaaaaaa", "Downloading", Some((2, 8)))), None);
        tokio::time::advance(PACE).await;
        let pull = progress.take(step("bbbbbbbbbbbb", "Downloading", Some((5, 9)))).expect("due");
        let shown: Vec<_> = pull.layers.iter().map(|layer| (layer.current, layer.total)).collect();
        assert_eq!(shown, [(2, 8), (5, 9)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_image_costs_little() {
        let mut progress = Progress::new();
        for number in 0..1000 {
            tokio::time::advance(PACE).await;
            let pull = progress.take(step(&format!("{number:012x}"), &"x".repeat(9999), None));
            assert!(pull.is_none_or(|pull| pull.layers.len() <= MOST_LAYERS));
        }
        assert_eq!(progress.pull.layers.len(), MOST_LAYERS);
        assert!(progress.pull.layers.iter().all(|layer| layer.state.len() <= LONGEST));
    }
}
