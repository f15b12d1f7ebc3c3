//! No octets make a reader of the configuration's files panic, and every line it faults is there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{SystemTime, UNIX_EPOCH};

use gatepost::config::handlers::Handlers;
use gatepost::config::ini;
use gatepost::directory::aliases::AliasFile;
use gatepost::directory::graph::{Aliases, Names};
use gatepost::directory::users::Users;
use gatepost::mail::Domain;

/// A small generator of numbers (xorshift64*), good enough to shake a parser.
struct Shaker(u64);

impl Shaker {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Pieces that parsers trip over, mixed with octets of every kind.
const PIECES: &[&[u8]] = &[
    b"[",
    b"]",
    b"=",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\t",
    b";",
    b"#",
    b"server",
    b"port:tcp",
    b"hostname",
    b"\xef\xbb\xbf",
    b"\0",
    b"\xff",
    "é".as_bytes(),
    b",",
    b":",
    b"{",
    b"}",
    b"$6$",
    b"{SCRAM-SHA-256}4096,",
    b"\"",
    b"\\",
    b"a",
    b"b: a",
    b"@here.example",
    b":include:",
    b"|",
    b">",
    b"command:",
    b"webhook:",
];

fn noise(shaker: &mut Shaker) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..shaker.below(60) {
        match shaker.below(5) {
            0 => text.push(shaker.next() as u8),
            _ => text.extend_from_slice(PIECES[shaker.below(PIECES.len())]),
        }
    }
    text
}

#[test]
fn no_octets_panic() {
    let seed = match std::env::var("GATEPOST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64,
    };
    println!("seed: GATEPOST_SEED={seed}");
    let mut shaker = Shaker(seed | 1);
    let local_domains = [Domain::parse("here.example").unwrap()];
    let names = Names {
        is_user: Some(&|name| name.len() % 2 == 1),
        subaddress: Some('+'),
        handlers: Handlers::NONE,
    };
    for _ in 0..20_000 {
        let text = noise(&mut shaker);
        let lines = text.iter().filter(|&&octet| octet == b'\n').count() + 1;
        let (sections, faults) = ini::read(&text);
        let entries = sections.iter().flat_map(|section| &section.entries);
        let used = entries
            .map(|entry| entry.line)
            .chain(sections.iter().map(|s| s.line));
        assert!(
            used.chain(faults.iter().map(|fault| fault.line))
                .all(|line| (1..=lines).contains(&line))
        );
        let (_, faults) = Users::parse(&text);
        assert!(faults.iter().all(|fault| fault.line <= lines));
        let (file, faults) = AliasFile::parse(&text, &local_domains);
        let (_, more) = Aliases::resolve(&file, names);
        let faults = faults.iter().chain(&more);
        assert!(
            faults
                .map(|fault| fault.line)
                .all(|line| (1..=lines).contains(&line))
        );
    }
}
