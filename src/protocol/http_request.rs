//! The server's side of one HTTP/1.1 exchange (RFC 9112): the head of a request, and an answer.
//!
//! Promises: any split of the request gives the same; what is ambiguous (a folded line, a second Host, blanks
//! before a colon, a bare CR) is refused. Refuses to know: bodies, which no page here wants, and a second request
//! on one connection. Limits: [`HEAD_MAX_OCTETS`].

use std::fmt::Write as _;

/// The longest head of a request, octets.
pub const HEAD_MAX_OCTETS: usize = 8 * 1024;

/// What is asked of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The page.
    Get,
    /// What stands before it.
    Head,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Which page: the target's path, without a query.
    pub path: String,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is none, or an ambiguous one.
    Bad,
    /// It asks for something else than GET or HEAD.
    OtherMethod,
    /// Its head is too long.
    TooLong,
    /// It is of another HTTP.
    OtherVersion,
}

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 404.
    NotFound,
    /// 503.
    Unavailable,
    /// What a fault has.
    Refused(Fault),
}

/// Reads one request.
#[derive(Debug, Default)]
pub struct RequestReader {
    head: Vec<u8>,
}

impl RequestReader {
    /// Takes what came; gives the request once its head is whole, and only then looks at it.
    pub fn push(&mut self, octets: &[u8]) -> Option<Result<Request, Fault>> {
        let from = self.head.len().saturating_sub(END.len() - 1);
        let room = HEAD_MAX_OCTETS - self.head.len();
        self.head
            .extend_from_slice(octets.get(..room).unwrap_or(octets));
        let tail = self.head.get(from..).unwrap_or_default();
        let end = tail.windows(END.len()).position(|window| window == END);
        match end {
            Some(end) => {
                let head = self.head.get(..from + end).unwrap_or_default();
                Some(request(head))
            }
            None if self.head.len() >= HEAD_MAX_OCTETS => Some(Err(Fault::TooLong)),
            None => None,
        }
    }
}

impl Status {
    fn words(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::NotFound => "404 Not Found",
            Self::Unavailable => "503 Service Unavailable",
            Self::Refused(Fault::Bad) => "400 Bad Request",
            Self::Refused(Fault::OtherMethod) => "405 Method Not Allowed",
            Self::Refused(Fault::TooLong) => "431 Request Header Fields Too Large",
            Self::Refused(Fault::OtherVersion) => "505 HTTP Version Not Supported",
        }
    }
}

/// An answer: its head, and the body where the method wants it. The connection ends with it.
pub fn answer(status: Status, media_type: &str, body: &str, method: Method) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {}\r\n", status.words());
    if status == Status::Refused(Fault::OtherMethod) {
        answer.push_str("Allow: GET, HEAD\r\n");
    }
    let _ = write!(
        answer,
        "Content-Type: {media_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    match method {
        Method::Get => answer.push_str(body),
        Method::Head => {}
    }
    answer.into_bytes()
}

/// Reads a head without the empty line at its end.
fn request(head: &[u8]) -> Result<Request, Fault> {
    let head = std::str::from_utf8(head).map_err(|_| Fault::Bad)?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next())
    else {
        return Err(Fault::Bad);
    };
    if !is_token(method) || !is_visible(target) {
        return Err(Fault::Bad);
    }
    let needs_host = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ if version.starts_with("HTTP/") && is_visible(version) => {
            return Err(Fault::OtherVersion);
        }
        _ => return Err(Fault::Bad),
    };
    let mut hosts = 0;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Fault::Bad)?;
        let is_text = |letter: char| letter == '\t' || !letter.is_control();
        if !is_token(name) || !value.chars().all(is_text) {
            return Err(Fault::Bad);
        }
        hosts += usize::from(name.eq_ignore_ascii_case("host"));
    }
    // RFC 9112 section 3.2.
    if hosts > 1 || (needs_host && hosts == 0) {
        return Err(Fault::Bad);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Fault::OtherMethod),
    };
    let path = path(target).ok_or(Fault::Bad)?.to_owned();
    Ok(Request { method, path })
}

/// The path of a target in the origin or the absolute form (RFC 9112 section 3.2).
fn path(target: &str) -> Option<&str> {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/').then_some(path)
}

/// A token (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_of_one = |o: u8| o.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&o);
    !text.is_empty() && text.bytes().all(is_of_one)
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic())
}

const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seeded::Random;

    fn read(wire: &[u8], split: usize) -> Option<Result<Request, Fault>> {
        let (first, second) = wire.split_at(split);
        let mut reader = RequestReader::default();
        reader.push(first).or_else(|| reader.push(second))
    }

    #[test]
    fn requests_are_read_the_same_at_every_split() {
        let get = |path: &str| {
            let path = path.to_owned();
            Some(Ok(Request {
                method: Method::Get,
                path,
            }))
        };
        let rows: &[(&[u8], Option<Result<Request, Fault>>)] = &[
            (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", get("/metrics")),
            (b"GET /m?x=/y#z HTTP/1.0\r\n\r\n", get("/m")),
            (b"GET http://a:1/m?x HTTP/1.1\r\nhost:\r\n\r\n", get("/m")),
            (b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", get("/")),
            (b"GET / HTTP/1.0\r\nA:\tb\xc3\xa9 \r\n\r\nrest", get("/")),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
            (b"GET / HTTP/1.1\r\n\r\n", Some(Err(Fault::Bad))),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                Some(Err(Fault::Bad)),
            ),
            (b"\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET /\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET  / HTTP/1.0\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET / x HTTP/1.0\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET m HTTP/1.0\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET * HTTP/1.0\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET /\x00 HTTP/1.0\r\n\r\n", Some(Err(Fault::Bad))),
            (b"G:T / HTTP/1.0\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET / HTTP/1.0\r\nA : b\r\n\r\n", Some(Err(Fault::Bad))),
            (
                b"GET / HTTP/1.0\r\nA: b\r\n c\r\n\r\n",
                Some(Err(Fault::Bad)),
            ),
            (b"GET / HTTP/1.0\r\nA\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET / HTTP/1.0\r\nA: b\rc\r\n\r\n", Some(Err(Fault::Bad))),
            (
                b"GET / HTTP/1.0\r\nA: b\nB: c\r\n\r\n",
                Some(Err(Fault::Bad)),
            ),
            (b"GET / HTTP/1.0\r\nA: \xff\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET / SMTP\r\n\r\n", Some(Err(Fault::Bad))),
            (b"EHLO a\r\n\r\n", Some(Err(Fault::Bad))),
            (b"GET / HTTP/2.0\r\n\r\n", Some(Err(Fault::OtherVersion))),
            (b"POST / HTTP/1.0\r\n\r\n", Some(Err(Fault::OtherMethod))),
            (b"get / HTTP/1.0\r\n\r\n", Some(Err(Fault::OtherMethod))),
        ];
        for (wire, want) in rows {
            for split in 0..=wire.len() {
                let text = String::from_utf8_lossy(wire);
                assert_eq!(read(wire, split), *want, "{text:?} at {split}");
            }
        }
    }

    #[test]
    fn a_head_may_have_its_limit_and_no_more() {
        let head = |length: usize| {
            let (begin, end) = ("GET / HTTP/1.0\r\nA: ", "\r\n\r\n");
            let filler = "x".repeat(length - begin.len() - end.len());
            format!("{begin}{filler}{end}")
        };
        for split in [0, 1, 100, HEAD_MAX_OCTETS - 3, HEAD_MAX_OCTETS] {
            let fits = read(head(HEAD_MAX_OCTETS).as_bytes(), split);
            assert!(matches!(fits, Some(Ok(_))), "{split}: {fits:?}");
            let long = read(head(HEAD_MAX_OCTETS + 1).as_bytes(), split);
            assert_eq!(long, Some(Err(Fault::TooLong)), "{split}");
        }
    }

    #[test]
    fn any_octets_at_any_split_give_the_same() {
        let mut random = Random(0x5eed);
        let pieces: [&[u8]; 12] = [
            b"GET ",
            b"HEAD ",
            b"/",
            b"/metrics",
            b" HTTP/1.1",
            b" HTTP/1.0",
            b"\r\n",
            b"\r\n\r\n",
            b"Host: a",
            b"\n",
            b"\xff",
            b": ",
        ];
        for _ in 0..2000 {
            let mut wire = Vec::new();
            for _ in 0..random.below(14) {
                let piece = random.below(pieces.len() as u64) as usize;
                wire.extend_from_slice(pieces.get(piece).unwrap());
            }
            let whole = read(&wire, 0);
            for split in 0..=wire.len() {
                assert_eq!(read(&wire, split), whole, "{wire:?} at {split}");
            }
        }
    }

    #[test]
    fn answers_say_how_long_they_are_and_end_the_connection() {
        let text = |status, method| {
            let answer = answer(status, "text/plain", "ok\n", method);
            String::from_utf8(answer).unwrap()
        };
        let got = text(Status::Ok, Method::Get);
        assert!(
            got.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n")
        );
        assert!(got.ends_with("Connection: close\r\n\r\nok\n"), "{got}");
        assert_eq!(format!("{}ok\n", text(Status::Ok, Method::Head)), got);
        let refused = text(Status::Refused(Fault::OtherMethod), Method::Get);
        assert!(refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"));
    }
}
