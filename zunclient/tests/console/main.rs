//! Consoles and the commands that hold them, against a fake engine and a fake service.

mod attach;
mod fake;
mod links;
mod run;
