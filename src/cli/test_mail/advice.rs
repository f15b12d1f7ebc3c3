//! What a failed step may mean, what to do, and the exit code for it.
//!
//! Refuses to know: what is printed of the step itself.

use std::io::ErrorKind;

use super::super::output::{NO_USER, NOT_PERMITTED, TRY_LATER, UNAVAILABLE};
use crate::delivery::smtp_client::ClientError;
use crate::delivery::step::Step;

/// Who is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    /// The service of this configuration.
    Own,
    /// The smarthost of this section.
    Smarthost(String),
}

/// What went wrong first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The other side said this code at a step.
    Said(Step, u16),
    /// There was no reply: the step, and what is advised.
    Silent(Step, &'static str),
    /// Found out by ourselves; the exit code.
    Own(u8),
}

impl Cause {
    /// Found out by ourselves, and told already.
    pub(super) fn own(code: u8) -> Self {
        Self::Own(code)
    }

    /// The exit code (sysexits).
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Own(code) => code,
            Self::Silent(Step::Auth, _) => NOT_PERMITTED,
            Self::Silent(..) => UNAVAILABLE,
            Self::Said(_, 400..=499) => TRY_LATER,
            Self::Said(Step::Rcpt, 550 | 551 | 553) => NO_USER,
            Self::Said(Step::Auth, _)
            | Self::Said(Step::Mail | Step::Rcpt, 530..=539 | 550..=554) => NOT_PERMITTED,
            Self::Said(..) => UNAVAILABLE,
        }
    }

    /// What it may mean, and what to do.
    pub(super) fn advice(self, side: &Side) -> Option<String> {
        let section = match side {
            Side::Own => None,
            Side::Smarthost(section) => Some(section),
        };
        Some(match (self, section) {
            (Self::Own(_), _) => return None,
            (Self::Silent(_, advice), None) => advice.to_owned(),
            (Self::Said(step, code), None) => refusal(step, code).to_owned(),
            (Self::Silent(step, advice), Some(section)) => match silent_smarthost(step) {
                Some(keys) => format!("See {section} {keys}."),
                None => advice.to_owned(),
            },
            (Self::Said(step, code), Some(section)) => match refused_by_smarthost(step, code) {
                Some(words) => format!("{words}: see {section}."),
                None => "The words above are the smarthost's; its operator knows more.".to_owned(),
            },
        })
    }
}

/// What an error was caused by.
pub(super) fn cause(error: &ClientError) -> Cause {
    match error {
        ClientError::Refused(step, code, _) => Cause::Said(*step, *code),
        ClientError::Io(step, error) => Cause::Silent(*step, silence(*step, error.kind())),
        ClientError::Unusable(step, _) | ClientError::Local(step, _) => {
            Cause::Silent(*step, silence(*step, ErrorKind::Other))
        }
        ClientError::NotSmtp(step) => Cause::Silent(
            *step,
            "Something else than a mail server answers there, or a TLS port is taken for a plain one.",
        ),
    }
}

/// The keys of the smarthost's section to look at.
fn silent_smarthost(step: Step) -> Option<&'static str> {
    Some(match step {
        Step::Connect => "host and port; a firewall may be in between as well",
        Step::Tls => "host, which the certificate has to be for, ca_file and tls",
        Step::StartTls => {
            "tls and port: it offers no STARTTLS, and implicit TLS is mostly on port 465"
        }
        Step::Auth => "username, mechanisms, plaintext_login, and password_file or token_file",
        _ => return None,
    })
}

/// What a smarthost's refusal may mean.
fn refused_by_smarthost(step: Step, code: u16) -> Option<&'static str> {
    Some(match (step, code) {
        (Step::Auth, 534 | 535) => {
            "User or password is wrong there; username, password_file or token_file"
        }
        (Step::Auth, 538) | (_, 523) => "It wants TLS before a login; tls",
        (Step::Auth, 502..=504) => {
            "It takes no such login; mechanisms, and username empty for none"
        }
        (Step::Mail | Step::Rcpt, 530) => "It wants a login; username",
        (Step::Mail, 550..=554) => "It refuses the sender; sender_domains and username",
        _ => return None,
    })
}

fn silence(step: Step, kind: ErrorKind) -> &'static str {
    match (step, kind) {
        (Step::Connect, ErrorKind::TimedOut) => {
            "Nobody answers: a firewall in between, or a machine that is off."
        }
        (Step::Connect, _) => {
            "Nothing takes connections there. Is it running? gatepost status tells, and gatepost check lists the ports."
        }
        (Step::Tls, _) => {
            "TLS was not set up. gatepost check says what is wrong with [tls] certificate and private_key."
        }
        (Step::StartTls, _) => {
            "No certificate is set, or STARTTLS is disabled. See [tls] certificate and [extensions] starttls."
        }
        (Step::Auth, _) => {
            "No login was made. See [auth] mechanisms and name_and_password of the port."
        }
        _ => "The connection broke or was too slow. The log of the other side says why.",
    }
}

fn refusal(step: Step, code: u16) -> &'static str {
    match (step, code) {
        (_, 421) => {
            "It takes no more sessions now, or is going down. gatepost status shows how many there are."
        }
        (Step::Auth, 535) => {
            "User or password is wrong, or [server_access] keeps the user out. gatepost passwd sets a password."
        }
        (Step::Auth, 538) | (_, 523) => {
            "It wants TLS before a login: see [extensions] starttls and [auth] plaintext_from."
        }
        (Step::Auth, 502..=504) => "This port takes no logins: see name_and_password of the port.",
        (Step::Auth, 454) => "Too many failed logins from here: gatepost unban forgets them.",
        (_, 530) => "It wants a login (--user), or TLS first.",
        (Step::Greeting, 554) => {
            "It turns this client away: see [connections], [blacklist], [dnsbl] and the sites."
        }
        (Step::Mail, 550..=554) => {
            "The sender is refused: see [senders]. After a login, only the user's own addresses may send."
        }
        (Step::Rcpt, 550) => {
            "There is no such user or alias: see the users and aliases files, and local_domains."
        }
        (Step::Rcpt, 554) => {
            "Not relayed, or refused by a list: see [relay] and [recipients]; gatepost explain names the line."
        }
        (_, 552) => "The message is too large for it.",
        (_, 452) => "Its disk is full.",
        (_, 400..=499) => "It may take it later. Its log says why.",
        _ => "Its log says why.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn every_failure_has_its_exit_code() {
        let refused = |step, code| ClientError::Refused(step, code, String::new());
        let io = |step| ClientError::Io(step, io::Error::other("x"));
        for (error, code) in [
            (io(Step::Connect), 69),
            (io(Step::Tls), 69),
            (io(Step::StartTls), 69),
            (io(Step::Auth), 77),
            (ClientError::NotSmtp(Step::Greeting), 69),
            (refused(Step::Greeting, 421), 75),
            (refused(Step::Greeting, 554), 69),
            (refused(Step::Auth, 535), 77),
            (refused(Step::Auth, 454), 75),
            (refused(Step::Mail, 530), 77),
            (refused(Step::Mail, 554), 77),
            (refused(Step::Mail, 501), 69),
            (refused(Step::Rcpt, 550), 67),
            (refused(Step::Rcpt, 554), 77),
            (refused(Step::Rcpt, 450), 75),
            (refused(Step::EndOfData, 552), 69),
            (refused(Step::EndOfData, 452), 75),
        ] {
            let text = error.to_string();
            let cause = cause(&error);
            assert_eq!(cause.exit_code(), code, "{text}");
            let section = "[smarthost:x]".to_owned();
            for side in [Side::Own, Side::Smarthost(section)] {
                let advice = cause.advice(&side).unwrap();
                let is_ours = ["[auth]", "[extensions]", "[tls]", "[senders]", "gatepost "];
                let names_ours = is_ours.iter().any(|word| advice.contains(word));
                assert!(side == Side::Own || !names_ours, "{text}: {advice}");
                assert!(
                    side != Side::Own || !advice.contains("smarthost"),
                    "{text}: {advice}"
                );
            }
        }
    }
}
