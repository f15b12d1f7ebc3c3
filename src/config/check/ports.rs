//! Rules over ports: who is admitted, and what meets.

use std::net::IpAddr;

use super::super::serving::Serving;
use super::super::settings::{Port, PortKind, StartTls};
use super::{Found, section};

impl Found<'_> {
    /// V-02, V-03.
    pub(super) fn somebody_is_admitted(&mut self, port: &Port) {
        // A site that admits nobody is a state of its own (DOMINO.md S-77, S-78).
        let in_site_mode = self.settings.load_internet_sites;
        if in_site_mode || port.name_and_password || port.anonymous {
            return;
        }
        let section = section(port);
        let code = match port.kind {
            PortKind::Tcp => "V-02",
            PortKind::Tls => "V-03",
        };
        let reason = format!(
            "an enabled port needs name_and_password or anonymous, else nobody can use it ({code})"
        );
        let depends_on = [
            (section.as_str(), "name_and_password"),
            (&section, "status"),
        ];
        self.at((&section, "anonymous"), &depends_on, None, reason);
    }

    /// W-01.
    pub(super) fn auth_stays_after_starttls(&mut self, port: &Port) {
        let settings = self.settings;
        if port.kind != PortKind::Tcp || settings.extensions.starttls == StartTls::Disabled {
            return;
        }
        for serving in settings.serving_of_port(port) {
            let methods = settings.methods(port, serving);
            if !methods.auth || methods.auth_after_starttls {
                continue;
            }
            let (before, after) = auth_keys(port, serving);
            let section = section(port);
            let reason = match settings.extensions.starttls {
                StartTls::Required => format!(
                    "nobody can log in on [{section}]: its name_and_password does not count while \
                     starttls = required, this key decides"
                ),
                StartTls::Enabled | StartTls::Disabled => format!(
                    "clients of [{section}] can log in before STARTTLS but not after it: \
                     this key decides there"
                ),
            };
            let depends_on = [
                (before.0.as_str(), before.1),
                (&section, "status"),
                ("extensions", "starttls"),
            ];
            self.at((&after.0, after.1), &depends_on, Some("W-01"), reason);
        }
    }

    /// W-04.
    pub(super) fn passwords_are_not_in_clear(&mut self, port: &Port) {
        let settings = self.settings;
        let clear = port.kind == PortKind::Tcp
            && settings.extensions.starttls != StartTls::Required
            && !settings.auth.plaintext_from.is_empty();
        if !clear {
            return;
        }
        for serving in settings.serving_of_port(port) {
            if !settings.methods(port, serving).auth {
                continue;
            }
            let (before, _) = auth_keys(port, serving);
            let section = section(port);
            let depends_on = [
                (section.as_str(), "status"),
                ("extensions", "starttls"),
                ("auth", "plaintext_from"),
            ];
            let reason = match serving {
                Serving::Site(_) => format!(
                    "passwords cross the network in clear text on [{section}]; see [auth] \
                     plaintext_from"
                ),
                Serving::Server | Serving::Nobody => {
                    "passwords cross the network in clear text; see [auth] plaintext_from".into()
                }
            };
            self.at((&before.0, before.1), &depends_on, Some("W-04"), reason);
        }
    }

    /// V-05, named at the later number.
    pub(super) fn listeners_do_not_meet(&mut self) {
        let enabled: Vec<&Port> = self.settings.ports.iter().filter(|p| p.enabled).collect();
        for (at, one) in enabled.iter().enumerate() {
            for other in enabled.iter().skip(at) {
                if let Some(address) = shared_address(one, other) {
                    self.meeting(one, other, address);
                }
            }
        }
    }

    pub(super) fn meeting(&mut self, one: &Port, other: &Port, address: IpAddr) {
        let (one, number) = (section(one), other.number);
        let other = section(other);
        let line = |section: &str| self.draft.line(section, "number");
        let (earlier, later) = match line(&one) > line(&other) {
            true => (&other, &one),
            false => (&one, &other),
        };
        let reason = match earlier == later {
            true => format!("this port listens twice on {address} port {number} (V-05)"),
            false => format!("[{earlier}] already listens on {address} port {number} (V-05)"),
        };
        let depends_on = [
            (later.as_str(), "addresses"),
            (later, "status"),
            (earlier, "number"),
            (earlier, "addresses"),
            (earlier, "status"),
        ];
        self.at((later, "number"), &depends_on, None, reason);
    }

    /// W-03, one line for each port that could let other servers in.
    pub(super) fn other_servers_can_send(&mut self) {
        let facing = |port: &&Port| {
            port.enabled && port.addresses.iter().any(|address| !address.is_loopback())
        };
        let facing: Vec<&Port> = self.settings.ports.iter().filter(facing).collect();
        let settings = self.settings;
        let admits = |port: &Port, serving| settings.methods(port, serving).anonymous;
        let open = |port: &&Port| {
            let mut serving = settings.serving_of_port(port).into_iter();
            serving.any(|serving| admits(port, serving))
        };
        if facing.iter().any(open) {
            return;
        }
        for port in facing {
            let section = section(port);
            for serving in settings.serving_of_port(port) {
                // One that admits nobody at all is an error or a warning already.
                let methods = settings.methods(port, serving);
                if !methods.auth && !settings.only_starttls_helps(port, serving) {
                    continue;
                }
                let (own, key) = anonymous_key(port, serving);
                let depends_on = [(section.as_str(), "addresses"), (&section, "status")];
                let reason = match serving {
                    Serving::Site(_) => format!(
                        "no port takes mail without a login, [{section}] neither, so other \
                         servers can send none"
                    ),
                    Serving::Server | Serving::Nobody => {
                        "no port takes mail without a login, so other servers can send none".into()
                    }
                };
                self.at((&own, key), &depends_on, Some("W-03"), reason);
            }
        }
    }

    /// W-05.
    pub(super) fn a_port_is_enabled(&mut self) {
        if self.settings.ports.iter().any(|port| port.enabled) {
            return;
        }
        let reason = "no SMTP port is enabled";
        self.at(
            ("port:tcp", "status"),
            &[("port:tls", "status")],
            Some("W-05"),
            reason,
        );
    }
}

/// The keys that decide about AUTH on a tcp port, before STARTTLS and after it.
fn auth_keys(
    port: &Port,
    serving: Serving<'_>,
) -> ((String, &'static str), (String, &'static str)) {
    match serving {
        Serving::Site(site) => (
            (site.section(), "tcp_name_and_password"),
            (site.section(), "tls_name_and_password"),
        ),
        Serving::Server | Serving::Nobody => (
            (section(port), "name_and_password"),
            ("port:tls".to_owned(), "name_and_password"),
        ),
    }
}

/// The key that decides about mail without a login.
fn anonymous_key(port: &Port, serving: Serving<'_>) -> (String, &'static str) {
    match (serving, port.kind) {
        (Serving::Site(site), PortKind::Tcp) => (site.section(), "tcp_anonymous"),
        (Serving::Site(site), PortKind::Tls) => (site.section(), "tls_anonymous"),
        (Serving::Server | Serving::Nobody, _) => (section(port), "anonymous"),
    }
}

/// The first address on which both ports would listen; of one port, one that covers another.
fn shared_address(one: &Port, other: &Port) -> Option<IpAddr> {
    if one.number != other.number {
        return None;
    }
    let same_port = one.name == other.name;
    for (at, a) in one.addresses.iter().enumerate() {
        for (other_at, b) in other.addresses.iter().enumerate() {
            let pair = !same_port || other_at > at;
            if pair && covers(*a, *b) {
                return Some(if a.is_unspecified() { *b } else { *a });
            }
        }
    }
    None
}

/// Whether two sockets on these addresses meet. `::` is every IPv6 address and no IPv4 one.
pub(super) fn covers(a: IpAddr, b: IpAddr) -> bool {
    a == b || a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())
}
