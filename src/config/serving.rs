//! Which site serves a session, and which methods it then has (DOMINO.md section 1.8).
//!
//! The session's local address chooses: a site that lists it, else the one that lists none, else none.

use std::net::IpAddr;

use super::rules::Site;
use super::settings::{Port, PortKind, Settings, StartTls};

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

/// The methods as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    /// Name-and-password before any STARTTLS.
    pub auth: bool,
    /// Name-and-password after STARTTLS (DOMINO.md S-50); on a tls port the same as `auth`.
    pub auth_after_starttls: bool,
    /// Mail without a login.
    pub anonymous: bool,
}

impl Settings {
    /// Who answers for a session that came in on `local`.
    pub fn serving(&self, local: IpAddr) -> Serving<'_> {
        if !self.load_internet_sites {
            return Serving::Server;
        }
        let local = local.to_canonical();
        let listed = self.sites.iter().find(|s| s.addresses.contains(&local));
        let site = listed.or_else(|| self.sites.iter().find(|s| s.addresses.is_empty()));
        site.map_or(Serving::Nobody, Serving::Site)
    }

    /// Whether a port or STARTTLS needs a certificate.
    pub fn wants_tls(&self) -> bool {
        let mut enabled = self.ports.iter().filter(|port| port.enabled);
        self.extensions.starttls != StartTls::Disabled
            || enabled.any(|port| port.kind == PortKind::Tls)
    }

    /// Who answers for the sessions of a listener: more than one where it listens on every address.
    pub fn all_serving(&self, listener: IpAddr) -> Vec<Serving<'_>> {
        if !self.load_internet_sites || !listener.is_unspecified() {
            return vec![self.serving(listener)];
        }
        let family = |address: &IpAddr| address.is_ipv4() == listener.is_ipv4();
        let reached = |site: &&Site| site.addresses.is_empty() || site.addresses.iter().any(family);
        let reached = self.sites.iter().filter(reached);
        let sites: Vec<_> = reached.map(Serving::Site).collect();
        match sites.is_empty() {
            true => vec![Serving::Nobody],
            false => sites,
        }
    }

    /// Everybody who answers for sessions of a port, each once.
    pub fn serving_of_port(&self, port: &Port) -> Vec<Serving<'_>> {
        let mut all = Vec::new();
        for address in &port.addresses {
            for serving in self.all_serving(*address) {
                if !all.contains(&serving) {
                    all.push(serving);
                }
            }
        }
        all
    }

    /// The methods of a port under who serves it.
    pub fn methods(&self, port: &Port, serving: Serving<'_>) -> Methods {
        let (auth, auth_after_starttls, anonymous) = match (serving, port.kind) {
            (Serving::Server, PortKind::Tcp) => (
                port.name_and_password,
                self.tls_name_and_password(),
                port.anonymous,
            ),
            (Serving::Server, PortKind::Tls) => (
                port.name_and_password,
                port.name_and_password,
                port.anonymous,
            ),
            (Serving::Site(site), PortKind::Tcp) => (
                site.tcp_name_and_password,
                site.tls_name_and_password,
                site.tcp_anonymous,
            ),
            (Serving::Site(site), PortKind::Tls) => (
                site.tls_name_and_password,
                site.tls_name_and_password,
                site.tls_anonymous,
            ),
            (Serving::Nobody, _) => (false, false, false),
        };
        Methods {
            auth,
            auth_after_starttls,
            anonymous,
        }
    }

    /// Whether sessions of a port have to use STARTTLS because its site allows nothing before it
    /// (DOMINO.md S-76).
    pub fn only_starttls_helps(&self, port: &Port, serving: Serving<'_>) -> bool {
        let methods = self.methods(port, serving);
        matches!(serving, Serving::Site(_))
            && port.kind == PortKind::Tcp
            && !methods.auth
            && !methods.anonymous
            && self.extensions.starttls != StartTls::Disabled
            && methods.auth_after_starttls
    }

    /// Whether the sessions of a port are served at all (DOMINO.md S-74, S-76).
    pub fn is_enabled(&self, port: &Port, serving: Serving<'_>) -> bool {
        let methods = self.methods(port, serving);
        serving == Serving::Server
            || methods.auth
            || methods.anonymous
            || self.only_starttls_helps(port, serving)
    }
}
