//! Rules over the texts we send.

use super::Found;

impl Found<'_> {
    pub(super) fn the_greeting_fits_its_line(&mut self) {
        let hostname = self.settings.hostname.as_str();
        let text = self
            .settings
            .messages
            .greeting
            .replace("{hostname}", hostname);
        let text = text.replace("{date}", LONGEST_DATE);
        let octets = "220 ".len() + text.len() + "\r\n".len();
        if octets > REPLY_LINE_MAX_OCTETS {
            let reason = format!("the reply line has {octets} octets; 512 is the most");
            self.at(
                ("messages", "greeting"),
                &[("server", "hostname")],
                None,
                reason,
            );
        }
    }
}

/// The most octets of a reply line, CRLF included (RFC 5321 section 4.5.3.1.5).
const REPLY_LINE_MAX_OCTETS: usize = 512;
const LONGEST_DATE: &str = "Wed, 30 Sep 2026 23:59:59 +0000";
