//! Look-ups through the real libc interface: a program of its own (this one again) with a preloaded
//! resolver that answers from a file.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::env;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost::dns::Resolver;
use gatepost::mail::Domain;
use gatepost::policy::facts::{Finding, Question};
use gatepost::stats::Stats;
use support::PATIENCE;
use support::fakedns::FakeDns;

/// The questions of the program inside, one a line.
const QUESTIONS: &str = "GATEPOST_TEST_QUESTIONS";

/// Not a test of its own: asks what the environment says and prints the findings.
#[test]
#[ignore = "run by the other tests of this file"]
fn inner() {
    let Ok(questions) = env::var(QUESTIONS) else {
        return;
    };
    let resolver = Resolver::system(Arc::new(Stats::default()));
    for line in questions.lines() {
        let begun = Instant::now();
        let finding = resolver.ask_and_wait(&question(line));
        assert!(begun.elapsed() < PATIENCE);
        println!("FOUND {}", text(&finding));
    }
}

/// `names ADDRESS`, `list ZONE ADDRESS` or `mail DOMAIN`.
fn question(line: &str) -> Question {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["names", address] => Question::HostNames(address.parse().unwrap()),
        ["list", zone, address] => Question::Listed {
            zone: Domain::parse(zone).unwrap(),
            address: address.parse().unwrap(),
        },
        ["mail", domain] => Question::MailDomain(Domain::parse(domain).unwrap()),
        _ => panic!("no question: {line}"),
    }
}

fn text(finding: &Finding) -> String {
    match finding {
        Finding::HostNames(names) => {
            let names: Vec<&str> = names.iter().map(Domain::as_str).collect();
            format!("names [{}]", names.join(" "))
        }
        Finding::Listed(yes) | Finding::MailDomain(yes) => yes.to_string(),
        Finding::Failed => "failed".to_owned(),
    }
}

/// What the program inside finds.
fn found(questions: &[&str], adapt: impl FnOnce(&mut Command)) -> Vec<String> {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "inner", "--nocapture"])
        .env(QUESTIONS, questions.join("\n"));
    adapt(&mut command);
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    let findings = printed
        .lines()
        .filter_map(|line| line.split_once("FOUND ").map(|(_, found)| found.to_owned()));
    findings.collect()
}

#[test]
fn findings_come_through_libc_as_the_table_says() {
    let Some(dns) = FakeDns::new(&[
        "A mx.there.example 192.0.2.1 2001:db8::1",
        "PTR 192.0.2.1 mx.there.example",
        "PTR 2001:db8::1 mx.there.example",
        "PTR 192.0.2.2 mx.there.example",
        "PTR 192.0.2.3 192.0.2.3",
        "PTR 192.0.2.4 slow.there.example",
        "FAIL slow.there.example",
        "FAIL 192.0.2.5",
        "A 1.2.0.192.bl.example 127.0.0.2",
        "A 2.2.0.192.bl.example 127.255.255.254",
        "A 3.2.0.192.bl.example 198.51.100.7",
        "FAIL 4.2.0.192.bl.example",
        "A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example 127.0.0.4",
        "MX there.example 10 mx.there.example",
        "MX there.example 20 mx2.there.example",
        "MX null.example 0 .",
        "A null.example 192.0.2.1",
        "A address.example 192.0.2.1",
        "A six.example 2001:db8::1",
        "FAIL broken.example",
        "MX xn--bcher-kva.example 10 mx.there.example",
    ]) else {
        return;
    };
    let rows = [
        ("names 192.0.2.1", "names [mx.there.example]"),
        ("names ::ffff:192.0.2.1", "names [mx.there.example]"),
        ("names 2001:db8::1", "names [mx.there.example]"),
        ("names 192.0.2.2", "names []"),
        ("names 192.0.2.3", "names []"),
        ("names 192.0.2.4", "failed"),
        ("names 192.0.2.5", "failed"),
        ("names 192.0.2.6", "names []"),
        ("list bl.example 192.0.2.1", "true"),
        ("list bl.example 192.0.2.2", "failed"),
        ("list bl.example 192.0.2.3", "failed"),
        ("list bl.example 192.0.2.4", "failed"),
        ("list bl.example 192.0.2.5", "false"),
        ("list bl.example 2001:db8::1", "true"),
        ("mail there.example", "true"),
        ("mail null.example", "false"),
        ("mail address.example", "true"),
        ("mail six.example", "true"),
        ("mail broken.example", "failed"),
        ("mail bücher.example", "true"),
        ("mail nowhere.example", "false"),
        ("mail 192.0.2.1", "false"),
    ];
    let questions = rows.map(|(question, _)| question);
    let findings = found(&questions, |command| dns.preload(command));
    assert_eq!(findings.len(), rows.len());
    for ((question, want), got) in rows.iter().zip(findings) {
        assert_eq!(got, *want, "{question}");
    }
}

#[test]
fn a_resolver_that_hangs_holds_up_nobody_past_the_deadline() {
    let Some(dns) = FakeDns::new(&[
        "SLOW hangs.example 600000",
        "MX there.example 10 mx.there.example",
    ]) else {
        return;
    };
    let begun = Instant::now();
    let questions = ["mail hangs.example", "mail there.example"];
    let findings = found(&questions, |command| dns.preload(command));
    assert_eq!(findings, ["failed", "true"]);
    // Nor does the program wait for it at its end.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_machines_own_table_is_asked_where_there_is_no_other() {
    let local = |address: &str| address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let first = table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| local(word))?;
        Some((address.to_owned(), words.next()?.to_owned()))
    });
    let Some((address, name)) = first else {
        eprintln!("SKIPPED: /etc/hosts has no loopback address");
        return;
    };
    let findings = found(&[&format!("names {address}")], |_| {});
    assert_eq!(findings, [format!("names [{name}]")]);
}
