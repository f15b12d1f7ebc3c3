//! The real binary with commands and webhooks: groups, failures, kill -9, its end, and `check`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;
#[path = "support/web.rs"]
mod web;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use support::checking::assert_problems;
use support::{Client, PATIENCE, Server, TempFolder};
use web::{Answer, Web};

/// A script of the command `scan`, and the lines of the configuration that name it.
fn scan(folder: &TempFolder, script: &str) -> String {
    let path = folder.path().join("scan.sh");
    let out = folder.path().display();
    fs::write(&path, script.replace("{out}", &out.to_string())).unwrap();
    format!(
        "[command:scan]\nprogram = /bin/sh\narguments = {}, --fixed\n",
        path.display()
    )
}

fn send(server: &Server, to: &str, text: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message(to, text);
    client.command("QUIT", "221");
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn wait_for(server: &Server, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

const ALIASES: &str = "[aliases]\nfile = aliases\n";

#[test]
fn mail_for_a_group_arrives_in_the_mailbox_at_the_program_and_at_the_web_server() {
    let folder = TempFolder::new("handlers");
    let web = Web::start(|_| Answer::status(200, ""));
    let script =
        "echo \"$1 $SENDER $RECIPIENT\" >{out}/env\ncat >{out}/part\nmv {out}/part {out}/message\n";
    let ini = format!(
        "{ALIASES}{}[webhook:phone]\nurl = http://{}/hook\n[extensions]\nexpn = enabled\n",
        scan(&folder, script),
        web.address
    );
    let aliases = "team: alice, |scan, >phone\nscanner: |scan\n";
    let mut server = Server::start_beside(&ini, &[("aliases", aliases)]);
    send(
        &server,
        "Team@here.example",
        "Subject: all\r\n\r\nfor three\r\n",
    );
    let text = server.wait_for_mail("alice", 1).remove(0);
    let message = folder.path().join("message");
    wait_for(&server, || message.exists() && web.asked().len() == 1);
    let message = read(message);
    let (_, received) = message
        .split_once("Delivered-To: Team@here.example\n")
        .unwrap();
    // The rest is what lies in the Maildir.
    assert!(text.ends_with(received), "{message}\n{text}");
    assert!(
        received.ends_with("Subject: all\n\nfor three\n\n"),
        "{message}"
    );
    let env = read(folder.path().join("env"));
    assert!(env.starts_with("--fixed "), "{env}");
    assert!(env.ends_with(" Team@here.example\n"), "{env}");
    let body = String::from_utf8(web.asked()[0].body.clone()).unwrap();
    for part in [
        "\"to\":[\"Team@here.example\"]",
        "\"subject\":\"all\"",
        "\"text\":\"for three\\u000a\\u000a\"",
    ] {
        assert!(body.contains(part), "{body}");
    }
    server.wait_for_event("command_delivered");
    server.wait_for_event("webhook_delivered");
    // Nobody hears what runs here.
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("EXPN team", "252");
    client.command("EXPN scanner", "252");
    client.command("EXPN alice", "250");
    let words = [
        "explain",
        "--from",
        "192.0.2.1",
        "--rcpt",
        "scanner@here.example",
    ];
    let said = server.command(&words);
    assert!(said.output.contains("250"), "{said:?}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn what_several_recipients_lead_to_gets_a_message_once_for_the_first() {
    let folder = TempFolder::new("handlers");
    let web = Web::start(|_| Answer::status(200, ""));
    let script = "cat >/dev/null\necho \"$RECIPIENT\" >>{out}/recipients\n";
    let ini = format!(
        "{ALIASES}{}[webhook:phone]\nurl = http://{}/hook\n[webhook:raw]\nurl = http://{}/raw\nformat = raw\n",
        scan(&folder, script),
        web.address,
        web.address
    );
    let aliases = "one: |scan, >phone, >raw\ntwo: >raw, >phone, |scan\n";
    let mut server = Server::start_beside(&ini, &[("aliases", aliases)]);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<sender@there.example>", "250");
    for to in ["Two@here.example", "one@here.example"] {
        client.command(&format!("RCPT TO:<{to}>"), "250");
    }
    client.command("DATA", "354");
    client.command("Subject: a\r\n\r\na\r\n.", "250");
    let recipients = folder.path().join("recipients");
    wait_for(&server, || recipients.exists() && web.asked().len() == 2);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(read(recipients), "Two@here.example\n");
    let asked = web.asked();
    let (raw, document): (Vec<_>, Vec<_>) = asked
        .iter()
        .partition(|asked| asked.head.starts_with("POST /raw "));
    assert_eq!(raw[0].fields("X-Gatepost-To"), ["Two@here.example"]);
    let body = String::from_utf8_lossy(&document[0].body);
    assert!(body.contains("\"to\":[\"Two@here.example\"]"), "{body}");
}

#[test]
fn what_a_program_refuses_comes_back() {
    let folder = TempFolder::new("handlers");
    let ini = format!(
        "{ALIASES}{}",
        scan(&folder, "echo 'this is spam'\nexit 1\n")
    );
    let server = Server::start_beside(&ini, &[("aliases", "scanner: |scan\n")]);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<alice@here.example>", "250");
    client.command("RCPT TO:<scanner@here.example>", "250");
    client.command("DATA", "354");
    client.send(b"Subject: x\r\n\r\nx\r\n.\r\n");
    client.expect("250");
    let notice = server.wait_for_mail("alice", 1).remove(0);
    assert!(notice.contains("Status: 5.3.0"), "{notice}");
    assert!(
        notice.contains("command scan exited with 1: this is spam"),
        "{notice}"
    );
    assert!(notice.contains("scanner@here.example"), "{notice}");
    assert!(!notice.contains("scan.sh"), "{notice}");
}

#[test]
fn kill_9_has_a_program_run_a_second_time_at_most() {
    let folder = TempFolder::new("handlers");
    let script = "echo $GATEPOST_ID >>{out}/runs\ncat >/dev/null\n\
                  while [ ! -e {out}/go ]; do sleep 0.02; done\n";
    let ini = format!("{ALIASES}{}", scan(&folder, script));
    let mut server = Server::start_beside(&ini, &[("aliases", "scanner: |scan\n")]);
    send(&server, "scanner@here.example", "Subject: x\r\n\r\nx\r\n");
    let runs = || read(folder.path().join("runs"));
    wait_for(&server, || runs().lines().count() == 1);
    server.kill();
    fs::write(folder.path().join("go"), "").unwrap();
    server.restart();
    server.wait_for_event("command_delivered");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.restart();
    server.wait_for_event("started");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let runs = runs();
    let ids: Vec<_> = runs.lines().collect();
    assert_eq!(ids.len(), 2, "{runs}");
    assert_eq!(ids[0], ids[1], "a program can tell the second run");
}

#[test]
fn the_end_waits_for_a_program_that_finishes() {
    let folder = TempFolder::new("handlers");
    let script = "touch {out}/began\ncat >/dev/null\n\
                  while [ ! -e {out}/go ]; do sleep 0.02; done\necho x >>{out}/done\n";
    let ini = format!("{ALIASES}{}", scan(&folder, script));
    let mut server = Server::start_beside(&ini, &[("aliases", "scanner: |scan\n")]);
    send(&server, "scanner@here.example", "Subject: x\r\n\r\nx\r\n");
    wait_for(&server, || folder.path().join("began").exists());
    server.terminate();
    server.wait_for_event("stopping");
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(server.wait(), Some(0));
    assert!(server.log_text().contains("event=command_delivered"));
    server.restart();
    server.wait_for_event("started");
    server.terminate();
    server.wait();
    assert_eq!(read(folder.path().join("done")), "x\n");
}

#[test]
fn a_refresh_takes_up_new_sections() {
    let folder = TempFolder::new("handlers");
    let mut server = Server::start_beside(ALIASES, &[("aliases", "scanner: alice\n")]);
    let aliases = server.config().with_file_name("aliases");
    let next = aliases.with_file_name("next");
    fs::write(&next, "scanner: |scan\n").unwrap();
    fs::rename(&next, &aliases).unwrap();
    send(&server, "scanner@here.example", "Subject: x\r\n\r\nx\r\n");
    // The section is missing, so the last good aliases count.
    server.wait_for_mail("alice", 1);
    let script = scan(&folder, "cat >/dev/null; touch {out}/done\n");
    server.configure(&format!("{ALIASES}{script}"));
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    send(&server, "scanner@here.example", "Subject: x\r\n\r\nx\r\n");
    server.wait_for_event("command_delivered");
    assert!(folder.path().join("done").exists());
    // Without it the aliases are at fault, and nothing changes.
    server.configure(ALIASES);
    let said = server.command(&["reload"]);
    assert_ne!(said.code, Some(0));
    assert!(
        format!("{said:?}").contains("there is no section [command:scan]"),
        "{said:?}"
    );
}

#[test]
fn check_names_what_is_wrong_with_commands_and_webhooks() {
    for (ini, want) in [
        (
            "[command:scan]\nprogram = /bin/true\ntimeout = 1h\n",
            vec![],
        ),
        (
            "[command:scan]\narguments = a\n",
            vec!["f.ini:1: [command:scan] program: a command needs this key"],
        ),
        (
            "[command:scan]\nprogram = bin/true\n",
            vec![
                "f.ini:2: [command:scan] program: \"bin/true\" is not the absolute path of a program; what it is \
                 called with stands in arguments",
            ],
        ),
        (
            "[command:a]\nprogram = /no/such/program\n[command:b]\nprogram = /etc/passwd\n\
             [command:c]\nprogram = /etc\n[command:d]\nprogram = /bin/true\ntimeout = 2h\n",
            vec![
                "f.ini:2: [command:a] program: /no/such/program: No such file or directory",
                "f.ini:4: [command:b] program: /etc/passwd: it is no program",
                "f.ini:6: [command:c] program: /etc: it is no program",
                "f.ini:9: [command:d] timeout: \"2h\" is not a duration from 1s to 1h, such as 30s, 5m, 2h or 5d",
            ],
        ),
        ("[webhook:x]\nurl = http://localhost/\n", vec![]),
        (
            "[webhook:x]\nformat = xml\n",
            vec![
                "f.ini:1: [webhook:x] url: a webhook needs this key",
                "f.ini:2: [webhook:x] format: \"xml\" is not one of json, raw",
            ],
        ),
        (
            "[webhook:x]\nurl = https://u:secret@hooks.example/\n",
            vec![
                "f.ini:2: [webhook:x] url: it must not hold a name or a password; a token has its own file, \
                 token_file",
            ],
        ),
        (
            "[webhook:x]\nurl = http://hooks.example/\ntoken_file = {data}/users\n",
            vec![
                "f.ini:2: [webhook:x] url: the token would cross the network in clear text; it needs https, or \
                 a server of this machine",
                "f.ini:3: [webhook:x] token_file: {data}/users: it holds more than one line",
            ],
        ),
        (
            "[webhook:x]\nurl = https://hooks.example/\nca_file = {data}/empty.pem\n",
            vec!["f.ini:3: [webhook:x] ca_file: {data}/empty.pem: there is no certificate in it"],
        ),
        (
            "[command:a b]\nprogram = /bin/true\n",
            vec!["f.ini:1: [command:a b]: there is no such section"],
        ),
    ] {
        assert_problems(ini, &want);
    }
}
