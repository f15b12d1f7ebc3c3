//! A notification as a message: a report for people, one for programs, and what came back
//! (RFC 3461 section 6, RFC 3462, RFC 3464).
//!
//! A report is about exactly one message. Where one notification tells of several, it is a `multipart/mixed` of
//! whole reports (RFC 6522 lets them stand there), behind a line for people.
//!
//! Promises: the content is a whole message of lines of at most 998 octets of our own; nothing that a
//! peer or a sender chose can end a part of it or add a field. It is ASCII, but for a sender's own
//! address in `To` (then it needs SMTPUTF8) and for an 8-bit original that comes back whole (then it
//! needs 8BITMIME). Addresses that are not ASCII stand in the machine's part as `utf-8; j\x{F6}rg@...`,
//! the encoded form of RFC 6533, so that it is a plain `message/delivery-status` everywhere.
//!
//! Refuses to know: who gets it, the spool, the clock. Limits: [`returned::RETURNED_MAX_OCTETS`] of the original.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mail::notifications::OriginalRecipient;
use crate::mail::{Action, ForwardPath, MessageId, Outcome, date};
use crate::protocol::mime::seven_bit::quoted_printable;
use crate::spool::Stored;

mod returned;

use returned::LINE_MAX_OCTETS;
pub(super) use returned::{Returned, Way};

/// One recipient of the original and what became of it.
pub(super) struct Item<'a> {
    /// As the client named it: where an alias leads is nobody's business.
    pub(super) forward_path: &'a ForwardPath,
    /// Whom the sender wrote to in the first place.
    pub(super) original: Option<&'a OriginalRecipient>,
    /// What became of it.
    pub(super) outcome: Outcome,
}

/// What is told of one message.
pub(super) struct Report<'a> {
    /// Our name.
    pub(super) hostname: &'a str,
    /// The original.
    pub(super) stored: &'a Stored,
    /// Its recipients, at least one.
    pub(super) items: &'a [Item<'a>],
    /// Why it does not go to the sender.
    pub(super) note: Option<&'a str>,
    /// Until when those that are late are tried, where that is known.
    pub(super) tried_until: Option<SystemTime>,
    /// The part of the original that comes back.
    pub(super) returned: Returned,
}

/// The reports that one notification holds.
#[derive(Default)]
pub(super) struct Reports {
    /// Random, for the boundaries.
    random: u128,
    subject: &'static str,
    /// Each one's boundary, and what is between and around its delimiters.
    parts: Vec<(String, Vec<u8>)>,
    octets: usize,
    is_eight_bit: bool,
}

/// What the reports go out with.
pub(super) struct Heading<'a> {
    /// Our name.
    pub(super) hostname: &'a str,
    /// The id the notification will have.
    pub(super) id: MessageId,
    /// Whom it goes to.
    pub(super) to: &'a str,
    /// When it is made.
    pub(super) now: SystemTime,
}

impl Reports {
    /// None yet; `random` makes the boundaries.
    pub(super) fn new(random: u128) -> Self {
        Self {
            random,
            ..Self::default()
        }
    }

    /// One more message is told of.
    pub(super) fn push(&mut self, report: &Report<'_>) {
        let boundary = report.boundary(self.random);
        let body = report.body(&boundary);
        if self.parts.is_empty() {
            self.subject = report.subject();
        }
        self.octets += body.len();
        self.is_eight_bit |= report.returned.is_eight_bit();
        self.parts.push((boundary, body));
    }

    /// How long they are, octets.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Whether they need 8BITMIME.
    pub(super) fn is_eight_bit(&self) -> bool {
        self.is_eight_bit
    }

    /// The whole message.
    pub(super) fn to_content(&self, heading: &Heading<'_>) -> Vec<u8> {
        if let [(boundary, body)] = self.parts.as_slice() {
            let head = self.header_section(heading, &content_type(REPORT, boundary));
            return [head.as_bytes(), body].concat();
        }
        let boundary = format!("=_all_{:032x}", self.random);
        let mut content = self.header_section(heading, &content_type(MIXED, &boundary));
        let count = self.parts.len();
        content.push_str(&format!(
            "--{boundary}\r\nContent-Type: text/plain\r\n\r\n\
             This is the mail server {}. It tells of {count} messages at once.\r\n\
             A report about each of them follows.\r\n",
            heading.hostname
        ));
        let mut content = content.into_bytes();
        for (inner, body) in &self.parts {
            let head = content_type(REPORT, inner);
            content.extend_from_slice(format!("\r\n--{boundary}\r\n{head}\r\n").as_bytes());
            content.extend_from_slice(body);
        }
        content.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        content
    }

    fn header_section(&self, heading: &Heading<'_>, content_type: &str) -> String {
        let (host, id) = (heading.hostname, heading.id);
        format!(
            "Date: {}\r\nFrom: Mail Delivery System <MAILER-DAEMON@{host}>\r\nTo: <{}>\r\n\
             Subject: {}\r\nMessage-ID: <{id}@{host}>\r\nAuto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n{content_type}Content-Transfer-Encoding: {}\r\n\r\n",
            date::rfc5322(heading.now),
            heading.to,
            self.subject,
            // A container is what its parts are (RFC 2045 section 6.4).
            match self.is_eight_bit {
                true => "8bit",
                false => "7bit",
            },
        )
    }
}

fn content_type(media: &str, boundary: &str) -> String {
    format!("Content-Type: {media};\r\n\tboundary=\"{boundary}\"\r\n")
}

impl Report<'_> {
    /// Its three parts, with all delimiters.
    fn body(&self, boundary: &str) -> Vec<u8> {
        let (head, returned) = self.returned.part();
        let text = self.text();
        let (text, encoding) = match text.is_ascii() {
            true => (text.into_bytes(), "7bit"),
            false => (quoted_printable(text.as_bytes()), "quoted-printable"),
        };
        let parts = [
            (
                format!(
                    "Content-Description: Notification\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Content-Transfer-Encoding: {encoding}\r\n"
                ),
                text,
            ),
            (
                "Content-Description: Delivery report\r\n\
                 Content-Type: message/delivery-status\r\n"
                    .to_owned(),
                self.status().into_bytes(),
            ),
            (format!("Content-Description: Message\r\n{head}"), returned),
        ];
        let mut content = Vec::new();
        for (head, body) in parts {
            content.extend_from_slice(format!("--{boundary}\r\n{head}\r\n").as_bytes());
            content.extend_from_slice(&body);
            // The line end before a delimiter belongs to it (RFC 2046 section 5.1.1).
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        content
    }

    /// One that no returned line can pass for: nobody can guess it. Its length is fixed, below the 70 octets
    /// of RFC 2046; a look at what comes back is made once, for a generator that is no good.
    fn boundary(&self, random: u128) -> String {
        let id = self.stored.id;
        let boundary = format!("=_{id}_{random:032x}");
        let mut returned = self.returned.octets.windows(boundary.len());
        match returned.any(|window| window == boundary.as_bytes()) {
            true => format!("=_{id}_{:032x}", !random),
            false => boundary,
        }
    }

    fn has(&self, is_it: impl Fn(Action) -> bool) -> bool {
        self.items.iter().any(|item| is_it(item.outcome.action))
    }

    fn subject(&self) -> &'static str {
        if self.note.is_some() {
            "Mail could not be delivered, nor its sender told"
        } else if self.has(Action::is_failure) {
            "Mail could not be delivered"
        } else if self.has(|action| action == Action::Delayed) {
            "Mail is still on its way"
        } else if self.has(|action| action == Action::Delivered) {
            "Mail was delivered"
        } else {
            "Mail was passed on"
        }
    }

    /// The part for people.
    fn text(&self) -> String {
        let mut text = format!("This is the mail server {}.\r\n", self.hostname);
        if let Some(note) = self.note {
            let from = &self.stored.envelope.reverse_path;
            text.push_str(&format!("\r\n{note}\r\nThe sender is <{from}>.\r\n"));
        }
        let arrived = date::rfc5322(moment(self.stored.received));
        text.push_str(&format!(
            "\r\nIt is about the message that was taken here on\r\n{arrived} as {}.\r\n",
            self.stored.id
        ));
        let mut until = String::new();
        if let Some(tried_until) = self.tried_until {
            until = format!(" until\r\n{}", date::rfc5322(tried_until));
        }
        let late = format!(
            "It has not been delivered yet to those below. It is tried again{until}.\r\n\
             There is nothing you have to do."
        );
        for (actions, words) in [
            (
                &[Action::Failed, Action::Expired][..],
                "It could not be delivered to those below, and is not tried again.",
            ),
            (&[Action::Delayed], late.as_str()),
            (&[Action::Delivered], "It was delivered to those below."),
            (
                &[Action::Relayed],
                "It was passed on for those below, to a server that sends no notifications.",
            ),
        ] {
            let is_it = |item: &&Item<'_>| actions.contains(&item.outcome.action);
            if self.items.iter().any(|item| is_it(&item)) {
                text.push_str(&format!("\r\n{words}\r\n\r\n"));
            }
            let items = self.items.iter().filter(is_it);
            items.for_each(|item| text.push_str(&self.paragraph(item)));
        }
        text
    }

    fn paragraph(&self, item: &Item<'_>) -> String {
        let Outcome { action, reason } = &item.outcome;
        let mut text = format!("<{}>\r\n", item.forward_path);
        if *action == Action::Expired {
            text.push_str("    It was tried for too long. The last reason:\r\n");
        }
        match reason.peer() {
            Some(peer) => text.push_str(&format!(
                "    {} answered to {}:\r\n    {}\r\n",
                peer.host,
                peer.step,
                reason.words()
            )),
            None => text.push_str(&format!("    {}\r\n", reason.words())),
        }
        text
    }

    /// The part for programs (RFC 3464 section 2).
    fn status(&self) -> String {
        let arrived = date::rfc5322(moment(self.stored.received));
        let mut status = format!("Reporting-MTA: dns; {}\r\n", self.hostname);
        if let Some(id) = &self.stored.envelope.notifications.envelope_id {
            status.push_str(&format!("Original-Envelope-Id: {}\r\n", id.decoded()));
        }
        status.push_str(&format!("Arrival-Date: {arrived}\r\n"));
        for item in self.items {
            status.push_str("\r\n");
            status.push_str(&self.fields(item));
        }
        status
    }

    fn fields(&self, item: &Item<'_>) -> String {
        let Outcome { action, reason } = &item.outcome;
        let mut fields = String::new();
        if let Some(original) = item.original {
            let (addr_type, address) = original.decoded();
            let field = format!("Original-Recipient: {addr_type}; {}\r\n", encoded(&address));
            if field.len() <= LINE_MAX_OCTETS {
                fields.push_str(&field);
            }
        }
        let (addr_type, address) = match item.forward_path {
            ForwardPath::Postmaster => ("rfc822", format!("postmaster@{}", self.hostname)),
            ForwardPath::Mailbox(mailbox) if mailbox.is_ascii() => ("rfc822", mailbox.to_string()),
            ForwardPath::Mailbox(mailbox) => ("utf-8", encoded(&mailbox.to_string())),
        };
        let word = match action {
            Action::Expired => Action::Failed.word(),
            other => other.word(),
        };
        let code = match action {
            Action::Expired => EXPIRED_STATUS,
            _ => reason.status(),
        };
        fields.push_str(&format!(
            "Final-Recipient: {addr_type}; {address}\r\nAction: {word}\r\nStatus: {code}\r\n"
        ));
        if let Some(peer) = reason.peer() {
            fields.push_str(&format!("Remote-MTA: dns; {}\r\n", peer.host));
        }
        if !matches!(action, Action::Delivered) {
            let diagnostic = reason.peer().map_or("x-gatepost", |_| "smtp");
            fields.push_str(&format!(
                "Diagnostic-Code: {diagnostic}; {}\r\n",
                reason.words()
            ));
        }
        let late = self.tried_until.filter(|_| *action == Action::Delayed);
        if let Some(until) = late {
            fields.push_str(&format!("Will-Retry-Until: {}\r\n", date::rfc5322(until)));
        }
        fields
    }
}

fn moment(seconds: u64) -> SystemTime {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    moment.unwrap_or(UNIX_EPOCH)
}

/// An address in ASCII (RFC 6533 section 3, `utf-8-addr-xtext`); one in ASCII stays as it is.
fn encoded(address: &str) -> String {
    if address.is_ascii() {
        return address.to_owned();
    }
    let mut encoded = String::new();
    for letter in address.chars() {
        match letter {
            '\\' | '+' | '=' => encoded.push_str(&format!("\\x{{{:02X}}}", u32::from(letter))),
            '!'..='~' => encoded.push(letter),
            _ => encoded.push_str(&format!("\\x{{{:02X}}}", u32::from(letter))),
        }
    }
    encoded
}

/// A report about one message.
const REPORT: &str = "multipart/report; report-type=delivery-status";
/// Several of them.
const MIXED: &str = "multipart/mixed";
/// Delivery time expired (RFC 3463 section 3.5).
const EXPIRED_STATUS: &str = "4.4.7";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::content::Source;

    #[test]
    fn addresses_beyond_ascii_are_encoded() {
        assert_eq!(encoded("a+b@there.example"), "a+b@there.example");
        assert_eq!(
            encoded("jörg+x@there.example"),
            "j\\x{F6}rg\\x{2B}x@there.example"
        );
    }

    /// A message of this content that was refused, told of; as text.
    fn told(content: &[u8], random: u128) -> String {
        told_at_once(content, random, 1)
    }

    /// The same, so many times in one notification.
    fn told_at_once(content: &[u8], random: u128, times: usize) -> String {
        let path = ForwardPath::Postmaster;
        let stored = Stored {
            id: MessageId::new(1, 1),
            received: 0,
            envelope: crate::mail::Envelope {
                reverse_path: crate::mail::ReversePath::Null,
                recipients: Vec::new(),
                eight_bit: false,
                smtputf8: false,
                notifications: crate::mail::MessageNotifications::default(),
                client: [192, 0, 2, 1].into(),
                login: None,
            },
            origin: crate::spool::Origin::Client,
            held: false,
            progress: Vec::new(),
            local: crate::spool::Attempts::default(),
            lanes: crate::spool::Attempts::default(),
            replayed: false,
            content: crate::spool::Content::Memory(0..content.len()),
        };
        let items = [Item {
            forward_path: &path,
            original: None,
            outcome: Outcome {
                action: Action::Failed,
                reason: crate::mail::Reason::own("5.1.1", "x"),
            },
        }];
        let source = Source::new(&stored.content, content);
        let returned = Returned::of(&stored, source, &items, Way::EightBit).unwrap();
        let report = Report {
            hostname: "mx.here.example",
            stored: &stored,
            items: &items,
            note: None,
            tried_until: None,
            returned,
        };
        let mut reports = Reports::new(random);
        (0..times).for_each(|_| reports.push(&report));
        let content = reports.to_content(&Heading {
            hostname: "mx.here.example",
            id: MessageId::new(1, 2),
            to: "a@b.example",
            now: UNIX_EPOCH,
        });
        String::from_utf8_lossy(&content).into_owned()
    }

    fn boundary_of(told: &str) -> &str {
        let behind = told.split_once("boundary=\"").unwrap().1;
        behind.split_once('"').unwrap().0
    }

    #[test]
    fn no_content_makes_the_boundary_long_or_stands_in_it() {
        let plain = told(b"Subject: x\r\n\r\n", 7);
        let boundary = boundary_of(&plain).to_owned();
        assert!(boundary.len() <= 70, "{boundary}");
        let hostile = format!("Subject: x\r\n\r\n--{boundary}\r\n{boundary}xxxxx\r\n");
        let hostile = told(hostile.as_bytes(), 7);
        let other = boundary_of(&hostile);
        assert_eq!(other.len(), boundary.len());
        assert_ne!(other, boundary);
        assert_eq!(hostile.matches(&format!("--{other}\r\n")).count(), 3);
        assert_eq!(hostile.matches(&format!("--{other}--\r\n")).count(), 1);
    }

    #[test]
    fn several_reports_stand_whole_in_one_notification() {
        let told = told_at_once(b"Subject: x\r\n\r\n", 7, 3);
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains("Content-Type: multipart/mixed;\r\n"),
            "{head}"
        );
        let outer = boundary_of(&told);
        let parts: Vec<_> = body.split(&format!("--{outer}\r\n")).collect();
        assert_eq!(parts.len(), 5, "{body}");
        assert!(parts[1].contains("tells of 3 messages at once"), "{body}");
        for report in &parts[2..] {
            let media = "Content-Type: multipart/report; report-type=delivery-status;\r\n";
            assert!(report.starts_with(media), "{report}");
            let inner = boundary_of(report);
            assert_ne!(inner, outer);
            assert_eq!(report.matches(&format!("--{inner}\r\n")).count(), 3);
            assert_eq!(report.matches(&format!("--{inner}--\r\n")).count(), 1);
        }
        assert!(told.ends_with(&format!("\r\n--{outer}--\r\n")));
    }

    #[test]
    fn a_message_of_which_the_header_alone_is_left_comes_back_as_a_header() {
        let whole = told(b"Subject: x\r\n\r\nx\r\n", 7);
        assert!(whole.contains("message/rfc822"), "{whole}");
        let cut = told(b"Subject: x\r\n", 7);
        assert!(cut.contains("text/rfc822-headers"), "{cut}");
    }

    #[test]
    fn eight_bit_originals_are_labelled_at_every_level_and_long_lines_stay_here() {
        let label = "Content-Transfer-Encoding: ";
        let plain = told(b"Subject: x\r\n\r\nx\r\n", 7);
        assert!(!plain.contains("8bit"), "{plain}");
        let eight = told("Subject: x\r\n\r\n\u{e4}\r\n".as_bytes(), 7);
        let head = eight.split_once("\r\n\r\n").unwrap().0;
        assert!(head.ends_with(&format!("{label}8bit")), "{head}");
        let part = format!("Content-Type: message/rfc822\r\n{label}8bit\r\n\r\nSubject: x\r\n");
        assert!(eight.contains(&part), "{eight}");
        for long in [
            format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(999)),
            format!("Subject: {}\r\n\r\n", "y".repeat(2000)),
        ] {
            let told = told(long.as_bytes(), 7);
            assert!(told.contains("text/rfc822-headers"), "{told}");
            assert!(told.contains("Subject: "), "{told}");
            assert!(told.lines().all(|line| line.len() <= 998), "{told}");
        }
        let longest = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(998));
        assert!(told(longest.as_bytes(), 7).contains("message/rfc822"));
    }
}
