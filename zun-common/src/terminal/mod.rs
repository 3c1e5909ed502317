//! The output of a terminal's process, as far as it must be understood without showing it: where its control sequences
//! begin and end, and which modes they set. Pure, and for pieces of any size.

mod modes;
mod scanner;
mod sequence;
#[cfg(test)]
mod tests;

pub use modes::TerminalModes;
pub use scanner::{Piece, Scanner};
pub use sequence::{Csi, Sequence};
