//! Parses terminal output without rendering it: finds the control sequences and tracks the modes that they set. Pure, and
//! for pieces of any size.

mod modes;
mod scanner;
mod sequence;
#[cfg(test)]
mod tests;

pub use modes::TerminalModes;
pub use scanner::{Piece, Scanner};
pub use sequence::{Csi, Sequence};
