//! The files by which init systems run the service: they can be read, and name what is there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{TempFolder, has_program};

#[test]
fn the_scripts_are_shell() {
    for name in ["sysv", "openrc", "procd"] {
        let script = folder().join(name).join("gatepost");
        let output = Command::new("sh").arg("-n").arg(&script).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        let text = fs::read_to_string(&script).unwrap();
        // None starts what its configuration keeps from starting, over and over; what is an error for `check`
        // alone keeps no service from starting.
        assert!(text.contains(" check --start --config "), "{name}");
        assert!(!text.contains(" check --config "), "{name}");
    }
}

#[test]
fn systemd_takes_the_units() {
    if !has_program("systemd-analyze") {
        eprintln!("SKIPPED: no systemd-analyze here");
        return;
    }
    let temporary = TempFolder::new("units");
    let units = [
        "gatepost.service",
        "gatepost-tcp.socket",
        "gatepost-tls.socket",
    ];
    for name in units {
        let unit = fs::read_to_string(folder().join("systemd").join(name)).unwrap();
        // The program that is named must be there.
        let unit = unit.replace("/usr/sbin/gatepost", env!("CARGO_BIN_EXE_gatepost"));
        fs::write(temporary.path().join(name), unit).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units)
        .current_dir(temporary.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("gatepost"))
        .collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn a_configuration_with_errors_is_not_started_over_and_over() {
    let unit = fs::read_to_string(folder().join("systemd/gatepost.service")).unwrap();
    for line in [
        "Type=notify",
        "RestartPreventExitStatus=78",
        "ExecReload=/usr/sbin/gatepost reload",
        // A failed bind is tried again for ever.
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let temporary = TempFolder::new("bad");
    let config = temporary.path().join("gatepost.ini");
    fs::write(&config, "[server]\nnonsense = yes\n").unwrap();
    let status = support::gatepost()
        .args(["serve", "--config"])
        .arg(&config)
        .status();
    assert_eq!(status.unwrap().code(), Some(78));
}

#[test]
fn systemd_may_not_make_the_drop_folder_so_tmpfiles_does() {
    let unit = fs::read_to_string(folder().join("systemd/gatepost.service")).unwrap();
    assert!(unit.contains("\nRestrictSUIDSGID=yes\n"));
    let made = fs::read_to_string(folder().join("tmpfiles.d/gatepost.conf")).unwrap();
    let has = |path: &str, mode: &str| {
        let wanted = ["d", path, mode, "gatepost", "gatepost", "-"];
        made.lines().any(|line| line.split_whitespace().eq(wanted))
    };
    assert!(has("/var/spool/gatepost", "0711"));
    assert!(has("/var/spool/gatepost/drop", "3733"));
    assert!(has("/var/lib/gatepost/mail", "0700"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}
