//! The log.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "log",
        name: "level",
        kind: Kind::Word(&["error", "warn", "warning", "info", "debug", "trace"]),
        default: Default::Value("info"),
        meaning: "The least important lines that are logged; warn and warning are the same. debug \
                  tells the dialogue, never passwords or content.",
        change: "Set debug to find out what a client does.",
        domino: Some("log level"),
    },
    Key {
        section: "log",
        name: "debug_for",
        kind: Kind::Networks,
        default: Default::Value(""),
        meaning: "The networks whose dialogue level = debug tells: each command, each reply, and how much mail data \
                  came. Empty: everybody's. Sessions that have begun stay as they are.",
        change: "Name the client that you look at, so that others stay out of the log.",
        domino: Some("SMTPDebugIO"),
    },
    Key {
        section: "log",
        name: "target",
        kind: Kind::Word(&["stderr", "syslog", "journal"]),
        default: Default::Value("stderr"),
        meaning: "Where log lines go: to standard error, which the service manager collects, to the \
                  local syslog, or to systemd's journal with each value as a field. A change needs a restart.",
        change: "Set syslog where nothing collects standard error; journal to search by journalctl \
                 EVENT=login_failed.",
        domino: None,
    },
    Key {
        section: "log",
        name: "format",
        kind: Kind::Word(&["text", "json"]),
        default: Default::Value("text"),
        meaning: "How log lines look: key=value, or a JSON object. A change needs a restart.",
        change: "Set json for a log collector.",
        domino: None,
    },
];
