//! Each kind of trouble under settings that bring it about: what is advised, and that it is what the
//! configuration takes.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::kind::KINDS;
use super::super::table::Device;
use super::*;
use crate::config;

#[allow(
    clippy::duplicate_mod,
    reason = "the tests of the session have it as well"
)]
#[path = "../../../tests/support/ini.rs"]
mod ini;

const V4: &str = "192.0.2.7";
const V6: &str = "2001:db8:1:2::7";

/// The settings of these lines over the base, with logins by TLS.
fn settings(extra: &str) -> Settings {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("gatepost-advice-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gatepost.ini");
    fs::write(&file, text(extra)).unwrap();
    let parsed = config::parse(&file);
    fs::remove_dir_all(&folder).unwrap();
    parsed.unwrap_or_else(|problems| panic!("{extra}: {problems:?}"))
}

fn text(extra: &str) -> String {
    let address = "127.0.0.1".parse().unwrap();
    let base = ini::base_ini(address, std::path::Path::new("/nowhere"), BASE);
    ini::merge_ini(&base, extra)
}

const BASE: &str = "[port:tls]\nname_and_password = yes\n[tls]\ncertificate = /etc/cert.pem\n";

fn device(address: &str, port: &str, tls: Option<&str>) -> Device {
    Device {
        address: address.parse().unwrap(),
        first_seen: 1,
        last_seen: 1,
        port: port.into(),
        local: Some("127.0.0.1".parse().unwrap()),
        helo: None,
        tls: tls.map(|version| (version.into(), "CIPHER".into())),
        mechanism: None,
        user: Some("alice".into()),
        logged_in: None,
        accepted: None,
        sessions: 1,
        messages: 0,
        failures: 1,
        trouble: None,
    }
}

/// A kind with its detail; settings; port and TLS version; the ways.
type Row = (
    (Kind, &'static str),
    &'static str,
    (&'static str, Option<&'static str>),
    &'static [&'static str],
);

const SETTLED: &str = "the settings have changed since: have the device try again";
const PLAIN: (&str, Option<&str>) = ("tcp", None);
const OLD: (Kind, &str) = (Kind::TlsVersion, "TLS 1.0");
const STARTTLS: (&str, Option<&str>) = ("tcp", Some("TLSv1.3"));
const TLS: (&str, Option<&str>) = ("tls", Some("TLSv1.3"));
const FIRMWARE: &str = "on the device: newer firmware, or TLS 1.2 switched on in its settings";

fn hold(rows: &[Row]) {
    for ((kind, detail), extra, (port, tls), want) in rows {
        let settings = settings(extra);
        let got = ways(&settings, &device(V4, port, *tls), *kind, detail);
        let got: Vec<String> = got.iter().map(|way| words(way)).collect();
        assert_eq!(got, *want, "{kind:?} {detail} with {extra:?}");
    }
}

fn words(way: &[Step]) -> String {
    let steps: Vec<String> = way.iter().map(Step::in_words).collect();
    steps.join("; ")
}

#[test]
fn an_old_device_gets_a_plain_port_fenced_to_its_address() {
    hold(AN_OLD_DEVICE_GETS_A_PLAIN_PORT_FENCED_TO_ITS_ADDRESS);
}

const AN_OLD_DEVICE_GETS_A_PLAIN_PORT_FENCED_TO_ITS_ADDRESS: &[Row] = &[
    (
        OLD,
        "",
        TLS,
        &[
            FIRMWARE,
            "set [port:tcp] name_and_password = yes; set [auth] plaintext_from = 192.0.2.7; \
             on the device: no encryption, port 2525, and its login",
        ],
    ),
    // Who logs in without TLS now must not be shut out.
    (
        OLD,
        "[port:tcp]\nname_and_password = yes\n",
        TLS,
        &[
            FIRMWARE,
            "fence it: set [auth] plaintext_from, which is every address now, to 192.0.2.7 and \
             whoever else logs in without TLS; on the device: no encryption, port 2525, and its \
             login",
        ],
    ),
    (
        OLD,
        "[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = 10.0.0.0/8\n",
        TLS,
        &[
            FIRMWARE,
            "add 192.0.2.7 to [auth] plaintext_from; on the device: no encryption, port 2525, \
             and its login",
        ],
    ),
    // All is set: it is the device's turn.
    (
        OLD,
        "[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = 192.0.2.0/24\n",
        TLS,
        &[
            FIRMWARE,
            "on the device: no encryption, port 2525, and its login",
        ],
    ),
    (
        OLD,
        "[port:tcp]\nstatus = disabled\n[extensions]\nstarttls = required\n",
        TLS,
        &[
            FIRMWARE,
            "set [port:tcp] status = enabled; set [extensions] starttls = enabled; \
             set [port:tcp] name_and_password = yes; set [auth] plaintext_from = 192.0.2.7; \
             on the device: no encryption, port 2525, and its login",
        ],
    ),
    // Another plain port is there already.
    (
        OLD,
        "[port:tcp]\nstatus = disabled\n[port:old]\nkind = tcp\nnumber = 2526\n",
        TLS,
        &[
            FIRMWARE,
            "set [port:old] name_and_password = yes; set [auth] plaintext_from = 192.0.2.7; \
             on the device: no encryption, port 2526, and its login",
        ],
    ),
    // Sites decide about logins.
    (
        OLD,
        "[server]\nload_internet_sites = yes\n[site:all]\ntls_name_and_password = yes\n",
        TLS,
        &[
            FIRMWARE,
            "set [site:all] tcp_name_and_password = yes; set [auth] plaintext_from = 192.0.2.7; \
             on the device: no encryption, port 2525, and its login",
        ],
    ),
    (
        (Kind::TlsVersion, "TLS 1.2"),
        "[tls]\nmin_version = 1.3\n",
        TLS,
        &["set [tls] min_version = 1.2"],
    ),
    ((Kind::TlsVersion, "TLS 1.2"), "", TLS, &[SETTLED]),
];

#[test]
fn an_ipv6_device_is_fenced_with_its_network() {
    let settings = settings("[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = ::1\n");
    let got = ways(&settings, &device(V6, "tcp", None), Kind::AuthNeedsTls, "");
    let got = got.last().map(|way| words(way));
    let want = "add 2001:db8:1:2::/64 to [auth] plaintext_from";
    assert_eq!(got.as_deref(), Some(want));
}

#[test]
fn the_right_port_is_named() {
    hold(THE_RIGHT_PORT_IS_NAMED);
}

const THE_RIGHT_PORT_IS_NAMED: &[Row] = &[
    (
        (Kind::PlainOnTlsPort, ""),
        "",
        ("tls", None),
        &[
            "on the device: SSL/TLS, not STARTTLS and not \"none\", with port 4465",
            "on the device: STARTTLS with port 2525",
        ],
    ),
    (
        (Kind::SilentOnTlsPort, ""),
        "[extensions]\nstarttls = disabled\n[port:tcp]\nname_and_password = yes\n\
         [auth]\nplaintext_from = 192.0.2.7\n",
        ("tls", None),
        &[
            "on the device: SSL/TLS, not STARTTLS and not \"none\", with port 4465",
            "on the device: no encryption, port 2525, and its login",
        ],
    ),
    (
        (Kind::TlsOnPlainPort, ""),
        "",
        PLAIN,
        &["on the device: SSL/TLS with port 4465, or STARTTLS with port 2525"],
    ),
    (
        (Kind::TlsOnPlainPort, ""),
        "[port:tls]\nstatus = disabled\n[extensions]\nstarttls = disabled\n",
        PLAIN,
        &["set [port:tls] status = enabled; on the device: SSL/TLS with port 4465"],
    ),
    (
        (Kind::StartTlsOff, ""),
        "[extensions]\nstarttls = disabled\n",
        PLAIN,
        &[
            "set [extensions] starttls = enabled",
            "on the device: SSL/TLS with port 4465",
        ],
    ),
    ((Kind::StartTlsOff, ""), "", PLAIN, &[SETTLED]),
    ((Kind::StartTlsRequired, ""), "", PLAIN, &[SETTLED]),
    (
        (Kind::StartTlsRequired, ""),
        "[extensions]\nstarttls = required\n",
        PLAIN,
        &[
            "on the device: SSL/TLS with port 4465, or STARTTLS with port 2525",
            "set [extensions] starttls = enabled; set [port:tcp] name_and_password = yes; \
             set [auth] plaintext_from = 192.0.2.7; on the device: no encryption, port 2525, \
             and its login",
        ],
    ),
];

#[test]
fn logins_are_mended() {
    hold(LOGINS_ARE_MENDED);
}

const LOGINS_ARE_MENDED: &[Row] = &[
    (
        (Kind::AuthOff, ""),
        "[port:tcp]\nanonymous = no\n",
        PLAIN,
        &[
            "on the device: SSL/TLS with port 4465",
            "on the device: STARTTLS with port 2525",
            "set [port:tcp] name_and_password = yes; set [auth] plaintext_from = 192.0.2.7; \
             on the device: no encryption, port 2525, and its login",
        ],
    ),
    (
        (Kind::AuthOff, ""),
        "[port:tls]\nname_and_password = no\n",
        STARTTLS,
        &[
            "set [port:tls] name_and_password = yes",
            "on the device: no login, which is enough for mail to users here",
        ],
    ),
    ((Kind::AuthOff, ""), "", TLS, &[SETTLED]),
    (
        (Kind::AuthNeedsTls, ""),
        "[auth]\nplaintext_from =\n",
        PLAIN,
        &[
            "on the device: SSL/TLS with port 4465",
            "on the device: STARTTLS with port 2525",
            "add 192.0.2.7 to [auth] plaintext_from",
        ],
    ),
    ((Kind::AuthNeedsTls, ""), "", PLAIN, &[SETTLED]),
    (
        (Kind::Mechanism, "CRAM-MD5"),
        "[auth]\nmechanisms = plain, login\n",
        TLS,
        &[
            "on the device: another method of login, one of LOGIN, PLAIN; it may be called \
             \"plain\", \"basic\" or \"normal password\". \"CRAM-MD5\" needs passwords kept so that \
             they can be read, which is not done here",
        ],
    ),
    (
        (Kind::Mechanism, "login"),
        "[auth]\nmechanisms = scram-sha-256\n",
        TLS,
        &["add login to [auth] mechanisms"],
    ),
    (
        (Kind::Mechanism, "SCRAM-SHA-256-PLUS"),
        "",
        PLAIN,
        &["on the device: TLS, without which it is not offered, or SCRAM-SHA-256"],
    ),
    ((Kind::Mechanism, "LOGIN"), "", TLS, &[SETTLED]),
    (
        (Kind::LoginFailed, "scan@elsewhere.example"),
        "",
        TLS,
        &["on the device: log in as scan or scan@here.example"],
    ),
    (
        (Kind::LoginDenied, "scan@here.example"),
        "[server_access]\nenforce = yes\ndeny = bob, scan\n",
        TLS,
        &["take scan out of [server_access] deny"],
    ),
    (
        (Kind::LoginDenied, "scan"),
        "[server_access]\nenforce = yes\nallow = bob\n",
        TLS,
        &["add scan to [server_access] allow"],
    ),
    ((Kind::LoginDenied, "scan"), "", TLS, &[SETTLED]),
    (
        (Kind::LoginThrottled, "scan"),
        "",
        TLS,
        &[
            "correct the password on the device; gatepost unban 192.0.2.7 has it looked at at \
             once",
            "add 192.0.2.7 to [auth] throttle_exempt",
        ],
    ),
    (
        (Kind::LoginThrottled, "scan"),
        "[auth]\nthrottle_exempt = 192.0.2.7\n",
        TLS,
        &[SETTLED],
    ),
    (
        (Kind::LoginRequired, ""),
        "[port:tls]\nanonymous = no\n",
        TLS,
        &[
            "on the device: a login, a name and password made by gatepost passwd NAME",
            "set [port:tls] anonymous = yes; then whoever reaches this port may send to users \
             here without a login",
        ],
    ),
    (
        (Kind::LoginRequired, ""),
        "[port:tcp]\nanonymous = no\n",
        PLAIN,
        &[
            "on the device: SSL/TLS with port 4465",
            "on the device: STARTTLS with port 2525",
            "set [port:tcp] name_and_password = yes; set [auth] plaintext_from = 192.0.2.7; \
             on the device: no encryption, port 2525, and its login",
            "set [port:tcp] anonymous = yes; then whoever reaches this port may send to users \
             here without a login",
        ],
    ),
    ((Kind::LoginRequired, ""), "", PLAIN, &[SETTLED]),
];

#[test]
fn senders_and_recipients_are_mended() {
    hold(SENDERS_AND_RECIPIENTS_ARE_MENDED);
}

const SENDERS_AND_RECIPIENTS_ARE_MENDED: &[Row] = &[
    (
        (Kind::SenderNotOwner, "scanner@here.example"),
        "[aliases]\nfile = /etc/aliases\n",
        TLS,
        &[
            "on the device: alice@here.example as the sender",
            "make scanner an alias of alice alone: a line \"scanner: alice\" in /etc/aliases",
            "set [senders] must_match_login = no",
        ],
    ),
    (
        (Kind::SenderNotOwner, "scanner@there.example"),
        "[senders]\nmust_match_login = no\n",
        TLS,
        &[SETTLED],
    ),
    (
        (Kind::SenderDenied, "a@there.example"),
        "[senders]\ndeny = @there.example\n",
        PLAIN,
        &[
            "on the device: another address than a@there.example",
            "take @there.example out of [senders] deny",
        ],
    ),
    (
        (Kind::SenderDenied, "a@there.example"),
        "",
        PLAIN,
        &[SETTLED],
    ),
    (
        (Kind::SenderNotAllowed, "a@there.example"),
        "[senders]\nallow = here.example\n",
        PLAIN,
        &["add a@there.example to [senders] allow"],
    ),
    (
        (Kind::RecipientNotAllowed, "bob@here.example"),
        "[recipients]\nallow = bob@here.example\n",
        PLAIN,
        &[SETTLED],
    ),
    (
        (Kind::RecipientGroup, "all@here.example"),
        "[recipients]\ndeny_groups = yes\n",
        PLAIN,
        &["set [recipients] deny_groups = no"],
    ),
    (
        (Kind::SenderDomain, "a@no.example"),
        "[senders]\nverify_domain = yes\n",
        PLAIN,
        &[
            "on the device: a sender in a domain that takes mail, as scanner@here.example",
            "set [senders] verify_domain = no",
        ],
    ),
    (
        (Kind::NoHostName, ""),
        "[connections]\nverify_host_name = yes\n",
        PLAIN,
        &[
            "give 192.0.2.7 a name in DNS, or in this machine's hosts file",
            "set [connections] verify_host_name = no",
        ],
    ),
    (
        (Kind::RelayDenied, "x@out.example"),
        "[smarthost]\nhost = smart.example\n",
        PLAIN,
        &[
            "on the device: a login, a name and password made by gatepost passwd NAME",
            "add 192.0.2.7 to [relay] allow_hosts",
        ],
    ),
    (
        (Kind::RelayDenied, "x@out.example"),
        "[smarthost]\nhost = smart.example\n[relay]\nauthenticated_users = check\n\
         deny_hosts = 192.0.2.0/24\n",
        PLAIN,
        &["take 192.0.2.0/24 out of [relay] deny_hosts"],
    ),
    (
        (Kind::RelayDenied, "x@out.example"),
        "[relay]\nauthenticated_users = check\nallow_hosts = 192.0.2.7\n",
        PLAIN,
        &[
            "gatepost explain --from 192.0.2.7 --rcpt x@out.example says which setting is in the \
           way",
        ],
    ),
    (
        (Kind::NoSmarthost, "x@out.example"),
        "",
        PLAIN,
        &["set [smarthost] host to the server that takes your outside mail"],
    ),
];

#[test]
fn connections_and_limits_are_mended() {
    hold(CONNECTIONS_AND_LIMITS_ARE_MENDED);
}

const CONNECTIONS_AND_LIMITS_ARE_MENDED: &[Row] = &[
    (
        (Kind::ConnectionDenied, ""),
        "[connections]\ndeny = 192.0.2.7\n",
        PLAIN,
        &["take 192.0.2.7 out of [connections] deny"],
    ),
    (
        (Kind::ConnectionDenied, ""),
        "[connections]\ndeny = bad.example\n",
        PLAIN,
        &["take the name of 192.0.2.7 in DNS out of [connections] deny"],
    ),
    ((Kind::ConnectionDenied, ""), "", PLAIN, &[SETTLED]),
    (
        (Kind::ConnectionNotAllowed, ""),
        "[connections]\nallow = 10.0.0.0/8\n",
        PLAIN,
        &["add 192.0.2.7 to [connections] allow"],
    ),
    (
        (Kind::Blacklisted, ""),
        "[blacklist]\nhosts = 192.0.2.0/24\n",
        PLAIN,
        &[
            "take 192.0.2.0/24 out of [blacklist] hosts",
            "add 192.0.2.7 to [whitelist] hosts",
        ],
    ),
    (
        (Kind::DnsListed, ""),
        "[dnsbl]\nzones = list.example\n",
        PLAIN,
        &["add 192.0.2.7 to [whitelist] hosts"],
    ),
    ((Kind::DnsListed, ""), "", PLAIN, &[SETTLED]),
    (
        (Kind::SiteNotEnabled, ""),
        "[server]\nload_internet_sites = yes\n[site:one]\naddresses = 10.9.9.9\n",
        PLAIN,
        &["make a [site:NAME] whose addresses have 127.0.0.1, or are empty"],
    ),
    (
        (Kind::SiteNotEnabled, ""),
        "[server]\nload_internet_sites = yes\n[site:one]\n",
        TLS,
        &[
            "set [site:one] tls_name_and_password = yes",
            "set [site:one] tls_anonymous = yes",
        ],
    ),
    (
        (Kind::TooManySessions, ""),
        "[connections]\nsessions_max_per_address = 3\n",
        PLAIN,
        &[
            "gatepost sessions shows what 192.0.2.7 has open; a device that never closes wants \
             newer firmware",
            "set [connections] sessions_max_per_address = 6",
        ],
    ),
    (
        (Kind::TooLarge, ""),
        "[limits]\nmessage_size = 1536K\n",
        PLAIN,
        &[
            "on the device: a lower resolution, another format, or messages split up",
            "set [limits] message_size = 3M",
        ],
    ),
    (
        (Kind::TooLarge, ""),
        "[limits]\nmessage_size = 2G\n",
        PLAIN,
        &["on the device: a lower resolution, another format, or messages split up"],
    ),
    (
        (Kind::TooManyRecipients, ""),
        "[limits]\nrecipients = 6000\n",
        PLAIN,
        &[
            "on the device: send to one alias, and name the people in [aliases] file",
            "set [limits] recipients = 10000",
        ],
    ),
    (
        (Kind::LeftAfterHello, ""),
        "[extensions]\nstarttls = disabled\n",
        PLAIN,
        &[
            "a monitor or a test does that, and then it is nothing; else the device misses what \
           it is set to: for it, STARTTLS is off, logging in is off and sending without a \
           login is on on port 2525",
        ],
    ),
];

#[test]
fn every_kind_stands_in_one_row() {
    for (kind, word, _, _) in KINDS {
        let rows = table::ADVICE.iter();
        let rows = rows.filter(|(kinds, _)| kinds.contains(kind));
        assert_eq!(rows.count(), 1, "{word}");
    }
}

mod applied;
mod hostile;
