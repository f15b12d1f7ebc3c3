//! Relaying.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "relay",
        name: "allow_domains",
        kind: Kind::RelayDomains,
        default: Default::Value(""),
        meaning: "Outside domains that hosts under enforcement may send to.",
        change: "Name the domains this box passes mail on to for everybody, such as those it \
                  is a backup for.",
        domino: Some("Allow messages to be sent only to the following external Internet domains"),
    },
    Key {
        section: "relay",
        name: "deny_domains",
        kind: Kind::RelayDomains,
        default: Default::Value("*"),
        meaning: "Outside domains that hosts under enforcement may not send to; it wins over \
                  the allow lists, but for *, which only says that what no list allows is \
                  refused.",
        change: "Leave it; without * and with empty allow lists the server relays for \
                  everybody.",
        domino: Some("Deny messages to be sent to the following external Internet domains"),
    },
    Key {
        section: "relay",
        name: "allow_hosts",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts that may send to outside domains.",
        change: "Name printers, cameras and other hosts that cannot log in.",
        domino: Some(
            "Allow messages only from the following Internet hosts to be sent to external Internet domains",
        ),
    },
    Key {
        section: "relay",
        name: "deny_hosts",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts that may never send to outside domains; it wins over the allow lists.",
        change: "Name single hosts inside a network of allow_hosts.",
        domino: Some(
            "Deny messages from the following Internet hosts to be sent to external Internet domains",
        ),
    },
    Key {
        section: "relay",
        name: "enforce_for",
        kind: Kind::Word(&["external", "all", "none"]),
        default: Default::Value("external"),
        meaning: "Which hosts the relay rules are for: those outside [relay] internal, all, or \
                  none. A host that no rule is for may send everywhere.",
        change: "Set all where even this machine has to keep to the rules.",
        domino: Some("Perform Anti-Relay enforcement for these connecting hosts"),
    },
    Key {
        section: "relay",
        name: "internal",
        kind: Kind::Networks,
        default: Default::Value("127.0.0.0/8, ::1"),
        meaning: "The networks that count as internal. Each of their IPv6 addresses is a client of its own \
                  for limits per client.",
        change: "Add the networks whose every host you trust.",
        domino: None,
    },
    Key {
        section: "relay",
        name: "exclude_hosts",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts that the relay rules are not for.",
        change: "Name hosts that may send everywhere.",
        domino: Some("Exclude these connecting hosts from anti-relay checks"),
    },
    Key {
        section: "relay",
        name: "authenticated_users",
        kind: Kind::Word(&["exempt", "check"]),
        default: Default::Value("exempt"),
        meaning: "Whether sessions that have logged in are free of the relay rules.",
        change: "Set check where a login is for sending to local users only.",
        domino: Some("Exceptions for authenticated users"),
    },
];
