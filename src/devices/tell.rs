//! Devices as the operator reads them: a table, all about one, JSON.
//!
//! Those in trouble come first, each with what is wrong and what helps below its line. Lines are at most
//! [`COLUMNS`] wide but for a word that is longer; what a client said is escaped.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::advice::{Setting, Step, ways};
use super::kind::Weight;
use super::table::{Device, Trouble};
use crate::config::settings::Settings;
use crate::control::facts::{Fact, Facts};
use crate::mail::date;

/// The widest line.
const COLUMNS: usize = 100;
/// The widest columns of the table: port and login.
const PORT_MAX: usize = 6;
const LOGIN_MAX: usize = 12;
/// What the columns behind the name take, with two blanks before each.
const BEHIND_NAME: usize = 63 - 2;
/// The narrowest column of names that is worth it.
const NAME_MIN: usize = 6;
/// Octets of JSON after which no more devices are told: an answer has its limit.
const JSON_MAX_OCTETS: usize = 3 * 1024 * 1024;

/// How a device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Trouble,
    /// It may be nothing at all.
    Unclear,
    Ok,
}

fn state(device: &Device) -> State {
    match device.current_trouble() {
        None => State::Ok,
        Some(trouble) if trouble.kind.weight() == Weight::Hint => match device.accepted {
            Some(_) => State::Ok,
            None => State::Unclear,
        },
        Some(_) => State::Trouble,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Trouble => "trouble",
        State::Unclear => "unclear",
        State::Ok => "ok",
    }
}

/// Those in trouble first, and the one that was seen last of each.
fn sorted(devices: &[Device]) -> Vec<&Device> {
    let mut sorted: Vec<&Device> = devices.iter().rev().collect();
    sorted.sort_by_key(|device| state(device));
    sorted
}

/// The table.
pub(super) fn table(settings: &Settings, devices: &[Device]) -> String {
    let devices = sorted(devices);
    let widest = |of: &dyn Fn(&Device) -> usize| devices.iter().map(|device| of(device)).max();
    let address = widest(&|device| device.address.to_string().len());
    let address = address.unwrap_or_default().max("ADDRESS".len());
    let name = widest(&|device| plain(device.helo.as_deref().unwrap_or("-")).len());
    let room = COLUMNS.saturating_sub(BEHIND_NAME + 2 + address);
    let name = name.unwrap_or_default().max("NAME".len()).min(room);
    let widths = (address, (room >= NAME_MIN).then_some(name));
    let mut text = String::new();
    let head = [
        "ADDRESS",
        "NAME",
        "LAST SEEN (UTC)",
        "PORT",
        "TLS",
        "LOGIN",
        "MAILS",
        "STATE",
    ];
    row(&mut text, widths, &head.map(str::to_owned));
    for device in &devices {
        row(&mut text, widths, &cells(device));
        if state(device) == State::Ok {
            continue;
        }
        if let Some(trouble) = device.current_trouble() {
            wrapped(&mut text, "    ", "    ", &what(trouble));
            advice(&mut text, "    ", settings, device, trouble);
        }
    }
    text
}

fn cells(device: &Device) -> [String; 8] {
    let tls = device.tls.as_ref();
    let logged_in = device.logged_in == Some(device.last_seen);
    let user = device.user.as_deref().filter(|_| logged_in);
    [
        device.address.to_string(),
        plain(device.helo.as_deref().unwrap_or("-")),
        time(device.last_seen),
        plain(&device.port),
        tls.map_or("-", |(version, _)| version.trim_start_matches("TLSv"))
            .to_owned(),
        plain(user.unwrap_or("-")),
        device.messages.to_string(),
        word(state(device)).to_owned(),
    ]
}

fn row(text: &mut String, (address, name): (usize, Option<usize>), cells: &[String; 8]) {
    let [own, helo, seen, port, tls, login, mails, state] = cells;
    let _ = write!(text, "{own:address$}");
    if let Some(name) = name {
        let _ = write!(text, "  {:name$}", short(helo, name));
    }
    let (port, login) = (short(port, PORT_MAX), short(login, LOGIN_MAX));
    let _ = writeln!(
        text,
        "  {seen:16}  {port:PORT_MAX$}  {tls:3}  {login:LOGIN_MAX$}  {mails:>5}  {state}"
    );
}

/// All about one.
pub(super) fn one(settings: &Settings, device: &Device) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let first = format!("{key:<12}");
        wrapped(&mut text, &first, "            ", value);
    };
    let none = || "none".to_owned();
    let maybe = |text: &Option<Box<str>>| text.as_deref().map_or_else(none, plain);
    let when = |seconds: Option<u64>| seconds.map_or_else(|| "never".to_owned(), time);
    line("address", &device.address.to_string());
    line("name", &maybe(&device.helo));
    line("first seen", &time(device.first_seen));
    line("last seen", &time(device.last_seen));
    let local = device.local.map(|local| format!(" of {local}"));
    let local = local.unwrap_or_default();
    line("port", &format!("{}{local}", plain(&device.port)));
    let tls = device.tls.as_ref();
    let tls = tls.map_or_else(none, |(version, cipher)| format!("{version}, {cipher}"));
    line("tls", &tls);
    let user = match device.logged_in {
        Some(at) => format!("{}, {}", maybe(&device.user), time(at)),
        None => none(),
    };
    line("login", &user);
    line("mechanism", &maybe(&device.mechanism));
    let failures = device.failures;
    line(
        "sessions",
        &format!("{}, {failures} of them with an error", device.sessions),
    );
    line(
        "messages",
        &format!("{}, last {}", device.messages, when(device.accepted)),
    );
    line("state", word(state(device)));
    if let Some(trouble) = &device.trouble {
        about_trouble(&mut text, settings, device, trouble);
    }
    text
}

fn about_trouble(text: &mut String, settings: &Settings, device: &Device, trouble: &Trouble) {
    wrapped(text, "last error  ", "            ", &what(trouble));
    let at = time(trouble.at);
    let mended = match trouble.mended {
        true => "; it went well since",
        false => "",
    };
    wrapped(
        text,
        "at          ",
        "            ",
        &format!("{at}{mended}"),
    );
    if !trouble.reply.is_empty() {
        wrapped(text, "was told    ", "            ", &plain(&trouble.reply));
    }
    if !trouble.mended {
        advice(text, "            ", settings, device, trouble);
    }
}

/// What is wrong, how often.
fn what(trouble: &Trouble) -> String {
    let words = plain(&trouble.kind.in_words(&plain(&trouble.detail)));
    match trouble.times {
        0 | 1 => words,
        times => format!("{words} ({times} times since {})", time(trouble.since)),
    }
}

/// A line for each way.
fn advice(text: &mut String, indent: &str, settings: &Settings, device: &Device, last: &Trouble) {
    let all = ways(settings, device, last.kind, &last.detail);
    let all = all.iter().filter(|way| !way.is_empty());
    for (at, way) in all.enumerate() {
        let first = format!("{indent}{}", if at > 0 { "or: " } else { "  > " });
        wrapped(
            text,
            &first,
            &format!("{indent}    "),
            &plain(&in_words(way)),
        );
    }
}

fn in_words(way: &[Step]) -> String {
    let steps: Vec<String> = way.iter().map(Step::in_words).collect();
    steps.join("; ")
}

/// A JSON object with the list, and how many more there are.
pub(super) fn json(settings: &Settings, devices: &[Device]) -> String {
    let devices = sorted(devices);
    let mut text = "{\"devices\":[".to_owned();
    let mut told = 0;
    for device in &devices {
        if text.len() > JSON_MAX_OCTETS {
            break;
        }
        text.push_str(if told > 0 { "," } else { "" });
        text.push_str(&facts(settings, device).json());
        told += 1;
    }
    let _ = writeln!(text, "],\"more\":{}}}", devices.len() - told);
    text
}

/// One as a JSON object.
pub(super) fn one_json(settings: &Settings, device: &Device) -> String {
    format!("{}\n", facts(settings, device).json())
}

fn facts(settings: &Settings, device: &Device) -> Facts {
    let (version, cipher) = match &device.tls {
        Some((version, cipher)) => (Some(version), Some(cipher)),
        None => (None, None),
    };
    let trouble = device.trouble.as_deref();
    let trouble = trouble.map(|trouble| trouble_facts(settings, device, trouble));
    Facts::default()
        .text("address", device.address)
        .maybe("name", device.helo.as_ref())
        .text("state", word(state(device)))
        .text("first_seen", instant(device.first_seen))
        .text("last_seen", instant(device.last_seen))
        .text("port", &device.port)
        .maybe("local", device.local)
        .maybe("tls", version)
        .maybe("cipher", cipher)
        .maybe("user", device.user.as_ref())
        .maybe("mechanism", device.mechanism.as_ref())
        .maybe("logged_in", device.logged_in.map(instant))
        .number("sessions", device.sessions)
        .number("messages", device.messages)
        .number("failures", device.failures)
        .maybe("accepted", device.accepted.map(instant))
        .add("error", trouble.map_or(Fact::Nothing, Fact::Object))
}

fn trouble_facts(settings: &Settings, device: &Device, trouble: &Trouble) -> Facts {
    let all = match trouble.mended {
        true => Vec::new(),
        false => ways(settings, device, trouble.kind, &trouble.detail),
    };
    let all = all.iter().filter(|way| !way.is_empty());
    let all = all.map(|way| way_facts(way)).collect();
    let reply = Some(&trouble.reply).filter(|reply| !reply.is_empty());
    Facts::default()
        .text("kind", trouble.kind.word())
        .text("words", trouble.kind.in_words(&trouble.detail))
        .maybe("reply", reply)
        .text("at", instant(trouble.at))
        .text("since", instant(trouble.since))
        .number("times", trouble.times)
        .add("mended", Fact::YesNo(trouble.mended))
        .add("advice", Fact::List(all))
}

fn way_facts(way: &[Step]) -> Facts {
    let setting = |verb: &'static str, setting: &Setting| {
        Facts::default()
            .text("do", verb)
            .text("section", &setting.section)
            .text("key", setting.key)
            .text("value", &setting.value)
    };
    let settings = way.iter().filter_map(|step| match step {
        Step::Set(one) => Some(setting("set", one)),
        Step::Add(one) => Some(setting("add", one)),
        Step::Take(one) => Some(setting("take", one)),
        Step::Do(_) => None,
    });
    Facts::default()
        .text("words", in_words(way))
        .add("settings", Fact::List(settings.collect()))
}

fn moment(seconds: u64) -> SystemTime {
    let since = Duration::from_secs(seconds);
    let time = SystemTime::UNIX_EPOCH.checked_add(since);
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn instant(seconds: u64) -> String {
    date::rfc3339(moment(seconds))
}

/// `2026-11-24 04:52`.
fn time(seconds: u64) -> String {
    let text = instant(seconds).replace('T', " ");
    text.get(..16).unwrap_or(&text).to_owned()
}

/// What a terminal shows as it is.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            0x20..=0x7e => plain.push(char::from(octet)),
            _ => {
                let _ = write!(plain, "\\x{octet:02x}");
            }
        }
    }
    plain
}

/// Cut to a width, the cut shown; what is cut is ASCII.
fn short(text: &str, width: usize) -> String {
    match text.get(..width.saturating_sub(1)) {
        Some(start) if text.len() > width => format!("{start}~"),
        _ => text.to_owned(),
    }
}

/// Words in lines, the first behind `first`, the others behind `then`.
fn wrapped(text: &mut String, first: &str, then: &str, words: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in words.split(' ') {
        if !is_empty && line.len() + 1 + word.len() > COLUMNS {
            text.push_str(line.trim_end());
            text.push('\n');
            line = then.to_owned();
            is_empty = true;
        }
        line.push_str(if is_empty { "" } else { " " });
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
