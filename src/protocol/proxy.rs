//! The PROXY protocol's header, versions 1 and 2 (haproxy.org, proxy-protocol.txt): whom a connection is for.
//!
//! A proxy sends it once, before everything else. Octets are taken up to its end and not one further, so
//! what comes behind it belongs to the session; what cannot become a header any more is refused at the octet that
//! makes it so. Any split of the octets gives the same.
//!
//! | the header | means |
//! | --- | --- |
//! | `PROXY TCP4 …`, `PROXY TCP6 …` | a client, by its address |
//! | `PROXY UNKNOWN …` | the proxy itself |
//! | version 2, PROXY, TCP over IPv4 or IPv6 | a client, by its address |
//! | version 2, LOCAL | the proxy itself: a health check |
//! | version 2, PROXY, unspecified or a Unix socket | the proxy itself |
//! | anything else, datagrams among it | nothing: the connection has to be closed |
//!
//! Limits: [`TEXT_MAX_OCTETS`] in version 1; [`BLOCK_MAX_OCTETS`] behind the fixed part in version 2, of which only
//! the addresses are kept. Further values (TLVs) are skipped: what a proxy says of TLS makes no TLS session of ours.
//! Refuses to know: who may send a header.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1 with its CRLF, octets (section 2.1).
pub const TEXT_MAX_OCTETS: usize = 107;
/// The fixed part of version 2, octets (section 2.2).
pub const FIXED_OCTETS: usize = 16;
/// The most that may follow it: addresses and further values, octets. The specification speaks of 536 for the
/// whole; a proxy that tells of client certificates takes some more.
pub const BLOCK_MAX_OCTETS: usize = 2048;

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy itself, or somebody of whom it knows no address: the connection's own addresses count.
    Itself,
    /// A client. IPv4 addresses in an IPv6 form are told as IPv4.
    Client {
        /// The client's end.
        source: SocketAddr,
        /// The proxy's end of the client's connection.
        destination: SocketAddr,
    },
}

/// Why octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// They begin as neither version does.
    NoHeader,
    /// Version 1: a CR or LF by itself.
    BareLineEnd,
    /// Version 1: no CRLF within the limit.
    LineTooLong,
    /// Version 1: a protocol that is none of TCP4, TCP6 and UNKNOWN.
    Protocol,
    /// Version 1: fields, addresses or ports that are none.
    Fields,
    /// Version 2: another version or command.
    Command,
    /// Version 2: an unknown family, or datagrams.
    Family,
    /// Version 2: more octets announced than are taken.
    BlockTooLong,
    /// Version 2: fewer octets announced than the addresses need.
    BlockTooShort,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "no PROXY header",
            Self::BareLineEnd => "a bare CR or LF",
            Self::LineTooLong => "no line end within 107 octets",
            Self::Protocol => "neither TCP4, TCP6 nor UNKNOWN",
            Self::Fields => "addresses or ports that are none",
            Self::Command => "another version or command",
            Self::Family => "an unknown family, or datagrams",
            Self::BlockTooLong => "more than 2048 octets announced",
            Self::BlockTooShort => "fewer octets announced than addresses need",
        })
    }
}

/// What reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRead {
    /// More has to come.
    NeedsMore,
    /// The header is complete.
    Header(ProxyHeader),
    /// There will be none.
    Refused(ProxyFault),
}

/// Gathers a header.
#[derive(Debug)]
pub struct ProxyReader {
    kept: [u8; TEXT_MAX_OCTETS],
    /// How many octets have been taken; of version 2 more than are kept.
    taken: usize,
}

impl Default for ProxyReader {
    fn default() -> Self {
        Self {
            kept: [0; TEXT_MAX_OCTETS],
            taken: 0,
        }
    }
}

impl ProxyReader {
    /// Takes octets until the header is complete or cannot become one; tells how many. Once it has told
    /// something else than [`ProxyRead::NeedsMore`] it is not asked again.
    pub fn read(&mut self, input: &[u8]) -> (usize, ProxyRead) {
        for (at, octet) in input.iter().enumerate() {
            let read = self.take(*octet);
            if read != ProxyRead::NeedsMore {
                return (at + 1, read);
            }
        }
        (input.len(), ProxyRead::NeedsMore)
    }

    /// Whether anything of a header has come.
    pub fn has_begun(&self) -> bool {
        self.taken > 0
    }

    fn take(&mut self, octet: u8) -> ProxyRead {
        let at = self.taken;
        self.taken += 1;
        if let Some(place) = self.kept.get_mut(at) {
            *place = octet;
        }
        match self.kept[0] == SIGNATURE[0] {
            true => self.binary(at, octet),
            false => self.text(at, octet),
        }
    }

    /// Version 1, looked at with each octet: a line that is too long is known by its last one.
    fn text(&self, at: usize, octet: u8) -> ProxyRead {
        if TEXT_START.get(at).is_some_and(|wanted| *wanted != octet) {
            return ProxyRead::Refused(ProxyFault::NoHeader);
        }
        let before = self.kept.get(TEXT_START.len()..at).unwrap_or_default();
        let text = before.strip_suffix(b"\r");
        if text.is_some() != (octet == b'\n') {
            return ProxyRead::Refused(ProxyFault::BareLineEnd);
        }
        if let Some(text) = text {
            return match parse_text(text) {
                Ok(header) => ProxyRead::Header(header),
                Err(fault) => ProxyRead::Refused(fault),
            };
        }
        match self.taken < TEXT_MAX_OCTETS {
            true => ProxyRead::NeedsMore,
            false => ProxyRead::Refused(ProxyFault::LineTooLong),
        }
    }

    /// Version 2: each octet of the fixed part is judged when it comes, the block by its announced length.
    fn binary(&self, at: usize, octet: u8) -> ProxyRead {
        let fault = match at {
            VERSION_AND_COMMAND if octet != LOCAL && octet != PROXY => Some(ProxyFault::Command),
            FAMILY if !self.is_local() && addresses_of(octet).is_none() => Some(ProxyFault::Family),
            LENGTH_LOW if self.block_octets() > BLOCK_MAX_OCTETS => Some(ProxyFault::BlockTooLong),
            LENGTH_LOW if self.block_octets() < self.addresses() => Some(ProxyFault::BlockTooShort),
            _ => match SIGNATURE.get(at) {
                Some(wanted) if *wanted != octet => Some(ProxyFault::NoHeader),
                Some(_) | None => None,
            },
        };
        if let Some(fault) = fault {
            return ProxyRead::Refused(fault);
        }
        let is_whole = at >= LENGTH_LOW && self.taken == FIXED_OCTETS + self.block_octets();
        match is_whole {
            true => ProxyRead::Header(self.parse_block()),
            false => ProxyRead::NeedsMore,
        }
    }

    fn is_local(&self) -> bool {
        self.kept.get(VERSION_AND_COMMAND) == Some(&LOCAL)
    }

    /// How many octets are announced to follow the fixed part.
    fn block_octets(&self) -> usize {
        usize::from(u16::from_be_bytes([
            self.kept[LENGTH_LOW - 1],
            self.kept[LENGTH_LOW],
        ]))
    }

    /// How many octets its addresses take. LOCAL has its family ignored.
    fn addresses(&self) -> usize {
        match self.is_local() {
            true => 0,
            false => addresses_of(self.kept[FAMILY]).unwrap_or_default(),
        }
    }

    fn parse_block(&self) -> ProxyHeader {
        let block = self.kept.get(FIXED_OCTETS..).unwrap_or_default();
        let ends = match (self.is_local(), self.kept[FAMILY]) {
            (false, TCP_OVER_IPV4) => ends::<4>(block),
            (false, TCP_OVER_IPV6) => ends::<16>(block),
            _ => None,
        };
        match ends {
            Some((source, destination)) => client(source, destination),
            None => ProxyHeader::Itself,
        }
    }
}

/// How many octets the addresses of a family take; none of one that is unknown, or of datagrams.
fn addresses_of(family: u8) -> Option<usize> {
    match family {
        UNSPECIFIED => Some(0),
        TCP_OVER_IPV4 => Some(2 * (4 + 2)),
        TCP_OVER_IPV6 => Some(2 * (16 + 2)),
        UNIX_STREAM => Some(2 * 108),
        _ => None,
    }
}

/// Both ends of a connection from a block: two addresses, then two ports.
fn ends<const OCTETS: usize>(block: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    IpAddr: From<[u8; OCTETS]>,
{
    let (source, rest) = block.split_first_chunk::<OCTETS>()?;
    let (destination, rest) = rest.split_first_chunk::<OCTETS>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    let end = |address: &[u8; OCTETS], port: &[u8; 2]| {
        SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes(*port))
    };
    Some((end(source, source_port), end(destination, destination_port)))
}

/// What follows `PROXY ` in a line of version 1, without its CRLF.
fn parse_text(text: &[u8]) -> Result<ProxyHeader, ProxyFault> {
    // What UNKNOWN is followed by is not looked at, whatever it is.
    if text == UNKNOWN
        || text
            .strip_prefix(UNKNOWN)
            .is_some_and(|rest| rest.starts_with(b" "))
    {
        return Ok(ProxyHeader::Itself);
    }
    let text = std::str::from_utf8(text).map_err(|_| ProxyFault::Fields)?;
    let mut fields = text.split(' ');
    let parse: fn(&str) -> Option<IpAddr> = match fields.next() {
        Some("TCP4") => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(ProxyFault::Protocol),
    };
    let mut address = || fields.next().and_then(parse);
    let (source, destination) = (address(), address());
    let mut port = || fields.next().and_then(port_of);
    let (source_port, destination_port) = (port(), port());
    let all = (source, destination, source_port, destination_port);
    match (all, fields.next()) {
        ((Some(source), Some(destination), Some(from), Some(to)), None) => Ok(client(
            SocketAddr::new(source, from),
            SocketAddr::new(destination, to),
        )),
        _ => Err(ProxyFault::Fields),
    }
}

/// Decimal digits, without zeroes in front.
fn port_of(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    let has_zeroes = text.len() > 1 && text.starts_with('0');
    (is_plain && !has_zeroes).then(|| text.parse().ok())?
}

fn client(source: SocketAddr, destination: SocketAddr) -> ProxyHeader {
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    ProxyHeader::Client {
        source: canonical(source),
        destination: canonical(destination),
    }
}

const TEXT_START: &[u8] = b"PROXY ";
const UNKNOWN: &[u8] = b"UNKNOWN";
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Where the octets behind the signature stand.
const VERSION_AND_COMMAND: usize = 12;
const FAMILY: usize = 13;
const LENGTH_LOW: usize = 15;
/// Version 2 and the commands it has.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// The families that are taken; the low half 1 is a stream.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "192.0.2.7:40000 198.51.100.1:25";

    /// A header of version 2.
    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        header.extend(block);
        header
    }

    fn block<const OCTETS: usize>(source: [u8; OCTETS], destination: [u8; OCTETS]) -> Vec<u8> {
        let ports = [40000_u16.to_be_bytes(), 25_u16.to_be_bytes()].concat();
        [&source[..], &destination, &ports].concat()
    }

    /// In one word: both ends, `itself`, `more`, or the fault.
    fn read(wire: &[u8], split: usize) -> (usize, String) {
        let mut reader = ProxyReader::default();
        let (head, _) = wire.split_at(split);
        let (used, mut read) = reader.read(head);
        let mut taken = used;
        if read == ProxyRead::NeedsMore {
            assert_eq!(used, head.len());
            let (used, next) = reader.read(&wire[taken..]);
            (taken, read) = (taken + used, next);
        }
        let said = match read {
            ProxyRead::NeedsMore => "more".to_owned(),
            ProxyRead::Header(ProxyHeader::Itself) => "itself".to_owned(),
            ProxyRead::Header(ProxyHeader::Client {
                source,
                destination,
            }) => format!("{source} {destination}"),
            ProxyRead::Refused(fault) => format!("{fault:?}"),
        };
        (taken, said)
    }

    fn assert_reads(wire: &[u8], want: &str) {
        for split in 0..=wire.len() {
            let (taken, said) = read(wire, split);
            assert_eq!(said, want, "{:?} at {split}", String::from_utf8_lossy(wire));
            // A header that is whole is taken whole, and what follows it is left alone.
            let mut longer = wire.to_vec();
            longer.extend(b"EHLO x\r\n");
            if want != "more" {
                assert_eq!(read(&longer, split), (taken, said), "{split}");
            }
        }
    }

    #[test]
    fn text_is_read_line_by_line() {
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
        assert_eq!(long.len(), TEXT_MAX_OCTETS);
        let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe \
                       ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        let rows = [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", ANY),
            (
                "PROXY TCP6 2001:db8::7 2001:db8::1 1 465\r\n",
                "[2001:db8::7]:1 [2001:db8::1]:465",
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 25\r\n",
                ANY,
            ),
            (
                longest,
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535 \
                 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            ),
            ("PROXY UNKNOWN\r\n", "itself"),
            ("PROXY UNKNOWN 192.0.2.7 what ever\r\n", "itself"),
            (long.as_str(), "itself"),
            (
                "PROXY TCP4 0.0.0.0 255.255.255.255 0 0\r\n",
                "0.0.0.0:0 255.255.255.255:0",
            ),
            ("", "more"),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r", "more"),
            (too_long.as_str(), "LineTooLong"),
            ("PROXY UNKNOWNS\r\n", "Protocol"),
            ("PROXY \r\n", "Protocol"),
            ("PROXY UDP4 192.0.2.7 198.51.100.1 40000 25\r\n", "Protocol"),
            ("PROXY tcp4 192.0.2.7 198.51.100.1 40000 25\r\n", "Protocol"),
            ("PROXY TCP4\r\n", "Fields"),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n", "Fields"),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 25 \r\n", "Fields"),
            ("PROXY TCP4  192.0.2.7 198.51.100.1 40000 25\r\n", "Fields"),
            ("PROXY TCP4 192.0.2.07 198.51.100.1 40000 25\r\n", "Fields"),
            ("PROXY TCP4 192.0.2 198.51.100.1 40000 25\r\n", "Fields"),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 025\r\n", "Fields"),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 +25\r\n", "Fields"),
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 40000 65536\r\n",
                "Fields",
            ),
            ("PROXY TCP4 192.0.2.7 198.51.100.1  25\r\n", "Fields"),
            ("PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", "Fields"),
            ("PROXY TCP6 192.0.2.7 198.51.100.1 1 25\r\n", "Fields"),
            ("PROXY TCP6 fe80::1%1 2001:db8::1 1 25\r\n", "Fields"),
            (
                "PROXY TCP4 192.0.2.\u{0667} 198.51.100.1 1 25\r\n",
                "Fields",
            ),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1 25\n", "BareLineEnd"),
            ("PROXY UNKNOWN a\rb\r\n", "BareLineEnd"),
            ("PROXY\r\n", "NoHeader"),
            ("PROXYTCP4", "NoHeader"),
            ("proxy TCP4", "NoHeader"),
            ("EHLO there.example\r\n", "NoHeader"),
            ("\u{16}\u{3}\u{1}", "NoHeader"),
        ];
        for (wire, want) in rows {
            assert_reads(wire.as_bytes(), want);
        }
    }

    #[test]
    fn binary_is_read_by_its_length() {
        let four = block([192, 0, 2, 7], [198, 51, 100, 1]);
        let six = |last: u8| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).octets();
        let mapped = |four: [u8; 4]| Ipv4Addr::from(four).to_ipv6_mapped().octets();
        let with = |block: &[u8], more: usize| [block, &vec![0xff; more]].concat();
        let rows = [
            (binary(0x21, 0x11, &four), ANY),
            (binary(0x21, 0x11, &with(&four, 90)), ANY),
            (binary(0x21, 0x11, &with(&four, BLOCK_MAX_OCTETS - 12)), ANY),
            (
                binary(0x21, 0x21, &block(six(7), six(1))),
                "[2001:db8::7]:40000 [2001:db8::1]:25",
            ),
            (
                binary(
                    0x21,
                    0x21,
                    &block(mapped([192, 0, 2, 7]), mapped([198, 51, 100, 1])),
                ),
                ANY,
            ),
            (binary(0x20, 0x00, b""), "itself"),
            // LOCAL: whatever else it says is skipped.
            (binary(0x20, 0x11, &four), "itself"),
            (binary(0x20, 0x11, b"short"), "itself"),
            (binary(0x20, 0xff, b"x"), "itself"),
            (binary(0x21, 0x00, b""), "itself"),
            (binary(0x21, 0x00, &[7; 40]), "itself"),
            (binary(0x21, 0x31, &[b'/'; 216]), "itself"),
            (binary(0x21, 0x31, &[b'/'; 215]), "BlockTooShort"),
            (binary(0x21, 0x11, &four[..11]), "BlockTooShort"),
            (binary(0x21, 0x21, &four), "BlockTooShort"),
            (binary(0x21, 0x12, &four), "Family"),
            (binary(0x21, 0x22, &block(six(7), six(1))), "Family"),
            (binary(0x21, 0x32, &[b'/'; 216]), "Family"),
            (binary(0x21, 0x41, &four), "Family"),
            (binary(0x22, 0x11, &four), "Command"),
            (binary(0x11, 0x11, &four), "Command"),
            (binary(0x31, 0x11, &four), "Command"),
            (
                binary(0x21, 0x11, &with(&four, BLOCK_MAX_OCTETS)),
                "BlockTooLong",
            ),
            (
                binary(0x20, 0x00, &[0; BLOCK_MAX_OCTETS + 1]),
                "BlockTooLong",
            ),
            (b"\r\n\r\n\0\r\nQUIT\r\n".to_vec(), "NoHeader"),
            (b"\r\nQUIT\r\n".to_vec(), "NoHeader"),
        ];
        for (wire, want) in rows {
            assert_reads(&wire, want);
        }
    }
}
