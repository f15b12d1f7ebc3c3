//! The one table of keys: what the operator can set, how it is written, what it is when it is not.
//!
//! It drives parsing, the sample configuration and the manual, so that none of them can say what
//! another does not. Every limit an operator can move stands here.

use super::handlers;
use super::keys_table::TABLES;

/// One key of one section, as the table has it.
#[derive(Debug)]
pub struct Key {
    /// The section: a name, or [`FURTHER_PORT`].
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// What it is when it is not written.
    pub default: Default,
    /// What it means.
    pub meaning: &'static str,
    /// When to change it.
    pub change: &'static str,
    /// The field of a Domino server whose meaning it takes over; none where it is our own.
    pub domino: Option<&'static str>,
}

/// What the program needs of a key while it runs. The texts for people are some 30 KB with what points to
/// them; they are in the generators of the sample and the manual alone.
#[derive(Debug, Clone, Copy)]
pub struct KeyRule {
    /// The section: a name, or [`FURTHER_PORT`].
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// What it is when it is not written.
    pub default: Default,
}

/// How a value is written.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// A number.
    Number {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// A number, or 0 for a choice of ours.
    NumberOrZero {
        /// The least besides 0.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Octets, with K, M or G.
    Size {
        /// The least.
        min: &'static str,
        /// The greatest.
        max: &'static str,
    },
    /// A time with s, m, h or d.
    Duration {
        /// The least.
        min: &'static str,
        /// The greatest.
        max: &'static str,
    },
    /// A list of durations, in an order that means something.
    Durations {
        /// The least.
        min: &'static str,
        /// The greatest.
        max: &'static str,
    },
    /// A duration from 1s, or 0 for never.
    Interval {
        /// The greatest.
        max: &'static str,
    },
    /// One word of a list.
    Word(&'static [&'static str]),
    /// The text of the first reply.
    Greeting,
    /// The text of another reply.
    ReplyText,
    /// A file or folder.
    Path,
    /// An account of the system.
    Account,
    /// A user of the users file.
    User,
    /// A domain name.
    Domain,
    /// A host name or an IP address.
    Host,
    /// How mail for local users is delivered.
    Local,
    /// A program on this machine.
    Program,
    /// What a program is called with.
    Arguments,
    /// The address of a web server's page.
    Url,
    /// The NAME of a section of commands or webhooks.
    Handler(handlers::Kind),
    /// A name to log in with at another server.
    Login,
    /// One character or nothing.
    Character,
    /// An address, or nothing.
    MailAddress,
    /// A list of domain names.
    Domains,
    /// A list of local addresses.
    Addresses,
    /// A list of local addresses of sessions, which may be empty.
    SiteAddresses,
    /// A list of networks.
    Networks,
    /// A list of networks and host names.
    Hosts,
    /// A list of addresses and domains of mail.
    Mails,
    /// A list of domains of outside recipients.
    RelayDomains,
    /// A list of domains of reverse-paths.
    SenderDomains,
    /// A list of hosts, some with a port, in an order that means something; or empty.
    HostPorts,
    /// A few addresses with a port, or none.
    SocketAddresses,
    /// A list of users and groups.
    AccessNames,
    /// A list of words.
    Words(&'static [&'static str]),
}

/// What a key is when it is not written.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// This value, as an operator would write it.
    Value(&'static str),
    /// Taken from elsewhere; what is meant, and an example for the sample file.
    Derived(&'static str, &'static str),
    /// Nothing; an example for the sample file.
    Nothing(&'static str),
    /// It must be written; an example for the sample file.
    Required(&'static str),
}

/// The section that stands for every `[port:NAME]` but `[port:tcp]` and `[port:tls]`.
pub const FURTHER_PORT: &str = "port:NAME";
/// The section that stands for every `[site:NAME]`.
pub const SITE: &str = "site:NAME";
/// The section that stands for every `[smarthost:NAME]`.
pub const SMARTHOST: &str = "smarthost:NAME";
/// The section that stands for every `[command:NAME]`.
pub const COMMAND: &str = "command:NAME";
/// The section that stands for every `[webhook:NAME]`.
pub const WEBHOOK: &str = "webhook:NAME";

/// How the name of a table's section ends that stands for many of a file.
pub(super) const ANY_NAME: &str = ":NAME";

impl Kind {
    /// Whether it is a comma-separated list, which may go on over indented lines.
    pub fn is_list(&self) -> bool {
        matches!(
            self,
            Kind::Domains
                | Kind::Addresses
                | Kind::SiteAddresses
                | Kind::Networks
                | Kind::Hosts
                | Kind::Mails
                | Kind::RelayDomains
                | Kind::SenderDomains
                | Kind::HostPorts
                | Kind::SocketAddresses
                | Kind::AccessNames
                | Kind::Arguments
                | Kind::Durations { .. }
                | Kind::Words(_)
        )
    }

    /// What may be written, for the sample file and the manual.
    pub fn values(&self) -> String {
        match self {
            Kind::YesNo => "yes, no".to_owned(),
            Kind::Number { min, max } => format!("a number from {min} to {max}"),
            Kind::NumberOrZero { min, max } => format!("0, or a number from {min} to {max}"),
            Kind::Size { min, max } => format!("a size from {min} to {max} (K, M, G: 1024 each)"),
            Kind::Duration { min, max } => {
                format!("a duration from {min} to {max} (s, m, h or d)")
            }
            Kind::Durations { min, max } => {
                format!("a list of durations from {min} to {max} (s, m, h or d)")
            }
            Kind::Interval { max } => {
                format!("0, or a duration from 1s to {max} (s, m, h or d)")
            }
            Kind::Word(words) => words.join(", "),
            Kind::Greeting => {
                "printable ASCII that begins with {hostname}; {date} is the date".to_owned()
            }
            Kind::ReplyText => "printable ASCII".to_owned(),
            Kind::Path => "a path; a relative one begins at this file's folder".to_owned(),
            Kind::Account => "an account of the system".to_owned(),
            Kind::User => "a user of the users file".to_owned(),
            Kind::Domain => "a domain name".to_owned(),
            Kind::Host => "a host name or an IP address".to_owned(),
            Kind::Local => "maildir, lmtp:unix:PATH, lmtp:HOST:PORT".to_owned(),
            Kind::Program => "the absolute path of a program".to_owned(),
            Kind::Arguments => "a list of at most 32 texts, or empty".to_owned(),
            Kind::Url => {
                "http:// or https://, a host, and what may follow: a port, a path, a query"
                    .to_owned()
            }
            Kind::Handler(kind) => format!("the NAME of a [{}:NAME]", kind.section()),
            Kind::Login => "a text without control characters".to_owned(),
            Kind::Character => "one character, or empty".to_owned(),
            Kind::MailAddress => "an address, or empty".to_owned(),
            Kind::Domains => "a list of domain names".to_owned(),
            Kind::Addresses => "a list of IP addresses".to_owned(),
            Kind::SiteAddresses => "a list of IP addresses, or empty".to_owned(),
            Kind::Hosts => "a list of networks (CIDR), addresses and host names; example.org is \
                            also mx.example.org"
                .to_owned(),
            Kind::Mails => {
                "a list of addresses, domains (with those below them) and @domain (that \
                            domain alone)"
                    .to_owned()
            }
            Kind::RelayDomains => {
                "a list of domains (with those below them), @domain (that domain \
                                   alone) and * (all)"
                    .to_owned()
            }
            Kind::SenderDomains => {
                "a list of domains (with those below them) and @domain (that domain \
                                    alone)"
                    .to_owned()
            }
            Kind::HostPorts => "a list of HOST, HOST:PORT and [IPv6]:PORT, or empty".to_owned(),
            Kind::SocketAddresses => {
                "a list of at most 8 ADDRESS:PORT and [IPv6]:PORT, or empty".to_owned()
            }
            Kind::AccessNames => "a list of users, @group and * (every user)".to_owned(),
            Kind::Networks => "a list of networks (CIDR) or addresses, or empty".to_owned(),
            Kind::Words(words) => format!("a list of {}", words.join(", ")),
        }
    }
}

impl Default {
    /// The default in words, for the sample file and the manual.
    pub fn in_words(&self) -> &'static str {
        match self {
            Default::Value("") => "empty",
            Default::Value(value) | Default::Derived(value, _) => value,
            Default::Nothing(_) => "none",
            Default::Required(_) => "none; it must be written",
        }
    }

    /// What stands behind the `=` in the sample file.
    pub fn sample(&self) -> &'static str {
        match self {
            Default::Value(value)
            | Default::Derived(_, value)
            | Default::Nothing(value)
            | Default::Required(value) => value,
        }
    }
}

/// The keys of a section as the operator names it; none where there is no such section.
pub fn of_section(section: &str) -> Option<Vec<&'static KeyRule>> {
    let section = table_section(section);
    let keys: Vec<_> = all().filter(|key| key.section == section).collect();
    (!keys.is_empty()).then_some(keys)
}

/// The key of a section as the operator names it.
pub fn find(section: &str, name: &str) -> Option<&'static KeyRule> {
    let section = table_section(section);
    all().find(|key| key.section == section && key.name == name)
}

/// The sections an operator can write, in the order of the table, for suggestions.
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = all().map(|key| key.section).collect();
    sections.dedup();
    sections
}

/// All keys, in the order of the sample file.
pub fn all() -> impl Iterator<Item = &'static KeyRule> {
    static RULES: [KeyRule; COUNT] = rules();
    RULES.iter()
}

/// All keys with what is written about them, in the same order.
pub fn explained() -> impl Iterator<Item = &'static Key> {
    TABLES.iter().copied().flatten()
}

#[allow(clippy::indexing_slicing, reason = "it is run by the compiler alone")]
const COUNT: usize = {
    let (mut count, mut table) = (0, 0);
    while table < TABLES.len() {
        count += TABLES[table].len();
        table += 1;
    }
    count
};

#[allow(clippy::indexing_slicing, reason = "it is run by the compiler alone")]
const fn rules() -> [KeyRule; COUNT] {
    let mut rules = [KeyRule {
        section: "",
        name: "",
        kind: Kind::YesNo,
        default: Default::Nothing(""),
    }; COUNT];
    let (mut at, mut table) = (0, 0);
    while table < TABLES.len() {
        let mut row = 0;
        while row < TABLES[table].len() {
            let key = &TABLES[table][row];
            rules[at] = KeyRule {
                section: key.section,
                name: key.name,
                kind: key.kind,
                default: key.default,
            };
            (at, row) = (at + 1, row + 1);
        }
        table += 1;
    }
    rules
}

/// The section of the table that rules a section of the file.
fn table_section(section: &str) -> &str {
    match section.split_once(':') {
        Some(("port", "tcp" | "tls")) | None => section,
        Some(("port", name)) if is_name(name) => FURTHER_PORT,
        Some(("site", name)) if is_name(name) => SITE,
        Some(("smarthost", name)) if is_name(name) => SMARTHOST,
        Some(("command", name)) if is_name(name) => COMMAND,
        Some(("webhook", name)) if is_name(name) => WEBHOOK,
        Some(_) => section,
    }
}

/// Whether a further port, a site, a smarthost, a command or a webhook can be called this, a name in lower case: it is printed in logs and tables as one word.
pub fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= 32 && name.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;

    #[test]
    fn every_default_and_every_example_is_a_good_value() {
        for key in all() {
            let text = key.default.sample();
            let parsed = values::parse(&key.kind, &[(1, text)]);
            assert!(
                parsed.is_ok(),
                "[{}] {} = {text}: {parsed:?}",
                key.section,
                key.name
            );
        }
    }

    #[test]
    fn no_key_stands_twice_and_each_is_explained() {
        for (at, key) in all().enumerate() {
            let same = |other: &&KeyRule| other.section == key.section && other.name == key.name;
            assert_eq!(all().position(|k| same(&k)), Some(at), "{}", key.name);
        }
        for key in explained() {
            for text in [key.meaning, key.change] {
                assert!(
                    text.ends_with('.') && text.is_ascii(),
                    "{}: {text}",
                    key.name
                );
            }
        }
        let mut sections = sections();
        let count = sections.len();
        sections.sort_unstable();
        sections.dedup();
        assert_eq!(sections.len(), count, "a section's keys stand together");
    }

    #[test]
    fn sections_of_further_ports_are_ruled_by_one() {
        for (section, known) in [
            ("port:tcp", true),
            ("port:submission", true),
            ("port:NAME", true),
            ("port:", false),
            ("port:a b", false),
            ("port", false),
            ("site:main", true),
            ("smarthost:bulk", true),
            ("smarthost:", false),
            ("site:NAME", true),
            ("site:", false),
            ("site:a b", false),
            ("command:scan", true),
            ("command:a/b", false),
            ("webhook:phone", true),
            ("webhook:", false),
            ("nope", false),
        ] {
            assert_eq!(of_section(section).is_some(), known, "{section}");
        }
        assert!(find("port:tcp", "kind").is_none());
        assert!(find("port:submission", "kind").is_some());
    }
}
