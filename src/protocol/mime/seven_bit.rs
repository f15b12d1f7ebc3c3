//! Eight-bit content for a server that takes seven bits (RFC 6152 section 3, RFC 2045 section 6).
//!
//! The content is looked at twice: [`Survey`] finds the parts that have to be encoded, [`Converter`] encodes them.
//!
//! | what | becomes |
//! | --- | --- |
//! | a text with octets above 127 | quoted-printable; without a charset it is `unknown-8bit` (RFC 1428) |
//! | another leaf with such octets | base64 |
//! | a multipart, a message in a message | its parts are encoded, it never is; its label becomes 7bit |
//! | a part that is encoded already, other parts of type message | stays |
//! | a header section | stays, but for the labels of encoded parts |
//!
//! Nothing is converted where a signature would break: DKIM-Signature or an ARC field in any header section,
//! `multipart/signed` and `multipart/encrypted`, S/MIME, PGP in a part or in a text; nor where a header section has lines
//! that are no fields. Promises: what is not converted
//! stays to the octet; any split gives the same; memory does not depend on the size of the content, nor on its lines.
//! Limits: [`LEAVES_MAX`] parts and those of [`super::walk`]; past them nothing is converted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::walk::{Header, Kind, Visitor, Walker, is_named, media};

/// Parts that are counted.
const LEAVES_MAX: usize = 10_000;
/// Where a line of quoted-printable is broken, octets.
const QUOTED_LINE_MAX_OCTETS: usize = 75;
/// Octets of a line of base64, before they are encoded.
const BASE64_LINE_OCTETS: usize = 57;
/// How a text with a signature begins.
const PGP: &[u8] = b"-----BEGIN PGP ";

/// The leaves that have to be encoded, by their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    leaves: Vec<usize>,
}

/// Finds out what has to be encoded.
#[derive(Debug)]
pub struct Survey {
    walker: Walker,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    leaves: usize,
    plan: Plan,
    /// Whether the leaf may be encoded.
    is_encodable: bool,
    is_eight_bit: bool,
    /// Whether it has to stay as it is.
    is_fixed: bool,
    /// The beginning of the line, as far as it may be one of PGP.
    line: Vec<u8>,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            walker: Walker::new(),
            seen: Seen::default(),
        }
    }
}

impl Survey {
    /// Looks at more content.
    pub fn feed(&mut self, piece: &[u8]) {
        self.walker.feed(piece, &mut self.seen);
    }

    /// What has to be encoded; none where nothing can be, or has to be.
    pub fn finish(mut self) -> Option<Plan> {
        self.walker.end(&mut self.seen);
        let Seen {
            leaves,
            plan,
            is_fixed,
            ..
        } = self.seen;
        let is_possible = !self.walker.is_lost() && !is_fixed && leaves <= LEAVES_MAX;
        (is_possible && !plan.leaves.is_empty()).then_some(plan)
    }
}

impl Visitor for Seen {
    fn header(&mut self, header: &Header<'_>, kind: Kind) {
        self.is_fixed |= is_signed(header) || !is_well_formed(header);
        if kind == Kind::Leaf {
            self.leaves += 1;
            self.is_eight_bit = false;
            self.is_encodable = is_encodable(header);
        }
        self.line.clear();
    }

    fn body(&mut self, octets: &[u8]) {
        self.is_eight_bit |= !octets.is_ascii();
        let room = PGP.len() - self.line.len();
        self.line
            .extend_from_slice(octets.get(..room).unwrap_or(octets));
        self.is_fixed |= self.line == PGP;
    }

    fn line_end(&mut self) {
        self.line.clear();
    }

    fn body_ends(&mut self) {
        if self.is_eight_bit && self.is_encodable && self.leaves <= LEAVES_MAX {
            self.plan.leaves.push(self.leaves);
        }
        self.is_eight_bit = false;
    }

    fn between(&mut self, _octets: &[u8]) {}
}

fn is_signed(header: &Header<'_>) -> bool {
    let signatures = [
        "dkim-signature",
        "arc-seal",
        "arc-message-signature",
        "arc-authentication-results",
    ];
    let media = media(header, false);
    let is_sealed = [
        "multipart/signed",
        "multipart/encrypted",
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-encrypted",
        "application/pgp-signature",
        "application/pgp",
    ]
    .contains(&media.as_str());
    let has = |name: &&str| header.fields().iter().any(|field| is_named(field, name));
    is_sealed || signatures.iter().any(has)
}

/// Whether all lines are fields and their folds: what else there is every reader takes for something else.
fn is_well_formed(header: &Header<'_>) -> bool {
    header.fields().iter().all(|field| {
        let end = field.iter().position(|octet| *octet == b':');
        let name = end.and_then(|end| field.get(..end)).unwrap_or_default();
        let name = name.trim_ascii_end();
        let is_name = name.iter().all(u8::is_ascii_graphic);
        (is_name && !name.is_empty()) || *field == b"\r\n"
    })
}

/// Whether a leaf's body is as it is, and may be encoded: RFC 2046 section 5.2 forbids it for parts of type message.
fn is_encodable(header: &Header<'_>) -> bool {
    let encoding = header.value(ENCODING).unwrap_or_default();
    let is_plain = ["", "7bit", "8bit", "binary"]
        .iter()
        .any(|plain| encoding.eq_ignore_ascii_case(plain));
    let media = media(header, false);
    is_plain && !media.starts_with("message/") && !media.starts_with("multipart/")
}

/// Encodes what a plan says.
pub struct Converter {
    walker: Walker,
    writer: Writer,
}

struct Writer {
    plan: Plan,
    leaves: usize,
    /// Whether the next header section is that of a message.
    is_message: bool,
    encoder: Encoder,
    out: Vec<u8>,
}

enum Encoder {
    None,
    Quoted {
        /// Octets of the line so far.
        length: usize,
        /// A blank that is the last of a line has to be encoded.
        blank: Option<u8>,
    },
    Base64(Vec<u8>),
}

impl Converter {
    /// One that has converted nothing.
    pub fn new(plan: Plan) -> Self {
        Self {
            walker: Walker::new(),
            writer: Writer {
                plan,
                leaves: 0,
                is_message: true,
                encoder: Encoder::None,
                out: Vec::new(),
            },
        }
    }

    /// Takes more content; gives what it becomes.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        self.walker.feed(piece, &mut self.writer);
        std::mem::take(&mut self.writer.out)
    }

    /// The content is over; gives the rest.
    pub fn finish(mut self) -> Vec<u8> {
        self.walker.end(&mut self.writer);
        let mut out = self.writer.out;
        if !out.is_empty() && !out.ends_with(b"\r\n") {
            // Base64 at the top has none of its own.
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

impl Visitor for Writer {
    fn header(&mut self, header: &Header<'_>, kind: Kind) {
        let is_message = std::mem::take(&mut self.is_message);
        self.encoder = Encoder::None;
        if kind != Kind::Leaf {
            self.is_message = kind == Kind::Message;
            return self.container(header);
        }
        self.leaves += 1;
        if self.plan.leaves.binary_search(&self.leaves).is_err() {
            return self.out.extend_from_slice(header.octets);
        }
        let is_text = media(header, false).starts_with("text/");
        self.labelled(header, is_text, is_message);
        self.encoder = match is_text {
            true => Encoder::Quoted {
                length: 0,
                blank: None,
            },
            false => Encoder::Base64(Vec::new()),
        };
    }

    fn body(&mut self, octets: &[u8]) {
        match &mut self.encoder {
            Encoder::None => self.out.extend_from_slice(octets),
            Encoder::Quoted { length, blank } => {
                for octet in octets {
                    quote(*octet, length, blank, &mut self.out);
                }
            }
            Encoder::Base64(held) => encode(octets, held, &mut self.out),
        }
    }

    fn line_end(&mut self) {
        match &mut self.encoder {
            Encoder::None => self.out.extend_from_slice(b"\r\n"),
            Encoder::Quoted { length, blank } => {
                end_quoted_line(length, blank, &mut self.out);
                self.out.extend_from_slice(b"\r\n");
            }
            Encoder::Base64(held) => encode(b"\r\n", held, &mut self.out),
        }
    }

    fn body_ends(&mut self) {
        match std::mem::replace(&mut self.encoder, Encoder::None) {
            Encoder::None => {}
            Encoder::Quoted {
                mut length,
                mut blank,
            } => end_quoted_line(&mut length, &mut blank, &mut self.out),
            Encoder::Base64(held) => self
                .out
                .extend_from_slice(STANDARD.encode(&held).as_bytes()),
        }
    }

    fn between(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }
}

impl Writer {
    /// A container is labelled as its parts are now.
    fn container(&mut self, header: &Header<'_>) {
        for field in header.fields() {
            match is_named(field, ENCODING) {
                true => self
                    .out
                    .extend_from_slice(b"Content-Transfer-Encoding: 7bit\r\n"),
                false => self.out.extend_from_slice(field),
            }
        }
    }

    /// The header section of a leaf that is encoded.
    fn labelled(&mut self, header: &Header<'_>, is_text: bool, is_message: bool) {
        let has_type = header.value(TYPE).is_some();
        let has_version = header.value("mime-version").is_some();
        for field in header.fields() {
            if is_named(field, ENCODING) || field == b"\r\n" {
                continue;
            }
            if is_text && is_named(field, TYPE) && !has_charset(header) {
                let value = field.trim_ascii_end();
                let value = value.strip_suffix(b";").unwrap_or(value);
                self.out.extend_from_slice(value);
                self.out
                    .extend_from_slice(format!(";\r\n\t{UNKNOWN}\r\n").as_bytes());
                continue;
            }
            self.out.extend_from_slice(field);
        }
        if is_message && !has_version {
            self.out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        if !has_type {
            let field = format!("Content-Type: text/plain; {UNKNOWN}\r\n");
            self.out.extend_from_slice(field.as_bytes());
        }
        let encoding = match is_text {
            true => "quoted-printable",
            false => "base64",
        };
        let field = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n");
        self.out.extend_from_slice(field.as_bytes());
    }
}

fn has_charset(header: &Header<'_>) -> bool {
    let value = header.value(TYPE).unwrap_or_default();
    super::parameter(&value, "charset").is_some()
}

/// A text in quoted-printable (RFC 2045 section 6.7): line ends stay, lines are broken softly before they get long.
pub fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let (line, end) = match line.strip_suffix(b"\r\n") {
            Some(line) => (line, &b"\r\n"[..]),
            None => (line, &b""[..]),
        };
        let (mut length, mut blank) = (0, None);
        for octet in line {
            quote(*octet, &mut length, &mut blank, &mut out);
        }
        end_quoted_line(&mut length, &mut blank, &mut out);
        out.extend_from_slice(end);
    }
    out
}

/// One octet of a line of quoted-printable.
fn quote(octet: u8, length: &mut usize, blank: &mut Option<u8>, out: &mut Vec<u8>) {
    if let Some(blank) = blank.take() {
        put_quoted(&[blank], length, out);
    }
    match octet {
        b' ' | b'\t' => *blank = Some(octet),
        b'!'..=b'<' | b'>'..=b'~' => put_quoted(&[octet], length, out),
        _ => put_quoted(format!("={octet:02X}").as_bytes(), length, out),
    }
}

fn put_quoted(text: &[u8], length: &mut usize, out: &mut Vec<u8>) {
    if *length + text.len() > QUOTED_LINE_MAX_OCTETS {
        out.extend_from_slice(b"=\r\n");
        *length = 0;
    }
    out.extend_from_slice(text);
    *length += text.len();
}

fn end_quoted_line(length: &mut usize, blank: &mut Option<u8>, out: &mut Vec<u8>) {
    if let Some(blank) = blank.take() {
        put_quoted(format!("={blank:02X}").as_bytes(), length, out);
    }
    *length = 0;
}

/// Whole lines of base64 go out.
fn encode(octets: &[u8], held: &mut Vec<u8>, out: &mut Vec<u8>) {
    held.extend_from_slice(octets);
    let whole = held.len() / BASE64_LINE_OCTETS * BASE64_LINE_OCTETS;
    let rest = held.split_off(whole);
    for line in std::mem::replace(held, rest).chunks(BASE64_LINE_OCTETS) {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

const ENCODING: &str = "content-transfer-encoding";
const TYPE: &str = "content-type";
const UNKNOWN: &str = "charset=unknown-8bit";

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(content: &[u8], split: usize) -> Option<Plan> {
        let mut survey = Survey::default();
        survey.feed(&content[..split]);
        survey.feed(&content[split..]);
        survey.finish()
    }

    /// What becomes of content, the same at every split; none where it stays.
    fn converted(content: &str) -> Option<String> {
        let content: Vec<u8> = content
            .replace('\n', "\r\n")
            .chars()
            .map(|c| c as u8)
            .collect();
        let planned = plan(&content, 0);
        let mut first: Option<Vec<u8>> = None;
        for split in 0..=content.len() {
            assert_eq!(plan(&content, split), planned, "{split}");
            let mut converter = Converter::new(planned.clone().unwrap_or_default());
            let mut got = converter.feed(&content[..split]);
            got.extend(converter.feed(&content[split..]));
            got.extend(converter.finish());
            assert_eq!(first.get_or_insert_with(|| got.clone()), &got, "{split}");
        }
        let first = first.unwrap();
        planned.as_ref()?;
        Some(String::from_utf8(first).unwrap().replace("\r\n", "\n"))
    }

    #[test]
    fn quoted_printable_keeps_lines_and_breaks_long_ones() {
        for (text, want) in [
            ("", ""),
            ("a=b\r\n", "a=3Db\r\n"),
            ("ä \r\nx", "=C3=A4=20\r\nx"),
        ] {
            assert_eq!(
                String::from_utf8(quoted_printable(text.as_bytes())).unwrap(),
                want
            );
        }
        let long = quoted_printable("ä".repeat(100).as_bytes());
        let long = String::from_utf8(long).unwrap();
        assert!(long.lines().all(|line| line.len() <= 76), "{long}");
        assert_eq!(long.replace("=\r\n", ""), "=C3=A4".repeat(100));
    }

    #[test]
    fn texts_are_quoted_and_labelled_and_others_become_base64() {
        let rows = [
            (
                "Subject: x\n\n\u{e4} = \nb\n",
                "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n\
                 Content-Transfer-Encoding: quoted-printable\n\n=E4 =3D=20\nb\n",
            ),
            (
                "MIME-Version: 1.0\nContent-Type: text/html; charset=iso-8859-1\n\
                 Content-Transfer-Encoding: 8bit\n\n\u{e4}",
                "MIME-Version: 1.0\nContent-Type: text/html; charset=iso-8859-1\n\
                 Content-Transfer-Encoding: quoted-printable\n\n=E4\n",
            ),
            (
                "mime-version: 1.0\ncontent-type: text/html\n\n\u{e4}\n",
                "mime-version: 1.0\ncontent-type: text/html;\n\tcharset=unknown-8bit\n\
                 Content-Transfer-Encoding: quoted-printable\n\n=E4\n",
            ),
            (
                "MIME-Version: 1.0\nContent-Type: image/x\n\n\u{e4}\u{ff}\n",
                "MIME-Version: 1.0\nContent-Type: image/x\n\
                 Content-Transfer-Encoding: base64\n\n5P8NCg==\n",
            ),
            (
                "Content-Type: multipart/mixed; boundary=\"a b\"\nContent-Transfer-Encoding: 8bit\n\n\
                 pre\n--a b\n\n\u{e4}\n--a b\n\nplain\n--a b \nContent-Type: x/y\n\n\u{ff}\n\n--a b--\npost\n",
                "Content-Type: multipart/mixed; boundary=\"a b\"\nContent-Transfer-Encoding: 7bit\n\n\
                 pre\n--a b\nContent-Type: text/plain; charset=unknown-8bit\n\
                 Content-Transfer-Encoding: quoted-printable\n\n=E4\n--a b\n\nplain\n--a b \n\
                 Content-Type: x/y\nContent-Transfer-Encoding: base64\n\n/w0K\n--a b--\npost\n",
            ),
            (
                "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\n\u{e4}\n--b--\n",
                "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\nMIME-Version: 1.0\n\
                 Content-Type: text/plain; charset=unknown-8bit\n\
                 Content-Transfer-Encoding: quoted-printable\n\n=E4\n--b--\n",
            ),
            (
                "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nA: b\n\n\u{e4}\n",
                "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nA: b\nMIME-Version: 1.0\n\
                 Content-Type: text/plain; charset=unknown-8bit\n\
                 Content-Transfer-Encoding: quoted-printable\n\n=E4\n",
            ),
        ];
        for (content, want) in rows {
            assert_eq!(converted(content).as_deref(), Some(want), "{content}");
        }
    }

    #[test]
    fn what_a_signature_covers_and_what_is_encoded_stays() {
        for content in [
            "Subject: x\n\nascii\n",
            "Subject: \u{e4}\n\nascii\n",
            "DKIM-Signature: v=1\n\n\u{e4}\n",
            "ARC-Seal: i=1\n\n\u{e4}\n",
            "Content-Type: multipart/signed; boundary=b\n\n--b\n\n\u{e4}\n--b--\n",
            "Content-Type: message/rfc822\n\nDKIM-Signature : x\n\n\u{e4}\n",
            "Content-Type: application/pkcs7-mime\n\n\u{e4}\n",
            "A: b\n\nx\n-----BEGIN PGP SIGNED MESSAGE-----\n\u{e4}\n",
            "Content-Type: multipart/x; boundary=b\n\n--b\nContent-Type: application/pgp-signature\n\nx\n--b\n\n\u{e4}\n",
            "Content-Transfer-Encoding: base64\n\n\u{e4}\n",
            "Content-Type: message/delivery-status\n\n\u{e4}\n",
            "A: b\nno field\n\n\u{e4}\n",
            " fold\nA: b\n\n\u{e4}\n",
            "",
        ] {
            assert_eq!(converted(content), None, "{content}");
        }
    }

    #[test]
    fn long_lines_are_broken_and_cost_no_memory() {
        let text = format!("A: b\n\n{}\n", "\u{e4} x".repeat(2000));
        let got = converted_once(&text);
        assert!(got.lines().all(|line| line.len() <= 76), "{got}");
        let body = got.split_once("\n\n").unwrap().1.replace("=\n", "");
        assert_eq!(body, format!("{}\n", "=E4 x".repeat(2000)));
        let binary = format!("Content-Type: a/b\n\n{}\n", "\u{e4}".repeat(6000));
        let got = converted_once(&binary);
        assert!(got.lines().all(|line| line.len() <= 76), "{got}");
        let body = got.split_once("\n\n").unwrap().1.replace('\n', "");
        let mut octets = STANDARD.decode(body).unwrap();
        assert_eq!(octets.split_off(6000), b"\r\n");
        assert!(octets.iter().all(|octet| *octet == 0xe4));
    }

    /// The same in pieces of 100 octets.
    fn converted_once(content: &str) -> String {
        let content: Vec<u8> = content
            .replace('\n', "\r\n")
            .chars()
            .map(|c| c as u8)
            .collect();
        let mut converter = Converter::new(plan(&content, 7).unwrap());
        let mut got = Vec::new();
        for piece in content.chunks(100) {
            got.extend(converter.feed(piece));
            assert!(converter.writer.out.is_empty());
        }
        got.extend(converter.finish());
        String::from_utf8(got).unwrap().replace("\r\n", "\n")
    }
}
