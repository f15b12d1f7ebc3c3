//! The client's side: replies as they come in, what a server offers, content as it goes out.
//!
//! Promises: what is sent as mail data holds CRLF.CRLF only at its end, at any split of the content.

/// The longest reply line a server may send us, octets.
pub const LINE_MAX_OCTETS: usize = 2048;
/// The most lines one reply may have.
pub const LINES_MAX: usize = 256;

/// A server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    /// Its code.
    pub code: u16,
    /// Its lines without code and CRLF.
    pub lines: Vec<String>,
}

/// A server's octets are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAReply;

/// Gathers a reply from octets as they come.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: Vec<u8>,
    lines: Vec<String>,
}

impl ReplyReader {
    /// Takes octets up to the end of a reply. Gives how many were used, and the reply once it is whole.
    ///
    /// # Errors
    /// What comes is no SMTP reply, or too long.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<ServerReply>), NotAReply> {
        for (at, octet) in input.iter().enumerate() {
            if *octet != b'\n' {
                if self.line.len() >= LINE_MAX_OCTETS {
                    return Err(NotAReply);
                }
                self.line.push(*octet);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if let Some(reply) = self.end_line(&line)? {
                return Ok((at + 1, Some(reply)));
            }
        }
        Ok((input.len(), None))
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<ServerReply>, NotAReply> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let code = line
            .get(..3)
            .filter(|code| code.iter().all(u8::is_ascii_digit));
        let code = std::str::from_utf8(code.ok_or(NotAReply)?).map_err(|_| NotAReply)?;
        let code = code.parse().map_err(|_| NotAReply)?;
        let text = line.get(4..).unwrap_or_default();
        self.lines.push(String::from_utf8_lossy(text).into_owned());
        match line.get(3) {
            Some(b'-') if self.lines.len() < LINES_MAX => Ok(None),
            None | Some(b' ') => Ok(Some(ServerReply {
                code,
                lines: std::mem::take(&mut self.lines),
            })),
            _ => Err(NotAReply),
        }
    }
}

/// What a server offers in its reply to EHLO or LHLO (RFC 5321 section 4.1.1.1). Keywords know no case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SIZE (RFC 1870): the largest message, octets; 0 = no limit is named.
    pub size: Option<u64>,
    /// AUTH PLAIN.
    pub auth_plain: bool,
    /// AUTH LOGIN.
    pub auth_login: bool,
    /// AUTH SCRAM-SHA-256 (RFC 7677).
    pub auth_scram: bool,
    /// AUTH SCRAM-SHA-256-PLUS.
    pub auth_scram_plus: bool,
    /// AUTH XOAUTH2 (what Google and Microsoft speak).
    pub auth_xoauth2: bool,
}

impl Offer {
    /// Reads the lines of a reply to EHLO; the first is the server's name.
    pub fn read(reply: &ServerReply) -> Self {
        let mut offer = Self::default();
        for line in reply.lines.iter().skip(1) {
            // Old servers write AUTH= as well (what Domino and Outlook once asked for).
            let line = line.to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1);
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default() {
                "STARTTLS" => offer.starttls = true,
                "PIPELINING" => offer.pipelining = true,
                "8BITMIME" => offer.eight_bit_mime = true,
                "SMTPUTF8" => offer.smtputf8 = true,
                "DSN" => offer.dsn = true,
                "SIZE" => {
                    let limit = words.next().and_then(|limit| limit.parse().ok());
                    offer.size = Some(limit.unwrap_or(0));
                }
                "AUTH" => words.for_each(|mechanism| offer.read_mechanism(mechanism)),
                _ => {}
            }
        }
        offer
    }

    fn read_mechanism(&mut self, mechanism: &str) {
        match mechanism {
            "PLAIN" => self.auth_plain = true,
            "LOGIN" => self.auth_login = true,
            "SCRAM-SHA-256" => self.auth_scram = true,
            "SCRAM-SHA-256-PLUS" => self.auth_scram_plus = true,
            "XOAUTH2" => self.auth_xoauth2 = true,
            _ => {}
        }
    }
}

/// Makes mail data of content with CRLF line ends, piece by piece: dots at the beginning of lines are
/// doubled (RFC 5321 section 4.5.2). A line that a bare LF begins counts too: a server that took it for
/// a line end must not see the end of the mail data in it.
#[derive(Debug)]
pub struct DataEncoder {
    at_line_start: bool,
    after_crlf: bool,
    last: u8,
}

impl Default for DataEncoder {
    fn default() -> Self {
        Self {
            at_line_start: true,
            after_crlf: true,
            last: b'\n',
        }
    }
}

impl DataEncoder {
    /// Adds a piece of content to `wire`.
    pub fn encode(&mut self, content: &[u8], wire: &mut Vec<u8>) {
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            if self.at_line_start && line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
            let (before, last) = match line {
                [.., before, last] => (*before, *last),
                [last] => (self.last, *last),
                [] => continue,
            };
            self.at_line_start = last == b'\n';
            self.after_crlf = self.at_line_start && before == b'\r';
            self.last = last;
        }
    }

    /// Ends the last line, if it is not ended, and the mail data.
    pub fn finish(self, wire: &mut Vec<u8>) {
        if !self.after_crlf {
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
    }
}

/// A short text as mail data: line ends CRLF, dots doubled, the end behind it.
pub fn mail_data(content: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() + 64);
    let mut encoder = DataEncoder::default();
    for line in content.lines() {
        encoder.encode(line.as_bytes(), &mut wire);
        encoder.encode(b"\r\n", &mut wire);
    }
    encoder.finish(&mut wire);
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_whole_at_every_split() {
        let wire = b"250-mx\r\n250-SIZE 10\r\n250 HELP\r\n220 next\r\n";
        for split in 0..wire.len() {
            let mut reader = ReplyReader::default();
            let mut replies = Vec::new();
            for mut part in [&wire[..split], &wire[split..]] {
                while !part.is_empty() {
                    let (used, reply) = reader.feed(part).unwrap();
                    part = &part[used..];
                    replies.extend(reply);
                }
            }
            assert_eq!(replies.len(), 2, "{split}");
            assert_eq!(replies[0].lines, ["mx", "SIZE 10", "HELP"]);
            assert_eq!(replies[1].code, 220);
        }
        for bad in [&b"hello\r\n"[..], b"25\r\n", b"250+x\r\n", &[b'2'; 3000]] {
            assert!(ReplyReader::default().feed(bad).is_err());
        }
    }

    #[test]
    fn what_a_server_offers_is_read_in_any_case() {
        let lines = |lines: &[&str]| ServerReply {
            code: 250,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        let offer = Offer::read(&lines(&[
            "STARTTLS is my name",
            "size 1000",
            "8bitmime",
            "pipelining",
            "dsn",
            "AUTH CRAM-MD5 plain xoauth2 SCRAM-SHA-256-PLUS",
            "auth=LOGIN",
            "X-NEW thing",
        ]));
        let want = Offer {
            starttls: false,
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: false,
            dsn: true,
            size: Some(1000),
            auth_plain: true,
            auth_login: true,
            auth_scram: false,
            auth_scram_plus: true,
            auth_xoauth2: true,
        };
        assert_eq!(offer, want);
        for (line, size) in [("SIZE", Some(0)), ("SIZE x", Some(0)), ("SIZES", None)] {
            assert_eq!(Offer::read(&lines(&["mx", line])).size, size, "{line}");
        }
        assert_eq!(Offer::read(&lines(&[])), Offer::default());
    }

    #[test]
    fn content_is_encoded_alike_at_every_split() {
        let rows: &[(&[u8], &[u8])] = &[
            (b"", b".\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"..a\r\n.b", b"...a\r\n..b\r\n.\r\n"),
            // No server may see an end here, whatever it takes for a line end.
            (b"a\n.\nb\r\n", b"a\n..\nb\r\n.\r\n"),
            (b"a\n.\r\n", b"a\n..\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b"a\n", b"a\n\r\n.\r\n"),
        ];
        for (content, want) in rows {
            for split in 0..=content.len() {
                let mut wire = Vec::new();
                let mut encoder = DataEncoder::default();
                encoder.encode(&content[..split], &mut wire);
                encoder.encode(&content[split..], &mut wire);
                encoder.finish(&mut wire);
                assert_eq!(&wire, want, "{content:?} at {split}");
            }
        }
    }

    #[test]
    fn mail_data_is_transparent() {
        assert_eq!(mail_data("a\n.b\n"), b"a\r\n..b\r\n.\r\n");
    }
}
