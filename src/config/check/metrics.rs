//! Rules over `[metrics]`: addresses that meet others, and who can read what is told there.

use std::net::SocketAddr;

use super::ports::covers;
use super::{Found, section};

const LISTEN: (&str, &str) = ("metrics", "listen");

impl Found<'_> {
    /// As V-05 for ports.
    pub(super) fn the_metrics_have_their_addresses(&mut self) {
        let settings = self.settings;
        let listen = &settings.metrics.listen;
        for (at, one) in listen.iter().enumerate() {
            let mut others = listen.iter().skip(at + 1);
            if let Some(other) = others.find(|other| meet(one, other)) {
                let reason = format!("{one} and {other} cannot both be listened on");
                self.at(LISTEN, &[], None, reason);
            }
            for port in settings.ports.iter().filter(|port| port.enabled) {
                if !port.socket_addresses().any(|address| meet(one, &address)) {
                    continue;
                }
                let section = section(port);
                let reason = format!("[{section}] already listens on {one}");
                let depends_on = [
                    (section.as_str(), "number"),
                    (&section, "addresses"),
                    (&section, "status"),
                ];
                self.at(LISTEN, &depends_on, None, reason);
            }
        }
    }

    /// W-13.
    pub(super) fn the_metrics_stay_on_this_machine(&mut self) {
        let listen = self.settings.metrics.listen.iter();
        let away = listen.filter(|address| !address.ip().to_canonical().is_loopback());
        let away: Vec<String> = away.map(SocketAddr::to_string).collect();
        if !away.is_empty() {
            let reason = format!(
                "whoever reaches {} reads how much mail there is, without a login",
                away.join(", ")
            );
            self.at(LISTEN, &[], Some("W-13"), reason);
        }
    }
}

fn meet(one: &SocketAddr, other: &SocketAddr) -> bool {
    one.port() == other.port() && covers(one.ip(), other.ip())
}
