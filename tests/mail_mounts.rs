//! Mailboxes that are file systems of their own: what the service syncs, seen from outside by strace.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;
#[path = "support/tmpfs.rs"]
mod tmpfs;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, has_program};
use tmpfs::on_tmpfs;

/// The system calls of a service that sync, with the paths of what they sync, until these are all.
fn syncs_until(server: &Server, all: impl Fn(&str) -> bool, send: impl FnOnce()) -> String {
    let trace = server.folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-e", "trace=syncfs,fsync,fdatasync"]);
    strace.args(["-e", "signal=none", "-o"]).arg(&trace);
    strace.arg("-p").arg(server.pid().to_string());
    let mut tracer = strace.stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    let status = format!("/proc/{}/status", server.pid());
    while fs::read_to_string(&status)
        .unwrap()
        .contains("TracerPid:\t0\n")
    {
        assert!(Instant::now() < until, "strace does not attach");
        std::thread::sleep(Duration::from_millis(10));
    }
    send();
    let syncs = loop {
        let syncs = fs::read_to_string(&trace).unwrap_or_default();
        if all(&syncs) || Instant::now() > until {
            break syncs;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    syncs
}

#[test]
fn each_file_system_that_copies_went_to_is_synced() {
    if !has_program("strace") {
        assert!(std::env::var_os("CI").is_none(), "CI needs strace(1)");
        eprintln!("SKIPPED: there is no strace");
        return;
    }
    let Some((server, _tmpfs)) = on_tmpfs("", "mail/alice", "8m") else {
        return;
    };
    let mail = server.folder.path().join("mail");
    let is_synced = |syncs: &str, user: &str| {
        let folder = format!("<{}>)", mail.join(user).join("Maildir/new").display());
        syncs
            .lines()
            .any(|line| line.contains("syncfs(") && line.contains(&folder) && line.ends_with("= 0"))
    };
    let users = ["alice", "bob"];
    let all = |syncs: &str| users.iter().all(|user| is_synced(syncs, user));
    let syncs = syncs_until(&server, all, || {
        let mut client = Client::greeted(server.tcp());
        client.command("EHLO client.example", "250");
        for user in users {
            client.command("MAIL FROM:<sender@here.example>", "250");
            client.command(&format!("RCPT TO:<{user}@here.example>"), "250");
            client.command("DATA", "354");
            client.command("Subject: x\r\n\r\nx\r\n.", "250");
        }
        server.wait_for_mail("alice", 1);
        server.wait_for_mail("bob", 1);
    });
    for user in users {
        assert!(is_synced(&syncs, user), "that of {user} is not in\n{syncs}");
    }
}
