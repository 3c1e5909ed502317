//! `zun list --watch`: the list again, whenever it changes.

use std::time::Duration;

use super::super::starting::is_away;
use super::List;
use super::filter::Filters;
use crate::api::Client;
use crate::cmd::Failure;
use crate::exit::Exit;
use crate::out::{Live, Printer};
use crate::tty::signals::Signals;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows the list until a signal ends it: redrawn in place on a terminal, else one after the other. While the service
/// does not answer, a terminal shows that below the last list.
pub(super) async fn watch(
    api: &Client,
    printer: &Printer,
    (list, filters): (&List, &Filters),
) -> Result<Exit, Failure> {
    let mut signals = Signals::catch()?;
    let mut live = Live::new(printer);
    let mut shown = None;
    loop {
        let fetched = tokio::select! {
            fetched = list.fetch(api, filters) => fetched,
            number = signals.ended() => return Err(Failure::silent(Exit(number.exit_code()))),
        };
        match fetched {
            Ok(containers) if printer.is_live() => {
                let text = list.rendered(printer, &containers)?;
                live.draw(&text)?;
                shown = Some(containers);
            }
            Ok(containers) if shown.as_ref() == Some(&containers) => {}
            Ok(containers) => {
                list.print(printer, &containers)?;
                shown = Some(containers);
            }
            Err(error) if is_away(&error) && shown.is_some() => {
                if let Some(containers) = shown.as_ref().filter(|_| printer.is_live()) {
                    let text = list.rendered(printer, containers)?;
                    let why = zun_common::chain(&error);
                    live.draw(&format!("{text}\n\n{}; trying again", crate::out::clean(&why)))?;
                }
            }
            Err(error) => {
                drop(live);
                return Err(error.into());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            number = signals.ended() => return Err(Failure::silent(Exit(number.exit_code()))),
        }
    }
}
