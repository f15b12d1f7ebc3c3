//! A session of the real service that was taken over: the service in this process, walled off as `serve` does
//! it, and a thread of it that tries what an intruder would.
//!
//! Without libtest, whose threads would be there before the walls.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gatepost::probe;
use gatepost::service::Prepared;
use gatepost::sys::only_thread::OnlyThread;

use support::old_kernel::without;
use support::{Client, PATIENCE, data, gatepost, ini, is_root, own_address};

const CONFIG: &str = "GATEPOST_MISBEHAVING";
/// What the process does beside its service: one of the two below.
const ROLE: &str = "GATEPOST_ROLE";
const SESSION: &str = "session";
const MASTER_OF_THE_HELPER: &str = "helper";
/// A file that is none of the service's.
const PRECIOUS: &str = "GATEPOST_PRECIOUS";

fn main() {
    match env::var_os(CONFIG) {
        Some(config) => inner(Path::new(&config)),
        None => {
            there_is_one_proof_of_being_alone_and_none_beside_threads();
            the_real_service_holds_a_session_that_misbehaves();
            println!("test the_real_service_holds_a_session_that_misbehaves ... ok");
            for is_old_kernel in [false, true] {
                the_helper_ends_with_a_service_that_wants_it_to_stay(is_old_kernel);
                println!("test the_helper_ends_with_a_service_that_wants_it_to_stay ... ok");
            }
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
    let _listener = UnixListener::bind_addr(&meeting_point(std::process::id())).unwrap();
    let mut inner = Inner::start(&config, SESSION, |command| {
        command.env(PRECIOUS, &precious);
    });
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
    let odd = |(deed, error): &(&&str, &i32)| **error != wanted(deed);
    let odd: Vec<_> = done.iter().filter(odd).collect();
    assert!(odd.is_empty(), "{odd:?}");
    let by_filter = |(deed, error): &(&&str, &i32)| {
        let silent = ["clone3", "a call to come", "openat2", "abstract socket"];
        let told = !deed.contains('/') && !silent.contains(deed);
        told && **error != 0
    };
    let refused = done.iter().filter(by_filter).count();
    assert!(refused > 40, "{done:?}");
    assert!(!Path::new("/tmp/gatepost-misdeed").exists());
    let modes = tree(&folder.path().join("mail"));
    let odd = |(_, mode): &&(PathBuf, u32)| mode & !0o700 != 0;
    assert_eq!(modes.iter().find(odd), None, "for others, or set-user-ID");
    // Of root's powers those that files need are left, and ports below 1024.
    for powers in ["CapEff", "CapPrm"] {
        let status = format!("/proc/{}/status", inner.child.id());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(powers));
        let powers = u64::from_str_radix(line.unwrap().trim_start_matches(":").trim(), 16);
        assert_eq!(powers.unwrap() & !0b100_0000_1110, 0, "{status}");
    }
    // The session's own harm is done; everybody else goes on, and the operator is told.
    send(smtp, "alice@here.example");
    let mail = folder.path().join("mail/alice/Maildir/new");
    wait_until(|| fs::read_dir(&mail).is_ok_and(|found| found.count() == 2));
    let mut status = gatepost();
    let status = status.args(["status", "--config"]).arg(&config).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    let told = format!(" system_calls_refused={refused} ");
    assert!(status.contains(&told), "{told}: {status}");
    inner.go_on();
    assert!(inner.child.wait().unwrap().success());
}

/// The error that a deed meets: Landlock says EACCES, the filter EPERM.
fn wanted(deed: &str) -> i32 {
    match deed {
        deed if deed.contains('/') => libc::EACCES,
        "clone3" | "a call to come" | "mq_open" | "openat2" => libc::ENOSYS,
        deed if deed.starts_with("own ") => 0,
        _ => libc::EPERM,
    }
}

/// Everything below a folder, with its mode.
fn tree(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let facts = fs::symlink_metadata(&path).unwrap();
        if facts.is_dir() {
            all.extend(tree(&path));
        }
        all.push((path, facts.mode() & 0o7777));
    }
    all
}

/// The error of a system call; 0 where it was let.
fn error(result: libc::c_long) -> i32 {
    match result {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
        _ => 0,
    }
}

/// What would leave files behind that give other accounts of this machine the service's rights, and signals
/// that the kernel would send for us. All of it is tried in the mail folder, which is the service's own.
fn misdeeds_with_files(mail: &Path) -> Vec<(&'static str, i32)> {
    let mail = CString::new(mail.join("deeds").as_os_str().as_bytes()).unwrap();
    let file = CString::new([mail.as_bytes(), b"/file"].concat()).unwrap();
    let made = CString::new([mail.as_bytes(), b"/made"].concat()).unwrap();
    let (path, here) = (file.as_ptr(), libc::AT_FDCWD as usize);
    // SAFETY: plain system calls with C strings and numbers, on files that are made for it.
    unsafe {
        let call = |number, first: usize, second: usize, third: usize, fourth: usize| {
            error(libc::syscall(number, first, second, third, fourth, 0, 0))
        };
        let own_folder = error(libc::mkdir(mail.as_ptr(), 0o700).into());
        let create = libc::O_RDWR | libc::O_CREAT;
        let open = libc::open(path, create, 0o600);
        let descriptor = open as usize;
        let (new, own) = (made.as_ptr() as usize, file.as_ptr() as usize);
        let parent = libc::getppid() as usize;
        let control = |command: libc::c_int, argument: usize| {
            call(libc::SYS_fcntl, descriptor, command as usize, argument, 0)
        };
        let nothing = [0_u64; 4];
        let attribute = c"user.x".as_ptr() as usize;
        let value = nothing.as_ptr() as usize;
        let temporary = (libc::O_TMPFILE | libc::O_RDWR) as usize;
        let make = (create | libc::O_CLOEXEC) as usize;
        vec![
            ("own folder", own_folder),
            ("own file", error(open.into())),
            ("own flags", control(libc::F_GETFL, 0)),
            (
                "own close-on-exec",
                control(libc::F_SETFD, libc::FD_CLOEXEC as usize),
            ),
            ("chmod", call(libc::SYS_chmod, own, 0o4755, 0, 0)),
            ("fchmod", call(libc::SYS_fchmod, descriptor, 0o4755, 0, 0)),
            ("fchmodat", call(libc::SYS_fchmodat, here, own, 0o644, 0)),
            ("fchmodat2", call(FCHMODAT2, here, own, 0o644, 0)),
            ("chown", call(libc::SYS_chown, own, 65534, 65534, 0)),
            ("lchown", call(libc::SYS_lchown, own, 65534, 65534, 0)),
            (
                "fchown",
                call(libc::SYS_fchown, descriptor, 65534, 65534, 0),
            ),
            (
                "fchownat",
                call(libc::SYS_fchownat, here, own, 65534, 65534),
            ),
            (
                "setxattr",
                call(libc::SYS_setxattr, own, attribute, value, 1),
            ),
            (
                "fsetxattr",
                call(libc::SYS_fsetxattr, descriptor, attribute, value, 1),
            ),
            (
                "times of others",
                call(
                    libc::SYS_utimensat,
                    here,
                    c"/etc".as_ptr() as usize,
                    value,
                    0,
                ),
            ),
            ("umask", call(libc::SYS_umask, 0, 0, 0, 0)),
            (
                "open set-user-ID",
                call(libc::SYS_open, new, make, 0o4777, 0),
            ),
            (
                "openat set-user-ID",
                call(libc::SYS_openat, here, new, make, 0o4700),
            ),
            (
                "openat set-group-ID",
                call(libc::SYS_openat, here, new, make, 0o2700),
            ),
            (
                "openat without a name",
                call(
                    libc::SYS_openat,
                    here,
                    mail.as_ptr() as usize,
                    temporary,
                    0o4700,
                ),
            ),
            ("openat2", call(libc::SYS_openat2, here, new, value, 24)),
            ("mkdir sticky", call(libc::SYS_mkdir, new, 0o1777, 0, 0)),
            (
                "mkdirat set-group-ID",
                call(libc::SYS_mkdirat, here, new, 0o2777, 0),
            ),
            (
                "truncate for readers",
                error(libc::open(path, libc::O_RDONLY | libc::O_TRUNC).into()),
            ),
            ("signals for others", control(libc::F_SETOWN, parent)),
            ("signals for others, by kind", control(F_SETOWN_EX, value)),
            ("another signal", control(F_SETSIG, libc::SIGKILL as usize)),
            ("a lease", control(libc::F_SETLEASE, libc::F_RDLCK as usize)),
            ("news of a folder", control(libc::F_NOTIFY, 1)),
        ]
    }
}

/// Sockets that are neither TCP nor UDP.
fn misdeeds_with_sockets() -> Vec<(&'static str, i32)> {
    const MPTCP: libc::c_int = 262;
    const L2TP: libc::c_int = 115;
    let kinds = [
        ("MPTCP", libc::SOCK_STREAM, MPTCP),
        ("SCTP", libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        ("UDP-Lite", libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
        ("L2TP", libc::SOCK_DGRAM, L2TP),
        ("ICMP", libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        ("raw socket", libc::SOCK_RAW, libc::IPPROTO_ICMP),
        ("own TCP", libc::SOCK_STREAM, libc::IPPROTO_TCP),
        ("own UDP", libc::SOCK_DGRAM, 0),
    ];
    // SAFETY: plain system calls; what they open is left to the process, which is thrown away.
    let open = |kind, protocol| unsafe { libc::socket(libc::AF_INET, kind, protocol) };
    let deed = |(name, kind, protocol)| (name, error(open(kind, protocol).into()));
    let mut deeds = kinds.map(deed).to_vec();
    let met = UnixStream::connect_addr(&meeting_point(std::os::unix::process::parent_id()));
    let met = met.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    deeds.push(("abstract socket", met));
    deeds
}

/// A socket without a file that another process listens on.
fn meeting_point(process: u32) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("gatepost-misbehaving-{process}")).unwrap()
}

/// Calls and commands that the libc crate lacks on some processors.
const FCHMODAT2: libc::c_long = 452;
const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;

/// What a session does that was taken over. Each is tried in a thread of the real service, as root, so that
/// nothing but the walls stands in its way; gives the error, 0 where it was let.
fn misdeeds() -> Vec<(&'static str, i32)> {
    let own = std::process::id();
    let precious = CString::new(env::var(PRECIOUS).unwrap()).unwrap();
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
        let misdeed = c"/tmp/gatepost-misdeed".as_ptr();
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
                "move /tmp/…",
                error(libc::rename(precious.as_ptr(), misdeed).into()),
            ),
            ("link", {
                let made = libc::syscall(libc::SYS_symlinkat, path, libc::AT_FDCWD, misdeed);
                error(made)
            }),
            ("FIFO", {
                let mode = libc::S_IFIFO | 0o600;
                let made = libc::syscall(libc::SYS_mknodat, libc::AT_FDCWD, misdeed, mode, zero);
                error(made)
            }),
            ("load a module", call(libc::SYS_init_module, 0, 0)),
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

/// A service that was taken over gives what the helper waits for, its own end of their channel, to the helper
/// itself and to a program; then it is killed.
fn the_helper_ends_with_a_service_that_wants_it_to_stay(is_old_kernel: bool) {
    let folder = support::TempFolder::new("helper");
    let path = folder.path().display();
    // Its group holds another process, which its end alone would not end. Where it were given the channel, one
    // would leave the group with it.
    let script = format!(
        "[ ! -S /dev/stdin ] || {{ exec 3<&0; setsid sleep 60 & }}\n\
         sleep 600 & echo $! >{path}/$$.new; mv {path}/$$.new {path}/$$.pid\nexec sleep 600\n"
    );
    fs::write(folder.path().join("script"), script).unwrap();
    let hold = format!("[command:hold]\nprogram = /bin/sh\narguments = {path}/script\n");
    let config = folder.path().join("gatepost.ini");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    let ini = ini::base_ini(own_address(), folder.path(), &hold);
    fs::write(&config, ini).unwrap();
    let mut inner = Inner::start(&config, MASTER_OF_THE_HELPER, |command| {
        if is_old_kernel {
            without(command, libc::SYS_pidfd_open, None, libc::ENOSYS);
        }
    });
    inner.go_on();
    let said = inner.read_until("OVER");
    let mut processes = vec![helper_of(inner.child.id())];
    let programs = |suffix: &str| -> Vec<PathBuf> {
        let names = fs::read_dir(folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().path());
        names
            .filter(|path| path.extension().is_some_and(|found| found == suffix))
            .collect()
    };
    wait_until(|| !programs("pid").is_empty());
    for program in programs("pid") {
        let child = fs::read_to_string(&program).unwrap();
        processes.push(child.trim().parse().unwrap());
        let stem = program.file_stem().unwrap().to_str().unwrap();
        processes.push(stem.parse().unwrap());
    }
    inner.child.kill().unwrap();
    wait_until(|| processes.iter().all(|process| !lives(*process)));
    assert_eq!(programs("pid").len(), 1, "{said:?}");
    let refused = said.iter().filter(|line| line.contains("REFUSED"));
    assert_eq!(refused.count(), 3, "{said:?}");
}

/// The process that this one has forked.
fn helper_of(service: u32) -> u32 {
    let path = format!("/proc/{service}/task/{service}/children");
    let children = fs::read_to_string(path).unwrap();
    children.trim().parse().unwrap()
}

fn lives(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Requests of a service that was taken over; says which ones were refused.
fn misuse_the_helper() {
    // Run `hold`, without variables; ask for an account's name.
    let run = b"\x01\0\0\0\x04hold\0\0\0\0";
    let ask = b"\x02\x04\0\0\0\0";
    let channel = channel();
    let pipe = |_| {
        let mut ends = [-1; 2];
        // SAFETY: the array has room for two.
        let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
        assert_eq!(made, 0);
        ends
    };
    let [[input, to_input], [from_output, output]] = [0, 1].map(pipe);
    // A program that would hold our end, a program with its pipes the wrong way round, and an answer to our end.
    for (what, request, descriptors) in [
        ("own end as pipes", &run[..], [-1, channel, channel]),
        ("pipes turned round", run, [-1, to_input, from_output]),
        ("own end as answer", ask, [channel, -1, -1]),
    ] {
        let line = send_request(channel, request, descriptors);
        // It says why, or closes its end unsaid: 0 is a program that runs, 6 a name.
        let mut answer = [9; 64];
        // SAFETY: the buffer is as large as said.
        unsafe { libc::recv(line, answer.as_mut_ptr().cast(), answer.len(), 0) };
        println!(
            "{} {what}",
            if matches!(answer[0], 0 | 6) {
                "LET"
            } else {
                "REFUSED"
            }
        );
    }
    // One that runs as it should.
    send_request(channel, run, [-1, input, output]);
}

/// The service's end of its channel to the helper: no other of its sockets is of this type.
fn channel() -> libc::c_int {
    let is_it = |descriptor: &libc::c_int| {
        let mut kind: libc::c_int = 0;
        let mut size = 4;
        // SAFETY: the pointers are to `kind` and its size.
        let got = unsafe {
            let (level, name) = (libc::SOL_SOCKET, libc::SO_TYPE);
            libc::getsockopt(
                *descriptor,
                level,
                name,
                (&raw mut kind).cast(),
                &raw mut size,
            )
        };
        got == 0 && kind == libc::SOCK_SEQPACKET
    };
    (3..100).find(is_it).unwrap()
}

/// Sends a request with descriptors; -1 as the first is a fresh socket for the answer, of which this gives our
/// end, and elsewhere none.
fn send_request(channel: libc::c_int, octets: &[u8], descriptors: [libc::c_int; 3]) -> libc::c_int {
    let mut pair = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    let mut piece = libc::iovec {
        iov_base: octets.as_ptr().cast_mut().cast(),
        iov_len: octets.len(),
    };
    let mut control = [0_u64; 8];
    // SAFETY: plain system calls on descriptors of ours; what the header points to outlives the call, and the
    // room for control data is larger than that of three descriptors and well aligned.
    unsafe {
        assert_eq!(
            libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()),
            0
        );
        let first = if descriptors[0] < 0 {
            pair[1]
        } else {
            descriptors[0]
        };
        let rest = descriptors[1..].iter().copied().filter(|one| *one >= 0);
        let all: Vec<libc::c_int> = [first].into_iter().chain(rest).collect();
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(4 * all.len() as libc::c_uint) as _;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(4 * all.len() as libc::c_uint) as _;
        let room = libc::CMSG_DATA(message).cast::<libc::c_int>();
        for (index, descriptor) in all.iter().enumerate() {
            room.add(index).write_unaligned(*descriptor);
        }
        assert!(libc::sendmsg(channel, &raw const header, 0) >= 0);
        libc::close(pair[1]);
    }
    pair[0]
}

fn there_is_one_proof_of_being_alone_and_none_beside_threads() {
    let (word, heard) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let _ = heard.recv();
        OnlyThread::at_start().is_none()
    });
    assert!(OnlyThread::at_start().is_none(), "there is a thread");
    drop(word);
    assert!(other.join().unwrap(), "only main makes it");
}

/// The real service in this process, and beside its threads one that was taken over.
fn inner(config: &Path) {
    let alone = OnlyThread::at_start().unwrap();
    assert!(OnlyThread::at_start().is_none(), "there is one");
    let loaded = probe::load(config).unwrap();
    gatepost::service::logger::install(&loaded.settings.log);
    let prepared = Prepared::new(loaded.settings, Vec::new()).unwrap();
    let server = prepared.sandboxed(alone).unwrap().start().unwrap();
    let stop = server.remote();
    let running = thread::spawn(move || server.run());
    println!("READY");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    if env::var(ROLE).unwrap() == MASTER_OF_THE_HELPER {
        misuse_the_helper();
        println!("OVER");
        thread::sleep(PATIENCE);
        return;
    }
    let mail = config.with_file_name("mail");
    let all = move || {
        [
            misdeeds(),
            misdeeds_with_files(&mail),
            misdeeds_with_sockets(),
        ]
        .concat()
    };
    let done = thread::spawn(all).join().unwrap();
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
    fn start(config: &Path, role: &str, prepare: impl Fn(&mut Command)) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .env(CONFIG, config)
            .env(ROLE, role)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
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
