//! Whether a reverse-path is taken (DOMINO.md sections 2.3.3 and 2.3.4; CONFIG: names).
//!
//! The null reverse-path is never refused by lists: notifications need it (RFC 5321 section 4.5.5).

use super::facts::{Finding, Host, HostNames, Question};
use super::mail_lists::MailLists;
use super::rule::Rule;
use super::verdict::{Cause, Refusal, Verdict};
use crate::config::settings::Settings;
use crate::mail::{Mailbox, ReversePath};

/// `verify_host_name`: whether the client has a name that is confirmed.
pub fn host_name(settings: &Settings, host: &Host) -> Verdict {
    let cause = |why| Cause::new("connections", "verify_host_name", why);
    if !settings.connections.verify_host_name {
        return Verdict::Allowed(cause("host names are not asked for"));
    }
    match &host.names {
        HostNames::Unasked => Verdict::Asks(Question::HostNames(host.address)),
        HostNames::Failed => Verdict::Deferred(Refusal {
            rule: Rule::HostNameUnclear,
            cause: cause("the host's name could not be looked up"),
        }),
        HostNames::Known(names) if names.is_empty() => Verdict::Refused(Refusal {
            rule: Rule::HostName,
            cause: cause("the host's address has no name that looks up to it"),
        }),
        HostNames::Known(_) => Verdict::Allowed(cause("the host has a confirmed name")),
    }
}

/// The allow and deny lists.
///
/// # Errors
/// It is refused by them.
pub fn lists(settings: &Settings, reverse_path: &ReversePath) -> Result<Cause, Refusal> {
    let ReversePath::Mailbox(mailbox) = reverse_path else {
        let why = "the null sender is always taken";
        return Ok(Cause::new("senders", "deny", why));
    };
    let lists = MailLists {
        section: "senders",
        allow: &settings.senders.allow,
        deny: &settings.senders.deny,
        denied: Rule::SenderDenied,
        not_allowed: Rule::SenderNotAllowed,
        noun: "sender",
        everybody: "empty: every sender",
    };
    lists.decide(mailbox)
}

/// The sender that has to belong to the login, where one has.
pub fn to_be_owned<'a>(
    settings: &Settings,
    login: Option<&str>,
    reverse_path: &'a ReversePath,
) -> Option<&'a Mailbox> {
    match reverse_path {
        ReversePath::Mailbox(mailbox) if login.is_some() && settings.senders.must_match_login => {
            Some(mailbox)
        }
        ReversePath::Mailbox(_) | ReversePath::Null => None,
    }
}

/// The verdict once it is known whether the sender belongs to the login; none: the directory cannot
/// be read.
pub fn owned(is_owned: Option<bool>) -> Verdict {
    let (section, key) = ("senders", "must_match_login");
    match is_owned {
        Some(true) => {
            let why = "the sender belongs to the login";
            Verdict::Allowed(Cause::new(section, key, why))
        }
        Some(false) => {
            let why = "the sender does not belong to the login";
            Verdict::Refused(Refusal::new(Rule::SenderNotOwner, section, key, why))
        }
        None => {
            let why = "the directory could not be read";
            Verdict::Deferred(Refusal::new(Rule::SenderOwnerUnclear, section, key, why))
        }
    }
}

/// `verify_domain`: whether the sender's domain takes mail. Our own domains do, and an
/// address-literal needs no DNS.
pub fn domain(
    settings: &Settings,
    reverse_path: &ReversePath,
    finding: Option<&Finding>,
) -> Verdict {
    let cause = |why| Cause::new("senders", "verify_domain", why);
    let ReversePath::Mailbox(mailbox) = reverse_path else {
        return Verdict::Allowed(cause("the null sender has no domain"));
    };
    let domain = mailbox.domain();
    if !settings.senders.verify_domain {
        return Verdict::Allowed(cause("senders' domains are not verified"));
    }
    if domain.is_literal() || settings.is_local_domain(domain) {
        return Verdict::Allowed(cause("the domain needs no look-up"));
    }
    match finding {
        None => Verdict::Asks(Question::MailDomain(domain.clone())),
        Some(Finding::MailDomain(true)) => Verdict::Allowed(cause("the domain takes mail")),
        Some(Finding::MailDomain(false)) => Verdict::Refused(Refusal {
            rule: Rule::SenderDomain,
            cause: cause("the domain takes no mail"),
        }),
        Some(_) => Verdict::Deferred(Refusal {
            rule: Rule::SenderDomainUnclear,
            cause: cause("the domain could not be looked up"),
        }),
    }
}
