//! The system's resolver: names, addresses and mail exchangers, as this machine's own configuration
//! (`/etc/nsswitch.conf`, `/etc/resolv.conf`, `/etc/hosts`) finds them. Where this process has a helper, that
//! asks ([`helper`]).
//!
//! Promises: every function returns what libc said, as owned values, or [`NoAnswer`]. Refuses to know:
//! how long it takes. These calls block for as long as libc likes, so only threads that may hang make
//! them.
//!
//! Limits: [`ADDRESSES_MAX`] addresses of a name; an answer of [`ANSWER_MAX_OCTETS`]; of several names of
//! an address libc gives one. musl says "no such name" of an address also when DNS failed.

use std::ffi::{CStr, CString};
use std::fmt;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use super::helper;

/// Addresses of one name that are looked at.
pub const ADDRESSES_MAX: usize = 256;
/// The longest answer to a question for mail exchangers that is looked at, in octets.
pub const ANSWER_MAX_OCTETS: usize = 8 * 1024;
/// Room for a name as libc prints it; `NI_MAXHOST` of glibc.
const NAME_MAX_OCTETS: usize = 1025;
/// No address of the family asked for; glibc only, and not in the libc crate.
const EAI_ADDRFAMILY: libc::c_int = -9;
/// DNS class IN (RFC 1035 section 3.2.4).
const CLASS_IN: libc::c_int = 1;
/// DNS type MX (RFC 1035 section 3.2.2).
const TYPE_MX: libc::c_int = 15;
/// `h_errno`: there is no such name.
const HOST_NOT_FOUND: libc::c_int = 1;
/// `h_errno`: no answer; it may come later.
const TRY_AGAIN: libc::c_int = 2;
/// `h_errno`: the name has nothing of the type asked for.
const NO_DATA: libc::c_int = 4;

// In libc itself since glibc 2.34, and in musl; the libc crate does not have them.
unsafe extern "C" {
    fn res_query(
        name: *const libc::c_char,
        class: libc::c_int,
        kind: libc::c_int,
        answer: *mut libc::c_uchar,
        length: libc::c_int,
    ) -> libc::c_int;
    fn __h_errno_location() -> *mut libc::c_int;
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such name or address, or nothing of the kind that was asked for.
    NotFound,
    /// The resolver failed; another time it may know.
    Failed,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such name",
            Self::Failed => "the name service does not answer",
        })
    }
}

impl std::error::Error for NoAnswer {}

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Both.
    Any,
}

/// The addresses of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The name they belong to in the end: behind aliases, and with the search domain that was added.
    pub canonical: String,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
}

/// The name of an address.
///
/// # Errors
/// [`NoAnswer`]; a name that is not text counts as none.
pub fn name_of(address: IpAddr) -> Result<String, NoAnswer> {
    if let Some(helper) = helper::current() {
        return helper.name_of(address);
    }
    match address {
        IpAddr::V4(address) => name_of_socket(&libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes(address.octets()),
            },
            sin_zero: [0; 8],
        }),
        IpAddr::V6(address) => name_of_socket(&libc::sockaddr_in6 {
            sin6_family: libc::AF_INET6 as libc::sa_family_t,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr {
                s6_addr: address.octets(),
            },
            sin6_scope_id: 0,
        }),
    }
}

/// `Socket` is one of the system's `sockaddr_…`.
fn name_of_socket<Socket>(socket: &Socket) -> Result<String, NoAnswer> {
    let mut name = [0_u8; NAME_MAX_OCTETS];
    // SAFETY: both pointers are valid for the lengths given with them and outlive the call; no
    // service is asked for.
    let outcome = unsafe {
        libc::getnameinfo(
            ptr::from_ref(socket).cast(),
            mem::size_of::<Socket>() as libc::socklen_t,
            name.as_mut_ptr().cast(),
            name.len() as libc::socklen_t,
            ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    match outcome {
        0 => CStr::from_bytes_until_nul(&name)
            .ok()
            .and_then(|name| name.to_str().ok())
            .map(str::to_owned)
            .ok_or(NoAnswer::NotFound),
        libc::EAI_NONAME | libc::EAI_OVERFLOW => Err(NoAnswer::NotFound),
        _ => Err(NoAnswer::Failed),
    }
}

/// The addresses of `name`. A name that ends with a dot is absolute: no search domain is tried.
///
/// # Errors
/// [`NoAnswer`].
pub fn addresses_of(name: &str, family: Family) -> Result<Addresses, NoAnswer> {
    if let Some(helper) = helper::current() {
        return helper.addresses_of(name, family);
    }
    let name = CString::new(name).map_err(|_| NoAnswer::NotFound)?;
    let hints = libc::addrinfo {
        ai_flags: libc::AI_CANONNAME,
        ai_family: match family {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
            Family::Any => libc::AF_UNSPEC,
        },
        // Without it each address comes once for every kind of socket.
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    };
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: the name is a C string, `hints` is whole and `list` takes a pointer; all outlive the call.
    let outcome =
        unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    match outcome {
        0 => Ok(take_list(list)),
        libc::EAI_NONAME | libc::EAI_NODATA | EAI_ADDRFAMILY => Err(NoAnswer::NotFound),
        _ => Err(NoAnswer::Failed),
    }
}

/// Copies what `getaddrinfo` gave and frees it.
fn take_list(list: *mut libc::addrinfo) -> Addresses {
    let mut taken = Addresses::default();
    let mut next = list;
    while !next.is_null() && taken.addresses.len() < ADDRESSES_MAX {
        // SAFETY: a successful getaddrinfo gives a list of whole entries that ends with null, which
        // nobody else has and which is freed only below.
        let entry = unsafe { &*next };
        if !entry.ai_canonname.is_null() {
            // SAFETY: where there is a canonical name it is a C string that lives as long as the list.
            let name = unsafe { CStr::from_ptr(entry.ai_canonname) };
            taken.canonical = name.to_string_lossy().into_owned();
        }
        taken.addresses.extend(address_in(entry));
        next = entry.ai_next;
    }
    if !list.is_null() {
        // SAFETY: the list came from getaddrinfo, and nothing of it is kept.
        unsafe { libc::freeaddrinfo(list) };
    }
    taken
}

fn address_in(entry: &libc::addrinfo) -> Option<IpAddr> {
    let length = entry.ai_addrlen as usize;
    if entry.ai_addr.is_null() {
        return None;
    }
    match entry.ai_family {
        libc::AF_INET if length >= mem::size_of::<libc::sockaddr_in>() => {
            // SAFETY: the entry says that there is a whole sockaddr_in; no alignment is assumed.
            let socket = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in>()) };
            let octets = socket.sin_addr.s_addr.to_ne_bytes();
            Some(IpAddr::V4(Ipv4Addr::from(octets)))
        }
        libc::AF_INET6 if length >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: the entry says that there is a whole sockaddr_in6; no alignment is assumed.
            let socket = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in6>()) };
            Some(IpAddr::V6(Ipv6Addr::from(socket.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

/// What DNS answers to the question for the mail exchangers of `name`, as it came: a message by RFC 1035
/// section 4, from the network, to be read with care. The name is taken as absolute.
///
/// # Errors
/// [`NoAnswer`]. musl of before 1.2.4 gives the answer also where the name is not there: its header says so.
pub fn mail_exchangers_of(name: &str) -> Result<Vec<u8>, NoAnswer> {
    if let Some(helper) = helper::current() {
        return helper.mail_exchangers_of(name);
    }
    let name = CString::new(name).map_err(|_| NoAnswer::NotFound)?;
    let mut answer = vec![0_u8; ANSWER_MAX_OCTETS];
    // SAFETY: the location is this thread's own h_errno and always valid. Where res_query leaves it alone
    // while it fails, it counts as "try again".
    unsafe { *__h_errno_location() = TRY_AGAIN };
    // SAFETY: the name is a C string, and `answer` is writable for the length given; both outlive the call.
    let length = unsafe {
        res_query(
            name.as_ptr(),
            CLASS_IN,
            TYPE_MX,
            answer.as_mut_ptr(),
            ANSWER_MAX_OCTETS as libc::c_int,
        )
    };
    if let Ok(length) = usize::try_from(length) {
        // A longer answer than fits may be told with its whole length.
        answer.truncate(length);
        return Ok(answer);
    }
    // SAFETY: as above.
    match unsafe { *__h_errno_location() } {
        HOST_NOT_FOUND | NO_DATA => Err(NoAnswer::NotFound),
        _ => Err(NoAnswer::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_name_table_is_read() {
        let found = addresses_of("localhost", Family::V4).unwrap();
        assert!(found.addresses.contains(&IpAddr::from([127, 0, 0, 1])));
        assert_eq!(found.canonical, "localhost");
        assert!(name_of(IpAddr::from([127, 0, 0, 1])).is_ok());
    }

    #[test]
    fn a_name_with_a_nul_is_not_found() {
        assert_eq!(addresses_of("a\0b", Family::Any), Err(NoAnswer::NotFound));
        assert_eq!(mail_exchangers_of("a\0b"), Err(NoAnswer::NotFound));
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for address in ["192.0.2.77", "2001:db8::77"] {
            let found = addresses_of(address, Family::Any).unwrap();
            assert_eq!(found.addresses, [address.parse::<IpAddr>().unwrap()]);
        }
        assert_eq!(
            addresses_of("192.0.2.77", Family::V6),
            Err(NoAnswer::NotFound)
        );
    }
}
