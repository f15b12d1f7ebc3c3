//! The system calls of the filter, by name. What stands here was seen in traces of every test of the real
//! program, or is what the C libraries (GNU and musl) do in its place on another processor or in another
//! version. Numbers differ between processors; a name that one of them lacks is left out there.

/// A system call's number on this processor.
pub(super) type Number = libc::c_long;

macro_rules! numbers {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

macro_rules! named {
    ($($text:literal $name:ident)*) => { &[$(($text, libc::$name)),*] };
}

/// What the service does.
pub(super) const ALLOWED: &[&[Number]] = &[COMMON, OLDER_NAMES, WIDE_ON_32_BITS];

const COMMON: &[Number] = numbers! {
    // Files and folders.
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev
    SYS_close SYS_lseek SYS_flock SYS_statx SYS_fstat
    SYS_faccessat SYS_readlinkat SYS_getdents64 SYS_getcwd
    SYS_unlinkat SYS_renameat2 SYS_linkat
    SYS_ftruncate SYS_fallocate SYS_fsync SYS_fdatasync SYS_syncfs SYS_statfs SYS_fstatfs
    SYS_copy_file_range SYS_sendfile SYS_dup SYS_dup3 SYS_pipe2
    // Sockets.
    SYS_bind SYS_listen SYS_accept4 SYS_connect SYS_shutdown
    SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt
    SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg
    // Waiting.
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_ppoll SYS_pselect6
    SYS_eventfd2 SYS_signalfd4 SYS_nanosleep SYS_clock_nanosleep SYS_restart_syscall
    // Time, memory and threads.
    SYS_clock_gettime SYS_clock_getres SYS_gettimeofday SYS_getrandom
    SYS_brk SYS_munmap SYS_mremap SYS_madvise
    SYS_futex SYS_set_robust_list SYS_get_robust_list SYS_set_tid_address SYS_gettid
    SYS_rseq
    SYS_sched_yield SYS_sched_getaffinity SYS_exit SYS_exit_group
    // How the helper process ended.
    SYS_wait4
    // Signals to itself, and who it is.
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack
    SYS_getpid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_uname SYS_sysinfo
};

/// What newer processors have under newer names alone.
#[cfg(not(target_arch = "aarch64"))]
const OLDER_NAMES: &[Number] = numbers! {
    SYS_stat SYS_lstat SYS_access SYS_readlink SYS_rmdir SYS_unlink SYS_rename
    SYS_renameat SYS_link SYS_poll SYS_epoll_wait SYS_dup2 SYS_pipe
};
#[cfg(target_arch = "aarch64")]
const OLDER_NAMES: &[Number] = numbers! { SYS_renameat SYS_newfstatat };

#[cfg(target_arch = "x86_64")]
const WIDE_ON_32_BITS: &[Number] = numbers! { SYS_newfstatat SYS_arch_prctl SYS_time };
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm")))]
const WIDE_ON_32_BITS: &[Number] = &[];
/// With words of 32 bits, large files and late times have calls of their own.
#[cfg(target_arch = "arm")]
const WIDE_ON_32_BITS: &[Number] = &[
    libc::SYS__llseek,
    libc::SYS_fstat64,
    libc::SYS_stat64,
    libc::SYS_lstat64,
    libc::SYS_fstatat64,
    libc::SYS_statfs64,
    libc::SYS_fstatfs64,
    libc::SYS_ftruncate64,
    libc::SYS_sendfile64,
    libc::SYS__newselect,
    libc::SYS_getuid32,
    libc::SYS_geteuid32,
    libc::SYS_getgid32,
    libc::SYS_getegid32,
    libc::SYS_sigreturn,
    // GNU's send(2) and recv(2) are calls of their own there.
    libc::SYS_send,
    libc::SYS_recv,
    libc::SYS_ugetrlimit,
    // From 403 on all processors with words of 32 bits have the same numbers: clock_gettime64,
    // clock_getres_time64, clock_nanosleep_time64, pselect6_time64, ppoll_time64, futex_time64.
    403,
    406,
    407,
    413,
    414,
    422,
    // cacheflush and set_tls of this processor.
    0x0f_0002,
    0x0f_0005,
];

/// What C libraries try, and do without where the kernel has it not: refused as on an old kernel, without
/// a word. Some are tried while every signal is blocked, where [`super::refused`] could not be told.
pub(super) const QUIETLY_MISSING: &[Number] = &[
    libc::SYS_clone3, // Its flags lie in memory, where the filter cannot see them; clone(2) takes its place.
    libc::SYS_membarrier,
    libc::SYS_faccessat2,
    libc::SYS_close_range,
    libc::SYS_epoll_pwait2,
    // Its mode lies in memory as well.
    libc::SYS_openat2,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setaffinity,
    libc::SYS_setpriority,
    libc::SYS_getcpu,
    // musl's raise(3): it would signal any thread of the account.
    #[cfg(target_env = "musl")]
    libc::SYS_tkill,
];

/// What nobody but an intruder asks for; refused with EPERM, and told.
pub(super) const DANGEROUS: &[(&str, Number)] = named! {
    "execve" SYS_execve "execveat" SYS_execveat
    "ptrace" SYS_ptrace "process_vm_readv" SYS_process_vm_readv
    "process_vm_writev" SYS_process_vm_writev "kcmp" SYS_kcmp "pidfd_open" SYS_pidfd_open
    "pidfd_getfd" SYS_pidfd_getfd "pidfd_send_signal" SYS_pidfd_send_signal
    "process_madvise" SYS_process_madvise "kill" SYS_kill "rt_sigqueueinfo" SYS_rt_sigqueueinfo
    "rt_tgsigqueueinfo" SYS_rt_tgsigqueueinfo
    "setuid" SYS_setuid "setgid" SYS_setgid "setreuid" SYS_setreuid "setregid" SYS_setregid
    "setresuid" SYS_setresuid "setresgid" SYS_setresgid "setfsuid" SYS_setfsuid
    "setfsgid" SYS_setfsgid "setgroups" SYS_setgroups "capset" SYS_capset
    "unshare" SYS_unshare "setns" SYS_setns "chroot" SYS_chroot "pivot_root" SYS_pivot_root
    "mount" SYS_mount "umount2" SYS_umount2 "open_tree" SYS_open_tree
    "move_mount" SYS_move_mount "fsopen" SYS_fsopen "fsconfig" SYS_fsconfig "fsmount" SYS_fsmount
    "fspick" SYS_fspick "mount_setattr" SYS_mount_setattr
    "name_to_handle_at" SYS_name_to_handle_at "open_by_handle_at" SYS_open_by_handle_at
    "mknodat" SYS_mknodat "symlinkat" SYS_symlinkat "memfd_create" SYS_memfd_create
    "personality" SYS_personality "bpf" SYS_bpf "perf_event_open" SYS_perf_event_open
    "userfaultfd" SYS_userfaultfd "io_uring_setup" SYS_io_uring_setup
    "io_uring_enter" SYS_io_uring_enter "io_uring_register" SYS_io_uring_register
    "io_setup" SYS_io_setup "add_key" SYS_add_key "request_key" SYS_request_key
    "keyctl" SYS_keyctl "init_module" SYS_init_module "finit_module" SYS_finit_module
    "delete_module" SYS_delete_module "kexec_load" SYS_kexec_load "reboot" SYS_reboot
    "swapon" SYS_swapon "swapoff" SYS_swapoff "acct" SYS_acct "syslog" SYS_syslog
    "sethostname" SYS_sethostname "settimeofday" SYS_settimeofday
    "clock_settime" SYS_clock_settime "adjtimex" SYS_adjtimex "quotactl" SYS_quotactl
    "seccomp" SYS_seccomp "landlock_create_ruleset" SYS_landlock_create_ruleset
    "pkey_mprotect" SYS_pkey_mprotect
    "fchmod" SYS_fchmod "fchmodat" SYS_fchmodat "fchown" SYS_fchown "fchownat" SYS_fchownat
    "utimensat" SYS_utimensat "umask" SYS_umask
    "setxattr" SYS_setxattr "lsetxattr" SYS_lsetxattr "fsetxattr" SYS_fsetxattr
    "removexattr" SYS_removexattr "lremovexattr" SYS_lremovexattr "fremovexattr" SYS_fremovexattr
};

/// The same with numbers that all processors share, as all calls from 403 on; the first is of the processors
/// with words of 32 bits alone.
pub(super) const DANGEROUS_AND_NEW: &[(&str, Number)] = &[
    #[cfg(target_pointer_width = "32")]
    ("utimensat_time64", 412),
    ("fchmodat2", 452),
    ("setxattrat", 463),
    ("removexattrat", 466),
    ("file_setattr", 469),
];

/// The same of what only older processors have.
#[cfg(not(target_arch = "aarch64"))]
pub(super) const DANGEROUS_TOO: &[(&str, Number)] = named! {
    "fork" SYS_fork "vfork" SYS_vfork "mknod" SYS_mknod "symlink" SYS_symlink
    "chmod" SYS_chmod "chown" SYS_chown "lchown" SYS_lchown
};
#[cfg(target_arch = "aarch64")]
pub(super) const DANGEROUS_TOO: &[(&str, Number)] = &[];

/// The last number that was in use when these lists were made (Linux 6.18). What comes later is refused
/// without a word, as by a kernel that has it not.
pub(super) const NEWEST: u32 = 469;
