//! PROXY headers: no split changes them, none takes more than its limit, and what is understood is written again
//! and comes back as itself.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use gatepost::protocol::proxy::{
    BLOCK_MAX_OCTETS, FIXED_OCTETS, ProxyHeader, ProxyRead, ProxyReader, TEXT_MAX_OCTETS,
};
use gatepost_fuzz::Random;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

const TOKENS: &[&[u8]] = &[
    SIGNATURE,
    b"\x20",
    b"\x21",
    b"\x11\0\x0c",
    b"\x21\0\x24",
    b"\x31\0\xd8",
    b"\0\0\0",
    b"\x07\xff",
    b"\x08\0",
    b"PROXY ",
    b"TCP4 ",
    b"TCP6 ",
    b"UNKNOWN",
    b"192.0.2.1 ",
    b"2001:db8::1 ",
    b"::ffff:192.0.2.1 ",
    b"40000 25",
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"0",
    b"EHLO x\r\n",
    &[b'f'; 100],
    &[0; 300],
];

fn main() -> ExitCode {
    let block = [192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 0, 25];
    let corpus = vec![
        b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\nEHLO x\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n".to_vec(),
        b"PROXY UNKNOWN whatever\r\n".to_vec(),
        [SIGNATURE, b"\x21\x11\0\x0c", &block].concat(),
        [
            SIGNATURE,
            b"\x21\x11\0\x13",
            &block,
            b"\x20\0\x04abcd",
            b"EHLO x\r\n",
        ]
        .concat(),
        [SIGNATURE, b"\x21\x21\0\x24", &block, &block, &block].concat(),
        [SIGNATURE, b"\x20\0\0\0QUIT\r\n"].concat(),
    ];
    gatepost_fuzz::main("proxy", corpus, TOKENS, run)
}

fn run(input: &[u8], random: &mut Random) {
    let (taken, read) = header(&[input]);
    let pieces = random.split(input);
    assert_eq!(header(&pieces), (taken, read), "a split changes the header");
    let is_binary = input.first() == SIGNATURE.first();
    let longest = match is_binary {
        true => FIXED_OCTETS + BLOCK_MAX_OCTETS,
        false => TEXT_MAX_OCTETS,
    };
    assert!(taken <= longest, "{taken} octets");
    match read {
        ProxyRead::NeedsMore => assert!(taken == input.len() && taken < longest),
        ProxyRead::Refused(fault) => assert!(!fault.to_string().is_empty()),
        ProxyRead::Header(ProxyHeader::Itself) => {}
        ProxyRead::Header(ProxyHeader::Client {
            source,
            destination,
        }) => comes_back(source, destination),
    }
}

/// How many octets were taken, and what came of them. What follows is not looked at.
fn header(pieces: &[&[u8]]) -> (usize, ProxyRead) {
    let (mut reader, mut taken) = (ProxyReader::default(), 0);
    for piece in pieces {
        let (used, read) = reader.read(piece);
        taken += used;
        if read != ProxyRead::NeedsMore {
            return (taken, read);
        }
        assert_eq!(used, piece.len(), "octets are left over");
    }
    (taken, ProxyRead::NeedsMore)
}

/// The same ends, written by a plain writer of both versions, are read as the same.
fn comes_back(source: SocketAddr, destination: SocketAddr) {
    for end in [source, destination] {
        assert_eq!(end.ip(), end.ip().to_canonical(), "not canonical");
    }
    let six = source.is_ipv6() || destination.is_ipv6();
    let form = |end: SocketAddr| match end.ip() {
        IpAddr::V4(four) if six => IpAddr::V6(four.to_ipv6_mapped()),
        other => other,
    };
    let (from, to) = (form(source), form(destination));
    let family = if six { "TCP6" } else { "TCP4" };
    let ports = (source.port(), destination.port());
    let text = format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1);
    let octets = |address| match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    };
    let ports = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    let block = [octets(from), octets(to), ports].concat();
    let kind: &[u8] = if six { b"\x21\x21\0" } else { b"\x21\x11\0" };
    let length = u8::try_from(block.len()).expect("two addresses are few octets");
    let binary = [SIGNATURE, kind, &[length], &block].concat();
    let want = ProxyRead::Header(ProxyHeader::Client {
        source,
        destination,
    });
    for wire in [text.as_bytes(), &binary] {
        assert_eq!(header(&[wire]), (wire.len(), want), "{wire:?}");
    }
}
