//! Who may log in, and the sites.

use super::super::keys::{Default, Key, Kind, SITE};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "server_access",
        name: "enforce",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether allow and deny decide which users may log in, on every port and \
                  after STARTTLS. A user who is kept out hears what a wrong password hears. \
                  Mail without a login is not touched by it.",
        change: "Set it where the users file, shared with an IMAP server, has users who may \
                  not send.",
        domino: Some("Enforce server access settings"),
    },
    Key {
        section: "server_access",
        name: "allow",
        kind: Kind::AccessNames,
        default: Default::Value(""),
        meaning: "The users who may log in; @group is an alias with several targets. Empty: \
                  every user.",
        change: "List the few who may send, while enforce is on.",
        domino: Some("Access server"),
    },
    Key {
        section: "server_access",
        name: "deny",
        kind: Kind::AccessNames,
        default: Default::Value(""),
        meaning: "The users who may not log in; it wins over allow.",
        change: "List those who may read mail but not send it.",
        domino: Some("Not access server"),
    },
    Key {
        section: SITE,
        name: "addresses",
        kind: Kind::SiteAddresses,
        default: Default::Value(""),
        meaning: "The local addresses whose sessions this site serves. Empty: every address \
                  that no other site lists.",
        change: "Name addresses where one machine serves several sites.",
        domino: Some("Internet Site document, SMTP Inbound"),
    },
    Key {
        section: SITE,
        name: "tcp_name_and_password",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether clients may log in on the tcp ports before TLS.",
        change: "As [port:tcp] name_and_password, which counts for nothing while sites are \
                  loaded.",
        domino: Some("Site document, Security tab: TCP authentication, Name & password"),
    },
    Key {
        section: SITE,
        name: "tcp_anonymous",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether mail is taken without a login on the tcp ports, also after STARTTLS.",
        change: "Say yes for a site that gets mail from other servers.",
        domino: Some("Site document, Security tab: TCP authentication, Anonymous"),
    },
    Key {
        section: SITE,
        name: "tls_name_and_password",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether clients may log in inside TLS: on the tls ports, and after STARTTLS \
                  on the tcp ports.",
        change: "Say yes for people and devices that send mail with a password.",
        domino: Some("Site document, Security tab: TLS authentication, Name & password"),
    },
    Key {
        section: SITE,
        name: "tls_anonymous",
        kind: Kind::YesNo,
        default: Default::Value("no"),
        meaning: "Whether mail is taken without a login on the tls ports.",
        change: "Say yes where other servers use the tls ports.",
        domino: Some("Site document, Security tab: TLS authentication, Anonymous"),
    },
    Key {
        section: SITE,
        name: "certificate",
        kind: Kind::Path,
        default: Default::Derived("that of [tls]", "main.pem"),
        meaning: "The site's own certificate with its chain (PEM). It is shown to sessions of \
                  the site, and to every client that asks for a name in it.",
        change: "Set it with private_key where sites have names of their own.",
        domino: Some("Site document: key ring file name"),
    },
    Key {
        section: SITE,
        name: "private_key",
        kind: Kind::Path,
        default: Default::Derived("that of [tls]", "main.key"),
        meaning: "The private key of the site's certificate (PEM).",
        change: "Set it with certificate.",
        domino: Some("Site document: key ring file name"),
    },
];
