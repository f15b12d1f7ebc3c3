//! Whoever is told of an alarm beyond the log: not by mail, for mail is broken.

use std::sync::Arc;
use std::time::Instant;

use crate::config::handlers::{Command, Webhook};
use crate::delivery::webhook;
use crate::mail::date;
use crate::policy::alarm::{Report, State};
use crate::protocol::json;
use crate::sys::program::{End, Order, PATH, Program};
use crate::sys::{clock, machine};
use crate::transport::client::Brake;
use crate::troubles::Troubles;

/// `[alarm] command` and `webhook`.
pub(super) struct Bell<'a> {
    pub(super) command: Option<&'a Command>,
    pub(super) webhook: Option<&'a Webhook>,
    pub(super) hostname: &'a str,
    /// Says when the service ends.
    pub(super) troubles: &'a Troubles,
    /// The same for what waits for a server.
    pub(super) brake: &'a Arc<Brake>,
}

impl Bell<'_> {
    /// Rings once: both are told.
    ///
    /// # Errors
    /// Why somebody was not told.
    pub(super) fn ring(&self, report: &Report) -> Result<(), String> {
        let run = self.command.map(|command| self.run(command, report));
        let post = self.webhook.map(|webhook| self.post(webhook, report));
        let failed = [run, post].into_iter().flatten().filter_map(Result::err);
        let failed: Vec<String> = failed.collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join("; ")),
        }
    }

    fn run(&self, command: &Command, report: &Report) -> Result<(), String> {
        let subject = subject(report, self.hostname);
        let place = &report.place;
        let environment = [
            ("PATH", PATH.to_owned()),
            ("GATEPOST_ALARM", place.cause.word().to_owned()),
            ("GATEPOST_STATE", report.state.word().to_owned()),
            ("GATEPOST_WHERE", place.subject.clone()),
            ("GATEPOST_SINCE", date::rfc3339(report.since)),
            ("GATEPOST_SUBJECT", subject.clone()),
        ];
        let end = clock::monotonic() + command.timeout;
        let order = Order {
            name: &command.name,
            program: &command.program,
            arguments: &command.arguments,
            environment: &environment,
            until: &|| self.deadline(end),
        };
        let name = &command.name;
        let mut program = Program::start(&order)
            .map_err(|error| format!("command {name}: {}", machine::reason(&error)))?;
        // One that does not read it knows why.
        program.feed(text(report, &subject).as_bytes());
        let (end, output) = program.finish();
        let why = match end {
            End::Code(0) => return Ok(()),
            End::Code(code) => format!("exit status {code}"),
            End::Signal(signal) => format!("killed by signal {signal}"),
            End::Late => format!("not ended within {} s", command.timeout.as_secs()),
            End::Lost => "cut off: the helper process tells nothing of it".to_owned(),
        };
        Err(match String::from_utf8_lossy(&output).trim() {
            "" => format!("command {name}: {why}"),
            said => format!("command {name}: {why}: {said}"),
        })
    }

    fn deadline(&self, end: Instant) -> Instant {
        match self.troubles.is_stopping() {
            true => clock::monotonic(),
            false => end,
        }
    }

    fn post(&self, webhook: &Webhook, report: &Report) -> Result<(), String> {
        let place = &report.place;
        let document = format!(
            "{{\"alarm\":{},\"state\":{},\"where\":{},\"since\":{},\"subject\":{},\"reason\":{},\
             \"host\":{}}}\n",
            json::quoted(place.cause.word()),
            json::quoted(report.state.word()),
            json::quoted(&place.subject),
            json::quoted(&date::rfc3339(report.since)),
            json::quoted(&subject(report, self.hostname)),
            json::quoted(&report.words),
            json::quoted(self.hostname),
        );
        webhook::tell(webhook, &document, self.brake)
    }
}

/// Whether the program may find this in its environment: the helper process asks. It shares PATH with those
/// that messages are given to.
pub(super) fn allows(variable: &str, value: &str) -> bool {
    let is_ours = [
        "GATEPOST_ALARM",
        "GATEPOST_STATE",
        "GATEPOST_WHERE",
        "GATEPOST_SINCE",
        "GATEPOST_SUBJECT",
    ];
    is_ours.contains(&variable) && value.len() <= VALUE_MAX_OCTETS && !value.contains('\0')
}

/// The longest value of a variable, octets.
const VALUE_MAX_OCTETS: usize = 4096;

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
