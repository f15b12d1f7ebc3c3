//! `gatepost queue` from outside: with a service and without, and what is left after a kill.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/fake_host.rs"]
mod fake_host;
mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fake_host::{Act, FakeHost, Setup};
use support::filled::{fill, folder_of};
use support::{Client, PATIENCE, Said, Server, TempFolder, data, gatepost, has_program, is_root};

fn smarthost(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("[smarthost]\nhost = {host}\nport = {port}\ntls = none\n")
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A service with messages for a smarthost that is not there, which has been tried once.
fn with_dead_smarthost(to: &[&str], count: usize) -> (Server, SocketAddr) {
    let address = nobody();
    let mut server = Server::start_with(&smarthost(address), |command| {
        fill(&folder_of(command), to, count);
    });
    server.wait_for_event("relay_failed");
    (server, address)
}

fn lines(said: &Said) -> Vec<&str> {
    assert_eq!(
        (said.code, said.complaint.as_str()),
        (Some(0), ""),
        "{}",
        said.output
    );
    said.output.lines().collect()
}

/// The ids of the list, and its last line.
fn listed(server: &Server) -> (Vec<String>, String) {
    let said = server.command(&["queue", "list"]);
    let mut all = lines(&said);
    let last = all.pop().unwrap_or_default().to_owned();
    let id = |line: &&str| {
        line.split(' ')
            .next()
            .unwrap()
            .strip_prefix("id=")
            .unwrap()
            .to_owned()
    };
    (all.iter().map(id).collect(), last)
}

fn wait_for(server: &Server, what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}:\n{}", server.log_text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_empty_queue_says_so_and_wrong_words_are_usage() {
    let server = Server::start("");
    assert_eq!(lines(&server.command(&["queue"])), ["the queue is empty"]);
    let said = server.command(&["queue", "list", "--json"]);
    assert_eq!(lines(&said), ["{\"messages\":[],\"more\":0}"]);
    for words in [
        &["queue", "show"][..],
        &["queue", "show", "x y"],
        &["queue", "eat", "--all"],
        &["queue", "hold"],
        &["queue", "hold", "--all", "--to", "a.example"],
        &["queue", "hold", "--to", "a..example"],
        &["queue", "hold", "--all", "--json"],
        &["queue", "list", "--all"],
    ] {
        let said = server.command(words);
        assert_eq!(said.code, Some(64), "{words:?} {}", said.complaint);
    }
    let nobody = "0000000000000000";
    for verb in ["show", "hold", "release", "retry", "delete"] {
        let said = server.command(&["queue", verb, nobody]);
        assert_eq!(said.code, Some(69), "{verb} {}", said.complaint);
        assert!(
            said.complaint.contains("there is no message"),
            "{}",
            said.complaint
        );
    }
}

#[test]
fn what_is_delivered_is_not_in_the_queue_though_its_checkpoint_is_to_come() {
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    for count in 1..=10 {
        let begun = Instant::now();
        let reply = client.message("alice@here.example", "Subject: s\r\n\r\ntext");
        let id = reply.trim_end().rsplit(' ').next().unwrap().to_owned();
        server.wait_for_mail("alice", count);
        let show = server.command(&["queue", "show", &id]);
        let took = begun.elapsed();
        assert_eq!(lines(&server.command(&["queue"])), ["the queue is empty"]);
        let status = server.command(&["status"]).output;
        assert!(status.contains(" queue=0\n"), "{status}");
        let numbers = server.command(&["status", "--format", "prometheus"]).output;
        assert!(
            numbers.contains("\ngatepost_queue_messages 0\n"),
            "{numbers}"
        );
        // Once it was fast enough to be before the checkpoint.
        if took < Duration::from_millis(1500) {
            let shown = lines(&show);
            assert!(shown[0].contains(" state=delivered "), "{shown:?}");
            return;
        }
    }
    panic!("this machine is too slow to look before a checkpoint");
}

#[test]
fn what_waits_is_listed_and_shown_with_the_words_of_the_other_side() {
    let host = FakeHost::start(Setup::script(|step| match (step.verb, step.line) {
        ("RCPT", line) if line.contains("late@") => Act::say("450 4.2.1 come back \"later\""),
        _ => Act::Usual,
    }));
    let to = [
        "late@there.example",
        "a@there.example",
        "alice@here.example",
    ];
    let mut server = Server::start_with(&smarthost(host.address), |command| {
        fill(&folder_of(command), &to, 1);
    });
    server.wait_for_event("deferred");
    server.wait_for_mail("alice", 1);
    wait_for(&server, "the deferral is settled", || {
        let said = server.command(&["queue"]);
        said.output.contains("state=deferred") && said.output.contains("recipients_left=1")
    });
    let (ids, last) = listed(&server);
    assert_eq!(last, "1 message in the queue");
    let said = server.command(&["queue", "show", &ids[0]]);
    let shown = lines(&said);
    assert!(
        shown[0].contains("state=deferred again_in_seconds="),
        "{shown:?}"
    );
    assert!(
        shown[0].contains("from=alice@here.example to=late@there.example"),
        "{shown:?}"
    );
    assert!(
        shown[1].starts_with("envelope client=192.0.2.1 origin=client recipients=3"),
        "{shown:?}"
    );
    let recipients: Vec<_> = shown
        .iter()
        .filter(|line| line.starts_with("recipient "))
        .collect();
    assert!(
        recipients[0].ends_with("target=outside:late@there.example state=due"),
        "{recipients:?}"
    );
    assert!(
        recipients[1].ends_with("target=outside:a@there.example state=done"),
        "{recipients:?}"
    );
    assert!(
        recipients[2].ends_with("target=user:alice state=done"),
        "{recipients:?}"
    );
    let words = "said=\"RCPT: the server said 450 4.2.1 come back \\\"later\\\"\"";
    assert!(
        shown.last().unwrap().starts_with("attempt at="),
        "{shown:?}"
    );
    assert!(shown.last().unwrap().ends_with(words), "{shown:?}");
    // A retry comes before its time, and the history grows.
    lines(&server.command(&["queue", "retry", &ids[0]]));
    wait_for(&server, "the second attempt", || {
        let said = server.command(&["queue", "show", &ids[0]]);
        said.output
            .lines()
            .filter(|line| line.starts_with("attempt "))
            .count()
            == 2
    });
    // What was tried is known after a kill, and without a service.
    server.kill();
    let said = server.command(&["queue", "show", &ids[0]]);
    let offline = lines(&said);
    assert!(offline[0].contains("state=waiting"), "{offline:?}");
    assert_eq!(
        offline
            .iter()
            .filter(|line| line.starts_with("attempt "))
            .count(),
        2
    );
    json_is_well_formed(&server, &ids[0]);
}

fn json_is_well_formed(server: &Server, id: &str) {
    if !has_program("python3") {
        eprintln!("SKIPPED: python3 is missing");
        return;
    }
    let check = "import json,sys\n\
        m=json.loads(sys.argv[1])['messages'][0]\n\
        s=json.loads(sys.argv[2])\n\
        assert m['id']==s['id']==sys.argv[3]\n\
        assert m['recipients_left']==1 and m['octets']>0 and 'later' in m['reason']\n\
        assert [r['state'] for r in s['recipients']]==['due','done','done']\n\
        assert len(s['attempts'])==2 and s['envelope']['client']=='192.0.2.1'\n";
    let list = server.command(&["queue", "list", "--json"]).output;
    let show = server.command(&["queue", "show", id, "--json"]).output;
    let python = Command::new("python3")
        .args(["-c", check, &list, &show, id])
        .output()
        .unwrap();
    assert!(python.status.success(), "{list}{show}{python:?}");
}

#[test]
fn what_is_held_stays_over_a_kill_and_goes_once_released() {
    let (mut server, address) = with_dead_smarthost(&["a@there.example"], 3);
    let (ids, _) = listed(&server);
    assert_eq!(
        lines(&server.command(&["queue", "hold", &ids[1]])),
        ["1 message held"]
    );
    assert_eq!(
        lines(&server.command(&["queue", "hold", &ids[1]])),
        ["0 messages held"]
    );
    server.wait_for_log(&format!(
        "event=queue_changed qid={} what=held by=\"uid 0\"",
        ids[1]
    ));
    server.kill();
    let host = FakeHost::start_at(address, Setup::default());
    server.restart();
    server.wait_for_log("event=recovered messages=3");
    wait_for(&server, "the others", || host.taken().len() == 2);
    wait_for(&server, "their end", || listed(&server).0.len() == 1);
    let said = server.command(&["queue"]);
    assert!(
        lines(&said)[0].starts_with(&format!("id={} state=held ", ids[1])),
        "{}",
        said.output
    );
    // Whoever is held is not tried.
    assert_eq!(
        lines(&server.command(&["queue", "retry", "--all"])),
        ["0 messages made due"]
    );
    assert_eq!(
        lines(&server.command(&["queue", "release", "--all"])),
        ["1 message released"]
    );
    wait_for(&server, "the one that was held", || host.taken().len() == 3);
    wait_for(&server, "its end", || {
        listed(&server).1 == "the queue is empty"
    });
}

#[test]
fn a_retry_ends_the_rest_of_the_destination() {
    let (server, address) = with_dead_smarthost(&["a@there.example"], 5);
    let host = FakeHost::start_at(address, Setup::default());
    lines(&server.command(&["queue", "retry", "--to", "example"]));
    wait_for(&server, "all of them", || host.taken().len() == 5);
}

#[test]
fn a_retry_of_many_tries_a_destination_that_is_still_dead_a_few_times_only() {
    let (server, _) = with_dead_smarthost(&["a@there.example"], 500);
    let said = server.command(&["queue", "retry", "--all"]);
    assert_eq!(lines(&said), ["500 messages made due"]);
    // Each of the two threads may have one in hand before and after.
    let attempts = server.log_text().matches("relay_failed").count();
    assert!(attempts < 12, "{attempts}");
}

#[test]
fn what_is_deleted_is_gone_for_good_and_its_sender_hears_nothing() {
    let (mut server, address) = with_dead_smarthost(&["a@there.example"], 3);
    let (ids, _) = listed(&server);
    let said = server.command(&["queue", "delete", "--to", "here.example"]);
    assert_eq!(lines(&said), ["0 messages deleted"]);
    lines(&server.command(&["queue", "delete", &ids[0]]));
    assert_eq!(listed(&server).0, ids[1..]);
    server.kill();
    assert_eq!(listed(&server).0, ids[1..]);
    // Without a service too, and what it leaves is a good spool.
    assert_eq!(
        lines(&server.command(&["queue", "delete", &ids[1]])),
        ["1 message deleted"]
    );
    assert_eq!(
        lines(&server.command(&["queue", "hold", &ids[2]])),
        ["1 message held"]
    );
    let host = FakeHost::start_at(address, Setup::default());
    server.restart();
    let (left, last) = listed(&server);
    assert_eq!(
        (left.as_slice(), last.as_str()),
        (&ids[2..], "1 message in the queue")
    );
    lines(&server.command(&["queue", "release", &ids[2]]));
    wait_for(&server, "the last", || host.taken().len() == 1);
    assert!(server.new_mail("alice").is_empty());
}

#[test]
fn a_message_in_delivery_is_not_deleted_and_is_held_after_the_attempt() {
    let host = FakeHost::start(Setup::script(|step| match step.verb {
        "RCPT" if step.times == 0 => Act::Hang,
        _ => Act::Usual,
    }));
    let server = Server::start_with(&smarthost(host.address), |command| {
        fill(&folder_of(command), &["a@there.example"], 1);
    });
    wait_for(&server, "RCPT", || {
        host.lines().iter().any(|line| line.starts_with("RCPT"))
    });
    let (ids, _) = listed(&server);
    let said = server.command(&["queue", "show", &ids[0]]);
    assert!(said.output.contains("state=in-delivery"), "{}", said.output);
    let said = server.command(&["queue", "delete", &ids[0]]);
    assert_eq!(said.code, Some(69));
    assert!(
        said.complaint.contains("is being delivered just now"),
        "{}",
        said.complaint
    );
    lines(&server.command(&["queue", "hold", &ids[0]]));
    let said = server.command(&["queue"]);
    assert!(said.output.contains("state=held"), "{}", said.output);
}

#[test]
fn two_thousand_are_listed_and_deleted_at_once() {
    let (server, _) = with_dead_smarthost(&["a@there.example"], 2000);
    let (ids, last) = listed(&server);
    assert_eq!(
        (ids.len(), last.as_str()),
        (2000, "2000 messages in the queue")
    );
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 2000);
    // The one that is tried at this moment may be left.
    wait_for(&server, "an empty queue", || {
        server.command(&["queue", "delete", "--all"]);
        listed(&server).1 == "the queue is empty"
    });
}

#[test]
fn a_spool_in_use_and_a_spool_that_is_not_there_are_told() {
    let mut server = Server::start("");
    std::fs::remove_file(server.folder.path().join("control")).unwrap();
    let said = server.command(&["queue"]);
    assert_eq!(said.code, Some(69), "{}", said.complaint);
    assert!(
        said.complaint.contains("another gatepost uses the spool"),
        "{}",
        said.complaint
    );
    server.kill();
    std::fs::remove_dir_all(server.folder.path().join("spool")).unwrap();
    let said = server.command(&["queue"]);
    assert!(
        lines(&said)[0].starts_with("there is no spool in "),
        "{}",
        said.output
    );
    let said = server.command(&["queue", "list", "--json"]);
    assert_eq!(lines(&said), [r#"{"messages":[],"more":0}"#]);
    assert!(!server.folder.path().join("spool").exists());
    let said = gatepost()
        .args(["queue", "--config", "/nonexistent/x.ini"])
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(78));
}

/// Enough that one sync for each would take long, and that others ask meanwhile.
const MANY: usize = 1500;

#[test]
fn others_are_answered_while_many_messages_are_changed() {
    let (server, _) = with_dead_smarthost(&["b@out.example"], MANY);
    for (verb, past) in [
        ("hold", "held"),
        ("release", "released"),
        ("delete", "deleted"),
    ] {
        let began = Instant::now();
        let mut changing = gatepost()
            .args(["queue", verb, "--all", "--config"])
            .arg(server.config())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut asked = 0;
        while changing.try_wait().unwrap().is_none() {
            let health = server.command(&["health"]);
            assert_eq!(health.code, Some(0), "{}", health.complaint);
            asked += 1;
        }
        let said = changing.wait_with_output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let output = String::from_utf8(said.stdout).unwrap();
        assert_eq!(output, format!("{MANY} messages {past}\n"));
        assert!(
            asked > 2,
            "{verb}: health was asked {asked} times in {:?}",
            began.elapsed()
        );
        let line = format!("what={past} ");
        let lines = server
            .log_text()
            .lines()
            .filter(|l| l.contains(&line))
            .count();
        assert_eq!(lines, MANY, "{verb}");
    }
    assert_eq!(server.command(&["queue"]).output, "the queue is empty\n");
}

#[test]
fn a_maildir_that_cannot_be_written_is_told_with_its_path_its_owner_and_what_to_do() {
    let mut server = Server::start_with("[queue]\ndelay_notice = 0\n", |command| {
        let folder = folder_of(command);
        let bobs = folder.join("mail/bob/Maildir");
        for name in ["cur", "tmp"] {
            fs::create_dir_all(bobs.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("tmp", bobs.join("new")).unwrap();
        fs::write(folder.join("mail/alice"), "").unwrap();
        fill(&folder, &["alice@here.example", "bob@here.example"], 1);
    });
    let why =
        |name: &str| format!("/mail/{name}: Not a directory; its owner is uid 0; move it away");
    for name in ["alice", "bob/Maildir/new"] {
        server.wait_for_log(&why(name));
    }
    let told = || server.command(&["queue"]).output;
    wait_for(&server, "the reason", || {
        told().contains(&why("bob/Maildir/new"))
    });
}

#[test]
fn a_maildir_of_another_account_is_told_with_the_place_that_refuses() {
    if !is_root() {
        return;
    }
    const NOBODY: u32 = 65534;
    let folder = TempFolder::short("owner");
    let root = folder.path();
    let place = |name: &str, owner: u32, mode: u32| {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        chown(root.join(name), Some(owner), None).unwrap();
    };
    for (name, mode) in [("users", 0o644), ("p256.crt", 0o644), ("p256.key", 0o600)] {
        fs::copy(data(name), root.join(name)).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    place("mail", NOBODY, 0o700);
    place("mail/alice", 0, 0o700);
    place("mail/bob", NOBODY, 0o700);
    place("mail/bob/Maildir", NOBODY, 0o700);
    for name in ["cur", "new"] {
        place(&format!("mail/bob/Maildir/{name}"), NOBODY, 0o700);
    }
    place("mail/bob/Maildir/tmp", 0, 0o755);
    let extra = format!(
        "[server]\nuser = nobody\nspool = {0}/spool\n[control]\nsocket = {0}/run/control\n\
         [tls]\ncertificate = {0}/p256.crt\nprivate_key = {0}/p256.key\n\
         [auth]\nusers = {0}/users\n[delivery]\nmail_root = {0}/mail\n",
        root.display()
    );
    let server = Server::start_elsewhere(&root.join("gatepost.ini"), &extra);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    for user in ["alice", "bob"] {
        client.message(&format!("{user}@here.example"), "Subject: x\r\n\r\nx\r\n");
    }
    let told = || server.command(&["queue"]).output;
    wait_for(&server, "both reasons", || {
        told().matches("reason=").count() == 2
    });
    let said = told();
    for place in ["alice", "bob/Maildir/tmp"] {
        let why = format!(
            "{}/mail/{place}: Permission denied; its owner is uid 0; let uid {NOBODY}, the service, write there",
            root.display()
        );
        assert!(said.contains(&why), "{why}: {said}");
    }
}
