//! Rules over sites: each address has one, each allows something, each has its certificate.

use super::super::rules::Site;
use super::{Found, Probe};

impl Found<'_> {
    /// Two sites for one address, and two for every other address (CONFIG: sites). That holds also
    /// while sites are not loaded: one key is not to make a broken file of a good one.
    pub(super) fn sites_do_not_meet(&mut self) {
        let sites = &self.settings.sites;
        let mut found = Vec::new();
        for (at, site) in sites.iter().enumerate() {
            for earlier in sites.iter().take(at) {
                if let Some(reason) = meeting(earlier, site) {
                    found.push((earlier.section(), site.section(), reason));
                    break;
                }
            }
        }
        for (earlier, later, reason) in found {
            let depends_on = [(earlier.as_str(), "addresses")];
            self.at((&later, "addresses"), &depends_on, None, reason);
        }
    }

    /// W-06.
    pub(super) fn sites_serve_somebody(&mut self) {
        if !self.settings.load_internet_sites {
            return;
        }
        if self.settings.sites.is_empty() {
            let reason = "there is no [site:NAME], so every client hears that this site is not \
                          enabled";
            return self.at(("server", "load_internet_sites"), &[], Some("W-06"), reason);
        }
        for site in self
            .settings
            .sites
            .iter()
            .filter(|site| allows_nothing(site))
        {
            let reason = "it allows neither logins nor anonymous mail, so its clients hear that \
                          this site is not enabled";
            self.at_section(&site.section(), &METHODS, "W-06", reason);
        }
    }

    /// V-06 and W-09 of the sites' own certificates.
    pub(super) fn site_certificates_are_usable(&mut self, probe: &dyn Probe) {
        if !self.settings.load_internet_sites {
            return;
        }
        let settings = self.settings;
        for site in &settings.sites {
            let section = site.section();
            let both = [(section.as_str(), "certificate"), (&section, "private_key")];
            if !self.draft.is_intact(&both) {
                continue;
            }
            match (&site.certificate, &site.private_key) {
                (None, None) => {}
                (Some(_), None) => {
                    let reason = "certificate needs this key beside it (V-06)";
                    self.at((&section, "private_key"), &both, None, reason);
                }
                (None, Some(_)) => {
                    let reason = "private_key needs this key beside it (V-06)";
                    self.at((&section, "certificate"), &both, None, reason);
                }
                (Some(certificate), Some(key)) => {
                    self.the_pair_is_usable(&section, (certificate, key), probe);
                }
            }
        }
    }
}

fn meeting(earlier: &Site, site: &Site) -> Option<String> {
    let section = earlier.section();
    if earlier.addresses.is_empty() && site.addresses.is_empty() {
        return Some(format!("[{section}] already serves every address"));
    }
    let shared = site
        .addresses
        .iter()
        .find(|a| earlier.addresses.contains(a));
    shared.map(|address| format!("[{section}] already serves {address}"))
}

fn allows_nothing(site: &Site) -> bool {
    !site.tcp_name_and_password
        && !site.tcp_anonymous
        && !site.tls_name_and_password
        && !site.tls_anonymous
}

const METHODS: [&str; 4] = [
    "tcp_name_and_password",
    "tcp_anonymous",
    "tls_name_and_password",
    "tls_anonymous",
];
