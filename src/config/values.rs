//! Typed values: from what the operator wrote to what the program uses.
//!
//! Promises: what is accepted is in range and well formed; a reason names the value and says what
//! would be right. Refuses to know: which key a value belongs to, and any file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::mail::{Domain, Mailbox};

use super::keys::{Kind, Line};
use super::lists::RelayPattern;
use super::meant;
use super::settings::Network;

mod host_port;
mod items;

pub use host_port::HostPort;
pub(super) use items::List;

/// A path as it is written: a relative one begins at the file's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relative(pub String);

/// Why a value is refused, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The line the fault is on.
    pub line: usize,
    /// Why, in plain words.
    pub reason: String,
}

/// The reason: for what stands on no line of a file.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// An address as it is, for a name might be another one tomorrow; and a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let good = |address: &SocketAddr| {
        let is_plain = address.ip().to_canonical() == address.ip();
        address.port() != 0 && is_plain && !text.contains('%')
    };
    let parsed: Option<SocketAddr> = text.parse().ok();
    parsed.filter(good).ok_or_else(|| {
        format!("{text:?} is not ADDRESS:PORT, such as 127.0.0.1:9425 or [::1]:9425")
    })
}

pub(super) fn yes_no(text: &str) -> Result<bool, String> {
    if text.eq_ignore_ascii_case("yes") {
        return Ok(true);
    }
    if text.eq_ignore_ascii_case("no") {
        return Ok(false);
    }
    let meant = meant::write(meant::yes_no(text));
    Err(format!("{text:?} is not yes or no{meant}"))
}

/// Entries of a list that it takes and that can match nothing, with their lines.
pub(super) fn match_nothing(kind: &Kind, lines: &[Line]) -> Vec<Refused> {
    let list = List { lines };
    let found = list.items().filter_map(|(line, text)| {
        let reason = meant::matches_nothing(kind, text)?;
        Some(Refused { line, reason })
    });
    found.collect()
}

/// Decimal digits only: no sign and no leading zero, which another program might read as octal.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// A number from `min` to `max`.
pub(super) fn number_within(text: &str, (min, max): (u64, u64)) -> Result<u64, String> {
    let found = number(text).filter(|number| (min..=max).contains(number));
    found.ok_or_else(|| format!("{text:?} is not a number from {min} to {max}"))
}

/// The same, or 0.
pub(super) fn number_or_zero(text: &str, limits: (u64, u64)) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    number_within(text, limits).map_err(|_| {
        let (min, max) = limits;
        format!("{text:?} is neither 0 nor a number from {min} to {max}")
    })
}

/// What a text says, where it lies in a range that is written the same way.
fn within(read: fn(&str) -> Option<u64>, text: &str, (min, max): (&str, &str)) -> Option<u64> {
    read(text).filter(|value| read(min) <= Some(*value) && Some(*value) <= read(max))
}

pub(super) fn size(text: &str, (min, max): (&str, &str)) -> Result<u64, String> {
    within(octets, text, (min, max)).ok_or_else(|| {
        format!("{text:?} is not a size from {min} to {max}, such as 512K, 10M or 2G")
    })
}

fn octets(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    number(digits)?.checked_mul(1 << shift)
}

/// Seconds.
pub(super) fn duration(text: &str, (min, max): (&str, &str)) -> Result<u64, String> {
    within(seconds, text, (min, max)).ok_or_else(|| {
        format!("{text:?} is not a duration from {min} to {max}, such as 30s, 5m, 2h or 5d")
    })
}

/// Seconds; 0 for never.
pub(super) fn interval(text: &str, (min, max): (&str, &str)) -> Result<u64, String> {
    match text {
        "0" | "0s" => Ok(0),
        _ => duration(text, (min, max))
            .map_err(|_| format!("{text:?} is neither 0 nor a duration from {min} to {max}")),
    }
}

fn seconds(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number(digits)?.checked_mul(seconds)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    text.split_at(digits.len())
}

/// Why a text is none of these words.
pub(super) fn no_word(text: &str, words: &[&str]) -> String {
    match words {
        [only] => format!("{text:?} is not {only}"),
        _ => {
            let meant = meant::write(meant::enabled(text, words));
            format!("{text:?} is not one of {}{meant}", words.join(", "))
        }
    }
}

/// A name others can look up: no address, no address-literal, ASCII.
pub(super) fn host_name(text: &str) -> Result<Domain, String> {
    let domain = domain(text)?;
    if !text.is_ascii() {
        return Err(format!("{text:?} is not ASCII: write its xn-- form"));
    }
    Ok(domain)
}

/// The domain of a reverse-path; what is for every domain is `[smarthost]`.
pub(super) fn sender_domain(text: &str) -> Result<RelayPattern, String> {
    match RelayPattern::parse(text) {
        Ok(RelayPattern::Any) => Err("\"*\" is what [smarthost] is for".to_owned()),
        Ok(pattern) => Ok(pattern),
        Err(_) => {
            let meant = meant::write(meant::domain(text));
            Err(format!("{text:?} is not a domain or @domain{meant}"))
        }
    }
}

pub(super) fn mail_address(text: &str) -> Result<Option<Mailbox>, String> {
    match text {
        "" => Ok(None),
        text => Mailbox::parse(text)
            .map(Some)
            .map_err(|_| format!("{text:?} is not an address, or empty")),
    }
}

/// What can be connected to: a host name or an IP address without brackets.
pub(super) fn host(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() || host_name(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a host name or an IP address"))
}

/// The same; a mistake has what was probably meant.
pub(super) fn host_or_meant(text: &str) -> Result<String, String> {
    host(text).map_err(|reason| format!("{reason}{}", meant::write(meant::host(text))))
}

pub(super) fn login(text: &str) -> Result<String, String> {
    match text.len() <= LOGIN_MAX_OCTETS && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is longer than 255 octets or holds a control character"
        )),
    }
}

pub(super) fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text)
        .ok()
        .filter(|domain| !domain.is_literal() && text.parse::<IpAddr>().is_err())
        .ok_or_else(|| format!("{text:?} is not a domain name"))
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse::<IpAddr>()
        .map(|address| address.to_canonical())
        .map_err(|_| format!("{text:?} is not an IP address"))
}

/// The local end of a session, which is one address.
pub(super) fn site_address(text: &str) -> Result<IpAddr, String> {
    let address = address(text)?;
    match address.is_unspecified() {
        true => Err(format!(
            "{text:?} is no address a session has; leave the list empty for every address"
        )),
        false => Ok(address),
    }
}

pub(super) fn network(text: &str) -> Result<Network, String> {
    parse_network(text).unwrap_or_else(|| {
        let meant = meant::write(meant::network(text));
        Err(format!(
            "{text:?} is not a network, such as 192.0.2.0/24, 2001:db8::/32 or one address{meant}"
        ))
    })
}

/// A network; nothing where the text is none at all.
///
/// # Errors
/// Host bits are set: `192.0.2.1/24` is more often a slip than a wish.
pub(super) fn parse_network(text: &str) -> Option<Result<Network, String>> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(number(prefix)?)),
        None => (text, None),
    };
    let given = address.parse::<IpAddr>().ok()?;
    let address = given.to_canonical();
    let was_mapped = given.is_ipv6() && address.is_ipv4();
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        Some(prefix) if was_mapped => prefix.checked_sub(96)?,
        Some(prefix) => prefix,
    };
    let prefix = u8::try_from(prefix)
        .ok()
        .filter(|p| u64::from(*p) <= bits)?;
    let network = Network {
        address: without_host_bits(address, prefix),
        prefix,
    };
    Some(match network.address == address {
        true => Ok(network),
        false => Err(format!(
            "{text:?} is an address within a network; write {network} or {address}"
        )),
    })
}

fn without_host_bits(address: IpAddr, prefix: u8) -> IpAddr {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let host = width - u32::from(prefix);
    let bits = bits & u128::MAX.checked_shl(host).unwrap_or(0);
    match address {
        // Of an IPv4 address no bit above the lowest 32 was set.
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(0)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

pub(super) fn character(text: &str) -> Result<Option<char>, String> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (None, _) => Ok(None),
        (Some(c), None) if c.is_ascii_graphic() && !"@\"\\<>".contains(c) => Ok(Some(c)),
        _ => Err(format!(
            "{text:?} is not one character of an address, or empty"
        )),
    }
}

pub(super) fn account(text: &str) -> Result<String, String> {
    let good = text
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet));
    if good && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not an account's name"))
}

pub(super) fn user(text: &str) -> Result<String, String> {
    user_name(text).map_err(|reason| format!("{text:?} is not a user's name: {reason}"))
}

/// A user's name in lower case. It becomes a folder below the mail root, so what could leave that
/// folder or hide in it is refused.
pub fn user_name(text: &str) -> Result<String, &'static str> {
    let name = text.to_lowercase();
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > USER_NAME_MAX_OCTETS {
        return Err("it is longer than 64 octets");
    }
    if name.starts_with('.') {
        return Err("it begins with a dot");
    }
    if name.contains(['/', '@', ':']) {
        return Err("it holds one of / @ :");
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it holds a blank or a control character");
    }
    Ok(name)
}

/// A text we send.
pub(super) fn reply_text(text: &str) -> Result<String, String> {
    match text.bytes().all(|octet| (0x20..0x7f).contains(&octet)) {
        true => Ok(text.to_owned()),
        false => Err("only printable ASCII can be sent".to_owned()),
    }
}

/// The first reply line as the operator words it: a text of printable ASCII with placeholders.
pub(super) fn greeting(text: &str) -> Result<String, String> {
    reply_text(text)?;
    if !text.starts_with("{hostname}") {
        return Err("it must begin with {hostname}".to_owned());
    }
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once('{') {
        let (name, tail) = tail
            .split_once('}')
            .ok_or_else(|| "a \"{\" without its \"}\"".to_owned())?;
        if !["hostname", "date"].contains(&name) {
            return Err(format!("{{{name}}} is not {{hostname}} or {{date}}"));
        }
        rest = tail;
    }
    Ok(text.to_owned())
}

/// The longest name to log in with elsewhere (RFC 4616 asks servers for as much).
const LOGIN_MAX_OCTETS: usize = 255;
/// The longest user name; that of a local-part (RFC 5321 section 4.5.3.1.1).
pub const USER_NAME_MAX_OCTETS: usize = 64;

#[cfg(test)]
mod tests;
