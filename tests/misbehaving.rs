//! A session of the real service that was taken over: the service in this process, walled off as `serve` does
//! it, and a thread of it that tries what an intruder would.
//!
//! Without libtest, whose threads would be there before the walls.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gatepost::server::{Prepared, probe};

use support::{Client, PATIENCE, data, gatepost, ini, own_address};

const CONFIG: &str = "GATEPOST_MISBEHAVING";
/// A file that is none of the service's.
const PRECIOUS: &str = "GATEPOST_PRECIOUS";

fn main() {
    match env::var_os(CONFIG) {
        Some(config) => inner(Path::new(&config)),
        None => {
            the_real_service_holds_a_session_that_misbehaves();
            println!("test the_real_service_holds_a_session_that_misbehaves ... ok");
        }
    }
}

fn the_real_service_holds_a_session_that_misbehaves() {
    if !is_root() {
        return;
    }
    let folder = support::TempFolder::new("walled");
    let address = own_address();
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    let config = folder.path().join("gatepost.ini");
    fs::write(&config, ini::base_ini(address, folder.path(), "")).unwrap();
    let precious = format!("/tmp/gatepost-precious-{}", std::process::id());
    fs::write(&precious, "").unwrap();
    let mut inner = Inner::start(&config, &precious);
    let smtp = std::net::SocketAddr::new(address, support::TCP_PORT);
    send(smtp, "alice@here.example");
    inner.go_on();
    let done = inner.read_until("OVER");
    fs::remove_file(&precious).unwrap();
    let done: BTreeMap<&str, i32> = done
        .iter()
        .filter_map(|line| line.split_once("DEED "))
        .map(|(_, rest)| rest.split_once(' ').unwrap())
        .map(|(error, deed)| (deed, error.parse().unwrap()))
        .collect();
    assert_eq!(done.len(), 28, "{done:?}");
    for (deed, error) in &done {
        let want = match *deed {
            deed if deed.contains('/') => libc::EACCES,
            "clone3" | "a call to come" | "mq_open" => libc::ENOSYS,
            "own thread" => 0,
            _ => libc::EPERM,
        };
        assert_eq!(*error, want, "{deed}");
    }
    assert!(!Path::new("/tmp/gatepost-misdeed").exists());
    // The session's own harm is done; everybody else goes on, and the operator is told.
    send(smtp, "alice@here.example");
    let mail = folder.path().join("mail/alice/Maildir/new");
    wait_until(|| fs::read_dir(&mail).is_ok_and(|found| found.count() == 2));
    let mut status = gatepost();
    let status = status.args(["status", "--config"]).arg(&config).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    assert!(status.contains(" system_calls_refused=17 "), "{status}");
    inner.go_on();
    assert!(inner.child.wait().unwrap().success());
}

/// What a session does that was taken over. Each is tried in a thread of the real service, as root, so that
/// nothing but the walls stands in its way; gives the error, 0 where it was let.
fn misdeeds() -> Vec<(&'static str, i32)> {
    fn error(result: libc::c_long) -> i32 {
        match result {
            -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
            _ => 0,
        }
    }
    let own = std::process::id();
    let precious = std::ffi::CString::new(env::var(PRECIOUS).unwrap()).unwrap();
    let zero = 0_usize;
    // SAFETY: plain system calls with C strings and numbers. Where one were let it would do no harm, and the
    // process is thrown away.
    unsafe {
        let open =
            |path: &std::ffi::CStr, flags| error(libc::open(path.as_ptr(), flags, 0o600).into());
        let create = libc::O_WRONLY | libc::O_CREAT;
        let call = |number, first: usize, second: usize| {
            error(libc::syscall(number, first, second, zero, zero, zero, zero))
        };
        let path = c"/bin/true".as_ptr() as usize;
        let arguments = [c"true".as_ptr(), std::ptr::null()];
        vec![
            ("read /etc/shadow", open(c"/etc/shadow", libc::O_RDONLY)),
            ("read /etc/passwd", open(c"/etc/passwd", libc::O_RDONLY)),
            (
                "list /root",
                open(c"/root", libc::O_RDONLY | libc::O_DIRECTORY),
            ),
            (
                "read /proc/1/environ",
                open(c"/proc/1/environ", libc::O_RDONLY),
            ),
            ("write /tmp", open(c"/tmp/gatepost-misdeed", create)),
            ("write /var/tmp", open(c"/var/tmp/gatepost-misdeed", create)),
            ("write /dev/null", open(c"/dev/null", libc::O_WRONLY)),
            (
                "remove /tmp/…",
                error(libc::unlink(precious.as_ptr()).into()),
            ),
            (
                "execve",
                call(libc::SYS_execve, path, arguments.as_ptr() as usize),
            ),
            ("fork", call(libc::SYS_clone, libc::SIGCHLD as usize, 0)),
            (
                "ptrace",
                call(libc::SYS_ptrace, libc::PTRACE_TRACEME as usize, 0),
            ),
            ("kill", call(libc::SYS_kill, libc::getppid() as usize, 0)),
            ("tgkill", call(libc::SYS_tgkill, 1, 1)),
            ("setuid", call(libc::SYS_setuid, 0, 0)),
            (
                "unshare",
                call(libc::SYS_unshare, libc::CLONE_NEWNS as usize, 0),
            ),
            ("mount", call(libc::SYS_mount, path, path)),
            ("bpf", call(libc::SYS_bpf, 0, 0)),
            ("io_uring", call(libc::SYS_io_uring_setup, 1, 0)),
            ("memfd", call(libc::SYS_memfd_create, path, 0)),
            ("keyctl", call(libc::SYS_keyctl, 0, 0)),
            ("mq_open", call(libc::SYS_mq_open, path, 0)),
            (
                "packet socket",
                error(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).into()),
            ),
            (
                "raw socket",
                error(libc::socket(libc::AF_INET, libc::SOCK_RAW, 1).into()),
            ),
            (
                "dumpable",
                error(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0).into()),
            ),
            ("executable memory", {
                let wanted = libc::PROT_READ | libc::PROT_EXEC;
                let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let made = libc::mmap(std::ptr::null_mut(), 4096, wanted, kind, -1, 0);
                error(made as libc::c_long)
            }),
            // What a newer C library may try gets the answer of an older kernel.
            ("clone3", call(libc::SYS_clone3, 0, 0)),
            ("a call to come", call(100_000, 0, 0)),
            // And what it does all day is let.
            (
                "own thread",
                call(libc::SYS_tgkill, own as usize, libc::gettid() as usize),
            ),
        ]
    }
}

/// The real service in this process, and beside its threads one that was taken over.
fn inner(config: &Path) {
    let loaded = probe::load(config).unwrap();
    gatepost::server::logger::install(&loaded.settings.log);
    let prepared = Prepared::new(loaded.settings, Vec::new()).unwrap();
    let server = prepared.sandboxed().unwrap().start().unwrap();
    let stop = server.remote();
    let running = thread::spawn(move || server.run());
    println!("READY");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let done = thread::spawn(misdeeds).join().unwrap();
    for (deed, error) in done {
        println!("DEED {error} {deed}");
    }
    println!("OVER");
    std::io::stdin().read_line(&mut line).unwrap();
    stop.stop();
    running.join().unwrap().unwrap();
}

/// The service of [`inner`], from outside.
struct Inner {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Inner {
    fn start(config: &Path, precious: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(CONFIG, config)
            .env(PRECIOUS, precious)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut inner = Self { child, output };
        inner.read_until("READY");
        inner
    }

    fn go_on(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
    }

    fn read_until(&mut self, word: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = self.output.read_line(&mut line).unwrap();
            assert!(count > 0, "it ended before {word}: {lines:?}");
            if line.trim_end().ends_with(word) {
                return lines;
            }
            lines.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(address: std::net::SocketAddr, to: &str) {
    let mut client = Client::greeted(address);
    client.command("EHLO client.example", "250");
    client.message(to, "Subject: x\r\n\r\ny");
    client.command("QUIT", "221");
}

fn wait_until(is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_root() -> bool {
    // SAFETY: a plain system call.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("SKIPPED: only root shows that the walls alone stand in the way");
    }
    root
}
