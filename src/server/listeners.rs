//! Binds the ports.
//!
//! A listed address that cannot be bound is an error. With the default `addresses`, an address
//! family that this machine lacks is skipped with a log line (CONFIG: ports).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::settings::{Port, Settings};
use crate::events;
use crate::sys::socket;

/// A bound port.
#[derive(Debug)]
pub struct Bound {
    /// Index of the port in the settings.
    pub port: usize,
    /// The address it listens on.
    pub address: SocketAddr,
    /// The listener.
    pub listener: TcpListener,
}

/// A port could not be bound.
#[derive(Debug)]
pub struct BindError {
    port: String,
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            port,
            address,
            source,
        } = self;
        write!(f, "port {port} cannot listen on {address}: ")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => f.write_str("another program has it"),
            io::ErrorKind::AddrNotAvailable => f.write_str("this machine has no such address"),
            io::ErrorKind::PermissionDenied => {
                f.write_str("only root, or a program with CAP_NET_BIND_SERVICE, may")
            }
            _ => source.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds every enabled port on each of its addresses.
///
/// # Errors
/// Every address that could not be bound.
pub fn bind(settings: &Settings) -> Result<Vec<Bound>, Vec<BindError>> {
    let mut bound = Vec::new();
    let mut errors = Vec::new();
    for (index, port) in settings
        .ports
        .iter()
        .enumerate()
        .filter(|(_, port)| port.enabled)
    {
        for address in port.socket_addresses() {
            match socket::listen(address) {
                Ok(listener) => bound.push(Bound {
                    port: index,
                    address: listener.local_addr().unwrap_or(address),
                    listener,
                }),
                Err(error) if is_missing_family(port, &error) => {
                    events::address_skipped(&port.name, address, "this machine has no such family");
                }
                Err(source) => {
                    errors.push(BindError {
                        port: port.name.clone(),
                        address,
                        source,
                    });
                }
            }
        }
    }
    if errors.is_empty() {
        Ok(bound)
    } else {
        Err(errors)
    }
}

fn is_missing_family(port: &Port, error: &io::Error) -> bool {
    port.addresses_are_default
        && (error.raw_os_error() == Some(libc::EAFNOSUPPORT)
            || error.kind() == io::ErrorKind::AddrNotAvailable)
}
