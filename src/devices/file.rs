//! The devices as a file of the spool, `devices`, to have them after a restart.
//!
//! `gatepost devices 1 CRC32 OCTETS`, then a line for each device, the one seen longest ago first: fields between
//! tabs, empty where there is nothing, `%XX` for what a line cannot hold. Promises: a file that is cut, damaged or
//! somebody else's is told as such and never half believed; a line of a later version is passed over. What 0.1.0
//! kept of AUTH is passed over where it may be a password.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::kind::Kind;
use super::table::{Device, Trouble};
use crate::protocol::sasl::mechanism_named;

/// The file's name in the spool.
pub(super) const NAME: &str = "devices";
/// The largest file that is read, octets: more than the most devices take.
pub(super) const OCTETS_MAX: u64 = 4 * 1024 * 1024;

const MAGIC: &str = "gatepost devices 1";

/// The file's content.
pub(super) fn write(devices: &[&Device]) -> Vec<u8> {
    let mut body = String::new();
    for device in devices {
        line(device, &mut body);
    }
    let sum = crc32fast::hash(body.as_bytes());
    format!("{MAGIC} {sum:08x} {}\n{body}", body.len()).into_bytes()
}

/// Reads it.
///
/// # Errors
/// Why it is none, in plain words.
pub(super) fn read(content: &[u8]) -> Result<Vec<Device>, &'static str> {
    let text = std::str::from_utf8(content).map_err(|_| "it is no text")?;
    let (head, body) = text.split_once('\n').ok_or("it is cut")?;
    let head = head.strip_prefix(MAGIC).ok_or("it is no list of devices")?;
    let mut words = head.split_whitespace();
    let sum = words
        .next()
        .and_then(|sum| u32::from_str_radix(sum, 16).ok());
    let length = words.next().and_then(|length| length.parse().ok());
    if length != Some(body.len()) {
        return Err("it is cut");
    }
    if sum != Some(crc32fast::hash(body.as_bytes())) {
        return Err("its checksum is wrong");
    }
    Ok(body.lines().filter_map(device).collect())
}

fn line(device: &Device, body: &mut String) {
    let (version, cipher) = match &device.tls {
        Some((version, cipher)) => (Some(version), Some(cipher)),
        None => (None, None),
    };
    let _ = write!(
        body,
        "{}\t{}\t{}\t{}\t{}",
        device.address,
        device.first_seen,
        device.last_seen,
        escaped(&device.port),
        device
            .local
            .map_or_else(String::new, |local| local.to_string())
    );
    let texts = [
        &device.helo,
        &version.cloned(),
        &cipher.cloned(),
        &device.mechanism,
        &device.user,
    ];
    for text in texts {
        let _ = write!(body, "\t{}", escaped(text.as_deref().unwrap_or_default()));
    }
    for time in [device.logged_in, device.accepted] {
        let time = time.map_or_else(String::new, |time| time.to_string());
        let _ = write!(body, "\t{time}");
    }
    let counts = (device.sessions, device.messages, device.failures);
    let _ = write!(body, "\t{}\t{}\t{}", counts.0, counts.1, counts.2);
    if let Some(trouble) = &device.trouble {
        let _ = write!(
            body,
            "\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            trouble.kind.word(),
            escaped(&trouble.detail),
            escaped(&trouble.reply),
            trouble.at,
            trouble.since,
            trouble.times,
            if trouble.mended { "mended" } else { "" }
        );
    }
    body.push('\n');
}

/// The device of a line; none where the line is not understood.
fn device(line: &str) -> Option<Device> {
    let fields = &mut line.split('\t');
    let address: IpAddr = fields.next()?.parse().ok()?;
    let (first_seen, last_seen) = (number(fields)?, number(fields)?);
    let port = text(fields)?.unwrap_or_default();
    let local = fields.next()?.parse().ok();
    let helo = text(fields)?;
    let (version, cipher) = (text(fields)?, text(fields)?);
    let tls = version.zip(cipher);
    let (mechanism, user) = (text(fields)?, text(fields)?);
    let (logged_in, accepted) = (fields.next()?.parse().ok(), fields.next()?.parse().ok());
    let (sessions, messages, failures) = (number(fields)?, number(fields)?, number(fields)?);
    Some(Device {
        address,
        first_seen,
        last_seen,
        port,
        local,
        helo,
        tls,
        mechanism,
        user,
        logged_in,
        accepted,
        sessions,
        messages,
        failures,
        trouble: trouble(fields).map(Box::new),
    })
}

fn trouble<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Trouble> {
    let trouble = Trouble {
        kind: Kind::called(fields.next()?)?,
        detail: text(fields)?.unwrap_or_default(),
        reply: text(fields)?.unwrap_or_default(),
        at: number(fields)?,
        since: number(fields)?,
        times: number(fields)?,
        mended: fields.next()? == "mended",
    };
    (!may_hold_password(&trouble)).then_some(trouble)
}

/// 0.1.0 kept what followed AUTH as the name of a mechanism, and the response of another mechanism as LOGIN's name.
fn may_hold_password(trouble: &Trouble) -> bool {
    let detail = &trouble.detail;
    match trouble.kind {
        Kind::Mechanism => !detail.is_empty() && mechanism_named(detail.as_bytes()).is_none(),
        kind => kind.is_of_login() && detail.contains(['\0', '\x01']),
    }
}

fn number<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<u64> {
    fields.next()?.parse().ok()
}

/// A field that may be empty.
fn text<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Option<Box<str>>> {
    let field = fields.next()?;
    Some((!field.is_empty()).then(|| unescaped(field)))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\0'..='\x1f' | '%' | '\x7f' => {
                let _ = write!(escaped, "%{:02x}", u32::from(letter));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

fn unescaped(field: &str) -> Box<str> {
    let mut parts = field.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or(("", part));
        text.extend(u8::from_str_radix(code, 16).map(char::from));
        text.push_str(rest);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(address: &str, name: &str) -> Device {
        let name: Box<str> = name.into();
        Device {
            address: address.parse().unwrap(),
            first_seen: 1,
            last_seen: 2,
            port: name.clone(),
            local: Some("10.0.0.1".parse().unwrap()),
            helo: Some(name.clone()),
            tls: Some(("TLSv1.3".into(), "CIPHER".into())),
            mechanism: Some("LOGIN".into()),
            user: Some(name.clone()),
            logged_in: Some(3),
            accepted: Some(4),
            sessions: 5,
            messages: 6,
            failures: 7,
            trouble: Some(Box::new(Trouble {
                kind: Kind::RelayDenied,
                detail: name.clone(),
                reply: name,
                at: 8,
                since: 9,
                times: 10,
                mended: true,
            })),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let full = known("192.0.2.1", "a\tb\n%25 \u{e9}\\\x7f\0");
        let bare = Device {
            local: None,
            helo: None,
            tls: None,
            mechanism: None,
            user: None,
            logged_in: None,
            accepted: None,
            trouble: None,
            ..known("fd00::1", "")
        };
        let content = write(&[&full, &bare]);
        assert_eq!(read(&content), Ok(vec![full, bare]));
        assert_eq!(read(&write(&[])), Ok(vec![]));
    }

    #[test]
    fn what_may_be_a_password_is_passed_over() {
        let rows = [
            (Kind::Mechanism, "CRAM-MD5", true),
            (Kind::Mechanism, "", true),
            (Kind::Mechanism, "AGFsaWNlAHNlY3JldA==", false),
            (Kind::LoginFailed, "alice", true),
            (Kind::LoginFailed, "\0alice\0secret", false),
            (Kind::LoginThrottled, "user=alice\x01auth=Bearer x", false),
            (Kind::RelayDenied, "\0", true),
        ];
        for (kind, detail, is_kept) in rows {
            let mut device = known("192.0.2.1", "one");
            if let Some(trouble) = device.trouble.as_mut() {
                (trouble.kind, trouble.detail) = (kind, detail.into());
            }
            let read = read(&write(&[&device])).unwrap();
            assert_eq!(read.len(), 1);
            assert_eq!(read[0].trouble.is_some(), is_kept, "{kind:?} {detail:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_none() {
        let content = write(&[&known("192.0.2.1", "one"), &known("192.0.2.2", "two")]);
        for end in 0..content.len() {
            assert!(read(&content[..end]).is_err(), "cut at {end}");
        }
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            let before = read(&content).unwrap();
            // A blank or a letter of the checksum in upper case changes nothing.
            assert!(
                read(&damaged).map_or(true, |read| read == before),
                "at {at}"
            );
        }
        for foreign in [
            &b""[..],
            b"\xff\xfe",
            b"[devices]\n",
            b"gatepost devices 2 00000000 0\n",
        ] {
            assert!(read(foreign).is_err());
        }
    }

    #[test]
    fn what_a_later_version_writes_is_passed_over() {
        let content = write(&[&known("192.0.2.1", "one")]);
        let body = String::from_utf8(content).unwrap();
        let body = body.split_once('\n').unwrap().1;
        let body = format!(
            "{}not a device\n",
            body.replace("relay-denied", "of-the-future")
        );
        let sum = crc32fast::hash(body.as_bytes());
        let content = format!("{MAGIC} {sum:08x} {}\n{body}", body.len());
        let read = read(content.as_bytes()).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].trouble, None);
    }
}
