//! Questions that a program asks its terminal, and the replies of the viewers' terminals. Pure.
//!
//! Each viewer's terminal replies to each question that it shows, but the program expects one reply. So a reply is passed
//! on only if its question is still open, and only from one viewer: the others' would be taken for typed keys.

mod filter;
mod question;
#[cfg(test)]
mod tests;

pub use filter::{Filtered, ReplyFilter};
pub use question::{OpenQuestions, Question};
