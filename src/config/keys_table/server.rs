//! The server and its ports.

use super::*;

words! { KindWord: PortKind { "tcp" => PortKind::Tcp, "tls" => PortKind::Tls } }

keys! { "server":
    HOSTNAME: Optional<Domain> = "hostname",
        domain().derived("the machine's name", "mx.example.org"),
        "The name this server gives itself in its greeting, in EHLO and in trace fields.",
        "Set it to the name other servers find in DNS when the machine calls itself something \
         else.",
        "the server's host name";
    LOCAL_DOMAINS: Optional<Domains> = "local_domains",
        domains().derived("hostname", "example.org, mx.example.org"),
        "The domains whose mail is delivered here. Mail for any other domain is outside mail. \
         Empty: none.",
        "Name every domain whose MX record points here.",
        "local Internet domains";
    LOAD_INTERNET_SITES: Key<YesNo> = "load_internet_sites", yes_no().or("no"),
        "Whether logins and mail without a login are decided by the [site:NAME] that serves a \
         session's local address, and no more by the ports' own keys.",
        "Set it for several sites on one machine; without a site nobody is served.",
        "Load Internet configurations from Server/Internet Sites documents";
    SPOOL: Key<Path> = "spool", path().or("/var/spool/gatepost"),
        "The folder that keeps accepted mail until it is delivered. A change needs a restart.",
        "Point it to a disk that keeps what it has written when the power goes.",
        "MAIL.BOX";
    USER: Key<Account> = "user", account().or("gatepost"),
        "The account the server becomes when it is started as root. A change needs a restart.",
        "Change it when the mail folders belong to another account.";
    DEVICES: Key<Number<usize>> = "devices", number(0, 2000).or("500"),
        "Client addresses of which gatepost devices knows what they did last and what is wrong \
         with them; 0 = none, and what was known is removed.",
        "Lower it on a box with little memory: a thousand take about a MiB.";
    SANDBOX: Key<YesNo> = "sandbox", yes_no().or("yes"),
        "Whether the running service walls itself off, so that a session which was taken over \
         reaches no other file, runs no program and gains no privilege. Programs and name \
         look-ups are then left to a helper process. A change needs a restart.",
        "Say no where a [command:NAME] has to win other powers, as by sudo.";
}

#[allow(dead_code, reason = "they are asked for as those of `port` are")]
pub(in crate::config) mod port_tcp {
    use super::*;

    keys! { "port:tcp":
        NUMBER: Key<Number<u16>> = "number", number(1, 65535).or("25"),
            "The port number for plain SMTP, which may go on in TLS after STARTTLS.",
            "Change it where 25 is taken; other servers find a server on port 25 only.",
            "TCP/IP port number";
        STATUS: Key<Word<Enabled>> = "status", word().or("enabled"),
            "Whether this port is served.",
            "Disable it on a box that takes mail on the TLS port only.",
            "TCP/IP port status";
        NAME_AND_PASSWORD: Key<YesNo> = "name_and_password", yes_no().or("no"),
            "Whether clients may log in on this port before TLS. After STARTTLS, [port:tls] \
             name_and_password decides.",
            "Allow it only for devices that cannot do TLS, and mind [auth] plaintext_from.",
            "Authentication options: Name & password (TCP/IP)";
        ANONYMOUS: Key<YesNo> = "anonymous", yes_no().or("yes"),
            "Whether mail is taken on this port without a login, also after STARTTLS.",
            "Other servers never log in: say no only where none of them sends mail here.",
            "Authentication options: Anonymous (TCP/IP)";
        ADDRESSES: Key<Addresses> = "addresses", addresses().or("0.0.0.0, ::"),
            "The local addresses this port listens on; 0.0.0.0 is every IPv4 address, :: every \
             IPv6 address.",
            "Name addresses to serve some networks only, or to share a machine with another \
             server.";
        PROXY_FROM: Key<Networks> = "proxy_from", networks().or(""),
            "Proxies, such as HAProxy, each of whose connections begins with a PROXY header \
             (version 1 or 2) that tells the client's address. Connections from elsewhere are \
             clients themselves.",
            "Name the address HAProxy connects from, and nothing wider: who is listed can claim \
             to be any client.";
    }
}

#[allow(dead_code, reason = "they are asked for as those of `port` are")]
pub(in crate::config) mod port_tls {
    use super::*;

    keys! { "port:tls":
        NUMBER: Key<Number<u16>> = "number", number(1, 65535).or("465"),
            "The port number for SMTP that is inside TLS from the first octet.",
            "Change it where 465 is taken; mail programs expect 465.",
            "TLS port number";
        STATUS: Key<Word<Enabled>> = "status", word().or("disabled"),
            "Whether this port is served. It needs [tls] certificate and private_key.",
            "Enable it for mail programs that log in.",
            "TLS port status";
        NAME_AND_PASSWORD: Key<YesNo> = "name_and_password", yes_no().or("no"),
            "Whether clients may log in inside TLS: on this port and, also while this port is \
             disabled, after STARTTLS on every tcp port.",
            "Allow it for people and devices that send mail with a password.",
            "Authentication options: Name & password (TLS)";
        ANONYMOUS: Key<YesNo> = "anonymous", yes_no().or("yes"),
            "Whether mail is taken on this port without a login.",
            "Say no where only people with a password use this port.",
            "Authentication options: Anonymous (TLS)";
        ADDRESSES: Key<Addresses> = "addresses", addresses().or("0.0.0.0, ::"),
            "The local addresses this port listens on, as in [port:tcp].",
            "Name addresses to serve some networks only.";
        PROXY_FROM: Key<Networks> = "proxy_from", networks().or(""),
            "Proxies whose connections begin with a PROXY header, before TLS, as in [port:tcp].",
            "Name the address HAProxy connects from, and nothing wider.";
    }
}

pub(in crate::config) mod port {
    use super::*;

    keys! { "port:NAME":
        KIND: Optional<Word<KindWord>> = "kind", word().required("tcp"),
            "Whether this further port works like [port:tcp] or like [port:tls]. Its other keys \
             have the defaults of that port.",
            "Add a further port, such as [port:submission], for clients that need another number.";
        NUMBER: Optional<Number<u16>> = "number", number(1, 65535).required("587"),
            "The port number.",
            "587 is the number of mail submission with STARTTLS.";
        STATUS: Optional<Word<Enabled>> = "status",
            word().derived("enabled for kind tcp, disabled for kind tls", "enabled"),
            "Whether this port is served.",
            "Disable it to keep its settings for later.";
        NAME_AND_PASSWORD: Key<YesNo> = "name_and_password", yes_no().or("no"),
            "As in the port of that kind; after STARTTLS, [port:tls] name_and_password decides.",
            "Say yes on a port for mail submission, with [auth] plaintext_from empty, so that \
             passwords come after STARTTLS alone.";
        ANONYMOUS: Key<YesNo> = "anonymous", yes_no().or("yes"),
            "Whether mail is taken on this port without a login.",
            "Say no on a port for mail submission.";
        ADDRESSES: Key<Addresses> = "addresses", addresses().or("0.0.0.0, ::"),
            "The local addresses this port listens on, as in [port:tcp].",
            "Name addresses to serve some networks only.";
        PROXY_FROM: Key<Networks> = "proxy_from", networks().or(""),
            "Proxies whose connections begin with a PROXY header, as in [port:tcp].",
            "Name the address HAProxy connects from, and nothing wider.";
    }
}
