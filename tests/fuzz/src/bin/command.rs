//! Command lines: no split changes them, no line outgrows its limit, paths print back as themselves.

use std::process::ExitCode;

use gatepost::mail::notifications::{EnvelopeId, Notify, OriginalRecipient};
use gatepost::mail::{ForwardPath, ReversePath};
use gatepost::protocol::chunk::ChunkSize;
use gatepost::protocol::command::{Command, mail_path, rcpt_path};
use gatepost::protocol::line::{
    AUTH_LINE_MAX_OCTETS, COMMAND_LINE_MAX_OCTETS, LineError, LineKind, LineRead, LineReader,
};
use gatepost::protocol::params::{MailParameters, Offered, rcpt_parameters};
use gatepost_fuzz::Random;

const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"MAIL FROM:<",
    b"RCPT TO:<",
    b">",
    b"@",
    b"\"",
    b"\\",
    b"[IPv6:",
    b"]",
    b" SIZE=",
    b" BODY=8BITMIME",
    b" SMTPUTF8",
    b" AUTH=<>",
    b" RET=HDRS",
    b" ENVID=a+20b",
    b" NOTIFY=NEVER",
    b" NOTIFY=SUCCESS,DELAY",
    b" ORCPT=rfc822;a+2Bb",
    b" ORCPT=utf-8;",
    b"BDAT 5 LAST",
    b"EHLO ",
    b"AUTH ",
    b"AUTH PLAIN ",
    b"@a.example,@b.example:",
    b"alice@here.example",
    b"postmaster",
    "п".as_bytes(),
    b"\xff",
    b" ",
    &[b'x'; 600],
];

fn main() -> ExitCode {
    gatepost_fuzz::main("command", gatepost_fuzz::transcripts(), TOKENS, run)
}

fn run(input: &[u8], random: &mut Random) {
    let whole = lines(&[input]);
    let pieces = random.split(input);
    assert_eq!(lines(&pieces), whole, "a split changes the lines");
    for line in whole.iter().flatten() {
        let is_auth = line
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "));
        let longest = if is_auth {
            AUTH_LINE_MAX_OCTETS
        } else {
            COMMAND_LINE_MAX_OCTETS
        };
        assert!(line.len() + 2 <= longest, "a line of {} octets", line.len());
        assert!(!line.iter().any(|octet| b"\r\n\0".contains(octet)));
        look_at(line);
    }
}

fn lines(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, LineError>> {
    let (mut reader, mut lines) = (LineReader::default(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let (taken, read) = reader.read(rest, LineKind::Command);
            rest = &rest[taken..];
            match read {
                LineRead::NeedsMore => break,
                LineRead::Line(line) => lines.push(Ok(line.into_owned())),
                LineRead::Refused(error) => lines.push(Err(error)),
            }
        }
        assert!(rest.is_empty(), "octets are left over");
    }
    lines
}

fn look_at(line: &[u8]) {
    let Some(Command { arguments, .. }) = Command::parse(line) else {
        return;
    };
    let all = Offered {
        size: true,
        eight_bit_mime: true,
        smtputf8: true,
        auth: true,
        dsn: true,
    };
    let _ = ChunkSize::parse(arguments);
    if let Ok((path, rest)) = mail_path(arguments) {
        if let Ok(MailParameters { notifications, .. }) = MailParameters::parse(rest, all) {
            // What is kept is printed, and has to come back from that.
            let kept = notifications.envelope_id.map(|id| id.to_string());
            assert!(kept.is_none_or(|kept| EnvelopeId::parse(&kept).is_some()));
        }
        let printed = format!("<{path}>");
        assert_eq!(
            ReversePath::parse_prefix(&printed),
            Ok((path, "")),
            "{printed}"
        );
    }
    if let Ok((path, rest)) = rcpt_path(arguments) {
        if let Ok(asked) = rcpt_parameters(rest, all) {
            let notify = asked.notify.map(|notify| notify.to_string());
            assert_eq!(notify.as_deref().and_then(Notify::parse), asked.notify);
            let original = asked.original.as_ref().map(ToString::to_string);
            let again = original.as_deref().and_then(OriginalRecipient::parse);
            assert_eq!(again, asked.original);
        }
        let printed = format!("<{path}>");
        assert_eq!(
            ForwardPath::parse_prefix(&printed),
            Ok((path, "")),
            "{printed}"
        );
    }
}
