//! What a session may do by the port it came in on, its site and its TLS state (DOMINO.md sections 1.6
//! and 1.8).
//!
//! | stage | AUTH decided by | anonymous decided by |
//! | --- | --- | --- |
//! | plaintext on a tcp port | the port's `name_and_password` | the port's `anonymous` |
//! | after STARTTLS on a tcp port | `[port:tls] name_and_password` (S-50) | the port's `anonymous` (S-52) |
//! | a tls port | the port's `name_and_password` | the port's `anonymous` |
//!
//! Where sites are loaded, the site's `tcp_*` stand for the tcp ports' own and its `tls_*` for those of
//! `[port:tls]` and every tls port.

use std::net::IpAddr;

use super::verdict::Cause;
use crate::config::serving::Serving;
use crate::config::settings::{Port, PortKind, Settings, StartTls};

/// How far a session's TLS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Plain text on a tcp port.
    Plaintext,
    /// After STARTTLS on a tcp port.
    StartTls,
    /// On a tls port.
    Tls,
}

impl Stage {
    /// The word for it, as the operator reads it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
        }
    }
}

/// What the settings admit at one stage of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// AUTH is served.
    pub auth: bool,
    /// MAIL is taken without AUTH.
    pub anonymous: bool,
    /// STARTTLS is offered.
    pub starttls: bool,
    /// Nothing of use goes on before STARTTLS.
    pub starttls_required: bool,
    /// The session is served at all.
    pub enabled: bool,
}

/// The first stage of a session on `port`.
pub fn first_stage(port: &Port) -> Stage {
    match port.kind {
        PortKind::Tcp => Stage::Plaintext,
        PortKind::Tls => Stage::Tls,
    }
}

/// What `settings` admit at `stage` to a session that came in on `local`, a local address of `port`.
pub fn admission(settings: &Settings, port: &Port, local: IpAddr, stage: Stage) -> Admission {
    admission_by(settings, port, settings.serving(local), stage)
}

/// The same where it is known who serves.
fn admission_by(settings: &Settings, port: &Port, serving: Serving<'_>, stage: Stage) -> Admission {
    let starttls = match stage {
        Stage::Plaintext => settings.extensions.starttls,
        Stage::StartTls | Stage::Tls => StartTls::Disabled,
    };
    let methods = settings.methods(port, serving);
    let auth = match stage {
        Stage::Plaintext | Stage::Tls => methods.auth,
        Stage::StartTls => methods.auth_after_starttls,
    };
    let enabled = settings.is_enabled(port, serving);
    let is_forced = starttls == StartTls::Required
        || stage == Stage::Plaintext && settings.only_starttls_helps(port, serving);
    let starttls_required = enabled && is_forced;
    let usable = enabled && !starttls_required;
    Admission {
        auth: auth && usable,
        anonymous: methods.anonymous && usable,
        starttls: enabled && starttls != StartTls::Disabled,
        starttls_required,
        enabled,
    }
}

/// What a listener admits at one stage of the sessions of one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Who answers for it.
    pub serving: Serving<'a>,
    /// The stage.
    pub stage: Stage,
    /// What is admitted; AUTH only where some network may use it.
    pub admitted: Admission,
}

/// The table of a port's listener on `address`: every stage; where sites are loaded, for each site it
/// serves.
pub fn rows<'a>(settings: &'a Settings, port: &Port, address: IpAddr) -> Vec<Row<'a>> {
    let stages: &[Stage] = match (port.kind, settings.extensions.starttls) {
        (PortKind::Tls, _) => &[Stage::Tls],
        (PortKind::Tcp, StartTls::Disabled) => &[Stage::Plaintext],
        (PortKind::Tcp, StartTls::Enabled | StartTls::Required) => {
            &[Stage::Plaintext, Stage::StartTls]
        }
    };
    let row = |serving, stage| {
        let mut admitted = admission_by(settings, port, serving, stage);
        // Where no network may log in without TLS, AUTH is not there before it.
        let nowhere = stage == Stage::Plaintext && settings.auth.plaintext_from.is_empty();
        admitted.auth &= !nowhere;
        Row {
            serving,
            stage,
            admitted,
        }
    };
    let serving = settings.all_serving(address).into_iter();
    serving
        .flat_map(|serving| stages.iter().map(move |stage| row(serving, *stage)))
        .collect()
}

/// The key that decides about AUTH.
pub fn auth_cause(port: &Port, serving: Serving<'_>, stage: Stage) -> Cause {
    let why = "name-and-password authentication";
    match (serving, stage) {
        (Serving::Nobody, _) => Cause::new("server", "load_internet_sites", why),
        (Serving::Site(site), Stage::Plaintext) => {
            Cause::new(site.section(), "tcp_name_and_password", why)
        }
        (Serving::Site(site), Stage::StartTls | Stage::Tls) => {
            Cause::new(site.section(), "tls_name_and_password", why)
        }
        (Serving::Server, Stage::StartTls) => Cause::new("port:tls", "name_and_password", why),
        (Serving::Server, Stage::Plaintext | Stage::Tls) => {
            Cause::new(format!("port:{}", port.name), "name_and_password", why)
        }
    }
}

/// The key that decides about mail without AUTH.
pub fn anonymous_cause(port: &Port, serving: Serving<'_>, stage: Stage) -> Cause {
    let why = "mail without a login";
    match (serving, stage) {
        (Serving::Nobody, _) => Cause::new("server", "load_internet_sites", why),
        (Serving::Site(site), Stage::Plaintext | Stage::StartTls) => {
            Cause::new(site.section(), "tcp_anonymous", why)
        }
        (Serving::Site(site), Stage::Tls) => Cause::new(site.section(), "tls_anonymous", why),
        (Serving::Server, _) => Cause::new(format!("port:{}", port.name), "anonymous", why),
    }
}
