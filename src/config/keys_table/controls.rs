//! Who may connect, send and relay, and to whom.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "connections",
        name: "verify_host_name",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether the client's address must have a name in DNS that looks up to it \
                  again. Without one, MAIL is refused.",
        change: "Set it where no honest host lacks a name; some do.",
        domino: Some("Verify connecting host name in DNS"),
    },
    Key {
        section: "connections",
        name: "allow",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts that may connect. Empty: all.",
        change: "Name the few networks of a box that serves no others.",
        domino: Some("Allow connections only from the following Internet hosts"),
    },
    Key {
        section: "connections",
        name: "deny",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts that may not connect; it wins over allow.",
        change: "Name hosts you do not want to hear from.",
        domino: Some("Deny connections from the following Internet hosts"),
    },
    Key {
        section: "connections",
        name: "explain_to",
        kind: Kind::Networks,
        default: Default::Value(""),
        meaning: "Networks whose clients hear with a refusal which line of this file made it. Not told \
                  are a failed login, a parameter or a command other than STARTTLS and AUTH that is switched \
                  off, and limits on sessions and errors.",
        change: "Set your own network while you look for a fault.",
        domino: None,
    },
    Key {
        section: "connections",
        name: "error_limit",
        kind: Kind::Number {
            min: 0,
            max: 100000,
        },
        default: Default::Value("20"),
        meaning: "Replies of class 5yz after which a session is closed; 0: no limit.",
        change: "Lower it to be rid of address collectors sooner.",
        domino: Some("Error limit before connection is terminated"),
    },
    Key {
        section: "connections",
        name: "sessions_max",
        kind: Kind::Number {
            min: 1,
            max: 100000,
        },
        default: Default::Value("1000"),
        meaning: "The most sessions at a time. An idle one inside TLS takes about 8K of memory.",
        change: "Lower it on a box with little memory.",
        domino: None,
    },
    Key {
        section: "connections",
        name: "sessions_max_per_address",
        kind: Kind::Number {
            min: 0,
            max: 100000,
        },
        default: Default::Value("50"),
        meaning: "The most sessions at a time from one client; 0: no limit. A client is an IPv4 address \
                  or an IPv6 /64; IPv6 addresses that are link-local or in [relay] internal count singly.",
        change: "Raise it where many clients share one address.",
        domino: None,
    },
    Key {
        section: "recipients",
        name: "verify",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether unknown recipients in local domains are refused. With no they are taken, \
                  and their mail goes to catch_all, else to the mailbox of postmaster, so that \
                  nothing accepted is lost. Domino's default is no.",
        change: "Say no only where no local address may ever be refused.",
        domino: Some("Verify that local domain recipients exist in the directory"),
    },
    Key {
        section: "recipients",
        name: "allow",
        kind: Kind::Mails,
        default: Default::Value(""),
        meaning: "Recipients whose mail is taken, here and elsewhere. Empty: all.",
        change: "List recipients on a box that takes mail for few.",
        domino: Some("Allow messages intended only for the following Internet addresses"),
    },
    Key {
        section: "recipients",
        name: "deny",
        kind: Kind::Mails,
        default: Default::Value(""),
        meaning: "Recipients whose mail is refused; it wins over allow.",
        change: "List addresses that get nothing but spam.",
        domino: Some("Deny messages intended for the following Internet addresses"),
    },
    Key {
        section: "recipients",
        name: "deny_ambiguous",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether a local recipient that is both a user and an alias is refused. With no the \
                  alias wins.",
        change: "Say yes where no name may mean two things.",
        domino: Some("Reject ambiguous names"),
    },
    Key {
        section: "recipients",
        name: "deny_groups",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether mail to a group, an alias with several targets, is refused.",
        change: "Say yes where groups are for access lists alone.",
        domino: Some("Deny mail to groups"),
    },
    Key {
        section: "recipients",
        name: "subaddress",
        kind: Kind::Character,
        default: Default::Value("+"),
        meaning: "The character that begins a detail: user+detail is delivered to user. Empty: none. \
                  An address that is a user as a whole is that user.",
        change: "Set - to be compatible with a server that used it.",
        domino: None,
    },
    Key {
        section: "recipients",
        name: "catch_all",
        kind: Kind::User,
        default: Default::Nothing("postmaster"),
        meaning: "The user who gets mail for unknown recipients in local domains.",
        change: "Set it to lose no misspelt address, at the price of more junk.",
        domino: None,
    },
    Key {
        section: "recipients",
        name: "unknown_max",
        kind: Kind::Number {
            min: 0,
            max: 100000,
        },
        default: Default::Value("100"),
        meaning: "Unknown recipients of one client in 15 minutes. From then on each of its RCPT waits 5s, \
                  and from twice as many the session is closed with 421. Not for sessions with a login, \
                  internal hosts, exclude_hosts, [whitelist] and throttle_exempt; 0: no limit.",
        change: "Raise it for a server that passes on much mail for people who have left.",
        domino: None,
    },
];
