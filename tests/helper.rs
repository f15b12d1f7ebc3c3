//! The helper process of the real binary: what it holds, whom it outlives, and who outlives it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use support::fakedns::FakeDns;
use support::{Client, PATIENCE, Server, TempFolder, source};

const ALIASES: &str = "[aliases]\nfile = aliases\n";

/// A command of this name that runs a script; `{out}` in it is the folder.
fn command(folder: &TempFolder, name: &str, script: &str) -> String {
    let path = folder.path().join(format!("{name}.sh"));
    let out = folder.path().display().to_string();
    fs::write(&path, script.replace("{out}", &out)).unwrap();
    let path = path.display();
    format!("[command:{name}]\nprogram = /bin/sh\narguments = {path}\n")
}

fn start(ini: &str) -> Server {
    Server::start_beside(
        &format!("{ALIASES}{ini}"),
        &[("aliases", "scanner: |scan\n")],
    )
}

fn send(server: &Server, to: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message(to, "Subject: x\r\n\r\nx\r\n");
    client.command("QUIT", "221");
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Processes that this one has started and that have not ended.
fn children(process: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(process)).collect()
}

/// The process that has started this one; none where it has ended.
fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    match words.next()? {
        "Z" | "X" => None,
        _ => words.next()?.parse().ok(),
    }
}

fn lives(process: u32) -> bool {
    parent(process).is_some()
}

fn helper(server: &Server) -> u32 {
    let children = children(server.pid());
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

fn kill(signal: &str, process: u32) {
    let pid = process.to_string();
    let killed = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(killed.success(), "{signal} {pid}");
}

/// A line of `/proc/PID/status`.
fn status(process: u32, name: &str) -> String {
    let status = read(format!("/proc/{process}/status").into());
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(&format!("{name}:\t")));
    line.unwrap_or_default().to_owned()
}

/// Says who runs it, begins, and goes on until it may end.
const WAITS: &str = "cat >/dev/null; sleep 600 & echo $! >{out}/child\n\
                     echo $PPID >{out}/parent; echo $$ >{out}/pid.new; mv {out}/pid.new {out}/pid\n\
                     while [ ! -e {out}/go ]; do sleep 0.02; done; kill %1; echo x >>{out}/done\n";

/// The program of [`WAITS`] that runs now.
fn running(folder: &TempFolder) -> u32 {
    let path = folder.path().join("pid");
    wait_for("a program", || path.exists());
    read(path).trim().parse().unwrap()
}

#[test]
fn the_helper_holds_nothing_of_the_service_and_ends_with_it() {
    let folder = TempFolder::new("helper");
    let mut server = start(&command(&folder, "scan", WAITS));
    let helper = helper(&server);
    assert_eq!(status(helper, "Name"), "gatepost-helper");
    assert_eq!(status(helper, "NoNewPrivs"), "1");
    // SIGHUP, SIGINT and SIGTERM, and SIGPIPE, beside those that whoever started us ignores.
    let ignored = |process| u64::from_str_radix(&status(process, "SigIgn"), 16).unwrap();
    let wanted = ignored(std::process::id()) | 0b101_0000_0000_0011;
    assert_eq!(ignored(helper) & 0x7fff_ffff, wanted & 0x7fff_ffff);
    // Nobody but root may look.
    match fs::read_dir(format!("/proc/{helper}/fd")) {
        Ok(entries) => {
            let links = entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap());
            let mut links: Vec<String> = links.map(|link| link.display().to_string()).collect();
            links.sort();
            let kinds: Vec<&str> = links.iter().map(|link| &link[..5]).collect();
            // Input and output, the service as a process, the error output, and its socket.
            let wanted = ["/dev/", "/dev/", "anon_", "pipe:", "socke"];
            assert_eq!(kinds, wanted, "{links:?}");
        }
        Err(error) => eprintln!("SKIPPED: the descriptors of another account: {error}"),
    }
    send(&server, "scanner@here.example");
    let program = running(&folder);
    assert_eq!(
        read(folder.path().join("parent")).trim(),
        helper.to_string()
    );
    assert_eq!(children(server.pid()), [helper]);
    fs::write(folder.path().join("go"), "").unwrap();
    server.wait_for_event("command_delivered");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    wait_for("the end of both", || !lives(helper) && !lives(program));
}

#[test]
fn without_a_sandbox_there_is_no_helper_and_programs_run_all_the_same() {
    let folder = TempFolder::new("helper");
    let scan = command(&folder, "scan", WAITS);
    let mut server = start(&format!("[server]\nsandbox = no\n{scan}"));
    assert_eq!(children(server.pid()), []);
    send(&server, "scanner@here.example");
    let program = running(&folder);
    assert_eq!(parent(program), Some(server.pid()));
    fs::write(folder.path().join("go"), "").unwrap();
    server.wait_for_event("command_delivered");
}

#[test]
fn kill_9_of_the_service_ends_the_helper_and_what_it_runs() {
    let folder = TempFolder::new("helper");
    let mut server = start(&command(&folder, "scan", WAITS));
    let helper = helper(&server);
    send(&server, "scanner@here.example");
    let program = running(&folder);
    let child: u32 = read(folder.path().join("child")).trim().parse().unwrap();
    server.kill();
    // Its ports are free at once, whatever the helper is at.
    fs::remove_file(folder.path().join("pid")).unwrap();
    server.restart();
    for (what, process) in [("helper", helper), ("program", program), ("child", child)] {
        wait_for(what, || !lives(process));
    }
    assert_ne!(running(&folder), program);
    fs::write(folder.path().join("go"), "").unwrap();
    server.wait_for_event("command_delivered");
    assert_eq!(read(folder.path().join("done")), "x\n");
}

#[test]
fn kill_9_of_the_helper_ends_the_service_to_be_started_again() {
    let folder = TempFolder::new("helper");
    let mut server = start(&command(&folder, "scan", WAITS));
    let helper = helper(&server);
    send(&server, "scanner@here.example");
    let program = running(&folder);
    kill("-KILL", helper);
    let line = server.wait_for_event("helper_lost");
    assert!(
        line.contains("error") && line.contains("killed by signal 9"),
        "{line}"
    );
    assert_eq!(server.wait(), Some(70));
    server.wait_for_log("command=scan end=lost ");
    server.wait_for_log("gatepost: the helper process has ended (killed by signal 9)");
    wait_for("the end of the program", || !lives(program));
    fs::write(folder.path().join("go"), "").unwrap();
    server.restart();
    server.wait_for_event("command_delivered");
    assert_eq!(read(folder.path().join("done")), "x\n");
}

#[test]
fn what_ends_all_processes_gently_lets_a_program_finish() {
    let folder = TempFolder::new("helper");
    let mut server = start(&command(&folder, "scan", WAITS));
    let helper = helper(&server);
    send(&server, "scanner@here.example");
    running(&folder);
    // As a terminal and service managers do.
    for signal in ["-HUP", "-INT", "-TERM"] {
        kill(signal, helper);
    }
    server.terminate();
    server.wait_for_event("stopping");
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(server.wait(), Some(0));
    server.wait_for_event("stopped");
    let log = server.log_text();
    assert!(
        log.contains("event=command_delivered") && !log.contains("helper_lost"),
        "{log}"
    );
    wait_for("the end of the helper", || !lives(helper));
}

#[test]
fn programs_of_many_commands_run_at_once() {
    const COMMANDS: usize = 12;
    let folder = TempFolder::new("helper");
    // None ends before all have begun: two of each.
    let script = format!(
        "cat >/dev/null; touch {{out}}/$GATEPOST_COMMAND-$$\n\
         until set -- {{out}}/*-*; [ $# -ge {} ]; do sleep 0.02; done\n",
        2 * COMMANDS
    );
    let (mut ini, mut aliases) = (ALIASES.to_owned(), String::new());
    for number in 0..COMMANDS {
        ini.push_str(&command(&folder, &format!("c{number}"), &script));
        aliases.push_str(&format!("p{number}: |c{number}\n"));
    }
    let mut server = Server::start_beside(&ini, &[("aliases", &aliases)]);
    for number in 0..COMMANDS {
        let to = format!("p{number}@here.example");
        send(&server, &to);
        send(&server, &to);
    }
    let delivered = |log: String| log.matches("event=command_delivered").count();
    wait_for("all programs", || {
        delivered(server.log_text()) == 2 * COMMANDS
    });
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn what_runs_is_what_the_file_said_when_it_was_last_taken_up() {
    let folder = TempFolder::new("helper");
    let mut server = start(&command(
        &folder,
        "scan",
        "cat >/dev/null; echo old >>{out}/said\n",
    ));
    let said = || read(folder.path().join("said"));
    // Nobody has said yet that it is meant so.
    let other = command(&folder, "other", "cat >/dev/null; echo new >>{out}/said\n");
    let next = format!(
        "{ALIASES}{}",
        other.replace("[command:other]", "[command:scan]")
    );
    server.configure(&next);
    send(&server, "scanner@here.example");
    wait_for("the first", || said() == "old\n");
    assert_eq!(server.command(&["reload"]).code, Some(0));
    send(&server, "scanner@here.example");
    wait_for("the second", || said() == "old\nnew\n");
    // What is broken is not taken up, and nothing is lost.
    server.configure(&format!("{next}timeout = soon\n"));
    assert_ne!(server.command(&["reload"]).code, Some(0));
    send(&server, "scanner@here.example");
    wait_for("the third", || said() == "old\nnew\nnew\n");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

/// The first line to a client of this address, whose name is looked up.
fn first_line(server: &Server, from: [u8; 4]) -> String {
    let stream = source::connect_from(from.into(), server.tcp());
    Client::over(stream).reply()
}

#[test]
fn names_are_looked_up_by_the_helper_and_one_that_hangs_holds_nobody_up() {
    let Some(dns) = FakeDns::new(&[
        "PTR 127.0.0.77 mx.there.example",
        "PTR 127.0.0.78 mx.there.example",
        "PTR 127.0.0.79 mx.there.example",
        "A mx.there.example 127.0.0.77 127.0.0.78 127.0.0.79",
    ]) else {
        return;
    };
    let ini = "[connections]\nallow = there.example\n";
    let mut server = Server::start_with(ini, |command| dns.preload(command));
    let helper = helper(&server);
    let first = first_line(&server, [127, 0, 0, 77]);
    assert!(first.starts_with("220 "), "{first}");
    kill("-STOP", helper);
    wait_for("a helper that stands still", || {
        status(helper, "State").starts_with('T')
    });
    let first = first_line(&server, [127, 0, 0, 78]);
    assert!(first.starts_with("421 "), "{first}");
    kill("-CONT", helper);
    let first = first_line(&server, [127, 0, 0, 79]);
    assert!(first.starts_with("220 "), "{first}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}
