//! The files that a running service reads again: when they count, and what they may be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gatepost::probe;
use gatepost::service::Prepared;

use support::{Client, PATIENCE, Server, TCP_PORT, TempFolder, base_ini, data, own_address};

fn greeting(address: SocketAddr) -> String {
    Client::connect(address).reply()
}

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success());
}

fn ask(server: &Server, to: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<sender@there.example>", "250");
    client.command(&format!("RCPT TO:<{to}>"), "250");
    client.command("QUIT", "221");
}

/// A file that changes after it was read at the start, and before the service looks at it by itself.
#[test]
fn what_changed_while_the_service_started_is_taken_up() {
    let folder = TempFolder::new("early");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    let config = folder.path().join("gatepost.ini");
    let address = own_address();
    let ini = "[control]\nupdate_interval = 1s\n[messages]\ngreeting = {hostname} ";
    let write = |greeting: &str| {
        let ini = base_ini(address, folder.path(), &format!("{ini}{greeting}\n"));
        let next = config.with_extension("next");
        fs::write(&next, ini).unwrap();
        fs::rename(next, &config).unwrap();
    };
    write("old");
    let loaded = probe::load(&config).unwrap();
    write("new");
    let prepared = Prepared::new(loaded.settings, Vec::new()).unwrap();
    let server = prepared.start().unwrap();
    let stop = server.remote();
    let running = thread::spawn(move || server.run());
    let until = Instant::now() + PATIENCE;
    while !greeting(SocketAddr::new(address, TCP_PORT)).contains(" new") {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(100));
    }
    stop.stop();
    running.join().unwrap().unwrap();
}

#[test]
fn a_link_to_the_configuration_may_be_turned_elsewhere() {
    let (folder, address) = (TempFolder::new("linked"), own_address());
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    for (name, greeting) in [("a.ini", "old"), ("b.ini", "new")] {
        let extra = format!("[messages]\ngreeting = {{hostname}} {greeting}\n");
        let ini = base_ini(address, folder.path(), &extra);
        fs::write(folder.path().join(name), ini).unwrap();
    }
    let link = folder.path().join("gatepost.ini");
    std::os::unix::fs::symlink("a.ini", &link).unwrap();
    let server = Server::start_as_it_is(folder, "gatepost.ini", address, |_| {});
    assert!(greeting(server.tcp()).contains(" old"));
    let next = link.with_extension("next");
    std::os::unix::fs::symlink("b.ini", &next).unwrap();
    fs::rename(&next, &link).unwrap();
    let said = server.command(&["status"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(greeting(server.tcp()).contains(" new"));
    assert_eq!(server.command(&["health"]).output, "healthy\n");
}

/// A FIFO that nobody writes into, a device without an end, a file far too large.
#[test]
fn what_is_no_regular_file_fails_a_refresh_and_hangs_nothing() {
    let files = ["users", "aliases", "own.crt", "password", "ca.crt"];
    let ini = "[aliases]\nfile = aliases\n[tls]\ncertificate = own.crt\nprivate_key = own.key\n\
               [smarthost]\nhost = 127.0.0.1\nport = 1\nusername = a\npassword_file = password\n\
               ca_file = ca.crt\n";
    let text = |name: &str| fs::read_to_string(data(name)).unwrap();
    let beside = [
        ("own.crt", text("p256.crt")),
        ("own.key", text("p256.key")),
        ("ca.crt", text("ca.crt")),
        ("password", "secret\n".to_owned()),
    ];
    let beside = beside.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut server = Server::start_beside(ini, &beside);
    let folder = server.folder.path().to_owned();
    let instead = folder.join("instead");
    let kinds: [(&str, fn(&Path)); 3] = [
        ("it is a FIFO, a device or a socket", |path| {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        }),
        ("it is a FIFO, a device or a socket", |path| {
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        }),
        ("larger than ", |path| {
            fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
        }),
    ];
    let began = Instant::now();
    for (why, make) in kinds {
        for name in files {
            let (path, kept) = (folder.join(name), folder.join("kept"));
            fs::rename(&path, &kept).unwrap();
            make(&path);
            let said = server.command(&["reload"]);
            assert_eq!(said.code, Some(78), "{name} {why} {said:?}");
            assert!(said.complaint.contains(why), "{name} {why} {said:?}");
            assert!(said.complaint.contains(name), "{name} {why} {said:?}");
            // Who was known still is.
            ask(&server, "alice@here.example");
            fs::rename(&kept, &path).unwrap();
            assert_eq!(server.command(&["reload"]).code, Some(0), "{name} {why}");
        }
        // The configuration itself, which the commands cannot read either.
        let kept = folder.join("kept");
        fs::rename(server.config(), &kept).unwrap();
        make(&instead);
        fs::rename(&instead, server.config()).unwrap();
        signal(&server, "-HUP");
        server.wait_for_log("event=refresh_failed by=SIGHUP");
        assert_eq!(server.command(&["status"]).code, Some(78));
        fs::rename(&kept, server.config()).unwrap();
        assert_eq!(server.command(&["status"]).code, Some(0));
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // In the middle of all that it can be ended.
    for name in files.into_iter().chain(["gatepost.ini"]) {
        fs::remove_file(folder.join(name)).unwrap();
        kinds[0].1(&folder.join(name));
    }
    signal(&server, "-HUP");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}
