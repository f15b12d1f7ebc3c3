//! `[alarm]`: who hears that mail itself is broken, and of what.

use std::time::Duration;

use super::draft::Draft;
use super::handlers::{Command, Handlers, Webhook};
use super::keys_table::alarm;

/// `[alarm]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// `command`: that section; none = no program is run.
    pub command: Option<Command>,
    /// `webhook`: that section; none = nothing is posted.
    pub webhook: Option<Webhook>,
    /// `repeat`; none = never.
    pub repeat: Option<Duration>,
    /// `settle`.
    pub settle: Duration,
    /// `unreachable_after`.
    pub unreachable_after: u32,
    /// `queue_age`; none = any age.
    pub queue_age: Option<Duration>,
    /// `certificate_days`.
    pub certificate_days: i64,
}

/// Reads the section.
pub(super) fn load(draft: &mut Draft, handlers: &Handlers) -> Alarm {
    let (command, webhook) = handlers.of_alarm(draft);
    Alarm {
        command,
        webhook,
        repeat: draft.get(alarm::REPEAT),
        settle: draft.get(alarm::SETTLE),
        unreachable_after: draft.get(alarm::UNREACHABLE_AFTER),
        queue_age: draft.get(alarm::QUEUE_AGE),
        certificate_days: draft.get(alarm::CERTIFICATE_DAYS),
    }
}
