//! Devices with a real folder, and a disk that can be full.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::sys::disk::RealDisk;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gatepost-devices-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn open(&self) -> Devices {
        Devices::open(Arc::new(RealDisk), &self.0, 500, &[])
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn come(devices: &Devices, client: &str) {
    let ended = Ended {
        client: client.parse().unwrap(),
        local: "127.0.0.1".parse().unwrap(),
        port: "tcp",
        tls: None,
        facts: SessionFacts {
            helo: Some("scanner"),
            login: None,
            mechanism: None,
            errors: 0,
        },
        messages: 1,
        reason: EndReason::Quit,
        reached: Reached::Hello,
    };
    devices.ended(Watch::default(), ended);
}

fn known(devices: &Devices) -> Vec<String> {
    let kept = devices.lock();
    let all = kept.table.in_order().into_iter();
    all.map(|device| device.address.to_string()).collect()
}

#[test]
fn what_is_known_is_there_again_in_its_order() {
    let folder = Folder::new();
    let devices = folder.open();
    for client in ["10.0.0.2", "10.0.0.1", "10.0.0.3", "10.0.0.2"] {
        come(&devices, client);
    }
    devices.write();
    assert_eq!(folder.names(), ["devices"]);
    assert_eq!(known(&folder.open()), ["10.0.0.1", "10.0.0.3", "10.0.0.2"]);
}

#[test]
fn nothing_is_written_where_nothing_has_changed_or_too_soon() {
    let folder = Folder::new();
    let devices = folder.open();
    devices.write();
    assert!(folder.names().is_empty());
    come(&devices, "10.0.0.1");
    devices.write_if_due();
    assert!(folder.names().is_empty(), "five minutes are not over");
    let long_ago = clock::monotonic().checked_sub(WRITE_EVERY);
    devices.lock().written = long_ago.unwrap();
    devices.write_if_due();
    assert_eq!(folder.names(), ["devices"]);
}

#[test]
fn a_damaged_file_is_set_aside() {
    let folder = Folder::new();
    fs::write(folder.0.join("devices"), "nonsense\n").unwrap();
    let devices = folder.open();
    assert!(known(&devices).is_empty());
    assert_eq!(folder.names(), ["devices.bad"]);
    come(&devices, "10.0.0.1");
    devices.write();
    assert_eq!(known(&folder.open()), ["10.0.0.1"]);
}

#[test]
fn a_disk_that_refuses_it_is_tried_again() {
    let folder = Folder::new();
    let devices = folder.open();
    come(&devices, "10.0.0.1");
    // A folder in the way, as a full disk would be.
    fs::create_dir(folder.0.join("devices.new")).unwrap();
    devices.write();
    assert_eq!(known(&devices), ["10.0.0.1"]);
    fs::remove_dir(folder.0.join("devices.new")).unwrap();
    devices.write();
    assert_eq!(folder.names(), ["devices"]);
}

#[test]
fn a_limit_of_nothing_removes_the_file() {
    let folder = Folder::new();
    let devices = folder.open();
    come(&devices, "10.0.0.1");
    devices.write();
    devices.set_limit(0, &[]);
    come(&devices, "10.0.0.2");
    devices.turned_away("10.0.0.3".parse().unwrap(), "tcp");
    assert!(known(&devices).is_empty());
    devices.write();
    assert!(folder.names().is_empty());
    come(&devices, "10.0.0.2");
    fs::write(folder.0.join("devices"), "of an earlier run").unwrap();
    let devices = Devices::open(Arc::new(RealDisk), &folder.0, 0, &[]);
    devices.write();
    assert!(!folder.names().contains(&"devices".to_owned()));
}

#[test]
fn the_gate_tells_of_clients_it_turned_away_and_never_waits() {
    let folder = Folder::new();
    let devices = folder.open();
    let client = |number: usize| format!("10.0.1.{number}").parse().unwrap();
    for number in 0..CROWD_MAX + 10 {
        devices.turned_away(client(number), "tcp");
        devices.turned_away(client(number), "tcp");
    }
    assert_eq!(known(&devices).len(), CROWD_MAX);
    let held = devices.crowd.lock();
    devices.turned_away(client(200), "tcp");
    drop(held);
    assert_eq!(known(&devices).len(), CROWD_MAX);
}
