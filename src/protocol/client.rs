//! The client's side: replies as they come in, content as it goes out.

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

/// Content as mail data: line ends CRLF, dots doubled, the end behind it.
pub fn mail_data(content: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() + 64);
    for line in content.lines() {
        if line.starts_with('.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
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
    fn mail_data_is_transparent() {
        assert_eq!(mail_data("a\n.b\n"), b"a\r\n..b\r\n.\r\n");
    }
}
