//! The server and its ports.

use super::super::keys::{Default, Key, Kind};
use super::ENABLED_DISABLED;

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "hostname",
        kind: Kind::Domain,
        default: Default::Derived("the machine's name", "mx.example.org"),
        meaning: "The name this server gives itself in its greeting, in EHLO and in trace fields.",
        change: "Set it to the name other servers find in DNS when the machine calls itself \
                  something else.",
        domino: Some("the server's host name"),
    },
    Key {
        section: "server",
        name: "local_domains",
        kind: Kind::Domains,
        default: Default::Derived("hostname", "example.org, mx.example.org"),
        meaning: "The domains whose mail is delivered here. Mail for any other domain is outside \
                  mail. Empty: none.",
        change: "Name every domain whose MX record points here.",
        domino: Some("local Internet domains"),
    },
    Key {
        section: "server",
        name: "load_internet_sites",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether logins and mail without a login are decided by the [site:NAME] that \
                  serves a session's local address, and no more by the ports' own keys.",
        change: "Set it for several sites on one machine; without a site nobody is served.",
        domino: Some("Load Internet configurations from Server/Internet Sites documents"),
    },
    Key {
        section: "server",
        name: "spool",
        kind: Kind::Path,
        default: Default::Value("/var/spool/gatepost"),
        meaning: "The folder that keeps accepted mail until it is delivered. A change needs a \
                  restart.",
        change: "Point it to a disk that keeps what it has written when the power goes.",
        domino: Some("MAIL.BOX"),
    },
    Key {
        section: "server",
        name: "user",
        kind: Kind::Account,
        default: Default::Value("gatepost"),
        meaning: "The account the server becomes when it is started as root. A change needs a \
                  restart.",
        change: "Change it when the mail folders belong to another account.",
        domino: None,
    },
    Key {
        section: "server",
        name: "devices",
        kind: Kind::Number { min: 0, max: 2000 },
        default: Default::Value("500"),
        meaning: "Client addresses of which gatepost devices knows what they did last and what is \
                  wrong with them; 0 = none, and what was known is removed.",
        change: "Lower it on a box with little memory: a thousand take about a MiB.",
        domino: None,
    },
    Key {
        section: "server",
        name: "sandbox",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether the running service walls itself off, so that a session which was taken over \
                  reaches no other file, runs no program and gains no privilege. Programs and name \
                  look-ups are then left to a helper process. A change needs a restart.",
        change: "Say no where a [command:NAME] has to win other powers, as by sudo.",
        domino: None,
    },
    Key {
        section: "port:tcp",
        name: "number",
        kind: Kind::Number { min: 1, max: 65535 },
        default: Default::Value("25"),
        meaning: "The port number for plain SMTP, which may go on in TLS after STARTTLS.",
        change: "Change it where 25 is taken; other servers find a server on port 25 only.",
        domino: Some("TCP/IP port number"),
    },
    Key {
        section: "port:tcp",
        name: "status",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "Whether this port is served.",
        change: "Disable it on a box that takes mail on the TLS port only.",
        domino: Some("TCP/IP port status"),
    },
    Key {
        section: "port:tcp",
        name: "name_and_password",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether clients may log in on this port before TLS. After STARTTLS, [port:tls] \
                  name_and_password decides.",
        change: "Allow it only for devices that cannot do TLS, and mind [auth] plaintext_from.",
        domino: Some("Authentication options: Name & password (TCP/IP)"),
    },
    Key {
        section: "port:tcp",
        name: "anonymous",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether mail is taken on this port without a login, also after STARTTLS.",
        change: "Other servers never log in: say no only where none of them sends mail here.",
        domino: Some("Authentication options: Anonymous (TCP/IP)"),
    },
    Key {
        section: "port:tcp",
        name: "addresses",
        kind: Kind::Addresses,
        default: Default::Value("0.0.0.0, ::"),
        meaning: "The local addresses this port listens on; 0.0.0.0 is every IPv4 address, :: every \
                  IPv6 address.",
        change: "Name addresses to serve some networks only, or to share a machine with another \
                  server.",
        domino: None,
    },
    Key {
        section: "port:tcp",
        name: "proxy_from",
        kind: Kind::Networks,
        default: Default::Value(""),
        meaning: "Proxies, such as HAProxy, each of whose connections begins with a PROXY header \
                  (version 1 or 2) that tells the client's address. Connections from elsewhere are \
                  clients themselves.",
        change: "Name the address HAProxy connects from, and nothing wider: who is listed can claim \
                  to be any client.",
        domino: None,
    },
    Key {
        section: "port:tls",
        name: "number",
        kind: Kind::Number { min: 1, max: 65535 },
        default: Default::Value("465"),
        meaning: "The port number for SMTP that is inside TLS from the first octet.",
        change: "Change it where 465 is taken; mail programs expect 465.",
        domino: Some("TLS port number"),
    },
    Key {
        section: "port:tls",
        name: "status",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("disabled"),
        meaning: "Whether this port is served. It needs [tls] certificate and private_key.",
        change: "Enable it for mail programs that log in.",
        domino: Some("TLS port status"),
    },
    Key {
        section: "port:tls",
        name: "name_and_password",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether clients may log in inside TLS: on this port and, also while this port is \
                  disabled, after STARTTLS on every tcp port.",
        change: "Allow it for people and devices that send mail with a password.",
        domino: Some("Authentication options: Name & password (TLS)"),
    },
    Key {
        section: "port:tls",
        name: "anonymous",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether mail is taken on this port without a login.",
        change: "Say no where only people with a password use this port.",
        domino: Some("Authentication options: Anonymous (TLS)"),
    },
    Key {
        section: "port:tls",
        name: "addresses",
        kind: Kind::Addresses,
        default: Default::Value("0.0.0.0, ::"),
        meaning: "The local addresses this port listens on, as in [port:tcp].",
        change: "Name addresses to serve some networks only.",
        domino: None,
    },
    Key {
        section: "port:tls",
        name: "proxy_from",
        kind: Kind::Networks,
        default: Default::Value(""),
        meaning: "Proxies whose connections begin with a PROXY header, before TLS, as in [port:tcp].",
        change: "Name the address HAProxy connects from, and nothing wider.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "kind",
        kind: Kind::Word(&["tcp", "tls"]),
        default: Default::Required("tcp"),
        meaning: "Whether this further port works like [port:tcp] or like [port:tls]. Its other keys \
                  have the defaults of that port.",
        change: "Add a further port, such as [port:submission], for clients that need another \
                  number.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "number",
        kind: Kind::Number { min: 1, max: 65535 },
        default: Default::Required("587"),
        meaning: "The port number.",
        change: "587 is the number of mail submission with STARTTLS.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "status",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Derived("enabled for kind tcp, disabled for kind tls", "enabled"),
        meaning: "Whether this port is served.",
        change: "Disable it to keep its settings for later.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "name_and_password",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "As in the port of that kind; after STARTTLS, [port:tls] name_and_password decides.",
        change: "Say yes on a port for mail submission, with [auth] plaintext_from empty, so that passwords come after \
                 STARTTLS alone.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "anonymous",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether mail is taken on this port without a login.",
        change: "Say no on a port for mail submission.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "addresses",
        kind: Kind::Addresses,
        default: Default::Value("0.0.0.0, ::"),
        meaning: "The local addresses this port listens on, as in [port:tcp].",
        change: "Name addresses to serve some networks only.",
        domino: None,
    },
    Key {
        section: "port:NAME",
        name: "proxy_from",
        kind: Kind::Networks,
        default: Default::Value(""),
        meaning: "Proxies whose connections begin with a PROXY header, as in [port:tcp].",
        change: "Name the address HAProxy connects from, and nothing wider.",
        domino: None,
    },
];
