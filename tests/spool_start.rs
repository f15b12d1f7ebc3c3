//! Starts of the binary that a spool makes hard: a disk without a free block, a segment that was cut off, a
//! lock that was cleaned away.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;
#[path = "support/tmpfs.rs"]
mod tmpfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{Client, Server, gatepost, own_address};
use tmpfs::{Tmpfs, on_tmpfs};

/// The size of a segment that was cut behind its first batch, and how much of it is missing.
const CUT: u64 = 8192;

fn send(server: &Server, user: &str, subject: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message(
        &format!("{user}@here.example"),
        &format!("Subject: {subject}\r\n\r\nx\r\n"),
    );
}

/// Lets nothing be delivered to alice.
fn block_alice(server: &Server) -> PathBuf {
    let mail = server.folder.path().join("mail");
    fs::create_dir_all(&mail).unwrap();
    let folder = mail.join("alice");
    fs::write(&folder, "no folder").unwrap();
    folder
}

#[test]
fn a_segment_that_was_cut_off_at_the_edge_of_a_record_is_told() {
    let mut server = Server::start("");
    let blocked = block_alice(&server);
    send(&server, "alice", "first");
    send(&server, "alice", "second");
    server.kill();
    let segment = server.folder.path().join("spool/log/000.seg");
    let file = fs::File::options().write(true).open(segment).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(CUT).unwrap();
    fs::remove_file(blocked).unwrap();
    server.restart();
    let missing = length - CUT;
    server.wait_for_log(&format!("octets={CUT} missing={missing}"));
    let mail = server.wait_for_mail("alice", 1);
    assert!(mail[0].contains("Subject: first"), "{mail:?}");
    // Where nothing is missing, nothing is told.
    server.kill();
    server.restart();
    assert!(!server.log_text().contains("spool_segment_truncated"));
}

#[test]
fn a_lock_file_that_was_cleaned_away_lets_no_second_server_in() {
    let server = Server::start("");
    fs::remove_file(server.folder.path().join("spool/lock")).unwrap();
    let ini = fs::read_to_string(server.config()).unwrap();
    let other = ini
        .replace(&server.address.to_string(), &own_address().to_string())
        .replace("/control", "/control2");
    assert_ne!(ini, other);
    let config = server.folder.path().join("other.ini");
    fs::write(&config, other).unwrap();
    let mut second = gatepost();
    second.args(["serve", "--config"]).arg(&config);
    let said = second.stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success(), "{words}");
    assert!(words.contains("another gatepost uses the spool"), "{words}");
    send(&server, "bob", "still");
    server.wait_for_mail("bob", 1);
}

/// Fills a file system to its last block.
fn fill(folder: &Path) -> PathBuf {
    let ballast = folder.join("ballast");
    let mut octets = 1 << 20;
    let file = fs::File::create(&ballast).unwrap();
    let mut at = 0;
    while octets > 0 {
        match std::os::unix::fs::FileExt::write_at(&file, &vec![1; octets], at) {
            Ok(count) => at += count as u64,
            Err(_) => octets /= 2,
        }
    }
    ballast
}

/// A server that has ended, its spool on a full file system, after `prepare`; it starts, takes no mail, and takes
/// some once there is room.
fn starts_on_a_full_disk(prepare: impl FnOnce(&mut Server, &Tmpfs)) {
    let ini = "[limits]\nfree_space = 1M\n";
    let Some((mut server, tmpfs)) = on_tmpfs(ini, "spool", "24m") else {
        return;
    };
    prepare(&mut server, &tmpfs);
    let ballast = fill(&tmpfs.0);
    server.restart();
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<sender@here.example>", "452 4.3.1");
    fs::remove_file(ballast).unwrap();
    let until = std::time::Instant::now() + support::PATIENCE;
    loop {
        client.send(b"MAIL FROM:<sender@here.example>\r\n");
        if client.reply().starts_with("250") {
            break;
        }
        assert!(std::time::Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    client.command("RSET", "250");
    let before = server.new_mail("alice").len();
    send(&server, "alice", "after");
    server.wait_for_mail("alice", before + 1);
}

#[test]
fn a_full_disk_keeps_no_service_from_starting_after_its_end() {
    starts_on_a_full_disk(|server, _| {
        server.terminate();
        server.wait();
    });
}

#[test]
fn a_full_disk_keeps_no_service_from_starting_after_a_kill() {
    starts_on_a_full_disk(|server, _| {
        send(server, "alice", "before");
        server.kill();
    });
}

#[test]
fn a_full_disk_keeps_no_service_from_starting_with_an_empty_spool() {
    starts_on_a_full_disk(|server, tmpfs| {
        server.kill();
        for name in fs::read_dir(&tmpfs.0).unwrap() {
            let path = name.unwrap().path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
    });
}

#[test]
fn a_full_disk_keeps_no_service_from_starting_with_damage_to_set_aside() {
    starts_on_a_full_disk(|server, tmpfs| {
        let blocked = block_alice(server);
        send(server, "alice", "torn");
        server.kill();
        fs::remove_file(blocked).unwrap();
        let segment = tmpfs.0.join("log/000.seg");
        let mut octets = fs::read(&segment).unwrap();
        octets[4200] ^= 1;
        fs::write(&segment, octets).unwrap();
        fs::write(tmpfs.0.join("log/001.seg"), vec![0; 9000]).unwrap();
        fs::write(tmpfs.0.join("queue/x.new"), "half").unwrap();
    });
}
