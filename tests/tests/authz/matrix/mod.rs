//! The authorization matrix: every route of the engine, in every spelling, by every caller. Exactly the granted calls
//! pass, and the plugin's log confirms it.
//!
//! ```text
//!  routes ─▶ spellings ─┐
//!                       ├─▶ engine (a real one, over TLS)            ─▶ counts, and calls that passed without a grant
//!  callers and grants ──┴─▶ product (the decision function alone, every combination)
//! ```
//!
//! The calls that a caller may make are listed in `callers`, independent of the tested code.

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
