//! Which system calls the service may make (seccomp(2)).
//!
//! | a call | gets |
//! | --- | --- |
//! | that the service makes | through; of some only with the arguments it makes them with |
//! | that C libraries try, and do without | ENOSYS, without a word |
//! | that nobody but an intruder asks for | EPERM, and [`super::refused`] is told |
//! | that is known and stands nowhere | ENOSYS, and [`super::refused`] is told |
//! | that is newer than these lists | ENOSYS, without a word: a newer C library goes on as on an old kernel |
//! | by another processor's numbers (i386, x32) | EPERM, and [`super::refused`] is told |
//!
//! Promises: nothing can be run, no process made, no memory made executable, no socket opened but those of TCP,
//! UDP and this machine, no identity changed, no other process touched; no mode, owner, attribute or time of a
//! file changed, and none made that is set-user-ID, set-group-ID or sticky, or emptied by who opens it to read. Refuses to know: paths (the kernel
//! shows addresses, not what stands there); those are [`super::landlock`]'s.

use std::collections::BTreeMap;
use std::io;

use super::bpf::{PROGRAM_MAX, Test, Tree, Word};
use super::calls::{
    ALLOWED, DANGEROUS, DANGEROUS_AND_NEW, DANGEROUS_TOO, NEWEST, Number, QUIETLY_MISSING,
};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
#[cfg(target_arch = "arm")]
const ARCHITECTURE: Option<u32> = Some(0x4000_0028);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
const ARCHITECTURE: Option<u32> = None;

const ALLOW: Tree = Tree::Verdict(libc::SECCOMP_RET_ALLOW);
const MISSING: Tree = Tree::Verdict(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
const UNEXPECTED: Tree = Tree::Verdict(libc::SECCOMP_RET_TRAP | libc::ENOSYS as u32);
const REFUSED: Tree = Tree::Verdict(libc::SECCOMP_RET_TRAP | libc::EPERM as u32);

/// Namespaces that clone(2) would make.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// `PR_SET_VMA`: names for memory, of some C libraries.
const PR_SET_VMA: u32 = 0x5356_4d41;
/// FIONBIO, FIOCLEX, FIONREAD; then what isatty(3) asks: TCGETS, TIOCGWINSZ, TCGETS2.
const IOCTLS: &[u32] = &[0x5421, 0x5451, 0x541b, 0x5401, 0x5413, 0x802c_542a];
/// What fcntl(2) is asked: flags, and another number for the same. Others send signals to whoever is named.
const FCNTLS: &[u32] = &[
    libc::F_GETFD as u32,
    libc::F_SETFD as u32,
    libc::F_GETFL as u32,
    libc::F_SETFL as u32,
    libc::F_DUPFD_CLOEXEC as u32,
];
/// Set-user-ID, set-group-ID and sticky, of a file's mode.
const SPECIAL_BITS: u32 = 0o7000;
/// The bit of O_TMPFILE that is not O_DIRECTORY.
const TEMPORARY: u32 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
/// The bits of a socket's type that are not flags.
const TYPES: u32 = 0x0f;
/// The bit by which x86-64 tells its calls with short pointers.
const X32: u32 = 0x4000_0000;
#[cfg(target_arch = "arm")]
const MMAP: Number = libc::SYS_mmap2;
#[cfg(not(target_arch = "arm"))]
const MMAP: Number = libc::SYS_mmap;

/// Puts the filter on this thread, and on those it starts.
///
/// # Errors
/// The kernel or this processor has it not.
pub(super) fn restrict() -> io::Result<()> {
    let Some(architecture) = ARCHITECTURE else {
        let text = "there is no list of system calls for this processor";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    };
    let mut program = tree(architecture, std::process::id()).program();
    assert!(program.len() <= PROGRAM_MAX, "the filter is too long");
    let filter = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which outlives the call.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
            0,
            0,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The name of a call that is refused; none for those that nobody thought of.
pub(super) fn name(number: Number) -> Option<&'static str> {
    let of_conditions = conditions().map(|(name, number, _)| (*name, *number));
    let refused = dangerous();
    let mut known = refused.chain(of_conditions);
    known
        .find(|(_, known)| *known == number)
        .map(|(name, _)| name)
}

fn dangerous() -> impl Iterator<Item = (&'static str, Number)> {
    let all = DANGEROUS.iter().chain(DANGEROUS_TOO);
    all.chain(DANGEROUS_AND_NEW).copied()
}

fn conditions() -> impl Iterator<Item = &'static Condition> {
    CONDITIONS.iter().chain(CONDITIONS_TOO)
}

/// The whole filter.
fn tree(architecture: u32, own_id: u32) -> Tree {
    let calls = by_number(&starts(own_id));
    Tree::ask(Word::Architecture, Test::Is(architecture), calls, REFUSED)
}

/// A call that depends on its arguments, with what these have to be for the process of this number.
type Condition = (&'static str, Number, fn(u32) -> Tree);

const CONDITIONS: &[Condition] = &[
    ("openat", libc::SYS_openat, |_| opened(2)),
    ("mkdirat", libc::SYS_mkdirat, |_| with_plain_mode(2)),
    ("fcntl", libc::SYS_fcntl, |_| one_of(Word::Low(1), FCNTLS)),
    ("clone", libc::SYS_clone, |_| thread()),
    ("socket", libc::SYS_socket, |_| socket()),
    ("socketpair", libc::SYS_socketpair, |_| {
        one_of(Word::Low(0), &[libc::AF_UNIX as u32])
    }),
    ("mmap", MMAP, |_| not_executable()),
    ("mprotect", libc::SYS_mprotect, |_| not_executable()),
    ("prctl", libc::SYS_prctl, |_| {
        let names = [
            libc::PR_SET_NAME as u32,
            libc::PR_GET_NAME as u32,
            PR_SET_VMA,
        ];
        one_of(Word::Low(0), &names)
    }),
    ("ioctl", libc::SYS_ioctl, |_| one_of(Word::Low(1), IOCTLS)),
    ("tgkill", libc::SYS_tgkill, |own| {
        one_of(Word::Low(0), &[own])
    }),
    ("prlimit64", libc::SYS_prlimit64, |own| {
        // Asked for, not set: there are no new limits.
        let none = Tree::ask(Word::High(2), Test::Is(0), ALLOW, REFUSED);
        let none = Tree::ask(Word::Low(2), Test::Is(0), none, REFUSED);
        let own = Tree::ask(Word::Low(0), Test::Is(own), none.clone(), REFUSED);
        Tree::ask(Word::Low(0), Test::Is(0), none, own)
    }),
];

/// A thread of this process, in its own namespaces.
fn thread() -> Tree {
    let here = Tree::ask(Word::Low(0), Test::HasAnyOf(NAMESPACES), REFUSED, ALLOW);
    let thread = Test::HasAnyOf(libc::CLONE_THREAD as u32);
    Tree::ask(Word::Low(0), thread, here, REFUSED)
}

/// Of what older processors alone have.
#[cfg(not(target_arch = "aarch64"))]
const CONDITIONS_TOO: &[Condition] = &[
    ("open", libc::SYS_open, |_| opened(1)),
    ("mkdir", libc::SYS_mkdir, |_| with_plain_mode(1)),
    #[cfg(target_arch = "arm")]
    ("fcntl64", libc::SYS_fcntl64, |_| {
        one_of(Word::Low(1), FCNTLS)
    }),
];
#[cfg(target_arch = "aarch64")]
const CONDITIONS_TOO: &[Condition] = &[];

/// TCP, UDP, and streams and datagrams of this machine. The type is compared without its flags, by each bit.
fn socket() -> Tree {
    let of_kind = |kind: libc::c_int, protocol: libc::c_int, otherwise| {
        let others = Test::HasAnyOf(TYPES & !(kind as u32));
        let kind = Test::HasAnyOf(kind as u32);
        let protocol = one_of(Word::Low(2), &[0, protocol as u32]);
        let alone = Tree::ask(Word::Low(1), others, REFUSED, protocol);
        Tree::ask(Word::Low(1), kind, alone, otherwise)
    };
    let datagrams = of_kind(libc::SOCK_DGRAM, libc::IPPROTO_UDP, REFUSED);
    let known = of_kind(libc::SOCK_STREAM, libc::IPPROTO_TCP, datagrams);
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
    families.iter().fold(REFUSED, |otherwise, family| {
        Tree::ask(
            Word::Low(0),
            Test::Is(*family as u32),
            known.clone(),
            otherwise,
        )
    })
}

/// What open(2) is asked, with its flags at this place. The mode behind them is read where a file is made, and
/// is anything elsewhere.
fn opened(flags: u32) -> Tree {
    let has = |bits| Test::HasAnyOf(bits);
    let of_mode = with_plain_mode(flags + 1);
    let made = has(libc::O_CREAT as u32 | TEMPORARY);
    let made = Tree::ask(Word::Low(flags), made, of_mode, ALLOW);
    // Landlock sees that a file is emptied since Linux 6.2 alone, and before it what is opened.
    let write = has((libc::O_WRONLY | libc::O_RDWR) as u32);
    let emptied = Tree::ask(Word::Low(flags), write, made.clone(), REFUSED);
    Tree::ask(Word::Low(flags), has(libc::O_TRUNC as u32), emptied, made)
}

fn with_plain_mode(mode: u32) -> Tree {
    Tree::ask(
        Word::Low(mode),
        Test::HasAnyOf(SPECIAL_BITS),
        REFUSED,
        ALLOW,
    )
}

fn not_executable() -> Tree {
    let executable = Test::HasAnyOf(libc::PROT_EXEC as u32);
    Tree::ask(Word::Low(2), executable, REFUSED, ALLOW)
}

fn one_of(word: Word, values: &[u32]) -> Tree {
    values.iter().fold(REFUSED, |otherwise, value| {
        Tree::ask(word, Test::Is(*value), ALLOW, otherwise)
    })
}

/// What counts from which number on, in order.
fn starts(own_id: u32) -> Vec<(u32, Tree)> {
    let mut known: BTreeMap<u32, Tree> = BTreeMap::new();
    let mut all = |numbers: &[Number], tree: &Tree| {
        for number in numbers {
            // Numbers of calls are small.
            known.insert(*number as u32, tree.clone());
        }
    };
    for (_, number) in dangerous() {
        all(&[number], &REFUSED);
    }
    all(QUIETLY_MISSING, &MISSING);
    for numbers in ALLOWED {
        all(numbers, &ALLOW);
    }
    for (_, number, condition) in conditions() {
        all(&[*number], &condition(own_id));
    }
    // Behind the newest, ARM has a few of its own.
    known.entry(NEWEST + 1).or_insert(MISSING);
    let mut starts = vec![(0, UNEXPECTED)];
    for (number, tree) in known {
        push(&mut starts, number, tree);
        let rest = if number < NEWEST { UNEXPECTED } else { MISSING };
        push(&mut starts, number + 1, rest);
    }
    push(&mut starts, X32, REFUSED);
    starts
}

fn push(starts: &mut Vec<(u32, Tree)>, start: u32, tree: Tree) {
    if starts.last().is_some_and(|(last, _)| *last == start) {
        starts.pop();
    }
    if starts.last().is_none_or(|(_, before)| *before != tree) {
        starts.push((start, tree));
    }
}

/// Halves the numbers until one answer is left.
fn by_number(starts: &[(u32, Tree)]) -> Tree {
    match starts {
        [] => REFUSED,
        [(_, tree)] => tree.clone(),
        more => {
            let (lower, upper) = more.split_at(more.len() / 2);
            let start = upper.first().map_or(0, |(start, _)| *start);
            let test = Test::AtLeast(start);
            Tree::ask(Word::Number, test, by_number(upper), by_number(lower))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bpf::verdict;
    use super::*;

    const OWN: u32 = 4711;
    const PASSES: u32 = libc::SECCOMP_RET_ALLOW;
    const TOLD: u32 = libc::SECCOMP_RET_TRAP | libc::EPERM as u32;
    const UNKNOWN: u32 = libc::SECCOMP_RET_TRAP | libc::ENOSYS as u32;
    const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    fn ask(number: Number, arguments: &[u64]) -> u32 {
        let program = tree(ARCHITECTURE.unwrap(), OWN).program();
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        verdict(&program, ARCHITECTURE.unwrap(), (number as u32, all))
    }

    #[cfg(target_arch = "arm")]
    #[test]
    fn what_send_and_recv_are_on_this_processor_passes() {
        for number in [libc::SYS_send, libc::SYS_recv] {
            assert_eq!(ask(number, &[]), PASSES, "{number}");
        }
    }

    #[test]
    fn each_call_gets_what_the_table_says() {
        const THREAD: u64 = 0x003d_0f00;
        let rows: &[(Number, &[u64], u32)] = &[
            (libc::SYS_read, &[], PASSES),
            (libc::SYS_exit_group, &[], PASSES),
            (libc::SYS_execve, &[], TOLD),
            (libc::SYS_execveat, &[], TOLD),
            (libc::SYS_ptrace, &[], TOLD),
            (libc::SYS_io_uring_setup, &[], TOLD),
            (libc::SYS_kill, &[1, 9], TOLD),
            (libc::SYS_clone3, &[], ABSENT),
            // Known, and not thought of.
            (libc::SYS_mq_open, &[], UNKNOWN),
            (Number::from(NEWEST as i32) + 1, &[], ABSENT),
            (100_000, &[], ABSENT),
            (X32 as Number + libc::SYS_read, &[], TOLD),
            (-1, &[], TOLD),
            (libc::SYS_clone, &[THREAD], PASSES),
            (libc::SYS_clone, &[libc::SIGCHLD as u64], TOLD),
            (
                libc::SYS_clone,
                &[THREAD | libc::CLONE_NEWUSER as u64],
                TOLD,
            ),
            (libc::SYS_clone, &[THREAD | libc::CLONE_NEWNS as u64], TOLD),
            // The kernel reads no more than the lower half.
            (libc::SYS_clone, &[0x10000 << 32], TOLD),
            (MMAP, &[0, 4096, 3], PASSES),
            (MMAP, &[0, 4096, 5], TOLD),
            (libc::SYS_mprotect, &[0, 4096, 4], TOLD),
            (libc::SYS_mprotect, &[0, 4096, 0], PASSES),
            (libc::SYS_prctl, &[libc::PR_SET_NAME as u64], PASSES),
            (libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 1], TOLD),
            (libc::SYS_ioctl, &[3, 0x5421], PASSES),
            // TIOCSTI types for whoever sits at the terminal.
            (libc::SYS_ioctl, &[3, 0x5412], TOLD),
            (libc::SYS_tgkill, &[u64::from(OWN), 4712, 6], PASSES),
            (libc::SYS_tgkill, &[1, 1, 6], TOLD),
            (libc::SYS_prlimit64, &[0, 7, 0, 1], PASSES),
            (libc::SYS_prlimit64, &[u64::from(OWN), 7, 0, 1], PASSES),
            (libc::SYS_prlimit64, &[0, 7, 1 << 32, 1], TOLD),
            (libc::SYS_prlimit64, &[1, 7, 0, 1], TOLD),
        ];
        for (number, arguments, want) in rows {
            assert_eq!(ask(*number, arguments), *want, "{number} {arguments:x?}");
        }
    }

    #[test]
    fn files_are_made_with_plain_modes_and_descriptors_tell_nobody() {
        const READ: u64 = libc::O_CLOEXEC as u64;
        const MAKE: u64 = (libc::O_WRONLY | libc::O_CREAT) as u64;
        const EMPTY: u64 = libc::O_TRUNC as u64;
        let rows: &[(Number, &[u64], u32)] = &[
            (libc::SYS_openat, &[0, 0, READ, 0o7777], PASSES),
            (libc::SYS_openat, &[0, 0, MAKE, 0o600], PASSES),
            (libc::SYS_openat, &[0, 0, MAKE, 0o4600], TOLD),
            (libc::SYS_openat, &[0, 0, MAKE, 0o2777], TOLD),
            (libc::SYS_openat, &[0, 0, MAKE, 0o1000], TOLD),
            (
                libc::SYS_openat,
                &[0, 0, libc::O_TMPFILE as u64, 0o4600],
                TOLD,
            ),
            (
                libc::SYS_openat,
                &[0, 0, libc::O_DIRECTORY as u64, 0o4600],
                PASSES,
            ),
            (libc::SYS_openat, &[0, 0, EMPTY], TOLD),
            (libc::SYS_openat, &[0, 0, EMPTY | MAKE, 0o600], PASSES),
            (libc::SYS_openat, &[0, 0, EMPTY | MAKE, 0o4600], TOLD),
            (libc::SYS_mkdirat, &[0, 0, 0o777], PASSES),
            (libc::SYS_mkdirat, &[0, 0, 0o1777], TOLD),
            (libc::SYS_fcntl, &[3, libc::F_SETFL as u64], PASSES),
            (libc::SYS_fcntl, &[3, libc::F_SETOWN as u64], TOLD),
            (libc::SYS_fcntl, &[3, libc::F_SETLEASE as u64], TOLD),
        ];
        for (number, arguments, want) in rows {
            assert_eq!(ask(*number, arguments), *want, "{number} {arguments:x?}");
        }
    }

    #[test]
    fn sockets_are_streams_or_datagrams_of_three_families() {
        let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
        for (family, kind, protocol, want) in [
            (libc::AF_UNIX, libc::SOCK_STREAM, 0, PASSES),
            (libc::AF_UNIX, libc::SOCK_DGRAM, 0, PASSES),
            (libc::AF_INET, libc::SOCK_STREAM, 0, PASSES),
            (libc::AF_INET, libc::SOCK_STREAM, 6, PASSES),
            (libc::AF_INET6, libc::SOCK_DGRAM, 0, PASSES),
            (libc::AF_INET6, libc::SOCK_DGRAM, 17, PASSES),
            (libc::AF_INET, libc::SOCK_STREAM, 17, TOLD),
            (libc::AF_INET, libc::SOCK_DGRAM, 6, TOLD),
            // SCTP, MPTCP; ICMP, L2TP, UDP-Lite.
            (libc::AF_INET, libc::SOCK_STREAM, 132, TOLD),
            (libc::AF_INET6, libc::SOCK_STREAM, 262, TOLD),
            (libc::AF_INET, libc::SOCK_DGRAM, 1, TOLD),
            (libc::AF_INET, libc::SOCK_DGRAM, 115, TOLD),
            (libc::AF_INET6, libc::SOCK_DGRAM, 136, TOLD),
            (libc::AF_INET, libc::SOCK_RAW, 0, TOLD),
            (libc::AF_INET, libc::SOCK_RDM, 0, TOLD),
            (libc::AF_INET, libc::SOCK_SEQPACKET, 0, TOLD),
            (libc::AF_INET, libc::SOCK_SEQPACKET, 132, TOLD),
            (libc::AF_PACKET, libc::SOCK_DGRAM, 0, TOLD),
            (libc::AF_NETLINK, libc::SOCK_RAW, 0, TOLD),
            (libc::AF_ALG, libc::SOCK_STREAM, 0, TOLD),
            (libc::AF_VSOCK, libc::SOCK_STREAM, 0, TOLD),
            (libc::AF_INET, 0, 0, TOLD),
            (libc::AF_INET, 10, 0, TOLD),
        ] {
            let arguments = [family as u64, kind as u64 | flags, protocol];
            let got = ask(libc::SYS_socket, &arguments);
            assert_eq!(got, want, "{family} {kind} {protocol}");
        }
    }

    #[test]
    fn another_processors_numbers_are_refused() {
        let program = tree(ARCHITECTURE.unwrap(), OWN).program();
        // i386, whose read(2) is ours of another name.
        assert_eq!(verdict(&program, 0x4000_0003, (3, [0; 6])), TOLD);
    }

    #[test]
    fn every_name_of_the_lists_gets_its_verdict() {
        let allowed = ALLOWED.iter().copied().flatten();
        allowed.for_each(|number| assert_eq!(ask(*number, &[]), PASSES, "{number}"));
        for (name, number) in dangerous() {
            assert_eq!(ask(number, &[]), TOLD, "{name}");
            assert_eq!(super::name(number), Some(name));
        }
        for number in QUIETLY_MISSING {
            assert_eq!(ask(*number, &[]), ABSENT, "{number}");
        }
        assert_eq!(super::name(libc::SYS_socket), Some("socket"));
        assert_eq!(super::name(libc::SYS_mq_open), None);
    }

    #[test]
    fn the_program_is_short() {
        let length = tree(ARCHITECTURE.unwrap(), OWN).program().len();
        assert!(length < PROGRAM_MAX / 2, "{length}");
    }
}
