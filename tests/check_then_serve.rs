//! What `gatepost check` has said 0 to, `serve` does not end with 78, whatever the mistake: forty of them, each
//! tried with both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::checking::run_whole;
use support::{PATIENCE, TempFolder, base_ini, data, gatepost, own_address};

/// Lines that replace those of the base, and what is done to the files beside it as a shell script.
const MISTAKES: &[(&str, &str)] = &[
    ("", "true"),
    ("[server]\nhostnme = x.example\n", ""),
    ("[server]\nuser = no-such-account\n", ""),
    (
        "[server]\nuser = nobody\n",
        "chmod 755 . && chmod 600 users",
    ),
    ("[server]\nuser = nobody\n", "chmod 700 ."),
    (
        "[server]\nuser = nobody\n",
        "chmod 755 . && chmod 600 gatepost.ini",
    ),
    ("[server]\nspool = /proc/nothing\n", ""),
    ("[server]\nspool = users\n", ""),
    ("[server]\nload_internet_sites = yes\n", ""),
    (
        "[server]\nload_internet_sites = yes\n[site:a]\ntls_anonymous = yes\ncertificate = nowhere\nprivate_key = own.key\n",
        "",
    ),
    (
        "[server]\nload_internet_sites = yes\n[site:a]\ntls_anonymous = yes\ncertificate = own.crt\n",
        "",
    ),
    (
        "[server]\nload_internet_sites = no\n[site:a]\ntls_anonymous = yes\ncertificate = nowhere\nprivate_key = nowhere\n",
        "",
    ),
    ("[tls]\ncertificate = nowhere\n", ""),
    ("[tls]\nprivate_key = nowhere\n", ""),
    (
        "[tls]\ncertificate = nowhere\nprivate_key = nowhere\n[port:tls]\nstatus = disabled\n[extensions]\nstarttls = disabled\n",
        "",
    ),
    (
        "[tls]\ncertificate = users\nprivate_key = users\n[port:tls]\nstatus = disabled\n[extensions]\nstarttls = disabled\n",
        "",
    ),
    ("[tls]\ncertificate = own.key\nprivate_key = own.crt\n", ""),
    (
        "[tls]\ncertificate = DATA/version1.crt\nprivate_key = DATA/p256.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/expired.crt\nprivate_key = DATA/expired.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/rsa.crt\nprivate_key = DATA/p256.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/cut.crt\nprivate_key = DATA/p256.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/p256.crt\nprivate_key = DATA/encrypted.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = own.crt\nprivate_key = own.key\n",
        ": > own.key",
    ),
    ("[tls]\ncertificate = .\nprivate_key = own.key\n", ""),
    ("[auth]\nusers = nowhere\n", ""),
    ("[auth]\nusers = .\n", ""),
    ("[auth]\nusers = users\n", "echo broken > users"),
    ("[aliases]\nfile = nowhere\n", ""),
    (
        "[aliases]\nfile = aliases\n",
        "echo 'a: nobody-here' > aliases",
    ),
    (
        "[aliases]\nfile = aliases\n",
        "echo 'a@elsewhere.example: alice' > aliases",
    ),
    (
        "[server_access]\nenforce = yes\nallow = @nogroup\n[port:tls]\nname_and_password = yes\n",
        "",
    ),
    ("[senders]\ndeny = *@spam.example\n", ""),
    ("[recipients]\ndeny = alice\n", ""),
    ("[recipients]\ncatch_all = nobody-here\n", ""),
    ("[connections]\ndeny = 10.0.0.*\n", ""),
    ("[connections]\ndeny = 192.168.1.x\n", ""),
    ("[relay]\nenforce_for = none\n", ""),
    ("[smarthost]\nhost = mx.there.example:587\n", ""),
    (
        "[smarthost]\nhost = mx.there.example\nusername = u\npassword_file = nowhere\n",
        "",
    ),
    (
        "[smarthost]\nhost = mx.there.example\nca_file = users\n",
        "",
    ),
    ("[command:a]\nprogram = /nowhere\n", ""),
    (
        "[webhook:a]\nurl = https://there.example/\ntoken_file = nowhere\n",
        "",
    ),
    ("[delivery]\nmail_root = users\n", ""),
    ("[delivery]\nlocal = lmtp:unix:/nowhere\n", ""),
    ("[control]\nsocket = /proc/nothing/control\n", ""),
    ("[port:tcp]\naddresses = 192.0.2.77\n", ""),
    (
        "[port:tcp]\nstatus = disabled\n[port:tls]\nstatus = disabled\n",
        "",
    ),
    (
        "[port:tcp]\nanonymous = no\n[port:tls]\nname_and_password = yes\n",
        "",
    ),
    ("[messages]\ngreeting = hello\n", ""),
    (
        "[extensions]\netrn = enabled\n[limits]\nrecipients = 0\n",
        "",
    ),
    ("[log]\ntarget = sysog\n", ""),
];

fn prepared(extra: &str, script: &str) -> TempFolder {
    let folder = TempFolder::short("serve");
    let root = folder.path();
    for (from, to) in [
        ("users", "users"),
        ("aliases", "aliases"),
        ("p256.crt", "own.crt"),
        ("p256.key", "own.key"),
    ] {
        fs::copy(data(from), root.join(to)).unwrap();
        fs::set_permissions(root.join(to), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let extra = extra.replace("DATA", &data("").display().to_string());
    fs::write(
        root.join("gatepost.ini"),
        base_ini(own_address(), root, &extra),
    )
    .unwrap();
    let status = std::process::Command::new("sh")
        .args(["-ec", script])
        .current_dir(root)
        .status();
    assert!(status.unwrap().success(), "{script}");
    folder
}

/// How `serve` ends; none where it greets, and is ended then.
fn served(folder: &Path) -> (Option<i32>, String) {
    let log = folder.join("log");
    let mut child = gatepost()
        .args(["serve", "--config", "gatepost.ini"])
        .current_dir(folder)
        .stderr(Stdio::from(fs::File::create(&log).unwrap()))
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), text);
        }
        if text.contains("event=started") {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, text);
        }
        assert!(Instant::now() < until, "neither greets nor ends: {text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_check_lets_pass_serve_does_not_end_with_78() {
    assert!(MISTAKES.len() > 40);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let (mut passed, mut refused, mut only_check) = (0, 0, 0);
    for (extra, script) in MISTAKES {
        if extra.contains("user = ") && !is_root {
            continue;
        }
        let folder = prepared(extra, if script.is_empty() { "true" } else { script });
        let check = run_whole(&folder, &["check", "--config", "gatepost.ini"]);
        let start = run_whole(&folder, &["check", "--start", "--config", "gatepost.ini"]);
        let (code, log) = served(folder.path());
        match check.code {
            Some(0) => {
                passed += 1;
                assert_ne!(
                    code,
                    Some(78),
                    "{extra}{script}: {:?}\n{log}",
                    check.problems
                );
            }
            Some(78) if code == Some(78) => refused += 1,
            Some(78) => only_check += 1,
            other => panic!("{extra}{script}: check ended with {other:?}"),
        }
        // A script that starts the service asks so.
        if start.code == Some(0) {
            assert_ne!(
                code,
                Some(78),
                "{extra}{script}: {:?}\n{log}",
                start.problems
            );
        }
    }
    // Each of the three happens: passes, is refused by both, is refused by check alone.
    assert!(
        passed >= 10 && refused >= 15 && only_check >= 2,
        "{passed} {refused} {only_check}"
    );
    eprintln!("check passed {passed}, both refused {refused}, check alone refused {only_check}");
}
