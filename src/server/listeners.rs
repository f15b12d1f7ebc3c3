//! The listeners that the settings want, and binding them.
//!
//! A listed address that cannot be bound is an error. With the default `addresses`, an address
//! family that this machine lacks is skipped with a log line (CONFIG: ports). Where a service manager has
//! opened a socket on the very address, that one is used; one that bears a port's name is for this port only.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::config::settings::{Port, PortKind, Settings};
use crate::events;
use crate::sys::inherited::Inherited;
use crate::sys::socket;

/// A listener that the settings want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The port's name.
    pub port: Arc<str>,
    /// How the port speaks.
    pub kind: PortKind,
    /// The address to listen on.
    pub address: SocketAddr,
    /// Whether it may be missing: a default address.
    pub is_default: bool,
}

/// A port could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The port's name.
    pub port: Arc<str>,
    /// The address that cannot be had.
    pub address: SocketAddr,
    /// Why.
    pub reason: Reason,
}

/// Why an address cannot be had.
#[derive(Debug)]
pub enum Reason {
    /// The system says so.
    System(io::Error),
    /// This port of ours has it, and could not let it go.
    HeldBy(Arc<str>),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            port,
            address,
            reason,
        } = self;
        write!(f, "port {port} cannot listen on {address}: {reason}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::HeldBy(other) => return write!(f, "port {other} still has it"),
            Self::System(error) => error,
        };
        match error.kind() {
            io::ErrorKind::AddrInUse => f.write_str("another program has it"),
            io::ErrorKind::AddrNotAvailable => f.write_str("this machine has no such address"),
            io::ErrorKind::PermissionDenied => {
                f.write_str("only root, or a program with CAP_NET_BIND_SERVICE, may")
            }
            _ => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::System(error) => Some(error),
            Reason::HeldBy(_) => None,
        }
    }
}

/// What the settings want, in the order of the ports.
pub fn wanted(settings: &Settings) -> Vec<Want> {
    let mut wants = Vec::new();
    for port in settings.ports.iter().filter(|port| port.enabled) {
        let name: Arc<str> = port.name.as_str().into();
        wants.extend(port.socket_addresses().map(|address| Want {
            port: Arc::clone(&name),
            kind: port.kind,
            address,
            is_default: port.addresses_are_default,
        }));
    }
    wants
}

/// Binds everything that the settings want, or takes what was inherited for it; what may be missing and is
/// has a log line, and so has what was inherited in vain.
///
/// # Errors
/// Every address that could not be bound.
pub fn bind(
    settings: &Settings,
    inherited: Vec<Inherited>,
) -> Result<Vec<(Want, TcpListener)>, Vec<BindError>> {
    let mut bound = Vec::new();
    let mut errors = Vec::new();
    let wants = wanted(settings);
    let inherited = inherited_for(settings, &wants, inherited);
    for (want, inherited) in wants.into_iter().zip(inherited) {
        if let Some(listener) = inherited {
            bound.push((want, listener));
            continue;
        }
        match socket::listen(want.address) {
            Ok(listener) => bound.push((want, listener)),
            Err(error) if want.may_miss(&error) => want.log_missing(),
            Err(error) => errors.push(want.failed(Reason::System(error))),
        }
    }
    if errors.is_empty() {
        Ok(bound)
    } else {
        Err(errors)
    }
}

/// What was inherited for each of those wanted. The rest is closed before anything is bound: it may be in
/// the way.
fn inherited_for(
    settings: &Settings,
    wants: &[Want],
    inherited: Vec<Inherited>,
) -> Vec<Option<TcpListener>> {
    let mut found: Vec<Option<TcpListener>> = wants.iter().map(|_| None).collect();
    for Inherited { name, listener } in inherited {
        let (address, listener) = match listener {
            Ok(usable) => usable,
            Err(reason) => {
                events::manager::socket_unused(&name, reason);
                continue;
            }
        };
        // What systemd calls a socket that has no name of its own is no port's name.
        let named = settings.ports.iter().find(|port| port.name == name);
        let mut places = wants.iter().zip(&mut found);
        let place = places.find(|(want, place)| {
            let is_its = named.is_none_or(|port| *port.name == *want.port);
            is_its && want.is_for(address) && place.is_none()
        });
        match place {
            Some((want, place)) => {
                events::manager::socket_inherited(&want.port, address, &name);
                *place = Some(listener);
            }
            None => events::manager::socket_unused(&name, in_vain(named, address)),
        }
    }
    found
}

/// Why nobody uses a socket on this address.
fn in_vain(named: Option<&Port>, address: SocketAddr) -> String {
    match named {
        None => format!("no port that is enabled listens on {address}"),
        Some(port) if port.enabled => {
            format!("port {} does not listen on {address}", port.name)
        }
        Some(port) => format!("port {} is disabled", port.name),
    }
}

impl Want {
    /// By what is configured: an address there has no scope.
    fn is_for(&self, address: SocketAddr) -> bool {
        self.address.ip() == address.ip() && self.address.port() == address.port()
    }

    pub(crate) fn failed(&self, reason: Reason) -> BindError {
        BindError {
            port: Arc::clone(&self.port),
            address: self.address,
            reason,
        }
    }

    /// Whether the error says that the machine lacks this family, and that is no fault.
    pub(crate) fn may_miss(&self, error: &io::Error) -> bool {
        self.is_default
            && (error.raw_os_error() == Some(libc::EAFNOSUPPORT)
                || error.kind() == io::ErrorKind::AddrNotAvailable)
    }

    pub(crate) fn log_missing(&self) {
        let reason = "this machine has no such family";
        events::address_skipped(&self.port, self.address, reason);
    }
}
