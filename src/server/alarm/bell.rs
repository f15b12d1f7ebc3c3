//! Whoever is told of an alarm beyond the log: not by mail, for mail is broken.

use std::path::Path;
use std::time::Duration;

use crate::mail::date;
use crate::policy::alarm::{Report, State};
use crate::sys::errand::Errand;
use crate::troubles::Troubles;

/// How long a program may take.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Where a program finds others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Tells somebody.
pub(super) trait Bell {
    /// Rings once.
    ///
    /// # Errors
    /// Why nobody was told.
    fn ring(&self, report: &Report) -> Result<(), String>;
}

/// `[alarm] program`.
pub(super) struct ProgramBell<'a> {
    pub(super) program: &'a Path,
    pub(super) hostname: &'a str,
    /// Says when the service ends.
    pub(super) troubles: &'a Troubles,
}

impl Bell for ProgramBell<'_> {
    fn ring(&self, report: &Report) -> Result<(), String> {
        let since = date::rfc3339(report.since);
        let subject = subject(report, self.hostname);
        let place = &report.place;
        let environment = [
            ("PATH", PATH),
            ("GATEPOST_ALARM", place.cause.word()),
            ("GATEPOST_STATE", report.state.word()),
            ("GATEPOST_WHERE", place.subject.as_str()),
            ("GATEPOST_SINCE", since.as_str()),
            ("GATEPOST_SUBJECT", subject.as_str()),
        ];
        let errand = Errand {
            program: self.program,
            environment: &environment,
            input: &text(report, &subject),
            limit: LIMIT,
            is_off: &|| self.troubles.is_stopping(),
        };
        let done = errand.run();
        done.map_err(|why| format!("{}: {why}", self.program.display()))
    }
}

/// One line.
fn subject(report: &Report, hostname: &str) -> String {
    let place = &report.place;
    let (what, whom) = (place.cause.in_words(), &place.subject);
    match report.state {
        State::On => format!("mail of {hostname}: {what} ({whom})"),
        State::Over => format!("mail of {hostname}: over: {what} ({whom})"),
    }
}

/// What a person needs to know.
fn text(report: &Report, subject: &str) -> String {
    let since = date::rfc3339(report.since);
    let (state, words) = match report.state {
        State::On => ("since", report.words.as_str()),
        State::Over => ("It is over. It began", report.words.as_str()),
    };
    format!("{subject}\n\n{state} {since}\n{words}\n\ngatepost status shows what is wrong now.\n")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::policy::alarm::{Cause, Place};

    #[test]
    fn an_alarm_is_told_in_one_line_and_in_some() {
        let mut report = Report {
            place: Place {
                cause: Cause::Login,
                subject: "smarthost".to_owned(),
            },
            state: State::On,
            since: SystemTime::UNIX_EPOCH,
            words: "mx.example: 192.0.2.1:587 AUTH: the server said 535 no".to_owned(),
        };
        let line = subject(&report, "box.example");
        assert_eq!(
            line,
            "mail of box.example: the login is refused (smarthost)"
        );
        assert_eq!(
            text(&report, &line),
            "mail of box.example: the login is refused (smarthost)\n\n\
             since 1970-01-01T00:00:00.000Z\n\
             mx.example: 192.0.2.1:587 AUTH: the server said 535 no\n\n\
             gatepost status shows what is wrong now.\n"
        );
        report.state = State::Over;
        let line = subject(&report, "box.example");
        assert_eq!(
            line,
            "mail of box.example: over: the login is refused (smarthost)"
        );
        assert!(text(&report, &line).contains("\nIt is over. It began 1970-01-01T00:00:00.000Z\n"));
    }
}
