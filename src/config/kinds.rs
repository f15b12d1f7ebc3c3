//! How values are written: each kind with its parser, so that a key's type follows from its kind.
//!
//! Refuses to know: which keys there are.

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time;

use crate::mail::{self, Mailbox};

use super::draft::Draft;
use super::handlers;
use super::keys::{KeyRule, Line};
use super::lists::{AccessName, HostPattern, MailPattern, RelayPattern};
use super::local;
use super::settings::Network;
use super::values::{self, HostPort, List, Refused, Relative};

/// How a value is written. Limits are as an operator would write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        /// The least besides 0.
        min: &'static str,
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

impl Kind {
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
            Kind::Interval { min, max } => {
                format!("0, or a duration from {min} to {max} (s, m, h or d)")
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

    /// Whether nothing is a value as well.
    fn may_be_empty(&self) -> bool {
        matches!(self, Self::Character | Self::MailAddress)
    }

    /// The least and the greatest number; none for other kinds.
    fn numbers(&self) -> (u64, u64) {
        let (Self::Number { min, max } | Self::NumberOrZero { min, max }) = self else {
            return (0, 0);
        };
        (*min, *max)
    }

    /// The least and the greatest size or time; empty for other kinds.
    fn range(&self) -> (&'static str, &'static str) {
        let (Self::Size { min, max }
        | Self::Duration { min, max }
        | Self::Durations { min, max }
        | Self::Interval { min, max }) = self
        else {
            return ("", "");
        };
        (min, max)
    }
}

/// A kind as a type: what its values are, and what reads them.
pub(super) trait Read {
    /// What a value is.
    type Value;
    /// Whether it is a list, which may go on over indented lines.
    const IS_LIST: bool;
    /// What reads it whatever its type.
    const READER: Reader;

    /// Reads a value.
    fn read(kind: &Kind, lines: &[Line]) -> Result<Self::Value, Vec<Refused>>;

    /// The value of a key in this section of a draft, or in the key's own.
    fn get(draft: &Draft, section: Option<&str>, rule: &KeyRule) -> Option<Self::Value>;
}

/// What reads a value. Most values are numbers or texts to begin with, and few functions are for all of them.
pub(super) enum Reader {
    /// As a number, from which the value is made.
    Number(fn(&Kind, &str) -> Result<u64, String>),
    /// As a text, from which the value is made.
    Text(fn(&Kind, &str) -> Result<String, String>),
    /// Two values of another type; tells whether they are the same.
    Other(fn(&Kind, &[Line], &[Line]) -> Result<bool, Vec<Refused>>),
}

/// A kind that is to be declared as a key's.
pub(super) struct Typed<K>(pub(super) Kind, pub(super) PhantomData<K>);

/// `Type, function: the type of its values = variant, what reads it`: a `number` or a `text` and what makes the
/// value of it, `one` value of another type, or a `list`.
macro_rules! kinds {
    ($($name:ident$(<$number:ident>)?, $function:ident$(($($limit:ident: $of:ty),*))?: $value:ty
        = $kind:expr, $how:ident($($with:expr),*);)*) => { $(
        pub(super) struct $name$(<$number>(PhantomData<$number>))?;

        impl$(<$number: TryFrom<u64>>)? Read for $name$(<$number>)? {
            type Value = $value;
            reads!($how, $value, $($with),*);
        }

        pub(super) const fn $function$(<$number>)?(
            $($($limit: $of),*)?
        ) -> Typed<$name$(<$number>)?> {
            Typed($kind, PhantomData)
        }
    )* };
}

macro_rules! reads {
    (number, $value:ty, $read:expr, $make:expr) => {
        reads!(made, number, Number, $value, $read, $make);
    };
    (text, $value:ty, $read:expr, $make:expr) => {
        reads!(made, text, Text, $value, $read, $make);
    };
    (made, $get:ident, $reader:ident, $value:ty, $read:expr, $make:expr) => {
        const IS_LIST: bool = false;
        const READER: Reader = Reader::$reader($read);

        fn read(kind: &Kind, lines: &[Line]) -> Result<$value, Vec<Refused>> {
            one(kind, lines, $read).map($make)
        }

        fn get(draft: &Draft, section: Option<&str>, rule: &KeyRule) -> Option<$value> {
            draft.$get(section, rule, $read).map($make)
        }
    };
    (one, $value:ty, $read:expr) => {
        reads!(other, false, $value, |kind, lines| one(kind, lines, $read));
    };
    (list, $value:ty, $read:expr) => {
        reads!(other, true, $value, |kind, lines| list(kind, lines, $read));
    };
    (other, $is_list:literal, $value:ty, $read:expr) => {
        const IS_LIST: bool = $is_list;
        const READER: Reader =
            Reader::Other(
                |kind, one, other| Ok(Self::read(kind, one)? == Self::read(kind, other)?),
            );

        fn read(kind: &Kind, lines: &[Line]) -> Result<$value, Vec<Refused>> {
            let read: fn(&Kind, &[Line]) -> Result<$value, Vec<Refused>> = $read;
            read(kind, lines)
        }

        fn get(draft: &Draft, section: Option<&str>, rule: &KeyRule) -> Option<$value> {
            draft.other(section, rule, Self::read)
        }
    };
}

pub(super) fn one<T>(
    kind: &Kind,
    lines: &[Line],
    read: fn(&Kind, &str) -> Result<T, String>,
) -> Result<T, Vec<Refused>> {
    let (line, text) = first(kind, lines)?;
    read(kind, text).map_err(|reason| vec![Refused { line, reason }])
}

fn first<'a>(kind: &Kind, lines: &'a [Line]) -> Result<(usize, &'a str), Vec<Refused>> {
    let (line, text) = lines.first().map_or((1, ""), |(line, text)| (*line, text));
    match text.is_empty() && !kind.may_be_empty() {
        true => Err(vec![Refused {
            line,
            reason: "the value is missing".to_owned(),
        }]),
        false => Ok((line, text)),
    }
}

fn list<T>(
    kind: &Kind,
    lines: &[Line],
    read: fn(&Kind, &List) -> Result<Vec<T>, Vec<Refused>>,
) -> Result<Vec<T>, Vec<Refused>> {
    read(kind, &List { lines })
}

kinds! {
    YesNo, yes_no: bool = Kind::YesNo, number(|_, text| values::yes_no(text).map(u64::from), |yes| yes != 0);
    Greeting, greeting: String = Kind::Greeting, text(|_, text| values::greeting(text), |text| text);
    ReplyText, reply_text: String = Kind::ReplyText, text(|_, text| values::reply_text(text), |text| text);
    Path, path: Relative = Kind::Path, text(|_, text| Ok(text.to_owned()), Relative);
    Account, account: String = Kind::Account, text(|_, text| values::account(text), |text| text);
    User, user: String = Kind::User, text(|_, text| values::user(text), |text| text);
    Domain, domain: mail::Domain = Kind::Domain, one(|_, text| values::host_name(text));
    Host, host: String = Kind::Host, text(|_, text| values::host_or_meant(text), |text| text);
    Local, local: local::Local = Kind::Local, one(|_, text| local::Local::parse(text));
    Program, program: PathBuf = Kind::Program, text(|_, text| handlers::program(text), PathBuf::from);
    Url, url: handlers::Url = Kind::Url, one(|_, text| handlers::Url::parse(text));
    Login, login: String = Kind::Login, text(|_, text| values::login(text), |text| text);
    Character, character: Option<char> = Kind::Character, one(|_, text| values::character(text));
    MailAddress, mail_address: Option<Mailbox> = Kind::MailAddress,
        one(|_, text| values::mail_address(text));
    Arguments, arguments: Vec<String> = Kind::Arguments,
        list(|_, list| list.as_written(handlers::argument));
    Domains, domains: Vec<mail::Domain> = Kind::Domains, list(|_, list| list.each(values::domain));
    Addresses, addresses: Vec<IpAddr> = Kind::Addresses,
        list(|_, list| list.some_of(values::address, "at least one address is needed"));
    SiteAddresses, site_addresses: Vec<IpAddr> = Kind::SiteAddresses,
        list(|_, list| list.each(values::site_address));
    Networks, networks: Vec<Network> = Kind::Networks, list(|_, list| list.each(values::network));
    Hosts, hosts: Vec<HostPattern> = Kind::Hosts, list(|_, list| list.each(HostPattern::parse));
    Mails, mails: Vec<MailPattern> = Kind::Mails, list(|_, list| list.each(MailPattern::parse));
    RelayDomains, relay_domains: Vec<RelayPattern> = Kind::RelayDomains,
        list(|_, list| list.each(RelayPattern::parse));
    SenderDomains, sender_domains: Vec<RelayPattern> = Kind::SenderDomains,
        list(|_, list| list.some_of(values::sender_domain, "at least one domain is needed"));
    HostPorts, host_ports: Vec<HostPort> = Kind::HostPorts,
        list(|_, list| list.few(HostPort::parse));
    SocketAddresses, socket_addresses: Vec<SocketAddr> = Kind::SocketAddresses,
        list(|_, list| list.few(values::socket_address));
    AccessNames, access_names: Vec<AccessName> = Kind::AccessNames,
        list(|_, list| list.each(AccessName::parse));
    Number<N>, number(min: u64, max: u64): N
        = Kind::Number { min, max }, number(|kind, text| values::number_within(text, kind.numbers()), fitting);
    NumberOrZero, number_or_zero(min: u64, max: u64): Option<NonZeroU32>
        = Kind::NumberOrZero { min, max },
        number(|kind, text| values::number_or_zero(text, kind.numbers()), |number| {
            NonZeroU32::new(fitting(number))
        });
    Size, size(min: &'static str, max: &'static str): u64
        = Kind::Size { min, max }, number(|kind, text| values::size(text, kind.range()), |octets| octets);
    Duration, duration(min: &'static str, max: &'static str): time::Duration
        = Kind::Duration { min, max }, number(|kind, text| values::duration(text, kind.range()), time::Duration::from_secs);
    Interval, interval(min: &'static str, max: &'static str): Option<time::Duration>
        = Kind::Interval { min, max }, number(|kind, text| values::interval(text, kind.range()), |seconds| {
            (seconds > 0).then(|| time::Duration::from_secs(seconds))
        });
    Durations, durations(min: &'static str, max: &'static str): Vec<time::Duration>
        = Kind::Durations { min, max },
        list(|kind, list| list.in_order(|text| {
            values::duration(text, kind.range()).map(time::Duration::from_secs)
        }));
    CommandName, command_name: String = Kind::Handler(handlers::Kind::Command),
        text(|_, text| handlers::named(handlers::Kind::Command, text), |name| name);
    WebhookName, webhook_name: String = Kind::Handler(handlers::Kind::Webhook),
        text(|_, text| handlers::named(handlers::Kind::Webhook, text), |name| name);
}

/// Words and what they stand for, in the same order.
pub(super) trait Words {
    /// What a word stands for.
    type Value: Copy + PartialEq + 'static;
    /// The words.
    const WORDS: &'static [&'static str];
    /// Their values.
    const VALUES: &'static [Self::Value];
}

/// Declares words: `words! { Answer: bool { "yes" => true, "no" => false } }`.
macro_rules! words {
    ($name:ident: $value:ty { $($word:literal => $meant:expr),* $(,)? }) => {
        pub(in crate::config) struct $name;

        impl $crate::config::kinds::Words for $name {
            type Value = $value;
            const WORDS: &'static [&'static str] = &[$($word),*];
            const VALUES: &'static [$value] = &[$($meant),*];
        }
    };
}
pub(super) use words;

/// One of the words.
pub(super) struct Word<W>(PhantomData<W>);

impl<W: Words> Read for Word<W> {
    type Value = W::Value;
    reads!(number, W::Value, place, value_at::<W>);
}

/// Some of the words.
pub(super) struct SomeWords<W>(PhantomData<W>);

impl<W: Words> Read for SomeWords<W> {
    type Value = Vec<W::Value>;
    reads!(other, true, Vec<W::Value>, |kind, lines| {
        let places: Vec<u64> = List { lines }.some_words(kind)?;
        Ok(places.into_iter().map(value_at::<W>).collect())
    });
}

pub(super) const fn word<W: Words>() -> Typed<Word<W>> {
    Typed(Kind::Word(W::WORDS), PhantomData)
}

pub(super) const fn some_words<W: Words>() -> Typed<SomeWords<W>> {
    Typed(Kind::Words(W::WORDS), PhantomData)
}

/// The place of a word in its list.
pub(super) fn place(kind: &Kind, text: &str) -> Result<u64, String> {
    let (Kind::Word(words) | Kind::Words(words)) = kind else {
        return Err(values::no_word(text, &[]));
    };
    let mut places = (0..).zip(*words);
    let found = places.find(|(_, word)| word.eq_ignore_ascii_case(text));
    found
        .map(|(at, _)| at)
        .ok_or_else(|| values::no_word(text, words))
}

fn value_at<W: Words>(place: u64) -> W::Value {
    let at = usize::try_from(place).unwrap_or(usize::MAX);
    *W::VALUES.get(at).expect("there is a value for each word")
}

/// A number as the type of its key, which has room for all that the limits let in: a test tries both ends.
fn fitting<N: TryFrom<u64>>(number: u64) -> N {
    N::try_from(number)
        .ok()
        .expect("the limits of a key fit its type")
}
