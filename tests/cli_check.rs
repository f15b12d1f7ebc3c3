//! `gatepost check` from outside: every rule with its line, all problems at once, the table.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;

use support::checking::{TLS, assert_problems, check, check_in, run, with_data};
use support::{TempFolder, data};

#[test]
fn a_port_that_admits_nobody_is_an_error() {
    let nobody = "an enabled port needs name_and_password or anonymous, else nobody can use it";
    let row = |ini: &str, at: &str, code: &str| {
        assert_problems(ini, &[&format!("f.ini:{at}: {nobody} ({code})")]);
    };
    row(
        "[port:tcp]\nanonymous = no\n[port:tls]\nname_and_password = yes\n",
        "2: [port:tcp] anonymous",
        "V-02",
    );
    row(
        "[port:tcp]\naddresses = ::1\nname_and_password = no\nanonymous = no\n",
        "4: [port:tcp] anonymous",
        "V-02",
    );
    let tls = format!("{TLS}[port:tls]\nstatus = enabled\nanonymous = no\n");
    row(&tls, "6: [port:tls] anonymous", "V-03");
    let further = "[port:a]\nkind = tcp\nnumber = 587\nanonymous = no\n";
    row(further, "4: [port:a] anonymous", "V-02");
    let further =
        format!("{TLS}[port:a]\nkind = tls\nnumber = 587\nstatus = enabled\nanonymous = no\n");
    row(&further, "8: [port:a] anonymous", "V-03");
    assert_problems("[port:tls]\nanonymous = no\n", &[]);
    assert_problems("[port:a]\nkind = tls\nnumber = 587\nanonymous = no\n", &[]);
}

#[test]
fn two_listeners_on_one_address_and_port_are_an_error() {
    let rows: &[(&str, &[&str])] = &[
        (
            "[port:tcp]\nnumber = 2525\n[port:a]\nkind = tcp\nnumber = 2525\n",
            &["f.ini:5: [port:a] number: [port:tcp] already listens on 0.0.0.0 port 2525 (V-05)"],
        ),
        (
            "[port:a]\nkind = tcp\nnumber = 25\naddresses = 127.0.0.1\n[port:tcp]\nnumber = 25\n",
            &["f.ini:6: [port:tcp] number: [port:a] already listens on 127.0.0.1 port 25 (V-05)"],
        ),
        (
            "[port:a]\nkind = tcp\nnumber = 25\naddresses = ::1\n",
            &["f.ini:3: [port:a] number: [port:tcp] already listens on ::1 port 25 (V-05)"],
        ),
        (
            "[port:a]\nkind = tcp\naddresses = ::1\nnumber = 25\n[port:tcp]\naddresses = 0.0.0.0\n",
            &[],
        ),
        (
            "[port:a]\nkind = tcp\nnumber = 25\naddresses = 127.0.0.2\n[port:tcp]\naddresses = 127.0.0.1\n",
            &[],
        ),
        (
            "[port:a]\nkind = tcp\nnumber = 25\nstatus = disabled\n",
            &[],
        ),
        (
            "[port:tcp]\naddresses = 0.0.0.0, 127.0.0.1\n",
            &["f.ini:1: [port:tcp] number: this port listens twice on 127.0.0.1 port 25 (V-05)"],
        ),
    ];
    for (ini, want) in rows {
        assert_problems(ini, want);
    }
    let defaults = format!("[port:tcp]\nnumber = 465\n{TLS}[port:tls]\nstatus = enabled\n");
    assert_problems(
        &defaults,
        &["f.ini:6: [port:tls] number: [port:tcp] already listens on 0.0.0.0 port 465 (V-05)"],
    );
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let needs = "needs a certificate and its private key (V-06)";
    let rows = [
        (
            "[port:tls]\nstatus = enabled\n",
            "2: [tls] certificate: [port:tls] status",
        ),
        (
            "[extensions]\nstarttls = enabled\n",
            "2: [tls] certificate: [extensions] starttls",
        ),
        (
            "[tls]\nmin_version = 1.3\n[extensions]\nstarttls = required\n",
            "1: [tls] certificate: [extensions] starttls",
        ),
        (
            "[tls]\ncertificate = a\n[extensions]\nstarttls = enabled\n",
            "1: [tls] private_key: [extensions] starttls",
        ),
        (
            "[tls]\n\nprivate_key = a\n[extensions]\nstarttls = enabled\n",
            "1: [tls] certificate: [extensions] starttls",
        ),
    ];
    for (ini, at) in rows {
        assert_problems(ini, &[&format!("f.ini:{at} {needs}")]);
    }
    assert_problems("[tls]\ncertificate = nowhere\nprivate_key = nowhere\n", &[]);
}

#[test]
fn each_fault_of_the_certificate_files_is_named() {
    let rows = [
        ("p256.crt", "p256.key", ""),
        ("rsa.crt", "rsa-pkcs1.key", ""),
        (
            "nowhere",
            "p256.key",
            "2: [tls] certificate: {data}/nowhere: No such file or directory (V-06)",
        ),
        (
            "p256.crt",
            "nowhere",
            "3: [tls] private_key: {data}/nowhere: No such file or directory (V-06)",
        ),
        (
            "users",
            "p256.key",
            "2: [tls] certificate: {data}/users: not a PEM file (V-06)",
        ),
        (
            "p256.crt",
            "empty.pem",
            "3: [tls] private_key: {data}/empty.pem: the file is empty (V-06)",
        ),
        (
            "p256.crt",
            "encrypted.key",
            "3: [tls] private_key: {data}/encrypted.key: encrypted keys are not supported (V-06)",
        ),
        (
            "p256.crt",
            "p256.crt",
            "3: [tls] private_key: {data}/p256.crt: there is no private key in it, but a certificate (V-06)",
        ),
        (
            "rsa.crt",
            "p256.key",
            "2: [tls] certificate: {data}/rsa.crt: not the certificate of the key in {data}/p256.key (V-06)",
        ),
        (
            "expired.crt",
            "expired.key",
            "2: warning: [tls] certificate: {data}/expired.crt: the certificate expired on Sat, 29 Feb 2020 23:59:59 +0000 (W-09)",
        ),
        (
            "future.crt",
            "future.key",
            "2: warning: [tls] certificate: {data}/future.crt: the certificate is not valid before Mon, 1 Jan 2120 00:00:00 +0000 (W-09)",
        ),
        (
            "p256.crt",
            "p256.key\n[server]\nhostname = mx.there.example",
            "2: warning: [tls] certificate: {data}/p256.crt: the certificate is not for mx.there.example, so clients \
             that check names refuse it; gatepost certificate makes one that is (W-17)",
        ),
        (
            "p256.crt",
            "p256.key\n[server]\nhostname = mx.here.example",
            "",
        ),
    ];
    for (certificate, key, want) in rows {
        let ini = format!(
            "[tls]\ncertificate = {{data}}/{certificate}\nprivate_key = {{data}}/{key}\n\
             [extensions]\nstarttls = enabled\n"
        );
        let want = format!("f.ini:{want}");
        match want.as_str() {
            "f.ini:" => assert_problems(&ini, &[]),
            line => assert_problems(&ini, &[line]),
        }
    }
}

#[test]
fn warnings_name_what_will_surprise() {
    let w01 = "clients of [port:tcp] can log in before STARTTLS but not after it: this key decides there (W-01)";
    let w03 = "no port takes mail without a login, so other servers can send none (W-03)";
    let w04 = "passwords cross the network in clear text; see [auth] plaintext_from (W-04)";
    let starttls = format!("{TLS}[extensions]\nstarttls = enabled\n");
    let clear = "[port:tcp]\nname_and_password = yes\n";
    assert_problems(
        &format!("{clear}{starttls}"),
        &[
            &format!("f.ini:2: warning: [port:tcp] name_and_password: {w04}"),
            &format!("f.ini:7: warning: [port:tls] name_and_password: {w01}"),
        ],
    );
    assert_problems(
        &format!("{clear}[port:tls]\nnumber = 4465\n{starttls}"),
        &[
            &format!("f.ini:2: warning: [port:tcp] name_and_password: {w04}"),
            &format!("f.ini:3: warning: [port:tls] name_and_password: {w01}"),
        ],
    );
    let required = format!("{clear}[port:tls]\nname_and_password = yes\n{starttls}");
    assert_problems(&required.replace("enabled", "required"), &[]);
    assert_problems(&format!("{clear}[auth]\nplaintext_from =\n"), &[]);
    assert_problems(
        &format!("{clear}anonymous = no\n"),
        &[
            &format!("f.ini:2: warning: [port:tcp] name_and_password: {w04}"),
            &format!("f.ini:3: warning: [port:tcp] anonymous: {w03}"),
        ],
    );
    assert_problems(
        &format!("{clear}anonymous = no\naddresses = 127.0.0.1, ::1\n"),
        &[&format!(
            "f.ini:2: warning: [port:tcp] name_and_password: {w04}"
        )],
    );
    let tls_port = format!(
        "{TLS}[port:tls]\nstatus = enabled\nname_and_password = yes\nanonymous = no\n\
         [port:tcp]\nstatus = disabled\n"
    );
    assert_problems(
        &tls_port,
        &[&format!("f.ini:7: warning: [port:tls] anonymous: {w03}")],
    );
    let got = check("[port:tcp]\n\nstatus = disabled\n");
    let w05 = "f.ini:3: warning: [port:tcp] status: no SMTP port is enabled (W-05)";
    assert_eq!((got.code, got.problems), (Some(0), vec![w05.to_owned()]));
    assert_eq!(got.table, ["no SMTP port is enabled"]);
}

#[test]
fn the_users_file_is_checked_with_it() {
    let folder = TempFolder::new("check-users");
    let rows: &[(&str, &str)] = &[
        (
            "",
            "f.ini:1: [auth] users: users: there is no such file, and [recipients] verify needs one",
        ),
        (
            "\n[auth]\nattempts_max = 1\n",
            "f.ini:2: [auth] users: users: there is no such file, and [recipients] verify needs one",
        ),
        (
            "\n[recipients]\nverify = yes\n",
            "f.ini:3: [auth] users: users: there is no such file, and [recipients] verify needs one",
        ),
        ("[recipients]\nverify = no\n", ""),
        (
            "[recipients]\nverify = no\n[port:tcp]\nname_and_password = yes\n[auth]\nusers = u\n",
            "f.ini:6: [auth] users: u: there is no such file, and name_and_password needs one",
        ),
    ];
    for (ini, want) in rows {
        let got = check_in(&folder, ini);
        let problems: Vec<_> = got
            .problems
            .iter()
            .filter(|line| !line.contains("warning"))
            .cloned()
            .collect();
        assert_eq!(problems.join("\n"), *want, "{ini}");
        assert_eq!(
            got.code,
            Some(if want.is_empty() { 0 } else { 78 }),
            "{ini}"
        );
    }
    fs::write(
        folder.path().join("users"),
        "# one\nalice:{PLAIN}hunter2\nbob\n",
    )
    .unwrap();
    let got = check_in(&folder, "[recipients]\ncatch_all = carol\n");
    assert_eq!(
        got.problems,
        [
            "f.ini:2: [recipients] catch_all: \"carol\" is not a user of users",
            "users:2: user \"alice\": the scheme {PLAIN} is not supported; write it with gatepost passwd",
            "users:3: no \":\" after the user's name",
        ]
    );
    assert_problems("[recipients]\ncatch_all = Alice\n", &[]);
    assert_problems("[recipients]\ncatch_all = postmaster\n", &[]);
}

#[test]
fn every_problem_is_reported_at_once_in_file_order() {
    let ini = "number = 1\n\
               [Server]\n\
               hostnam = a\n\
               Hostname = a_b.example\n\
               hostname = b.example\n\
               [sevrer]\n\
               x = y\n\
               [port:tcp]\n\
               kind = tcp\n\
               number = 65536\n\
               status = on\n\
               users = x\n\
               [server]\n\
               spool\n\
               [rhubarb]\n\
               [port:a]\n\
               number = 0\n\
               [limits] x\n\
               [limits]\n\
               message_size = 10MB\n\
               \x20 20M\n\
               recipients = 10\n\
               \x20 20\n\
               [port:b c]\n\
               [recipients]\n\
               catch_all =\n\
               zebra = 1\n";
    assert_problems(
        ini,
        &[
            "f.ini:1: \"number\" stands before any section",
            "f.ini:3: [server] hostnam: there is no such key; did you mean \"hostname\"?",
            "f.ini:5: [server] hostname: this key is repeated; it first stands on line 4",
            "f.ini:6: [sevrer]: there is no such section; did you mean [server]?",
            "f.ini:9: [port:tcp] kind: the kind of [port:tcp] cannot be set",
            "f.ini:10: [port:tcp] number: \"65536\" is not a number from 1 to 65535",
            "f.ini:11: [port:tcp] status: \"on\" is not one of enabled, disabled; write enabled",
            "f.ini:12: [port:tcp] users: there is no such key here, but one in [auth]",
            "f.ini:13: [server]: this section is repeated; it first stands on line 2",
            "f.ini:14: [server]: \"spool\" has no \"=\"",
            "f.ini:15: [rhubarb]: there is no such section",
            "f.ini:16: [port:a] kind: a further port needs this key",
            "f.ini:17: [port:a] number: \"0\" is not a number from 1 to 65535",
            "f.ini:18: [port:a]: text after the \"]\" of a section",
            "f.ini:21: [limits] message_size: the indented line \"20M\" goes on with message_size, \
             which takes one value; a key must begin at the start of its line",
            "f.ini:23: [limits] recipients: the indented line \"20\" goes on with recipients, \
             which takes one value; a key must begin at the start of its line",
            "f.ini:24: [port:b c]: a port's name is 1 to 32 letters a-z, digits, - or _",
            "f.ini:26: [recipients] catch_all: the value is missing",
            "f.ini:27: [recipients] zebra: there is no such key",
        ],
    );
}

#[test]
fn a_rule_over_a_faulty_key_stays_silent() {
    assert_problems(
        "[port:tcp]\nname_and_password = maybe\nanonymous = no\n",
        &["f.ini:2: [port:tcp] name_and_password: \"maybe\" is not yes or no"],
    );
    assert_problems(
        "[port:tls]\nstatus = enabled\n[tls]\ncertificate =\n",
        &["f.ini:4: [tls] certificate: the value is missing"],
    );
}

#[test]
fn octets_that_are_no_text_are_named_by_line() {
    let got = check(b"\xef\xbb\xbf[server]\r\nhostname = mx.here.example\r\n");
    assert_eq!((got.code, got.problems.len()), (Some(0), 0));
    let got = check(b"[server]\nhostname = a\0b\nspool = \xff\n[log]\nlevel = info\r\r\n");
    assert_eq!(
        got.problems,
        [
            "f.ini:2: [server]: a control character, U+0000",
            "f.ini:3: [server]: this line is not UTF-8",
            "f.ini:5: [log]: a control character, U+000D",
        ]
    );
}

#[test]
fn the_greeting_fits_its_line() {
    let text = |length: usize| {
        format!(
            "[server]\nhostname = h.example\n[messages]\ngreeting = {{hostname}} {}\n",
            "x".repeat(length)
        )
    };
    let spare = 512 - "220 h.example \r\n".len();
    assert_problems(&text(spare), &[]);
    assert_problems(
        &text(spare + 1),
        &["f.ini:4: [messages] greeting: the reply line has 513 octets; 512 is the most"],
    );
    assert_problems(
        "[messages]\ngreeting = {hostname} {host}\n",
        &["f.ini:2: [messages] greeting: {host} is not {hostname} or {date}"],
    );
}

/// The table over every setting of the four methods, both states of the TLS port, and STARTTLS,
/// against DOMINO.md section 1.6 written out again.
#[test]
fn the_table_shows_what_each_port_admits() {
    let folder = TempFolder::new("check-table");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    for case in 0..96_u32 {
        let yes = |bit: u32| case >> bit & 1 == 1;
        let word = |bit: u32| if yes(bit) { "yes" } else { "no" };
        let (tcp_np, tcp_anon, tls_np, tls_anon, tls_on) =
            (word(0), word(1), word(2), word(3), yes(4));
        let starttls = ["disabled", "enabled", "required"][(case / 32) as usize];
        let status = if tls_on { "enabled" } else { "disabled" };
        let ini = format!(
            "[port:tcp]\nnumber = 2525\naddresses = 127.0.0.1\n\
             name_and_password = {tcp_np}\nanonymous = {tcp_anon}\n\
             [port:tls]\nnumber = 4465\naddresses = ::1\nstatus = {status}\n\
             name_and_password = {tls_np}\nanonymous = {tls_anon}\n\
             [extensions]\nstarttls = {starttls}\n{TLS}"
        );
        let got = check_in(&folder, with_data(&ini));
        let dead = !yes(0) && !yes(1) || tls_on && !yes(2) && !yes(3);
        assert_eq!(got.code, Some(if dead { 78 } else { 0 }), "{ini}");
        if dead {
            continue;
        }
        let tcp = "port tcp 127.0.0.1:2525";
        let mut want = Vec::new();
        match starttls {
            "required" => want.push(format!(
                "{tcp} plaintext auth=no anonymous=no starttls-required"
            )),
            _ => want.push(format!(
                "{tcp} plaintext auth={tcp_np} anonymous={tcp_anon}"
            )),
        }
        if starttls != "disabled" {
            want.push(format!("{tcp} starttls auth={tls_np} anonymous={tcp_anon}"));
        }
        if tls_on {
            want.push(format!(
                "port tls [::1]:4465 tls auth={tls_np} anonymous={tls_anon}"
            ));
        }
        assert_eq!(got.table, want, "{ini}");
    }
}

#[test]
fn the_table_goes_over_every_address_and_further_port() {
    let got = check(
        "[port:tcp]\nstatus = disabled\n[port:a-1]\nkind = TCP\nnumber = 587\naddresses = 127.0.0.1,\n  ::1\n",
    );
    assert_eq!(
        got.table,
        [
            "port a-1 127.0.0.1:587 plaintext auth=no anonymous=yes",
            "port a-1 [::1]:587 plaintext auth=no anonymous=yes",
        ]
    );
    let got =
        check("[port:tcp]\nname_and_password = yes\naddresses = ::1\n[auth]\nplaintext_from =\n");
    assert_eq!(
        got.table,
        ["port tcp [::1]:25 plaintext auth=no anonymous=yes"]
    );
}

#[test]
fn a_missing_file_and_wrong_usage_have_their_codes() {
    let folder = TempFolder::new("check-usage");
    let got = run(&folder, &["check", "--config", "nowhere.ini"]);
    assert_eq!(got.code, Some(78));
    assert_eq!(got.problems, ["nowhere.ini: No such file or directory"]);
    fs::write(folder.path().join("f.ini"), "[recipients]\nverify = no\n").unwrap();
    let rows: &[(&[&str], i32)] = &[
        (&["check", "--config=f.ini"], 0),
        (&["--config", "f.ini", "check"], 0),
        (&["check", "--help"], 0),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["check", "--version"], 0),
        (&["passwd", "--help"], 0),
        (&["init", "--help"], 0),
        (&[], 64),
        (&["chek"], 64),
        (&["check", "--config"], 64),
        (&["check", "extra", "--config", "f.ini"], 64),
        (&["check", "--nope"], 64),
    ];
    for (arguments, code) in rows {
        let got = run(&folder, arguments);
        assert_eq!(got.code, Some(*code), "{arguments:?}: {:?}", got.problems);
        assert_eq!(got.table.is_empty(), *code != 0, "{arguments:?}");
    }
    let version = run(&folder, &["--version"]);
    assert_eq!(
        version.table,
        [format!("gatepost {}", env!("CARGO_PKG_VERSION"))]
    );
}

#[test]
fn a_smarthost_needs_a_whole_login_over_verified_tls() {
    let folder = TempFolder::new("check");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    file("good", "s3cret\n", 0o600);
    file("open", "s3cret\n", 0o644);
    file("blank", "\n", 0o600);
    file("spaced", "a b\n", 0o600);
    file("two", "a\nb\n", 0o600);
    file("binary", "ignored", 0o600);
    fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
    let login = "username = box\npassword_file = good\n";
    let ca = "ca_file = {data}/p256.crt\n";
    let rows: &[(&str, &str)] = &[
        (ca, ""),
        (login, ""),
        ("tls = none\n", ""),
        ("tls = opportunistic\nca_file = nowhere.pem\n", ""),
        (
            "username = box\n",
            "1: [smarthost] password_file: username needs this key as well, or token_file",
        ),
        (
            "password_file = good\n",
            "1: [smarthost] username: password_file needs this key as well",
        ),
        (
            "tls = none\nusername = box\npassword_file = good\n",
            "3: [smarthost] tls: the password would cross the network in clear text; a login needs \
             required or implicit, or plaintext_login",
        ),
        (
            "username = box\npassword_file = good\ntls = opportunistic\n",
            "5: [smarthost] tls: the password could cross the network in clear text; a login needs \
             required or implicit, or plaintext_login",
        ),
        (
            "tls = none\nusername = box\npassword_file = good\nplaintext_login = yes\n",
            "6: warning: [smarthost] plaintext_login: the password would cross the network in clear \
             text (W-12)",
        ),
        (
            "plaintext_login = yes\nusername = box\ntoken_file = good\ntls = opportunistic\n",
            "3: warning: [smarthost] plaintext_login: the token could cross the network in clear \
             text (W-12)",
        ),
        (
            "plaintext_login = yes\nusername = box\npassword_file = good\n",
            "",
        ),
        ("plaintext_login = yes\ntls = none\n", ""),
        ("username = box\ntoken_file = good\n", ""),
        (
            "token_file = good\n",
            "1: [smarthost] username: token_file needs this key as well",
        ),
        (
            "username = box\npassword_file = good\ntoken_file = good\n",
            "5: [smarthost] token_file: password_file is set as well; a login has one of the two",
        ),
        (
            "username = box\ntoken_file = open\n",
            "4: warning: [smarthost] token_file: open: every account of this machine can read it; \
             chmod 600 keeps them out (W-11)",
        ),
        (
            "username = box\ntoken_file = blank\n",
            "4: [smarthost] token_file: blank: it holds no token",
        ),
        (
            "username = box\ntoken_file = spaced\n",
            "4: [smarthost] token_file: spaced: it holds a blank or another character that no token \
             has",
        ),
        (
            "username = box\npassword_file = open\n",
            "4: warning: [smarthost] password_file: open: every account of this machine can read it; \
             chmod 600 keeps them out (W-11)",
        ),
        (
            "username = box\npassword_file = nowhere\n",
            "4: [smarthost] password_file: nowhere: No such file or directory",
        ),
        (
            "username = box\npassword_file = blank\n",
            "4: [smarthost] password_file: blank: it holds no password",
        ),
        (
            "username = box\npassword_file = two\n",
            "4: [smarthost] password_file: two: it holds more than one line",
        ),
        (
            "username = box\npassword_file = binary\n",
            "4: [smarthost] password_file: binary: it is not text",
        ),
        (
            "ca_file = nowhere.pem\n",
            "3: [smarthost] ca_file: nowhere.pem: No such file or directory",
        ),
        (
            "tls = implicit\nca_file = good\n",
            "4: [smarthost] ca_file: good: there is no certificate in it",
        ),
    ];
    for (keys, want) in rows {
        let ini = format!("[smarthost]\nhost = smart.example\n{keys}");
        let got = check_in(&folder, with_data(&ini));
        let want: Vec<String> = match *want {
            "" => Vec::new(),
            want => vec![format!("f.ini:{want}")],
        };
        assert_eq!(got.problems, want, "{keys}");
        let errors = want.iter().any(|line| !line.contains(" warning: "));
        assert_eq!(got.code, Some(if errors { 78 } else { 0 }), "{keys}");
        // Without a host all of it is idle.
        let idle = check_in(
            &folder,
            with_data(&ini.replace("host = smart.example\n", "")),
        );
        assert_eq!((idle.code, idle.problems), (Some(0), Vec::new()), "{keys}");
    }
}

#[test]
fn further_smarthosts_need_a_host_and_domains_that_no_other_has() {
    let folder = TempFolder::new("check");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    let rows: &[(&str, &[&str])] = &[
        (
            "[smarthost:a]\nhost = a.example\nsender_domains = x.example\n",
            &[],
        ),
        (
            "[smarthost:a]\nport = 25\n",
            &[
                "1: [smarthost:a] host: a further smarthost needs this key",
                "1: [smarthost:a] sender_domains: a further smarthost needs this key",
            ],
        ),
        (
            "[smarthost:a]\nhost = a.example\nsender_domains =\n",
            &["3: [smarthost:a] sender_domains: at least one domain is needed"],
        ),
        (
            "[smarthost:a]\nhost = a.example\nsender_domains = x.example, @y.example\n\
             [smarthost:b]\nhost = b.example\nsender_domains = @x.example, y.example\n",
            &[],
        ),
        (
            "[smarthost:a]\nhost = a.example\nsender_domains = x.example\n\
             [smarthost:b]\nsender_domains = y.example, X.EXAMPLE\nhost = b.example\n",
            &["5: [smarthost:b] sender_domains: [smarthost:a] already has X.EXAMPLE"],
        ),
        (
            "[smarthost:a]\nhost = a.example\nsender_domains = x.example\n\
             username = joe\ntls = none\npassword_file = nowhere\n",
            &[
                "5: [smarthost:a] tls: the password would cross the network in clear text; a login \
                 needs required or implicit, or plaintext_login",
                "6: [smarthost:a] password_file: nowhere: No such file or directory",
            ],
        ),
        (
            "[smarthost]\nhost = a.example\nsender_domains = x.example\n",
            &[
                "3: [smarthost] sender_domains: there is no such key here, but one in [smarthost:NAME]",
            ],
        ),
        (
            "[smarthost:a b]\nhost = a.example\n",
            &["1: [smarthost:a b]: a smarthost's name is 1 to 32 letters a-z, digits, - or _"],
        ),
    ];
    for (ini, want) in rows {
        let got = check_in(&folder, with_data(ini));
        let want: Vec<String> = want.iter().map(|line| format!("f.ini:{line}")).collect();
        assert_eq!(got.problems, want, "{ini}");
    }
}

#[test]
fn wrong_usage_is_told_before_any_file_is_read() {
    let folder = TempFolder::new("usage");
    for (arguments, want) in [
        (
            &["explain"][..],
            &["gatepost: --from ADDRESS is missing"][..],
        ),
        (
            &["explain", "--from", "::1"],
            &["gatepost: --rcpt ADDRESS is missing"],
        ),
        (
            &["check", "more"],
            &[
                "gatepost: \"more\" is one word too many",
                "Usage: gatepost check [--start] [--config FILE]",
            ],
        ),
        (
            &["passwd"],
            &[
                "gatepost: an argument is missing",
                "Usage: gatepost passwd USER [--iterations N] [--config FILE]",
            ],
        ),
    ] {
        let got = run(&folder, &[arguments, &["--config", "none.ini"]].concat());
        assert_eq!(got.problems, want, "{arguments:?}");
        assert_eq!(got.code, Some(64), "{arguments:?}");
    }
}

#[test]
fn help_is_a_command_too() {
    let folder = TempFolder::new("help");
    for (arguments, same) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "check"], &["check", "--help"]),
        (&["help", "sendmail"], &["sendmail", "--help"]),
        (&["help", "help"], &["help", "--help"]),
        (
            &["--config", "none.ini", "help", "tell"],
            &["tell", "--help"],
        ),
    ] {
        let (got, want) = (run(&folder, arguments), run(&folder, same));
        assert_eq!((got.code, want.code), (Some(0), Some(0)), "{arguments:?}");
        assert_eq!(got.table, want.table, "{arguments:?}");
        assert!(got.problems.is_empty(), "{arguments:?}");
    }
    let listed = run(&folder, &["help"]).table;
    assert!(listed.iter().any(|line| line.starts_with("  help ")));
}

#[test]
fn misspelt_words_and_what_the_system_does_are_named() {
    let folder = TempFolder::new("misspelt");
    for (arguments, want) in [
        (
            &["help", "chek"][..],
            "there is no command \"chek\"; did you mean check?",
        ),
        (&["help", "check", "it"], "\"it\" is one word too many"),
        (
            &["check", "--confg", "f.ini"],
            "there is no option \"--confg\" here; did you mean --config?",
        ),
        (
            &["status", "--jsn"],
            "there is no option \"--jsn\" here; did you mean --json?",
        ),
        (
            &["serve", "--hepl"],
            "there is no option \"--hepl\" here; did you mean --help?",
        ),
    ] {
        let got = run(&folder, arguments);
        assert_eq!(
            got.problems[0],
            format!("gatepost: {want}"),
            "{arguments:?}"
        );
        assert_eq!(got.code, Some(64), "{arguments:?}");
    }
    for (arguments, does, verb) in [
        (&["tell", "smtp", "restart"][..], "restarts", "restart"),
        (&["tell", "smtp", "Stop"], "stops", "stop"),
        (&["load", "smtp"], "starts", "start"),
        (&["restart", "task", "smtp"], "restarts", "restart"),
        (&["start"], "starts", "start"),
        (&["stop"], "stops", "stop"),
    ] {
        let got = run(&folder, arguments);
        let told = format!("the system {does} the service: ");
        let (_, command) = got.problems[0].split_once(&told).unwrap();
        let unit = format!("systemctl {verb} gatepost");
        let script = format!("/etc/init.d/gatepost {verb}");
        let both = format!("{unit}, or {script}");
        assert!(
            [unit, script, both].iter().any(|own| own == command),
            "{command}"
        );
        assert_eq!(got.code, Some(64), "{arguments:?}");
    }
}
