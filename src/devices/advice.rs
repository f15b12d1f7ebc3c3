//! What to set, or what to do, for each kind of trouble, under the settings of the moment.
//!
//! Pure. Promises: nothing is advised that is set already; each setting is named by section, key and value
//! as the configuration file takes it. A piece of advice has *ways*: any one of them helps, the better one comes
//! first. What a client said is in no command, line or value but as a [`Word`]. Who may log in without TLS is fenced by `[auth] plaintext_from`: a port cannot be fenced to clients.

use std::net::IpAddr;

use super::kind::Kind;
use super::table::Device;
use crate::config::serving::Serving;
use crate::config::settings::{Network, Port, PortKind, Settings, StartTls, TlsVersion};
use crate::policy::admission::{Stage, anonymous_cause, auth_cause};
use crate::policy::verdict::Cause;
use crate::proposals::Word;

mod lists;
mod logins;
mod table;
mod tls;

/// One step of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A key gets this value.
    Set(Setting),
    /// A list gets this entry.
    Add(Setting),
    /// A list loses this entry.
    Take(Setting),
    /// Something to do elsewhere.
    Do(String),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) section: String,
    pub(super) key: &'static str,
    pub(super) value: Word,
}

impl Step {
    /// As it is told to people.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Set(Setting {
                section,
                key,
                value,
            }) => format!("set [{section}] {key} = {value}"),
            Self::Add(Setting {
                section,
                key,
                value,
            }) => format!("add {value} to [{section}] {key}"),
            Self::Take(Setting {
                section,
                key,
                value,
            }) => format!("take {value} out of [{section}] {key}"),
            Self::Do(words) => words.clone(),
        }
    }
}

/// The ways out of the device's trouble of this kind.
pub(super) fn ways(
    settings: &Settings,
    device: &Device,
    kind: Kind,
    detail: &str,
) -> Vec<Vec<Step>> {
    let scene = Scene {
        settings,
        device,
        detail,
    };
    scene.ways(kind)
}

/// What a piece of advice depends on.
struct Scene<'a> {
    settings: &'a Settings,
    device: &'a Device,
    detail: &'a str,
}

fn setting(section: impl Into<String>, key: &'static str, value: impl Into<Word>) -> Setting {
    Setting {
        section: section.into(),
        key,
        value: value.into(),
    }
}

fn set(section: impl Into<String>, key: &'static str, value: impl Into<Word>) -> Step {
    Step::Set(setting(section, key, value))
}

fn add(section: impl Into<String>, key: &'static str, value: impl Into<Word>) -> Step {
    Step::Add(setting(section, key, value))
}

fn take(section: impl Into<String>, key: &'static str, value: impl Into<Word>) -> Step {
    Step::Take(setting(section, key, value))
}

fn act(words: impl Into<String>) -> Step {
    Step::Do(words.into())
}

/// What stood in the way does so no more.
fn settled() -> Vec<Vec<Step>> {
    vec![vec![act(
        "the settings have changed since: have the device try again",
    )]]
}

impl Scene<'_> {
    fn ways(&self, kind: Kind) -> Vec<Vec<Step>> {
        let mut rows = table::ADVICE.iter();
        let row = rows.find(|(kinds, _)| kinds.contains(&kind));
        row.map_or_else(Vec::new, |(_, advise)| advise(self))
    }

    /// A key of `[recipients]` that stands in the way.
    fn switch_off(&self, key: &'static str, is_on: bool) -> Vec<Vec<Step>> {
        match is_on {
            true => vec![vec![set("recipients", key, "no")]],
            false => settled(),
        }
    }

    /// The port its last session came in on.
    fn port(&self) -> Option<&Port> {
        self.settings.port(&self.device.port)
    }

    fn serving(&self) -> Serving<'_> {
        let local = self.device.local.unwrap_or(self.device.address);
        self.settings.serving(local)
    }

    /// How far TLS was in its last session.
    fn stage(&self) -> Stage {
        match (self.port().map(|port| port.kind), &self.device.tls) {
            (Some(PortKind::Tls), _) => Stage::Tls,
            (_, Some(_)) => Stage::StartTls,
            (_, None) => Stage::Plaintext,
        }
    }

    /// As a list of networks takes the device: an IPv6 address may change within its /64.
    fn fence(&self) -> Word {
        match self.device.address {
            IpAddr::V4(address) => Word::own(address),
            IpAddr::V6(address) => {
                let bits = address.to_bits() & !u128::from(u64::MAX);
                let network = std::net::Ipv6Addr::from_bits(bits);
                Word::own(format_args!("{network}/64"))
            }
        }
    }

    fn is_in(&self, networks: &[Network]) -> bool {
        let mut networks = networks.iter();
        networks.any(|network| network.contains(self.device.address))
    }

    fn local_domain(&self) -> String {
        let domains = &self.settings.local_domains;
        let domain = domains.first().unwrap_or(&self.settings.hostname);
        domain.to_string()
    }

    /// The enabled port of this kind that the device is best told of.
    fn open_port(&self, kind: PortKind) -> Option<&Port> {
        let fits = |port: &&Port| port.kind == kind && port.enabled;
        let own = self.port().filter(fits);
        own.or_else(|| self.settings.ports.iter().find(fits))
    }

    /// Whether any enabled port of this kind is there, and STARTTLS as well.
    fn offers_starttls(&self) -> bool {
        self.settings.extensions.starttls != StartTls::Disabled
    }

    /// That a port of this name is opened, where it is not.
    fn opened(&self, name: &str) -> Vec<Step> {
        match self.settings.port(name).is_some_and(|port| port.enabled) {
            true => Vec::new(),
            false => vec![set(format!("port:{name}"), "status", "enabled")],
        }
    }

    /// What TLS needs before it can be offered.
    fn with_certificate(&self) -> Vec<Step> {
        match self.settings.tls.certificate {
            Some(_) => Vec::new(),
            None => vec![act(
                "set [tls] certificate and private_key to a certificate and its key",
            )],
        }
    }

    /// The log-in by key at a stage, where it is off.
    fn auth_switched_on(&self, port: &Port, stage: Stage) -> Vec<Step> {
        let serving = self.serving();
        let methods = self.settings.methods(port, serving);
        let is_on = match stage {
            Stage::Plaintext | Stage::Tls => methods.auth,
            Stage::StartTls => methods.auth_after_starttls,
        };
        match (is_on, serving) {
            (true, _) => Vec::new(),
            (false, Serving::Nobody) => self.own_site(),
            (false, Serving::Server | Serving::Site(_)) => {
                let Cause { section, key, .. } = auth_cause(port, serving, stage);
                vec![set(section, key, "yes")]
            }
        }
    }

    /// Mail without a login, where it is off.
    fn anonymous_switched_on(&self, port: &Port) -> Vec<Step> {
        let serving = self.serving();
        match (self.settings.methods(port, serving).anonymous, serving) {
            (true, _) => Vec::new(),
            (false, Serving::Nobody) => self.own_site(),
            (false, Serving::Server | Serving::Site(_)) => {
                let Cause { section, key, .. } = anonymous_cause(port, serving, self.stage());
                vec![set(section, key, "yes")]
            }
        }
    }

    /// No site serves our address that it came to.
    fn own_site(&self) -> Vec<Step> {
        let local = self.device.local;
        let local = local.map_or_else(|| "our address".to_owned(), |local| local.to_string());
        vec![act(format!(
            "make a [site:NAME] whose addresses have {local}, or are empty"
        ))]
    }

    /// Lets the device log in without TLS, and nobody else by this.
    fn plain_way(&self) -> Vec<Step> {
        let settings = self.settings;
        let mut way = Vec::new();
        if self.open_port(PortKind::Tcp).is_none() {
            way.extend(self.opened("tcp"));
        }
        let port = self.open_port(PortKind::Tcp);
        let Some(port) = port.or_else(|| settings.port("tcp")) else {
            return way;
        };
        if settings.extensions.starttls == StartTls::Required {
            way.push(set("extensions", "starttls", "enabled"));
        }
        way.extend(self.auth_switched_on(port, Stage::Plaintext));
        way.extend(self.plaintext_allowed());
        way.push(act(format!(
            "on the device: no encryption, port {}, and its login",
            port.number
        )));
        way
    }

    /// The device may log in without TLS. Where every address may, that is fenced: at once where nobody can
    /// log in so today, else it needs to be known who does.
    fn plaintext_allowed(&self) -> Option<Step> {
        let networks = &self.settings.auth.plaintext_from;
        if !self.is_in(networks) {
            return Some(add("auth", "plaintext_from", self.fence()));
        }
        if !networks.iter().any(|network| network.prefix == 0) {
            return None;
        }
        if !self.anybody_logs_in_plain() {
            return Some(set("auth", "plaintext_from", self.fence()));
        }
        Some(act(format!(
            "fence it: set [auth] plaintext_from, which is every address now, to {} and whoever else \
             logs in without TLS",
            self.fence()
        )))
    }

    /// Whether any port serves logins before TLS.
    fn anybody_logs_in_plain(&self) -> bool {
        let settings = self.settings;
        let mut ports = settings.ports.iter().filter(|port| port.enabled);
        let required = settings.extensions.starttls == StartTls::Required;
        ports.any(|port| {
            let mut serving = settings.serving_of_port(port).into_iter();
            let plain = port.kind == PortKind::Tcp && !required;
            plain && serving.any(|serving| settings.methods(port, serving).auth)
        })
    }

    /// What the device may choose instead, as its menus call it.
    fn tls_choices(&self) -> Vec<String> {
        let mut choices = Vec::new();
        if let Some(port) = self.open_port(PortKind::Tls) {
            choices.push(format!("SSL/TLS with port {}", port.number));
        }
        if let Some(port) = self
            .open_port(PortKind::Tcp)
            .filter(|_| self.offers_starttls())
        {
            choices.push(format!("STARTTLS with port {}", port.number));
        }
        choices
    }
}

#[cfg(test)]
mod tests;
