//! Rules over the texts we send.

use super::Found;

impl Found<'_> {
    pub(super) fn the_texts_fit_their_lines(&mut self) {
        let hostname = self.settings.hostname.as_str();
        let messages = &self.settings.messages;
        let greeting = messages.greeting.replace("{hostname}", hostname);
        let greeting = greeting.replace("{date}", LONGEST_DATE);
        let listed = |text: &str| text.replace("%s", LONGEST_ADDRESS);
        let rows = [
            ("messages", "greeting", "220 ", greeting),
            (
                "messages",
                "site_not_enabled",
                "554 ",
                messages.site_not_enabled.clone(),
            ),
            (
                "messages",
                "relay_denied",
                "554 5.7.1 ",
                messages.relay_denied.clone(),
            ),
            (
                "messages",
                "authentication_required",
                "530 5.7.0 ",
                messages.authentication_required.clone(),
            ),
            (
                "messages",
                "access_denied",
                "554 ",
                messages.access_denied.clone(),
            ),
            (
                "messages",
                "too_many_errors",
                "421 4.7.0 ",
                messages.too_many_errors.clone(),
            ),
            ("dnsbl", "reply", "554 ", listed(&self.settings.dnsbl.reply)),
            (
                "blacklist",
                "reply",
                "554 ",
                listed(&self.settings.blacklist.reply),
            ),
        ];
        for (section, key, code, text) in rows {
            let octets = code.len() + text.len() + "\r\n".len();
            if octets > REPLY_LINE_MAX_OCTETS {
                let reason = format!("the reply line has {octets} octets; 512 is the most");
                let depends_on = [("server", "hostname")];
                self.at((section, key), &depends_on, None, reason);
            }
        }
    }
}

/// The most octets of a reply line, CRLF included (RFC 5321 section 4.5.3.1.5).
const REPLY_LINE_MAX_OCTETS: usize = 512;
const LONGEST_DATE: &str = "Wed, 30 Sep 2026 23:59:59 +0000";
const LONGEST_ADDRESS: &str = "2001:0db8:0000:0000:0000:0000:0000:0001";
