//! What others say to us in other protocols than SMTP's: an answer of DNS, the console's two messages,
//! a client's and a server's SCRAM messages, certificates.
//!
//! The first octet of an input says which of them it is: `D`, `W`, `S`, `R`, `C` (DER), `P` (PEM).

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use gatepost::control::{Answer, Outcome, wire};
use gatepost::dns::mx::{self, Exchangers, Unreadable};
use gatepost::mail::date;
use gatepost::protocol::scram::client::{Binding, NONCE_OCTETS, Start};
use gatepost::protocol::scram::{
    ChannelBindings, ClientFirst, EXPORTER_OCTETS, Keys, Offer, Opening, SERVER_NONCE_OCTETS,
    Verdict,
};
use gatepost::transport::certificate;
use gatepost::transport::identity::Identity;
use gatepost_fuzz::{Random, Scratch, assert_one_line};

const TOKENS: &[&[u8]] = &[
    b"D",
    b"W",
    b"S",
    b"R",
    b",i=4096",
    b",s=c2FsdA==",
    b"C",
    b"P",
    b"\n",
    b" ",
    b"\0",
    b"\xff",
    b"\0\x0f\0\x01",
    b"\xc0\x0c",
    b"\xc0\x0b",
    b"\xff\xff",
    b"\x03abc\0",
    b"\x3f",
    b"\0\0\0\x3c\0\x04\0\x0a\xc0\x0c",
    b"gatepost 1 done 0 0",
    b"99999999999",
    b"tell smtp ",
    b",",
    b"=2C",
    b"=3D",
    b"p=",
    b"c=",
    b"r=",
    b"m=x",
    b"a=alice",
    b"x=y,",
    b"==",
    b"n,,",
    b"y,,",
    b"p=tls-unique,,",
    b"\x30\x82",
    b"\x30\x80",
    b"\x84\xff\xff\xff\xff",
    b"\x17\x0d991231235959Z",
    b"\x18\x0f99991231999999Z",
    b"\x06\x03\x55\x04\x03",
    b"\x06\x03\x55\x1d\x11",
    b"-----BEGIN CERTIFICATE-----\n",
    b"-----END CERTIFICATE-----\n",
    b"-----BEGIN PRIVATE KEY-----\n",
    b"AAAA\n",
];

fn main() -> ExitCode {
    for (offer, first, last) in EXCHANGES {
        let is_proven = exchange(&offer(), first.as_bytes(), last.as_bytes());
        assert!(is_proven, "a sound exchange is refused: {first}");
    }
    let scratch = Scratch::new("answers");
    gatepost_fuzz::main("answers", corpus(), TOKENS, move |input, _: &mut Random| {
        let Some((kind, rest)) = input.split_first() else {
            return;
        };
        match kind {
            b'D' => exchangers(rest),
            b'W' => console(rest),
            b'S' => scram(rest),
            b'R' => scram_server(rest),
            b'C' => der(rest),
            b'P' => pem(&scratch, rest),
            _ => {}
        }
    })
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../data")
        .join(name)
}

fn corpus() -> Vec<Vec<u8>> {
    let question = b"D\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x01a\x07example\0\0\x0f\0\x01";
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x0e";
    let mx = b"\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x07\0\x0a\x02mx\xc0\x0c";
    let null = b"\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x03\0\0\0";
    let mut inputs = vec![
        [&question[..], alias, mx].concat(),
        [&question[..], alias, null].concat(),
        [&question[..], null, mx].concat(),
        b"Wtell smtp update config".to_vec(),
        b"Wgatepost 1 done 27 0\n[log] level: changed".to_vec(),
        b"Wgatepost 1 unavailable 0 3\nno\n".to_vec(),
        format!(
            "Rr={}x,s=c2FsdA==,i=4096\nv={}=",
            "A".repeat(24),
            "A".repeat(43)
        )
        .into_bytes(),
    ];
    for (_, first, last) in EXCHANGES {
        inputs.push(format!("S{first}\n{last}").into_bytes());
    }
    for name in ["p256", "rsa", "chain", "expired", "future"] {
        let (file, key) = (data(&format!("{name}.crt")), data(&format!("{name}.key")));
        let loaded = certificate::load(&file, &key).expect("the certificate is sound");
        let chain = loaded.chain.iter().map(|der| [b"C", der.as_ref()].concat());
        inputs.extend(chain);
    }
    for name in [
        "p256.crt",
        "p256.key",
        "chain.crt",
        "both.pem",
        "p256-sec1.key",
    ] {
        let text = std::fs::read(data(name)).expect("the file is there");
        inputs.push([&b"P"[..], &text].concat());
    }
    inputs
}

/// An answer is what the plainest reader there is makes of it; its id and what follows it are no matter.
fn exchangers(message: &[u8]) {
    let read = mx::read(message);
    let plain = Plain(message).read();
    match read {
        Ok(found) => assert_eq!(Some(found), plain),
        Err(Unreadable::Refused(code)) => {
            assert!(plain.is_none() && message[3] & 0x0f == code as u8);
        }
        Err(Unreadable::Malformed) => assert_eq!(plain, None),
    }
    if read.is_ok() {
        let mut longer = [message, b"\xc0\x0c\0\x0f\0\x01"].concat();
        longer[0] ^= 0xff;
        assert_eq!(mx::read(&longer), read, "what is no part of it counts");
    }
}

/// RFC 1035 section 4.1 read to the letter, names written out.
struct Plain<'a>(&'a [u8]);

impl Plain<'_> {
    fn read(&self) -> Option<Exchangers> {
        let flags = self.number(2)?;
        match flags & 15 {
            0 => {}
            3 => return Some(Exchangers::Absent),
            _ => return None,
        }
        let is_answer = flags >> 15 == 1;
        let (questions, answers) = (self.number(4)?, self.number(6)?);
        let mut at = 12;
        self.octets(0, at)?;
        for _ in 0..questions {
            at = self.name(at, 0)?.1 + 4;
            self.octets(0, at)?;
        }
        let mut is_null = false;
        for _ in 0..answers {
            let data = self.name(at, 0)?.1 + 10;
            let length = usize::from(self.number(data - 2)?);
            at = data + length;
            self.octets(data, at)?;
            if self.octets(data - 10, data - 6)? == b"\0\x0f\0\x01" {
                self.octets(data, data + 2)?;
                let (name, end) = self.name(data + 2, 0)?;
                if end != at {
                    return None;
                }
                if !name.is_empty() {
                    return is_answer.then_some(Exchangers::Present);
                }
                is_null = true;
            }
        }
        let is_whole = is_answer && flags >> 9 & 1 == 0;
        let found = if is_null {
            Exchangers::Null
        } else {
            Exchangers::Absent
        };
        is_whole.then_some(found)
    }

    fn octets(&self, from: usize, to: usize) -> Option<&[u8]> {
        self.0.get(from..to)
    }

    fn number(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(
            self.octets(at, at + 2)?.try_into().ok()?,
        ))
    }

    /// A name, each label with its length, and where it ends.
    fn name(&self, at: usize, pointers: usize) -> Option<(Vec<u8>, usize)> {
        let (mut name, mut here) = (Vec::new(), at);
        loop {
            let length = *self.0.get(here)?;
            match length {
                0 => return Some((name, here + 1)),
                1..=63 => {
                    name.extend(self.octets(here, here + 1 + usize::from(length))?);
                    here += 1 + usize::from(length);
                }
                64..=191 => return None,
                192..=255 => {
                    let to = usize::from(self.number(here)? & 0x3fff);
                    if to >= here || pointers == 32 {
                        return None;
                    }
                    let (rest, _) = self.name(to, pointers + 1)?;
                    name.extend(rest);
                    return (name.len() < 255).then_some((name, here + 2));
                }
            }
            if name.len() >= 255 {
                return None;
            }
        }
    }
}

fn console(input: &[u8]) {
    let end = input.iter().position(|&octet| octet == b'\n');
    let (line, rest) = input.split_at(end.unwrap_or(input.len()));
    if let Some(words) = wire::words(line) {
        assert!(line.iter().all(|octet| (0x20..=0x7e).contains(octet)));
        if let Some(request) = wire::request(&words) {
            assert!(request.len() <= wire::REQUEST_MAX_OCTETS && request.ends_with(b"\n"));
            assert_eq!(wire::words(&request[..request.len() - 1]), Some(words));
        } else {
            assert!(line.len() >= wire::REQUEST_MAX_OCTETS);
        }
    }
    let outcome = match wire::head(line) {
        Some(head) => {
            let octets = head.output + head.complaint;
            assert!(octets <= wire::ANSWER_MAX_OCTETS && line.starts_with(b"gatepost 1"));
            head.outcome
        }
        None => Outcome::Unavailable,
    };
    let answer = Answer {
        outcome,
        output: String::from_utf8_lossy(rest).into_owned(),
        complaint: String::from_utf8_lossy(line).into_owned(),
    };
    let octets = wire::answer(&answer);
    let end = octets
        .iter()
        .position(|&octet| octet == b'\n')
        .expect("a head");
    assert!(end <= wire::HEAD_MAX_OCTETS);
    let head = wire::head(&octets[..end]).expect("our own head");
    let (output, complaint) = octets[end + 1..].split_at(head.output);
    assert_eq!((head.outcome, head.complaint), (outcome, complaint.len()));
    assert_eq!(output, answer.output.as_bytes());
    assert_eq!(complaint, answer.complaint.as_bytes());
}

/// Alice's exchanges over the same nonces: what channel binding is offered, client-first, client-final.
/// The password is `wonderland`, the salt `saltsaltsaltsalt`, two rounds.
const EXCHANGES: [(fn() -> Offer, &str, &str); 5] = [
    (
        || Offer::PassedOver,
        "n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawLBQUFBQUFBQUFBQUFBQUFBQUF,p=8eYtOmBFQ9t7jEWY9E2tc8L+bR87H94ch4yC+MGto0o=",
    ),
    (
        || Offer::Absent,
        "y,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
        "c=eSws,r=fyko+d2lbbFgONRv9qkxdawLBQUFBQUFBQUFBQUFBQUFBQUF,p=AxTZPBv9LAmdm01siSPDhzNYhzEkCZvQ5+5aeToiy6I=",
    ),
    (
        chosen,
        "p=tls-exporter,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
        "c=cD10bHMtZXhwb3J0ZXIsLAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH,r=fyko+d2lbbFgONRv9qkxdawLBQUFBQUFBQUFBQUFBQUFBQUF,p=PfChgKw0bqvuHO0riTxLh06xyt7FnZv35Vda2Y09xvw=",
    ),
    (
        chosen,
        "p=tls-server-end-point,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
        "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ,r=fyko+d2lbbFgONRv9qkxdawLBQUFBQUFBQUFBQUFBQUFBQUF,p=h3NlpvrM7KmKf9pMNutX8xdZ1v/MJw+n06xd9AdZN5M=",
    ),
    (
        || Offer::Absent,
        "n,a=alice,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
        "c=bixhPWFsaWNlLA==,r=fyko+d2lbbFgONRv9qkxdawLBQUFBQUFBQUFBQUFBQUFBQUF,p=XMUQW+ybdeBjhneqhM5LhU95dJF35NRk1HrQlfV1KY4=",
    ),
];

const STORED_KEY: [u8; 32] = [
    56, 179, 74, 80, 111, 158, 168, 224, 128, 188, 55, 40, 122, 84, 239, 146, 250, 7, 143, 230,
    215, 94, 134, 23, 196, 231, 190, 30, 219, 23, 208, 147,
];

fn chosen() -> Offer {
    channel(7, 9)
}

fn channel(exporter: u8, end_point: u8) -> Offer {
    Offer::Chosen(ChannelBindings {
        exporter: Some([exporter; EXPORTER_OCTETS]),
        end_point: Some(Arc::from([end_point; 48].as_slice())),
    })
}

/// Whether a client that says these two is let in.
fn exchange(offer: &Offer, first: &[u8], last: &[u8]) -> bool {
    let Ok(Opening::Good(first)) = ClientFirst::parse(first, offer) else {
        return false;
    };
    let keys = Keys {
        iterations: NonZeroU32::new(2).expect("two is not zero"),
        salt: b"saltsaltsaltsalt".to_vec(),
        stored_key: STORED_KEY.to_vec().into(),
        server_key: vec![1; 32].into(),
    };
    let server = first.challenge(keys, &[5; SERVER_NONCE_OCTETS]);
    assert_one_line(server.message());
    matches!(server.verify(last), Ok(Verdict::Proven(_)))
}

/// Whoever does not know the password can only say what was said before.
fn scram(input: &[u8]) {
    let at = input
        .iter()
        .position(|&octet| octet == b'\n')
        .unwrap_or(input.len());
    let (first, last) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let is_elsewhere = exchange(&channel(8, 8), first, last);
    assert!(
        !is_elsewhere,
        "what was said in one channel counts in another"
    );
    let offers = [Offer::Absent, Offer::PassedOver, chosen()];
    for offer in offers {
        if exchange(&offer, first, last) {
            let mut known = EXCHANGES.iter();
            let is_known = known.any(|(_, a, b)| (first, last) == (a.as_bytes(), b.as_bytes()));
            assert!(is_known, "somebody without the password is let in");
        }
    }
}

/// A server that does not know the password proves nothing, and none sees the password.
fn scram_server(input: &[u8]) {
    let at = input
        .iter()
        .position(|&octet| octet == b'\n')
        .unwrap_or(input.len());
    let (first, last) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let start = Start::new("box", &[0; NONCE_OCTETS], &Binding::NotOffered);
    if let Ok(proof) = start.answer(first, "never to be seen") {
        assert_one_line(proof.message());
        assert!(!proof.message().contains("never"));
        assert!(proof.verify(last).is_err(), "a stranger has proved itself");
    }
}

/// A certificate that is none is survived; what is told of it can be shown.
fn der(octets: &[u8]) {
    let validity = certificate::validity(octets);
    let identity = Identity::of(&[octets]);
    assert_one_line(&identity.subject);
    assert!(!identity.subject.is_empty());
    assert_eq!(
        identity.not_after,
        validity.map(|validity| validity.not_after)
    );
    for time in validity
        .iter()
        .flat_map(|dates| [dates.not_before, dates.not_after])
    {
        assert_one_line(&date::rfc3339(time));
        identity.days_left(time);
    }
    let more = Identity::of(&[octets, b"x"]);
    assert_ne!(more.fingerprint, identity.fingerprint);
}

/// A file in place of a certificate's and of a key's.
fn pem(scratch: &Scratch, text: &[u8]) {
    let file = scratch.write("x.pem", text);
    let mut culprits = BTreeSet::new();
    for (certificate, key) in [
        (&file, &data("p256.key")),
        (&data("p256.crt"), &file),
        (&file, &file),
    ] {
        match certificate::load(certificate, key) {
            Ok(loaded) => {
                assert!(!loaded.chain.is_empty());
                der(loaded.chain[0].as_ref());
            }
            Err(error) => {
                assert_one_line(&error.to_string());
                culprits.insert(error.path);
            }
        }
    }
    // What is sound is at fault only where the two do not belong together, which the certificate's is told.
    assert!(
        !culprits.contains(&data("p256.key")),
        "the sound key is at fault"
    );
}
