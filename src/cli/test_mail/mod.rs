//! `gatepost test-mail`: a message sent as a real client would, each step told with its verdict.
//!
//! | file | purpose |
//! | --- | --- |
//! | `report` | the lines |
//! | `advice` | what a failure may mean, and the exit code |
//! | `dialogue` | a session on a port of our own |
//! | `arrival` | whether the message reached its Maildir |
//!
//! Promises: to the running service it speaks over the network like anybody; to the smarthost it goes the
//! way of the relay ([`Trial`]), with the same TLS, verification and login, and a service that has been refused there
//! hears that the login works. A password is in nothing
//! that is printed. Limits: 30 s a step, 10 s for the Maildir.

mod advice;
mod arrival;
mod dialogue;
mod report;

use std::io::{self, IsTerminal};
use std::time::Duration;

use zeroize::Zeroizing;

use super::arguments::Arguments;
use super::console;
use super::explain::{forward_path, reverse_path};
use super::output::{Failure, IO, TRY_LATER, UNAVAILABLE};
use super::passwd;
use crate::config;
use crate::config::settings::{Port, PortKind, Settings, Smarthost};
use crate::delivery::login::{read_secret, spoken_forms};
use crate::delivery::smtp_client::Limits;
use crate::delivery::trial::Trial;
use crate::mail::{ForwardPath, Mailbox, ReversePath, date};
use crate::sys::{clock, random, terminal};
use crate::transport::roots;
use advice::Side;
use dialogue::Dialogue;
use report::{Judge, Report, Verdict};

/// The options with a value.
pub const OPTIONS: &[&str] = &["--to", "--from", "--via", "--user"];
/// The options without one.
pub const FLAGS: &[&str] = &["--tls"];
/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is shorter is in every other word.
const SECRET_MIN_OCTETS: usize = 4;

/// What is to be sent.
struct Wish {
    from: ReversePath,
    to: ForwardPath,
    login: Option<(String, Zeroizing<String>)>,
    tls: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, errors in the configuration, or a step that failed.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // What was forgotten is told before anything is read.
    if arguments.value("--to").is_none() {
        return Err(Failure::usage("--to ADDRESS is missing"));
    }
    let settings =
        config::parse(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    let via = match text(arguments, "--via")? {
        Some(via) => via,
        None => usual_port(&settings)?,
    };
    let mut wish = wish(arguments, &settings)?;
    if via == "smarthost" {
        if arguments.value("--user").is_some() || wish.tls {
            let text = "--user and --tls are not for --via smarthost: [smarthost] says both";
            return Err(Failure::usage(text));
        }
        return by_smarthost(arguments, &settings, &wish);
    }
    let port = port(&settings, &via)?;
    if let Some(user) = text(arguments, "--user")? {
        wish.login = Some((user, ask_password()?));
    }
    by_port(&settings, port, &wish)
}

/// The enabled port that is taken where none is named: `tcp` before others of its kind, these before TLS ones.
fn usual_port(settings: &Settings) -> Result<String, Failure> {
    let enabled = settings.ports.iter().filter(|port| port.enabled);
    let first = enabled.min_by_key(|port| (port.kind == PortKind::Tls, port.name != "tcp"));
    let first = first.ok_or_else(|| Failure::usage("no SMTP port is enabled"))?;
    Ok(first.name.clone())
}

/// A port by its name, or by its number.
fn port<'a>(settings: &'a Settings, via: &str) -> Result<&'a Port, Failure> {
    let number = via.parse::<u16>().ok();
    let numbered = || {
        let mut ports = settings.ports.iter();
        ports.find(|port| port.enabled && Some(port.number) == number)
    };
    let Some(port) = settings.port(via).or_else(numbered) else {
        let text = format!("--via: {via} is no enabled port's name or number, and not smarthost");
        return Err(Failure::usage(text));
    };
    match port.enabled {
        true => Ok(port),
        false => Err(Failure::usage(format!("--via: [port:{via}] is disabled"))),
    }
}

fn wish(arguments: &Arguments, settings: &Settings) -> Result<Wish, Failure> {
    let to = text(arguments, "--to")?.unwrap_or_default();
    let to = forward_path(&to)
        .ok_or_else(|| Failure::usage(format!("--to: {to:?} is not an address")))?;
    let from = match text(arguments, "--from")? {
        Some(from) => from,
        None => {
            let user = text(arguments, "--user")?.unwrap_or_else(|| "postmaster".to_owned());
            let domain = settings.local_domains.first().unwrap_or(&settings.hostname);
            match user.contains('@') {
                true => user,
                false => format!("{user}@{domain}"),
            }
        }
    };
    let from = reverse_path(&from)
        .ok_or_else(|| Failure::usage(format!("--from: {from:?} is not an address")))?;
    Ok(Wish {
        from,
        to,
        login: None,
        tls: arguments.flag("--tls"),
    })
}

/// Over one of our own ports.
fn by_port(settings: &Settings, port: &Port, wish: &Wish) -> Result<(), Failure> {
    let judge = Judge {
        name: settings.hostname.to_string(),
        roots: roots::load(None),
    };
    let secrets = match &wish.login {
        Some((user, password)) => secrets(user, password),
        None => Vec::new(),
    };
    let report = Report::new(judge, secrets, Side::Own);
    let dialogue = Dialogue {
        settings,
        port,
        wish,
        patience: PATIENCE,
    };
    let sent = dialogue.run(&content(settings, wish, &port.name), &report.witness());
    let mut undelivered = None;
    match sent {
        Err(error) => report.failed(&error),
        Ok(reply) => match reply.lines.join(" ").split_once("Queued as ") {
            Some((_, id)) => {
                undelivered = arrival::wait(settings, &wish.to, id.trim(), &report);
            }
            None => {
                let words = "not looked for: the reply names no message";
                report.step("delivery", Verdict::Skipped, words);
            }
        },
    }
    finish(&report, undelivered)
}

/// Tells the service, if it runs, that the login of a smarthost works: it need not wait to try it again.
fn tell_login_works(arguments: &Arguments, settings: &Settings, host: &Smarthost) {
    if let Some(login) = &host.login {
        let words = ["login-works", &host.section(), &host.host, &login.username];
        // Where nobody hears it, nobody waits.
        let _ = console::put(&settings.control.socket, arguments, &words);
    }
}

/// By the way of the relay.
fn by_smarthost(arguments: &Arguments, settings: &Settings, wish: &Wish) -> Result<(), Failure> {
    let Some(host) = settings.smarthost_for(&wish.from) else {
        let text = match settings.has_smarthost() {
            true => "no smarthost is for this sender: see --from, and sender_domains",
            false => "there is no smarthost: set [smarthost] host",
        };
        return Err(Failure::usage(text));
    };
    let to = match &wish.to {
        ForwardPath::Mailbox(mailbox) => mailbox.clone(),
        ForwardPath::Postmaster => Mailbox::new("postmaster", settings.hostname.clone())
            .map_err(|_| Failure::usage("--to: an address with a domain is needed"))?,
    };
    let judge = Judge {
        name: host.host.clone(),
        roots: roots::load(host.ca_file.as_deref()),
    };
    let secrets = host.login.as_ref().and_then(|login| {
        let secret = read_secret(&login.secret).ok()?;
        Some(secrets(&login.username, &secret))
    });
    let side = Side::Smarthost(format!("[{}]", host.section()));
    let report = Report::new(judge, secrets.unwrap_or_default(), side);
    let text = content(settings, wish, "smarthost").replace('\n', "\r\n");
    let trial = Trial {
        hostname: settings.hostname.as_str(),
        limits: Limits::each(PATIENCE),
        from: &host.told(&wish.from),
        to: &to,
        content: text.as_bytes(),
    };
    let sent = trial.send(host, report.witness());
    if report.has_logged_in() {
        tell_login_works(arguments, settings, host);
    }
    match sent {
        Ok(()) => {
            let words = "from here on it is the smarthost's";
            report.step("delivery", Verdict::Skipped, words);
        }
        // Where nothing was heard: no address, or a connection that broke.
        Err(why) if report.is_unheard() => {
            report.next_failed(&format!("{}: {why}", host.host), UNAVAILABLE);
        }
        Err(why) => report.next_failed(&why.to_string(), TRY_LATER),
    }
    finish(&report, None)
}

fn finish(report: &Report, undelivered: Option<u8>) -> Result<(), Failure> {
    match (report.close(), undelivered) {
        (None, None) => Ok(()),
        (None, Some(code)) => Err(Failure::silent(code)),
        (Some(cause), _) => match cause.advice(&report.side()) {
            Some(advice) => Err(Failure::new(cause.exit_code(), advice)),
            None => Err(Failure::silent(cause.exit_code())),
        },
    }
}

/// What must not be printed of a login.
fn secrets(user: &str, password: &str) -> Vec<Zeroizing<String>> {
    let forms = spoken_forms(user, password).into_iter();
    forms
        .filter(|form| form.len() >= SECRET_MIN_OCTETS)
        .collect()
}

fn content(settings: &Settings, wish: &Wish, via: &str) -> String {
    let mut token = [0; 8];
    // Without it the message only has a name that may come twice.
    let _ = random::fill(&mut token);
    let token = u64::from_le_bytes(token);
    format!(
        "From: <{}>\nTo: <{}>\nDate: {}\nMessage-ID: <{token:016x}.test@{}>\n\
         Subject: Test of gatepost\nAuto-Submitted: auto-generated\n\n\
         This message came via {via}. It was sent by gatepost test-mail.\n",
        match &wish.from {
            ReversePath::Null => format!("postmaster@{}", settings.hostname),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        },
        wish.to_text(),
        date::rfc5322(clock::now()),
        settings.hostname
    )
}

impl Wish {
    fn to_text(&self) -> String {
        match &self.to {
            ForwardPath::Postmaster => "postmaster".to_owned(),
            ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
        }
    }
}

fn text(arguments: &Arguments, option: &str) -> Result<Option<String>, Failure> {
    let Some(value) = arguments.value(option) else {
        return Ok(None);
    };
    match value.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(Some(text.to_owned())),
        _ => Err(Failure::usage(format!(
            "{option}: {value:?} is not plain text"
        ))),
    }
}

/// One line of standard input, or what is typed on a terminal.
fn ask_password() -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| Failure::files(IO, "the password cannot be read", &error);
    let line = match io::stdin().is_terminal() {
        true => passwd::without_line_end(terminal::ask_hidden("Password: ").map_err(failed)?),
        false => passwd::read_line().map_err(failed)?,
    };
    let text = std::str::from_utf8(&line);
    let text = text.map_err(|_| Failure::usage("the password is not UTF-8 text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}
