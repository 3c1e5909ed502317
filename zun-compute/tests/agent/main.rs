//! Tests of the agent with the in-memory bus, the in-memory engine and a scripted zun-api.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod consoles;
#[cfg(test)]
mod controller;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod single;
#[cfg(test)]
mod unknown_state;
#[cfg(test)]
mod world;
