//! Listeners that a service manager opened for us and left as descriptors, as sd_listen_fds(3) has it.
//!
//! Promises: what is there is taken once, by [`take`], and nobody's child sees it; each descriptor gets
//! close-on-exec. One that this process opened itself is never taken: it has close-on-exec already, which one
//! that came through an exec cannot have. A listener is what ours are: TCP, non-blocking, without Nagle delay, and an IPv6 one takes
//! no IPv4. Limits: [`DESCRIPTORS_MAX`]. Refuses to know: which addresses are wanted.

use std::env;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::machine;
use super::only_thread::OnlyThread;

/// Descriptors that are looked at.
pub const DESCRIPTORS_MAX: usize = 1024;

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
const LISTEN_FDS: &str = "LISTEN_FDS";
const LISTEN_PID: &str = "LISTEN_PID";
const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";

/// A descriptor that was passed.
#[derive(Debug)]
pub struct Inherited {
    /// How the manager calls it; empty where it has no name for it.
    pub name: String,
    /// The listener and its address, or why it is none of use. The descriptor is closed then.
    pub listener: Result<(SocketAddr, TcpListener), String>,
}

/// Takes what the manager left for this process, and removes it from the environment.
pub fn take(_alone: &OnlyThread) -> Vec<Inherited> {
    let count = env::var(LISTEN_FDS).ok();
    let pid = env::var(LISTEN_PID).ok();
    let names = env::var(LISTEN_FDNAMES).unwrap_or_default();
    for name in [LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES] {
        // SAFETY: there is no other thread, by the proof that the caller has.
        unsafe { env::remove_var(name) };
    }
    let count = count_for_us(count.as_deref(), pid.as_deref(), std::process::id());
    let mut names = names.split(':');
    let passed = (FIRST..).take(count).map(|descriptor| Inherited {
        name: names.next().unwrap_or_default().to_owned(),
        listener: own(descriptor).and_then(listener),
    });
    passed.collect()
}

/// How many descriptors there are for the process `own`.
fn count_for_us(count: Option<&str>, pid: Option<&str>, own: u32) -> usize {
    let count = count.and_then(|count| count.parse::<usize>().ok());
    let is_ours = pid.is_some_and(|pid| pid.parse() == Ok(own));
    match count {
        Some(count) if is_ours => count.min(DESCRIPTORS_MAX),
        Some(_) | None => 0,
    }
}

fn own(descriptor: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: plain system calls; they fail where there is no such descriptor.
    let set = unsafe {
        match libc::fcntl(descriptor, libc::F_GETFD) {
            flags if flags >= 0 && flags & libc::FD_CLOEXEC != 0 => return Err(OURS.to_owned()),
            flags if flags >= 0 => libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC),
            failed => failed,
        }
    };
    if set != 0 {
        return Err(last_reason());
    }
    // SAFETY: it is open, and it came through an exec, so nobody in this process owns it yet. Nothing takes it a
    // second time, for it has close-on-exec now.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The socket as one of ours.
fn listener(socket: OwnedFd) -> Result<(SocketAddr, TcpListener), String> {
    let option = |level, name| option(&socket, level, name);
    let accepts = option(libc::SOL_SOCKET, libc::SO_ACCEPTCONN).map_err(|_| NONE)?;
    let kind = option(libc::SOL_SOCKET, libc::SO_TYPE).map_err(|_| NONE)?;
    if accepts == 0 || kind != libc::SOCK_STREAM {
        return Err(NONE.to_owned());
    }
    let family = option(libc::SOL_SOCKET, libc::SO_DOMAIN).map_err(|_| NONE)?;
    if ![libc::AF_INET, libc::AF_INET6].contains(&family) {
        return Err(NONE.to_owned());
    }
    let only_ipv6 = option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY).ok();
    let listener = TcpListener::from(socket);
    let ready = || -> io::Result<SocketAddr> {
        listener.set_nonblocking(true)?;
        set_no_delay(&listener)?;
        listener.local_addr()
    };
    let address = ready().map_err(|error| machine::reason(&error))?;
    if family == libc::AF_INET6 && address.ip().is_unspecified() && only_ipv6 != Some(1) {
        let why = "it takes IPv4 too: BindIPv6Only=ipv6-only is needed, and 0.0.0.0 by its own";
        return Err(why.to_owned());
    }
    Ok((address, listener))
}

const OURS: &str = "it was opened by this process";
const NONE: &str = "it is no listening TCP socket";

fn option(socket: &OwnedFd, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointers are to `value` and to its size, which outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    match result {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_no_delay(listener: &TcpListener) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and length describe `on`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn last_reason() -> String {
    machine::reason(&io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn descriptors_count_only_for_the_process_they_were_left_for() {
        let rows = [
            (Some("2"), Some("7"), 2),
            (Some("2"), Some("8"), 0),
            (Some("2"), None, 0),
            (None, Some("7"), 0),
            (Some("-1"), Some("7"), 0),
            (Some("many"), Some("7"), 0),
            (Some("99999999"), Some("7"), DESCRIPTORS_MAX),
        ];
        for (count, pid, wanted) in rows {
            assert_eq!(count_for_us(count, pid, 7), wanted, "{count:?} {pid:?}");
        }
    }

    #[test]
    fn what_this_process_opened_is_not_taken_nor_anything_twice() {
        let opened = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(own(opened.as_raw_fd()).unwrap_err(), OURS);
        // As it were after an exec.
        // SAFETY: a plain system call; nobody else owns the copy.
        let passed = unsafe { libc::dup(opened.as_raw_fd()) };
        let taken = own(passed).unwrap();
        assert_eq!(own(passed).unwrap_err(), OURS);
        drop(taken);
        assert!(own(passed).is_err());
    }

    #[test]
    fn only_listening_tcp_sockets_are_of_use() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = tcp.local_addr().unwrap();
        let (address, taken) = listener(tcp.into()).unwrap();
        assert_eq!(address, wanted);
        let nobody = taken.accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        let path = std::env::temp_dir().join(format!("gatepost-given-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let connected = std::net::TcpStream::connect(wanted).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for bad in [unix.into(), connected.into(), udp.into(), file.into()] {
            assert_eq!(listener(bad).unwrap_err(), NONE);
        }
    }

    #[test]
    fn one_socket_for_both_families_is_of_no_use() {
        // What std opens takes both where the machine says so.
        let Ok(both) = TcpListener::bind("[::]:0") else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let only = option(
            &both.try_clone().unwrap().into(),
            libc::IPPROTO_IPV6,
            libc::IPV6_V6ONLY,
        );
        let taken = listener(both.into());
        assert_eq!(taken.is_ok(), only.unwrap() == 1, "{taken:?}");
        let local = TcpListener::bind("[::1]:0").unwrap();
        assert!(listener(local.into()).is_ok());
    }
}
