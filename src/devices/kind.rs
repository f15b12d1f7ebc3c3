//! What can be wrong with a device, in one table: a word for files and JSON, plain words for people.
//!
//! Refuses to know: what to do about it, which is `advice`'s.

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    TlsVersion,
    TlsCipher,
    TlsAuthority,
    TlsExpired,
    TlsCertificate,
    TlsUnsupported,
    TlsBroken,
    TlsCut,
    TlsSlow,
    PlainOnTlsPort,
    SilentOnTlsPort,
    TlsOnPlainPort,
    StartTlsOff,
    StartTlsRequired,
    AuthOff,
    AuthNeedsTls,
    Mechanism,
    LoginFailed,
    LoginDenied,
    LoginThrottled,
    LoginUnavailable,
    LoginRequired,
    SenderNotOwner,
    SenderDenied,
    SenderNotAllowed,
    SenderDomain,
    NoHostName,
    RecipientUnknown,
    RecipientDenied,
    RecipientNotAllowed,
    RecipientGroup,
    RecipientAmbiguous,
    MailboxFull,
    TooManyRecipients,
    RelayDenied,
    NoSmarthost,
    TooLarge,
    BareLineEnds,
    BareLineEndInCommand,
    LineTooLong,
    Loop,
    ConnectionDenied,
    ConnectionNotAllowed,
    Blacklisted,
    DnsListed,
    SiteNotEnabled,
    TooManySessions,
    NoSpace,
    ServerTrouble,
    OtherProtocol,
    BadAddress,
    NeedsSmtputf8,
    BadParameter,
    BadCommand,
    BadSequence,
    TooManyErrors,
    CutInData,
    StalledInData,
    LeftUnfinished,
    LeftAfterHello,
    Silent,
}

/// How much a kind says of what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// A monitor does the same: it may be nothing at all.
    Hint,
    /// Mostly the consequence of what went wrong before it.
    Consequence,
    /// The thing itself.
    Cause,
}

use Weight::{Cause, Consequence, Hint};

/// Every kind, with its word, its weight and what people read; `{}` is what it is about.
pub(super) const KINDS: &[(Kind, &str, Weight, &str)] = &[
    (
        Kind::TlsVersion,
        "tls-version",
        Cause,
        "offers only {}, which is not spoken here",
    ),
    (
        Kind::TlsCipher,
        "tls-cipher",
        Cause,
        "offers no TLS cipher, group or signature that is spoken here",
    ),
    (
        Kind::TlsAuthority,
        "tls-authority",
        Cause,
        "does not trust who issued the server's certificate",
    ),
    (
        Kind::TlsExpired,
        "tls-expired",
        Cause,
        "takes the server's certificate for expired",
    ),
    (
        Kind::TlsCertificate,
        "tls-certificate",
        Cause,
        "does not take the server's certificate ({})",
    ),
    (
        Kind::TlsUnsupported,
        "tls-unsupported",
        Cause,
        "wants another TLS version or cipher ({})",
    ),
    (Kind::TlsBroken, "tls-broken", Cause, "TLS failed: {}"),
    (
        Kind::TlsCut,
        "tls-cut",
        Cause,
        "went away in the middle of the TLS handshake without saying why",
    ),
    (
        Kind::TlsSlow,
        "tls-slow",
        Cause,
        "did not finish the TLS handshake in time",
    ),
    (
        Kind::PlainOnTlsPort,
        "plain-on-tls-port",
        Cause,
        "speaks plain text on a port that is TLS from the first octet",
    ),
    (
        Kind::SilentOnTlsPort,
        "silent-on-tls-port",
        Cause,
        "waits in silence on a port that is TLS from the first octet, as a device does that is set to STARTTLS or no encryption",
    ),
    (
        Kind::TlsOnPlainPort,
        "tls-on-plain-port",
        Cause,
        "begins with TLS on a port that speaks plain text first",
    ),
    (
        Kind::StartTlsOff,
        "starttls-off",
        Cause,
        "asks for STARTTLS, which is switched off",
    ),
    (
        Kind::StartTlsRequired,
        "starttls-required",
        Cause,
        "wants to send without TLS where STARTTLS has to come first",
    ),
    (
        Kind::AuthOff,
        "auth-off",
        Cause,
        "wants to log in where logins are switched off",
    ),
    (
        Kind::AuthNeedsTls,
        "auth-needs-tls",
        Cause,
        "wants to log in without TLS, and its address is not allowed to",
    ),
    (
        Kind::Mechanism,
        "mechanism",
        Cause,
        "wants to log in by {}, which is not offered",
    ),
    (
        Kind::LoginFailed,
        "login-failed",
        Cause,
        "the password of {} is wrong, or there is no such user",
    ),
    (
        Kind::LoginDenied,
        "login-denied",
        Cause,
        "the password of {} is right, but server access keeps it out",
    ),
    (
        Kind::LoginThrottled,
        "login-throttled",
        Cause,
        "too many logins failed, so its logins are not looked at for a while",
    ),
    (
        Kind::LoginUnavailable,
        "login-unavailable",
        Cause,
        "its login could not be checked: no users file can be read",
    ),
    (
        Kind::LoginRequired,
        "login-required",
        Cause,
        "wants to send without a login where one is needed",
    ),
    (
        Kind::SenderNotOwner,
        "sender-not-owner",
        Cause,
        "logged in as somebody who may not send as {}",
    ),
    (
        Kind::SenderDenied,
        "sender-denied",
        Cause,
        "sends as {}, which is denied",
    ),
    (
        Kind::SenderNotAllowed,
        "sender-not-allowed",
        Cause,
        "sends as {}, which is not allowed",
    ),
    (
        Kind::SenderDomain,
        "sender-domain",
        Cause,
        "sends as {}, whose domain takes no mail by DNS",
    ),
    (
        Kind::NoHostName,
        "no-host-name",
        Cause,
        "its address has no host name in DNS that leads back to it",
    ),
    (
        Kind::RecipientUnknown,
        "recipient-unknown",
        Cause,
        "sends to {}, whom nobody here knows",
    ),
    (
        Kind::RecipientDenied,
        "recipient-denied",
        Cause,
        "sends to {}, which is denied",
    ),
    (
        Kind::RecipientNotAllowed,
        "recipient-not-allowed",
        Cause,
        "sends to {}, which is not allowed",
    ),
    (
        Kind::RecipientGroup,
        "recipient-group",
        Cause,
        "sends to {}, which is a group",
    ),
    (
        Kind::RecipientAmbiguous,
        "recipient-ambiguous",
        Cause,
        "sends to {}, which is both a user and an alias",
    ),
    (
        Kind::MailboxFull,
        "mailbox-full",
        Cause,
        "sends to {}, whose mailbox is full",
    ),
    (
        Kind::TooManyRecipients,
        "too-many-recipients",
        Cause,
        "sends one message to more recipients than are allowed",
    ),
    (
        Kind::RelayDenied,
        "relay-denied",
        Cause,
        "sends to {}, which is outside, and may not relay",
    ),
    (
        Kind::NoSmarthost,
        "no-smarthost",
        Cause,
        "sends to {}, which is outside, and no smarthost takes it",
    ),
    (
        Kind::TooLarge,
        "too-large",
        Cause,
        "its message is larger than what is taken",
    ),
    (
        Kind::BareLineEnds,
        "bare-line-ends",
        Cause,
        "ends lines of its messages by a bare CR or LF, or sends a NUL in them, against RFC 5321",
    ),
    (
        Kind::BareLineEndInCommand,
        "bare-line-end-in-command",
        Cause,
        "ends commands by a bare CR or LF, or sends a NUL",
    ),
    (
        Kind::LineTooLong,
        "line-too-long",
        Cause,
        "sends a command line that is too long",
    ),
    (
        Kind::Loop,
        "loop",
        Cause,
        "its message has been here too often: mail goes in a circle",
    ),
    (
        Kind::ConnectionDenied,
        "connection-denied",
        Cause,
        "its address may not connect",
    ),
    (
        Kind::ConnectionNotAllowed,
        "connection-not-allowed",
        Cause,
        "its address is not among those that may connect",
    ),
    (
        Kind::Blacklisted,
        "blacklisted",
        Cause,
        "its address is in the blacklist",
    ),
    (
        Kind::DnsListed,
        "dns-listed",
        Cause,
        "a DNS list has its address",
    ),
    (
        Kind::SiteNotEnabled,
        "site-not-enabled",
        Cause,
        "no site serves it on the address and port it connects to",
    ),
    (
        Kind::TooManySessions,
        "too-many-sessions",
        Cause,
        "holds too many sessions at a time",
    ),
    (
        Kind::NoSpace,
        "no-space",
        Cause,
        "was put off: the server's disk is full",
    ),
    (
        Kind::ServerTrouble,
        "server-trouble",
        Cause,
        "was put off: {}",
    ),
    (
        Kind::OtherProtocol,
        "other-protocol",
        Cause,
        "speaks HTTP to a mail port",
    ),
    (
        Kind::BadAddress,
        "bad-address",
        Cause,
        "gives an address that is none",
    ),
    (
        Kind::NeedsSmtputf8,
        "needs-smtputf8",
        Cause,
        "gives an address with letters beyond ASCII without SMTPUTF8",
    ),
    (
        Kind::BadParameter,
        "bad-parameter",
        Cause,
        "uses a parameter that is not offered",
    ),
    (
        Kind::BadCommand,
        "bad-command",
        Consequence,
        "sends commands or arguments that are not understood",
    ),
    (
        Kind::BadSequence,
        "bad-sequence",
        Consequence,
        "sends commands out of order",
    ),
    (
        Kind::TooManyErrors,
        "too-many-errors",
        Consequence,
        "was thrown out after too many errors",
    ),
    (
        Kind::CutInData,
        "cut-in-data",
        Cause,
        "went away in the middle of a message",
    ),
    (
        Kind::StalledInData,
        "stalled-in-data",
        Cause,
        "fell silent in the middle of a message",
    ),
    (
        Kind::LeftUnfinished,
        "left-unfinished",
        Hint,
        "began a message and left without sending it",
    ),
    (
        Kind::LeftAfterHello,
        "left-after-hello",
        Hint,
        "said hello and left without trying to send",
    ),
    (Kind::Silent, "silent", Hint, "connected and said nothing"),
];

impl Kind {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        self.row().map_or("unknown", |(_, word, _, _)| word)
    }

    /// The kind of this word.
    pub(super) fn called(word: &str) -> Option<Self> {
        let found = KINDS.iter().find(|(_, known, _, _)| *known == word);
        found.map(|(kind, _, _, _)| *kind)
    }

    /// How much it says.
    pub(super) fn weight(self) -> Weight {
        self.row().map_or(Hint, |(_, _, weight, _)| *weight)
    }

    fn row(self) -> Option<&'static (Self, &'static str, Weight, &'static str)> {
        KINDS.iter().find(|(kind, _, _, _)| *kind == self)
    }

    /// Whether it is about a login that came to nothing.
    pub(super) fn is_of_login(self) -> bool {
        matches!(
            self,
            Self::AuthOff
                | Self::AuthNeedsTls
                | Self::Mechanism
                | Self::LoginFailed
                | Self::LoginDenied
                | Self::LoginThrottled
                | Self::LoginUnavailable
        )
    }

    /// What went wrong, as it is told to people; `detail` is what it is about.
    pub(super) fn in_words(self, detail: &str) -> String {
        let words = self.row().map_or("{}", |(_, _, _, words)| words);
        let detail = match (self, detail) {
            (Self::Mechanism, "") => "an unknown method",
            (_, detail) => detail,
        };
        words.replace("{}", detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_one_row_and_one_word() {
        let words: HashSet<_> = KINDS.iter().map(|(_, word, _, _)| word).collect();
        assert_eq!(words.len(), KINDS.len());
        assert_eq!(
            KINDS.last().map(|row| row.0 as usize + 1),
            Some(KINDS.len())
        );
        for (at, (kind, word, _, _)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, at, "{word} stands in another place");
            assert_eq!(Kind::called(word), Some(*kind));
            assert_eq!(kind.word(), *word);
            let words = kind.in_words("DETAIL");
            assert!(!words.ends_with('.') && words.len() > 10, "{words}");
        }
        assert_eq!(Kind::called("no-such-kind"), None);
    }
}
