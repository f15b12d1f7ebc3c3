//! `gatepost check`: every problem of the configuration, then what each port admits.

use std::net::SocketAddr;

use crate::config::serving::Serving;
use crate::config::settings::{Port, Settings};
use crate::policy::admission::{Row, rows};
use crate::probe;

use super::arguments::Arguments;
use super::output::{Failure, complain, lines, say};

/// Judges as a start does.
const START: &str = "--start";
/// The flags the command takes.
pub(super) const FLAGS: &[&str] = &[START];

/// Runs the command.
///
/// # Errors
/// The configuration has errors.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let load = match arguments.flag(START) {
        true => probe::load,
        false => probe::check,
    };
    let loaded = load(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    complain(&lines(&loaded.warnings));
    say(&table(&loaded.settings))
}

/// The effective table: one line for each listener and stage; where sites are loaded, for each site
/// that serves the listener.
pub fn table(settings: &Settings) -> String {
    let mut text = String::new();
    for port in settings.ports.iter().filter(|port| port.enabled) {
        for address in port.socket_addresses() {
            for row in rows(settings, port, address.ip()) {
                text.push_str(&line(port, address, row));
            }
        }
    }
    if text.is_empty() {
        text.push_str("no SMTP port is enabled\n");
    }
    text
}

fn line(port: &Port, address: SocketAddr, row: Row<'_>) -> String {
    let (stage, admitted) = (row.stage.word(), row.admitted);
    let (auth, anonymous) = (yes_no(admitted.auth), yes_no(admitted.anonymous));
    let note = match (admitted.enabled, admitted.starttls_required) {
        (false, _) => " not-enabled",
        (true, true) => " starttls-required",
        (true, false) => "",
    };
    let site = match row.serving {
        Serving::Site(site) => format!(" site={}", site.name),
        Serving::Server | Serving::Nobody => String::new(),
    };
    let name = &port.name;
    format!("port {name} {address} {stage} auth={auth} anonymous={anonymous}{note}{site}\n")
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
