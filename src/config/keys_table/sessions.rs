//! TLS, extensions and logins.

use super::*;

words! { MinVersion: TlsVersion { "1.2" => TlsVersion::Tls12, "1.3" => TlsVersion::Tls13 } }
words! { StartTlsWord: StartTls {
    "disabled" => StartTls::Disabled, "enabled" => StartTls::Enabled, "required" => StartTls::Required,
} }

pub(in crate::config) mod tls {
    use super::*;

    keys! { "tls":
        CERTIFICATE: Optional<Path> = "certificate",
            path().or_nothing("/etc/gatepost/certificate.pem"),
            "The certificate of this server as PEM: its own first, then those between it and the \
             root.",
            "Set it to enable [port:tls] or STARTTLS.",
            "key ring";
        PRIVATE_KEY: Optional<Path> = "private_key",
            path().or_nothing("/etc/gatepost/private_key.pem"),
            "The key of the certificate as PEM, not encrypted.",
            "Set it together with certificate.",
            "key ring";
        MIN_VERSION: Key<Word<MinVersion>> = "min_version", word().or("1.2"),
            "The oldest version of TLS that is spoken.",
            "Set 1.3 where every client is known to speak it.";
        WATCH: Key<Interval> = "watch", interval("1s", "1d").or("30s"),
            "How often the service looks whether a certificate or key, also one of a site, was \
             renewed, and then takes it up; 0: only at a refresh and at a start.",
            "Set 0 where the program that renews them restarts the service.";
    }
}

pub(in crate::config) mod extensions {
    use super::*;

    keys! { "extensions":
        STARTTLS: Key<Word<StartTlsWord>> = "starttls", word().or("disabled"),
            "Whether a session on a tcp port can go over to TLS; required: nothing else goes on \
             before it does.",
            "Enable it as soon as there is a certificate. required loses mail from servers that \
             cannot do TLS.",
            "TLS negotiated over TCP/IP port";
        SIZE: Key<Word<Enabled>> = "size", word().or("enabled"),
            "SIZE: the largest message is announced, and a larger one is refused before it is \
             sent.",
            "Disable it only for a client that stumbles over it.",
            "SIZE";
        PIPELINING: Key<Word<Enabled>> = "pipelining", word().or("enabled"),
            "PIPELINING: clients may send commands without waiting for each reply.",
            "Disable it only for a client that stumbles over it.",
            "PIPELINING";
        EIGHT_BIT_MIME: Key<Word<Enabled>> = "8bitmime", word().or("enabled"),
            "8BITMIME: content with octets above 127 is welcome; Domino's default is disabled.",
            "Disable it only where what reads the mail cannot take such octets.",
            "8-bit MIME";
        SMTPUTF8: Key<Word<Enabled>> = "smtputf8", word().or("enabled"),
            "SMTPUTF8: addresses may hold letters outside ASCII.",
            "Disable it where what reads the mail cannot take such addresses.";
        CHUNKING: Key<Word<Enabled>> = "chunking", word().or("enabled"),
            "CHUNKING: clients may send a message with BDAT, in parts of a size told before.",
            "Disable it only for a client that stumbles over it.";
        DSN: Key<Word<Enabled>> = "dsn", word().or("disabled"),
            "DSN: clients may say for which events they want a notification, and what comes back \
             with it. A failure is told in any case, unless the client asks not to; that mail was \
             delivered here, or passed on to a smarthost without DSN, only where the client asks, \
             and has logged in or is in [relay] internal: anybody else may have forged the \
             sender. What others ask is passed on to a smarthost with DSN.",
            "Enable it for clients that want to hear of success, or of nothing.",
            "DSN";
        HELP: Key<Word<Enabled>> = "help", word().or("enabled"),
            "HELP: the commands are listed on request.",
            "Disable it to say less to strangers.",
            "HELP";
        VRFY: Key<Word<Enabled>> = "vrfy", word().or("disabled"),
            "VRFY: whether an address exists is told to who asks.",
            "Leave it disabled on an open network: address collectors ask as well.",
            "VRFY";
        EXPN: Key<Word<Enabled>> = "expn", word().or("disabled"),
            "EXPN: the members of a list are told to who asks and may send.",
            "Leave it disabled on an open network: address collectors ask as well.",
            "EXPN";
        ETRN: Key<Word<Enabled>> = "etrn", word().or("disabled"),
            "ETRN: a client asks for the mail that waits for it. This server never has such mail, \
             so either way the command is refused with 502 and not listed.",
            "No need to; the key is there so that a Domino server's settings can be kept.",
            "ETRN";
    }
}

pub(in crate::config) mod auth {
    use super::*;

    keys! { "auth":
        USERS: Key<Path> = "users", path().or_as("users beside this file", "users"),
            "The users file: one NAME:{SCHEME}SECRET a line, as gatepost passwd writes it and \
             Dovecot reads it. It is read again when it changes; one that is written in place \
             counts once it has stood still for a second.",
            "Point it to the file Dovecot uses to share its users.",
            "Person documents";
        MECHANISMS: Key<SomeWords<MechanismWord>> = "mechanisms",
            some_words().or("scram-sha-256-plus, scram-sha-256, plain, login"),
            "The ways to log in that are offered, in this order. With SCRAM the password itself \
             is never sent; the PLUS one is offered in TLS only. LOGIN is what many devices \
             speak.",
            "Take both SCRAM words out as long as users have $5$ or $6$ passwords: those cannot \
             log in by SCRAM, and some clients then try nothing else.";
        ITERATIONS: Key<NumberOrZero> = "iterations",
            number_or_zero(4096, 10_000_000).or("0"),
            "How often gatepost passwd hashes a new password, and so how much a login costs here \
             and on the client. 0: as most passwords of the users file, and where it has none, as \
             this machine does in 100 ms: 16384, 32768, 65536 or 131072.",
            "Raise it where the users file may be stolen, lower it where logins take too long. \
             Passwords that are set keep theirs.";
        PLAINTEXT_FROM: Key<Networks> = "plaintext_from", networks().or("0.0.0.0/0, ::/0"),
            "The networks whose clients may log in without TLS, where a port allows that at all. \
             Empty: none.",
            "Name the network of the devices that cannot do TLS.";
        ATTEMPTS_MAX: Key<Number<u32>> = "attempts_max", number(1, 20).or("3"),
            "Failed logins after which a session is closed. Domino closes after the first.",
            "Lower it where passwords are guessed at.";
        THROTTLE: Key<YesNo> = "throttle", yes_no().or("yes"),
            "Whether failed logins slow down the next ones: of a client address from the third on \
             by 1s, 2s, 4s, up to 32s, and after the tenth they get 454; of an account from the \
             fifth on by up to 8s. A failure counts for 15 minutes after the last one. A good \
             login forgives those of its user from its address. A user who has logged in from an \
             address within 30 days waits there by the own failures alone.",
            "Say no where something before this server does the same.";
        THROTTLE_EXEMPT: Key<Networks> = "throttle_exempt", networks().or("127.0.0.0/8, ::1"),
            "The networks whose logins are neither slowed down nor counted.",
            "Add a webmail or gateway that logs in on behalf of many users.";
    }
}
