//! From a file to the settings, with all problems at once.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::mail::Domain;
use crate::sys::{machine, replace};

use super::alarm;
use super::check::{self, Probe};
use super::draft::Draft;
use super::effective::Effective;
use super::handlers;
use super::keys::{self, Ask};
use super::keys_table::{
    aliases, auth, connections, control, delivery, extensions, limits, log, metrics, port, queue,
    recipients, server, tls, whitelist, workers,
};
use super::load_rules;
use super::load_smarthosts;
use super::problem::{Occasion, Problem, Severity};
use super::settings::{
    Auth, Connections, Control, Extensions, Limits, Log, Metrics, Port, PortKind, Queue,
    Recipients, Settings, Tls,
};
use super::values::Refused;

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
    Ok(draft.path(control::SOCKET))
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
pub fn parse_iterations(text: &str) -> Result<Option<NonZeroU32>, Refused> {
    keys::read(auth::ITERATIONS, text)
}

/// Parses a name for `[server] hostname`, for commands that take one.
///
/// # Errors
/// Why it is none.
pub fn parse_hostname(text: &str) -> Result<Domain, Refused> {
    keys::read(server::HOSTNAME, text)
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
    let hostname = draft.get(server::HOSTNAME).unwrap_or_else(default_hostname);
    Settings {
        file: draft.file.clone(),
        stamp: draft.stamp,
        local_domains: draft
            .get(server::LOCAL_DOMAINS)
            .unwrap_or_else(|| vec![hostname.clone()]),
        hostname,
        spool: draft.path(server::SPOOL),
        user: draft.get(server::USER),
        devices: draft.get(server::DEVICES),
        sandbox: draft.get(server::SANDBOX),
        load_internet_sites: draft.get(server::LOAD_INTERNET_SITES),
        server_access: load_rules::server_access(draft),
        sites: load_rules::sites(draft),
        relay: load_rules::relay(draft),
        dnsbl: load_rules::dnsbl(draft),
        blacklist: load_rules::blacklist(draft),
        whitelist: draft.get(whitelist::HOSTS),
        senders: load_rules::senders(draft),
        lines: load_rules::lines(draft),
        ports,
        tls: tls_of(draft),
        extensions: extensions_of(draft),
        auth: auth_of(draft),
        recipients: Recipients {
            verify: draft.get(recipients::VERIFY),
            deny_ambiguous: draft.get(recipients::DENY_AMBIGUOUS),
            deny_groups: draft.get(recipients::DENY_GROUPS),
            subaddress: draft.get(recipients::SUBADDRESS),
            allow: draft.get(recipients::ALLOW),
            deny: draft.get(recipients::DENY),
            catch_all: draft.get(recipients::CATCH_ALL),
            unknown_max: draft.get(recipients::UNKNOWN_MAX),
        },
        aliases: draft.path(aliases::FILE),
        messages: load_rules::messages(draft),
        limits: limits_of(draft),
        connections: connections_of(draft),
        worker_threads: draft.get(workers::THREADS),
        local: draft.get(delivery::LOCAL),
        mail_root: draft.path(delivery::MAIL_ROOT),
        quota: draft.get(delivery::QUOTA),
        control: control_of(draft),
        smarthosts,
        handlers,
        queue: queue_of(draft),
        alarm,
        metrics: Metrics {
            listen: draft.get(metrics::LISTEN),
        },
        log: log_of(draft),
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
        one_port(draft, "tcp", PortKind::Tcp),
        one_port(draft, "tls", PortKind::Tls),
    ];
    for (section, line) in draft.sections.clone() {
        let Some(name) = section.strip_prefix("port:") else {
            continue;
        };
        if name == "tcp" || name == "tls" {
            continue;
        }
        let missing = |key: &&str| !draft.is_written(&section, key);
        let missing: Vec<&str> = [port::KIND.name(), port::NUMBER.name()]
            .into_iter()
            .filter(missing)
            .collect();
        for key in missing {
            draft.problem(
                line,
                Some(&section),
                Some(key),
                "a further port needs this key",
            );
        }
        let own = draft.within(&section);
        if let (Some(kind), Some(_)) = (own.get(port::KIND), own.get(port::NUMBER)) {
            ports.push(one_port(draft, name, kind));
        }
    }
    ports
}

fn one_port(draft: &Draft, name: &str, kind: PortKind) -> Port {
    let section = format!("port:{name}");
    let own = draft.within(&section);
    Port {
        name: name.to_owned(),
        kind,
        number: own.get(port::NUMBER).unwrap_or_default(),
        enabled: own.get(port::STATUS).unwrap_or(kind == PortKind::Tcp),
        name_and_password: own.get(port::NAME_AND_PASSWORD),
        anonymous: own.get(port::ANONYMOUS),
        addresses: own.get(port::ADDRESSES),
        addresses_are_default: !draft.is_written(&section, port::ADDRESSES.name()),
        proxy_from: own.get(port::PROXY_FROM),
    }
}

fn tls_of(draft: &Draft) -> Tls {
    Tls {
        watch: draft.get(tls::WATCH),
        certificate: draft.path(tls::CERTIFICATE),
        private_key: draft.path(tls::PRIVATE_KEY),
        min_version: draft.get(tls::MIN_VERSION),
    }
}

fn extensions_of(draft: &Draft) -> Extensions {
    Extensions {
        starttls: draft.get(extensions::STARTTLS),
        size: draft.get(extensions::SIZE),
        pipelining: draft.get(extensions::PIPELINING),
        eight_bit_mime: draft.get(extensions::EIGHT_BIT_MIME),
        smtputf8: draft.get(extensions::SMTPUTF8),
        help: draft.get(extensions::HELP),
        vrfy: draft.get(extensions::VRFY),
        expn: draft.get(extensions::EXPN),
        chunking: draft.get(extensions::CHUNKING),
        dsn: draft.get(extensions::DSN),
    }
}

fn auth_of(draft: &Draft) -> Auth {
    Auth {
        users: draft.path(auth::USERS),
        mechanisms: draft.get(auth::MECHANISMS),
        iterations: draft.get(auth::ITERATIONS),
        plaintext_from: draft.get(auth::PLAINTEXT_FROM),
        attempts_max: draft.get(auth::ATTEMPTS_MAX),
        throttle: draft.get(auth::THROTTLE),
        throttle_exempt: draft.get(auth::THROTTLE_EXEMPT),
    }
}

fn limits_of(draft: &Draft) -> Limits {
    Limits {
        message_size: draft.get(limits::MESSAGE_SIZE),
        recipients: draft.get(limits::RECIPIENTS),
        command_timeout: draft.get(limits::COMMAND_TIMEOUT),
        data_timeout: draft.get(limits::DATA_TIMEOUT),
        session_timeout: draft.get(limits::SESSION_TIMEOUT),
        free_space: draft.get(limits::FREE_SPACE),
        mail_memory: draft.get(limits::MAIL_MEMORY),
    }
}

fn connections_of(draft: &Draft) -> Connections {
    Connections {
        sessions_max: draft.get(connections::SESSIONS_MAX),
        sessions_max_per_address: draft.get(connections::SESSIONS_MAX_PER_ADDRESS),
        verify_host_name: draft.get(connections::VERIFY_HOST_NAME),
        allow: draft.get(connections::ALLOW),
        deny: draft.get(connections::DENY),
        explain_to: draft.get(connections::EXPLAIN_TO),
        error_limit: draft.get(connections::ERROR_LIMIT),
    }
}

fn control_of(draft: &Draft) -> Control {
    Control {
        socket: draft.path(control::SOCKET),
        update_interval: draft.get(control::UPDATE_INTERVAL),
    }
}

fn queue_of(draft: &Draft) -> Queue {
    Queue {
        retry: draft.get(queue::RETRY),
        expire: draft.get(queue::EXPIRE),
        delay_notice: draft.get(queue::DELAY_NOTICE),
    }
}

fn log_of(draft: &Draft) -> Log {
    Log {
        level: draft.get(log::LEVEL),
        debug_for: draft.get(log::DEBUG_FOR),
        target: draft.get(log::TARGET),
        format: draft.get(log::FORMAT),
    }
}

const SOCKET: (&str, &str) = ("control", "socket");
/// A configuration file larger than this is some other file.
const FILE_MAX_OCTETS: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Nothing depends on `[extensions] etrn`: the check says so.
    #[test]
    fn every_key_of_the_table_is_read() {
        let text = "[site:a]\n[port:a]\nkind = tcp\nnumber = 1\n[command:a]\nprogram = /a\n\
                    [webhook:a]\nurl = http://a/\n[smarthost]\nhost = a\nusername = a\ntoken_file = a\n\
                    [smarthost:a]\nhost = a\nsender_domains = a\nusername = a\ntoken_file = a\n";
        let mut draft = Draft::read(Path::new("f.ini"), text.as_bytes());
        assemble(&mut draft);
        let problems: Vec<String> = draft.problems.iter().map(Problem::to_string).collect();
        assert!(problems.is_empty(), "{problems:?}");
        let asked = draft.asked.borrow();
        let mut all: BTreeSet<_> = keys::all().map(|key| (key.section(), key.name)).collect();
        assert!(all.remove(&("extensions", "etrn")));
        let unread: Vec<_> = all.difference(&asked).collect();
        assert!(unread.is_empty(), "{unread:?}");
    }
}
