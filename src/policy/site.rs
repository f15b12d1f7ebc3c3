//! Which site serves a session (DOMINO.md section 1.8).
//!
//! The session's local address chooses: a site that lists it, else the one that lists none, else
//! none. A site whose two methods for a kind of port are both off does not serve that kind, unless a
//! tcp port's sessions can be helped by STARTTLS (S-76).

use std::net::IpAddr;

use super::verdict::Cause;
use crate::config::rules::Site;
use crate::config::settings::{PortKind, Settings, StartTls};

/// Who answers for a session's authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving<'a> {
    /// The ports' own keys: sites are not loaded.
    Server,
    /// This site.
    Site(&'a Site),
    /// No site.
    Nobody,
}

/// Who answers for a session that came in on `local`.
pub fn serving(settings: &Settings, local: IpAddr) -> Serving<'_> {
    if !settings.load_internet_sites {
        return Serving::Server;
    }
    let local = local.to_canonical();
    let listed = settings.sites.iter().find(|s| s.addresses.contains(&local));
    let site = listed.or_else(|| settings.sites.iter().find(|s| s.addresses.is_empty()));
    site.map_or(Serving::Nobody, Serving::Site)
}

/// Who answers for the sessions of a listener: more than one where it listens on every address.
pub fn all_serving(settings: &Settings, listener: IpAddr) -> Vec<Serving<'_>> {
    if !settings.load_internet_sites || !listener.is_unspecified() {
        return vec![serving(settings, listener)];
    }
    let family = |address: &IpAddr| address.is_ipv4() == listener.is_ipv4();
    let reached = |site: &&Site| site.addresses.is_empty() || site.addresses.iter().any(family);
    let reached = settings.sites.iter().filter(reached);
    let sites: Vec<_> = reached.map(Serving::Site).collect();
    match sites.is_empty() {
        true => vec![Serving::Nobody],
        false => sites,
    }
}

impl Serving<'_> {
    /// Why a session on a port of this kind is not enabled; none where it is.
    pub fn not_enabled(&self, settings: &Settings, kind: PortKind) -> Option<Cause> {
        let site = match self {
            Self::Server => return None,
            Self::Nobody => {
                let why = "no site serves this local address";
                return Some(Cause::new("server", "load_internet_sites", why));
            }
            Self::Site(site) => site,
        };
        let (own, key) = match kind {
            PortKind::Tcp => (
                site.tcp_name_and_password || site.tcp_anonymous,
                "tcp_anonymous",
            ),
            PortKind::Tls => (
                site.tls_name_and_password || site.tls_anonymous,
                "tls_anonymous",
            ),
        };
        if own || only_starttls_helps(settings, site, kind) {
            return None;
        }
        let why = "the site allows neither logins nor anonymous mail here";
        Some(Cause::new(site.section(), key, why))
    }
}

/// Whether sessions of a tcp port have to use STARTTLS because nothing is allowed before it.
pub fn only_starttls_helps(settings: &Settings, site: &Site, kind: PortKind) -> bool {
    kind == PortKind::Tcp
        && !site.tcp_name_and_password
        && !site.tcp_anonymous
        && settings.extensions.starttls != StartTls::Disabled
        && site.tls_name_and_password
}
