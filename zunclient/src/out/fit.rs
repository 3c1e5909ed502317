//! Chooses the widths of columns, so that a table fits.

/// When a column is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Yield {
    /// Before others.
    First,
    /// Before others, and left out if that is not enough, the last one first.
    Optional,
    /// It has no values. It is left out before those that have.
    Empty,
    /// If the others are short.
    Last,
    /// Never.
    Never,
}

/// Longer values of columns that are shortened last are shortened even before others, in columns of the terminal: one long
/// error does not take the room of all other columns.
const LONG: usize = 40;
/// A value of this width is still readable in a column that is shortened last, such as `Up 12 minutes (healthy)`.
const READABLE: usize = 26;
/// The same in a column that is shortened first.
const SHORT: usize = 12;
/// No column is made shorter than this.
const SHORTEST: usize = 6;

impl Yield {
    const fn is_firm(self) -> bool {
        matches!(self, Self::Last)
    }

    const fn is_soft(self) -> bool {
        matches!(self, Self::First | Self::Optional | Self::Empty)
    }
}

/// Shortens the columns until they take at most `total` together, with `gap` between two of them. The widest one is
/// shortened first. The width of a column that is left out becomes 0; all others are wider than that.
pub(super) fn fit(columns: &mut [(usize, Yield)], total: usize, gap: usize) {
    let natural = columns.to_vec();
    loop {
        shorten(columns, (total, gap), Yield::is_firm, LONG);
        shorten(columns, (total, gap), Yield::is_soft, SHORT);
        shorten(columns, (total, gap), Yield::is_firm, READABLE);
        if excess(columns, (total, gap)) == 0 {
            return;
        }
        let last = |kind| columns.iter().rposition(|(width, yields)| *width > 0 && *yields == kind);
        let Some(next) = last(Yield::Empty).or_else(|| last(Yield::Optional)) else { break };
        // The others get back what they have given.
        for (index, (column, before)) in columns.iter_mut().zip(&natural).enumerate() {
            if index == next {
                column.0 = 0;
            } else if column.0 > 0 {
                *column = *before;
            }
        }
    }
    shorten(columns, (total, gap), Yield::is_soft, SHORTEST);
    shorten(columns, (total, gap), Yield::is_firm, SHORTEST);
}

/// How much too wide the columns are together.
fn excess(columns: &[(usize, Yield)], (total, gap): (usize, usize)) -> usize {
    let shown = columns.iter().filter(|(width, _)| *width > 0);
    let (count, sum) = shown.fold((0, 0), |(count, sum), (width, _)| (count + 1, sum + width));
    (sum + gap * usize::saturating_sub(count, 1)).saturating_sub(total)
}

/// Shortens columns of a kind, none below `floor`.
fn shorten(
    columns: &mut [(usize, Yield)],
    room: (usize, usize),
    kind: fn(Yield) -> bool,
    floor: usize,
) {
    loop {
        let excess = excess(columns, room);
        let candidates = columns.iter_mut().filter(|(width, own)| kind(*own) && *width > floor);
        let mut candidates: Vec<&mut usize> = candidates.map(|(width, _)| width).collect();
        candidates.sort_unstable();
        let Some(widest) = candidates.pop().filter(|_| excess > 0) else { return };
        // Not below the next one, so that all of a kind get the same width.
        let next = candidates.pop().map_or(floor, |next| *next);
        *widest =
            if *widest > next { next.max(widest.saturating_sub(excess)) } else { *widest - 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(columns: &[(usize, Yield)], total: usize) -> Vec<usize> {
        let mut columns = columns.to_vec();
        fit(&mut columns, total, 0);
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

    #[test]
    fn a_long_value_of_a_firm_column_leaves_room_for_the_others() {
        let columns = [(12, Yield::Never), (20, Yield::First), (150, Yield::Last)];
        assert_eq!(fitted(&columns, 200), [12, 20, 150]);
        assert_eq!(fitted(&columns, 100), [12, 20, 68]);
        assert_eq!(fitted(&columns, 70), [12, 18, 40]);
        assert_eq!(fitted(&columns, 60), [12, 12, 36]);
        assert_eq!(fitted(&columns, 45), [12, 7, 26]);
    }

    #[test]
    fn an_optional_column_is_left_out_before_others_are_unreadable() {
        let columns = [
            (12, Yield::Never),
            (22, Yield::Last),
            (30, Yield::First),
            (31, Yield::Last),
            (23, Yield::Optional),
            (16, Yield::Optional),
        ];
        assert_eq!(fitted(&columns, 110), [12, 22, 15, 31, 15, 15]);
        // With the last one left out, the others get its room.
        assert_eq!(fitted(&columns, 95), [12, 22, 15, 31, 15, 0]);
        assert_eq!(fitted(&columns, 85), [12, 22, 12, 27, 12, 0]);
        assert_eq!(fitted(&columns, 80), [12, 22, 15, 31, 0, 0]);
        assert_eq!(fitted(&columns, 60), [12, 21, 6, 21, 0, 0]);
        // One without values is left out first.
        let columns = columns.map(|(width, yields)| match width {
            23 => (5, Yield::Empty),
            _ => (width, yields),
        });
        assert_eq!(fitted(&columns, 85), [12, 22, 12, 27, 0, 12]);
        assert_eq!(fitted(&columns, 95), [12, 22, 13, 31, 5, 12]);
    }

    #[test]
    fn gaps_count_only_between_columns_that_are_shown() {
        let mut columns = [(10, Yield::Never), (10, Yield::Optional), (10, Yield::Never)];
        fit(&mut columns, 22, 2);
        assert_eq!(columns.map(|(width, _)| width), [10, 0, 10]);
    }
}
