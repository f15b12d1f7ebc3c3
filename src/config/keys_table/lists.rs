//! Blacklists, whitelists and senders.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "dnsbl",
        name: "zones",
        kind: Kind::Domains,
        default: Default::Value(""),
        meaning: "DNS lists of bad hosts, asked in this order until one has the client.",
        change: "Name a list whose terms allow your use, such as zen.spamhaus.org.",
        domino: Some("DNS Blacklist Filters: DNS sites"),
    },
    Key {
        section: "dnsbl",
        name: "action",
        kind: Kind::Word(ACTIONS),
        default: Default::Value("reject"),
        meaning: "What happens to a listed client: a log line, a header field X-DNSBL-Site in \
                  its messages, or a refusal.",
        change: "Start with log to see whom a list would refuse.",
        domino: Some("DNS Blacklist Filters: desired action"),
    },
    Key {
        section: "dnsbl",
        name: "reply",
        kind: Kind::ReplyText,
        default: Default::Value("Connection denied based on policy reason"),
        meaning: "The text of the refusal; %s is the client's address.",
        change: "Say where a sender finds help.",
        domino: Some("DNS Blacklist Filters: custom SMTP error response"),
    },
    Key {
        section: "blacklist",
        name: "hosts",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts of your own blacklist, looked at before the DNS lists. It is for hosts under \
                  relay enforcement alone.",
        change: "Name hosts that send nothing good.",
        domino: Some("Private Blacklist Filter"),
    },
    Key {
        section: "blacklist",
        name: "action",
        kind: Kind::Word(ACTIONS),
        default: Default::Value("reject"),
        meaning: "What happens to such a host: a log line, a header field X-Blacklisted in its \
                  messages, or a refusal.",
        change: "Start with log to see whom it would refuse.",
        domino: Some("Private Blacklist Filter: desired action"),
    },
    Key {
        section: "blacklist",
        name: "reply",
        kind: Kind::ReplyText,
        default: Default::Value("Connection denied based on policy reason"),
        meaning: "The text of the refusal; %s is the client's address.",
        change: "Say where a sender finds help.",
        domino: Some("Private Blacklist Filter: custom SMTP error response"),
    },
    Key {
        section: "whitelist",
        name: "hosts",
        kind: Kind::Hosts,
        default: Default::Value(""),
        meaning: "Hosts for which neither the blacklist nor the DNS lists are asked.",
        change: "Name good hosts that a list has.",
        domino: Some("Private Whitelist Filter"),
    },
    Key {
        section: "senders",
        name: "verify_domain",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether the sender's domain must take mail by DNS: have an MX or an address.",
        change: "Set it where much mail comes from made-up domains.",
        domino: Some("Verify sender's domain in DNS"),
    },
    Key {
        section: "senders",
        name: "allow",
        kind: Kind::Mails,
        default: Default::Value(""),
        meaning: "Senders whose mail is taken. Empty: everybody's. The null sender <> is \
                  always taken.",
        change: "List senders on a box that hears from few.",
        domino: Some("Allow messages only from the following Internet addresses/domains"),
    },
    Key {
        section: "senders",
        name: "deny",
        kind: Kind::Mails,
        default: Default::Value(""),
        meaning: "Senders whose mail is refused; it wins over allow.",
        change: "List senders nobody here wants.",
        domino: Some("Deny messages from the following Internet addresses/domains"),
    },
    Key {
        section: "senders",
        name: "must_match_login",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether a session that has logged in may send only as its user, in every \
                  local domain, or as an alias that leads to this user alone.",
        change: "Say no where one login sends for several people.",
        domino: Some("SMTPVerifyAuthenticatedSender"),
    },
];

const ACTIONS: &[&str] = &["reject", "tag", "log"];
