//! What clients ask of notifications, in the spool of the real binary.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;

use support::{Client, Server};

#[test]
fn what_is_asked_of_notifications_is_kept_with_the_message() {
    let server = Server::start("[extensions]\ndsn = enabled\n");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO dsn.example", "250");
    client.command("MAIL FROM:<a@there.example> RET=HDRS ENVID=QQ+2B1", "250");
    let to = "RCPT TO:<alice@here.example> NOTIFY=DELAY,FAILURE ORCPT=rfc822;Alice@there.example";
    client.command(to, "250");
    client.command("RCPT TO:<bob@here.example>", "250");
    client.command("DATA", "354");
    client.send(b"Subject: a\r\n.\r\n");
    client.expect("250 2.0.0 Queued as ");
    let folder = fs::read_dir(server.folder.path().join("spool/log")).unwrap();
    let log: Vec<u8> = folder
        .flat_map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let log = String::from_utf8_lossy(&log);
    let want = "from <a@there.example>\nto due <alice@here.example> user alice\n\
                notify FAILURE,DELAY\norcpt rfc822;Alice@there.example\n\
                to due <bob@here.example> user bob\n";
    assert!(log.contains(want), "it is not in the log");
    assert!(log.contains("returns HDRS\nenvid QQ+2B1\n"));
    server.wait_for_mail("bob", 1);
}
