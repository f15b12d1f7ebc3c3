//! `gatepost health` against the binary: what makes it ill, what does not, and that it never hangs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;
#[path = "support/tmpfs.rs"]
mod tmpfs;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Said, Server, TempFolder, gatepost, own_address};
use tmpfs::on_tmpfs;

/// More than the command may ever take.
const AT_MOST: Duration = Duration::from_secs(6);

fn signal(server: &Server, name: &str) {
    let mut kill = Command::new("kill");
    let sent = kill.arg(name).arg(server.pid().to_string()).status();
    assert!(sent.unwrap().success());
}

/// Asks until the answer has this exit code.
fn wait_for(server: &Server, code: i32) -> Said {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = server.command(&["health"]);
        if said.code == Some(code) {
            return said;
        }
        assert!(Instant::now() < until, "{said:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(server: &Server, to: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<bob@here.example>", "250");
    client.command(&format!("RCPT TO:<{to}>"), "250");
    client.command("DATA", "354");
    client.command("Subject: s\r\n\r\n.", "250");
    client.command("QUIT", "221");
}

#[test]
fn a_service_that_takes_mail_is_healthy() {
    let server = Server::start("");
    let said = server.command(&["health"]);
    let healthy = (Some(0), "healthy\n".to_owned(), String::new());
    assert_eq!((said.code, said.output, said.complaint), healthy);
    let json = server.command(&["health", "--json"]);
    let want = "{\"healthy\":true,\"problems\":[],\"warnings\":[]}\n";
    assert_eq!((json.code, json.output.as_str()), (Some(0), want));
    // With both ports off it does what it was told.
    server.configure("[port:tcp]\nstatus = disabled\n[port:tls]\nstatus = disabled\n");
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let said = server.command(&["health"]);
    let want = "healthy\nwarning: listener: no SMTP port is enabled\n";
    assert_eq!((said.code, said.output.as_str()), (Some(0), want));
}

#[test]
fn where_nothing_runs_it_says_so_in_both_forms() {
    let folder = TempFolder::new("nothing");
    let config = folder.path().join("f.ini");
    fs::write(&config, "[control]\nsocket = control\n").unwrap();
    let run = |words: &[&str]| {
        let mut command = gatepost();
        Said::of(
            &command
                .args(words)
                .arg("--config")
                .arg(&config)
                .output()
                .unwrap(),
        )
    };
    let said = run(&["health"]);
    assert_eq!((said.code, said.output.as_str()), (Some(69), ""));
    assert!(
        said.complaint.contains("the service is not running"),
        "{said:?}"
    );
    let json = run(&["health", "--json"]);
    assert_eq!(json.code, Some(69));
    let want = "{\"healthy\":false,\"problems\":[{\"check\":\"service\",\"reason\":\"the service is not running";
    assert!(json.output.starts_with(want), "{json:?}");
}

#[test]
fn a_service_that_is_stopped_does_not_hang_it() {
    let server = Server::start("");
    signal(&server, "-STOP");
    for words in [&["health"][..], &["health", "--json"]] {
        let began = Instant::now();
        let said = server.command(words);
        assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
        assert_eq!(said.code, Some(69), "{said:?}");
        assert!(
            said.complaint.contains("does not answer within"),
            "{said:?}"
        );
        assert_eq!(said.output.contains("\"healthy\":false"), words.len() == 2);
    }
    signal(&server, "-CONT");
    wait_for(&server, 0);
}

#[test]
fn a_socket_that_nobody_serves_does_not_hang_it() {
    let folder = TempFolder::new("silent");
    let config = folder.path().join("f.ini");
    fs::write(&config, "[control]\nsocket = control\n").unwrap();
    let _silent = UnixListener::bind(folder.path().join("control")).unwrap();
    let began = Instant::now();
    let output = gatepost()
        .arg("health")
        .arg("--config")
        .arg(&config)
        .output();
    assert_eq!(output.unwrap().status.code(), Some(69));
    assert!(began.elapsed() < AT_MOST);
}

#[test]
fn a_full_disk_is_named_and_so_is_one_that_is_read_only() {
    let ini = "[limits]\nfree_space = 8M\n";
    let Some((server, tmpfs)) = on_tmpfs(ini, "spool", "64m") else {
        return;
    };
    wait_for(&server, 0);
    let ballast = tmpfs.0.join("ballast");
    let _ = fs::write(&ballast, vec![0; 56 << 20]);
    let said = wait_for(&server, 75);
    let spool = server.folder.path().join("spool");
    let spool = spool.display();
    let want =
        format!("unhealthy: space: {spool}: less than free_space (8388608 octets) is free\n");
    assert!(said.output.starts_with(&want), "{said:?}");
    assert_eq!(said.complaint, "");
    let json = server.command(&["health", "--json"]);
    assert_eq!(json.code, Some(75));
    let want = format!(
        "{{\"healthy\":false,\"problems\":[{{\"check\":\"space\",\"reason\":\"{spool}: less than"
    );
    assert!(json.output.starts_with(&want), "{json:?}");
    fs::remove_file(&ballast).unwrap();
    wait_for(&server, 0);
    if fs::metadata("/proc/self/mountinfo").is_ok() {
        // Files that are open for writing keep it from being made read-only by a plain remount; what a fault
        // of the disk does is no remount. So a bind mount stands for it.
        let mut mount = Command::new("mount");
        let log = tmpfs.0.join("log");
        assert!(
            mount
                .arg("--bind")
                .arg(&log)
                .arg(&log)
                .status()
                .unwrap()
                .success()
        );
        let mut mount = Command::new("mount");
        let made = mount.args(["-o", "remount,bind,ro"]).arg(&log).status();
        assert!(made.unwrap().success());
        let said = wait_for(&server, 75);
        let _ = Command::new("umount").arg("-l").arg(&log).status();
        let want = format!("unhealthy: spool: {spool}: cannot be written to: Read-only");
        assert!(said.output.starts_with(&want), "{said:?}");
        wait_for(&server, 0);
    }
    drop(server);
    drop(tmpfs);
}

#[test]
fn a_smarthost_that_is_dead_is_a_warning() {
    let nowhere = TcpListener::bind((own_address(), 0)).unwrap();
    let address = nowhere.local_addr().unwrap();
    drop(nowhere);
    let ini = format!(
        "[relay]\nallow_hosts = 127.0.0.0/8\n[alarm]\nunreachable_after = 1\n\
         [smarthost]\nhost = {}\nport = {}\ntls = none\n",
        address.ip(),
        address.port()
    );
    let mut server = Server::start(&ini);
    send(&server, "a@there.example");
    server.wait_for_event("alarm");
    let said = wait_for(&server, 0);
    let want = "healthy\nwarning: alarm: unreachable smarthost: ";
    assert!(said.output.starts_with(want), "{said:?}");
    let json = server.command(&["health", "--json"]).output;
    let want = "{\"healthy\":true,\"problems\":[],\"warnings\":[{\"check\":\"alarm\",\"reason\":\"unreachable";
    assert!(json.starts_with(want), "{json}");
}

#[test]
fn a_port_that_could_not_be_moved_is_a_warning_and_none_at_all_a_problem() {
    let server = Server::start("");
    let taken = TcpListener::bind((server.address, 0)).unwrap();
    let number = taken.local_addr().unwrap().port();
    server.configure(&format!("[port:tcp]\nnumber = {number}\n"));
    assert_eq!(server.command(&["reload"]).code, Some(69));
    let said = server.command(&["health"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let wanted = SocketAddr::new(server.address, number);
    let part = "warning: configuration: at the last refresh: applied in part; the log has why\n";
    let want = format!(
        "healthy\nwarning: listener: port tcp does not listen on {wanted}, it goes on with {}\n{part}",
        server.tcp()
    );
    assert_eq!(said.output, want);
    send(&server, "alice@here.example");
    // With no port at all no mail is taken.
    let off = "[port:tls]\nstatus = disabled\n[port:tcp]\n";
    server.configure(&format!("{off}status = disabled\n"));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    server.configure(&format!("{off}number = {number}\n"));
    assert_eq!(server.command(&["reload"]).code, Some(69));
    let said = server.command(&["health"]);
    assert_eq!(said.code, Some(75), "{said:?}");
    let want = format!("unhealthy: listener: port tcp does not listen on {wanted}\n{part}");
    assert_eq!(said.output, want);
    drop(taken);
    assert_eq!(server.command(&["reload"]).code, Some(0));
    assert_eq!(server.command(&["health"]).output, "healthy\n");
}

#[test]
fn a_refresh_that_failed_is_a_warning() {
    let server = Server::start("");
    server.configure("[limits]\nrecipients = 0\n");
    assert_eq!(server.command(&["reload"]).code, Some(78));
    let said = server.command(&["health"]);
    assert_eq!(said.code, Some(0));
    let want = "healthy\nwarning: configuration: at the last refresh: configuration not changed; the log has why\n";
    assert_eq!(said.output, want);
}

#[test]
fn a_service_that_is_going_down_is_unhealthy_until_it_is_gone() {
    let mut server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<bob@here.example>", "250");
    client.command("RCPT TO:<alice@here.example>", "250");
    client.command("DATA", "354");
    server.terminate();
    server.wait_for_event("stopping");
    let said = server.command(&["health"]);
    assert_eq!(said.code, Some(75), "{said:?}");
    assert_eq!(
        said.output,
        "unhealthy: stopping: the service is going down\n"
    );
    client.command("Subject: s\r\n\r\n.", "250");
    assert_eq!(server.wait(), Some(0));
    assert_eq!(server.command(&["health"]).code, Some(69));
}
