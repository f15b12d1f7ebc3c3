//! From what a session noted to the log and the counters.

use std::net::SocketAddr;

use crate::events;
use crate::policy::rule::Rule;
use crate::protocol::line::LineError;
use crate::session::note::{Note, Refused, Subject, Told};
use crate::stats::{Counter, Stats};

/// Logs a note of the session `sid`.
pub(crate) fn log(sid: &str, client: SocketAddr, note: &Note) {
    match note {
        Note::TlsOnPlainPort => events::client_misbehaves(
            sid,
            client,
            "the client wants TLS from the first octet: have it use the TLS port, or STARTTLS",
        ),
        Note::OtherProtocol => events::client_misbehaves(sid, client, "the client speaks HTTP"),
        Note::BadLine(error) => events::client_misbehaves(sid, client, line_words(*error)),
        Note::TooManyErrors => events::client_misbehaves(sid, client, "too many errors"),
        Note::LoggedIn { user } => events::login_succeeded(sid, client, user),
        Note::LoginFailed {
            login,
            failed,
            reason,
            fault: _,
        } => events::login_failed(sid, client, login, *failed, reason),
        Note::LoginTurnedAway { login } => events::login_turned_away(sid, client, login),
        Note::Listed { cause, .. } => events::client_listed(sid, client, cause),
        Note::Refused(refused) => log_refused(sid, client, refused),
        Note::FromLineRemoved(qid) => {
            events::content::from_line_removed(Some(sid), client.ip(), *qid);
        }
        // Only `explain` asks for these.
        Note::Decided { .. } => {}
        // The log has what it is about.
        Note::Said(_) => {}
        // The refusal is told.
        Note::UnknownName => {}
        Note::LoginUnavailable => {
            events::client_misbehaves(sid, client, "a login could not be checked: no users file");
        }
        Note::Dialogue(told) => log_dialogue(sid, client, told),
    }
}

/// Counts a note.
pub(crate) fn count(stats: &Stats, note: &Note) {
    match note {
        Note::LoggedIn { .. } => stats.logins.count(),
        Note::LoginFailed { .. } => stats.logins_failed.count(),
        Note::LoginTurnedAway { .. } => stats.logins_turned_away.count(),
        Note::Listed { rule, .. } => {
            counter_of(stats, *rule).map(Counter::count);
        }
        Note::Refused(refused) => {
            let of_rule = counter_of(stats, refused.rule);
            match refused.what {
                Subject::Client => stats.clients_refused.count(),
                Subject::Command(_) | Subject::Mechanism(_) => {}
                Subject::Sender(_) => stats.senders_refused.count(),
                Subject::Recipient(_) if of_rule.is_some() => {}
                Subject::Recipient(_) => stats.recipients_refused.count(),
                Subject::Message(_) => stats.messages_refused.count(),
            }
            of_rule.map(Counter::count);
        }
        Note::TlsOnPlainPort
        | Note::OtherProtocol
        | Note::BadLine(_)
        | Note::TooManyErrors
        | Note::Decided { .. }
        | Note::Said(_)
        | Note::FromLineRemoved(_)
        | Note::UnknownName
        | Note::LoginUnavailable
        | Note::Dialogue(_) => {}
    }
}

/// The counter that a rule has for itself.
fn counter_of(stats: &Stats, rule: Rule) -> Option<&Counter> {
    match rule {
        Rule::Blacklist => Some(&stats.blacklist_hits),
        Rule::DnsList => Some(&stats.dnsbl_hits),
        Rule::Relay | Rule::RelayUnclear | Rule::NoSmarthost => Some(&stats.relay_refused),
        Rule::Site
        | Rule::ConnectionDenied
        | Rule::ConnectionNotAllowed
        | Rule::ConnectionUnclear
        | Rule::StartTlsDisabled
        | Rule::AuthDisabled
        | Rule::PlaintextAuth
        | Rule::Mechanism
        | Rule::StartTlsFirst
        | Rule::LoginRequired
        | Rule::MessageSize
        | Rule::HostName
        | Rule::HostNameUnclear
        | Rule::SenderDenied
        | Rule::SenderNotAllowed
        | Rule::SenderNotOwner
        | Rule::SenderOwnerUnclear
        | Rule::SenderDomain
        | Rule::SenderDomainUnclear
        | Rule::FreeSpace
        | Rule::FreeSpaceUnclear
        | Rule::RecipientLimit
        | Rule::MailMemory
        | Rule::UnknownMax
        | Rule::RecipientDenied
        | Rule::RecipientNotAllowed
        | Rule::RecipientGroup
        | Rule::RecipientAmbiguous
        | Rule::RecipientUnknown
        | Rule::RecipientUnclear
        | Rule::MailboxFull
        | Rule::MailboxTooSmall
        | Rule::BareLineEnds
        | Rule::Nul
        | Rule::Loop
        | Rule::SpoolFull
        | Rule::SpoolFailure => None,
    }
}

fn log_refused(sid: &str, client: SocketAddr, refused: &Refused) {
    let (event, who) = match &refused.what {
        Subject::Client => ("client_refused", ("at", "connect")),
        Subject::Command(command) => ("command_refused", ("command", *command)),
        Subject::Mechanism(_) => ("command_refused", ("command", "AUTH")),
        Subject::Sender(None) => ("sender_refused", ("at", "MAIL")),
        Subject::Sender(Some(from)) => ("sender_refused", ("from", from.as_str())),
        Subject::Recipient(to) => ("recipient_refused", ("to", to.as_str())),
        Subject::Message(from) => ("message_refused", ("from", from.as_str())),
    };
    let why = (refused.rule.log_reason(), refused.cause.as_deref());
    events::refused(event, sid, client, who, refused.reply, why);
}

fn log_dialogue(sid: &str, client: SocketAddr, told: &Told) {
    match told {
        Told::Command {
            shown,
            mechanism,
            withheld,
        } => events::dialogue::command(sid, client, shown, *mechanism, *withheld),
        Told::Response { octets } => events::dialogue::auth_response(sid, client, *octets),
        Told::MailData { octets } => events::dialogue::mail_data(sid, client, *octets),
        Told::Reply(said) => events::dialogue::reply(sid, client, said),
    }
}

fn line_words(error: LineError) -> &'static str {
    match error {
        LineError::TooLong => "a command line is too long",
        LineError::BareCrOrLf => "a command line has a bare CR or LF",
        LineError::Nul => "a command line has a NUL",
    }
}
