//! The alarm: who hears that mail itself is broken, and of what.

use super::super::handlers::Kind as Handler;
use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "alarm",
        name: "command",
        kind: Kind::Handler(Handler::Command),
        default: Default::Nothing("name"),
        meaning: "The NAME of a [command:NAME] whose program is run when mail itself is broken, once for \
                  each cause, and once when that is over. What is wrong stands in its environment and on \
                  its standard input. Without it and webhook, the log and gatepost status tell.",
        change: "Set it to something that reaches you without mail: a message to a phone, a lamp.",
        domino: None,
    },
    Key {
        section: "alarm",
        name: "webhook",
        kind: Kind::Handler(Handler::Webhook),
        default: Default::Nothing("name"),
        meaning: "The NAME of a [webhook:NAME] that is told the same by a POST of a JSON document, whatever \
                  its format. With both, both are told.",
        change: "Set it to a service that sends messages to a phone.",
        domino: None,
    },
    Key {
        section: "alarm",
        name: "repeat",
        kind: Kind::Interval { max: "30d" },
        default: Default::Value("0"),
        meaning: "How often that is told again while a cause lasts; 0 = never.",
        change: "Set 1d where an alarm may be overlooked.",
        domino: None,
    },
    Key {
        section: "alarm",
        name: "settle",
        kind: Kind::Duration {
            min: "1s",
            max: "1d",
        },
        default: Default::Value("5m"),
        meaning: "How long a cause must be gone before its alarm is over; a login or a connection that \
                  succeeds ends it at once. An alarm that comes back sooner is not told anew before.",
        change: "Raise it where disk space comes and goes.",
        domino: None,
    },
    Key {
        section: "alarm",
        name: "unreachable_after",
        kind: Kind::Number { min: 1, max: 100 },
        default: Default::Value("3"),
        meaning: "After how many failures in a row a smarthost or an LMTP server is out of reach: the \
                  third is some seven minutes after the first. A login that is refused is told at the \
                  first.",
        change: "Raise it where the line is down at night.",
        domino: None,
    },
    Key {
        section: "alarm",
        name: "queue_age",
        kind: Kind::Interval { max: "30d" },
        default: Default::Value("4h"),
        meaning: "How old the oldest message that waits to be delivered may be; 0 = any age.",
        change: "Raise it where mail for servers that are often down is usual.",
        domino: None,
    },
    Key {
        section: "alarm",
        name: "certificate_days",
        kind: Kind::Number { min: 0, max: 365 },
        default: Default::Value("14"),
        meaning: "How many days before its end a certificate is told of.",
        change: "Lower it where certificates last for days only.",
        domino: None,
    },
];
