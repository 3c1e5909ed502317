//! The matrix: every route of the engine, by everybody who may come, in every spelling. Exactly the granted
//! calls pass, and the plugin's own log says the same.
//!
//! ```text
//!  routes ─▶ spellings ─┐
//!                       ├─▶ engine (a real one, over TLS)       ─▶ counts, and what passed without a right
//!  kinds (who, with what right) ─┴─▶ product (the decision alone, all of it)
//! ```
//!
//! What a kind may do is written out in `kinds`, not taken from the code that is tried here.

mod engine;
mod forms;
mod keep;
mod kinds;
mod load;
mod product;
mod raw;
mod routes;
mod site;
mod smuggling;
mod spellings;
