//! From what a session noted to the log.

use std::net::SocketAddr;

use crate::events;
use crate::protocol::line::LineError;
use crate::session::Note;

/// Logs a note of the session `sid`.
pub(super) fn log(sid: &str, client: SocketAddr, note: &Note) {
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
        Note::LoginFailed { login, failed } => events::login_failed(sid, client, login, *failed),
        Note::LoginUnavailable => {
            events::client_misbehaves(sid, client, "a login could not be checked: no users file");
        }
        Note::RecipientRefused { to, reply, reason } => {
            events::refused("recipient_refused", sid, client, ("to", to), *reply, reason);
        }
        Note::MessageRefused {
            from,
            reply,
            reason,
        } => {
            events::refused(
                "message_refused",
                sid,
                client,
                ("from", from),
                *reply,
                reason,
            );
        }
        Note::SenderRefused { reply, reason } => {
            events::refused(
                "sender_refused",
                sid,
                client,
                ("at", "MAIL"),
                *reply,
                reason,
            );
        }
    }
}

fn line_words(error: LineError) -> &'static str {
    match error {
        LineError::TooLong => "a command line is too long",
        LineError::BareCrOrLf => "a command line has a bare CR or LF",
        LineError::Nul => "a command line has a NUL",
    }
}
