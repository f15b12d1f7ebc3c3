//! The smarthost: the server that takes all mail for elsewhere.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "smarthost",
        name: "host",
        kind: Kind::Host,
        default: Default::Nothing("smarthost.example.org"),
        meaning: "The server that all mail for elsewhere is sent to: a host name or an IP address. \
                  Without one, no mail for elsewhere is taken.",
        change: "Set it to your provider's server for outgoing mail to let mail leave this machine.",
        domino: Some("Relay host"),
    },
    Key {
        section: "smarthost",
        name: "port",
        kind: Kind::Number { min: 1, max: 65535 },
        default: Default::Value("587"),
        meaning: "The port the smarthost listens on.",
        change: "Set 465 with tls = implicit, or 25 for a server that takes mail without a login.",
        domino: None,
    },
    Key {
        section: "smarthost",
        name: "tls",
        kind: Kind::Word(&["required", "implicit", "opportunistic", "none"]),
        default: Default::Value("required"),
        meaning: "required: STARTTLS, and a certificate that is good for the host's name. implicit: the \
                  same with TLS from the first octet. opportunistic: STARTTLS where it works, whatever \
                  the certificate, else plain text. none: plain text.",
        change: "Set implicit for port 465. Set opportunistic or none only for a server in your own \
                 network; a login needs required or implicit.",
        domino: None,
    },
    Key {
        section: "smarthost",
        name: "username",
        kind: Kind::Login,
        default: Default::Nothing("box@example.org"),
        meaning: "The name to log in with at the smarthost, with the password in password_file.",
        change: "Set it where the smarthost wants a login.",
        domino: None,
    },
    Key {
        section: "smarthost",
        name: "password_file",
        kind: Kind::Path,
        default: Default::Nothing("/etc/gatepost/smarthost.password"),
        meaning: "A file whose one line is the password for username. It is read at each login, by the \
                  account the service runs as, so a new password needs no restart.",
        change: "Set it together with username; let nobody but that account read the file.",
        domino: None,
    },
    Key {
        section: "smarthost",
        name: "ca_file",
        kind: Kind::Path,
        default: Default::Nothing("/etc/gatepost/smarthost-ca.pem"),
        meaning: "The certificates (PEM) that may vouch for the smarthost's. Without it, those that the \
                  system trusts.",
        change: "Set it where the smarthost's certificate is self-signed or comes from a private CA.",
        domino: None,
    },
];
