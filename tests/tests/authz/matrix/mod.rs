//! The matrix: every route of the engine, by everybody who may come, in every spelling. Exactly the granted
//! calls pass, and the plugin's own log says the same.
//!
//! ```text
//!  routes ─▶ spellings ─┐
//!                       ├─▶ engine (a real one, over TLS)       ─▶ counts, and what passed without a right
//!  callers (who, with what right) ─┴─▶ product (the decision alone, all of it)
//! ```
//!
//! What a caller may do is written out in `callers`, not taken from the code that is tried here.

mod callers;
mod engine;
mod forms;
mod keep_alive;
mod load;
mod product;
mod raw;
mod routes;
mod site;
mod smuggling;
mod spellings;
