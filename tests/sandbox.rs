//! The walls around the running service, on the real binary: that they are there, what the service still
//! can, and what the operator is told. What a session that was taken over cannot do: `misbehaving.rs`.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use gatepost::delivery::smtp_client::SmtpClient;

use support::checking::check;
use support::old_kernel::without;
use support::{Client, PATIENCE, Server, data, gatepost, has_program, ini, is_root};

const ALL: &str = "no_new_privs,no_dumps,landlock:";

fn send(address: std::net::SocketAddr, to: &str) {
    let mut client = Client::greeted(address);
    client.command("EHLO client.example", "250");
    client.message(to, "Subject: x\r\n\r\ny");
    client.command("QUIT", "221");
}

/// A field of every thread of a process, as the kernel tells it.
fn of_every_thread(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let value = |thread: std::io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap().trim_start_matches(':').trim().to_owned()
    };
    threads.map(value).collect()
}

#[test]
fn every_thread_of_the_service_is_within() {
    let mut server = Server::start("");
    let log = server.wait_for_event("sandboxed");
    assert!(
        log.contains(&format!(" parts={ALL}")) && log.contains(",seccomp"),
        "{log}"
    );
    send(server.tcp(), "alice@here.example");
    server.wait_for_mail("alice", 1);
    let filters = of_every_thread(server.pid(), "Seccomp");
    assert!(
        filters.len() > 5 && filters.iter().all(|mode| mode == "2"),
        "{filters:?}"
    );
    let privileges = of_every_thread(server.pid(), "NoNewPrivs");
    assert!(privileges.iter().all(|flag| flag == "1"), "{privileges:?}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    assert_eq!(
        core.unwrap().split_whitespace().nth(4),
        Some("0"),
        "{limits}"
    );
    let status = server.command(&["status"]).output;
    assert!(status.contains(&format!(" sandbox={ALL}")), "{status}");
    assert!(!status.contains("sandbox_lacks=landlock"), "{status}");
    assert!(status.contains(" system_calls_refused=0 "), "{status}");
}

#[test]
fn the_operator_can_do_without() {
    let server = Server::start("[server]\nsandbox = no\n");
    let filters = of_every_thread(server.pid(), "Seccomp");
    assert!(filters.iter().all(|mode| mode == "0"), "{filters:?}");
    assert!(server.command(&["status"]).output.contains(" sandbox=no "));
    let log = server.log_text();
    assert_eq!(log.matches("event=sandbox").count(), 1, "{log}");
    assert!(log.contains("event=sandboxed parts=none"), "{log}");
}

#[test]
fn what_an_old_kernel_lacks_is_told_and_the_service_runs() {
    let landlock = libc::SYS_landlock_create_ruleset;
    let set_filter = (libc::SYS_prctl, Some(libc::PR_SET_SECCOMP as u32));
    let rows = [
        (
            "landlock",
            (landlock, None),
            libc::ENOSYS,
            "this kernel has no Landlock",
        ),
        (
            "landlock",
            (landlock, None),
            libc::EOPNOTSUPP,
            "started without Landlock",
        ),
        ("seccomp", set_filter, libc::EINVAL, "Invalid argument"),
    ];
    for (part, (number, first), error, why) in rows {
        let mut server = Server::start_with("", |command| without(command, number, first, error));
        let told = server.wait_for_event("sandbox_partial");
        assert!(
            told.contains(&format!(" part={part} ")) && told.contains(why),
            "{told}"
        );
        send(server.tcp(), "alice@here.example");
        server.wait_for_mail("alice", 1);
        let status = server.command(&["status"]).output;
        assert!(
            status.contains(&format!(" sandbox_lacks={part} ")),
            "{status}"
        );
        let log = server.log_text();
        assert_eq!(log.matches("event=sandbox_partial").count(), 1, "{log}");
    }
}

fn logs_in(server: &Server, user: &str, password: &str) -> bool {
    let mut client = SmtpClient::connect(server.tls(), PATIENCE).unwrap();
    client
        .start_tls("mx.here.example", ini::certificate())
        .unwrap();
    client.greeting().unwrap();
    client.hello("client.example").unwrap();
    let by = gatepost::delivery::login::LoginBy::Plain;
    client.login(by, user, password).is_ok()
}

const AUTH: &str = "[port:tls]\nname_and_password = yes\n";

#[test]
fn files_that_are_replaced_are_read_again() {
    let mut server = Server::start(AUTH);
    assert!(logs_in(&server, "alice", "wonderland"));
    let mut passwd = gatepost();
    let passwd = passwd
        .args(["passwd", "alice", "--config"])
        .arg(server.config());
    let mut passwd = passwd
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    passwd
        .stdin
        .take()
        .unwrap()
        .write_all(b"looking-glass\n")
        .unwrap();
    assert!(passwd.wait().unwrap().success());
    assert!(logs_in(&server, "alice", "looking-glass"));
    assert!(!logs_in(&server, "alice", "wonderland"));
    assert!(!server.log_text().contains("users_unreadable"));
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(!server.folder.path().join("control").exists());
}

#[test]
fn a_certificate_behind_links_is_renewed() {
    // As certbot keeps them: the link changes, and the file it leads to is elsewhere.
    let folder = support::TempFolder::new("letsencrypt");
    let (live, archive) = (
        folder.path().join("live/x"),
        folder.path().join("archive/x"),
    );
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&archive).unwrap();
    let put = |number: u32, from: &str| {
        for (name, suffix) in [("fullchain", "crt"), ("privkey", "key")] {
            let file = format!("{name}{number}.pem");
            fs::copy(data(&format!("{from}.{suffix}")), archive.join(&file)).unwrap();
            let next = live.join("next");
            symlink(format!("../../archive/x/{file}"), &next).unwrap();
            fs::rename(next, live.join(format!("{name}.pem"))).unwrap();
        }
    };
    put(1, "p256");
    let live = live.display();
    let server = Server::start(&format!(
        "[tls]\ncertificate = {live}/fullchain.pem\nprivate_key = {live}/privkey.pem\n"
    ));
    put(2, "rsa");
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        said.output,
        format!("certificate {live}/fullchain.pem: loaded\n")
    );
}

#[test]
fn a_refresh_says_what_the_running_service_does_not_reach() {
    let elsewhere = support::TempFolder::new("elsewhere");
    let path = elsewhere.path().display();
    let mut passwd = gatepost();
    let other = elsewhere.path().join("gatepost.ini");
    fs::write(&other, "[server]\nhostname = x.example\nuser = root\n").unwrap();
    let passwd = passwd.args(["passwd", "bob", "--config"]).arg(&other);
    let mut passwd = passwd
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    passwd.stdin.take().unwrap().write_all(b"mason\n").unwrap();
    assert!(passwd.wait().unwrap().success());
    let mut server = Server::start(AUTH);
    // Old values stay, all else is applied, and each key is told.
    server.configure(&format!(
        "{AUTH}[auth]\nusers = {path}/users\n[limits]\nmessage_size = 4K\n"
    ));
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines = "[limits] message_size: changed\n[auth] users: takes effect at the next start\n";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&said.output), sorted(lines));
    let why = "the sandbox of the running service does not reach it; restart the service";
    assert_eq!(
        said.complaint,
        format!("gatepost: [auth] users: {path}/users: {why}\n")
    );
    server.wait_for_log("event=sandbox_out_of_reach section=auth key=users");
    assert!(logs_in(&server, "alice", "wonderland") && !logs_in(&server, "bob", "mason"));
    // What there was not cannot stay: the file as a whole is refused, with the reason.
    fs::write(elsewhere.path().join("password"), "secret\n").unwrap();
    let smarthost = "[smarthost]\nhost = 127.0.0.1\nusername = box\n";
    server.configure(&format!(
        "{AUTH}{smarthost}password_file = {path}/password\n"
    ));
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.complaint.contains("[smarthost] password_file: ") && said.complaint.contains(why),
        "{said:?}"
    );
    // A restart reaches all of it.
    server.configure(&format!(
        "{AUTH}[auth]\nusers = {path}/users\n{smarthost}password_file = {path}/password\n"
    ));
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.restart();
    assert!(logs_in(&server, "bob", "mason"));
    // A section that was there stays as a whole: no new host gets the old password.
    let further = support::TempFolder::new("further");
    fs::write(further.path().join("password"), "other\n").unwrap();
    server.configure(&format!(
        "{AUTH}[auth]\nusers = {path}/users\n[smarthost]\nhost = 127.0.0.2\nusername = box\n\
         password_file = {}/password\n",
        further.path().display()
    ));
    let said = server.command(&["reload"]);
    let lines = "[smarthost] host: takes effect at the next start\n\
                 [smarthost] password_file: takes effect at the next start\n";
    assert_eq!(
        (said.code, said.output.as_str()),
        (Some(0), lines),
        "{said:?}"
    );
}

#[test]
fn a_file_in_a_folder_that_many_share_needs_a_restart_once_it_is_replaced() {
    // Right in /tmp, as /etc/aliases is right in /etc.
    let aliases = format!("/tmp/gatepost-aliases-{}", std::process::id());
    fs::write(&aliases, "sales: alice\n").unwrap();
    let mut server = Server::start(&format!("[aliases]\nfile = {aliases}\n"));
    let warning = server.wait_for_log("(W-16)");
    assert!(
        warning.contains("[aliases] file") && warning.contains("/tmp,"),
        "{warning}"
    );
    // One that is written in its place is read, once it stands still.
    fs::write(&aliases, "sales: alice\nhelp: bob\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1200));
    send(server.tcp(), "help@here.example");
    // One that takes its place is not, and the old ones stay.
    let next = format!("{aliases}.new");
    fs::write(&next, "sales: bob\n").unwrap();
    fs::rename(&next, &aliases).unwrap();
    send(server.tcp(), "help@here.example");
    let told = server.wait_for_event("aliases_unreadable");
    let said = server.command(&["reload"]);
    fs::remove_file(&aliases).unwrap();
    assert!(told.contains("restart the service"), "{told}");
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.complaint
            .contains("the sandbox of the running service"),
        "{said:?}"
    );
}

#[test]
fn check_names_files_whose_folder_is_not_opened() {
    let users = format!("/tmp/gatepost-users-{}", std::process::id());
    fs::copy(data("users"), &users).unwrap();
    let ini = |sandbox| format!("[server]\nsandbox = {sandbox}\n[auth]\nusers = {users}\n");
    let (with, without) = (check(ini("yes")), check(ini("no")));
    fs::remove_file(&users).unwrap();
    let warning = format!(
        "f.ini:4: warning: [auth] users: {users} is in /tmp, which the sandbox does not open as a \
         whole: a file that takes its place is read only after a restart; give it a folder of its \
         own (W-16)"
    );
    assert_eq!((with.code, with.problems), (Some(0), vec![warning]));
    assert_eq!(
        (without.code, without.problems),
        (Some(0), Vec::<String>::new())
    );
}

#[test]
fn mailboxes_behind_links_are_reached() {
    let elsewhere = support::TempFolder::new("mailboxes");
    let (whole, maildir) = (
        elsewhere.path().join("alice"),
        elsewhere.path().join("bobs"),
    );
    fs::create_dir_all(&whole).unwrap();
    fs::create_dir_all(&maildir).unwrap();
    let mut server = Server::start("");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let root = server.folder.path().join("mail");
    fs::create_dir_all(root.join("bob")).unwrap();
    symlink(&whole, root.join("alice")).unwrap();
    symlink(&maildir, root.join("bob/Maildir")).unwrap();
    server.restart();
    for user in ["alice", "bob"] {
        send(server.tcp(), &format!("{user}@here.example"));
        server.wait_for_mail(user, 1);
    }
    assert!(maildir.join("new").is_dir() && whole.join("Maildir/new").is_dir());
}

/// A debugger makes the threads of the binary itself do what a session would that was taken over.
#[test]
fn live_threads_of_the_binary_cannot_be_made_to_misbehave() {
    if !is_root() || !has_program("gdb") {
        return;
    }
    let mut server = Server::start("");
    let deeds = [
        "(int)open(\"/etc/shadow\", 0)",
        "(int)open(\"/tmp/gatepost-misdeed-2\", 0101, 0600)",
        "(int)execl(\"/bin/true\", \"true\", (char *)0)",
        "(int)socket(17, 3, 0)",
        "(int)syscall(101, 16, 1, 0, 0)",
        "(int)open(\"/no/such/file\", 0)",
    ];
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-p", &server.pid().to_string()]);
    for setting in [
        "set debuginfod enabled off",
        "set scheduler-locking on",
        "handle SIGSYS nostop noprint pass",
    ] {
        gdb.args(["-ex", setting]);
    }
    for deed in deeds {
        gdb.args([
            "-ex",
            &format!("thread apply all -q printf \"DEED %d\\n\", {deed}"),
        ]);
    }
    let output = gdb.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let results: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("DEED "))
        .collect();
    let threads = of_every_thread(server.pid(), "Seccomp").len();
    assert_eq!(results.len(), threads * deeds.len(), "{output:?}");
    assert!(results.iter().all(|result| *result == "-1"), "{text}");
    assert!(!Path::new("/tmp/gatepost-misdeed-2").exists());
    send(server.tcp(), "alice@here.example");
    server.wait_for_mail("alice", 1);
    let status = server.command(&["status"]).output;
    // Of the six, three are refused by the filter.
    let refused = format!(" system_calls_refused={} ", threads * 3);
    assert!(status.contains(&refused), "{status}");
    server.wait_for_log("event=sandbox_refused call=execve");
}
