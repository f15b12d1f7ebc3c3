//! Trace fields: what is put on top of the content when it is accepted (RFC 5321 section 4.4).
//!
//! Promises: a field is folded so that no line is longer than 998 octets, and ends with CRLF. A name that the client
//! gave at EHLO stands as one only where it is one; whatever else it is stands in a comment, tamed. The
//! protocol words are those of RFC 3848 and RFC 6531.

use std::net::IpAddr;

use super::{Domain, ForwardPath, MessageId};

/// What is known of a TLS session, for trace fields and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: &'static str,
}

/// What a Received field tells.
#[derive(Debug)]
pub struct Received<'a> {
    /// The name the client gave at EHLO or HELO.
    pub helo: &'a str,
    /// Whether it was EHLO.
    pub extended: bool,
    /// The client's address.
    pub client: IpAddr,
    /// Our name.
    pub by: &'a Domain,
    /// The session's TLS.
    pub tls: Option<TlsFacts>,
    /// Whether the session had logged in.
    pub authenticated: bool,
    /// Whether MAIL said SMTPUTF8.
    pub smtputf8: bool,
    /// The message.
    pub id: MessageId,
    /// The recipient, if there is just one: several would tell each of the others.
    pub recipient: Option<&'a ForwardPath>,
    /// The date, by RFC 5322.
    pub date: &'a str,
}

impl Received<'_> {
    /// The field, with CRLF.
    pub fn to_field(&self) -> String {
        let client = match self.client {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let mut field = match self.is_helo_a_name() {
            true => format!("Received: from {} ({client})", self.helo),
            false => format!("Received: from {client} (helo={})", shown(self.helo)),
        };
        if let Some(tls) = self.tls {
            field.push_str(&format!(
                "\r\n\t(using {} with cipher {})",
                tls.version, tls.cipher
            ));
        }
        field.push_str(&format!(
            "\r\n\tby {} with {} id {}",
            self.by,
            self.protocol(),
            self.id
        ));
        if let Some(recipient) = self.recipient {
            field.push_str(&format!("\r\n\tfor <{recipient}>"));
        }
        field.push_str(&format!(";\r\n\t{}\r\n", self.date));
        field
    }

    /// Whether the client gave a domain or an address-literal; one that is not ASCII is a domain where the
    /// message has SMTPUTF8.
    fn is_helo_a_name(&self) -> bool {
        Domain::parse(self.helo).is_ok() && (self.smtputf8 || self.helo.is_ascii())
    }

    fn protocol(&self) -> String {
        let name = match (self.smtputf8, self.extended) {
            (true, _) => "UTF8SMTP",
            (false, true) => "ESMTP",
            (false, false) => return "SMTP".to_owned(),
        };
        let secure = if self.tls.is_some() { "S" } else { "" };
        let authenticated = if self.authenticated { "A" } else { "" };
        format!("{name}{secure}{authenticated}")
    }
}

/// A name that is none, for a comment: without anything that means something in a field (RFC 5322 section
/// 3.2.3), but for dots.
fn shown(name: &str) -> String {
    name.replace(
        |c: char| !c.is_ascii_graphic() || "()<>[]:;@\\,\"".contains(c),
        "?",
    )
}

/// The header section: whole lines up to the empty one, or as many as there are.
pub fn header_section(octets: &[u8]) -> &[u8] {
    let mut length = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if line == b"\r\n" || !line.ends_with(b"\r\n") {
            break;
        }
        length += line.len();
    }
    octets.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_says_how_the_message_came() {
        let path = ForwardPath::parse_prefix("<alice@here.example>").unwrap().0;
        let mut received = Received {
            helo: "there.example",
            extended: true,
            client: "192.0.2.1".parse().unwrap(),
            by: &Domain::parse("mx.here.example").unwrap(),
            tls: Some(TlsFacts {
                version: "TLSv1.3",
                cipher: "TLS13_AES_256_GCM_SHA384",
            }),
            authenticated: true,
            smtputf8: false,
            id: MessageId::new(0, 0),
            recipient: Some(&path),
            date: "Thu, 1 Jan 1970 00:00:00 +0000",
        };
        let want = "Received: from there.example ([192.0.2.1])\r\n\
            \t(using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384)\r\n\
            \tby mx.here.example with ESMTPSA id 0000000000000000\r\n\
            \tfor <alice@here.example>;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n";
        assert_eq!(received.to_field(), want);
        (received.tls, received.authenticated, received.extended) = (None, false, false);
        (received.client, received.recipient) = ("2001:db8::1".parse().unwrap(), None);
        let want = "Received: from there.example ([IPv6:2001:db8::1])\r\n\
            \tby mx.here.example with SMTP id 0000000000000000;\r\n\
            \tThu, 1 Jan 1970 00:00:00 +0000\r\n";
        assert_eq!(received.to_field(), want);
        received.client = "192.0.2.1".parse().unwrap();
        let rows = [
            ("[192.0.2.9]", false, "[192.0.2.9] ([192.0.2.1])"),
            ("printer_2", false, "printer_2 ([192.0.2.1])"),
            ("a;b", false, "[192.0.2.1] (helo=a?b)"),
            ("a,\"b\\@[c]:<d>", false, "[192.0.2.1] (helo=a??b???c???d?)"),
            ("a..b", false, "[192.0.2.1] (helo=a..b)"),
            ("[192.0.2.9", false, "[192.0.2.1] (helo=?192.0.2.9)"),
            ("é.example", false, "[192.0.2.1] (helo=?.example)"),
            ("é.example", true, "é.example ([192.0.2.1])"),
            ("é;x", true, "[192.0.2.1] (helo=??x)"),
        ];
        for (helo, smtputf8, want) in rows {
            (received.helo, received.smtputf8) = (helo, smtputf8);
            let field = received.to_field();
            let begin = format!("Received: from {want}\r\n\tby ");
            assert!(field.starts_with(&begin), "{helo}: {field}");
        }
    }

    #[test]
    fn only_whole_lines_of_the_header_section_come_back() {
        for (content, want) in [
            ("A: b\r\n c\r\n\r\nbody\r\n", "A: b\r\n c\r\n"),
            ("A: b\r\nC: cut", "A: b\r\n"),
            ("\r\nbody", ""),
            ("", ""),
        ] {
            assert_eq!(header_section(content.as_bytes()), want.as_bytes());
        }
    }
}
