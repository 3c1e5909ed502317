//! `/v1/containers`, with one file for each verb.

mod actions;
mod attach;
mod create;
mod data;
mod delete;
mod execute;
mod exposed_ports;
mod kill;
mod list;
mod logs;
mod options;
mod pause;
mod reboot;
mod resize;
mod runs;
mod show;
mod start;
mod stats;
mod stop;
mod top;
mod update;

pub(super) use actions::{list_actions, show_action};
pub(super) use attach::{attach, attach_websocket};
pub(super) use create::create;
pub(super) use data::{grant_archive, grant_logs};
pub(super) use delete::delete;
pub(super) use execute::{execute, execute_attach, execute_kill, execute_resize};
pub(super) use kill::kill;
pub(super) use list::list;
pub(super) use logs::logs;
pub(super) use pause::{pause, unpause};
pub(super) use reboot::reboot;
pub(super) use resize::resize;
pub(super) use runs::{list_runs, wait};
pub(super) use show::{WAIT_FOR, show};
pub(super) use start::start;
pub(super) use stats::stats;
pub(super) use stop::stop;
pub(super) use top::top;
pub(super) use update::update;

use serde_json::Value;
use zun_common::units::TerminalSize;

use super::fields::{Fields, invalid_value};
use super::rules;
use crate::app::InvalidField;

/// Maximum grace period of a stop: one day.
const MAX_GRACE: u64 = 86_400;

/// Reads the field `timeout`: the grace period in seconds.
fn grace(fields: &mut Fields) -> Result<Option<u32>, InvalidField> {
    let grace = fields.whole("timeout", 0..=MAX_GRACE)?;
    Ok(grace.and_then(|seconds| u32::try_from(seconds).ok()))
}

/// Reads the fields `h` and `w`: the size of a terminal.
fn size(fields: &mut Fields) -> Result<TerminalSize, InvalidField> {
    let mut side = |name: &str| {
        let given = fields.whole(name, 1..=u64::from(u16::MAX))?;
        given
            .and_then(|side| u16::try_from(side).ok())
            .ok_or_else(|| InvalidField::missing(name, "a whole number from 1 to 65535"))
    };
    Ok(TerminalSize { rows: side("h")?, columns: side("w")? })
}

/// Reads the field `console_size`: the initial size of a terminal, `[rows, columns]`.
fn initial_size(fields: &mut Fields) -> Result<Option<TerminalSize>, InvalidField> {
    let Some(value) = fields.take("console_size") else { return Ok(None) };
    let side = |side: &Value| side.as_u64().and_then(|side| u16::try_from(side).ok());
    let sides = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if let [rows, columns] = sides
        && let (Some(rows @ 1..), Some(columns @ 1..)) = (side(rows), side(columns))
    {
        return Ok(Some(TerminalSize { rows, columns }));
    }
    Err(invalid_value("console_size", &value, "[rows, columns], each from 1 to 65535"))
}

/// Reads the field `signal`; the default is SIGKILL.
fn signal(fields: &mut Fields) -> Result<String, InvalidField> {
    let Some(value) = fields.take("signal") else { return Ok("SIGKILL".to_owned()) };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rules::signal(&text).ok_or_else(|| invalid_value("signal", &value, rules::SIGNAL_RULE))
}

/// Accepts `all_projects`, which OpenStack's client always sends. It does not affect how a container is found.
fn ignore_all_projects(fields: &mut Fields) -> Result<(), InvalidField> {
    fields.boolean("all_projects").map(drop)
}
