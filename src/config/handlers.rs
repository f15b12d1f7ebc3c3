//! `[command:NAME]` and `[webhook:NAME]`: what mail can be handed to beside mailboxes and servers.
//!
//! Promises: a program is an absolute path and its arguments are fixed, so that nothing a client sends can
//! choose what runs; a web address is written strictly and holds no password. A section that lacks what it
//! needs is a problem and no handler. Refuses to know: whether a program or a server is there.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::draft::Draft;
use super::keys::Ask;
use super::keys_table as keys;
use super::suggest;
use super::values::host;

/// Every command and webhook, in file order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handlers {
    /// `[command:*]`.
    pub commands: Vec<Command>,
    /// `[webhook:*]`.
    pub webhooks: Vec<Webhook>,
}

/// One `[command:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// NAME.
    pub name: String,
    /// `program`: absolute.
    pub program: PathBuf,
    /// `arguments`.
    pub arguments: Vec<String>,
    /// `timeout`.
    pub timeout: Duration,
}

/// One `[webhook:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// NAME.
    pub name: String,
    /// `url`.
    pub url: Url,
    /// `token_file`, made absolute; read for each request.
    pub token_file: Option<PathBuf>,
    /// `format`.
    pub format: Format,
    /// `timeout`.
    pub timeout: Duration,
    /// `ca_file`, made absolute; none = the system's bundle.
    pub ca_file: Option<PathBuf>,
}

/// `format` of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The message as it came.
    Raw,
    /// A document with its envelope and its text.
    Json,
}

/// The address of a web server's page. Prints as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub tls: bool,
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, as a request names them.
    pub target: String,
    /// Host and port, as a request names them.
    pub authority: String,
}

/// What an alias can name besides people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `|NAME`.
    Command,
    /// `>NAME`.
    Webhook,
}

impl Handlers {
    /// None at all.
    pub const NONE: &'static Self = &Self {
        commands: Vec::new(),
        webhooks: Vec::new(),
    };

    /// The command and the webhook of `[alarm]` by their names, as far as there are such; what there is not is
    /// a problem of the draft.
    pub(super) fn of_alarm(&self, draft: &mut Draft) -> (Option<Command>, Option<Webhook>) {
        let command = self.named(Kind::Command, keys::alarm::COMMAND, draft);
        let webhook = self.named(Kind::Webhook, keys::alarm::WEBHOOK, draft);
        (
            command.and_then(|name| self.command(&name).cloned()),
            webhook.and_then(|name| self.webhook(&name).cloned()),
        )
    }

    /// The name that a key of `[alarm]` says; where there is no such section, that is a problem of the draft.
    fn named<K>(&self, kind: Kind, key: K, draft: &mut Draft) -> Option<String>
    where
        K: Ask<Answer = Option<String>>,
    {
        let name = draft.get(key)?;
        if let Err(reason) = self.find(kind, &name) {
            let (section, key) = (key.rule().section(), key.name());
            let line = draft.line(section, key).unwrap_or_default();
            draft.problem(line, Some(section), Some(key), reason);
        }
        Some(name)
    }

    /// The command of that name.
    pub fn command(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// The webhook of that name.
    pub fn webhook(&self, name: &str) -> Option<&Webhook> {
        self.webhooks.iter().find(|webhook| webhook.name == name)
    }

    /// Whether there is a section of that kind and name.
    ///
    /// # Errors
    /// There is none; in words that name the nearest.
    pub fn find(&self, kind: Kind, name: &str) -> Result<(), String> {
        let names: Vec<&str> = match kind {
            Kind::Command => self.commands.iter().map(|one| one.name.as_str()).collect(),
            Kind::Webhook => self.webhooks.iter().map(|one| one.name.as_str()).collect(),
        };
        if names.contains(&name) {
            return Ok(());
        }
        let mark = kind.mark();
        let hint = match suggest::nearest(name, names.into_iter()) {
            Some(near) => format!("; did you mean {mark}{near}?"),
            None => String::new(),
        };
        let section = kind.section();
        Err(format!(
            "{mark}{name}: there is no section [{section}:{name}]{hint}"
        ))
    }
}

impl Kind {
    /// How a target of this kind begins.
    pub fn mark(self) -> char {
        match self {
            Self::Command => '|',
            Self::Webhook => '>',
        }
    }

    /// How its sections begin.
    pub fn section(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Webhook => "webhook",
        }
    }
}

impl Url {
    /// Reads an address as an operator writes it.
    ///
    /// # Errors
    /// Why it is none, in plain words; without the address, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) | None => return Err("it must begin with http:// or https://".to_owned()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            let reason =
                "it must not hold a name or a password; a token has its own file, token_file";
            return Err(reason.to_owned());
        }
        if target.contains('#') {
            return Err("it must not hold a fragment (#)".to_owned());
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
        if !target.chars().all(is_plain) {
            let reason = "its path holds a character that has to be written as %XX";
            return Err(reason.to_owned());
        }
        let (host, port) = host_and_port(authority)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            tls,
            host,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            target: format!("{slash}{target}"),
            authority: authority.to_owned(),
        })
    }

    /// Whether what goes there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        let by_name = self.host.eq_ignore_ascii_case("localhost");
        address.map_or(by_name, |address| address.to_canonical().is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

/// `HOST`, `HOST:PORT`; an IPv6 address in brackets.
fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (name, rest) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner
                .split_once(']')
                .filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
                .ok_or("what stands in brackets is not an IPv6 address")?;
            (address.to_owned(), rest)
        }
        None => {
            let at = authority.find(':').unwrap_or(authority.len());
            let (name, rest) = authority.split_at(at);
            (host(name)?, rest)
        }
    };
    if rest.is_empty() {
        return Ok((name, None));
    }
    let digits = rest.strip_prefix(':').unwrap_or_default();
    let is_plain = digits.bytes().all(|octet| octet.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse::<u16>() {
        Ok(port) if is_plain => Ok((name, Some(port))),
        Ok(_) | Err(_) => Err(format!("{rest:?} behind the host is not a port")),
    }
}

/// The path of a program.
pub(super) fn program(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not the absolute path of a program; what it is called with stands in arguments"
        )),
    }
}

/// The NAME of a section, in lower case.
pub(super) fn named(kind: Kind, text: &str) -> Result<String, String> {
    let bare = text.strip_prefix(kind.mark()).unwrap_or(text);
    match bare.contains(char::is_whitespace) || bare.is_empty() {
        false => Ok(bare.to_lowercase()),
        true => Err(format!(
            "{text:?} is not the NAME of a section [{}:NAME]",
            kind.section()
        )),
    }
}

/// One argument of a program.
pub(super) fn argument(text: &str) -> Result<String, String> {
    match text.len() <= ARGUMENT_MAX_OCTETS && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "an argument is longer than {ARGUMENT_MAX_OCTETS} octets"
        )),
    }
}

/// The sections in file order; what one lacks is a problem of the draft.
pub(super) fn load(draft: &mut Draft) -> Handlers {
    let mut handlers = Handlers::default();
    for (section, line) in draft.sections.clone() {
        let (key, kind) = match section.split_once(':') {
            Some(("command", _)) => (keys::command::PROGRAM.name(), Kind::Command),
            Some(("webhook", _)) => (keys::webhook::URL.name(), Kind::Webhook),
            Some(_) | None => continue,
        };
        if !draft.is_written(&section, key) {
            let reason = format!("a {} needs this key", kind.section());
            draft.problem(line, Some(&section), Some(key), reason);
            continue;
        }
        match kind {
            Kind::Command => handlers.commands.extend(command(draft, &section)),
            Kind::Webhook => handlers.webhooks.extend(webhook(draft, &section)),
        }
    }
    handlers
}

fn name(section: &str) -> String {
    let name = section.split_once(':').map(|(_, name)| name);
    name.unwrap_or_default().to_owned()
}

fn command(draft: &Draft, section: &str) -> Option<Command> {
    let own = draft.within(section);
    Some(Command {
        name: name(section),
        program: own.get(keys::command::PROGRAM)?,
        arguments: own.get(keys::command::ARGUMENTS),
        timeout: own.get(keys::command::TIMEOUT),
    })
}

fn webhook(draft: &Draft, section: &str) -> Option<Webhook> {
    let own = draft.within(section);
    Some(Webhook {
        name: name(section),
        url: own.get(keys::webhook::URL)?,
        token_file: own.path(keys::webhook::TOKEN_FILE),
        format: own.get(keys::webhook::FORMAT),
        timeout: own.get(keys::webhook::TIMEOUT),
        ca_file: own.path(keys::webhook::CA_FILE),
    })
}

/// The longest argument of a program.
const ARGUMENT_MAX_OCTETS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for (text, tls, host, port, target) in [
            ("http://localhost", false, "localhost", 80, "/"),
            (
                "HTTPS://hooks.example/a/b?c=d&e",
                true,
                "hooks.example",
                443,
                "/a/b?c=d&e",
            ),
            ("http://[::1]:8080/x", false, "::1", 8080, "/x"),
            ("https://192.0.2.1:8443?x", true, "192.0.2.1", 8443, "/?x"),
            ("http://a.example/%C3%A4", false, "a.example", 80, "/%C3%A4"),
        ] {
            let url = Url::parse(text).unwrap();
            let got = (url.tls, url.host.as_str(), url.port, url.target.as_str());
            assert_eq!(got, (tls, host, port, target), "{text}");
        }
        for text in [
            "ftp://a.example",
            "a.example/x",
            "http://",
            "http:///x",
            "http://user:secret@a.example/",
            "http://a.example/#x",
            "http://a.example/a b",
            "http://a.example/ä",
            "http://a.example/\r\nX: y",
            "http://a.example:0/",
            "http://a.example:99999/",
            "http://a.example:+80/",
            "http://a.example:/",
            "http://::1/",
            "http://[a.example]/",
            "http://a..b/",
        ] {
            let reason = Url::parse(text).unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, want) in [
            ("http://localhost/", true),
            ("http://127.0.0.9/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://localhost.example/", false),
            ("http://192.0.2.1/", false),
            ("http://127.0.0.1.example/", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_loopback(), want, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_the_nearest() {
        let mut handlers = Handlers::default();
        handlers.webhooks.push(Webhook {
            name: "phone".to_owned(),
            url: Url::parse("http://localhost/").unwrap(),
            token_file: None,
            format: Format::Json,
            timeout: Duration::from_secs(1),
            ca_file: None,
        });
        assert_eq!(handlers.find(Kind::Webhook, "phone"), Ok(()));
        assert_eq!(
            handlers.find(Kind::Webhook, "phon").unwrap_err(),
            ">phon: there is no section [webhook:phon]; did you mean >phone?"
        );
        assert_eq!(
            handlers.find(Kind::Command, "phone").unwrap_err(),
            "|phone: there is no section [command:phone]"
        );
    }
}
