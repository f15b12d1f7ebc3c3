//! A rule over the alarm: its bell can be rung.

use super::{Found, Probe};

const PROGRAM: (&str, &str) = ("alarm", "program");

impl Found<'_> {
    /// W-13, and no error: mail goes on without an alarm.
    pub(super) fn the_alarm_can_be_heard(&mut self, probe: &dyn Probe) {
        let Some(program) = &self.settings.alarm.program else {
            return;
        };
        if let Err(reason) = probe.program(program) {
            let reason = format!(
                "{}: {reason}; nobody would hear an alarm",
                program.display()
            );
            self.at(PROGRAM, &[], Some("W-13"), reason);
        }
    }
}
