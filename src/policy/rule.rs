//! Every rule by which a client, a command, a sender, a recipient or a message is refused, one variant each.
//!
//! Whoever tells of refusals (`session::replies`, the log, the counters, `gatepost devices`, `explain`) matches on
//! [`Rule`] without a wildcard, so a new rule does not compile until each of them knows it.

/// The rule that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No site serves the session, or its site does not here.
    Site,
    /// `[connections] deny` names the host.
    ConnectionDenied,
    /// `[connections] allow` does not name the host.
    ConnectionNotAllowed,
    /// `[connections] allow` needs the host's name, which could not be looked up.
    ConnectionUnclear,
    /// The blacklist names the host.
    Blacklist,
    /// A DNS list has the host.
    DnsList,
    /// STARTTLS is disabled.
    StartTlsDisabled,
    /// AUTH is disabled here.
    AuthDisabled,
    /// Passwords in plain text are not taken from this client.
    PlaintextAuth,
    /// The mechanism is not offered.
    Mechanism,
    /// STARTTLS has to come first.
    StartTlsFirst,
    /// A login has to come first.
    LoginRequired,
    /// MAIL says that the message is too large, or it is.
    MessageSize,
    /// The host has no confirmed name.
    HostName,
    /// The host's name could not be looked up.
    HostNameUnclear,
    /// `[senders] deny` names the sender.
    SenderDenied,
    /// `[senders] allow` does not name the sender.
    SenderNotAllowed,
    /// The sender does not belong to the login.
    SenderNotOwner,
    /// Whose the sender is cannot be told: the directory could not be read.
    SenderOwnerUnclear,
    /// The sender's domain takes no mail.
    SenderDomain,
    /// The sender's domain could not be looked up.
    SenderDomainUnclear,
    /// MAIL finds the spool's disk full.
    FreeSpace,
    /// MAIL cannot be told how full the spool's disk is.
    FreeSpaceUnclear,
    /// The message has as many recipients as it may have.
    RecipientLimit,
    /// The messages that come in now leave no memory for one recipient more.
    MailMemory,
    /// The client has named too many that nobody has.
    UnknownMax,
    /// `[recipients] deny` names the recipient.
    RecipientDenied,
    /// `[recipients] allow` does not name the recipient.
    RecipientNotAllowed,
    /// The recipient is a group.
    RecipientGroup,
    /// The recipient is both a user and an alias.
    RecipientAmbiguous,
    /// Nobody has this name.
    RecipientUnknown,
    /// Whether the recipient exists cannot be told: the directory could not be read.
    RecipientUnclear,
    /// Relaying is denied.
    Relay,
    /// Whether relaying is allowed cannot be told: DNS failed.
    RelayUnclear,
    /// No smarthost takes outside mail of this sender.
    NoSmarthost,
    /// The mailbox is full.
    MailboxFull,
    /// The message is larger than the mailbox may be.
    MailboxTooSmall,
    /// The content has a bare CR or LF.
    BareLineEnds,
    /// The content has a NUL.
    Nul,
    /// The message has passed too many hops.
    Loop,
    /// The spool's disk is full at the content.
    SpoolFull,
    /// The spool cannot take the content.
    SpoolFailure,
}

impl Rule {
    /// Its word in the log.
    pub fn log_reason(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::ConnectionDenied | Self::ConnectionNotAllowed | Self::ConnectionUnclear => {
                "connections"
            }
            Self::Blacklist => "blacklist",
            Self::DnsList => "dnsbl",
            Self::StartTlsDisabled | Self::AuthDisabled | Self::PlaintextAuth => "settings",
            Self::Mechanism => "mechanism",
            Self::StartTlsFirst => "starttls",
            Self::LoginRequired | Self::SenderNotOwner | Self::SenderOwnerUnclear => "login",
            Self::MessageSize => "size",
            Self::HostName | Self::HostNameUnclear => "host_name",
            Self::SenderDenied | Self::SenderNotAllowed => "sender",
            Self::SenderDomain | Self::SenderDomainUnclear => "sender_domain",
            Self::FreeSpace | Self::FreeSpaceUnclear => "space",
            Self::RecipientLimit | Self::MailMemory => "limit",
            Self::UnknownMax => "unknown_max",
            Self::RecipientDenied
            | Self::RecipientNotAllowed
            | Self::RecipientGroup
            | Self::RecipientAmbiguous => "recipient",
            Self::RecipientUnknown => "unknown",
            Self::RecipientUnclear => "directory",
            Self::Relay | Self::RelayUnclear | Self::NoSmarthost => "relay",
            Self::MailboxFull | Self::MailboxTooSmall => "quota",
            Self::BareLineEnds => "bare_line_ends",
            Self::Nul => "nul",
            Self::Loop => "loop",
            Self::SpoolFull | Self::SpoolFailure => "spool",
        }
    }
}
