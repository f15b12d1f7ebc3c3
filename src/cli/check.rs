//! `gatepost check`: every problem of the configuration, then what each port admits.

use std::net::SocketAddr;

use crate::config::serving::Serving;
use crate::config::settings::{Port, PortKind, Settings, StartTls};
use crate::policy::admission::{Stage, admission_by};
use crate::server::probe;

use super::arguments::Arguments;
use super::output::{Failure, complain, lines, say};

/// Runs the command.
///
/// # Errors
/// The configuration has errors.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = probe::load(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    complain(&lines(&loaded.warnings));
    say(&table(&loaded.settings))
}

/// The effective table: one line for each listener and stage; where sites are loaded, for each site
/// that serves the listener.
pub fn table(settings: &Settings) -> String {
    let mut text = String::new();
    for port in settings.ports.iter().filter(|port| port.enabled) {
        for address in port.socket_addresses() {
            for serving in settings.all_serving(address.ip()) {
                for stage in stages(settings, port) {
                    text.push_str(&line(settings, port, address, serving, *stage));
                }
            }
        }
    }
    if text.is_empty() {
        text.push_str("no SMTP port is enabled\n");
    }
    text
}

fn stages(settings: &Settings, port: &Port) -> &'static [Stage] {
    match (port.kind, settings.extensions.starttls) {
        (PortKind::Tls, _) => &[Stage::Tls],
        (PortKind::Tcp, StartTls::Disabled) => &[Stage::Plaintext],
        (PortKind::Tcp, StartTls::Enabled | StartTls::Required) => {
            &[Stage::Plaintext, Stage::StartTls]
        }
    }
}

fn line(
    settings: &Settings,
    port: &Port,
    address: SocketAddr,
    serving: Serving<'_>,
    stage: Stage,
) -> String {
    let admitted = admission_by(settings, port, serving, stage);
    let word = match stage {
        Stage::Plaintext => "plaintext",
        Stage::StartTls => "starttls",
        Stage::Tls => "tls",
    };
    // Where no network may log in without TLS, AUTH is not there before it.
    let nowhere = stage == Stage::Plaintext && settings.auth.plaintext_from.is_empty();
    let auth = yes_no(admitted.auth && !nowhere);
    let anonymous = yes_no(admitted.anonymous);
    let note = match (admitted.enabled, admitted.starttls_required) {
        (false, _) => " not-enabled",
        (true, true) => " starttls-required",
        (true, false) => "",
    };
    let site = match serving {
        Serving::Site(site) => format!(" site={}", site.name),
        Serving::Server | Serving::Nobody => String::new(),
    };
    let name = &port.name;
    format!("port {name} {address} {word} auth={auth} anonymous={anonymous}{note}{site}\n")
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
