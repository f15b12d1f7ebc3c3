//! A message for a program, `[command:NAME]`: on its standard input, as it would lie in a Maildir.
//!
//! | the program | then |
//! | --- | --- |
//! | exits with 0, whether it has read everything or not | delivered |
//! | exits with 75 (EX_TEMPFAIL) | deferred |
//! | exits with another code | failed, with the first line of its output |
//! | is killed by a signal, by us when its time is over among others | deferred |
//! | cannot be started | deferred, and the lane rests: the operator mends it |
//! | ends with the helper process that ran it | deferred: the next start runs it again |
//!
//! Content has LF line ends, below our Return-Path and Delivered-To; a Return-Path of its own is left out. The envelope is in the environment;
//! nothing of it is ever an argument. Promises: content that is damaged never reaches a program as a whole
//! one: it is killed before its input ends. At the end of the service a program may go on for
//! [`GRACE`]; then it is killed, and the message is due at the next start.

use std::io;
use std::time::{Duration, Instant};

use super::handler::{Parcel, first_words};
use super::outcome::Verdict;
use super::return_path::MailboxForm;
use crate::config::handlers::Command;
use crate::events;
use crate::mail::{ForwardPath, Reason};
use crate::sys::program::{End, Fed, Order, PATH, Program};
use crate::sys::{clock, machine};
use crate::transport::client::Brake;

/// How long a program may go on once the service ends.
const GRACE: Duration = Duration::from_secs(10);
/// The language of programs.
const LANG: &str = "C.UTF-8";
/// The longest value of a variable, octets.
const VALUE_MAX_OCTETS: usize = 4096;
/// EX_TEMPFAIL of sysexits.h.
const TRY_AGAIN: i32 = 75;

/// Why no more is given to a program.
enum Stop {
    /// It reads no more, or its time is over.
    Program,
    /// The content cannot be read.
    Content(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Content(error)
    }
}

/// Runs it for a message.
///
/// # Errors
/// It cannot be started.
pub(super) fn run(
    command: &Command,
    parcel: &Parcel<'_>,
    brake: &Brake,
) -> Result<Verdict, String> {
    let began = clock::monotonic();
    let until = || deadline(began + command.timeout, brake);
    let environment = environment(command, parcel);
    let order = Order {
        name: &command.name,
        program: &command.program,
        arguments: &command.arguments,
        environment: &environment,
        until: &until,
    };
    // Its path is in the configuration, and no business of a sender.
    let cannot = |error| format!("it cannot be started: {}", machine::reason(&error));
    let mut program = Program::start(&order).map_err(cannot)?;
    if let Err(Stop::Content(error)) = feed(&mut program, parcel) {
        drop(program);
        return Ok(Verdict::PutOff(Reason::own("4.3.0", error)));
    }
    let (end, output) = program.finish();
    let seconds = clock::monotonic().saturating_duration_since(began);
    let id = parcel.stored.id;
    events::handlers::command_ended(id, &command.name, how(end), seconds.as_secs(), &output);
    Ok(verdict(command, end, &output))
}

fn deadline(end: Instant, brake: &Brake) -> Instant {
    let braked = brake.pulled_at().map(|at| at + GRACE);
    braked.map_or(end, |braked| braked.min(end))
}

fn feed(program: &mut Program<'_>, parcel: &Parcel<'_>) -> Result<(), Stop> {
    let mut give = |octets: &[u8]| match program.feed(octets) {
        Fed::More => Ok(()),
        Fed::Enough | Fed::Late => Err(Stop::Program),
    };
    let from = &parcel.stored.envelope.reverse_path;
    let mut head = format!("Return-Path: <{from}>\n");
    for to in &parcel.to {
        head.push_str(&format!("Delivered-To: {to}\n"));
    }
    give(head.as_bytes())?;
    let (mut form, mut lines) = (MailboxForm::default(), Vec::new());
    parcel.content.each(|piece| {
        lines.clear();
        form.feed(piece, &mut lines);
        give(&lines)
    })
}

fn verdict(command: &Command, end: End, output: &[u8]) -> Verdict {
    let name = &command.name;
    let said = first_words(output);
    match end {
        End::Code(0) => {
            let words = format!("command {name} took it");
            Verdict::Taken(Reason::own("2.0.0", words))
        }
        End::Code(TRY_AGAIN) => {
            let words = format!("command {name} exited with {TRY_AGAIN}{said}");
            Verdict::PutOff(Reason::own("4.3.0", words))
        }
        End::Code(code) => {
            let words = format!("command {name} exited with {code}{said}");
            Verdict::Refused(Reason::own("5.3.0", words))
        }
        End::Signal(signal) => {
            let words = format!("command {name} was killed by signal {signal}{said}");
            Verdict::PutOff(Reason::own("4.3.0", words))
        }
        End::Lost => {
            let words =
                format!("command {name} was cut off: the helper process tells nothing of it");
            Verdict::PutOff(Reason::own("4.3.0", words))
        }
        End::Late => {
            let seconds = command.timeout.as_secs();
            let words = format!("command {name} did not end within {seconds} s{said}");
            Verdict::PutOff(Reason::own("4.3.0", words))
        }
    }
}

/// How it ended, for the log.
fn how(end: End) -> String {
    match end {
        End::Code(code) => format!("exit {code}"),
        End::Signal(signal) => format!("signal {signal}"),
        End::Late => "timeout".to_owned(),
        End::Lost => "lost".to_owned(),
    }
}

/// The names are those of other mail systems, where these have one.
fn environment(command: &Command, parcel: &Parcel<'_>) -> Vec<(&'static str, String)> {
    let stored = parcel.stored;
    let envelope = &stored.envelope;
    let to = parcel
        .to
        .first()
        .copied()
        .unwrap_or(&ForwardPath::Postmaster);
    let (local, domain) = match to {
        ForwardPath::Postmaster => ("postmaster", String::new()),
        ForwardPath::Mailbox(mailbox) => (mailbox.local_part(), mailbox.domain().to_string()),
    };
    let cut = parcel.subaddress.and_then(|mark| local.split_once(mark));
    let extension = cut.map_or("", |(_, detail)| detail);
    vec![
        ("PATH", PATH.to_owned()),
        ("LANG", LANG.to_owned()),
        ("GATEPOST_ID", stored.id.to_string()),
        ("GATEPOST_COMMAND", command.name.clone()),
        ("SENDER", envelope.reverse_path.to_string()),
        ("RECIPIENT", to.to_string()),
        ("LOCAL", tame(local)),
        ("EXTENSION", tame(extension)),
        ("DOMAIN", domain),
        ("CLIENT", envelope.client.to_string()),
        ("LOGIN", envelope.login.clone().unwrap_or_default()),
        ("SIZE", parcel.content.octets().to_string()),
        ("RECEIVED", stored.received.to_string()),
    ]
}

/// Whether a program may find this in its environment: the helper process asks, who trusts nobody. What
/// decides where other programs are found is fixed, and what careless scripts may rely upon is so.
pub fn allows(variable: &str, value: &str) -> bool {
    let is_short = value.len() <= VALUE_MAX_OCTETS && !value.contains('\0');
    is_short
        && match variable {
            "PATH" => value == PATH,
            "LANG" => value == LANG,
            "LOCAL" | "EXTENSION" => value == tame(value),
            "GATEPOST_ID" | "GATEPOST_COMMAND" | "SENDER" | "RECIPIENT" | "DOMAIN" | "CLIENT"
            | "LOGIN" | "SIZE" | "RECEIVED" => true,
            _ => false,
        }
}

/// A part of an address that careless scripts may use as a word: what means something to a shell or
/// a path is `_`.
fn tame(part: &str) -> String {
    let is_tame = |c: char| c.is_alphanumeric() || "._+=-".contains(c);
    let part = part.trim_start_matches(['.', '-']);
    part.replace(|c| !is_tame(c), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_verdict() {
        let command = Command {
            name: "scan".to_owned(),
            program: "/bin/true".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        let taken = |end| matches!(verdict(&command, end, b""), Verdict::Taken(_));
        assert!(taken(End::Code(0)));
        let words = |end| match verdict(&command, end, b"\nno room\nx") {
            Verdict::Taken(reason) => panic!("{reason:?}"),
            Verdict::Refused(reason) => format!("failed {} {}", reason.status(), reason.words()),
            Verdict::PutOff(reason) => format!("deferred {} {}", reason.status(), reason.words()),
        };
        for (end, want) in [
            (
                End::Code(1),
                "failed 5.3.0 command scan exited with 1: no room",
            ),
            (
                End::Code(74),
                "failed 5.3.0 command scan exited with 74: no room",
            ),
            (
                End::Code(75),
                "deferred 4.3.0 command scan exited with 75: no room",
            ),
            (
                End::Signal(9),
                "deferred 4.3.0 command scan was killed by signal 9: no room",
            ),
            (
                End::Late,
                "deferred 4.3.0 command scan did not end within 60 s: no room",
            ),
            (
                End::Lost,
                "deferred 4.3.0 command scan was cut off: the helper process tells nothing of it",
            ),
        ] {
            assert_eq!(words(end), want);
        }
    }

    #[test]
    fn of_the_environment_names_are_fixed_and_some_values() {
        for (variable, value, want) in [
            ("PATH", PATH, true),
            ("PATH", "/tmp", false),
            ("LANG", "C.UTF-8", true),
            ("LANG", "../x", false),
            ("LOCAL", "alice+lists", true),
            ("LOCAL", "$(reboot)", false),
            ("EXTENSION", "", true),
            ("EXTENSION", "-rf", false),
            ("SENDER", "o'hara@there.example", true),
            ("SENDER", "a\0b", false),
            ("LD_PRELOAD", "x.so", false),
            ("", "", false),
        ] {
            assert_eq!(allows(variable, value), want, "{variable}={value}");
        }
        assert!(!allows("SENDER", &"x".repeat(VALUE_MAX_OCTETS + 1)));
    }

    #[test]
    fn parts_of_addresses_are_tame() {
        for (part, want) in [
            ("alice+lists", "alice+lists"),
            ("../../etc", "_.._etc"),
            ("-rf", "rf"),
            ("() { :;}", "________"),
            ("$(x)`y`|z", "__x__y__z"),
            ("пётр", "пётр"),
        ] {
            assert_eq!(tame(part), want, "{part}");
        }
    }
}
