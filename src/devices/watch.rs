//! Watches one session and makes up its mind what is wrong with the client, from the session's notes.
//!
//! The gravest thing counts: a later refusal replaces an earlier one, but what mostly follows from another
//! (503 after a refused recipient, 530 after a failed login) never replaces its cause. Promises: nothing is
//! allocated but for what is refused; passwords never come here.

use super::kind::{Kind, Weight};
use crate::events::EndReason;
use crate::policy::rule::Rule;
use crate::protocol::line::LineError;
use crate::protocol::reply::{EnhancedStatus, Reply};
use crate::session::Note;
use crate::session::note::{LoginFault, Refused, Subject};
use crate::transport::failure::{PeerAlert, TlsFailure};

/// What one session found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// What it is about: a version, a name, an address.
    pub(super) detail: String,
    /// What the client was told; empty where nothing was said.
    pub(super) reply: String,
    /// It went well later on in the same session.
    pub(super) mended: bool,
}

/// The eyes on one session.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    fault: Option<Box<Fault>>,
    /// Whom the next reply of class 4yz or 5yz is about.
    reply_is: Awaited,
    accepted: u32,
    logged_in: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Awaited {
    /// A reply nothing was noted before: it speaks for itself.
    #[default]
    Unannounced,
    /// About the fault that is kept.
    OfFault,
    /// About one that is not kept.
    OfNothing,
}

/// Where a client went away or fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the TLS handshake; whether it had sent anything.
    Handshake(HandshakeProgress),
    /// In the content of a message.
    MailData,
    /// Anywhere else.
    Elsewhere,
}

/// Whether the client had a part in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeProgress {
    /// It said something.
    Started,
    /// Not a word in some seconds.
    Idle,
    /// Not a word, but it went away at once.
    ClosedAtOnce,
}

/// How far a session came, at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// No command.
    Nothing,
    /// EHLO or HELO, or another command.
    Hello,
    /// A mail transaction.
    Transaction,
}

impl Watch {
    /// Takes what the session noted.
    pub(crate) fn note(&mut self, note: &Note) {
        match note {
            Note::TlsOnPlainPort => self.found(Kind::TlsOnPlainPort, ""),
            Note::OtherProtocol => self.announced(Kind::OtherProtocol, ""),
            Note::BadLine(LineError::TooLong) => self.announced(Kind::LineTooLong, ""),
            Note::BadLine(LineError::BareCrOrLf | LineError::Nul) => {
                self.announced(Kind::BareLineEndInCommand, "");
            }
            Note::TooManyErrors => self.announced(Kind::TooManyErrors, ""),
            Note::LoggedIn { .. } => {
                self.logged_in = true;
                self.mend(Kind::is_of_login);
            }
            Note::LoginFailed { login, fault, .. } => {
                let kind = match fault {
                    LoginFault::Password | LoginFault::Downgraded => Kind::LoginFailed,
                    LoginFault::Access => Kind::LoginDenied,
                };
                self.announced(kind, login);
            }
            Note::LoginTurnedAway { login } => self.announced(Kind::LoginThrottled, login),
            Note::LoginUnavailable => self.announced(Kind::LoginUnavailable, ""),
            Note::Refused(refused) => self.announced(kind_of(refused.rule), detail_of(refused)),
            Note::Said(reply) => self.said(reply),
            Note::Listed { .. }
            | Note::Decided { .. }
            | Note::FromLineRemoved(_)
            | Note::UnknownName
            | Note::Dialogue(_) => {}
        }
    }

    /// TLS failed.
    pub(crate) fn tls_failed(&mut self, failure: &TlsFailure) {
        match failure {
            TlsFailure::PlainText => self.found(Kind::PlainOnTlsPort, ""),
            TlsFailure::OldVersion(version) => self.found(Kind::TlsVersion, version),
            TlsFailure::NothingInCommon(what) => self.found(Kind::TlsCipher, what),
            TlsFailure::RefusedByPeer(alert) => match alert {
                PeerAlert::UnknownAuthority => self.found(Kind::TlsAuthority, "UnknownCA"),
                PeerAlert::Expired => self.found(Kind::TlsExpired, "CertificateExpired"),
                PeerAlert::Certificate(name) => self.found(Kind::TlsCertificate, name),
                PeerAlert::Unsupported(name) => self.found(Kind::TlsUnsupported, name),
                PeerAlert::Other(name) => self.found(Kind::TlsBroken, name),
            },
            TlsFailure::Other(what) => self.found(Kind::TlsBroken, what),
        }
    }

    /// The client went away or fell silent.
    pub(crate) fn broke_off(&mut self, reason: EndReason, place: Place) {
        let is_silence = reason == EndReason::Timeout;
        match place {
            Place::Handshake(HandshakeProgress::Started) if is_silence => {
                self.found(Kind::TlsSlow, "")
            }
            Place::Handshake(HandshakeProgress::Started) => self.found(Kind::TlsCut, ""),
            Place::Handshake(HandshakeProgress::Idle) => self.found(Kind::SilentOnTlsPort, ""),
            Place::Handshake(HandshakeProgress::ClosedAtOnce) => self.found(Kind::Silent, ""),
            Place::MailData if is_silence => self.found(Kind::StalledInData, ""),
            Place::MailData => self.found(Kind::CutInData, ""),
            Place::Elsewhere => {}
        }
    }

    /// A message was accepted.
    pub(crate) fn accepted(&mut self) {
        self.accepted += 1;
        self.mend(|_| true);
    }

    /// The session is over; what is to be kept of it.
    pub(super) fn finish(mut self, reason: EndReason, reached: Reached) -> Option<Fault> {
        let went = matches!(
            reason,
            EndReason::Quit | EndReason::Dropped | EndReason::Timeout
        );
        if went && self.fault.is_none() && self.accepted == 0 && !self.logged_in {
            match reached {
                Reached::Nothing => self.found(Kind::Silent, ""),
                Reached::Hello => self.found(Kind::LeftAfterHello, ""),
                Reached::Transaction => self.found(Kind::LeftUnfinished, ""),
            }
        }
        self.fault.map(|fault| *fault)
    }

    fn mend(&mut self, is_mended: impl Fn(Kind) -> bool) {
        if let Some(fault) = self.fault.as_mut().filter(|fault| is_mended(fault.kind)) {
            fault.mended = true;
        }
    }

    /// The reply comes next.
    fn announced(&mut self, kind: Kind, detail: &str) {
        self.reply_is = match self.keeps(kind) {
            true => Awaited::OfFault,
            false => Awaited::OfNothing,
        };
        self.found(kind, detail);
    }

    fn found(&mut self, kind: Kind, detail: &str) {
        if self.keeps(kind) {
            self.fault = Some(Box::new(Fault {
                kind,
                detail: detail.to_owned(),
                reply: String::new(),
                mended: false,
            }));
        }
    }

    /// Whether `kind` replaces what is known.
    fn keeps(&self, kind: Kind) -> bool {
        let Some(known) = self.fault.as_ref().filter(|known| !known.mended) else {
            return true;
        };
        // Whoever cannot log in is then told to, or may not relay.
        let follows = matches!(kind, Kind::LoginRequired | Kind::RelayDenied);
        kind.weight() == Weight::Cause && !(follows && known.kind.is_of_login())
    }

    fn said(&mut self, reply: &Reply) {
        match std::mem::take(&mut self.reply_is) {
            Awaited::OfNothing => return,
            Awaited::OfFault => {}
            Awaited::Unannounced => {
                let Some(kind) = kind_of_reply(reply) else {
                    return;
                };
                if !self.keeps(kind) {
                    return;
                }
                self.found(kind, &words_of(reply));
            }
        }
        if let Some(fault) = self.fault.as_mut() {
            fault.reply = words_of(reply);
        }
    }
}

fn words_of(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.to_octets())
        .trim_end()
        .to_owned()
}

/// What a refusal is.
fn kind_of(rule: Rule) -> Kind {
    match rule {
        Rule::Site => Kind::SiteNotEnabled,
        Rule::ConnectionDenied => Kind::ConnectionDenied,
        Rule::ConnectionNotAllowed => Kind::ConnectionNotAllowed,
        Rule::Blacklist => Kind::Blacklisted,
        Rule::DnsList => Kind::DnsListed,
        Rule::StartTlsDisabled => Kind::StartTlsOff,
        Rule::AuthDisabled => Kind::AuthOff,
        Rule::PlaintextAuth => Kind::AuthNeedsTls,
        Rule::Mechanism => Kind::Mechanism,
        Rule::StartTlsFirst => Kind::StartTlsRequired,
        Rule::LoginRequired => Kind::LoginRequired,
        Rule::MessageSize => Kind::TooLarge,
        Rule::HostName => Kind::NoHostName,
        Rule::SenderDenied => Kind::SenderDenied,
        Rule::SenderNotAllowed => Kind::SenderNotAllowed,
        Rule::SenderNotOwner => Kind::SenderNotOwner,
        Rule::SenderDomain => Kind::SenderDomain,
        Rule::RecipientLimit => Kind::TooManyRecipients,
        Rule::RecipientDenied => Kind::RecipientDenied,
        Rule::RecipientNotAllowed => Kind::RecipientNotAllowed,
        Rule::RecipientGroup => Kind::RecipientGroup,
        Rule::RecipientAmbiguous => Kind::RecipientAmbiguous,
        Rule::RecipientUnknown | Rule::UnknownMax => Kind::RecipientUnknown,
        Rule::Relay => Kind::RelayDenied,
        Rule::NoSmarthost => Kind::NoSmarthost,
        Rule::MailboxFull | Rule::MailboxTooSmall => Kind::MailboxFull,
        Rule::BareLineEnds | Rule::Nul => Kind::BareLineEnds,
        Rule::Loop => Kind::Loop,
        Rule::FreeSpace | Rule::FreeSpaceUnclear | Rule::SpoolFull => Kind::NoSpace,
        Rule::ConnectionUnclear
        | Rule::HostNameUnclear
        | Rule::SenderOwnerUnclear
        | Rule::SenderDomainUnclear
        | Rule::RecipientUnclear
        | Rule::RelayUnclear
        | Rule::MailMemory
        | Rule::SpoolFailure => Kind::ServerTrouble,
    }
}

/// What a refusal is about.
fn detail_of(refused: &Refused) -> &str {
    match &refused.what {
        Subject::Mechanism(name) => name.unwrap_or_default(),
        _ if refused.reply / 100 == 4 => refused.rule.log_reason(),
        Subject::Client | Subject::Command(_) | Subject::Sender(None) => "",
        Subject::Sender(Some(address)) => bare(address),
        Subject::Recipient(address) | Subject::Message(address) => bare(address),
    }
}

/// An address without its brackets.
fn bare(address: &str) -> &str {
    address.trim_start_matches('<').trim_end_matches('>')
}

/// What a reply is about that nothing was noted before.
fn kind_of_reply(reply: &Reply) -> Option<Kind> {
    let status = reply.status().unwrap_or(EnhancedStatus(0, 0, 0));
    Some(match (reply.code(), status) {
        // The client's own wish.
        (501, EnhancedStatus(5, 0, 0)) => return None,
        (501, EnhancedStatus(5, 1, _)) => Kind::BadAddress,
        (553, EnhancedStatus(5, 6, 7)) => Kind::NeedsSmtputf8,
        (555, _) => Kind::BadParameter,
        (503, _) => Kind::BadSequence,
        (530, _) => Kind::LoginRequired,
        (452, _) => Kind::NoSpace,
        (400..=499, _) => Kind::ServerTrouble,
        (500..=599, _) => Kind::BadCommand,
        _ => return None,
    })
}
