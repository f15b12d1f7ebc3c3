//! Every sentence the server says (CONFIG section 4).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use super::note::Subject;
use crate::config::rules::Messages;
use crate::config::settings::{Mechanism, Settings};
use crate::mail::date;
use crate::policy::admission::Admission;
use crate::policy::rule::Rule;
use crate::protocol::line::LineError;
use crate::protocol::reply::{EnhancedStatus, Reply};
use crate::spool::Committed;

pub(super) fn greeting(settings: &Settings, now: SystemTime) -> Reply {
    let text = settings
        .messages
        .greeting
        .replace("{hostname}", settings.hostname.as_str());
    Reply::bare(220, text.replace("{date}", &date::rfc5322(now)))
}

pub(super) fn hello(settings: &Settings) -> Reply {
    Reply::bare(250, settings.hostname.to_string())
}

/// EHLO's reply. AUTH with the mechanisms that are offered now, if there are any.
pub(super) fn extended_hello(
    settings: &Settings,
    admission: Admission,
    mechanisms: &[Mechanism],
) -> Reply {
    let extensions = &settings.extensions;
    let mut lines: Vec<Cow<'static, str>> = vec![settings.hostname.to_string().into()];
    if extensions.pipelining {
        lines.push("PIPELINING".into());
    }
    if extensions.size {
        lines.push(format!("SIZE {}", settings.limits.message_size).into());
    }
    if admission.starttls {
        lines.push("STARTTLS".into());
    }
    if !mechanisms.is_empty() {
        let names: Vec<_> = mechanisms
            .iter()
            .map(|mechanism| mechanism_name(*mechanism))
            .collect();
        lines.push(format!("AUTH {}", names.join(" ")).into());
        if mechanisms.contains(&Mechanism::Login) {
            lines.push("AUTH=LOGIN".into());
        }
    }
    lines.push("ENHANCEDSTATUSCODES".into());
    if extensions.eight_bit_mime {
        lines.push("8BITMIME".into());
    }
    if extensions.smtputf8 {
        lines.push("SMTPUTF8".into());
    }
    for (keyword, on) in [
        // What is refused until there is TLS is refused before its octets, see `chunk`.
        (
            "CHUNKING",
            extensions.chunking && !admission.starttls_required,
        ),
        ("DSN", extensions.dsn),
        ("VRFY", extensions.vrfy),
        ("EXPN", extensions.expn),
        ("HELP", extensions.help),
    ] {
        if on {
            lines.push(keyword.into());
        }
    }
    Reply::lines(250, lines)
}

pub(super) fn mechanism_name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::Plain => "PLAIN",
        Mechanism::Login => "LOGIN",
    }
}

pub(super) fn ok() -> Reply {
    Reply::new(250, EnhancedStatus(2, 0, 0), "OK")
}

pub(super) fn bye() -> Reply {
    Reply::new(221, EnhancedStatus(2, 0, 0), "Bye")
}

pub(super) fn sender_ok() -> Reply {
    Reply::new(250, EnhancedStatus(2, 1, 0), "Sender OK")
}

pub(super) fn recipient_ok() -> Reply {
    Reply::new(250, EnhancedStatus(2, 1, 5), "Recipient OK")
}

pub(super) fn start_mail_data() -> Reply {
    Reply::bare(354, "Start mail input; end with <CRLF>.<CRLF>")
}

pub(super) fn queued(message: &Committed) -> Reply {
    Reply::new(
        250,
        EnhancedStatus(2, 0, 0),
        format!("Queued as {}", message.id()),
    )
}

pub(super) fn chunk_received(octets: u64) -> Reply {
    Reply::new(
        250,
        EnhancedStatus(2, 0, 0),
        format!("{octets} octets received"),
    )
}

pub(super) fn ready_for_tls() -> Reply {
    Reply::new(220, EnhancedStatus(2, 0, 0), "Ready to start TLS")
}

pub(super) fn challenge(challenge: impl Into<Cow<'static, str>>) -> Reply {
    Reply::bare(334, challenge)
}

pub(super) fn authenticated() -> Reply {
    Reply::new(235, EnhancedStatus(2, 7, 0), "Authentication succeeded")
}

/// The commands that are served to this session now.
pub(super) fn help(settings: &Settings, admission: Admission, auth: bool) -> Reply {
    let mut commands = "Commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT HELP".to_owned();
    for (command, on) in [
        (" BDAT", settings.extensions.chunking),
        (" VRFY", settings.extensions.vrfy),
        (" EXPN", settings.extensions.expn),
        (" STARTTLS", admission.starttls),
        (" AUTH", auth),
    ] {
        commands.push_str(if on { command } else { "" });
    }
    Reply::new(214, EnhancedStatus(2, 0, 0), commands)
}

pub(super) fn cannot_verify() -> Reply {
    Reply::new(
        252,
        EnhancedStatus(2, 1, 5),
        "Cannot VRFY user, but will accept message and attempt delivery",
    )
}

pub(super) fn user_exists() -> Reply {
    Reply::new(250, EnhancedStatus(2, 1, 5), "User exists")
}

/// The members of a list, at least one.
pub(super) fn members(members: Vec<String>) -> Reply {
    let lines = members.into_iter();
    let lines = lines.map(|member| format!("<{member}>").into());
    Reply::list(250, EnhancedStatus(2, 1, 5), lines.collect())
}

pub(super) fn cannot_expand() -> Reply {
    Reply::new(
        252,
        EnhancedStatus(2, 1, 5),
        "Cannot EXPN list, but will accept message and attempt delivery",
    )
}

pub(super) fn unknown_command() -> Reply {
    Reply::new(500, EnhancedStatus(5, 5, 1), "Unknown command")
}

pub(super) fn bad_line(error: LineError) -> Reply {
    let text = match error {
        LineError::TooLong => "Line too long",
        LineError::BareCrOrLf => "Bare CR or LF in command",
        LineError::Nul => "NUL in command",
    };
    Reply::new(500, EnhancedStatus(5, 5, 2), text)
}

pub(super) fn bad_encoding() -> Reply {
    Reply::new(501, EnhancedStatus(5, 5, 2), "Command is not valid UTF-8")
}

pub(super) fn bad_arguments() -> Reply {
    Reply::new(501, EnhancedStatus(5, 5, 4), "Syntax error in arguments")
}

pub(super) fn bad_sender() -> Reply {
    Reply::new(501, EnhancedStatus(5, 1, 7), "Syntax: MAIL FROM:<address>")
}

pub(super) fn bad_recipient() -> Reply {
    Reply::new(501, EnhancedStatus(5, 1, 3), "Syntax: RCPT TO:<address>")
}

pub(super) fn bad_parameter() -> Reply {
    Reply::new(501, EnhancedStatus(5, 5, 4), "Syntax error in parameters")
}

pub(super) fn unknown_parameter() -> Reply {
    Reply::new(
        555,
        EnhancedStatus(5, 5, 4),
        "Parameter not recognized or not available",
    )
}

pub(super) fn needs_smtputf8() -> Reply {
    Reply::new(553, EnhancedStatus(5, 6, 7), "Address needs SMTPUTF8")
}

pub(super) fn bad_sequence() -> Reply {
    Reply::new(503, EnhancedStatus(5, 5, 1), "Bad sequence of commands")
}

pub(super) fn not_available() -> Reply {
    Reply::new(502, EnhancedStatus(5, 5, 1), "Command not available")
}

pub(super) fn bad_response() -> Reply {
    Reply::new(
        501,
        EnhancedStatus(5, 5, 2),
        "Authentication response not understood",
    )
}

pub(super) fn exchange_cancelled() -> Reply {
    Reply::new(501, EnhancedStatus(5, 0, 0), "Authentication cancelled")
}

pub(super) fn authentication_failed() -> Reply {
    Reply::new(535, EnhancedStatus(5, 7, 8), "Authentication failed")
}

/// RFC 4954 section 6.
pub(super) fn login_turned_away() -> Reply {
    Reply::new(
        454,
        EnhancedStatus(4, 7, 0),
        "Temporary authentication failure",
    )
}

pub(super) fn too_many_failed_logins() -> Reply {
    Reply::new(421, EnhancedStatus(4, 7, 0), "Too many failed logins")
}

/// What a refusal of `what` says to a client at this address; the session adds what it explains.
pub(super) fn refusal(rule: Rule, what: &Subject, settings: &Settings, client: IpAddr) -> Reply {
    use EnhancedStatus as S;
    let messages = &settings.messages;
    let (code, status, text) = match rule {
        // No enhanced code in the first line (RFC 2034 section 3).
        Rule::Site => return Reply::bare(554, messages.site_not_enabled.clone()),
        Rule::ConnectionDenied | Rule::ConnectionNotAllowed => {
            return Reply::bare(554, messages.access_denied.clone());
        }
        Rule::ConnectionUnclear => {
            let text = "Your host name could not be looked up; try again later";
            return Reply::bare(421, text);
        }
        Rule::Blacklist => return listed(&settings.blacklist.reply, what, client),
        Rule::DnsList => return listed(&settings.dnsbl.reply, what, client),
        Rule::LoginRequired => return authentication_required(messages),
        Rule::SenderDenied | Rule::SenderNotAllowed | Rule::SenderNotOwner => {
            return sender_denied(what);
        }
        Rule::Relay | Rule::NoSmarthost => {
            return Reply::new(554, S(5, 7, 1), messages.relay_denied.clone());
        }
        Rule::StartTlsDisabled => return not_available(),
        Rule::RecipientUnknown => return unknown_user(),
        Rule::SenderOwnerUnclear
        | Rule::RecipientUnclear
        | Rule::FreeSpaceUnclear
        | Rule::SpoolFailure => return try_later(),
        Rule::AuthDisabled => (502, S(5, 5, 1), "AUTH command is not available"),
        Rule::PlaintextAuth => (538, S(5, 7, 11), "Encryption required"),
        Rule::Mechanism => (504, S(5, 5, 4), "Authentication mechanism not available"),
        Rule::StartTlsFirst => (530, S(5, 7, 0), "Must issue a STARTTLS command first"),
        Rule::MessageSize => (552, S(5, 3, 4), "Message too large"),
        Rule::HostName => (
            550,
            S(5, 7, 25),
            "Your address has no host name that looks up to it",
        ),
        Rule::SenderDomain => (550, S(5, 1, 8), "The sender's domain takes no mail"),
        Rule::HostNameUnclear | Rule::SenderDomainUnclear | Rule::RelayUnclear => {
            (451, S(4, 4, 3), "DNS failure; try again later")
        }
        Rule::FreeSpace | Rule::SpoolFull => (452, S(4, 3, 1), "Insufficient system storage"),
        Rule::RecipientLimit | Rule::MailMemory => (452, S(4, 5, 3), "Too many recipients"),
        Rule::UnknownMax => (421, S(4, 7, 0), "Too many unknown recipients"),
        Rule::RecipientDenied
        | Rule::RecipientNotAllowed
        | Rule::RecipientGroup
        | Rule::RecipientAmbiguous => (554, S(5, 7, 1), "Message rejected for policy reasons"),
        // It may pass, once something is deleted (RFC 3463 section 3.3).
        Rule::MailboxFull => (452, S(4, 2, 2), "Mailbox full"),
        Rule::MailboxTooSmall => (552, S(5, 2, 2), "Message larger than the mailbox may be"),
        Rule::BareLineEnds => (550, S(5, 6, 0), "Bare CR or LF in message"),
        Rule::Nul => (550, S(5, 6, 0), "NUL in message"),
        Rule::Loop => (554, S(5, 4, 6), "Too many hops"),
    };
    Reply::new(code, status, text)
}

pub(super) fn authentication_required(messages: &Messages) -> Reply {
    let text = messages.authentication_required.clone();
    Reply::new(530, EnhancedStatus(5, 7, 0), text)
}

/// A client that a list names, at the first line or at MAIL; `%s` is its address (DOMINO.md section 2.3.6). What is
/// too long for a line of MAIL is cut.
fn listed(text: &str, what: &Subject, client: IpAddr) -> Reply {
    let text = text.replace("%s", &client.to_string());
    if *what == Subject::Client {
        return Reply::bare(554, text);
    }
    let text = text.get(..LISTED_MAX_OCTETS).unwrap_or(&text).to_owned();
    Reply::new(554, EnhancedStatus(5, 7, 1), text)
}

/// The longest line without codes and line end (RFC 5321 section 4.5.3.1.5).
const LISTED_MAX_OCTETS: usize = 512 - "554 5.7.1 \r\n".len();

fn sender_denied(what: &Subject) -> Reply {
    let address = match what {
        Subject::Sender(Some(address)) | Subject::Message(address) => address,
        Subject::Sender(None)
        | Subject::Client
        | Subject::Command(_)
        | Subject::Mechanism(_)
        | Subject::Recipient(_) => "",
    };
    let text = format!("Mail from {address} rejected for policy reasons");
    Reply::new(554, EnhancedStatus(5, 7, 1), text)
}

pub(super) fn unknown_user() -> Reply {
    Reply::new(550, EnhancedStatus(5, 1, 1), "User unknown")
}

pub(super) fn try_later() -> Reply {
    Reply::new(451, EnhancedStatus(4, 3, 0), "Try again later")
}

pub(super) fn too_many_errors(messages: &Messages) -> Reply {
    Reply::new(
        421,
        EnhancedStatus(4, 7, 0),
        messages.too_many_errors.clone(),
    )
}

pub(super) fn timeout() -> Reply {
    Reply::new(421, EnhancedStatus(4, 4, 2), "Timeout")
}

pub(super) fn shutting_down() -> Reply {
    Reply::new(421, EnhancedStatus(4, 3, 2), "Service shutting down")
}

pub(super) fn ended_by_operator() -> Reply {
    Reply::new(
        421,
        EnhancedStatus(4, 3, 2),
        "Session ended by the operator",
    )
}

/// Said instead of a greeting when `sessions_max` is reached.
pub fn too_many_sessions() -> Reply {
    Reply::new(421, EnhancedStatus(4, 3, 2), "Too many sessions")
}

/// Said instead of a greeting when `sessions_max_per_address` is reached.
pub fn too_many_sessions_from_address() -> Reply {
    Reply::new(
        421,
        EnhancedStatus(4, 7, 0),
        "Too many sessions from your address",
    )
}
