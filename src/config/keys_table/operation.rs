//! Texts, limits, delivery, the log.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "messages",
        name: "greeting",
        kind: Kind::Greeting,
        default: Default::Value("{hostname} ESMTP ready"),
        meaning: "What follows the code 220 in the first reply.",
        change: "Change it where a client or an auditor expects another text.",
        domino: Some("default SMTP messages"),
    },
    Key {
        section: "limits",
        name: "message_size",
        kind: Kind::Size {
            min: "1K",
            max: "2G",
        },
        default: Default::Value("25M"),
        meaning: "The largest message, as the client sends it.",
        change: "Raise it for large attachments; the spool needs the room.",
        domino: Some("Maximum message size"),
    },
    Key {
        section: "limits",
        name: "recipients",
        kind: Kind::Number { min: 1, max: 10000 },
        default: Default::Value("500"),
        meaning: "The most recipients of one message; the others are put off.",
        change: "Keep at least 100, which every server may expect.",
        domino: None,
    },
    Key {
        section: "limits",
        name: "command_timeout",
        kind: Kind::Duration {
            min: "1s",
            max: "1d",
        },
        default: Default::Value("5m"),
        meaning: "How long a client may take for a whole command line.",
        change: "Lower it on a box with many idle clients; RFC 5321 asks for 5m.",
        domino: None,
    },
    Key {
        section: "limits",
        name: "data_timeout",
        kind: Kind::Duration {
            min: "1s",
            max: "1d",
        },
        default: Default::Value("10m"),
        meaning: "The longest silence in mail data.",
        change: "Lower it on a box with many stuck clients; RFC 5321 asks for 3m or more.",
        domino: None,
    },
    Key {
        section: "limits",
        name: "session_timeout",
        kind: Kind::Duration {
            min: "1s",
            max: "7d",
        },
        default: Default::Value("1h"),
        meaning: "How long a session may last in all.",
        change: "Raise it for slow lines and large messages.",
        domino: None,
    },
    Key {
        section: "limits",
        name: "free_space",
        kind: Kind::Size {
            min: "0",
            max: "1048576G",
        },
        default: Default::Value("64M"),
        meaning: "Space that is kept free in the file system of the spool: below it, mail is put off \
                  with 452.",
        change: "Raise it where other programs need the same disk.",
        domino: None,
    },
    Key {
        section: "limits",
        name: "mail_memory",
        kind: Kind::Size {
            min: "1M",
            max: "1G",
        },
        default: Default::Value("8M"),
        meaning: "Mail data of all sessions together that is held in memory; past it, mail goes to \
                  files at once.",
        change: "Raise it on a box with memory to spare and many large messages at a time.",
        domino: None,
    },
    Key {
        section: "workers",
        name: "threads",
        kind: Kind::Number { min: 0, max: 256 },
        default: Default::Value("0"),
        meaning: "Threads that do the work; 0: chosen from the cores. A session that waits for its \
                  client holds none.",
        change: "Raise it where the disk is slow and the log tells of waiting sessions.",
        domino: None,
    },
    Key {
        section: "delivery",
        name: "local",
        kind: Kind::Word(&["maildir"]),
        default: Default::Value("maildir"),
        meaning: "How mail for local users is delivered: into USER/Maildir below mail_root.",
        change: "There is one way so far.",
        domino: None,
    },
    Key {
        section: "delivery",
        name: "mail_root",
        kind: Kind::Path,
        default: Default::Value("/var/lib/gatepost/mail"),
        meaning: "The folder with a folder for each user.",
        change: "Point it to where the IMAP server looks for mail.",
        domino: Some("mail files"),
    },
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
        name: "target",
        kind: Kind::Word(&["stderr", "syslog"]),
        default: Default::Value("stderr"),
        meaning: "Where log lines go: to standard error, which the service manager collects, or to \
                  the local syslog.",
        change: "Set syslog where nothing collects standard error.",
        domino: None,
    },
    Key {
        section: "log",
        name: "format",
        kind: Kind::Word(&["text", "json"]),
        default: Default::Value("text"),
        meaning: "How log lines look: key=value, or a JSON object.",
        change: "Set json for a log collector.",
        domino: None,
    },
];
