//! Mail data: no split changes it, and it is what the plainest decoder there is makes of it.

use std::process::ExitCode;

use gatepost::protocol::data::{DataDecoder, HopCounter};
use gatepost_fuzz::Random;

const TOKENS: &[&[u8]] = &[
    b"\r\n.\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"..",
    b"\r\n..",
    b"\n.\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r\n.\r",
    b"\r\r\n",
    b"Received: x\r\n",
    b"received:",
    b"12345678",
    &[b'x'; 100],
];

fn main() -> ExitCode {
    let corpus = vec![
        b"Subject: a\r\n\r\nb\r\n.\r\n".to_vec(),
        b"..\r\n.a\r\n.\r\nQUIT\r\n".to_vec(),
        b"Received: a\r\n\tb\r\nRECEIVED: c\r\n\r\nReceived: d\r\n.\r\n".to_vec(),
        b"a\n.\nb\r.\rc\r\n.\nd\r\n.\r\r\n.\r\n".to_vec(),
    ];
    gatepost_fuzz::main("data", corpus, TOKENS, run)
}

fn run(input: &[u8], random: &mut Random) {
    let whole = decode(&[input]);
    assert_eq!(
        decode(&random.split(input)),
        whole,
        "a split changes the content"
    );
    assert_eq!(
        plainly(input),
        whole.0,
        "not what a plain decoder makes of it"
    );
}

/// Content so far, whether it has ended, whether a bare CR or LF came, octets taken.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    ended: bool,
    bare: bool,
    taken: usize,
}

fn decode(pieces: &[&[u8]]) -> (Decoded, u32) {
    let (mut decoder, mut hops, mut decoded) = (
        DataDecoder::default(),
        HopCounter::default(),
        Decoded::default(),
    );
    for piece in pieces {
        let from = decoded.content.len();
        decoded.taken += decoder.decode(piece, &mut decoded.content);
        hops.feed(&decoded.content[from..]);
    }
    decoded.ended = decoder.is_ended();
    decoded.bare = decoder.has_bare_cr_or_lf();
    (decoded, hops.hops())
}

/// RFC 5321 section 4.5.2 read to the letter: lines end with CRLF, a dot at the start of one is
/// dropped, a dot alone on one is the end.
fn plainly(input: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let mut rest = input;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, tail) = (&rest[..end], &rest[end + 2..]);
        decoded.taken += end + 2;
        if line == b"." {
            decoded.ended = true;
            return decoded;
        }
        decoded.bare |= line.iter().any(|octet| b"\r\n".contains(octet));
        decoded
            .content
            .extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        decoded.content.extend_from_slice(b"\r\n");
        rest = tail;
    }
    // The line that has begun: its last CR is not content before the octet behind it is known.
    decoded.taken = input.len();
    let known = rest.strip_suffix(b"\r").unwrap_or(rest);
    decoded.bare |= known.iter().any(|octet| b"\r\n".contains(octet));
    decoded
        .content
        .extend_from_slice(known.strip_prefix(b".").unwrap_or(known));
    decoded
}
