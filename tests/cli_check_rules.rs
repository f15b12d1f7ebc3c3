//! `gatepost check` on server access, sites, relaying and texts: every rule with its exact line, and what
//! must stay silent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use support::checking::{TLS, assert_problems, check, check_in, run, with_data};
use support::{TempFolder, data};

const OPEN: &str = "this makes an open relay";

#[test]
fn access_without_a_login_is_an_error() {
    let why =
        "nobody can log in on any enabled port, so there is nobody to let in or keep out (V-04)";
    let tls = "[tls]\ncertificate = {data}/p256.crt\nprivate_key = {data}/p256.key\n";
    // Each but the last line: a file in which nobody can log in; its lines before [server_access].
    let rows: &[(&str, usize)] = &[
        ("", 0),
        ("[port:tls]\nname_and_password = yes\n", 2),
        (&format!("{tls}[extensions]\nstarttls = enabled\n"), 5),
        (&format!("{tls}[port:tls]\nstatus = enabled\n"), 5),
        (
            &format!(
                "{tls}[extensions]\nstarttls = required\n[port:tcp]\nname_and_password = yes\n"
            ),
            7,
        ),
    ];
    for (before, lines) in rows {
        let ini = format!("{before}[server_access]\nenforce = yes\n");
        let at = lines + 2;
        let got = check(with_data(&ini));
        let want = format!("f.ini:{at}: [server_access] enforce: {why}");
        assert!(got.problems.contains(&want), "{ini}{:?}", got.problems);
        assert_eq!(got.code, Some(78), "{ini}");
    }
    for good in [
        "[port:tcp]\nname_and_password = yes\nanonymous = no\n",
        &format!(
            "{tls}[port:tls]\nstatus = enabled\nname_and_password = yes\nanonymous = no\n[port:tcp]\nstatus = disabled\n"
        ),
        &format!("{tls}[port:tls]\nname_and_password = yes\n[extensions]\nstarttls = enabled\n"),
        "[port:a]\nkind = tcp\nnumber = 587\nname_and_password = yes\n",
        "[server]\nload_internet_sites = yes\n[site:a]\ntcp_name_and_password = yes\n",
    ] {
        let ini = format!("{good}[server_access]\nenforce = yes\n");
        let got = check(with_data(&ini));
        assert!(
            got.problems.iter().all(|line| !line.contains("V-04")),
            "{ini}"
        );
        assert_eq!(got.code, Some(0), "{ini}{:?}", got.problems);
    }
    // A key at fault is not judged twice.
    assert_problems(
        "[port:tcp]\nname_and_password = maybe\nanonymous = no\n[server_access]\nenforce = yes\n",
        &["f.ini:2: [port:tcp] name_and_password: \"maybe\" is not yes or no"],
    );
}

#[test]
fn access_that_strangers_pass_is_a_warning_for_each_port() {
    let warning = |line: usize, port: &str| {
        format!(
            "f.ini:{line}: warning: [server_access] enforce: a user who is kept out can still send \
             without a login on [port:{port}], which takes anonymous mail (W-02)"
        )
    };
    let plain = "f.ini:2: warning: [port:tcp] name_and_password: passwords cross the network in \
                 clear text; see [auth] plaintext_from (W-04)";
    assert_problems(
        "[port:tcp]\nname_and_password = yes\n[server_access]\nenforce = yes\n",
        &[plain, &warning(4, "tcp")],
    );
    let two = "[port:tcp]\nname_and_password = yes\n[server_access]\nenforce = yes\n\
               [port:a]\nkind = tcp\nnumber = 587\n";
    assert_problems(two, &[plain, &warning(4, "tcp"), &warning(4, "a")]);
    let site = "[server]\nload_internet_sites = yes\n[site:a]\ntcp_name_and_password = yes\n\
                tcp_anonymous = yes\n[server_access]\nenforce = yes\n";
    let site_plain = "f.ini:4: warning: [site:a] tcp_name_and_password: passwords cross the network \
                      in clear text on [port:tcp]; see [auth] plaintext_from (W-04)";
    assert_problems(site, &[site_plain, &warning(7, "tcp")]);
}

#[test]
fn access_lists_name_users_and_groups_there_are() {
    let folder = TempFolder::new("access");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    fs::write(
        folder.path().join("aliases"),
        "staff: alice, bob\nboss: alice\n",
    )
    .unwrap();
    let head = "[aliases]\nfile = aliases\n[port:tcp]\nname_and_password = yes\nanonymous = no\n\
                addresses = 127.0.0.1\n[auth]\nplaintext_from =\n[server_access]\n";
    let problems = |lists: &str| check_in(&folder, format!("{head}{lists}")).problems;
    let none: Vec<String> = Vec::new();
    assert_eq!(
        problems("enforce = yes\nallow = alice, BOB, @Staff, *, postmaster\n"),
        none
    );
    assert_eq!(
        problems("enforce = yes\nallow = carol\ndeny = alice,\n  dave\n"),
        [
            "f.ini:11: warning: [server_access] allow: there is no user carol (W-08)",
            "f.ini:12: warning: [server_access] deny: there is no user dave (W-08)",
        ]
    );
    let elsewhere = "enforce = yes\ndeny = alice@elsewhere.example\n";
    let want = [
        "f.ini:11: warning: [server_access] deny: there is no user alice@elsewhere.example (W-08)",
    ];
    assert_eq!(problems(elsewhere), want);
    for (lists, entry) in [
        ("allow = @nobody\n", "@nobody"),
        ("enforce = yes\nallow = @boss\n", "@boss"),
    ] {
        let line = 9 + lists.lines().count();
        let want = format!(
            "f.ini:{line}: [server_access] allow: there is no group {entry} in [aliases] file"
        );
        assert_eq!(problems(lists), [want]);
    }
    // Idle lists warn of nothing.
    assert_eq!(problems("allow = carol\n"), none);
}

#[test]
fn sites_are_judged_as_a_whole() {
    let sites = "[server]\nload_internet_sites = yes\n";
    assert_problems(
        sites,
        &[
            "f.ini:2: warning: [server] load_internet_sites: there is no [site:NAME], so every client \
           hears that this site is not enabled (W-06)",
        ],
    );
    let nothing = "it allows neither logins nor anonymous mail, so its clients hear that this site is \
                   not enabled (W-06)";
    assert_problems(
        &format!(
            "{sites}[site:a]\ntcp_anonymous = yes\naddresses = 127.0.0.1\n[site:B]\ntls_anonymous = no\n"
        ),
        &[&format!("f.ini:6: warning: [site:b]: {nothing}")],
    );
    // A site that is idle warns of nothing, but two for one address are an error all the same.
    assert_problems("[site:a]\n", &[]);
    assert_problems(
        "[site:a]\naddresses = 127.0.0.1, ::1\n[site:b]\naddresses = 127.0.0.2,\n ::1\n",
        &["f.ini:4: [site:b] addresses: [site:a] already serves ::1"],
    );
    assert_problems(
        &format!("{sites}[site:a]\ntcp_anonymous = yes\n[site:b]\ntcp_anonymous = yes\n"),
        &["f.ini:5: [site:b] addresses: [site:a] already serves every address"],
    );
    // The ports' own methods are idle: V-02 and V-03 are silent.
    assert_problems(
        &format!("{sites}[site:a]\ntcp_anonymous = yes\n[port:tcp]\nanonymous = no\n"),
        &[],
    );
    assert_problems(
        "[site:a b]\nx = y\n",
        &["f.ini:1: [site:a b]: a site's name is 1 to 32 letters a-z, digits, - or _"],
    );
}

#[test]
fn in_site_mode_the_warnings_name_the_site() {
    let starttls = "[server]\nload_internet_sites = yes\n[extensions]\nstarttls = enabled\n";
    let ini = format!("{starttls}{TLS}[site:a]\ntcp_name_and_password = yes\n");
    assert_problems(
        &ini,
        &[
            "f.ini:8: warning: [site:a] tls_name_and_password: clients of [port:tcp] can log in \
             before STARTTLS but not after it: this key decides there (W-01)",
            "f.ini:8: warning: [site:a] tcp_anonymous: no port takes mail without a login, \
             [port:tcp] neither, so other servers can send none (W-03)",
            "f.ini:9: warning: [site:a] tcp_name_and_password: passwords cross the network in clear \
             text on [port:tcp]; see [auth] plaintext_from (W-04)",
        ],
    );
}

#[test]
fn a_sites_certificate_is_checked_where_sites_are_loaded() {
    let site = "[site:a]\ntcp_anonymous = yes\ntls_anonymous = yes\n";
    let loaded = "[server]\nload_internet_sites = yes\n[port:tls]\nstatus = enabled\n";
    let own = "certificate = {data}/p256.crt\nprivate_key = {data}/p256.key\n";
    // Every site has its own: [tls] needs none.
    assert_problems(&format!("{loaded}{site}{own}"), &[]);
    assert_problems(
        &format!("{loaded}{site}certificate = {{data}}/p256.crt\n"),
        &["f.ini:5: [site:a] private_key: certificate needs this key beside it (V-06)"],
    );
    assert_problems(
        &format!("{loaded}{TLS}{site}private_key = {{data}}/p256.key\n"),
        &["f.ini:8: [site:a] certificate: private_key needs this key beside it (V-06)"],
    );
    let missing = check(with_data(&format!(
        "{loaded}{TLS}{site}certificate = missing.crt\nprivate_key = {{data}}/p256.key\n"
    )));
    assert_eq!(missing.problems.len(), 1, "{:?}", missing.problems);
    assert!(missing.problems[0].starts_with("f.ini:11: [site:a] certificate: missing.crt"));
    assert!(missing.problems[0].ends_with("(V-06)"));
    // Outside site mode the files are not looked at.
    assert_problems(&format!("{site}certificate = missing.crt\n"), &[]);
}

#[test]
fn an_open_relay_is_a_warning_at_the_list_at_fault() {
    let host = "[smarthost]\nhost = relay.example\n";
    let rows: &[(&str, &[&str])] = &[
        ("", &[]),
        ("allow_hosts = 192.0.2.0/24", &[]),
        ("deny_domains = *, bad.example", &[]),
        ("deny_domains =", &["4: warning: [relay] deny_domains"]),
        (
            "deny_domains = bad.example",
            &["4: warning: [relay] deny_domains"],
        ),
        ("deny_domains =\nallow_domains = a.example", &[]),
        (
            "allow_domains = a.example, *",
            &["4: warning: [relay] allow_domains"],
        ),
        (
            "enforce_for = none\ndeny_domains =",
            &["4: warning: [relay] enforce_for"],
        ),
        (
            "allow_hosts = 10.0.0.0/8,\n 0.0.0.0/0",
            &["4: warning: [relay] allow_hosts"],
        ),
        (
            "exclude_hosts = ::/0",
            &["4: warning: [relay] exclude_hosts"],
        ),
        ("internal = 0.0.0.0/0", &["4: warning: [relay] internal"]),
        ("internal = 0.0.0.0/0\nenforce_for = all", &[]),
        (
            "exclude_hosts = 0.0.0.0/0\nallow_hosts = ::/0",
            &[
                "4: warning: [relay] exclude_hosts",
                "5: warning: [relay] allow_hosts",
            ],
        ),
    ];
    for (relay, want) in rows {
        let got = check(format!("{host}[relay]\n{relay}\n"));
        let short = |line: &String| {
            assert!(line.contains(OPEN) && line.ends_with("(W-07)"), "{line}");
            let cut = line.find(&format!(": {OPEN}")).unwrap();
            line["f.ini:".len()..cut].to_owned()
        };
        let got: Vec<String> = got.problems.iter().map(short).collect();
        assert_eq!(got, *want, "{relay}");
    }
    // Not written at all: the line is that of the section.
    assert_problems(
        "[relay]\ndeny_domains = maybe not\n",
        &[
            "f.ini:2: [relay] deny_domains: \"maybe not\" is not a domain, @domain or *; commas stand \
           between entries: write maybe, not",
        ],
    );
}

#[test]
fn relaying_without_a_smarthost_is_a_warning() {
    let why = "[relay] allows outside recipients, but without a smarthost nothing can send to them: \
               they are refused (W-10)";
    for relay in [
        "allow_domains = a.example",
        "allow_hosts = 192.0.2.0/24",
        "exclude_hosts = 192.0.2.0/24",
    ] {
        let want = format!("f.ini:2: warning: [smarthost] host: {why}");
        assert_problems(&format!("[relay]\n{relay}\n"), &[&want]);
        let want = format!("f.ini:3: warning: [smarthost] host: {why}");
        assert_problems(
            &format!("[relay]\n{relay}\n[smarthost]\nport = 25\n"),
            &[&want],
        );
    }
    let got = check("[relay]\nenforce_for = none\n");
    assert!(
        got.problems.iter().any(|line| line.ends_with("(W-10)")),
        "{:?}",
        got.problems
    );
    for silent in ["", "[relay]\ndeny_domains = *\ninternal = 192.0.2.0/24\n"] {
        assert_problems(silent, &[]);
    }
}

#[test]
fn texts_fit_their_lines() {
    for (section, key, overhead) in [
        ("messages", "site_not_enabled", "554 \r\n"),
        ("messages", "relay_denied", "554 5.7.1 \r\n"),
        ("messages", "authentication_required", "530 5.7.0 \r\n"),
        ("messages", "access_denied", "554 \r\n"),
        ("messages", "too_many_errors", "421 4.7.0 \r\n"),
        ("dnsbl", "reply", "554 \r\n"),
        ("blacklist", "reply", "554 \r\n"),
    ] {
        let fits = "x".repeat(512 - overhead.len());
        assert_problems(&format!("[{section}]\n{key} = {fits}\n"), &[]);
        let want =
            format!("f.ini:2: [{section}] {key}: the reply line has 513 octets; 512 is the most");
        assert_problems(&format!("[{section}]\n{key} = {fits}x\n"), &[&want]);
        assert_problems(
            &format!("[{section}]\n{key} = é\n"),
            &[&format!(
                "f.ini:2: [{section}] {key}: only printable ASCII can be sent"
            )],
        );
    }
}

#[test]
fn the_table_has_a_line_for_each_site_of_a_listener() {
    let ini = format!(
        "[server]\nload_internet_sites = yes\n[extensions]\nstarttls = enabled\n{TLS}\
         [port:tcp]\naddresses = 0.0.0.0, ::1\n[port:tls]\nstatus = enabled\naddresses = 127.0.0.1\n\
         [site:a]\naddresses = 127.0.0.1\ntcp_anonymous = yes\n[site:b]\ntls_name_and_password = yes\n"
    );
    assert_eq!(
        check(with_data(&ini)).table,
        [
            "port tcp 0.0.0.0:25 plaintext auth=no anonymous=yes site=a",
            "port tcp 0.0.0.0:25 starttls auth=no anonymous=yes site=a",
            "port tcp 0.0.0.0:25 plaintext auth=no anonymous=no starttls-required site=b",
            "port tcp 0.0.0.0:25 starttls auth=yes anonymous=no site=b",
            "port tcp [::1]:25 plaintext auth=no anonymous=no starttls-required site=b",
            "port tcp [::1]:25 starttls auth=yes anonymous=no site=b",
            "port tls 127.0.0.1:465 tls auth=no anonymous=no not-enabled site=a",
        ]
    );
    let nobody = "[server]\nload_internet_sites = yes\n[port:tcp]\naddresses = 127.0.0.1\n\
                  [site:a]\naddresses = 127.0.0.2\ntcp_anonymous = yes\n";
    assert_eq!(
        check(nobody).table,
        ["port tcp 127.0.0.1:25 plaintext auth=no anonymous=no not-enabled"]
    );
}

#[test]
fn a_list_of_proxies_holds_proxies_alone() {
    let wide = |line: usize, port: &str, network: &str| {
        format!(
            "f.ini:{line}: warning: [port:{port}] proxy_from: everybody in {network} can claim to be \
             any client, one that may relay among them; name the proxies alone (W-14)"
        )
    };
    // With W-20 the next test has to do.
    let assert_proxies = |ini: &str, want: &[&str]| {
        assert_problems(&format!("{ini}[relay]\ninternal =\n"), want);
    };
    for good in [
        "",
        "127.0.0.1, ::1",
        "10.0.0.0/8, fc00::/7, 192.0.2.1",
        "::ffff:10.0.0.0/104",
    ] {
        assert_proxies(&format!("[port:tcp]\nproxy_from = {good}\n"), &[]);
    }
    for network in ["0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3"] {
        assert_proxies(
            &format!("[port:tcp]\nproxy_from = 127.0.0.1, {network}\n"),
            &[&wide(2, "tcp", network)],
        );
    }
    // A mapped network is told as what it is.
    assert_proxies(
        "[port:tcp]\nproxy_from = ::ffff:0.0.0.0/96\n",
        &[&wide(2, "tcp", "0.0.0.0/0")],
    );
    let further = "[port:a]\nkind = tcp\nnumber = 587\nproxy_from = 0.0.0.0/0\n";
    assert_proxies(further, &[&wide(4, "a", "0.0.0.0/0")]);
    // A disabled port serves nobody; its value is checked all the same.
    assert_proxies("[port:tls]\nproxy_from = 0.0.0.0/0\n", &[]);
    assert_proxies(
        "[port:tls]\nproxy_from = haproxy.example.org\n[port:tcp]\nproxy_form = 10.0.0.1\n",
        &[
            "f.ini:2: [port:tls] proxy_from: \"haproxy.example.org\" is not a network, such as \
             192.0.2.0/24, 2001:db8::/32 or one address",
            "f.ini:4: [port:tcp] proxy_form: there is no such key; did you mean \"proxy_from\"?",
        ],
    );
}

#[test]
fn a_proxy_that_counts_as_internal_is_a_warning() {
    let told = |line: usize, port: &str, proxy: &str| {
        format!(
            "f.ini:{line}: warning: [port:{port}] proxy_from: [relay] internal holds the proxy {proxy}: a client \
             that it tells with its own address relays to everybody; take it out of internal (W-20)"
        )
    };
    assert_problems(
        "[port:tcp]\nproxy_from = 192.0.2.10, 127.0.0.1\n",
        &[&told(2, "tcp", "127.0.0.1/32")],
    );
    for (proxies, internal, proxy) in [
        ("192.0.2.0/28", "192.0.2.4", "192.0.2.0/28"),
        ("2001:db8::1", "2001:db8::/32", "2001:db8::1/128"),
    ] {
        assert_problems(
            &format!("[port:tcp]\nproxy_from = {proxies}\n[relay]\ninternal = {internal}\n"),
            &[&told(2, "tcp", proxy)],
        );
    }
    for silent in [
        "[port:tcp]\nproxy_from = 127.0.0.1\n[relay]\ninternal = 192.0.2.0/24\n",
        "[port:tls]\nproxy_from = 127.0.0.1\n",
        "[port:tcp]\nproxy_from = 192.0.2.10\n",
    ] {
        assert_problems(silent, &[]);
    }
}

#[test]
fn where_starttls_is_required_a_lost_login_is_told_as_it_is() {
    assert_problems(
        &format!("{TLS}[extensions]\nstarttls = required\n[port:tcp]\nname_and_password = yes\n"),
        &[
            "f.ini:7: warning: [port:tls] name_and_password: nobody can log in on [port:tcp]: its \
             name_and_password does not count while starttls = required, this key decides (W-01)",
        ],
    );
}

#[test]
fn every_wrong_item_of_a_list_is_told_at_its_line() {
    let item = |line: usize, text: &str, why: &str| {
        format!("f.ini:{line}: [connections] deny: {text:?} is {why}")
    };
    let none = "not a network, such as 192.0.2.0/24 or 2001:db8::/32, or a host name";
    let within = "an address within a network; write 10.0.0.0/8 or 10.0.0.1";
    let want = [
        item(2, "192.0.2.0/33", none),
        item(3, "10.0.0.1/8", within),
        item(4, "mx.example", "listed twice"),
    ];
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    assert_problems(
        "[connections]\ndeny = 192.0.2.0/33, mx.example,\n  10.0.0.1/8\n  mx.example\n",
        &want,
    );
}

#[test]
fn a_comment_behind_a_value_is_told_as_such() {
    assert_problems(
        "[port:tcp]\nnumber = 25 ; the usual one\nanonymous = yes\t# for all\n\
         [relay]\nallow_hosts =\n  192.0.2.1 # ours\n  mx;example\n",
        &[
            "f.ini:2: [port:tcp] number: \"25 ; the usual one\" is not a number from 1 to 65535; \
             a comment needs a line of its own",
            "f.ini:3: [port:tcp] anonymous: \"yes\\t# for all\" is not yes or no; a comment needs a \
             line of its own",
            "f.ini:6: [relay] allow_hosts: \"192.0.2.1 # ours\" is not a network, such as \
             192.0.2.0/24 or 2001:db8::/32, or a host name; a comment needs a line of its own",
            "f.ini:7: [relay] allow_hosts: \"mx;example\" is not a network, such as 192.0.2.0/24 or \
             2001:db8::/32, or a host name",
        ],
    );
}

/// Only root becomes another account; whoever runs the tests as somebody else has nothing to see.
#[test]
fn an_account_that_is_not_there_is_an_error_of_the_configuration() {
    let folder = TempFolder::new("no-account");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED: not root");
        return;
    }
    let ini = "[server]\nuser = nobody-of-this-name\nspool = spool\n[control]\nsocket = control\n\
               [port:tcp]\nnumber = 2525\naddresses = 127.0.0.1\n[delivery]\nmail_root = mail\n";
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    let got = run(&folder, &["serve", "--config", "f.ini"]);
    assert_eq!(got.code, Some(78));
    let want =
        "f.ini:2: [server] user: there is no account \"nobody-of-this-name\" on this machine";
    assert_eq!(got.problems.last().map(String::as_str), Some(want));
}

#[test]
fn a_log_that_nobody_takes_is_told_on_standard_error() {
    if Path::new("/dev/log").exists() {
        eprintln!("SKIPPED: this machine has a syslog");
        return;
    }
    let folder = TempFolder::new("no-syslog");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    // An address no machine has (RFC 5737): the start ends there.
    let ini = "[server]\nuser = root\nspool = spool\n[control]\nsocket = control\n\
               [port:tcp]\nnumber = 2525\naddresses = 192.0.2.77\n[delivery]\nmail_root = mail\n\
               [log]\ntarget = syslog\n";
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    let got = run(&folder, &["serve", "--config", "f.ini"]);
    assert_eq!(got.code, Some(69));
    let want = "gatepost: nobody listens on /dev/log, log lines are lost until somebody does ([log] target)";
    assert!(
        got.problems.iter().any(|line| line == want),
        "{:?}",
        got.problems
    );
}

#[test]
fn what_a_login_costs_is_told_where_it_is_too_little_or_too_much() {
    let few = "f.ini:2: warning: [auth] iterations: passwords with fewer than 15000 iterations are guessed fast by \
               whoever has stolen the users file (W-24)";
    for (count, want) in [
        ("0", None),
        ("15000", None),
        ("14999", Some(few)),
        ("4096", Some(few)),
    ] {
        let got = check(format!("[auth]\niterations = {count}\n"));
        let told = got.problems.iter().find(|line| line.contains("W-24"));
        assert_eq!(told.map(String::as_str), want, "{count}");
        assert_eq!(got.code, Some(0), "{count}");
    }
    let got = check("[auth]\niterations = 10000000\n");
    let start = "f.ini:2: warning: [auth] iterations: a login with a password of 10000000 iterations takes about ";
    let told = |problems: &[String], start: &str| {
        let line = problems.iter().find(|line| line.starts_with(start));
        line.is_some_and(|line| line.contains(" ms here") && line.ends_with("(W-24)"))
    };
    assert!(told(&got.problems, start), "{:?}", got.problems);
    assert_eq!(got.code, Some(0));
    // One password among others.
    let folder = TempFolder::new("dear");
    let users = fs::read_to_string(data("users")).unwrap();
    let line = users.lines().find(|line| line.starts_with("bob:")).unwrap();
    let (name, rest) = line.split_once(":{SCRAM-SHA-256}").unwrap();
    let (_, keys) = rest.split_once(',').unwrap();
    let dear = format!("{users}carol:{{SCRAM-SHA-256}}10000000,{keys}\n");
    assert_eq!(name, "bob");
    fs::write(folder.path().join("users"), dear).unwrap();
    let got = check_in(&folder, "[auth]\nusers = users\n");
    let start = "f.ini:2: warning: [auth] users: users: a login of carol takes about ";
    assert!(told(&got.problems, start), "{:?}", got.problems);
    assert_eq!(got.code, Some(0));
}
