//! `gatepost check`: every problem of the configuration, then what each port admits.

use std::net::SocketAddr;

use crate::config::settings::{Port, PortKind, Settings, StartTls};
use crate::policy::admission::{Stage, admission};
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

/// The effective table: one line for each listener and stage.
pub fn table(settings: &Settings) -> String {
    let mut text = String::new();
    for port in settings.ports.iter().filter(|port| port.enabled) {
        for address in port.socket_addresses() {
            for stage in stages(settings, port) {
                text.push_str(&line(settings, port, address, *stage));
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

fn line(settings: &Settings, port: &Port, address: SocketAddr, stage: Stage) -> String {
    let admitted = admission(settings, port, stage);
    let word = match stage {
        Stage::Plaintext => "plaintext",
        Stage::StartTls => "starttls",
        Stage::Tls => "tls",
    };
    // Where no network may log in without TLS, AUTH is not there before it.
    let nowhere = stage == Stage::Plaintext && settings.auth.plaintext_from.is_empty();
    let auth = yes_no(admitted.auth && !nowhere);
    let anonymous = yes_no(admitted.anonymous);
    let note = match admitted.starttls_required {
        true => " starttls-required",
        false => "",
    };
    let name = &port.name;
    format!("port {name} {address} {word} auth={auth} anonymous={anonymous}{note}\n")
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
