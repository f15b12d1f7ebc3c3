//! Who is at the other end of a local socket, by the kernel's word.

use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// A process at the other end, as it was when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group, and its further ones.
    pub groups: Vec<u32>,
}

/// Asks the kernel for the peer of a connected local socket (`SO_PEERCRED`, `SO_PEERGROUPS`).
///
/// # Errors
/// What the kernel says. A kernel that does not tell further groups is no error.
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `credentials`, which outlives the call.
    let asked = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut groups = further_groups(stream);
    groups.push(credentials.gid);
    Ok(Peer {
        uid: credentials.uid,
        groups,
    })
}

fn further_groups(stream: &UnixStream) -> Vec<u32> {
    let mut groups = vec![0_u32; GROUPS_MAX];
    let mut octets = mem::size_of_val(groups.as_slice()) as libc::socklen_t;
    // SAFETY: the pointer and length describe the buffer of `groups`, which outlives the call.
    let asked = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut octets,
        )
    };
    let count = match asked {
        0 => octets as usize / mem::size_of::<u32>(),
        _ => 0,
    };
    groups.truncate(count);
    groups
}

/// More groups than anybody is in.
const GROUPS_MAX: usize = 1024;
/// The option's number on x86, arm and riscv; libc does not name it.
const SO_PEERGROUPS: libc::c_int = 59;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = of(&one).unwrap();
        assert_eq!(peer.uid, process::user_id());
        assert!(!peer.groups.is_empty());
    }
}
