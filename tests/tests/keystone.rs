//! Authentication with a real Keystone: zun-api and the command `zun`; and OpenStack's own clients.

#[path = "keystone/support.rs"]
mod support;

#[path = "keystone/service.rs"]
mod service;

#[path = "keystone/cli.rs"]
mod cli;

#[path = "keystone/clients.rs"]
mod clients;
