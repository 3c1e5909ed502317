//! Chooses the widths of columns, so that a table fits.

/// When a column is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Yield {
    /// Before others.
    First,
    /// If the others are as short as they get.
    Last,
    /// Never.
    Never,
}

/// No column is made shorter than this, in columns of the terminal.
const SHORTEST: usize = 6;

/// Shortens the columns until they take at most `total` together. The widest one is shortened first.
pub(super) fn fit(columns: &mut [(usize, Yield)], total: usize) {
    for yields in [Yield::First, Yield::Last] {
        loop {
            let sum: usize = columns.iter().map(|(width, _)| width).sum();
            let Some(excess) = sum.checked_sub(total).filter(|excess| *excess > 0) else { return };
            let mut candidates: Vec<&mut usize> = columns
                .iter_mut()
                .filter(|(width, own)| *own == yields && *width > SHORTEST)
                .map(|(width, _)| width)
                .collect();
            candidates.sort_unstable();
            let Some(widest) = candidates.pop() else { break };
            // Not below the next one, so that all of a kind get the same width.
            let floor = candidates.pop().map_or(SHORTEST, |next| *next);
            *widest = if *widest > floor {
                floor.max(widest.saturating_sub(excess))
            } else {
                *widest - 1
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(columns: &[(usize, Yield)], total: usize) -> Vec<usize> {
        let mut columns = columns.to_vec();
        fit(&mut columns, total);
        columns.into_iter().map(|(width, _)| width).collect()
    }

    #[test]
    fn the_widest_column_is_shortened_first_and_firm_ones_last() {
        let columns =
            [(12, Yield::Never), (20, Yield::Last), (1_000_000, Yield::First), (30, Yield::First)];
        assert_eq!(fitted(&columns, 2_000_000), [12, 20, 1_000_000, 30]);
        assert_eq!(fitted(&columns, 100), [12, 20, 38, 30]);
        assert_eq!(fitted(&columns, 60), [12, 20, 14, 14]);
        assert_eq!(fitted(&columns, 40), [12, 16, 6, 6]);
        assert_eq!(fitted(&columns, 10), [12, 6, 6, 6]);
    }
}
