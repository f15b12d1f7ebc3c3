//! `[alarm]`: who hears that mail itself is broken, and of what.

use std::time::Duration;

use super::draft::Draft;
use super::handlers::{Command, Handlers, Webhook};

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
    let interval = |key| Some(draft.duration(SECTION, key)).filter(|length| !length.is_zero());
    let number = |key| draft.number(SECTION, key);
    Alarm {
        command,
        webhook,
        repeat: interval("repeat"),
        settle: draft.duration(SECTION, "settle"),
        unreachable_after: u32::try_from(number("unreachable_after")).unwrap_or(u32::MAX),
        queue_age: interval("queue_age"),
        certificate_days: i64::try_from(number("certificate_days")).unwrap_or(i64::MAX),
    }
}

const SECTION: &str = "alarm";
