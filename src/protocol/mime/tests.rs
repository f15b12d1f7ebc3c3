//! Messages as they come, and octets as nobody sends them.

use super::*;
use crate::sys::seeded::Random;

fn looked(content: &str) -> (String, String, String) {
    let digest = digest(content.replace('\n', "\r\n").as_bytes());
    let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    (
        shown(digest.subject),
        shown(digest.text),
        shown(digest.html),
    )
}

#[test]
fn the_first_plain_text_is_found() {
    let rows = [
        ("Subject: a\n  b\n\ntext\n", "a  b", "text\n", "-"),
        ("\nonly text\n", "-", "only text\n", "-"),
        ("Subject: s\nsubject: t\n\n", "s", "", "-"),
        (
            "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
             =E4 soft=\n end =3D = =zz\n",
            "-",
            "ä soft end = = =zz\n",
            "-",
        ),
        (
            "Content-Type: TEXT/PLAIN; format=flowed; charset=\"utf-8\"\nContent-Transfer-Encoding: BASE64\n\n\
             w6Qg\n4oKs\nCg==\n",
            "-",
            "ä €\n",
            "-",
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"a b\"\n\npreamble\n--a b\n\
             Content-Type: multipart/alternative; boundary=in\n\n--in\nContent-Type: text/html\n\n<b>h</b>\n\
             --in\n\nplain\n--in--\n--a b\nContent-Type: text/plain\n\nsecond\n--a b--\n",
            "-",
            "plain\n",
            "-",
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Disposition: Attachment; filename=a\n\n\
             attached\n--x\nContent-Type: text/html; charset=utf-8\n\n<p>ä\n--x\n\
             Content-Type: message/rfc822\n\nSubject: inner\n\ninner\n--x--\n",
            "-",
            "-",
            "<p>ä\n",
        ),
        ("Content-Type: application/pdf\n\nx", "-", "-", "-"),
        ("Content-Type: multipart/mixed\n\n--\n\nx\n", "-", "-", "-"),
        // Cut in the middle of a part.
        (
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\ncut",
            "-",
            "cut",
            "-",
        ),
        (
            "Content-Type: text/plain; charset=koi8-r\n\nraw",
            "-",
            "raw",
            "-",
        ),
    ];
    for (content, subject, text, html) in rows {
        let want = (subject.to_owned(), text.to_owned(), html.to_owned());
        assert_eq!(looked(content), want, "{content}");
    }
    let digest = digest(b"Message-ID: <a@b>\n\nwith LF alone\n");
    assert_eq!(digest.message_id.as_deref(), Some("<a@b>"));
    assert_eq!(digest.text.as_deref(), Some("with LF alone\n"));
}

#[test]
fn texts_and_nesting_have_limits() {
    let long = "ä".repeat(TEXT_MAX_OCTETS);
    let encoded = base64::engine::general_purpose::STANDARD.encode(&long);
    let subject = "=?utf-8?Q?=C3=A4?= ".repeat(5000);
    for (head, body) in [
        ("", long.as_str()),
        ("Content-Transfer-Encoding: base64\r\n", &encoded),
        ("Content-Transfer-Encoding: quoted-printable\r\n", &long),
        ("Content-Type: text/plain; charset=windows-1252\r\n", &long),
    ] {
        let content = format!("Subject: {subject}\r\n{head}\r\n{body}");
        check(digest(content.as_bytes()));
    }
    let mut nested = String::new();
    for level in 0..1000 {
        nested.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        ));
    }
    check(digest(format!("{nested}\r\ndeep").as_bytes()));
    let parts = "--x\r\nContent-Type: image/png\r\n\r\n".repeat(100_000);
    let wide =
        format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{parts}--x\r\n\r\nlate\r\n");
    assert_eq!(digest(wide.as_bytes()).text, None);
}

fn check(digest: Digest) {
    for text in [&digest.text, &digest.html].into_iter().flatten() {
        assert!(text.len() <= TEXT_MAX_OCTETS && !text.contains('\r'));
    }
    for line in [&digest.subject, &digest.message_id].into_iter().flatten() {
        assert!(line.len() <= SUBJECT_MAX_OCTETS && !line.contains(char::is_control));
    }
}

/// Pieces that a reader of mail trips over, mixed with octets of every kind.
const PIECES: &[&str] = &[
    "Subject: ",
    "Content-Type: multipart/mixed; boundary=",
    "Content-Type: text/plain; charset=",
    "Content-Type: text/html",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable",
    "Content-Disposition: attachment",
    "boundary=\"",
    "\"",
    "\\",
    "\r\n",
    "\n",
    "\r\n\r\n",
    " ",
    "--x",
    "--x--",
    "x",
    ";",
    "=",
    "=C3",
    "=?utf-8?Q?",
    "=?iso-8859-1?B?",
    "?=",
    "w6Q=",
    "utf-8",
    "ä",
];

#[test]
fn no_octets_make_it_panic_or_say_too_much() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let mut content = Vec::new();
        for _ in 0..random.below(60) {
            match random.below(8) {
                0 => content.push(random.next() as u8),
                _ => content.extend_from_slice(random.one_of(PIECES).as_bytes()),
            }
        }
        check(digest(&content));
    }
}
