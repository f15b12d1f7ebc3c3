//! Sockets with what std leaves out: listeners that are IPv6-only, with a long backlog and no Nagle delay;
//! a Unix connection with a time limit.

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest path of a Unix socket, octets.
pub const UNIX_PATH_MAX_OCTETS: usize = 107;

/// Connections the kernel keeps for us before we accept them (it may cut this to its own limit).
const BACKLOG: libc::c_int = 1024;

/// Opens a non-blocking listener on exactly this address. An IPv6 socket takes no IPv4. Accepted
/// sockets inherit TCP_NODELAY: every reply leaves in one write, and none waits for an ACK.
///
/// # Errors
/// As `socket` and `bind` say; `AddrInUse` and `AddrNotAvailable` are the usual ones.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: a plain system call; the result is checked before it is owned.
    let descriptor = unsafe {
        libc::socket(
            family,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY)?;
    if address.is_ipv6() {
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)?;
    }
    bind(&socket, address)?;
    // SAFETY: a plain system call on a descriptor we own.
    check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(TcpListener::from(socket))
}

/// Whether this machine has the address, as far as it can be told; every family has its wildcard.
pub fn has_address(address: IpAddr) -> bool {
    let Err(error) = UdpSocket::bind((address, 0)) else {
        return true;
    };
    let lacks_family = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    error.kind() != io::ErrorKind::AddrNotAvailable && !lacks_family
}

/// Connects to a Unix socket. Where its backlog is full this waits for `patience`, which std would do
/// for ever.
///
/// # Errors
/// Nobody listens there, we may not, the path is too long, or it took too long.
pub fn connect_unix(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let octets = path.as_os_str().as_bytes();
    if octets.len() > UNIX_PATH_MAX_OCTETS || octets.contains(&0) {
        let text = "the path is too long for a socket";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // SAFETY: a plain system call; the result is checked before it is owned.
    let descriptor =
        unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    // It bounds connect as well (unix(7), socket(7)).
    socket.set_write_timeout(Some(patience))?;
    let mut name = libc::sockaddr_un {
        sun_family: libc::AF_UNIX as libc::sa_family_t,
        sun_path: [0; UNIX_PATH_MAX_OCTETS + 1],
    };
    for (to, octet) in name.sun_path.iter_mut().zip(octets) {
        *to = *octet as libc::c_char;
    }
    // SAFETY: the pointer and length describe `name`, which outlives the call.
    let result = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            (&raw const name).cast(),
            mem::size_of_val(&name) as libc::socklen_t,
        )
    };
    match check(result) {
        Ok(()) => Ok(socket),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "its queue of connections is full",
        )),
        Err(error) => Err(error),
    }
}

fn set(socket: &OwnedFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and length describe `on`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let result = match address {
        SocketAddr::V4(v4) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the pointer and length describe `name`, which outlives the call.
            unsafe {
                libc::bind(
                    socket.as_raw_fd(),
                    (&raw const name).cast(),
                    mem::size_of_val(&name) as libc::socklen_t,
                )
            }
        }
        SocketAddr::V6(v6) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: the pointer and length describe `name`, which outlives the call.
            unsafe {
                libc::bind(
                    socket.as_raw_fd(),
                    (&raw const name).cast(),
                    mem::size_of_val(&name) as libc::socklen_t,
                )
            }
        }
    };
    check(result)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_listener_takes_connections_and_its_port_is_then_taken() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        TcpStream::connect(address).unwrap();
        assert_eq!(
            listen(address).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_unix_socket_whose_queue_is_full_is_not_waited_for_without_end() {
        let name = format!("gatepost-connect-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let patience = Duration::from_millis(50);
        let missing = connect_unix(&path, patience).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // SAFETY: a plain system call on a descriptor we own; it shortens the queue.
        check(unsafe { libc::listen(listener.as_raw_fd(), 0) }).unwrap();
        let mut waiting = Vec::new();
        let full = loop {
            match connect_unix(&path, patience) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10_000, "its queue is never full");
        };
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
        assert!(!waiting.is_empty());
        std::fs::remove_file(&path).unwrap();
        let long = Path::new("/").join("x".repeat(UNIX_PATH_MAX_OCTETS));
        let refused = connect_unix(&long, patience).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn an_ipv6_listener_takes_no_ipv4() {
        let Ok(six) = listen("[::]:0".parse().unwrap()) else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let port = six.local_addr().unwrap().port();
        let four = listen(SocketAddr::from(([0, 0, 0, 0], port)));
        assert!(four.is_ok(), "{four:?}");
    }
}
