//! Who a smarthost is and how it is logged in to: TLS, every mechanism, further hosts, and sections for
//! senders' domains.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/machine.rs"]
mod machine;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fake_host::{Act, FakeHost, Scram, Setup, server_tls};
use gatepost::config::settings::{LoginSecret, Mechanism, Smarthost, SmarthostLogin, SmarthostTls};
use gatepost::config::smarthosts::HostPort;
use gatepost::delivery::NextHops;
use gatepost::mail::{Envelope, Mailbox, ReversePath};
use machine::{
    Folder, Machine, SHORT, TEXT, envelope, hops, logged, options, plain, wait_for, with_tls,
};

/// Only a smarthost, or nobody.
fn only(smarthost: Option<Smarthost>) -> NextHops {
    hops(smarthost, None)
}

/// A host with STARTTLS whose certificate is for `name`.
fn tls_host(folder: &Folder, name: &str, setup: Setup) -> FakeHost {
    let mut setup = setup;
    setup.tls = Some(server_tls(&folder.0, name));
    if !setup.implicit {
        setup.plain.push("STARTTLS");
    }
    FakeHost::start(setup)
}

/// Sends one message; gives what was taken and the reasons of failures until then.
fn one_message(folder: &Folder, host: &FakeHost, smarthost: Smarthost, fails: bool) -> Vec<String> {
    let machine = Machine::start_with(folder, only(Some(smarthost)), options(SHORT), |_| {});
    let id = machine.send(&["a@there.example"], TEXT);
    if fails {
        wait_for("a failure", || {
            !logged(&["event=relay_failed", &id]).is_empty()
        });
        assert_eq!(host.taken().len(), 0);
    } else {
        machine.wait_until_empty();
        assert_eq!(host.taken().len(), 1);
    }
    machine.stop();
    logged(&["event=relay_failed", &id])
}

#[test]
fn required_and_implicit_tls_want_a_good_certificate() {
    use SmarthostTls::{Implicit, Required};
    for (name, trusted, tls, why) in [
        ("localhost", true, Required, None),
        ("localhost", true, Implicit, None),
        (
            "other.example",
            true,
            Required,
            Some("its certificate is for another name"),
        ),
        (
            "other.example",
            true,
            Implicit,
            Some("its certificate is for another name"),
        ),
        (
            "localhost",
            false,
            Required,
            Some("nobody in the CA bundle vouches for its certificate"),
        ),
        (
            "localhost",
            false,
            Implicit,
            Some("nobody in the CA bundle vouches for its certificate"),
        ),
    ] {
        let folder = Folder::new();
        let setup = Setup {
            implicit: tls == Implicit,
            ..Setup::default()
        };
        let host = tls_host(&folder, name, setup);
        server_tls(&folder.0, "somebody.else.example");
        let ca = if trusted {
            name
        } else {
            "somebody.else.example"
        };
        let mut smarthost = with_tls(host.address, tls);
        smarthost.ca_file = Some(folder.0.join(format!("{ca}.pem")));
        let failures = one_message(&folder, &host, smarthost, why.is_some());
        match why {
            None => assert!(host.taken()[0].tls && failures.is_empty()),
            Some(why) => assert!(failures[0].contains(why), "{failures:?}"),
        }
    }
}

#[test]
fn required_tls_never_falls_back_to_plain_text() {
    let inject = Act::say("220 go ahead\r\n250 forged");
    let rows = [
        (None, "STARTTLS: the server does not offer it"),
        (
            Some(("STARTTLS", Act::say("454 4.7.0 not now"))),
            "454 4.7.0 not now",
        ),
        (
            Some(("STARTTLS", inject)),
            "plain text came behind the reply to STARTTLS",
        ),
        (Some(("HANDSHAKE", Act::say("no TLS here at all"))), "TLS: "),
        // An end, or a reset: both are told as the system tells them.
        (Some(("HANDSHAKE", Act::Cut)), "TLS: "),
        (Some(("HANDSHAKE", Act::Hang)), "TLS: timed out"),
    ];
    for (fault, why) in rows {
        let folder = Folder::new();
        let host = match fault {
            None => FakeHost::start(Setup::default()),
            Some((verb, act)) => {
                let setup = Setup::script(move |step| match step.verb == verb {
                    true => act.clone(),
                    false => Act::Usual,
                });
                tls_host(&folder, "localhost", setup)
            }
        };
        let mut smarthost = with_tls(host.address, SmarthostTls::Required);
        server_tls(&folder.0, "ca.example");
        smarthost.ca_file = Some(folder.0.join("ca.example.pem"));
        let failures = one_message(&folder, &host, smarthost, true);
        assert!(failures[0].contains(why), "{failures:?}");
        assert!(!host.lines().iter().any(|line| line.starts_with("MAIL")));
    }
}

#[test]
fn opportunistic_tls_takes_any_certificate_and_says_when_it_goes_without() {
    let folder = Folder::new();
    let host = tls_host(&folder, "other.example", Setup::default());
    let smarthost = with_tls(host.address, SmarthostTls::Opportunistic);
    one_message(&folder, &host, smarthost, false);
    assert!(host.taken()[0].tls);

    let folder = Folder::new();
    let host = FakeHost::start(Setup::default());
    let smarthost = with_tls(host.address, SmarthostTls::Opportunistic);
    one_message(&folder, &host, smarthost, false);
    assert!(!host.taken()[0].tls);

    for (verb, act) in [
        ("HANDSHAKE", Act::say("no TLS here at all")),
        ("HANDSHAKE", Act::Cut),
        ("STARTTLS", Act::say("454 4.7.0 not now")),
    ] {
        let folder = Folder::new();
        let setup = Setup::script(move |step| match step.verb == verb {
            true => act.clone(),
            false => Act::Usual,
        });
        let host = tls_host(&folder, "localhost", setup);
        let smarthost = with_tls(host.address, SmarthostTls::Opportunistic);
        let failures = one_message(&folder, &host, smarthost, false);
        assert!(!host.taken()[0].tls && failures.is_empty());
        let address = host.address.to_string();
        assert_eq!(logged(&["event=relay_without_tls", &address]).len(), 1);
    }
}

const ALL: [Mechanism; 4] = [
    Mechanism::ScramSha256Plus,
    Mechanism::ScramSha256,
    Mechanism::Plain,
    Mechanism::Login,
];

fn with_login(host: &FakeHost, folder: &Folder, password: &str) -> Smarthost {
    let password_file = folder.0.join("password");
    fs::write(&password_file, password).unwrap();
    let mut smarthost = with_tls(host.address, SmarthostTls::Required);
    smarthost.ca_file = Some(folder.0.join("localhost.pem"));
    smarthost.login = Some(SmarthostLogin {
        username: "box".to_owned(),
        secret: LoginSecret::Password(password_file),
        mechanisms: ALL.to_vec(),
    });
    smarthost
}

#[test]
fn a_login_is_made_by_plain_or_login_over_tls() {
    let plain = STANDARD.encode("\0box\0s3cret");
    let long = "p".repeat(400);
    let longer = STANDARD.encode(format!("\0box\0{long}"));
    let rows = [
        (
            "AUTH LOGIN PLAIN",
            "s3cret\n",
            format!("AUTH PLAIN {plain}"),
        ),
        (
            "AUTH=LOGIN",
            "s3cret",
            format!(
                "AUTH LOGIN {} {}",
                STANDARD.encode("box"),
                STANDARD.encode("s3cret")
            ),
        ),
        ("AUTH PLAIN", long.as_str(), longer),
    ];
    for (offer, password, want) in rows {
        let folder = Folder::new();
        let setup = Setup {
            secure: vec!["SIZE", offer],
            script: Box::new(|step| match step.line {
                "AUTH PLAIN" => Act::say("334 "),
                _ => Act::Usual,
            }),
            ..Setup::default()
        };
        let host = tls_host(&folder, "localhost", setup);
        let smarthost = with_login(&host, &folder, password);
        one_message(&folder, &host, smarthost, false);
        let heard = host.taken()[0].login.clone();
        let heard = heard.or_else(|| host.lines().into_iter().find(|line| *line == want));
        assert_eq!(heard, Some(want));
    }
}

#[test]
fn a_refused_login_defers_and_a_mended_password_file_counts_at_once() {
    let folder = Folder::new();
    let good = format!("AUTH PLAIN {}", STANDARD.encode("\0box\0right"));
    let setup = Setup::script(move |step| match step.verb {
        "AUTH" if step.line != good => Act::say("535 5.7.8 wrong"),
        _ => Act::Usual,
    });
    let host = tls_host(&folder, "localhost", setup);
    let smarthost = with_login(&host, &folder, "wrong");
    let secret = smarthost.login.as_ref().unwrap().secret.clone();
    let file = secret.file().to_owned();
    let machine = Machine::start(&folder, only(Some(smarthost)));
    let id = machine.send(&["a@there.example"], TEXT);
    wait_for("a failure", || {
        !logged(&["event=relay_failed", &id, "535 5.7.8"]).is_empty()
    });
    fs::remove_file(&file).unwrap();
    let gone = "password: No such file or directory";
    wait_for("a failure", || {
        !logged(&["event=relay_failed", &id, gone]).is_empty()
    });
    fs::write(&file, "right\n").unwrap();
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 1);
    assert!(logged(&[&STANDARD.encode("\0box\0right")]).is_empty());
}

#[test]
fn a_login_the_server_does_not_offer_defers() {
    let folder = Folder::new();
    let setup = Setup {
        secure: vec!["AUTH CRAM-MD5"],
        ..Setup::default()
    };
    let host = tls_host(&folder, "localhost", setup);
    let smarthost = with_login(&host, &folder, "s3cret");
    let failures = one_message(&folder, &host, smarthost, true);
    assert!(
        failures[0].contains("offers neither SCRAM-SHA-256 nor PLAIN nor LOGIN"),
        "{failures:?}"
    );
}

fn scram(password: &'static str) -> Option<Scram> {
    Some(Scram {
        password,
        iterations: 4096,
        honest: true,
    })
}

#[test]
fn a_login_is_made_by_the_strongest_mechanism_both_have() {
    use Mechanism::{Login, Plain, ScramSha256};
    let rows: [(&'static str, &[Mechanism], &str); 6] = [
        (
            "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS",
            &ALL,
            "AUTH SCRAM-SHA-256-PLUS",
        ),
        ("AUTH PLAIN LOGIN SCRAM-SHA-256", &ALL, "AUTH SCRAM-SHA-256"),
        // It says that it cannot bind, not that the server cannot: that would be taken for an attack.
        (
            "AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS",
            &[ScramSha256, Plain],
            "AUTH SCRAM-SHA-256",
        ),
        ("AUTH PLAIN LOGIN XOAUTH2", &ALL, "AUTH PLAIN"),
        ("AUTH SCRAM-SHA-256 LOGIN PLAIN", &[Login], "AUTH LOGIN"),
        ("AUTH SCRAM-SHA-256 PLAIN", &[Plain, Login], "AUTH PLAIN"),
    ];
    for (offer, mechanisms, want) in rows {
        let folder = Folder::new();
        let setup = Setup {
            secure: vec!["SIZE", offer],
            scram: scram("s3cret"),
            ..Setup::default()
        };
        let host = tls_host(&folder, "localhost", setup);
        let mut smarthost = with_login(&host, &folder, "s3cret");
        let login = smarthost.login.as_mut().unwrap();
        login.mechanisms = mechanisms.to_vec();
        one_message(&folder, &host, smarthost, false);
        let heard = host.taken()[0].login.clone().unwrap();
        assert!(
            heard == want || heard.starts_with(&format!("{want} ")),
            "{heard}"
        );
        let lines = host.lines();
        let secret = |line: &String| line.contains("s3cret") || line.contains("czNjcmV0");
        assert!(!lines.iter().any(secret));
    }
}

#[test]
fn scram_fails_with_a_wrong_password_a_lying_server_or_rounds_out_of_bounds() {
    let rows = [
        ("other", 4096, true, "AUTH: the server said 535"),
        (
            "s3cret",
            4096,
            false,
            "AUTH: the server did not prove that it knows the login",
        ),
        ("s3cret", 4095, true, "the server wants 4095 rounds"),
        ("s3cret", 1_000_001, true, "the server wants 1000001 rounds"),
    ];
    for (password, iterations, honest, why) in rows {
        let folder = Folder::new();
        let setup = Setup {
            secure: vec!["AUTH SCRAM-SHA-256 PLAIN"],
            scram: Some(Scram {
                password,
                iterations,
                honest,
            }),
            ..Setup::default()
        };
        let host = tls_host(&folder, "localhost", setup);
        let smarthost = with_login(&host, &folder, "s3cret");
        let failures = one_message(&folder, &host, smarthost, true);
        assert!(failures[0].contains(why), "{failures:?}");
        let is_plain = |line: &String| line.starts_with("AUTH PLAIN");
        assert!(!host.lines().iter().any(is_plain));
    }
}

fn with_token(host: &FakeHost, folder: &Folder, token: &str) -> (Smarthost, PathBuf) {
    let mut smarthost = with_login(host, folder, "unused");
    let file = folder.0.join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    let login = smarthost.login.as_mut().unwrap();
    login.secret = LoginSecret::Token(file.clone());
    (smarthost, file)
}

fn bearer(token: &str) -> String {
    STANDARD.encode(format!("user=box\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

#[test]
fn a_token_is_read_at_each_login_and_a_refused_one_is_renewed() {
    let (old, new) = (format!("old.{}", "o".repeat(2000)), "new-0_9.x~y+/=");
    let good = format!("AUTH XOAUTH2 {}", bearer(new));
    let bad = bearer(&old);
    let folder = Folder::new();
    let setup = Setup {
        secure: vec!["AUTH PLAIN LOGIN XOAUTH2"],
        script: Box::new(move |step| match step.line {
            "AUTH XOAUTH2" => Act::say("334 "),
            // Google: {"status":"400"}; only an empty response brings the refusal.
            line if line == bad => Act::say("334 eyJzdGF0dXMiOiI0MDAifQ=="),
            "" if step.verb.is_empty() => Act::say("535-5.7.8 not accepted\r\n535 5.7.8 go"),
            line if step.verb == "AUTH" && line != good => Act::say("535 what"),
            _ => Act::Usual,
        }),
        ..Setup::default()
    };
    let host = tls_host(&folder, "localhost", setup);
    let (smarthost, file) = with_token(&host, &folder, &old);
    let machine = Machine::start(&folder, only(Some(smarthost)));
    let id = machine.send(&["a@there.example"], TEXT);
    wait_for("a failure", || {
        !logged(&["event=relay_failed", &id, "535 5.7.8 not accepted"]).is_empty()
    });
    fs::write(&file, new).unwrap();
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 1);
    for secret in [&bearer(new), &bearer(&old), new, &old] {
        assert!(logged(&[secret]).is_empty());
    }
}

#[test]
fn a_token_goes_out_by_xoauth2_alone() {
    let folder = Folder::new();
    let host = tls_host(&folder, "localhost", Setup::default());
    let (smarthost, _) = with_token(&host, &folder, "t0ken");
    let failures = one_message(&folder, &host, smarthost, true);
    let why = "the server does not offer XOAUTH2";
    assert!(failures[0].contains(why), "{failures:?}");
    assert!(!host.lines().iter().any(|line| line.starts_with("AUTH")));
}

#[test]
fn without_verified_tls_a_login_is_made_only_where_the_operator_says_so() {
    use SmarthostTls::{None, Opportunistic};
    for (tls, allowed) in [
        (None, false),
        (None, true),
        (Opportunistic, false),
        (Opportunistic, true),
    ] {
        let folder = Folder::new();
        let setup = Setup {
            plain: vec!["AUTH PLAIN"],
            ..Setup::default()
        };
        let host = tls_host(&folder, "other.example", setup);
        let mut smarthost = with_login(&host, &folder, "s3cret");
        smarthost.tls = tls;
        smarthost.plaintext_login = allowed;
        let failures = one_message(&folder, &host, smarthost, !allowed);
        let heard = host.lines().iter().any(|line| line.starts_with("AUTH"));
        assert_eq!(heard, allowed);
        if !allowed {
            let why = "a password goes out only over verified TLS";
            assert!(failures[0].contains(why), "{failures:?}");
        }
    }
}

fn further(host: &str, address: SocketAddr) -> HostPort {
    HostPort {
        host: host.to_owned(),
        port: Some(address.port()),
    }
}

fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn further_hosts_are_tried_in_order_until_one_can_be_used() {
    let silent = |verb: &'static str| {
        FakeHost::start(Setup::script(move |step| match step.verb == verb {
            true => Act::Hang,
            false => Act::Usual,
        }))
    };
    let greets = |reply: &'static str| {
        FakeHost::start(Setup::script(move |step| match step.verb {
            "CONNECT" => Act::say(reply),
            _ => Act::Usual,
        }))
    };
    let (busy, gone, mute) = (
        greets("421 4.3.2 busy"),
        greets("554 5.3.2 no service"),
        silent("CONNECT"),
    );
    let (good, last) = (
        FakeHost::start(Setup::default()),
        FakeHost::start(Setup::default()),
    );
    let mut smarthost = plain(closed());
    smarthost.fallback = vec![
        further("no-such-host.invalid", closed()),
        further("127.0.0.1", busy.address),
        further("127.0.0.1", gone.address),
        further("127.0.0.1", mute.address),
        further("localhost", good.address),
        further("127.0.0.1", last.address),
    ];
    let folder = Folder::new();
    let machine = Machine::start_with(&folder, only(Some(smarthost)), options(SHORT), |_| {});
    let id = machine.send(&["a@there.example"], TEXT);
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(good.taken().len(), 1);
    assert_eq!(last.connections(), 0);
    // It cost no attempt.
    assert!(logged(&["event=relay_failed", &id]).is_empty());
    for (why, next) in [
        ("refused", "no-such-host.invalid"),
        ("421 4.3.2 busy", "127.0.0.1"),
        ("554 5.3.2 no service", "127.0.0.1"),
        ("greeting: timed out", "localhost"),
    ] {
        let next = format!("next={next}");
        let lines = logged(&["event=smarthost_passed_over", why, &next]);
        assert!(!lines.is_empty(), "{why}");
    }
}

#[test]
fn each_further_host_has_to_have_a_certificate_for_its_own_name() {
    let folder = Folder::new();
    let (first, second) = (
        tls_host(&folder, "elsewhere.example", Setup::default()),
        tls_host(&folder, "localhost", Setup::default()),
    );
    let mut smarthost = with_login(&first, &folder, "s3cret");
    let bundle = ["elsewhere.example", "localhost"]
        .map(|name| fs::read_to_string(folder.0.join(format!("{name}.pem"))).unwrap());
    fs::write(folder.0.join("both.pem"), bundle.concat()).unwrap();
    smarthost.ca_file = Some(folder.0.join("both.pem"));
    smarthost.host = "127.0.0.1".to_owned();
    smarthost.fallback = vec![further("localhost", second.address)];
    let failures = one_message(&folder, &second, smarthost.clone(), false);
    assert!(failures.is_empty());
    assert!(!first.lines().iter().any(|line| line.starts_with("AUTH")));
    assert!(second.taken()[0].login.is_some());
    // The other way round nobody is left.
    smarthost.fallback = vec![further("127.0.0.1", second.address)];
    let machine = Machine::start_with(&folder, only(Some(smarthost)), options(SHORT), |_| {});
    let id = machine.send(&["a@there.example"], TEXT);
    wait_for("a failure", || {
        !logged(&["event=relay_failed", &id, "another name", "; 127.0.0.1: "]).is_empty()
    });
    machine.stop();
}

#[test]
fn a_refused_login_is_for_the_operator_and_no_further_host_hears_it() {
    let rows = [
        ("535 5.7.8 wrong", false),
        ("500 5.5.1 what", false),
        ("454 4.7.0 not now", true),
        ("421 4.3.2 closing", true),
    ];
    for (reply, goes_on) in rows {
        let folder = Folder::new();
        let first = Setup::script(move |step| match step.verb {
            "AUTH" => Act::say(reply),
            _ => Act::Usual,
        });
        let first = tls_host(&folder, "localhost", first);
        let mut smarthost = with_login(&first, &folder, "s3cret");
        let bundle = smarthost.ca_file.clone().unwrap();
        let one = fs::read_to_string(&bundle).unwrap();
        let second = tls_host(&folder, "localhost", Setup::default());
        let other = fs::read_to_string(&bundle).unwrap();
        fs::write(&bundle, one + &other).unwrap();
        smarthost.fallback = vec![further("localhost", second.address)];
        let machine = Machine::start_with(&folder, only(Some(smarthost)), options(SHORT), |_| {});
        let id = machine.send(&["a@there.example"], TEXT);
        if goes_on {
            machine.wait_until_empty();
        } else {
            wait_for("a failure", || {
                !logged(&["event=relay_failed", &id, reply]).is_empty()
            });
        }
        machine.stop();
        assert_eq!(second.taken().len(), usize::from(goes_on), "{reply}");
        assert_eq!(second.connections() > 0, goes_on, "{reply}");
    }
}

#[test]
fn another_reverse_path_can_be_told_but_for_the_null_one() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup::default());
    let mut smarthost = plain(host.address);
    smarthost.envelope_sender = Mailbox::parse("box@provider.example").ok();
    let machine = Machine::start(&folder, only(Some(smarthost)));
    machine.send(&["a@there.example"], "Subject: a\r\n\r\n");
    wait_for("the first", || host.taken().len() == 1);
    let null = Envelope {
        reverse_path: ReversePath::Null,
        ..envelope(&["a@there.example"])
    };
    machine.send_as(null, "Subject: b\r\n\r\n").unwrap();
    machine.wait_until_empty();
    machine.stop();
    let mails: Vec<_> = host.taken().into_iter().map(|taken| taken.mail).collect();
    assert_eq!(mails, ["<box@provider.example> SIZE=14", "<> SIZE=14"]);
}

/// Smarthosts as the configuration file has them.
fn sections(text: &str) -> NextHops {
    let folder = std::env::temp_dir().join(format!("gatepost-hops-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("f.ini");
    fs::write(&file, text).unwrap();
    let settings = gatepost::config::parse(&file).unwrap();
    fs::remove_dir_all(folder).unwrap();
    NextHops {
        hostname: "mx.here.example".to_owned(),
        lmtp: None,
        ..NextHops::of(&settings)
    }
}

fn from(sender: &str) -> Envelope {
    Envelope {
        reverse_path: ReversePath::parse_prefix(&format!("<{sender}>")).unwrap().0,
        ..envelope(&["a@there.example"])
    }
}

#[test]
fn the_senders_domain_chooses_the_smarthost_and_a_dead_one_holds_up_no_other() {
    let (bulk, usual) = (
        FakeHost::start(Setup::default()),
        FakeHost::start(Setup::default()),
    );
    let text = |dead: SocketAddr| {
        format!(
            "[smarthost]\nhost = 127.0.0.1\nport = {}\ntls = none\n\
             [smarthost:dead]\nhost = 127.0.0.1\nport = {}\ntls = none\n\
             sender_domains = dead.example\n\
             [smarthost:bulk]\nhost = 127.0.0.1\nport = {}\ntls = none\n\
             sender_domains = bulk.example, @x.dead.example\n\
             envelope_sender = box@bulk.example\n",
            usual.address.port(),
            dead.port(),
            bulk.address.port()
        )
    };
    let folder = Folder::new();
    let nobody = closed();
    let machine = Machine::start(&folder, sections(&text(nobody)));
    let stuck: Vec<_> = (0..3)
        .map(|_| machine.send_as(from("joe@dead.example"), TEXT).unwrap())
        .collect();
    for sender in ["a@bulk.example", "b@x.dead.example", "c@other.example", ""] {
        machine.send_as(from(sender), TEXT).unwrap();
    }
    wait_for("the live ones", || {
        bulk.taken().len() == 2 && usual.taken().len() == 2
    });
    wait_for("a failure", || {
        !logged(&["event=relay_failed", "refused"]).is_empty()
    });
    assert!(
        stuck
            .iter()
            .all(|id| logged(&["event=relayed", id]).is_empty())
    );
    for host in [&bulk, &usual] {
        let mut mails: Vec<_> = host.taken().into_iter().map(|taken| taken.mail).collect();
        mails.sort();
        let size = TEXT.len();
        let want = match host.address == bulk.address {
            true => ["<box@bulk.example>", "<box@bulk.example>"],
            false => ["<>", "<c@other.example>"],
        };
        assert_eq!(mails, want.map(|from| format!("{from} SIZE={size}")));
    }
    // It comes to life, and what waited for it goes there.
    let revived = FakeHost::start_at(nobody, Setup::default());
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(revived.taken().len(), 3);
}

#[test]
fn mail_whose_section_is_taken_out_goes_where_it_now_belongs() {
    let usual = FakeHost::start(Setup::default());
    let plain = format!(
        "[smarthost]\nhost = 127.0.0.1\nport = {}\ntls = none\n",
        usual.address.port()
    );
    let further = format!(
        "[smarthost:dead]\nhost = 127.0.0.1\nport = {}\ntls = none\nsender_domains = dead.example\n",
        closed().port()
    );
    let folder = Folder::new();
    let machine = Machine::start(&folder, sections(&further));
    let id = machine.send_as(from("joe@dead.example"), TEXT).unwrap();
    let other = machine.send_as(from("joe@other.example"), TEXT).unwrap();
    wait_for("a failure", || {
        !logged(&["event=relay_failed", &id, "refused"]).is_empty()
    });
    // Nobody is for it now: it waits.
    wait_for("a failure", || {
        !logged(&["event=relay_failed", &other, "no smarthost is set"]).is_empty()
    });
    machine
        .lanes
        .set_next_hops(sections(&plain), Instant::now());
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(usual.taken().len(), 2);
}
