//! Tells the service manager how the service is, where one listens ([`manager`]).
//!
//! | when | told |
//! | --- | --- |
//! | the spool is opened, recovering what an earlier run left | a status |
//! | it greets, and after a refresh | ready, and what listens |
//! | a refresh begins | reloading |
//! | it was told to end | stopping |
//!
//! The watchdog is fed by the reactor's own loop, so that a stuck one is noticed.

use crate::events;
use crate::server::refreshes::Ending;
use crate::sys::manager;

/// The spool is opened, which may take a while after a crash.
pub(crate) fn recovering() {
    manager::status("opens the spool");
}

/// Greets on this many listeners; where it was, how the last refresh ended.
pub(crate) fn ready(listeners: usize, refreshed: Option<Ending>) {
    let listens = match listeners {
        0 => "no SMTP port is enabled".to_owned(),
        1 => "listens on 1 address".to_owned(),
        more => format!("listens on {more} addresses"),
    };
    let status = match refreshed {
        None => listens,
        Some(ending) => format!("{listens}; last refresh: {}", ending.words()),
    };
    match manager::ready(&status) {
        // One that waited for the start alone, as start-stop-daemon does, has gone since.
        Ok(()) => {}
        Err(_) if refreshed.is_some() => {}
        Err(reason) => events::manager::unreachable(reason),
    }
}

/// A refresh begins; [`ready`] ends it.
pub(crate) fn reloading() {
    // One that has gone does not wait for the end of it.
    let _ = manager::reloading();
}

/// The service ends, with this many sessions still there.
pub(crate) fn stopping(sessions: usize) {
    manager::stopping(&format!("ends; {sessions} sessions are left"));
}
