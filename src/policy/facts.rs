//! What verdicts need to know of DNS: asked as a [`Question`], answered as a [`Finding`].
//!
//! A policy function never looks anything up. It says which question is open; its caller finds out
//! and asks the function again.

use std::net::IpAddr;

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
