//! The smarthost: the server that takes all mail for elsewhere; further ones for some senders' domains.
//!
//! `[smarthost:NAME]` has every key of `[smarthost]`, from the same rows, and `sender_domains`. A Domino server
//! has one relay host only.

use super::*;

words! { TlsWord: SmarthostTls {
    "required" => SmarthostTls::Required,
    "implicit" => SmarthostTls::Implicit,
    "opportunistic" => SmarthostTls::Opportunistic,
    "none" => SmarthostTls::None,
} }

macro_rules! both {
    ($($shared:tt)*) => {
        keys! { "smarthost":
            HOST: Optional<Host> = "host", host().or_nothing("smarthost.example.org"),
                "The server that all mail for elsewhere is sent to: a host name or an IP address. \
                 Without one, no mail for elsewhere is taken.",
                "Set it to your provider's server for outgoing mail to let mail leave this \
                 machine.",
                "Relay host";
            $($shared)*
        }

        #[allow(dead_code, reason = "most are asked for as those of `[smarthost]` are")]
        pub(in crate::config) mod further {
            use super::*;

            keys! { "smarthost:NAME":
                HOST: Optional<Host> = "host", host().required("bulk.example.net"),
                    "The server that mail of these sender_domains is sent to. The other keys are \
                     as in [smarthost].",
                    "Write it in each such section.";
                SENDER_DOMAINS: Optional<SenderDomains> = "sender_domains",
                    sender_domains().required("example.net, @example.org"),
                    "The domains of reverse-paths whose mail for elsewhere goes this way. Where \
                     several entries name a domain, @domain wins, then the longest. What has no \
                     sender, and every other domain, goes to [smarthost].",
                    "Write it in each such section; an entry can be in one section only.";
                $($shared)*
            }
        }
    };
}

both! {
    PORT: Key<Number<u16>> = "port", number(1, 65535).or("587"),
        "The port the smarthost listens on.",
        "Set 465 with tls = implicit, or 25 for a server that takes mail without a login.";
    FALLBACK: Key<HostPorts> = "fallback", host_ports().or(""),
        "Further servers for the same mail, each HOST or HOST:PORT; without a port, that of port. \
         They are tried in this order where the one before cannot be reached, does not greet, or \
         fails TLS, with the same settings of TLS and login. After a refused login nobody else is \
         tried.",
        "Name the second server of your provider, if there is one.";
    TLS: Key<Word<TlsWord>> = "tls", word().or("required"),
        "required: STARTTLS, and a certificate that is good for the host's name. implicit: the \
         same with TLS from the first octet. opportunistic: STARTTLS where it works, whatever the \
         certificate, else plain text. none: plain text.",
        "Set implicit for port 465. Set opportunistic or none only for a server in your own \
         network; a login needs required or implicit, or plaintext_login.";
    CA_FILE: Optional<Path> = "ca_file", path().or_nothing("/etc/gatepost/smarthost-ca.pem"),
        "The certificates (PEM) that may vouch for the smarthost's. Without it, those that the \
         system trusts.",
        "Set it where the smarthost's certificate is self-signed or comes from a private CA.";
    USERNAME: Optional<Login> = "username", login().or_nothing("box@example.org"),
        "The name to log in with at the smarthost, with the password in password_file or the \
         token in token_file.",
        "Set it where the smarthost wants a login.";
    PASSWORD_FILE: Optional<Path> = "password_file",
        path().or_nothing("/etc/gatepost/smarthost.password"),
        "A file whose one line is the password for username. It is read at each login, by the \
         account the service runs as, so a new password needs no restart.",
        "Set it together with username; let nobody but that account read the file.";
    TOKEN_FILE: Optional<Path> = "token_file",
        path().or_nothing("/etc/gatepost/smarthost.token"),
        "A file whose one line is an OAuth 2.0 access token for username, in place of a password; \
         the login is made by XOAUTH2. It is read at each login, so whatever renews the token has \
         only to write the file anew.",
        "Set it for providers that take no passwords any more, together with a program that \
         renews the token.";
    MECHANISMS: Key<SomeWords<MechanismWord>> = "mechanisms",
        some_words().or("scram-sha-256-plus, scram-sha-256, plain, login"),
        "How the password may be proved. The strongest of them that the smarthost offers is used: \
         this order, whatever is written. With token_file it is XOAUTH2 alone.",
        "Take out what the smarthost offers and then refuses.";
    PLAINTEXT_LOGIN: Key<YesNo> = "plaintext_login", yes_no().or("no"),
        "Whether a login may be made without TLS, or with a server whose certificate was not \
         verified.",
        "Set yes only for a server on the other end of a wire you trust.";
    CONVERT_8BIT: Key<YesNo> = "convert_8bit", yes_no().or("no"),
        "Whether content with octets above 127 is encoded (quoted-printable or base64) where the \
         smarthost does not offer 8BITMIME. no: it gets the octets as they are. What a signature \
         covers, such as DKIM, S/MIME or PGP, is never encoded.",
        "Set yes only for an old server that damages or refuses such mail.";
    ENVELOPE_SENDER: Key<MailAddress> = "envelope_sender", mail_address().or(""),
        "The reverse-path the smarthost is told in place of each message's own; empty: its own. \
         Mail without a sender, such as notifications, stays so.",
        "Set it where the smarthost takes mail from one address only; what it sends back then \
         goes there.";
}
