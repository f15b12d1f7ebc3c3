//! Advice about logins, and about sending without one.

use super::{PortKind, Scene, Stage, Step, act, add, set, settled, take};
use crate::config::lists::AccessName;
use crate::config::settings::{Mechanism, Port};
use crate::policy::admission::{Admission, admission};
use crate::proposals::{Word, line, told};

impl Scene<'_> {
    pub(super) fn admitted(&self, port: &Port, stage: Stage) -> Admission {
        let local = self.device.local.unwrap_or(self.device.address);
        admission(self.settings, port, local, stage)
    }

    pub(super) fn may_log_in_plain(&self) -> bool {
        self.is_in(&self.settings.auth.plaintext_from)
    }

    pub(super) fn auth_off(&self) -> Vec<Vec<Step>> {
        let Some(port) = self.port() else {
            return settled();
        };
        let stage = self.stage();
        if self.admitted(port, stage).auth {
            return settled();
        }
        let mut ways = Vec::new();
        let with_tls = self.tls_ways();
        match stage {
            Stage::Plaintext => {
                ways.extend(with_tls);
                ways.push(self.plain_way());
            }
            Stage::StartTls | Stage::Tls => ways.push(self.auth_switched_on(port, stage)),
        }
        if self.settings.methods(port, self.serving()).anonymous {
            ways.push(vec![act(
                "on the device: no login, which is enough for mail to users here",
            )]);
        }
        ways
    }

    /// Ways in by TLS on which a login is served.
    fn tls_ways(&self) -> Vec<Vec<Step>> {
        let mut ways = Vec::new();
        let is_served = |kind, stage| {
            let port = self.open_port(kind)?;
            self.admitted(port, stage).auth.then_some(port.number)
        };
        if let Some(number) = is_served(PortKind::Tls, Stage::Tls) {
            ways.push(vec![act(format!(
                "on the device: SSL/TLS with port {number}"
            ))]);
        }
        let starttls = is_served(PortKind::Tcp, Stage::StartTls);
        if let Some(number) = starttls.filter(|_| self.offers_starttls()) {
            ways.push(vec![act(format!(
                "on the device: STARTTLS with port {number}"
            ))]);
        }
        ways
    }

    pub(super) fn auth_needs_tls(&self) -> Vec<Vec<Step>> {
        if self.may_log_in_plain() {
            return settled();
        }
        let mut ways = self.tls_ways();
        ways.push(vec![add("auth", "plaintext_from", self.fence())]);
        ways
    }

    pub(super) fn mechanism(&self) -> Vec<Vec<Step>> {
        let offered = &self.settings.auth.mechanisms;
        let known = MECHANISMS
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(self.detail));
        if let Some((mechanism, name)) = known {
            return match offered.contains(mechanism) {
                false => vec![vec![add(
                    "auth",
                    "mechanisms",
                    Word::own(name.to_ascii_lowercase()),
                )]],
                true if *mechanism == Mechanism::ScramSha256Plus => vec![vec![act(
                    "on the device: TLS, without which it is not offered, or SCRAM-SHA-256",
                )]],
                true => settled(),
            };
        }
        let names = MECHANISMS.iter().rev();
        let names = names.filter(|(mechanism, _)| offered.contains(mechanism));
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        let why = match self.detail {
            "" => "What it names is no method that is known".to_owned(),
            name => format!(
                "{} needs passwords kept so that they can be read, which is not done here",
                told(name)
            ),
        };
        vec![vec![act(format!(
            "on the device: another method of login, one of {}; it may be called \"plain\", \"basic\" \
             or \"normal password\". {why}",
            names.join(", ")
        ))]]
    }

    pub(super) fn login_failed(&self) -> Vec<Vec<Step>> {
        let (name, domain) = match self.detail.split_once('@') {
            Some((name, domain)) => (name, Some(domain)),
            None => (self.detail, None),
        };
        let mut domains = self.settings.local_domains.iter();
        let is_local = domain
            .is_none_or(|domain| domains.any(|own| own.as_str().eq_ignore_ascii_case(domain)));
        if !is_local {
            let at_home = format!("{name}@{}", self.local_domain());
            return vec![vec![act(format!(
                "on the device: log in as {} or {}",
                told(name),
                told(&at_home)
            ))]];
        }
        let Some(word) = Word::name(name) else {
            return vec![vec![act(format!(
                "if you know {}: make this user, or name another one on the device",
                told(name)
            ))]];
        };
        vec![vec![
            act(line(
                "gatepost passwd {} sets a password, and makes the user if need be",
                &[&word],
            )),
            act(
                "on the device: the same name and password; some cut long ones or mind signs beyond letters and digits",
            ),
        ]]
    }

    pub(super) fn login_denied(&self) -> Vec<Vec<Step>> {
        let access = &self.settings.server_access;
        if !access.enforce {
            return settled();
        }
        let name = self.detail.split('@').next().unwrap_or_default();
        let is_named = |entry: &&AccessName| match entry {
            AccessName::Everyone => true,
            AccessName::Group(_) => false,
            AccessName::User { name: known, .. } => known.eq_ignore_ascii_case(name),
        };
        if let Some(entry) = access.deny.iter().find(is_named) {
            return vec![vec![take("server_access", "deny", Word::own(entry))]];
        }
        let in_group = |entry: &&AccessName| matches!(entry, AccessName::Group(_));
        match access.deny.iter().find(in_group) {
            Some(group) if access.allow.is_empty() => vec![vec![act(format!(
                "take {} out of the group {group}, which [server_access] deny names",
                told(name)
            ))]],
            Some(_) | None => vec![vec![match Word::name(name) {
                Some(name) => add("server_access", "allow", name),
                None => act(format!("[server_access] allow lacks {}", told(name))),
            }]],
        }
    }

    pub(super) fn login_throttled(&self) -> Vec<Vec<Step>> {
        let auth = &self.settings.auth;
        if !auth.throttle || self.is_in(&auth.throttle_exempt) {
            return settled();
        }
        vec![
            vec![
                act("correct the password on the device"),
                act(line(
                    "gatepost unban {} has it looked at at once",
                    &[&Word::own(self.device.address)],
                )),
            ],
            vec![add("auth", "throttle_exempt", self.fence())],
        ]
    }

    pub(super) fn login_required(&self) -> Vec<Vec<Step>> {
        let Some(port) = self.port() else {
            return settled();
        };
        let stage = self.stage();
        let admitted = self.admitted(port, stage);
        if admitted.anonymous {
            return settled();
        }
        let mut ways = Vec::new();
        if admitted.auth && (stage != Stage::Plaintext || self.may_log_in_plain()) {
            ways.push(vec![act(
                "on the device: a login, a name and password made by gatepost passwd NAME",
            )]);
        } else {
            ways.extend(self.tls_ways());
            ways.push(self.plain_way());
        }
        let mut anonymous = self.anonymous_switched_on(port);
        anonymous.push(act(
            "then whoever reaches this port may send to users here without a login",
        ));
        ways.push(anonymous);
        ways
    }

    pub(super) fn sender_not_owner(&self) -> Vec<Vec<Step>> {
        if !self.settings.senders.must_match_login {
            return settled();
        }
        let user = self.device.user.as_deref().unwrap_or("NAME");
        let mut ways = vec![vec![act(format!(
            "on the device: {} as the sender",
            told(&format!("{user}@{}", self.local_domain()))
        ))]];
        let (name, domain) = self.detail.split_once('@').unwrap_or((self.detail, ""));
        let mut domains = self.settings.local_domains.iter();
        if domains.any(|own| own.as_str().eq_ignore_ascii_case(domain)) {
            ways.push(vec![act(self.alias_of(name, user))]);
        }
        ways.push(vec![set("senders", "must_match_login", "no")]);
        ways
    }

    /// What makes a name an alias of a user alone.
    fn alias_of(&self, name: &str, user: &str) -> String {
        let (Some(alias), Some(owner)) = (Word::name(name), Word::name(user)) else {
            let (name, user) = (told(name), told(user));
            return format!("make {name} an alias of {user} alone");
        };
        let file = self.settings.aliases.as_ref();
        let file = file.map_or_else(
            || "[aliases] file".to_owned(),
            |file| file.display().to_string(),
        );
        let entry = line(
            "make {} an alias of {} alone: a line \"{}: {}\"",
            &[&alias, &owner, &alias, &owner],
        );
        format!("{entry} in {file}")
    }
}

/// The mechanisms by their names, strongest first.
const MECHANISMS: [(Mechanism, &str); 4] = [
    (Mechanism::ScramSha256Plus, "SCRAM-SHA-256-PLUS"),
    (Mechanism::ScramSha256, "SCRAM-SHA-256"),
    (Mechanism::Plain, "PLAIN"),
    (Mechanism::Login, "LOGIN"),
];
