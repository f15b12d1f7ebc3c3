//! From a file to the settings, with all problems at once.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use crate::mail::Domain;
use crate::sys::{machine, replace};

use super::alarm;
use super::check::{self, Probe};
use super::draft::Draft;
use super::effective::Effective;
use super::handlers;
use super::keys::Kind;
use super::keys_table::ITERATIONS;
use super::load_rules;
use super::load_smarthosts;
use super::problem::{Occasion, Problem, Severity};
use super::settings::{
    Auth, Connections, Control, Extensions, Limits, Log, LogFormat, LogTarget, Mechanism, Metrics,
    Port, PortKind, Queue, Recipients, Settings, StartTls, Tls, TlsVersion,
};
use super::values;

/// Settings that passed every check.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What the operator should know, in file order.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a configuration file.
///
/// # Errors
/// Every problem of the file, warnings included, in file order; one without a line where the file
/// cannot be read.
pub fn load(file: &Path, occasion: Occasion, probe: &dyn Probe) -> Result<Loaded, Vec<Problem>> {
    load_adapted(file, occasion, probe, |_| {})
}

/// The same with settings that are changed before they are checked, as a running service has to.
///
/// # Errors
/// As [`load`].
pub fn load_adapted(
    file: &Path,
    occasion: Occasion,
    probe: &dyn Probe,
    adapt: impl FnOnce(&mut Settings),
) -> Result<Loaded, Vec<Problem>> {
    let mut draft = open(file)?;
    let mut settings = assemble(&mut draft);
    adapt(&mut settings);
    check::check(&mut draft, &settings, probe);
    let problems = in_file_order(draft, occasion);
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    Ok(Loaded {
        settings,
        warnings: problems,
    })
}

/// Reads a configuration file without asking whether its settings fit together or the files they
/// name are there: what a command needs that mends those files.
///
/// # Errors
/// As [`load`].
pub fn parse(file: &Path) -> Result<Settings, Vec<Problem>> {
    let mut draft = open(file)?;
    let settings = assemble(&mut draft);
    // What a service would start with is good enough here.
    let problems = in_file_order(draft, Occasion::Start);
    match problems.iter().any(Problem::is_error) {
        true => Err(problems),
        false => Ok(settings),
    }
}

/// Reads only `[control] socket`: what a command needs that talks to a running service, whatever is
/// wrong with the rest of the file.
///
/// # Errors
/// The file cannot be read, or that key is at fault.
pub fn control_socket(file: &Path) -> Result<PathBuf, Vec<Problem>> {
    let mut draft = open_for_socket(file)?;
    if !draft.is_intact(&[SOCKET]) {
        let is_it = |problem: &Problem| {
            problem.section.as_deref() == Some(SOCKET.0) && problem.key.as_deref() == Some(SOCKET.1)
        };
        draft.problems.retain(is_it);
        return Err(in_file_order(draft, Occasion::Start));
    }
    Ok(draft.path(SOCKET.0, SOCKET.1).unwrap_or_default())
}

/// The mistakes that may be why `[control] socket` is not what the operator meant: those before it, or
/// all where it is not written. None where the file cannot be read.
pub fn mistakes_before_socket(file: &Path) -> Vec<Problem> {
    let Ok(mut draft) = open_for_socket(file) else {
        return Vec::new();
    };
    if draft.is_written(SOCKET.0, SOCKET.1) {
        let socket = draft.line(SOCKET.0, SOCKET.1);
        draft.problems.retain(|problem| problem.line < socket);
    }
    let mut problems = in_file_order(draft, Occasion::Start);
    problems.retain(Problem::is_error);
    problems
}

fn open_for_socket(file: &Path) -> Result<Draft, Vec<Problem>> {
    // Nobody is kept waiting by a command that only asks.
    let content = replace::read_regular(file, FILE_MAX_OCTETS);
    let content = content.map_err(|error| vec![unreadable(file, &error)])?;
    Ok(Draft::read(file, &content))
}

/// Parses a number for `[auth] iterations`, for commands that take one; none for 0.
///
/// # Errors
/// Why it is none.
pub fn parse_iterations(text: &str) -> Result<Option<NonZeroU32>, String> {
    match values::parse(&ITERATIONS, &[(1, text)]) {
        Ok(values::Value::Number(number)) => {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            Ok(NonZeroU32::new(number))
        }
        Ok(other) => unreachable!("a number parsed as {other:?}"),
        Err(faults) => Err(faults
            .into_iter()
            .next()
            .map_or_else(String::new, |fault| fault.reason)),
    }
}

/// Parses a name for `[server] hostname`, for commands that take one.
///
/// # Errors
/// Why it is none.
pub fn parse_hostname(text: &str) -> Result<Domain, String> {
    match values::parse(&Kind::Domain, &[(1, text)]) {
        Ok(values::Value::Domain(domain)) => Ok(domain),
        Ok(other) => unreachable!("a domain parsed as {other:?}"),
        Err(faults) => Err(faults
            .into_iter()
            .next()
            .map_or_else(String::new, |fault| fault.reason)),
    }
}

fn open(file: &Path) -> Result<Draft, Vec<Problem>> {
    match replace::read_stamped(file, FILE_MAX_OCTETS) {
        Ok((stamp, content)) => {
            let mut draft = Draft::read(file, &content);
            draft.stamp = Some(stamp);
            Ok(draft)
        }
        Err(error) => Err(vec![unreadable(file, &error)]),
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Problem {
    Problem {
        file: file.to_owned(),
        line: None,
        section: None,
        key: None,
        reason: machine::reason(error),
        severity: Severity::Error,
    }
}

/// Lines of the configuration file first; those of other files after them, as the rules found them.
fn in_file_order(draft: Draft, occasion: Occasion) -> Vec<Problem> {
    let found = draft.problems.into_iter();
    let mut problems: Vec<Problem> = found.map(|problem| problem.judged(occasion)).collect();
    problems.sort_by_key(|problem| match problem.file == draft.file {
        true => (false, problem.line),
        false => (true, None),
    });
    problems
}

fn assemble(draft: &mut Draft) -> Settings {
    let ports = ports(draft);
    let smarthosts = load_smarthosts::smarthosts(draft);
    let handlers = handlers::load(draft);
    let alarm = alarm::load(draft, &handlers);
    let draft = &*draft;
    let hostname = draft
        .domain("server", "hostname")
        .unwrap_or_else(default_hostname);
    Settings {
        file: draft.file.clone(),
        stamp: draft.stamp,
        local_domains: draft
            .domains("server", "local_domains")
            .unwrap_or_else(|| vec![hostname.clone()]),
        hostname,
        spool: draft.path("server", "spool").unwrap_or_default(),
        user: draft.text("server", "user").unwrap_or_default(),
        devices: count(draft, "server", "devices"),
        sandbox: draft.yes("server", "sandbox"),
        load_internet_sites: draft.yes("server", "load_internet_sites"),
        server_access: load_rules::server_access(draft),
        sites: load_rules::sites(draft),
        relay: load_rules::relay(draft),
        dnsbl: load_rules::dnsbl(draft),
        blacklist: load_rules::blacklist(draft),
        whitelist: draft.hosts("whitelist", "hosts"),
        senders: load_rules::senders(draft),
        lines: load_rules::lines(draft),
        ports,
        tls: tls(draft),
        extensions: extensions(draft),
        auth: auth(draft),
        recipients: Recipients {
            verify: draft.yes("recipients", "verify"),
            deny_ambiguous: draft.yes("recipients", "deny_ambiguous"),
            deny_groups: draft.yes("recipients", "deny_groups"),
            subaddress: draft.character("recipients", "subaddress"),
            allow: draft.mails("recipients", "allow"),
            deny: draft.mails("recipients", "deny"),
            catch_all: draft.text("recipients", "catch_all"),
            unknown_max: u32::try_from(draft.number("recipients", "unknown_max"))
                .unwrap_or(u32::MAX),
        },
        aliases: draft.path("aliases", "file"),
        messages: load_rules::messages(draft),
        limits: limits(draft),
        connections: connections(draft),
        worker_threads: count(draft, "workers", "threads"),
        local: draft.local("delivery", "local"),
        mail_root: draft.path("delivery", "mail_root").unwrap_or_default(),
        quota: draft.number("delivery", "quota"),
        control: control(draft),
        smarthosts,
        handlers,
        queue: queue(draft),
        alarm,
        metrics: Metrics {
            listen: draft.socket_addresses("metrics", "listen"),
        },
        log: log(draft),
        effective: Effective::of(draft),
    }
}

fn default_hostname() -> Domain {
    machine::host_name()
        .and_then(|name| parse_hostname(&name).ok())
        .unwrap_or_else(|| Domain::parse("localhost").expect("localhost is a domain name"))
}

/// `[port:tcp]`, `[port:tls]`, then the further ones in file order. A further port without a kind or
/// a number is a problem and no port.
fn ports(draft: &mut Draft) -> Vec<Port> {
    let mut ports = vec![
        port(draft, "tcp", PortKind::Tcp),
        port(draft, "tls", PortKind::Tls),
    ];
    for (section, line) in draft.sections.clone() {
        let Some(name) = section.strip_prefix("port:") else {
            continue;
        };
        if name == "tcp" || name == "tls" {
            continue;
        }
        let missing = |key: &&str| !draft.is_written(&section, key);
        let missing: Vec<&str> = ["kind", "number"].into_iter().filter(missing).collect();
        for key in missing {
            draft.problem(
                line,
                Some(&section),
                Some(key),
                "a further port needs this key",
            );
        }
        let kind = match draft.word(&section, "kind") {
            Some("tcp") => PortKind::Tcp,
            Some(_) => PortKind::Tls,
            None => continue,
        };
        if draft.number(&section, "number") != 0 {
            ports.push(port(draft, name, kind));
        }
    }
    ports
}

fn port(draft: &Draft, name: &str, kind: PortKind) -> Port {
    let section = format!("port:{name}");
    let (addresses, addresses_are_default) = draft.addresses(&section, "addresses");
    Port {
        name: name.to_owned(),
        kind,
        number: u16::try_from(draft.number(&section, "number")).unwrap_or_default(),
        enabled: match draft.word(&section, "status") {
            Some(status) => status == "enabled",
            None => kind == PortKind::Tcp,
        },
        name_and_password: draft.yes(&section, "name_and_password"),
        anonymous: draft.yes(&section, "anonymous"),
        addresses,
        addresses_are_default,
        proxy_from: draft.networks(&section, "proxy_from"),
    }
}

fn tls(draft: &Draft) -> Tls {
    let watch = draft.duration("tls", "watch");
    Tls {
        watch: (!watch.is_zero()).then_some(watch),
        certificate: draft.path("tls", "certificate"),
        private_key: draft.path("tls", "private_key"),
        min_version: match draft.word("tls", "min_version") {
            Some("1.3") => TlsVersion::Tls13,
            _ => TlsVersion::Tls12,
        },
    }
}

fn extensions(draft: &Draft) -> Extensions {
    let enabled = |key| draft.enabled("extensions", key);
    Extensions {
        starttls: match draft.word("extensions", "starttls") {
            Some("enabled") => StartTls::Enabled,
            Some("required") => StartTls::Required,
            _ => StartTls::Disabled,
        },
        size: enabled("size"),
        pipelining: enabled("pipelining"),
        eight_bit_mime: enabled("8bitmime"),
        smtputf8: enabled("smtputf8"),
        help: enabled("help"),
        vrfy: enabled("vrfy"),
        expn: enabled("expn"),
        chunking: enabled("chunking"),
        dsn: enabled("dsn"),
    }
}

fn auth(draft: &Draft) -> Auth {
    Auth {
        users: draft.path("auth", "users").unwrap_or_default(),
        mechanisms: draft
            .words("auth", "mechanisms")
            .into_iter()
            .map(mechanism)
            .collect(),
        iterations: NonZeroU32::new(
            u32::try_from(draft.number("auth", "iterations")).unwrap_or(u32::MAX),
        ),
        plaintext_from: draft.networks("auth", "plaintext_from"),
        attempts_max: u32::try_from(draft.number("auth", "attempts_max")).unwrap_or(u32::MAX),
        throttle: draft.yes("auth", "throttle"),
        throttle_exempt: draft.networks("auth", "throttle_exempt"),
    }
}

/// A mechanism by its word in the table.
pub(super) fn mechanism(word: &str) -> Mechanism {
    match word {
        "scram-sha-256-plus" => Mechanism::ScramSha256Plus,
        "scram-sha-256" => Mechanism::ScramSha256,
        "plain" => Mechanism::Plain,
        "login" => Mechanism::Login,
        other => unreachable!("the table lists the mechanism {other}, which is not built"),
    }
}

fn limits(draft: &Draft) -> Limits {
    Limits {
        message_size: draft.number("limits", "message_size"),
        recipients: count(draft, "limits", "recipients"),
        command_timeout: draft.duration("limits", "command_timeout"),
        data_timeout: draft.duration("limits", "data_timeout"),
        session_timeout: draft.duration("limits", "session_timeout"),
        free_space: draft.number("limits", "free_space"),
        mail_memory: draft.number("limits", "mail_memory"),
    }
}

fn connections(draft: &Draft) -> Connections {
    let limit = draft.number("connections", "error_limit");
    Connections {
        sessions_max: count(draft, "connections", "sessions_max"),
        sessions_max_per_address: count(draft, "connections", "sessions_max_per_address"),
        verify_host_name: draft.yes("connections", "verify_host_name"),
        allow: draft.hosts("connections", "allow"),
        deny: draft.hosts("connections", "deny"),
        explain_to: draft.networks("connections", "explain_to"),
        error_limit: u32::try_from(limit).unwrap_or(u32::MAX),
    }
}

fn control(draft: &Draft) -> Control {
    let interval = draft.duration("control", "update_interval");
    Control {
        socket: draft.path(SOCKET.0, SOCKET.1).unwrap_or_default(),
        update_interval: (!interval.is_zero()).then_some(interval),
    }
}

fn queue(draft: &Draft) -> Queue {
    let delay_notice = draft.duration("queue", "delay_notice");
    Queue {
        retry: draft.durations("queue", "retry"),
        expire: draft.duration("queue", "expire"),
        delay_notice: (!delay_notice.is_zero()).then_some(delay_notice),
    }
}

fn log(draft: &Draft) -> Log {
    Log {
        level: match draft.word("log", "level") {
            Some("error") => LevelFilter::Error,
            Some("warn" | "warning") => LevelFilter::Warn,
            Some("debug") => LevelFilter::Debug,
            Some("trace") => LevelFilter::Trace,
            _ => LevelFilter::Info,
        },
        debug_for: draft.networks("log", "debug_for"),
        target: match draft.word("log", "target") {
            Some("syslog") => LogTarget::Syslog,
            Some("journal") => LogTarget::Journal,
            _ => LogTarget::Stderr,
        },
        format: match draft.word("log", "format") {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        },
    }
}

fn count(draft: &Draft, section: &str, key: &str) -> usize {
    usize::try_from(draft.number(section, key)).unwrap_or(usize::MAX)
}

const SOCKET: (&str, &str) = ("control", "socket");
/// A configuration file larger than this is some other file.
const FILE_MAX_OCTETS: u64 = 1024 * 1024;
