//! What a session may do by the port it came in on and its TLS state (DOMINO.md section 1.6).
//!
//! | stage | AUTH decided by | anonymous decided by |
//! | --- | --- | --- |
//! | plaintext on a tcp port | the port's `name_and_password` | the port's `anonymous` |
//! | after STARTTLS on a tcp port | `[port:tls] name_and_password` (S-50) | the port's `anonymous` (S-52) |
//! | a tls port | the port's `name_and_password` | the port's `anonymous` |

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
}

/// The first stage of a session on `port`.
pub fn first_stage(port: &Port) -> Stage {
    match port.kind {
        PortKind::Tcp => Stage::Plaintext,
        PortKind::Tls => Stage::Tls,
    }
}

/// What `settings` admit on `port` at `stage`.
pub fn admission(settings: &Settings, port: &Port, stage: Stage) -> Admission {
    let starttls = match stage {
        Stage::Plaintext => settings.extensions.starttls,
        Stage::StartTls | Stage::Tls => StartTls::Disabled,
    };
    let starttls_required = starttls == StartTls::Required;
    let auth = match stage {
        Stage::Plaintext | Stage::Tls => port.name_and_password,
        Stage::StartTls => settings.tls_name_and_password(),
    };
    Admission {
        auth: auth && !starttls_required,
        anonymous: port.anonymous && !starttls_required,
        starttls: starttls != StartTls::Disabled,
        starttls_required,
    }
}
