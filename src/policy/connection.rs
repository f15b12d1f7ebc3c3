//! Whether a host may connect (DOMINO.md sections 2.3.3 and 2.3.6; CONFIG: the order is
//! `[connections]`, whitelist, blacklist, DNS lists).
//!
//! The blacklist is for hosts under relay enforcement alone. Whom it or a DNS list names may have an account here
//! all the same: it is the session that knows whether a login is possible.
//!
//! DNS that fails refuses nobody: a deny or black list that cannot be read then does not name the
//! host. An allow list that cannot be read puts the host off, and never lets it in.

use super::facts::{Finding, Host, Match, Question};
use super::relay::{self, Enforcement};
use super::rule::Rule;
use super::verdict::{Cause, Refusal};
use crate::config::rules::Action;
use crate::config::settings::Settings;

/// A list that names the host, where that is not a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// `tag` or `log`.
    pub action: Action,
    /// The header field a tag makes.
    pub field: &'static str,
    /// What the field says: the entry or the zone.
    pub value: String,
    /// What it would be if the action were to reject.
    pub refusal: Refusal,
}

/// What was decided of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connecting {
    /// It may go on.
    Allowed {
        /// The lists that name it all the same.
        marks: Vec<Mark>,
        /// The last setting that had a say.
        cause: Cause,
    },
    /// It is refused.
    Refused(Refusal),
    /// The blacklist or a DNS list names it: without a login it sends nothing.
    Listed(Refusal),
    /// It cannot be decided now: DNS failed.
    Deferred(Refusal),
    /// It cannot be decided before this is known.
    Asks(Question),
}

/// Decides about `host`. `zones` are the findings of the DNS lists asked so far, in their order.
pub fn decide(settings: &Settings, host: &Host, zones: &[Finding]) -> Connecting {
    match by_connections(settings, host) {
        Some(decided) => return decided,
        None => match host.find_favour_in(&settings.whitelist) {
            Match::Yes(entry) => {
                let cause = Cause::new("whitelist", "hosts", format!("{entry} names the host"));
                let marks = Vec::new();
                return Connecting::Allowed { marks, cause };
            }
            Match::Asks(question) => return Connecting::Asks(question),
            Match::No | Match::Failed => {}
        },
    }
    let mut marks = Vec::new();
    match blacklisted(settings, host) {
        Match::Yes(entry) => {
            let why = format!("{entry} names the host");
            let mark = Mark {
                action: settings.blacklist.action,
                field: "X-Blacklisted",
                value: entry.to_string(),
                refusal: Refusal::new(Rule::Blacklist, "blacklist", "hosts", why),
            };
            if mark.action == Action::Reject {
                return Connecting::Listed(mark.refusal);
            }
            marks.push(mark);
        }
        Match::Asks(question) => return Connecting::Asks(question),
        Match::No | Match::Failed => {}
    }
    by_dns_lists(settings, host, zones, marks)
}

/// The entry of the blacklist that names a host under enforcement.
fn blacklisted<'a>(settings: &'a Settings, host: &Host) -> Match<'a> {
    let found = host.find_in(&settings.blacklist.hosts);
    match (&found, relay::enforcement(settings, host)) {
        (Match::Yes(_), Enforcement::No(_)) => Match::No,
        (Match::Yes(_), Enforcement::Asks(question)) => Match::Asks(question),
        _ => found,
    }
}

fn by_connections(settings: &Settings, host: &Host) -> Option<Connecting> {
    let connections = &settings.connections;
    let (section, allow) = ("connections", "allow");
    match host.find_in(&connections.deny) {
        Match::Yes(entry) => {
            let why = format!("{entry} names the host");
            let refusal = Refusal::new(Rule::ConnectionDenied, section, "deny", why);
            return Some(Connecting::Refused(refusal));
        }
        Match::Asks(question) => return Some(Connecting::Asks(question)),
        Match::No | Match::Failed => {}
    }
    if connections.allow.is_empty() {
        return None;
    }
    match host.find_favour_in(&connections.allow) {
        Match::Yes(_) => None,
        Match::Asks(question) => Some(Connecting::Asks(question)),
        Match::No => {
            let why = "no entry names the host";
            let refusal = Refusal::new(Rule::ConnectionNotAllowed, section, allow, why);
            Some(Connecting::Refused(refusal))
        }
        Match::Failed => {
            let why = "the host's name could not be looked up";
            let refusal = Refusal::new(Rule::ConnectionUnclear, section, allow, why);
            Some(Connecting::Deferred(refusal))
        }
    }
}

/// One zone after the other; the first that has the host ends it.
fn by_dns_lists(
    settings: &Settings,
    host: &Host,
    zones: &[Finding],
    mut marks: Vec<Mark>,
) -> Connecting {
    let dnsbl = &settings.dnsbl;
    for (at, zone) in dnsbl.zones.iter().enumerate() {
        match zones.get(at) {
            None => {
                return Connecting::Asks(Question::Listed {
                    zone: zone.clone(),
                    address: host.address,
                });
            }
            Some(Finding::Listed(true)) => {
                let why = format!("{zone} lists the host");
                let refusal = Refusal::new(Rule::DnsList, "dnsbl", "zones", why);
                if dnsbl.action == Action::Reject {
                    return Connecting::Listed(refusal);
                }
                let cause = refusal.cause.clone();
                marks.push(Mark {
                    action: dnsbl.action,
                    field: "X-DNSBL-Site",
                    value: zone.to_string(),
                    refusal,
                });
                return Connecting::Allowed { marks, cause };
            }
            Some(_) => {}
        }
    }
    let cause = match marks.last() {
        Some(mark) => mark.refusal.cause.clone(),
        None => Cause::new("connections", "deny", "no list refuses the host"),
    };
    Connecting::Allowed { marks, cause }
}
