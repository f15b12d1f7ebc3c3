//! Rules over proxies: who can claim to be any client.

use super::super::settings::Network;
use super::{Found, section};

impl Found<'_> {
    /// W-20, one line for each enabled port.
    pub(super) fn proxies_are_not_internal(&mut self) {
        let settings = self.settings;
        let internal = &settings.relay.internal;
        for port in settings.ports.iter().filter(|port| port.enabled) {
            let is_internal = |proxy: &&Network| internal.iter().any(|one| meet(one, proxy));
            let Some(proxy) = port.proxy_from.iter().find(is_internal) else {
                continue;
            };
            let section = section(port);
            let reason = format!(
                "[relay] internal holds the proxy {proxy}: a client that it tells with its own address relays to \
                 everybody; take it out of internal"
            );
            let depends_on = [(section.as_str(), "status"), ("relay", "internal")];
            self.at((&section, "proxy_from"), &depends_on, Some("W-20"), reason);
        }
    }

    /// W-14, one line for each enabled port.
    pub(super) fn few_are_proxies(&mut self) {
        let mut found = Vec::new();
        for port in self.settings.ports.iter().filter(|port| port.enabled) {
            if let Some(network) = port.proxy_from.iter().find(|network| is_wide(network)) {
                found.push((section(port), *network));
            }
        }
        for (section, network) in found {
            let reason = format!(
                "everybody in {network} can claim to be any client, one that may relay among \
                 them; name the proxies alone"
            );
            let depends_on = [(section.as_str(), "status")];
            self.at((&section, "proxy_from"), &depends_on, Some("W-14"), reason);
        }
    }
}

/// Whether two networks have an address in common.
fn meet(one: &Network, other: &Network) -> bool {
    one.contains(other.address) || other.contains(one.address)
}

/// Whether a network is wider than any private one: 10.0.0.0/8, fc00::/7.
fn is_wide(network: &Network) -> bool {
    let widest = match network.address.to_canonical().is_ipv4() {
        true => 8,
        false => 7,
    };
    network.prefix < widest
}
