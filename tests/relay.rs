//! Mail for elsewhere, from the spool to a smarthost that does its worst.

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
use std::net::TcpListener;
use std::time::{Duration, Instant};

use fake_host::{Act, FakeHost, Setup};
use gatepost::config::settings::Smarthost;
use gatepost::delivery::NextHops;
use gatepost::mail::notifications::{EnvelopeId, Notify, OriginalRecipient, ReturnContent};
use gatepost::mail::{Envelope, MessageNotifications, RecipientNotifications};
use gatepost::spool::SpoolOptions;
use machine::{
    Folder, Machine, PATIENCE, SHORT, TEXT, envelope, hops, logged, options, plain, wait_for,
};

/// Only a smarthost, or nobody.
fn only(smarthost: Option<Smarthost>) -> NextHops {
    hops(smarthost, None)
}

#[test]
fn outside_recipients_of_one_message_go_in_one_transaction_and_local_ones_to_maildirs() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup::default());
    let machine = Machine::start(&folder, only(Some(plain(host.address))));
    let to = ["a@there.example", "alice@here.example", "b@there.example"];
    let id = machine.send(&to, TEXT);
    wait_for("delivery", || folder.mail("alice") == 1);
    wait_for("relaying", || !host.taken().is_empty());
    wait_for("QUIT", || host.quits() == 1);
    machine.stop();
    let taken = host.taken();
    assert_eq!(taken.len(), 1);
    let size = TEXT.len();
    assert_eq!(taken[0].mail, format!("<sender@here.example> SIZE={size}"));
    assert_eq!(taken[0].to, ["<a@there.example>", "<b@there.example>"]);
    assert_eq!(taken[0].data, TEXT);
    assert_eq!(host.lines()[0], "EHLO mx.here.example");
    let line = logged(&["event=relayed", &id, "to=b@there.example"]);
    assert!(
        line[0].ends_with("smarthost=localhost reply=\"250 2.0.0 taken\""),
        "{line:?}"
    );
    let again = Machine::start(&folder, only(None));
    assert_eq!(again.spool.undelivered(), 0);
    again.stop();
}

#[test]
fn eight_bit_content_is_declared_whatever_its_client_said() {
    for (offer, want) in [(&["8BITMIME"][..], " BODY=8BITMIME"), (&[], "")] {
        let folder = Folder::new();
        let host = FakeHost::start(Setup {
            plain: offer.to_vec(),
            ..Setup::default()
        });
        let machine = Machine::start(&folder, only(Some(plain(host.address))));
        let id = machine.send(&["a@there.example"], "Subject: x\r\n\r\n\u{e4}\r\n");
        let ascii = machine.send(&["b@there.example"], TEXT);
        machine.wait_until_empty();
        machine.stop();
        let mut taken = host.taken();
        taken.sort_by_key(|taken| taken.to.clone());
        let said = |at: usize| taken[at].mail.contains(" BODY=");
        assert!(taken[0].mail.ends_with(want), "{}", taken[0].mail);
        assert_eq!((said(0), said(1)), (!offer.is_empty(), false));
        let told = logged(&["event=eight_bit_undeclared", &id]).len();
        assert_eq!(told, usize::from(offer.is_empty()));
        assert!(logged(&["event=eight_bit_undeclared", &ascii]).is_empty());
    }
}

#[test]
fn eight_bit_content_is_converted_where_the_operator_wants_it() {
    let plain_text = "Subject: x\r\n\r\n\u{e4}\r\n";
    let signed = format!("DKIM-Signature: v=1\r\n{plain_text}");
    // Large enough for a file of its own.
    let large = format!("Subject: y\r\n\r\n{}", "\u{e4}=\r\n".repeat(100_000));
    let folder = Folder::new();
    let host = FakeHost::start(Setup {
        plain: vec!["SIZE 10000000"],
        ..Setup::default()
    });
    let smarthost = Smarthost {
        convert_8bit: true,
        ..plain(host.address)
    };
    let machine = Machine::start(&folder, only(Some(smarthost)));
    let converted = machine.send(&["a@there.example"], plain_text);
    let kept = machine.send(&["b@there.example"], &signed);
    machine.send(&["c@there.example"], &large);
    machine.wait_until_empty();
    machine.stop();
    let mut taken = host.taken();
    taken.sort_by_key(|taken| taken.to.clone());
    let label = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    assert_eq!(taken[0].data, format!("Subject: x\r\n{label}=C3=A4\r\n"));
    assert_eq!(taken[1].data, signed);
    let want = "=C3=A4=3D\r\n".repeat(100_000);
    assert!(taken[2].data == format!("Subject: y\r\n{label}{want}"));
    for taken in &taken {
        let size = format!(" SIZE={}", taken.data.len());
        assert!(taken.mail.ends_with(&size), "{}", taken.mail);
    }
    assert!(logged(&["event=eight_bit_undeclared", &converted]).is_empty());
    assert_eq!(logged(&["event=eight_bit_undeclared", &kept]).len(), 1);
}

#[test]
fn many_messages_go_on_few_connections() {
    let folder = Folder::new();
    let machine = Machine::start(&folder, only(None));
    for number in 0..30 {
        machine.send(&["a@there.example"], &format!("Subject: {number}\r\n\r\n"));
    }
    let host = FakeHost::start(Setup::default());
    machine.set_smarthost(Some(plain(host.address)));
    machine.wait_until_empty();
    wait_for("QUIT", || host.quits() == host.connections());
    machine.stop();
    assert_eq!(host.taken().len(), 30);
    assert!(host.connections() <= 3, "{}", host.connections());
}

#[test]
fn more_recipients_than_a_transaction_takes_go_in_several() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup::default());
    let machine = Machine::start(&folder, only(Some(plain(host.address))));
    let to: Vec<String> = (0..250).map(|n| format!("u{n}@there.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    machine.send(&to, TEXT);
    machine.wait_until_empty();
    machine.stop();
    let counts: Vec<_> = host.taken().iter().map(|taken| taken.to.len()).collect();
    assert_eq!(counts, [100, 100, 50]);
    assert_eq!(host.connections(), 1);
}

/// What the host does the first time at a step; afterwards it is as good as any.
fn misbehave_once(verb: &'static str, act: &Act) -> Setup {
    let act = act.clone();
    Setup::script(move |step| match step.verb == verb && step.times == 0 {
        true => act.clone(),
        false => Act::Usual,
    })
}

#[test]
fn whatever_goes_wrong_at_any_step_the_message_arrives_once_later_or_its_sender_is_told() {
    let acts = [
        Act::say("451 4.3.0 busy"),
        Act::say("550 5.7.1 go away"),
        Act::say("421 4.3.2 closing"),
        Act::say("hello, I am no SMTP server"),
        Act::say("250-no end"),
        Act::say("299 what"),
        Act::Cut,
        Act::Hang,
    ];
    let verbs = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT", "."];
    std::thread::scope(|scope| {
        for verb in verbs {
            for act in acts.clone() {
                scope.spawn(move || {
                    if act == Act::say("299 what")
                        && ["CONNECT", "EHLO", "MAIL", "RCPT", "CONTENT", "."].contains(&verb)
                    {
                        return; // 2yz is a yes there.
                    }
                    let folder = Folder::new();
                    let host = FakeHost::start(misbehave_once(verb, &act));
                    let options = options(SHORT);
                    let smarthost = Some(plain(host.address));
                    let machine = Machine::start_with(&folder, only(smarthost), options, |_| {});
                    let to = ["a@there.example", "alice@here.example"];
                    let id = machine.send(&to, TEXT);
                    machine.wait_until_empty();
                    machine.stop();
                    let taken = host.taken();
                    assert_eq!(folder.mail("alice"), 1);
                    // A refusal for good counts where it is about the message.
                    if act == Act::say("550 5.7.1 go away") && !["CONNECT", "EHLO"].contains(&verb)
                    {
                        assert!(taken.is_empty(), "{verb}");
                        assert_eq!(folder.mail("sender"), 1, "{verb}");
                        assert_eq!(logged(&["event=failed", &id]).len(), 1, "{verb}");
                        assert_eq!(logged(&["event=notified", &id]).len(), 1, "{verb}");
                        return;
                    }
                    assert_eq!(folder.mail("sender"), 0, "{verb} {act:?}");
                    assert_eq!(taken.len(), 1, "{verb} {act:?}");
                    assert_eq!(taken[0].data, TEXT, "{verb} {act:?}");
                    // A server that knows no EHLO is asked with HELO at once.
                    if (verb, &act) != ("EHLO", &Act::say("550 5.7.1 go away")) {
                        let lines = logged(&["again_in_seconds=", &id]);
                        assert_eq!(lines.len(), 1, "{verb} {act:?}: {lines:?}");
                    }
                    assert_eq!(logged(&["event=relayed", &id]).len(), 1);
                });
            }
        }
    });
}

#[test]
fn a_message_comes_twice_at_most_where_nobody_can_know() {
    let folder = Folder::new();
    let host = FakeHost::start(misbehave_once(".", &Act::WorkAndCut));
    let machine = Machine::start(&folder, only(Some(plain(host.address))));
    machine.send(&["a@there.example"], TEXT);
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 2);
}

#[test]
fn recipients_of_one_message_finish_one_by_one() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup::script(|step| match step.line {
        "RCPT TO:<b@there.example>" if step.times < 5 => Act::say("550 5.1.1 no \"such\" user"),
        "RCPT TO:<c@there.example>" if step.times < 5 => Act::say("450 4.2.1 later"),
        _ => Act::Usual,
    }));
    let machine = Machine::start(&folder, only(Some(plain(host.address))));
    let to = ["a@there.example", "b@there.example", "c@there.example"];
    let id = machine.send(&to, TEXT);
    machine.wait_until_empty();
    machine.stop();
    let taken: Vec<_> = host.taken().into_iter().map(|taken| taken.to).collect();
    assert_eq!(taken[0], ["<a@there.example>"]);
    assert_eq!(taken[1], ["<c@there.example>"]);
    assert_eq!(taken.len(), 2);
    let failed = logged(&["event=failed", &id, "to=b@there.example"]);
    let reason = "status=5.1.1 reason=\"RCPT: the server said 550 5.1.1 no \\\"such\\\" user\"";
    assert!(failed[0].contains(reason), "{failed:?}");
    assert_eq!(folder.mail("sender"), 1);
    let deferred = logged(&["event=deferred", &id, "to=c@there.example"]);
    assert!(deferred[0].contains("450 4.2.1 later"), "{deferred:?}");
}

#[test]
fn a_connection_the_server_has_had_enough_of_costs_no_attempt() {
    let folder = Folder::new();
    let machine = Machine::start(&folder, only(None));
    let ids: Vec<_> = (0..8)
        .map(|number| machine.send(&["a@there.example"], &format!("Subject: {number}\r\n\r\n")))
        .collect();
    let host = FakeHost::start(Setup::script(|step| {
        // Every fourth transaction finds the connection closing.
        match step.verb == "MAIL" && step.times % 4 == 3 {
            true => Act::say("421 4.7.0 enough for one connection"),
            false => Act::Usual,
        }
    }));
    let new = Some(plain(host.address));
    machine.set_smarthost(new);
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 8);
    let failures = ids
        .iter()
        .flat_map(|id| logged(&["event=relay_failed", id, "421"]));
    // Only where two threads shared the count a fresh connection may have been hit.
    assert!(failures.count() <= 2);
}

#[test]
fn a_dead_smarthost_holds_up_no_local_mail_and_not_the_end() {
    std::thread::scope(|scope| {
        for verb in ["CONNECT", "RCPT", "CONTENT", "."] {
            scope.spawn(move || holds_up_nothing(verb));
        }
    });
}

fn holds_up_nothing(verb: &'static str) {
    let folder = Folder::new();
    let host = FakeHost::start(misbehave_always(verb));
    let machine = Machine::start(&folder, only(Some(plain(host.address))));
    let big = format!("Subject: big\r\n\r\n{}", "x".repeat(70).repeat(100_000));
    machine.send(&["a@there.example"], &big);
    machine.send(&["b@there.example", "alice@here.example"], TEXT);
    for number in 0..50 {
        let user = if number % 2 == 0 { "alice" } else { "bob" };
        machine.send(&[&format!("{user}@here.example")], TEXT);
        machine.send(&["c@there.example"], TEXT);
    }
    wait_for("local delivery", || folder.mail("alice") == 26);
    wait_for("local delivery", || folder.mail("bob") == 25);
    wait_for("a connection", || host.connections() > 0);
    let began = Instant::now();
    machine.stop();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{verb}: {took:?}");
    assert_eq!(host.taken().len(), 0);
    // It is all there for the next start.
    let host = FakeHost::start(Setup::default());
    let machine = Machine::start(&folder, only(Some(plain(host.address))));
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 52, "{verb}");
}

fn misbehave_always(verb: &'static str) -> Setup {
    Setup::script(move |step| match step.verb == verb {
        true => Act::Hang,
        false => Act::Usual,
    })
}

#[test]
fn a_dead_smarthost_is_tried_once_per_rest_and_not_once_per_message() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup::script(|step| match step.verb {
        "CONNECT" if step.times < 3 => Act::say("554 5.3.2 no service here"),
        _ => Act::Usual,
    }));
    let machine = Machine::start(&folder, only(None));
    for number in 0..40 {
        machine.send(&["a@there.example"], &format!("Subject: {number}\r\n\r\n"));
    }
    let new = Some(plain(host.address));
    machine.set_smarthost(new);
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 40);
    // Three failures, each with both addresses of the name at most, then a few connections.
    assert!(host.connections() < 12, "{}", host.connections());
}

#[test]
fn mail_for_a_dead_smarthost_never_fills_the_log() {
    let folder = Folder::new();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let small = |options: &mut SpoolOptions| {
        (options.segment_octets, options.segments_max) = (64 << 10, 2);
        options.memory_octets = 64 << 10;
    };
    let smarthost = Some(plain(closed));
    let machine = Machine::start_with(&folder, only(smarthost), options(PATIENCE), small);
    let content = |number: usize| {
        let octets = number * 600;
        format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(octets))
    };
    for number in 0..60 {
        let to: &[&str] = match number % 3 {
            0 => &["a@there.example", "alice@here.example", "b@there.example"],
            _ => &["a@there.example"],
        };
        machine.send(to, &content(number));
    }
    wait_for("local delivery", || folder.mail("alice") == 20);
    assert_eq!(machine.spool.undelivered(), 60);
    let queued = fs::read_dir(folder.0.join("spool/queue")).unwrap().count();
    assert!(queued > 60, "{queued} files");
    machine.stop();
    let host = FakeHost::start(Setup::default());
    let smarthost = Some(plain(host.address));
    let machine = Machine::start_with(&folder, only(smarthost), options(PATIENCE), small);
    machine.wait_until_empty();
    machine.stop();
    let mut taken: Vec<_> = host.taken().into_iter().map(|taken| taken.data).collect();
    let mut want: Vec<_> = (0..60).map(content).collect();
    taken.sort();
    want.sort();
    assert!(taken == want, "{} messages", taken.len());
    assert_eq!(folder.mail("alice"), 20);
    assert_eq!(
        fs::read_dir(folder.0.join("spool/queue")).unwrap().count(),
        0
    );
}

#[test]
fn large_content_is_streamed_and_damaged_content_is_never_ended() {
    let folder = Folder::new();
    let machine = Machine::start(&folder, only(None));
    let line = format!(".{}\r\n", "y".repeat(76));
    let content = format!("Subject: large\r\n\r\n{}", line.repeat(30_000));
    let good = machine.send(&["a@there.example"], &content);
    let bad = machine.send(&["b@there.example"], &content);
    let file = folder.0.join(format!("spool/queue/{bad}.eml"));
    let mut octets = fs::read(&file).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    // In one step: a file of another length would be set aside at once.
    fs::write(folder.0.join("damaged"), octets).unwrap();
    fs::rename(folder.0.join("damaged"), &file).unwrap();
    let host = FakeHost::start(Setup::default());
    let new = Some(plain(host.address));
    machine.set_smarthost(new);
    wait_for("relaying", || !logged(&["event=relayed", &good]).is_empty());
    wait_for("the deferral", || {
        !logged(&[
            "event=deferred",
            &bad,
            "the content in the spool is damaged",
        ])
        .is_empty()
    });
    machine.stop();
    let taken = host.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].data == content);
    assert!(file.exists());
}

#[test]
fn what_the_smarthost_does_not_offer_is_not_used_and_not_faked() {
    let folder = Folder::new();
    let bare = FakeHost::start(Setup {
        plain: vec!["SIZE 1000"],
        ..Setup::default()
    });
    let machine = Machine::start(&folder, only(Some(plain(bare.address))));
    let marked = |to: &str, eight_bit, smtputf8| Envelope {
        eight_bit,
        smtputf8,
        ..envelope(&[to])
    };
    let rows = [
        // Marked, but ASCII: goes as it is.
        (
            marked("a@there.example", true, true),
            "Subject: a\r\n\r\n",
            None,
        ),
        // Eight bits go to everybody.
        (
            marked("a@there.example", true, false),
            "Subject: é\r\n\r\n",
            None,
        ),
        (
            marked("a@there.example", true, true),
            "Subject: a\r\n\r\né\r\n",
            None,
        ),
        (
            marked("a@there.example", false, true),
            "Subject: é\r\n\r\n",
            Some("status=5.6.7 reason=\"it needs SMTPUTF8, which localhost does not offer\""),
        ),
        (
            marked("ä@there.example", false, true),
            "Subject: a\r\n\r\n",
            Some("status=5.6.7"),
        ),
        (
            marked("a@there.example", false, false),
            &"x".repeat(1001),
            Some(
                "status=5.3.4 reason=\"the message has 1001 octets, localhost takes 1000 at most\"",
            ),
        ),
    ];
    for (envelope, content, why) in rows.clone() {
        let id = machine.send_as(envelope, content).unwrap();
        wait_for("an outcome", || match why {
            None => !logged(&["event=relayed", &id]).is_empty(),
            Some(why) => !logged(&["event=failed", &id, why]).is_empty(),
        });
    }
    let from = "<sender@here.example>";
    let mails = |host: &FakeHost| {
        let taken = host.taken().into_iter().map(|taken| taken.mail);
        let mut mails: Vec<_> = taken.collect();
        mails.sort();
        mails
    };
    let plain_ones = [14, 15, 18].map(|size| format!("{from} SIZE={size}"));
    assert_eq!(mails(&bare), plain_ones);
    wait_for("the sender is told", || folder.mail("sender") == 3);
    let able = FakeHost::start(Setup::default());
    let new = Some(plain(able.address));
    machine.set_smarthost(new);
    for (envelope, content, _) in rows {
        machine.send_as(envelope, content).unwrap();
    }
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(
        mails(&able),
        [
            format!("{from} SIZE=1001"),
            format!("{from} SIZE=14 SMTPUTF8 BODY=8BITMIME"),
            format!("{from} SIZE=14 SMTPUTF8 BODY=8BITMIME"),
            format!("{from} SIZE=15 BODY=8BITMIME"),
            format!("{from} SIZE=15 SMTPUTF8 BODY=8BITMIME"),
            format!("{from} SIZE=18 SMTPUTF8 BODY=8BITMIME"),
        ]
    );
}

#[test]
fn recipients_are_named_in_one_go_where_that_is_offered_and_nobody_gets_content_for_nobody() {
    for pipelining in [true, false] {
        let folder = Folder::new();
        let host = FakeHost::start(Setup {
            plain: match pipelining {
                true => vec!["PIPELINING"],
                false => vec!["HELP"],
            },
            ..Setup::script(|step| match (step.verb, step.times) {
                // One transaction is refused at MAIL, the next one at its last recipient.
                ("MAIL", 0) => Act::say("451-4.3.0 busy\r\n451 4.3.0 now"),
                _ if step.line.contains("<b@") => Act::say("550 5.1.1 nobody"),
                _ => Act::Usual,
            })
        });
        let machine = Machine::start(&folder, only(Some(plain(host.address))));
        let id = machine.send(&["b@there.example", "c@there.example"], TEXT);
        machine.wait_until_empty();
        let alone = machine.send(&["b@there.example"], TEXT);
        machine.wait_until_empty();
        machine.stop();
        let taken = host.taken();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].to, ["<c@there.example>"]);
        for id in [id, alone] {
            let failed = logged(&["event=failed", &id, "to=b@there.example", "5.1.1 nobody"]);
            assert_eq!(failed.len(), 1);
        }
        let lines = host.lines();
        let count = |verb: &str| lines.iter().filter(|line| line.starts_with(verb)).count();
        let named = if pipelining { 5 } else { 3 };
        assert_eq!((count("RCPT"), count("DATA")), (named, 1), "{lines:?}");
    }
}

#[test]
fn what_was_asked_of_notifications_goes_to_a_server_with_dsn() {
    let folder = Folder::new();
    let asked = || {
        let mut envelope = envelope(&["a@there.example", "b@there.example"]);
        envelope.notifications = MessageNotifications {
            returns: ReturnContent::parse("HDRS"),
            envelope_id: EnvelopeId::parse("a+20b"),
        };
        envelope.recipients[0].notifications = RecipientNotifications {
            notify: Notify::parse("SUCCESS,DELAY"),
            original: OriginalRecipient::parse("utf-8;jörg@there.example"),
        };
        envelope.recipients[1].notifications.original =
            OriginalRecipient::parse("rfc822;b@there.example");
        envelope
    };
    let rows: [(&'static [&'static str], &str, [&str; 2]); 3] = [
        (&["HELP"], "", ["<a@there.example>", "<b@there.example>"]),
        (
            &["DSN"],
            " RET=HDRS ENVID=a+20b",
            [
                "<a@there.example> NOTIFY=SUCCESS,DELAY",
                "<b@there.example> ORCPT=rfc822;b@there.example",
            ],
        ),
        (
            &["DSN", "SMTPUTF8"],
            " RET=HDRS ENVID=a+20b",
            [
                "<a@there.example> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;jörg@there.example",
                "<b@there.example> ORCPT=rfc822;b@there.example",
            ],
        ),
    ];
    for (offer, mail, to) in rows {
        let host = FakeHost::start(Setup {
            plain: offer.to_vec(),
            ..Setup::default()
        });
        let machine = Machine::start(&folder, only(Some(plain(host.address))));
        machine.send_as(asked(), TEXT).unwrap();
        machine.wait_until_empty();
        machine.stop();
        let taken = host.taken();
        assert_eq!(taken[0].mail, format!("<sender@here.example>{mail}"));
        assert_eq!(taken[0].to, to);
    }
}

#[test]
fn no_smarthost_a_closed_port_and_an_unknown_name_all_defer() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let unknown = Smarthost {
        host: "no-such-host.invalid".to_owned(),
        ..plain(closed)
    };
    for (smarthost, why) in [
        (None, "no smarthost is set"),
        (Some(plain(closed)), "refused"),
        (Some(unknown), "no-such-host.invalid: "),
    ] {
        let folder = Folder::new();
        let machine = Machine::start(&folder, only(smarthost));
        let id = machine.send(&["a@there.example", "alice@here.example"], TEXT);
        wait_for("two attempts", || {
            logged(&["event=relay_failed", &id, why]).len() >= 2
        });
        assert_eq!(folder.mail("alice"), 1);
        machine.stop();
    }
}
