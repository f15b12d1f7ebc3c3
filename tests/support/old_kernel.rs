//! A program under a kernel that lacks a system call.

#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the kernel refuse a call of the program to be run, as one would that has it not.
pub fn without(command: &mut Command, number: libc::c_long, first: Option<u32>, error: i32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let done = libc::BPF_RET | libc::BPF_K;
    let arguments = offset_of!(libc::seccomp_data, args) as u32;
    let mut steps = vec![step(load, 0, 0, 0), step(equal, 0, 3, number as u32)];
    let any = step(equal, 0, 0, 0);
    steps.push(step(load, 0, 0, arguments));
    steps.push(first.map_or(any, |first| step(equal, 0, 1, first)));
    steps.push(step(done, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32));
    steps.push(step(done, 0, 0, libc::SECCOMP_RET_ALLOW));
    // SAFETY: the closure makes system calls only.
    unsafe {
        command.pre_exec(move || {
            let filter = libc::sock_fprog {
                len: steps.len() as u16,
                filter: steps.as_ptr().cast_mut(),
            };
            let set = libc::PR_SET_SECCOMP;
            let done = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(set, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0;
            done.then_some(()).ok_or_else(std::io::Error::last_os_error)
        });
    }
}
