//! Commands and webhooks: sections that the aliases file names.

use super::super::keys::{COMMAND, Default, Key, Kind, WEBHOOK};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: COMMAND,
        name: "program",
        kind: Kind::Program,
        default: Default::Required("/usr/local/bin/scan-mail"),
        meaning: "The program that mail for the alias target |NAME is given to, on its standard input. \
                  No shell reads this, nor anything a client sends. It runs as the account of the \
                  service; the envelope is in its environment.",
        change: "Set it to a program of your own that files, prints or passes on a message.",
        domino: None,
    },
    Key {
        section: COMMAND,
        name: "arguments",
        kind: Kind::Arguments,
        default: Default::Value(""),
        meaning: "What the program is called with, one text for each comma. They are always the same: \
                  nothing in them is replaced.",
        change: "List the options that the program needs.",
        domino: None,
    },
    Key {
        section: COMMAND,
        name: "timeout",
        kind: Kind::Duration {
            min: "1s",
            max: "1h",
        },
        default: Default::Value("1m"),
        meaning: "How long the program may take with one message. Then it is killed, with its whole \
                  process group, and the message is tried again later.",
        change: "Raise it for a program that works long.",
        domino: None,
    },
    Key {
        section: WEBHOOK,
        name: "url",
        kind: Kind::Url,
        default: Default::Required("https://hooks.example.org/mail"),
        meaning: "Where mail for the alias target >NAME is posted. A redirection is not followed.",
        change: "Set it to the address that the receiver tells.",
        domino: None,
    },
    Key {
        section: WEBHOOK,
        name: "token_file",
        kind: Kind::Path,
        default: Default::Nothing("/etc/gatepost/phone.token"),
        meaning: "A file whose one line goes along as Authorization: Bearer. It is read for each \
                  request, by the account the service runs as, so a new token needs no restart.",
        change: "Set it where the receiver wants to know who posts; the url must then be https, or of \
                 this machine. Let nobody but that account read the file.",
        domino: None,
    },
    Key {
        section: WEBHOOK,
        name: "format",
        kind: Kind::Word(&["json", "raw"]),
        default: Default::Value("json"),
        meaning: "json: a document with the envelope, the subject and the text. raw: the message itself \
                  (message/rfc822), with the envelope in fields X-Gatepost-*.",
        change: "Set raw where the receiver reads mail, or wants attachments.",
        domino: None,
    },
    Key {
        section: WEBHOOK,
        name: "timeout",
        kind: Kind::Duration {
            min: "1s",
            max: "1h",
        },
        default: Default::Value("30s"),
        meaning: "How long a request may take from the connection to the answer. Then the message is \
                  tried again later.",
        change: "Raise it for a receiver that answers late, or for large mail on a slow line.",
        domino: None,
    },
    Key {
        section: WEBHOOK,
        name: "ca_file",
        kind: Kind::Path,
        default: Default::Nothing("/etc/gatepost/webhook-ca.pem"),
        meaning: "The certificates (PEM) that may vouch for the receiver's. Without it, those that the \
                  system trusts.",
        change: "Set it where the receiver's certificate is self-signed or comes from a private CA.",
        domino: None,
    },
];
