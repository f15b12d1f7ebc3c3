//! Whether a site serves a session, and why not (DOMINO.md section 1.8).
//!
//! A site whose two methods for a kind of port are both off does not serve that kind, unless a tcp
//! port's sessions can be helped by STARTTLS (S-76).

use super::rule::Rule;
use super::verdict::Refusal;
use crate::config::serving::Serving;
use crate::config::settings::{Port, PortKind, Settings};

/// Why a session on this port is not enabled; none where it is.
pub fn not_enabled(settings: &Settings, port: &Port, serving: Serving<'_>) -> Option<Refusal> {
    if settings.is_enabled(port, serving) {
        return None;
    }
    let Serving::Site(site) = serving else {
        let why = "no site serves this local address";
        return Some(Refusal::new(
            Rule::Site,
            "server",
            "load_internet_sites",
            why,
        ));
    };
    let key = match port.kind {
        PortKind::Tcp => "tcp_anonymous",
        PortKind::Tls => "tls_anonymous",
    };
    let why = "the site allows neither logins nor anonymous mail here";
    Some(Refusal::new(Rule::Site, site.section(), key, why))
}
