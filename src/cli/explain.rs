//! `gatepost explain`: why a message is or would be refused.

use std::net::IpAddr;
use std::sync::Arc;

use crate::admin::explain::{Client, explain};
use crate::config::settings::{PortKind, Settings};
use crate::directory::Directory;
use crate::dns::Resolver;
use crate::mail::{ForwardPath, ReversePath};
use crate::probe;

use super::arguments::Arguments;
use super::output::{Failure, complain, lines, say};

/// The options with a value.
pub const OPTIONS: &[&str] = &[
    "--from",
    "--local",
    "--port",
    "--user",
    "--helo",
    "--mail-from",
    "--rcpt",
];
/// The options without one.
pub const FLAGS: &[&str] = &["--tls", "--warnings"];

/// Runs the command.
///
/// # Errors
/// Wrong usage, errors in the configuration; or the recipient is refused (exit code 1).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // What was forgotten is told before anything is read.
    let forgotten = ["--from", "--rcpt"]
        .into_iter()
        .find(|option| arguments.value(option).is_none());
    if let Some(option) = forgotten {
        return Err(Failure::usage(format!("{option} ADDRESS is missing")));
    }
    let tells_warnings = arguments.flag("--warnings");
    let loaded = probe::load(&arguments.config).map_err(|mut found| {
        found.retain(|problem| tells_warnings || problem.is_error());
        Failure::configuration(&found)
    })?;
    if tells_warnings {
        complain(&lines(&loaded.warnings));
    }
    let settings = Arc::new(loaded.settings);
    let client = client(arguments, &settings).map_err(Failure::usage)?;
    let directory = Directory::new(&settings);
    let resolver = Resolver::system(Arc::default());
    let ask = |question: &_| resolver.ask_and_wait(question);
    let explanation = explain(&settings, &directory, &ask, &client);
    let mut text = String::new();
    for step in &explanation.steps {
        text.push_str(&format!("{step}\n"));
    }
    text.push_str(&format!("reply: {}\n", explanation.reply));
    say(&text)?;
    match explanation.accepted {
        true => Ok(()),
        false => Err(Failure::silent(REFUSED)),
    }
}

fn client(arguments: &Arguments, settings: &Settings) -> Result<Client, String> {
    let from = text(arguments, "--from")?.unwrap_or_default();
    let address: IpAddr = from
        .parse()
        .map_err(|_| format!("--from: {from:?} is not an IP address"))?;
    let (port, starttls) = port(arguments, settings)?;
    let local = match text(arguments, "--local")? {
        Some(text) => text
            .parse()
            .map_err(|_| format!("--local: {text:?} is not an IP address"))?,
        None => usual_local(settings, port, address),
    };
    let mail_from = text(arguments, "--mail-from")?.unwrap_or_default();
    let rcpt = text(arguments, "--rcpt")?.unwrap_or_default();
    Ok(Client {
        address: address.to_canonical(),
        local,
        port,
        starttls,
        user: text(arguments, "--user")?,
        helo: text(arguments, "--helo")?.unwrap_or_else(|| "client.invalid".to_owned()),
        reverse_path: reverse_path(&mail_from)
            .ok_or_else(|| format!("--mail-from: {mail_from:?} is not an address"))?,
        forward_path: forward_path(&rcpt)
            .ok_or_else(|| format!("--rcpt: {rcpt:?} is not an address"))?,
    })
}

/// The port's index, and whether STARTTLS is used on it.
fn port(arguments: &Arguments, settings: &Settings) -> Result<(usize, bool), String> {
    let tls = arguments.flag("--tls");
    let name = match text(arguments, "--port")? {
        Some(name) => name.to_lowercase(),
        None if tls && settings.port("tls").is_some_and(|port| port.enabled) => "tls".to_owned(),
        None => "tcp".to_owned(),
    };
    let found = settings.ports.iter().position(|port| port.name == name);
    let index = found.ok_or_else(|| format!("--port: there is no [port:{name}]"))?;
    let port = settings.ports.get(index).filter(|port| port.enabled);
    let port = port.ok_or_else(|| format!("--port: [port:{name}] is disabled"))?;
    Ok((index, tls && port.kind == PortKind::Tcp))
}

/// The local address a client most likely reaches: one of the client's family.
fn usual_local(settings: &Settings, port: usize, client: IpAddr) -> IpAddr {
    let client = client.to_canonical();
    let addresses = settings
        .ports
        .get(port)
        .map(|port| port.addresses.as_slice());
    let addresses = addresses.unwrap_or_default();
    let family = addresses.iter().find(|a| a.is_ipv4() == client.is_ipv4());
    match family.or_else(|| addresses.first()) {
        Some(address) if !address.is_unspecified() => *address,
        _ if client.is_ipv4() => IpAddr::from([127, 0, 0, 1]),
        _ => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    }
}

/// A sender as an operator writes it, in brackets or not.
pub(super) fn reverse_path(text: &str) -> Option<ReversePath> {
    let bare = text.trim_start_matches('<').trim_end_matches('>');
    let bracketed = format!("<{bare}>");
    let (path, rest) = ReversePath::parse_prefix(&bracketed).ok()?;
    rest.is_empty().then_some(path)
}

/// A recipient as an operator writes it, in brackets or not.
pub(super) fn forward_path(text: &str) -> Option<ForwardPath> {
    let bare = text.trim_start_matches('<').trim_end_matches('>');
    let bracketed = format!("<{bare}>");
    let (path, rest) = ForwardPath::parse_prefix(&bracketed).ok()?;
    rest.is_empty().then_some(path)
}

fn text(arguments: &Arguments, option: &str) -> Result<Option<String>, String> {
    let Some(value) = arguments.value(option) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .ok_or_else(|| format!("{option}: not UTF-8"))?;
    match value.chars().any(char::is_control) {
        true => Err(format!("{option}: {value:?} holds a control character")),
        false => Ok(Some(value.to_owned())),
    }
}

/// The recipient is refused.
const REFUSED: u8 = 1;
