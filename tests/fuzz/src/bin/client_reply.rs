//! A server's replies as our client reads them: no split changes them, no reply outgrows its limits.

use std::process::ExitCode;

use gatepost::protocol::client::{LINE_MAX_OCTETS, LINES_MAX, ReplyReader, ServerReply};
use gatepost_fuzz::Random;

const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"250-",
    b"250 ",
    b"250",
    b"220 ",
    b"2.0.0 ",
    b"5.7.1 ",
    b"-",
    b"\0",
    b"\xff",
    b"999 ",
    b"25",
    &[b'x'; 900],
];

fn main() -> ExitCode {
    let corpus = vec![
        b"220 mx.example ESMTP\r\n250-mx.example\r\n250-SIZE 1\r\n250 HELP\r\n".to_vec(),
        b"250 2.1.0 OK\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 Queued\r\n221 Bye\r\n".to_vec(),
    ];
    gatepost_fuzz::main("client_reply", corpus, TOKENS, run)
}

fn run(input: &[u8], random: &mut Random) {
    let whole = replies(&[input]);
    assert_eq!(
        replies(&random.split(input)),
        whole,
        "a split changes the replies"
    );
    for reply in &whole.0 {
        assert!((1..=LINES_MAX).contains(&reply.lines.len()));
        // A octet that is no UTF-8 becomes three.
        assert!(
            reply
                .lines
                .iter()
                .all(|line| line.len() <= 3 * LINE_MAX_OCTETS)
        );
    }
}

/// The replies, and whether what follows them is none.
fn replies(pieces: &[&[u8]]) -> (Vec<ServerReply>, bool) {
    let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match reader.feed(rest) {
                Ok((taken, reply)) => {
                    replies.extend(reply);
                    rest = &rest[taken..];
                }
                Err(_) => return (replies, true),
            }
        }
    }
    (replies, false)
}
