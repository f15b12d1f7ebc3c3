//! Values row by row: what each kind takes, and what it refuses.

use super::super::kinds::{self, Read, Typed, words};
use super::*;
use std::time::Duration;

fn one<K: Read>(kind: Typed<K>, text: &str) -> Result<K::Value, String> {
    let read = K::read(&kind.0, &[(1, text.to_owned())]);
    read.map_err(|mut faults| faults.remove(0).reason)
}

fn all(lines: &[(usize, &str)]) -> Result<Vec<IpAddr>, Vec<Refused>> {
    let lines: Vec<Line> = lines
        .iter()
        .map(|(at, text)| (*at, (*text).to_owned()))
        .collect();
    List { lines: &lines }.some_of(address, "at least one address is needed")
}

#[test]
fn numbers_are_plain_decimal_digits() {
    let kind = || kinds::number::<u64>(1, 256);
    for (text, want) in [("1", 1), ("256", 256), ("30", 30)] {
        assert_eq!(one(kind(), text), Ok(want));
    }
    for text in [
        "0",
        "257",
        "-1",
        "+1",
        "01",
        "1.0",
        "0x1",
        "1 ",
        "a",
        "99999999999999999999",
    ] {
        let want = format!("{text:?} is not a number from 1 to 256");
        assert_eq!(one(kind(), text), Err(want));
    }
    assert_eq!(one(kind(), ""), Err("the value is missing".to_owned()));
}

#[test]
fn sizes_and_durations_carry_units() {
    let size = || kinds::size("1K", "2G");
    let rows = [
        ("1K", 1024),
        ("1024", 1024),
        ("10M", 10 << 20),
        ("2G", 2 << 30),
    ];
    for (text, want) in rows {
        assert_eq!(one(size(), text), Ok(want), "{text}");
    }
    for text in [
        "1023",
        "3G",
        "10m",
        "10MB",
        "1.5M",
        "M",
        "-1K",
        "010K",
        "10 M",
        "99999999999999G",
    ] {
        assert!(one(size(), text).is_err(), "{text}");
    }
    let length = || kinds::duration("1s", "1d");
    let rows = [("1s", 1), ("5m", 300), ("2h", 7200), ("1d", 86_400)];
    for (text, want) in rows {
        let want = Duration::from_secs(want);
        assert_eq!(one(length(), text), Ok(want), "{text}");
    }
    for text in ["0s", "2d", "5", "5M", "1h30m", "5 m", "ms", "1w"] {
        assert!(one(length(), text).is_err(), "{text}");
    }
    let rows = [("0", 0), ("0s", 0), ("1s", 1), ("1d", 86_400)];
    for (text, want) in rows {
        let want = (want > 0).then(|| Duration::from_secs(want));
        let got = one(kinds::interval("1s", "1d"), text);
        assert_eq!(got, Ok(want), "{text}");
    }
    for text in ["", "0m", "00", "2d", "5", "-1s"] {
        assert!(one(kinds::interval("1s", "1d"), text).is_err(), "{text}");
    }
}

#[test]
fn yes_no_and_words_know_no_case_and_no_synonyms() {
    assert_eq!(one(kinds::yes_no(), "YES"), Ok(true));
    assert_eq!(one(kinds::yes_no(), "no"), Ok(false));
    for (text, meant) in [
        ("true", "; write yes"),
        ("1", "; write yes"),
        ("on", "; write yes"),
        ("y", "; write yes"),
        ("enabled", "; write yes"),
        ("Disabled", "; write no"),
        ("off", "; write no"),
        ("yes;", ""),
        ("maybe", ""),
    ] {
        let want = format!("{text:?} is not yes or no{meant}");
        assert_eq!(one(kinds::yes_no(), text), Err(want));
    }
    words! { Enabled: u8 { "enabled" => 1, "disabled" => 0 } }
    assert_eq!(one(kinds::word::<Enabled>(), "Enabled"), Ok(1));
    let want = "\"on\" is not one of enabled, disabled; write enabled".to_owned();
    assert_eq!(one(kinds::word::<Enabled>(), "on"), Err(want));
    let want = "\"perhaps\" is not one of enabled, disabled".to_owned();
    assert_eq!(one(kinds::word::<Enabled>(), "perhaps"), Err(want));
}

#[test]
fn every_item_at_fault_is_told_at_its_line() {
    let lines = [(4, "nope, ::1"), (5, "::1,"), (6, "also not")];
    let faults = all(&lines).unwrap_err();
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [4, 5, 6], "{faults:?}");
}

#[test]
fn lists_go_on_over_lines_and_name_the_line_at_fault() {
    let lines = [
        (4, "192.0.2.1,"),
        (5, "::1, ::ffff:192.0.2.2"),
        (7, "192.0.2.3"),
    ];
    let want = ["192.0.2.1", "::1", "192.0.2.2", "192.0.2.3"].map(|a| a.parse().unwrap());
    assert_eq!(all(&lines), Ok(want.to_vec()));
    type Row = (&'static [(usize, &'static str)], usize, &'static str);
    let rows: [Row; 5] = [
        (
            &[(4, "::1"), (5, "nope")],
            5,
            "\"nope\" is not an IP address",
        ),
        (&[(4, "::1,,::2")], 4, "nothing between two commas"),
        (&[(4, "::1"), (5, "::1")], 5, "\"::1\" is listed twice"),
        (&[(4, "")], 4, "at least one address is needed"),
        (&[(4, "[::1]")], 4, "\"[::1]\" is not an IP address"),
    ];
    for (lines, line, reason) in rows {
        let reason = reason.to_owned();
        assert_eq!(all(lines), Err(vec![Refused { line, reason }]));
    }
    assert_eq!(
        List {
            lines: &[(1, String::new())]
        }
        .each(network),
        Ok(vec![])
    );
}

#[test]
fn networks_are_cidr_without_host_bits() {
    let rows = [
        ("192.0.2.0/24", Some("192.0.2.0/24")),
        ("192.0.2.7", Some("192.0.2.7/32")),
        ("0.0.0.0/0", Some("0.0.0.0/0")),
        ("::/0", Some("::/0")),
        ("2001:db8::/32", Some("2001:db8::/32")),
        ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
        ("::ffff:192.0.2.1", Some("192.0.2.1/32")),
        ("192.0.2.0/33", None),
        ("::/129", None),
        ("192.0.2.0/024", None),
        ("192.0.2.0/", None),
        ("::ffff:0.0.0.0/95", None),
        ("mx.example", None),
    ];
    for (text, want) in rows {
        let got = parse_network(text).map(|network| network.unwrap().to_string());
        assert_eq!(got.as_deref(), want, "{text}");
    }
    for (text, want) in [
        ("192.0.2.1/24", "write 192.0.2.0/24 or 192.0.2.1"),
        ("192.0.2.1/0", "write 0.0.0.0/0 or 192.0.2.1"),
        ("2001:db8::1/32", "write 2001:db8::/32 or 2001:db8::1"),
        ("::ffff:192.0.2.1/120", "write 192.0.2.0/24 or 192.0.2.1"),
    ] {
        let reason = parse_network(text).unwrap().unwrap_err();
        assert!(reason.ends_with(want), "{reason}");
    }
}

#[test]
fn names_and_texts_are_well_formed() {
    for text in ["mx.example", "localhost", "xn--e1afmkfd.example"] {
        assert!(one(kinds::domain(), text).is_ok(), "{text}");
    }
    for text in [
        "192.0.2.1",
        "[192.0.2.1]",
        "a b",
        "пример.example",
        "a..b",
        "-a.example",
    ] {
        assert!(one(kinds::domain(), text).is_err(), "{text}");
    }
    for text in ["{hostname}", "{hostname} at {date}", "{hostname} } ok"] {
        assert!(one(kinds::greeting(), text).is_ok(), "{text}");
    }
    for text in [
        "ESMTP",
        "{hostname} {x}",
        "{hostname} {",
        "{hostname} é",
        "{Hostname}",
    ] {
        assert!(one(kinds::greeting(), text).is_err(), "{text}");
    }
    assert_eq!(one(kinds::character(), ""), Ok(None));
    assert_eq!(one(kinds::character(), "-"), Ok(Some('-')));
    assert!(one(kinds::character(), "+-").is_err() && one(kinds::character(), "@").is_err());
    assert!(one(kinds::account(), "www-data").is_ok() && one(kinds::account(), "a b").is_err());
}

#[test]
fn user_names_are_safe_as_folders() {
    let longest = "a".repeat(USER_NAME_MAX_OCTETS);
    for (text, want) in [
        ("Alice", "alice"),
        ("a.b+c", "a.b+c"),
        ("ÉVA", "éva"),
        (&longest, &longest),
    ] {
        assert_eq!(user_name(text).as_deref(), Ok(want));
    }
    let too_long = format!("{longest}a");
    for text in [
        "", ".", "..", ".a", "a/b", "a\0", "a\n", "a b", "a@b", "a:b", &too_long,
    ] {
        assert!(user_name(text).is_err(), "{text:?}");
    }
}
