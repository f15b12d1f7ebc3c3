//! Texts, limits, workers.

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
        section: "messages",
        name: "site_not_enabled",
        kind: Kind::ReplyText,
        default: Default::Value("This site is not enabled on the server."),
        meaning: "The text of the first line where no site serves the session.",
        change: "Word it for your users.",
        domino: Some("default SMTP messages"),
    },
    Key {
        section: "messages",
        name: "relay_denied",
        kind: Kind::ReplyText,
        default: Default::Value("Relay rejected for policy reasons"),
        meaning: "The text where an outside recipient is refused.",
        change: "Say what a user has to set.",
        domino: Some("default SMTP messages"),
    },
    Key {
        section: "messages",
        name: "authentication_required",
        kind: Kind::ReplyText,
        default: Default::Value("Authentication required"),
        meaning: "The text where a login has to come first.",
        change: "Say what a user has to set.",
        domino: Some("default SMTP messages"),
    },
    Key {
        section: "messages",
        name: "access_denied",
        kind: Kind::ReplyText,
        default: Default::Value("Connection denied based on policy reason"),
        meaning: "The text of the first line where [connections] refuses a host.",
        change: "Say where a sender finds help.",
        domino: Some("default SMTP messages"),
    },
    Key {
        section: "messages",
        name: "too_many_errors",
        kind: Kind::ReplyText,
        default: Default::Value("SMTP service not available, closing transmission channel"),
        meaning: "The text of the last line where error_limit ends a session.",
        change: "Word it for your users.",
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
        meaning: "The most RCPT commands that are accepted for one message, repeated ones included; \
                  further ones are put off. A group counts as one.",
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
        meaning: "Mail data and envelopes of all sessions together that are held in memory. Past it, mail \
                  goes to files at once, and a message with more than a few recipients has its \
                  further ones put off.",
        change: "Raise it on a box with memory to spare and many large messages at a time.",
        domino: None,
    },
    Key {
        section: "workers",
        name: "threads",
        kind: Kind::Number { min: 0, max: 256 },
        default: Default::Value("0"),
        meaning: "Threads that do the work; 0: chosen from the cores. A session that waits for its \
                  client holds none. A change needs a restart.",
        change: "Raise it where the disk is slow and the log tells of waiting sessions.",
        domino: None,
    },
];
