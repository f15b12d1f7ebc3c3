//! `gatepost check` on what the account of the service can use: each file and folder is looked at as that account,
//! what it cannot use is named with its owner and mode, and the command that is told mends it. And on modes that
//! let others in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::checking::run_whole;
use support::{Server, TempFolder, data, gatepost, has_program, is_root};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A whole set-up that the account nobody can use.
struct Site {
    folder: TempFolder,
}

const INI: &str = "[server]\nhostname = mx.here.example\nuser = nobody\nspool = spool\n[delivery]\n\
                   mail_root = mail\n[control]\nsocket = run/control\n[port:tcp]\nnumber = 2525\n\
                   addresses = 127.0.0.1\n[port:tls]\nnumber = 4465\naddresses = 127.0.0.1\nstatus = enabled\n\
                   [tls]\ncertificate = own.crt\nprivate_key = keys/own.key\n[aliases]\nfile = aliases\n\
                   [command:keep]\nprogram = %F/keep\n[smarthost]\nhost = mx.there.example\nusername = u\n\
                   password_file = password\nca_file = ca.pem\n";

impl Site {
    fn new() -> Self {
        let folder = TempFolder::short("account");
        let root = folder.path();
        mode(root, 0o755);
        for (from, to) in [
            ("users", "users"),
            ("p256.crt", "own.crt"),
            ("p256.crt", "ca.pem"),
        ] {
            fs::copy(data(from), root.join(to)).unwrap();
        }
        for name in ["spool", "mail", "run", "keys"] {
            fs::create_dir(root.join(name)).unwrap();
            chown(root.join(name), Some(65534), Some(65534)).unwrap();
            mode(&root.join(name), 0o750);
        }
        fs::copy(data("p256.key"), root.join("keys/own.key")).unwrap();
        fs::write(root.join("aliases"), "root: alice\n").unwrap();
        fs::write(root.join("password"), "secret\n").unwrap();
        fs::write(root.join("keep"), "#!/bin/sh\n").unwrap();
        let ini = INI.replace("%F", &root.display().to_string());
        fs::write(root.join("f.ini"), ini).unwrap();
        for name in [
            "users",
            "own.crt",
            "ca.pem",
            "keys/own.key",
            "aliases",
            "password",
            "f.ini",
        ] {
            chown(root.join(name), Some(0), Some(65534)).unwrap();
            mode(&root.join(name), 0o640);
        }
        mode(&root.join("keep"), 0o755);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of `check`, and its code.
    fn check(&self) -> (Vec<String>, Option<i32>) {
        let got = run_whole(&self.folder, &["check", "--config", "f.ini"]);
        let lines = got
            .problems
            .into_iter()
            .filter(|line| !line.contains("(W-16)"));
        (
            lines.filter(|line| !line.contains("(W-17)")).collect(),
            got.code,
        )
    }
}

/// What the files are called, what is done to them as root, and what is then said, behind `[SECTION] KEY: `.
const MISTAKES: &[(&str, u32, &str)] = &[
    (
        "f.ini",
        0o600,
        "f.ini: f.ini: the account nobody cannot read it (root:root, mode 0600); ",
    ),
    (
        "users",
        0o600,
        "[auth] users: users: the account nobody cannot read it (root:root, mode 0600); ",
    ),
    (
        "aliases",
        0o600,
        "[aliases] file: aliases: the account nobody cannot read it (root:root, mode 0600); ",
    ),
    (
        "password",
        0o600,
        "[smarthost] password_file: password: the account nobody cannot read it (root:root, mode 0600); ",
    ),
    (
        "ca.pem",
        0o600,
        "[smarthost] ca_file: ca.pem: the account nobody cannot read it (root:root, mode 0600); ",
    ),
    (
        "spool",
        0o700,
        "[server] spool: spool: the account nobody cannot make files in it (root:root, mode 0700); ",
    ),
    (
        "mail",
        0o750,
        "[delivery] mail_root: mail: the account nobody cannot make files in it (root:root, mode 0750); ",
    ),
    (
        "keep",
        0o700,
        "[command:keep] program: keep: the account nobody cannot run it (root:root, mode 0700); ",
    ),
];

#[test]
fn what_the_account_cannot_use_is_an_error_and_the_command_told_mends_it() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    assert_eq!(site.check(), (Vec::new(), Some(0)));
    for (name, closed, want) in MISTAKES {
        let path = site.path(name);
        let before = fs::metadata(&path).unwrap();
        chown(&path, Some(0), Some(0)).unwrap();
        mode(&path, *closed);
        let (lines, code) = site.check();
        assert_eq!((lines.len(), code), (1, Some(78)), "{name}: {lines:?}");
        assert!(lines[0].contains(want), "{name}: {lines:?}");
        let command = lines[0].split("; type ").nth(1).unwrap();
        let root = site.folder.path().display();
        // Paths of the folder were cut from what was told.
        let mended = Command::new("sh")
            .args(["-c", command])
            .current_dir(site.folder.path())
            .status();
        assert!(mended.unwrap().success(), "{command} in {root}");
        assert_eq!(site.check(), (Vec::new(), Some(0)), "{name}: {command}");
        chown(&path, Some(before.uid()), Some(before.gid())).unwrap();
        mode(&path, before.mode() & 0o7777);
    }
}

#[test]
fn a_folder_on_the_way_that_is_closed_is_the_one_that_is_told() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    let folder = site.path("deep");
    fs::create_dir(&folder).unwrap();
    fs::rename(site.path("aliases"), folder.join("aliases")).unwrap();
    mode(&folder, 0o700);
    let ini = fs::read_to_string(site.path("f.ini")).unwrap();
    fs::write(
        site.path("f.ini"),
        ini.replace("file = aliases", "file = deep/aliases"),
    )
    .unwrap();
    let (lines, code) = site.check();
    assert_eq!((lines.len(), code), (1, Some(78)), "{lines:?}");
    let want = "[aliases] file: deep/aliases: the account nobody cannot enter deep (root:root, mode 0700); type \
                chgrp nogroup deep && chmod g+x deep";
    assert!(lines[0].ends_with(want), "{lines:?}");
}

/// Root reads certificate and key at each start: a renewed one alone is not read.
#[test]
fn a_key_that_root_reads_first_is_a_warning() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    chown(site.path("keys/own.key"), Some(0), Some(0)).unwrap();
    let (lines, code) = site.check();
    assert_eq!((lines.len(), code), (1, Some(0)), "{lines:?}");
    assert!(
        lines[0].contains("[tls] private_key: ") && lines[0].ends_with("(W-15)"),
        "{lines:?}"
    );
}

/// The same mistakes keep no service from starting, which says them in its log; while it runs, it is asked itself.
#[test]
fn a_running_service_is_asked_and_a_start_only_warns() {
    if !is_root() || !has_program("setpriv") {
        return;
    }
    let folder = TempFolder::short("asked");
    mode(folder.path(), 0o777);
    let config = folder.path().join("gatepost.ini");
    let extra = format!(
        "[server]\nuser = nobody\nspool = {0}/spool\n[control]\nsocket = {0}/control\n[auth]\n\
         users = {0}/users\n[aliases]\nfile = {0}/aliases\n[delivery]\nmail_root = {0}/mail\n",
        folder.path().display()
    );
    for (name, content) in [
        ("users", fs::read(data("users")).unwrap()),
        ("aliases", b"root: alice\n".to_vec()),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    mode(&folder.path().join("aliases"), 0o600);
    let mut server = Server::start_elsewhere(&config, &extra);
    let line = server.wait_for_log("aliases: the account nobody cannot read it");
    assert!(line.contains("(an error for check and reload)"), "{line}");
    // Root could read it, and so could any account that is not the service's.
    let said = server.command(&["check"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.complaint
            .contains("aliases: the account nobody cannot read it (root:root, mode 0600); type "),
        "{said:?}"
    );
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    let said = server.command(&["check", "--start"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    mode(&folder.path().join("aliases"), 0o644);
    let said = server.command(&["check"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    // Somebody else may not ask the service, and is no such account: nobody looks.
    let other = Command::new("setpriv")
        .args(["--reuid=1", "--regid=1", "--clear-groups"])
        .arg(gatepost().get_program())
        .args(["check", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&other.stderr);
    let want = "gatepost.ini: warning: what the settings name was not looked at as the account nobody: ask as root, \
                or while the service runs (W-26)\n";
    assert!(complaint.contains(want), "{complaint}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn modes_that_let_others_in_are_told_with_the_chmod_to_type() {
    let folder = TempFolder::new("modes");
    for (from, to) in [
        ("users", "users"),
        ("aliases", "aliases"),
        ("p256.crt", "a.crt"),
        ("p256.key", "a.key"),
    ] {
        fs::copy(data(from), folder.path().join(to)).unwrap();
        mode(&folder.path().join(to), 0o600);
    }
    let ini = "[server]\nhostname = mx.here.example\nlocal_domains = here.example\nuser = root\n[smarthost]\n\
               host = mx.there.example\n[aliases]\nfile = aliases\n[tls]\ncertificate = a.crt\n\
               private_key = a.key\n[extensions]\nstarttls = enabled\n";
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    let check = || {
        let got = run_whole(&folder, &["check", "--config", "f.ini"]);
        assert_eq!(got.code, Some(0), "{:?}", got.problems);
        let lines = got
            .problems
            .into_iter()
            .filter(|line| line.ends_with("(W-19)"));
        lines.collect::<Vec<_>>()
    };
    mode(&folder.path().join("f.ini"), 0o644);
    assert_eq!(check(), [""; 0]);
    for (name, let_in, place, words, command) in [
        ("users", 0o644, "1: warning: [auth] users", "read", "o-r"),
        (
            "users",
            0o606,
            "1: warning: [auth] users",
            "read and write",
            "o-rw",
        ),
        ("users", 0o602, "1: warning: [auth] users", "write", "o-w"),
        (
            "a.key",
            0o604,
            "11: warning: [tls] private_key",
            "read",
            "o-r",
        ),
        (
            "aliases",
            0o646,
            "8: warning: [aliases] file",
            "write",
            "o-w",
        ),
        (
            "a.crt",
            0o646,
            "10: warning: [tls] certificate",
            "write",
            "o-w",
        ),
    ] {
        mode(&folder.path().join(name), let_in);
        let want = format!(
            "f.ini:{place}: {name}: every account of this machine can {words} it; type chmod {command} {name} (W-19)"
        );
        assert_eq!(check(), [want]);
        mode(&folder.path().join(name), 0o600);
    }
    // A file that everybody may read and nobody write is no secret.
    mode(&folder.path().join("aliases"), 0o644);
    assert_eq!(check(), [""; 0]);
    mode(&folder.path().join("f.ini"), 0o666);
    let want = "f.ini: warning: f.ini: every account of this machine can write it; type chmod o-w f.ini (W-19)";
    assert_eq!(check(), [want]);
}

#[test]
fn root_as_the_account_an_address_that_is_not_here_and_a_key_without_effect_are_told() {
    let folder = TempFolder::new("warnings");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    mode(&folder.path().join("users"), 0o600);
    // An address no machine has (RFC 5737).
    let ini = "[server]\nhostname = mx.here.example\nuser = root\n[port:tcp]\naddresses = 127.0.0.1, 192.0.2.77\n\
               number = 2525\n[extensions]\netrn = enabled\n";
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    let got = run_whole(&folder, &["check", "--config", "f.ini"]);
    let want = [
        "f.ini:3: warning: [server] user: a service that is taken over then has the whole machine; name an account \
         that can do nothing else (W-18)",
        "f.ini:5: warning: [port:tcp] addresses: this machine has no address 192.0.2.77, so the service does not \
         start until it has it (W-22)",
        "f.ini:8: warning: [extensions] etrn: this key has no effect: ETRN is refused whatever it says (W-27)",
    ];
    assert_eq!(got.problems, want);
    assert_eq!(got.code, Some(0));
    let serve = run_whole(&folder, &["serve", "--config", "f.ini"]);
    assert_eq!(serve.code, Some(69), "{:?}", serve.problems);
}
