//! The smarthost: the server that takes all mail for elsewhere; further ones for some senders' domains.
//!
//! `[smarthost:NAME]` has every key of `[smarthost]`, from the same rows, and `sender_domains`.

use super::super::keys::{Default, Key, Kind, SMARTHOST};

pub(super) const KEYS: &[Key] = &[
    HOST,
    PORT,
    FALLBACK,
    TLS,
    CA_FILE,
    USERNAME,
    PASSWORD_FILE,
    TOKEN_FILE,
    MECHANISMS,
    PLAINTEXT_LOGIN,
    CONVERT_8BIT,
    ENVELOPE_SENDER,
    Key {
        default: Default::Required("bulk.example.net"),
        meaning: "The server that mail of these sender_domains is sent to. The other keys are as in \
                  [smarthost].",
        change: "Write it in each such section.",
        ..further(HOST)
    },
    Key {
        section: SMARTHOST,
        name: "sender_domains",
        kind: Kind::SenderDomains,
        default: Default::Required("example.net, @example.org"),
        meaning: "The domains of reverse-paths whose mail for elsewhere goes this way. Where several \
                  entries name a domain, @domain wins, then the longest. What has no sender, and \
                  every other domain, goes to [smarthost].",
        change: "Write it in each such section; an entry can be in one section only.",
        domino: None,
    },
    further(PORT),
    further(FALLBACK),
    further(TLS),
    further(CA_FILE),
    further(USERNAME),
    further(PASSWORD_FILE),
    further(TOKEN_FILE),
    further(MECHANISMS),
    further(PLAINTEXT_LOGIN),
    further(CONVERT_8BIT),
    further(ENVELOPE_SENDER),
];

/// The same key in a section of its own name; a Domino server has one relay host only.
const fn further(key: Key) -> Key {
    Key {
        section: SMARTHOST,
        domino: None,
        ..key
    }
}

const HOST: Key = Key {
    section: "smarthost",
    name: "host",
    kind: Kind::Host,
    default: Default::Nothing("smarthost.example.org"),
    meaning: "The server that all mail for elsewhere is sent to: a host name or an IP address. \
              Without one, no mail for elsewhere is taken.",
    change: "Set it to your provider's server for outgoing mail to let mail leave this machine.",
    domino: Some("Relay host"),
};

const PORT: Key = Key {
    section: "smarthost",
    name: "port",
    kind: Kind::Number { min: 1, max: 65535 },
    default: Default::Value("587"),
    meaning: "The port the smarthost listens on.",
    change: "Set 465 with tls = implicit, or 25 for a server that takes mail without a login.",
    domino: None,
};

const TLS: Key = Key {
    section: "smarthost",
    name: "tls",
    kind: Kind::Word(&["required", "implicit", "opportunistic", "none"]),
    default: Default::Value("required"),
    meaning: "required: STARTTLS, and a certificate that is good for the host's name. implicit: the \
              same with TLS from the first octet. opportunistic: STARTTLS where it works, whatever \
              the certificate, else plain text. none: plain text.",
    change: "Set implicit for port 465. Set opportunistic or none only for a server in your own \
             network; a login needs required or implicit, or plaintext_login.",
    domino: None,
};

const USERNAME: Key = Key {
    section: "smarthost",
    name: "username",
    kind: Kind::Login,
    default: Default::Nothing("box@example.org"),
    meaning: "The name to log in with at the smarthost, with the password in password_file or the token in \
              token_file.",
    change: "Set it where the smarthost wants a login.",
    domino: None,
};

const PASSWORD_FILE: Key = Key {
    section: "smarthost",
    name: "password_file",
    kind: Kind::Path,
    default: Default::Nothing("/etc/gatepost/smarthost.password"),
    meaning: "A file whose one line is the password for username. It is read at each login, by the \
              account the service runs as, so a new password needs no restart.",
    change: "Set it together with username; let nobody but that account read the file.",
    domino: None,
};

const CA_FILE: Key = Key {
    section: "smarthost",
    name: "ca_file",
    kind: Kind::Path,
    default: Default::Nothing("/etc/gatepost/smarthost-ca.pem"),
    meaning: "The certificates (PEM) that may vouch for the smarthost's. Without it, those that the \
              system trusts.",
    change: "Set it where the smarthost's certificate is self-signed or comes from a private CA.",
    domino: None,
};

const FALLBACK: Key = Key {
    section: "smarthost",
    name: "fallback",
    kind: Kind::HostPorts,
    default: Default::Value(""),
    meaning: "Further servers for the same mail, each HOST or HOST:PORT; without a port, that of port. They \
              are tried in this order where the one before cannot be reached, does not greet, or fails \
              TLS, with the same settings of TLS and login. After a refused login nobody else is tried.",
    change: "Name the second server of your provider, if there is one.",
    domino: None,
};

const TOKEN_FILE: Key = Key {
    section: "smarthost",
    name: "token_file",
    kind: Kind::Path,
    default: Default::Nothing("/etc/gatepost/smarthost.token"),
    meaning: "A file whose one line is an OAuth 2.0 access token for username, in place of a password; the \
              login is made by XOAUTH2. It is read at each login, so whatever renews the token has only \
              to write the file anew.",
    change: "Set it for providers that take no passwords any more, together with a program that renews \
             the token.",
    domino: None,
};

const MECHANISMS: Key = Key {
    section: "smarthost",
    name: "mechanisms",
    kind: Kind::Words(&["scram-sha-256-plus", "scram-sha-256", "plain", "login"]),
    default: Default::Value("scram-sha-256-plus, scram-sha-256, plain, login"),
    meaning: "How the password may be proved. The strongest of them that the smarthost offers is used: \
              this order, whatever is written. With token_file it is XOAUTH2 alone.",
    change: "Take out what the smarthost offers and then refuses.",
    domino: None,
};

const PLAINTEXT_LOGIN: Key = Key {
    section: "smarthost",
    name: "plaintext_login",
    kind: Kind::YesNo,
    default: Default::Value("no"),
    meaning: "Whether a login may be made without TLS, or with a server whose certificate was not \
              verified.",
    change: "Set yes only for a server on the other end of a wire you trust.",
    domino: None,
};

const CONVERT_8BIT: Key = Key {
    section: "smarthost",
    name: "convert_8bit",
    kind: Kind::YesNo,
    default: Default::Value("no"),
    meaning: "Whether content with octets above 127 is encoded (quoted-printable or base64) where the \
              smarthost does not offer 8BITMIME. no: it gets the octets as they are. What a signature \
              covers, such as DKIM, S/MIME or PGP, is never encoded.",
    change: "Set yes only for an old server that damages or refuses such mail.",
    domino: None,
};

const ENVELOPE_SENDER: Key = Key {
    section: "smarthost",
    name: "envelope_sender",
    kind: Kind::MailAddress,
    default: Default::Value(""),
    meaning: "The reverse-path the smarthost is told in place of each message's own; empty: its own. Mail \
              without a sender, such as notifications, stays so.",
    change: "Set it where the smarthost takes mail from one address only; what it sends back then goes \
             there.",
    domino: None,
};
