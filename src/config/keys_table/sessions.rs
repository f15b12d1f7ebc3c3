//! TLS, extensions and logins.

use super::super::keys::{Default, Key, Kind};
use super::ENABLED_DISABLED;

/// Iterations of new passwords, here and for `gatepost passwd --iterations`.
pub(in crate::config) const ITERATIONS: Kind = Kind::NumberOrZero {
    min: 4096,
    max: 10_000_000,
};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "tls",
        name: "certificate",
        kind: Kind::Path,
        default: Default::Nothing("/etc/gatepost/certificate.pem"),
        meaning: "The certificate of this server as PEM: its own first, then those between it and \
                  the root.",
        change: "Set it to enable [port:tls] or STARTTLS.",
        domino: Some("key ring"),
    },
    Key {
        section: "tls",
        name: "private_key",
        kind: Kind::Path,
        default: Default::Nothing("/etc/gatepost/private_key.pem"),
        meaning: "The key of the certificate as PEM, not encrypted.",
        change: "Set it together with certificate.",
        domino: Some("key ring"),
    },
    Key {
        section: "tls",
        name: "min_version",
        kind: Kind::Word(&["1.2", "1.3"]),
        default: Default::Value("1.2"),
        meaning: "The oldest version of TLS that is spoken.",
        change: "Set 1.3 where every client is known to speak it.",
        domino: None,
    },
    Key {
        section: "tls",
        name: "watch",
        kind: Kind::Interval { max: "1d" },
        default: Default::Value("30s"),
        meaning: "How often the service looks whether a certificate or key, also one of a site, was \
                  renewed, and then takes it up; 0: only at a refresh and at a start.",
        change: "Set 0 where the program that renews them restarts the service.",
        domino: None,
    },
    Key {
        section: "extensions",
        name: "starttls",
        kind: Kind::Word(&["disabled", "enabled", "required"]),
        default: Default::Value("disabled"),
        meaning: "Whether a session on a tcp port can go over to TLS; required: nothing else goes on \
                  before it does.",
        change: "Enable it as soon as there is a certificate. required loses mail from servers that \
                  cannot do TLS.",
        domino: Some("TLS negotiated over TCP/IP port"),
    },
    Key {
        section: "extensions",
        name: "size",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "SIZE: the largest message is announced, and a larger one is refused before it is \
                  sent.",
        change: "Disable it only for a client that stumbles over it.",
        domino: Some("SIZE"),
    },
    Key {
        section: "extensions",
        name: "pipelining",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "PIPELINING: clients may send commands without waiting for each reply.",
        change: "Disable it only for a client that stumbles over it.",
        domino: Some("PIPELINING"),
    },
    Key {
        section: "extensions",
        name: "8bitmime",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "8BITMIME: content with octets above 127 is welcome; Domino's \
                  default is disabled.",
        change: "Disable it only where what reads the mail cannot take such octets.",
        domino: Some("8-bit MIME"),
    },
    Key {
        section: "extensions",
        name: "smtputf8",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "SMTPUTF8: addresses may hold letters outside ASCII.",
        change: "Disable it where what reads the mail cannot take such addresses.",
        domino: None,
    },
    Key {
        section: "extensions",
        name: "chunking",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "CHUNKING: clients may send a message with BDAT, in parts of a size told before.",
        change: "Disable it only for a client that stumbles over it.",
        domino: None,
    },
    Key {
        section: "extensions",
        name: "dsn",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("disabled"),
        meaning: "DSN: clients may say for which events they want a notification, and what comes back \
                  with it. A failure is told in any case, unless the client asks not to; that mail was \
                  delivered here, or passed on to a smarthost without DSN, only where the client asks, \
                  and has logged in or is in [relay] internal: anybody else may have forged the \
                  sender. What others ask is passed on to a smarthost with DSN.",
        change: "Enable it for clients that want to hear of success, or of nothing.",
        domino: Some("DSN"),
    },
    Key {
        section: "extensions",
        name: "help",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("enabled"),
        meaning: "HELP: the commands are listed on request.",
        change: "Disable it to say less to strangers.",
        domino: Some("HELP"),
    },
    Key {
        section: "extensions",
        name: "vrfy",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("disabled"),
        meaning: "VRFY: whether an address exists is told to who asks.",
        change: "Leave it disabled on an open network: address collectors ask as well.",
        domino: Some("VRFY"),
    },
    Key {
        section: "extensions",
        name: "expn",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("disabled"),
        meaning: "EXPN: the members of a list are told to who asks and may send.",
        change: "Leave it disabled on an open network: address collectors ask as well.",
        domino: Some("EXPN"),
    },
    // It has no field in the settings: nothing depends on it.
    Key {
        section: "extensions",
        name: "etrn",
        kind: Kind::Word(ENABLED_DISABLED),
        default: Default::Value("disabled"),
        meaning: "ETRN: a client asks for the mail that waits for it. This server never has such \
                  mail, so either way the command is refused with 502 and not listed.",
        change: "No need to; the key is there so that a Domino server's settings can be kept.",
        domino: Some("ETRN"),
    },
    Key {
        section: "auth",
        name: "users",
        kind: Kind::Path,
        default: Default::Derived("users beside this file", "users"),
        meaning: "The users file: one NAME:{SCHEME}SECRET a line, as gatepost passwd writes it and \
                  Dovecot reads it. It is read again when it changes; one that is written in place \
                  counts once it has stood still for a second.",
        change: "Point it to the file Dovecot uses to share its users.",
        domino: Some("Person documents"),
    },
    Key {
        section: "auth",
        name: "mechanisms",
        kind: Kind::Words(&["scram-sha-256-plus", "scram-sha-256", "plain", "login"]),
        default: Default::Value("scram-sha-256-plus, scram-sha-256, plain, login"),
        meaning: "The ways to log in that are offered, in this order. With SCRAM the password itself \
                  is never sent; the PLUS one is offered in TLS only. LOGIN is what many devices \
                  speak.",
        change: "Take both SCRAM words out as long as users have $5$ or $6$ passwords: those \
                 cannot log in by SCRAM, and some clients then try nothing else.",
        domino: None,
    },
    Key {
        section: "auth",
        name: "iterations",
        kind: ITERATIONS,
        default: Default::Value("0"),
        meaning: "How often gatepost passwd hashes a new password, and so how much a login costs here and \
                  on the client. 0: as most passwords of the users file, and where it has none, as this \
                  machine does in 100 ms: 16384, 32768, 65536 or 131072.",
        change: "Raise it where the users file may be stolen, lower it where logins take too long. \
                 Passwords that are set keep theirs.",
        domino: None,
    },
    Key {
        section: "auth",
        name: "plaintext_from",
        kind: Kind::Networks,
        default: Default::Value("0.0.0.0/0, ::/0"),
        meaning: "The networks whose clients may log in without TLS, where a port allows that at \
                  all. Empty: none.",
        change: "Name the network of the devices that cannot do TLS.",
        domino: None,
    },
    Key {
        section: "auth",
        name: "attempts_max",
        kind: Kind::Number { min: 1, max: 20 },
        default: Default::Value("3"),
        meaning: "Failed logins after which a session is closed. Domino closes after the first.",
        change: "Lower it where passwords are guessed at.",
        domino: None,
    },
    Key {
        section: "auth",
        name: "throttle",
        kind: Kind::YesNo,
        default: Default::Value("yes"),
        meaning: "Whether failed logins slow down the next ones: of a client address from the third \
                  on by 1s, 2s, 4s, up to 32s, and after the tenth they get 454; of an account from \
                  the fifth on by up to 8s. A failure counts for 15 minutes after the last one. A good login \
                  forgives those of its user from its address. A user who has logged in from an address \
                  within 30 days waits there by the own failures alone.",
        change: "Say no where something before this server does the same.",
        domino: None,
    },
    Key {
        section: "auth",
        name: "throttle_exempt",
        kind: Kind::Networks,
        default: Default::Value("127.0.0.0/8, ::1"),
        meaning: "The networks whose logins are neither slowed down nor counted.",
        change: "Add a webmail or gateway that logs in on behalf of many users.",
        domino: None,
    },
];
