//! Names to addresses, as the system resolves them (hosts file, DNS, whatever it is set up for). Where this
//! process has a helper, that asks ([`helper`]).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::helper;

/// The addresses of a host name or an IP address, each once, in the order the system gives them, at
/// most `most`. Blocks for as long as the system's resolver does.
///
/// # Errors
/// There is no such name, or no name server answers.
pub fn addresses(host: &str, port: u16, most: usize) -> io::Result<Vec<SocketAddr>> {
    if let Some(helper) = helper::current() {
        return helper.sockets(host, port, most);
    }
    let mut addresses = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) && addresses.len() < most {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )),
        false => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_for_themselves_and_unknown_names_fail() {
        let six = addresses("::1", 587, 8).unwrap();
        assert_eq!(six, ["[::1]:587".parse().unwrap()]);
        let four = addresses("127.0.0.1", 25, 8).unwrap();
        assert_eq!(four, ["127.0.0.1:25".parse().unwrap()]);
        assert!(addresses("no such name", 25, 8).is_err());
    }
}
