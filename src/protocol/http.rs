//! The client's side of one HTTP/1.1 exchange (RFC 9112): the head of a request, and the answer as it comes.
//!
//! Promises: any split of the answer gives the same; interim answers (1yz) are passed over, but for 101, which
//! nobody asked for; of the body only the beginning is kept. Refuses to know: redirections, cookies, a second
//! request on one connection. Limits: [`HEAD_MAX_OCTETS`] for all heads together, [`BODY_MAX_OCTETS`].

use std::fmt;

use zeroize::Zeroizing;

/// The longest heads of an answer, interim ones included, octets.
pub const HEAD_MAX_OCTETS: usize = 32 * 1024;
/// Octets of the body that are kept, as they come over the wire.
pub const BODY_MAX_OCTETS: usize = 4096;

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpError {
    /// It does not begin as one, or its head is broken.
    NotHttp,
    /// Its head is too long.
    TooLong,
    /// The connection ended before the head did.
    Cut,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "the server does not speak HTTP",
            Self::TooLong => "the head of the server's answer is too long",
            Self::Cut => "the server ended the connection without an answer",
        })
    }
}

impl std::error::Error for HttpError {}

/// A request's head under construction.
pub struct RequestHead(String);

impl RequestHead {
    /// Begins a POST of a body of so many octets. The target and the authority are those of a checked URL.
    pub fn post(target: &str, authority: &str, octets: u64) -> Self {
        let mut head = Self(format!("POST {target} HTTP/1.1\r\n"));
        head.field("Host", authority);
        head.field("Content-Length", &octets.to_string());
        head.field("Connection", "close");
        head
    }

    /// Adds a field. What would end the line, or is no visible ASCII, becomes `%XX`, and so does `%`.
    pub fn field(&mut self, name: &str, value: &str) {
        self.0.push_str(name);
        self.0.push_str(": ");
        for octet in value.bytes() {
            match octet {
                b' '..=b'~' if octet != b'%' => self.0.push(char::from(octet)),
                _ => self.0.push_str(&format!("%{octet:02X}")),
            }
        }
        self.0.push_str("\r\n");
    }

    /// The head with its empty line, and with a token (RFC 6750 section 2.1), which holds visible ASCII alone. The
    /// token comes last, so that there is one copy of it, which is wiped in the end.
    pub fn finish(self, token: Option<&str>) -> Zeroizing<String> {
        let end = match token {
            Some(token) => ["Authorization: Bearer ", token, "\r\n\r\n"],
            None => ["\r\n", "", ""],
        };
        let [name, token, end] = end;
        Zeroizing::new([&self.0, name, token, end].concat())
    }
}

/// Reads one answer.
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// What came and is not understood yet: part of a line of the head, then the body.
    pending: Vec<u8>,
    head_octets: usize,
    status: Option<u16>,
    framing: Framing,
    /// Whether the head is over, and what comes is the body.
    in_body: bool,
}

/// Where a body ends (RFC 9112 section 6.3).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Framing {
    #[default]
    WithConnection,
    Length(u64),
    Chunked,
}

impl ResponseReader {
    /// Takes what came.
    ///
    /// # Errors
    /// It is no answer, or its head is too long.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), HttpError> {
        let mut rest = octets;
        while !self.in_body {
            let Some(end) = rest.iter().position(|&octet| octet == b'\n') else {
                self.count(rest.len())?;
                self.pending.extend_from_slice(rest);
                return Ok(());
            };
            let (line, behind) = rest.split_at(end + 1);
            self.count(line.len())?;
            self.pending.extend_from_slice(line);
            rest = behind;
            let line = std::mem::take(&mut self.pending);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            self.line(line.strip_suffix(b"\r").unwrap_or(line))?;
        }
        let room = BODY_MAX_OCTETS - self.pending.len();
        self.pending
            .extend_from_slice(rest.get(..room).unwrap_or(rest));
        Ok(())
    }

    /// The status code, once the whole head is there.
    pub fn status(&self) -> Option<u16> {
        self.status.filter(|_| self.in_body)
    }

    /// Whether nothing that counts is to come.
    pub fn is_complete(&self) -> bool {
        let Some(status) = self.status() else {
            return false;
        };
        let is_whole = match self.framing {
            Framing::WithConnection => false,
            Framing::Length(octets) => self.pending.len() as u64 >= octets,
            Framing::Chunked => dechunked(&self.pending).1,
        };
        is_whole || matches!(status, 204 | 304) || self.pending.len() >= BODY_MAX_OCTETS
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// Before the head did.
    pub fn end(&self) -> Result<u16, HttpError> {
        self.status().ok_or(HttpError::Cut)
    }

    /// The beginning of the body, as far as it came.
    pub fn body(&self) -> Vec<u8> {
        match self.framing {
            _ if !self.in_body => Vec::new(),
            Framing::WithConnection => self.pending.clone(),
            Framing::Length(octets) => {
                let octets = usize::try_from(octets).unwrap_or(usize::MAX);
                let whole = self.pending.as_slice();
                whole.get(..octets).unwrap_or(whole).to_vec()
            }
            Framing::Chunked => dechunked(&self.pending).0,
        }
    }

    fn count(&mut self, octets: usize) -> Result<(), HttpError> {
        self.head_octets += octets;
        match self.head_octets > HEAD_MAX_OCTETS {
            true => Err(HttpError::TooLong),
            false => Ok(()),
        }
    }

    /// A line of a head, without its end.
    fn line(&mut self, line: &[u8]) -> Result<(), HttpError> {
        let Some(status) = self.status else {
            self.status = Some(status_of(line).ok_or(HttpError::NotHttp)?);
            return Ok(());
        };
        if line.is_empty() {
            match status {
                100 | 102..=199 => {
                    self.status = None;
                    self.framing = Framing::default();
                }
                _ => self.in_body = true,
            }
            return Ok(());
        }
        // A folded field goes on; of no field that counts here is more than one line needed.
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').ok_or(HttpError::NotHttp)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("Transfer-Encoding") {
            self.framing = match value.to_ascii_lowercase().ends_with("chunked") {
                true => Framing::Chunked,
                false => Framing::WithConnection,
            };
        } else if name.eq_ignore_ascii_case("Content-Length") && self.framing != Framing::Chunked {
            self.framing = value
                .parse()
                .map_or(Framing::WithConnection, Framing::Length);
        }
        Ok(())
    }
}

/// `HTTP/1.1 200 OK`.
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (code, rest) = rest.split_at_checked(3)?;
    let is_over = rest.is_empty() || rest.starts_with(b" ");
    let code = std::str::from_utf8(code).ok()?;
    let is_plain = code.bytes().all(|octet| octet.is_ascii_digit());
    let code = code.parse().ok().filter(|code| (100..=599).contains(code));
    code.filter(|_| is_over && is_plain)
}

/// What a chunked body holds, as far as it came, and whether it is whole (RFC 9112 section 7.1).
fn dechunked(mut wire: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = wire.iter().position(|&octet| octet == b'\n') else {
            return (body, false);
        };
        let (line, rest) = wire.split_at(end + 1);
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit());
        let digits: String = digits.map(|&octet| char::from(octet)).collect();
        let size = match usize::from_str_radix(&digits, 16) {
            // What cannot be read ends the body here.
            Ok(0) | Err(_) => return (body, true),
            Ok(size) => size,
        };
        body.extend_from_slice(rest.get(..size).unwrap_or(rest));
        let Some(behind) = rest.get(size..) else {
            return (body, false);
        };
        wire = behind
            .strip_prefix(b"\r\n")
            .or_else(|| behind.strip_prefix(b"\n"))
            .unwrap_or(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, whether it is complete, and the body; at every split in two, and octet by octet.
    fn read(answer: &str) -> Result<(Option<u16>, bool, String), HttpError> {
        let whole = |pieces: &[&[u8]]| {
            let mut reader = ResponseReader::default();
            for piece in pieces {
                reader.push(piece)?;
            }
            let body = String::from_utf8_lossy(&reader.body()).into_owned();
            Ok((reader.status(), reader.is_complete(), body))
        };
        let octets = answer.as_bytes();
        let want = whole(&[octets]);
        for at in 0..octets.len() {
            let (first, second) = octets.split_at(at);
            assert_eq!(whole(&[first, second]), want, "{answer} at {at}");
        }
        let single: Vec<_> = octets.chunks(1).collect();
        assert_eq!(whole(&single), want, "{answer}");
        want
    }

    #[test]
    fn answers_are_read_at_any_split() {
        for (answer, status, complete, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore",
                Some(200),
                true,
                "ok",
            ),
            (
                "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nok",
                Some(200),
                false,
                "ok",
            ),
            ("HTTP/1.0 404 Not Found\nX: y\n\nno", Some(404), false, "no"),
            ("HTTP/1.1 204 \r\n\r\n", Some(204), true, ""),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 400 B\r\n\
                 transfer-encoding: chunked\r\n\r\n3;x=y\r\nbad\r\n5\r\n word\r\n0\r\n\r\n",
                Some(400),
                true,
                "bad word",
            ),
            (
                "HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab",
                Some(500),
                false,
                "ab",
            ),
            (
                "HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
                Some(500),
                true,
                "",
            ),
            ("HTTP/1.1 101 Switching\r\n\r\n", Some(101), false, ""),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
                Some(200),
                false,
                "ok",
            ),
            ("HTTP/1.1 200 OK\r\nA: b", None, false, ""),
            ("", None, false, ""),
        ] {
            let want = (status, complete, body.to_owned());
            assert_eq!(read(answer), Ok(want), "{answer}");
        }
        for answer in [
            "220 mx.example ESMTP\r\n",
            "HTTP/2 200\r\n",
            "HTTP/1.1 2000 x\r\n",
            "HTTP/1.1 +20 x\r\n",
            "HTTP/1.1 099 x\r\n",
            "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        ] {
            assert_eq!(read(answer), Err(HttpError::NotHttp), "{answer}");
        }
    }

    #[test]
    fn nothing_that_comes_is_kept_without_end() {
        let mut reader = ResponseReader::default();
        reader.push(b"HTTP/1.1 200 OK\r\n").unwrap();
        let mut pushed = 0;
        while reader.push(b"X: 0123456789\r\n").is_ok() {
            pushed += 1;
        }
        assert!(pushed < HEAD_MAX_OCTETS / 15);
        let mut reader = ResponseReader::default();
        reader.push(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        for _ in 0..100 {
            reader.push(&[b'x'; 1000]).unwrap();
        }
        assert_eq!(reader.body().len(), BODY_MAX_OCTETS);
        assert!(reader.is_complete());
        let mut reader = ResponseReader::default();
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_MAX_OCTETS / 20);
        assert_eq!(reader.push(interim.as_bytes()), Err(HttpError::TooLong));
        assert_eq!(reader.end(), Err(HttpError::Cut));
    }

    #[test]
    fn a_field_cannot_become_two() {
        let mut head = RequestHead::post("/x?y", "a.example:8080", 7);
        head.field("X-Gatepost-From", "\"a\r\nb: 100%\"@é.example");
        assert_eq!(
            *head.finish(None),
            "POST /x?y HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 7\r\nConnection: close\r\n\
             X-Gatepost-From: \"a%0D%0Ab: 100%25\"@%C3%A9.example\r\n\r\n"
        );
        let head = RequestHead::post("/", "a.example", 7).finish(Some("t0ken"));
        assert!(
            head.ends_with("\r\nAuthorization: Bearer t0ken\r\n\r\n"),
            "{head:?}"
        );
    }
}
