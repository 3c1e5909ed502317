//! Authentication with a real Keystone: zun-api and the command `zun`.

#[path = "keystone/support.rs"]
mod support;

#[path = "keystone/service.rs"]
mod service;

#[path = "keystone/cli.rs"]
mod cli;
