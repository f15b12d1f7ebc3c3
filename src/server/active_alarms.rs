//! The alarms that are on, as the alarm's thread left them, for the operator who asks.

use crate::control::facts::Facts;
use crate::mail::date;
use crate::policy::alarm::{Cause, Report};
use crate::sys::sync::Mutex;

/// What is wrong now, for the operator who asks.
#[derive(Debug, Default)]
pub struct ActiveAlarms(Mutex<Vec<Report>>);

impl ActiveAlarms {
    /// What is wrong, one fact list for each alarm.
    pub(crate) fn facts(&self) -> Vec<Facts> {
        let facts = |report: &Report| {
            Facts::default()
                .text("cause", report.place.cause.word())
                .text("subject", &report.place.subject)
                .text("since", date::rfc3339(report.since))
                .text("reason", &report.words)
        };
        self.0.lock().iter().map(facts).collect()
    }

    /// What is wrong.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.0.lock().clone()
    }

    /// How many alarms of this cause are on.
    pub(crate) fn count(&self, cause: Cause) -> usize {
        let reports = self.0.lock();
        let of_it = reports.iter().filter(|report| report.place.cause == cause);
        of_it.count()
    }

    /// This is wrong from now on.
    pub(crate) fn show(&self, reports: Vec<Report>) {
        *self.0.lock() = reports;
    }
}
