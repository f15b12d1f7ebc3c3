//! Whether an outside recipient is taken (DOMINO.md sections 2.3.1 and 2.3.2; CONFIG: relay).
//!
//! | step | the host | is |
//! | --- | --- | --- |
//! | 1 | is not under enforcement (`enforce_for`, `internal`) | allowed |
//! | 2 | is in `exclude_hosts` | allowed |
//! | 3 | has logged in, and `authenticated_users = exempt` | allowed |
//! | 4 | is in `deny_hosts`, or the domain is in `deny_domains` by more than `*` | refused |
//! | 5 | or the domain is in an allow list | allowed |
//! | 6 | both allow lists are empty and `deny_domains` lacks `*` | allowed |
//! | 7 | anything else | refused |
//!
//! What is allowed is refused all the same where no smarthost can send it ([`can_be_sent`]). A name that could not be
//! looked up never allows anything.

use super::facts::{Host, Match, Question};
use super::rule::Rule;
use super::verdict::{Cause, Refusal, Verdict};
use crate::config::lists::RelayPattern;
use crate::config::rules::EnforceFor;
use crate::config::settings::Settings;
use crate::mail::{Domain, ReversePath};

/// Whether what is allowed can be sent: which smarthost has mail of this sender.
pub fn can_be_sent(settings: &Settings, reverse_path: &ReversePath) -> Verdict {
    let cause = |why| Cause::new("smarthost", "host", why);
    let Some(smarthost) = settings.smarthost_for(reverse_path) else {
        let cause = cause(match settings.has_smarthost() {
            true => "no smarthost is for this sender",
            false => "there is no smarthost to send outside mail to",
        });
        let rule = Rule::NoSmarthost;
        return Verdict::Refused(Refusal { rule, cause });
    };
    match smarthost.entry_for(reverse_path) {
        None => Verdict::Allowed(cause("the smarthost takes outside mail")),
        Some(entry) => {
            let why = format!("{entry} names the sender's domain");
            Verdict::Allowed(Cause::new(smarthost.section(), "sender_domains", why))
        }
    }
}

/// Whether a session from `host`, logged in or not, may send to `domain`, which is not local.
pub fn decide(settings: &Settings, host: &Host, login: Option<&str>, domain: &Domain) -> Verdict {
    let enforced = enforcement(settings, host);
    if let Enforcement::No(cause) = enforced {
        return Verdict::Allowed(cause);
    }
    if login.is_some() && settings.relay.authenticated_users_exempt {
        let why = "the session has logged in";
        return Verdict::Allowed(Cause::new("relay", "authenticated_users", why));
    }
    if let Enforcement::Asks(question) = enforced {
        return Verdict::Asks(question);
    }
    match by_lists(settings, host, domain) {
        Verdict::Refused(_) if enforced == Enforcement::Unknown => unclear("exclude_hosts"),
        verdict => verdict,
    }
}

/// Whether a host is under relay enforcement, whoever logs in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enforcement {
    /// It is.
    Yes,
    /// It is not.
    No(Cause),
    /// It cannot be told before this is known.
    Asks(Question),
    /// It cannot be told: DNS failed.
    Unknown,
}

/// Steps 1 and 2 of the table.
pub fn enforcement(settings: &Settings, host: &Host) -> Enforcement {
    let relay = &settings.relay;
    let not = |key, why: String| Enforcement::No(Cause::new("relay", key, why));
    match relay.enforce_for {
        EnforceFor::None => {
            return not("enforce_for", "the relay rules are for no host".to_owned());
        }
        EnforceFor::External if host.is_favoured_by(&relay.internal) => {
            return not("internal", "the host is internal".to_owned());
        }
        EnforceFor::External | EnforceFor::All => {}
    }
    match host.find_favour_in(&relay.exclude_hosts) {
        Match::Yes(entry) => not("exclude_hosts", format!("{entry} names the host")),
        Match::Asks(question) => Enforcement::Asks(question),
        Match::No => Enforcement::Yes,
        Match::Failed => Enforcement::Unknown,
    }
}

/// A name that could not be looked up decides nothing.
fn unclear(key: &'static str) -> Verdict {
    let why = "the host's name could not be looked up";
    Verdict::Deferred(Refusal::new(Rule::RelayUnclear, "relay", key, why))
}

fn by_lists(settings: &Settings, host: &Host, domain: &Domain) -> Verdict {
    let relay = &settings.relay;
    let cause = |key, why: String| Cause::new("relay", key, why);
    let refused = |key, why: String| {
        let rule = Rule::Relay;
        let cause = cause(key, why);
        Verdict::Refused(Refusal { rule, cause })
    };
    let denied = host.find_in(&relay.deny_hosts);
    if let Match::Yes(entry) = denied {
        return refused("deny_hosts", format!("{entry} names the host"));
    }
    let named = |entry: &&RelayPattern| **entry != RelayPattern::Any && entry.matches(domain);
    if let Some(entry) = relay.deny_domains.iter().find(named) {
        return refused("deny_domains", format!("{entry} names {domain}"));
    }
    if let Match::Asks(question) = denied {
        return Verdict::Asks(question);
    }
    if denied == Match::Failed {
        return unclear("deny_hosts");
    }
    if let Some(entry) = relay.allow_domains.iter().find(|e| e.matches(domain)) {
        return Verdict::Allowed(cause("allow_domains", format!("{entry} names {domain}")));
    }
    match host.find_favour_in(&relay.allow_hosts) {
        Match::Yes(entry) => {
            return Verdict::Allowed(cause("allow_hosts", format!("{entry} names the host")));
        }
        Match::Asks(question) => return Verdict::Asks(question),
        Match::Failed => return unclear("allow_hosts"),
        Match::No => {}
    }
    let no_allow_list = relay.allow_domains.is_empty() && relay.allow_hosts.is_empty();
    let everything_denied = relay.deny_domains.contains(&RelayPattern::Any);
    match (no_allow_list, everything_denied) {
        (true, false) => {
            let why = "no list stands in the way: the server is an open relay".to_owned();
            Verdict::Allowed(cause("deny_domains", why))
        }
        (_, true) => {
            let why = "* refuses what no list allows".to_owned();
            refused("deny_domains", why)
        }
        (false, false) => {
            let why = "neither the domain nor the host is in an allow list".to_owned();
            let key = match relay.allow_domains.is_empty() {
                true => "allow_hosts",
                false => "allow_domains",
            };
            refused(key, why)
        }
    }
}
