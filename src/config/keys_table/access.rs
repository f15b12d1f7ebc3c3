//! Who may log in, and the sites.

use super::*;

pub(in crate::config) mod server_access {
    use super::*;

    keys! { "server_access":
        ENFORCE: Key<YesNo> = "enforce", yes_no().or("no"),
            "Whether allow and deny decide which users may log in, on every port and after \
             STARTTLS. A user who is kept out hears what a wrong password hears. Mail without a \
             login is not touched by it.",
            "Set it where the users file, shared with an IMAP server, has users who may not send.",
            "Enforce server access settings";
        ALLOW: Key<AccessNames> = "allow", access_names().or(""),
            "The users who may log in; @group is an alias with several targets. Empty: every \
             user.",
            "List the few who may send, while enforce is on.",
            "Access server";
        DENY: Key<AccessNames> = "deny", access_names().or(""),
            "The users who may not log in; it wins over allow.",
            "List those who may read mail but not send it.",
            "Not access server";
    }
}

pub(in crate::config) mod site {
    use super::*;

    keys! { "site:NAME":
        ADDRESSES: Key<SiteAddresses> = "addresses", site_addresses().or(""),
            "The local addresses whose sessions this site serves. Empty: every address that no \
             other site lists.",
            "Name addresses where one machine serves several sites.",
            "Internet Site document, SMTP Inbound";
        TCP_NAME_AND_PASSWORD: Key<YesNo> = "tcp_name_and_password", yes_no().or("no"),
            "Whether clients may log in on the tcp ports before TLS.",
            "As [port:tcp] name_and_password, which counts for nothing while sites are loaded.",
            "Site document, Security tab: TCP authentication, Name & password";
        TCP_ANONYMOUS: Key<YesNo> = "tcp_anonymous", yes_no().or("no"),
            "Whether mail is taken without a login on the tcp ports, also after STARTTLS.",
            "Say yes for a site that gets mail from other servers.",
            "Site document, Security tab: TCP authentication, Anonymous";
        TLS_NAME_AND_PASSWORD: Key<YesNo> = "tls_name_and_password", yes_no().or("no"),
            "Whether clients may log in inside TLS: on the tls ports, and after STARTTLS on the \
             tcp ports.",
            "Say yes for people and devices that send mail with a password.",
            "Site document, Security tab: TLS authentication, Name & password";
        TLS_ANONYMOUS: Key<YesNo> = "tls_anonymous", yes_no().or("no"),
            "Whether mail is taken without a login on the tls ports.",
            "Say yes where other servers use the tls ports.",
            "Site document, Security tab: TLS authentication, Anonymous";
        CERTIFICATE: Optional<Path> = "certificate",
            path().derived("that of [tls]", "main.pem"),
            "The site's own certificate with its chain (PEM). It is shown to sessions of the \
             site, and to every client that asks for a name in it.",
            "Set it with private_key where sites have names of their own.",
            "Site document: key ring file name";
        PRIVATE_KEY: Optional<Path> = "private_key",
            path().derived("that of [tls]", "main.key"),
            "The private key of the site's certificate (PEM).",
            "Set it with certificate.",
            "Site document: key ring file name";
    }
}
