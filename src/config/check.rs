//! The rules over several keys, and over the files the keys name (DOMINO.md section 1.12).
//!
//! Promises: each rule names the key the contract says and reports at its line; a rule over a key
//! that is itself at fault stays silent. Refuses to know: how certificates and users files look
//! inside; a [`Probe`] tells.
//!
//! | rule | named | error or warning |
//! | --- | --- | --- |
//! | V-02, V-03 | the port's `anonymous` | an enabled port that admits nobody |
//! | V-05 | the later `number` | two enabled listeners on one address and port |
//! | V-06 | `[tls] certificate`, or the key whose file fails | TLS without a usable certificate and key |
//! | W-01 | `[port:tls] name_and_password` | AUTH is gone after STARTTLS |
//! | W-03 | the port's `anonymous` | no mail from other servers |
//! | W-04 | the port's `name_and_password` | passwords in clear text |
//! | W-05 | `[port:tcp] status` | no port is enabled |
//! | W-09 | `[tls] certificate` | the certificate is not valid today |

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::problem::Problem;
use super::settings::{Port, PortKind, Settings, StartTls};

/// What a check must know of the world: answered by rooms above this one.
pub trait Probe {
    /// Loads a certificate and its key.
    ///
    /// # Errors
    /// Which of the two files fails, and why.
    fn certificate(
        &self,
        certificate: &Path,
        private_key: &Path,
    ) -> Result<Currency, CertificateFault>;

    /// Reads a users file.
    fn users(&self, path: &Path) -> UsersFacts;
}

/// Whether a certificate is valid today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Currency {
    /// It is.
    Valid,
    /// It is not, and why (`it expired on …`).
    NotNow(String),
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFault {
    /// Whether the fault is in the key's file alone.
    pub in_private_key: bool,
    /// Why, with the file's name.
    pub reason: String,
}

/// What stands in a users file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersFacts {
    /// There is no such file.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// The users' names in lower case, and the broken lines with why.
    Read(Vec<String>, Vec<(usize, String)>),
}

/// Applies every rule; problems go into the draft.
pub(super) fn check(draft: &mut Draft, settings: &Settings, probe: &dyn Probe) {
    let mut found = Found {
        draft,
        settings,
        problems: Vec::new(),
    };
    for port in settings.ports.iter().filter(|port| port.enabled) {
        found.somebody_is_admitted(port);
        found.auth_stays_after_starttls(port);
        found.passwords_are_not_in_clear(port);
    }
    found.listeners_do_not_meet();
    found.other_servers_can_send();
    found.a_port_is_enabled();
    found.the_certificate_is_usable(probe);
    found.the_users_are_known(probe);
    found.the_greeting_fits_its_line();
    let problems = found.problems;
    draft.problems.extend(problems);
}

struct Found<'a> {
    draft: &'a Draft,
    settings: &'a Settings,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn at(
        &mut self,
        (section, key): (&str, &str),
        depends_on: &[(&str, &str)],
        warning: Option<&'static str>,
        reason: impl Into<String>,
    ) {
        let mut all = vec![(section, key)];
        all.extend_from_slice(depends_on);
        if !self.draft.is_intact(&all) {
            return;
        }
        self.problems.push(Problem {
            file: self.draft.file.clone(),
            line: Some(self.draft.rule_line(section, key, depends_on)),
            section: Some(section.to_owned()),
            key: Some(key.to_owned()),
            reason: reason.into(),
            warning,
        });
    }

    /// V-02, V-03.
    fn somebody_is_admitted(&mut self, port: &Port) {
        if port.name_and_password || port.anonymous {
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
    fn auth_stays_after_starttls(&mut self, port: &Port) {
        let offered = self.settings.extensions.starttls != StartTls::Disabled;
        let lost = port.kind == PortKind::Tcp
            && port.name_and_password
            && offered
            && !self.settings.tls_name_and_password();
        if !lost {
            return;
        }
        let section = section(port);
        let reason = format!(
            "clients of [{section}] can log in before STARTTLS but not after it: \
             this key decides there"
        );
        let depends_on = [
            (section.as_str(), "name_and_password"),
            (&section, "status"),
            ("extensions", "starttls"),
        ];
        self.at(
            ("port:tls", "name_and_password"),
            &depends_on,
            Some("W-01"),
            reason,
        );
    }

    /// W-04.
    fn passwords_are_not_in_clear(&mut self, port: &Port) {
        let clear = port.kind == PortKind::Tcp
            && port.name_and_password
            && self.settings.extensions.starttls != StartTls::Required
            && !self.settings.auth.plaintext_from.is_empty();
        if !clear {
            return;
        }
        let section = section(port);
        let depends_on = [
            (section.as_str(), "status"),
            ("extensions", "starttls"),
            ("auth", "plaintext_from"),
        ];
        let reason = "passwords cross the network in clear text; see [auth] plaintext_from";
        self.at(
            (&section, "name_and_password"),
            &depends_on,
            Some("W-04"),
            reason,
        );
    }

    /// V-05, named at the later number.
    fn listeners_do_not_meet(&mut self) {
        let enabled: Vec<&Port> = self.settings.ports.iter().filter(|p| p.enabled).collect();
        for (at, one) in enabled.iter().enumerate() {
            for other in enabled.iter().skip(at) {
                if let Some(address) = shared_address(one, other) {
                    self.meeting(one, other, address);
                }
            }
        }
    }

    fn meeting(&mut self, one: &Port, other: &Port, address: IpAddr) {
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
    fn other_servers_can_send(&mut self) {
        let facing = |port: &&Port| {
            port.enabled && port.addresses.iter().any(|address| !address.is_loopback())
        };
        let facing: Vec<&Port> = self.settings.ports.iter().filter(facing).collect();
        if facing.iter().any(|port| port.anonymous) {
            return;
        }
        // A port that admits nobody at all is an error already.
        for port in facing.into_iter().filter(|port| port.name_and_password) {
            let section = section(port);
            let depends_on = [(section.as_str(), "addresses"), (&section, "status")];
            let reason = "no port takes mail without a login, so other servers can send none";
            self.at((&section, "anonymous"), &depends_on, Some("W-03"), reason);
        }
    }

    /// W-05.
    fn a_port_is_enabled(&mut self) {
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

    /// V-06 and W-09.
    fn the_certificate_is_usable(&mut self, probe: &dyn Probe) {
        let tls_port = |port: &&Port| port.enabled && port.kind == PortKind::Tls;
        let ports: Vec<String> = self
            .settings
            .ports
            .iter()
            .filter(tls_port)
            .map(section)
            .collect();
        let mut depends_on: Vec<(&str, &str)> = ports
            .iter()
            .map(|section| (section.as_str(), "status"))
            .collect();
        if self.settings.extensions.starttls != StartTls::Disabled {
            depends_on.push(("extensions", "starttls"));
        }
        let Some((section, key)) = depends_on.first().copied() else {
            return;
        };
        let (certificate, private_key) = (("tls", "certificate"), ("tls", "private_key"));
        let tls = &self.settings.tls;
        let missing = match (&tls.certificate, &tls.private_key) {
            (Some(_), Some(_)) => return self.the_files_are_usable(probe),
            (None, _) => certificate,
            (Some(_), None) => private_key,
        };
        let reason = format!("[{section}] {key} needs a certificate and its private key (V-06)");
        if self.draft.is_intact(&[certificate, private_key]) {
            self.at(missing, &depends_on, None, reason);
        }
    }

    fn the_files_are_usable(&mut self, probe: &dyn Probe) {
        let tls = &self.settings.tls;
        let (Some(certificate), Some(private_key)) = (&tls.certificate, &tls.private_key) else {
            return;
        };
        match probe.certificate(certificate, private_key) {
            Ok(Currency::Valid) => {}
            Ok(Currency::NotNow(why)) => {
                self.at(("tls", "certificate"), &[], Some("W-09"), why);
            }
            Err(fault) => {
                let key = match fault.in_private_key {
                    true => "private_key",
                    false => "certificate",
                };
                self.at(("tls", key), &[], None, format!("{} (V-06)", fault.reason));
            }
        }
    }

    /// The users file is there when it is needed, and is good; the catch-all is one of its users.
    fn the_users_are_known(&mut self, probe: &dyn Probe) {
        let path = self.settings.auth.users.clone();
        if !self.draft.is_intact(&[("auth", "users")]) {
            return;
        }
        let reason = match probe.users(&path) {
            UsersFacts::Read(names, faults) => {
                self.catch_all_is_one_of(&names, &path);
                return self.faulty_users(&path, faults);
            }
            UsersFacts::Unreadable(reason) => reason,
            UsersFacts::Missing => match self.why_users_are_needed() {
                Some(why) => format!("there is no such file, and {why}"),
                None => return,
            },
        };
        let reason = format!("{}: {reason}", path.display());
        self.at(("auth", "users"), &self.users_depend_on(), None, reason);
    }

    fn users_depend_on(&self) -> [(&'static str, &'static str); 5] {
        [
            ("recipients", "verify"),
            ("port:tcp", "name_and_password"),
            ("port:tls", "name_and_password"),
            ("port:tls", "status"),
            ("extensions", "starttls"),
        ]
    }

    fn why_users_are_needed(&self) -> Option<&'static str> {
        if self.settings.recipients.verify {
            return Some("[recipients] verify needs one");
        }
        let starttls = self.settings.extensions.starttls;
        let plain = starttls != StartTls::Required && !self.settings.auth.plaintext_from.is_empty();
        let after = starttls != StartTls::Disabled && self.settings.tls_name_and_password();
        let can_log_in = |port: &Port| match port.kind {
            PortKind::Tcp => port.name_and_password && plain || after,
            PortKind::Tls => port.name_and_password,
        };
        let mut enabled = self.settings.ports.iter().filter(|port| port.enabled);
        enabled
            .any(can_log_in)
            .then_some("name_and_password needs one")
    }

    fn catch_all_is_one_of(&mut self, names: &[String], users: &Path) {
        let Some(catch_all) = &self.settings.recipients.catch_all else {
            return;
        };
        if catch_all == POSTMASTER || names.contains(catch_all) {
            return;
        }
        let reason = format!("{catch_all:?} is not a user of {}", users.display());
        self.at(("recipients", "catch_all"), &[], None, reason);
    }

    fn faulty_users(&mut self, users: &Path, faults: Vec<(usize, String)>) {
        self.problems
            .extend(faults.into_iter().map(|(line, reason)| Problem {
                file: PathBuf::from(users),
                line: Some(line),
                section: None,
                key: None,
                reason,
                warning: None,
            }));
    }

    fn the_greeting_fits_its_line(&mut self) {
        let hostname = self.settings.hostname.as_str();
        let text = self.settings.greeting.replace("{hostname}", hostname);
        let text = text.replace("{date}", LONGEST_DATE);
        let octets = "220 ".len() + text.len() + "\r\n".len();
        if octets > REPLY_LINE_MAX_OCTETS {
            let reason = format!("the reply line has {octets} octets; 512 is the most");
            self.at(
                ("messages", "greeting"),
                &[("server", "hostname")],
                None,
                reason,
            );
        }
    }
}

fn section(port: &Port) -> String {
    format!("port:{}", port.name)
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
fn covers(a: IpAddr, b: IpAddr) -> bool {
    a == b || a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())
}

/// The user who exists without standing in the users file (RFC 5321 section 4.5.1).
const POSTMASTER: &str = "postmaster";
/// The most octets of a reply line, CRLF included (RFC 5321 section 4.5.3.1.5).
const REPLY_LINE_MAX_OCTETS: usize = 512;
const LONGEST_DATE: &str = "Wed, 30 Sep 2026 23:59:59 +0000";
