//! What verdicts need to know of DNS: asked as a [`Question`], answered as a [`Finding`].
//!
//! A policy function never looks anything up. It says which question is open; its caller finds out
//! and asks the function again.

use std::net::IpAddr;

use crate::config::lists::HostPattern;
use crate::config::settings::Network;
use crate::mail::Domain;

/// A question to DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The names of this address that look up to it again (RFC 8601 section 3: forward-confirmed).
    /// Answered by [`Finding::HostNames`].
    HostNames(IpAddr),
    /// Whether a DNS list has this address (RFC 5782). Answered by [`Finding::Listed`].
    Listed {
        /// The list's zone.
        zone: Domain,
        /// The address.
        address: IpAddr,
    },
    /// Whether mail for this domain could be delivered: an MX, or an address (RFC 5321 section
    /// 5.1). Answered by [`Finding::MailDomain`].
    MailDomain(Domain),
}

/// What a [`Question`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The confirmed names; empty: there is none.
    HostNames(Vec<Domain>),
    /// Whether the address is listed.
    Listed(bool),
    /// Whether the domain takes mail. A null MX (RFC 7505) does not.
    MailDomain(bool),
    /// DNS failed or did not answer in time.
    Failed,
}

/// What is known of a client's host names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostNames {
    /// Nobody has asked yet.
    #[default]
    Unasked,
    /// These are confirmed; there may be none.
    Known(Vec<Domain>),
    /// DNS failed.
    Failed,
}

impl HostNames {
    /// From what DNS said.
    pub fn found(finding: Finding) -> Self {
        match finding {
            Finding::HostNames(names) => Self::Known(names),
            Finding::Listed(_) | Finding::MailDomain(_) | Finding::Failed => Self::Failed,
        }
    }
}

/// A connecting host, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its address; an IPv4-mapped one is canonical.
    pub address: IpAddr,
    /// Its names.
    pub names: HostNames,
    /// Whether a proxy did not tell who the client is: the address is the proxy's own.
    pub is_unknown: bool,
}

/// How a host stands to a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match<'a> {
    /// This entry names it.
    Yes(&'a HostPattern),
    /// No entry names it.
    No,
    /// An entry might, but DNS failed.
    Failed,
    /// Its names have to be known first.
    Asks(Question),
}

impl Host {
    /// Whether one of these networks favours the host: lets it in, or exempts it from something. A client that
    /// nobody knows is favoured by none.
    pub fn is_favoured_by(&self, networks: &[Network]) -> bool {
        !self.is_unknown && networks.iter().any(|one| one.contains(self.address))
    }

    /// As [`Host::find_in`], for a list that favours.
    pub fn find_favour_in<'a>(&self, list: &'a [HostPattern]) -> Match<'a> {
        match self.is_unknown {
            true => Match::No,
            false => self.find_in(list),
        }
    }

    /// Looks for the host in a list. Names are asked for only where no network decides.
    pub fn find_in<'a>(&self, list: &'a [HostPattern]) -> Match<'a> {
        let names: &[Domain] = match &self.names {
            HostNames::Known(names) => names,
            HostNames::Unasked | HostNames::Failed => &[],
        };
        if let Some(entry) = list.iter().find(|entry| entry.matches(self.address, names)) {
            return Match::Yes(entry);
        }
        let has_names = list.iter().any(|e| matches!(e, HostPattern::Name(_)));
        match &self.names {
            HostNames::Unasked if has_names => Match::Asks(Question::HostNames(self.address)),
            HostNames::Failed if has_names => Match::Failed,
            HostNames::Unasked | HostNames::Known(_) | HostNames::Failed => Match::No,
        }
    }
}
