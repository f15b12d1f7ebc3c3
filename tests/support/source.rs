//! Connections from a loopback address of one's choice, which std cannot make.

#![allow(dead_code, unsafe_code)]

use std::io::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Connects to `to` from `from` and a port of the kernel's choice.
pub fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else {
        panic!("{to} is not IPv4");
    };
    // SAFETY: a plain system call; the result is checked before it is owned.
    let descriptor = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    assert!(descriptor >= 0, "{}", Error::last_os_error());
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let from = system_address(SocketAddrV4::new(from, 0));
    let to = system_address(to);
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: pointer and length describe `from`, which outlives the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const from).cast(), length) };
    assert_eq!(bound, 0, "{}", Error::last_os_error());
    // SAFETY: pointer and length describe `to`, which outlives the call.
    let connected = unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), length) };
    assert_eq!(connected, 0, "{}", Error::last_os_error());
    TcpStream::from(socket)
}

fn system_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: address.ip().to_bits().to_be(),
        },
        sin_zero: [0; 8],
    }
}
