//! Lays a moment out for a terminal of any size.
//!
//! Promises: never more lines than rows, nor a longer one than columns; what matters most stands first, so a
//! small terminal loses the least. Everything in it is printable ASCII ([`super::snapshot`]).

use super::rates::{COUNTED, Rates};
use super::snapshot::{Record, Snapshot};
use crate::sys::screen::Size;

/// What is shown below the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    All,
    Clients,
    Queue,
}

/// What there is to show.
pub(super) struct Shown<'a> {
    /// None as long as no service has answered.
    pub(super) snapshot: Option<&'a Snapshot>,
    /// None where there is one moment only.
    pub(super) rates: Option<&'a Rates>,
    /// What the operator has to know of what is shown.
    pub(super) note: String,
}

impl View {
    /// The view of a key.
    pub(super) fn of_key(key: u8) -> Option<Self> {
        match key.to_ascii_lowercase() {
            b'a' => Some(Self::All),
            b'c' => Some(Self::Clients),
            b'd' => Some(Self::Queue),
            _ => None,
        }
    }
}

/// The lines.
pub(super) fn lines(shown: &Shown<'_>, view: View, size: Size) -> Vec<String> {
    let mut lines = Vec::new();
    if !shown.note.is_empty() {
        lines.push(format!("** {} **", shown.note));
    }
    if let Some(snapshot) = shown.snapshot {
        if !snapshot.complaint.is_empty() {
            lines.push(snapshot.complaint.clone());
        }
        head(snapshot, &mut lines);
        alarms(snapshot, &mut lines);
        if let Some(rates) = shown.rates {
            table_of_rates(rates, &mut lines);
        }
        match view {
            View::All => {
                ports(snapshot, &mut lines);
                certificates(snapshot, &mut lines);
                destinations(snapshot, &mut lines);
                clients(snapshot, &mut lines);
            }
            View::Clients => clients(snapshot, &mut lines),
            View::Queue => destinations(snapshot, &mut lines),
        }
    }
    if shown.rates.is_some() {
        // The last row is for the keys, whatever else there is.
        lines.truncate(size.rows.saturating_sub(1));
        lines.push("q quit  p pause  a all  c clients  d destinations".to_owned());
    }
    lines.truncate(size.rows);
    for line in &mut lines {
        // All of it is ASCII.
        line.truncate(size.columns);
    }
    lines
}

fn head(snapshot: &Snapshot, lines: &mut Vec<String>) {
    let service = |key| snapshot.text("service", key);
    let uptime = snapshot.number("service", "uptime_seconds").unwrap_or(0);
    let (version, host) = (service("version"), snapshot.text("host", "name"));
    let up = span(uptime);
    lines.push(format!(
        "{host}  gatepost {version}  up {up}  pid {}",
        service("pid")
    ));
    let mut second = format!(
        "sessions {} (peak {}, max {})  queue {}",
        service("sessions"),
        service("sessions_peak"),
        service("sessions_max"),
        service("queue")
    );
    if let Some(oldest) = snapshot.number("host", "oldest_seconds") {
        second.push_str(&format!(", oldest {}", span(oldest)));
    }
    if let Some(free) = snapshot.number("host", "free_octets") {
        second.push_str(&format!("  disk {} free", octets(free)));
    }
    lines.push(second);
}

fn alarms(snapshot: &Snapshot, lines: &mut Vec<String>) {
    for alarm in snapshot.all("alarm") {
        let [cause, subject, reason] = ["cause", "subject", "reason"].map(|key| alarm.text(key));
        lines.push(format!("ALARM {cause} {subject}: {reason}"));
    }
}

fn table_of_rates(rates: &Rates, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(format!("{:<17}{:>10}{:>10}", "", "now", "1 minute"));
    for (place, (name, _)) in COUNTED.iter().enumerate() {
        let rate = rates.of(place);
        let told = |rate: Option<f64>| match rate {
            None => "-".to_owned(),
            Some(rate) if rate >= 1000.0 => octets(whole(rate)),
            Some(rate) => format!("{rate:.1}"),
        };
        let (now, minute) = (told(rate.now), told(rate.minute));
        lines.push(format!("{name:<17}{now:>10}{minute:>10}"));
    }
}

fn ports(snapshot: &Snapshot, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(format!("{:<12}{:>9}  {}", "PORT", "sessions", "listens on"));
    for port in snapshot.all("port") {
        let name = port.text("name");
        let own = |one: &&Record| one.text("port") == name;
        let mut addresses: Vec<&str> = Vec::new();
        // A listener has a line for each stage.
        for listener in snapshot.all("listener").filter(own) {
            if !addresses.contains(&listener.text("address")) {
                addresses.push(listener.text("address"));
            }
        }
        let addresses = addresses.join(", ");
        lines.push(format!(
            "{name:<12}{:>9}  {addresses}",
            port.text("sessions")
        ));
    }
}

fn certificates(snapshot: &Snapshot, lines: &mut Vec<String>) {
    for certificate in snapshot.all("certificate") {
        let (subject, file) = (certificate.text("subject"), certificate.text("file"));
        let days = match certificate.number("days_left") {
            Some(days) => format!("{days} days"),
            None => "?".to_owned(),
        };
        let problem = match certificate.text("problem") {
            "" => String::new(),
            problem => format!("  NOT RENEWED: {problem}"),
        };
        lines.push(format!("certificate {subject}: {days}  {file}{problem}"));
    }
}

fn destinations(snapshot: &Snapshot, lines: &mut Vec<String>) {
    let mut all: Vec<&Record> = snapshot.all("destination").collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.number("messages")));
    lines.push(String::new());
    lines.push(format!(
        "{:<24}{:>9}{:>9}{:>9}  {}",
        "DESTINATION", "messages", "carried", "oldest", "last error"
    ));
    for one in all {
        let oldest = one
            .text("oldest_seconds")
            .parse()
            .map_or(String::new(), span);
        let [name, messages, carried, error] =
            ["name", "messages", "in_delivery", "error"].map(|key| one.text(key));
        lines.push(format!(
            "{name:<24}{messages:>9}{carried:>9}{oldest:>9}  {error}"
        ));
    }
}

fn clients(snapshot: &Snapshot, lines: &mut Vec<String>) {
    let mut clients = snapshot.all("client").peekable();
    if clients.peek().is_none() {
        return;
    }
    lines.push(String::new());
    lines.push(format!(
        "{:<24}{:>9}{:>9}  {}",
        "CLIENT", "sessions", "messages", "user, helo"
    ));
    for client in clients {
        let [address, sessions, messages, helo] =
            ["address", "sessions", "messages", "helo"].map(|key| client.text(key));
        let user = match client.text("user") {
            "" => String::new(),
            user => format!("{user}, "),
        };
        lines.push(format!(
            "{address:<24}{sessions:>9}{messages:>9}  {user}{helo}"
        ));
    }
}

/// A time span in the two units that matter.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        (_, _, _) => format!("{days}d{:02}h", hours % 24),
    }
}

/// Octets with a unit, three digits or so.
fn octets(octets: u64) -> String {
    let mut unit = 1_u64;
    for name in ["", "K", "M", "G", "T"] {
        if octets / unit < 1000 || name == "T" {
            let tenths = octets.saturating_mul(10) / unit;
            return match tenths {
                0..100 if unit > 1 => format!("{}.{}{name}", tenths / 10, tenths % 10),
                _ => format!("{}{name}", octets / unit),
            };
        }
        unit *= 1024;
    }
    octets.to_string()
}

/// A rate without its fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "service version=0.1.0 pid=7 uptime_seconds=93784 sessions=3 sessions_peak=9 sessions_max=100 queue=2\n\
        listener port=tcp address=192.0.2.1:25 stage=plaintext\n\
        listener port=tcp address=192.0.2.1:25 stage=starttls\n\
        certificate file=/c.pem subject=mx.example days_left=80 problem=\"no key\"\n\
        alarm cause=login subject=smarthost reason=\"535 no\"\n\
        counters messages_accepted=1\n\
        host name=mx.example free_octets=1500000000 oldest_seconds=61\n\
        port name=tcp sessions=3\n\
        client address=192.0.2.7 sessions=2 messages=1 user=alice helo=\"a b\"\n\
        destination name=lmtp messages=1 in_delivery=1\n\
        destination name=smarthost messages=12 in_delivery=0 oldest_seconds=3700 error=\"timed out\"\n";

    fn shown(view: View, columns: usize, rows: usize) -> Vec<String> {
        let snapshot = Snapshot::parse(TEXT, "");
        let rates = Rates::default();
        let shown = Shown {
            snapshot: Some(&snapshot),
            rates: Some(&rates),
            note: String::new(),
        };
        lines(&shown, view, Size { columns, rows })
    }

    #[test]
    fn everything_is_there_once() {
        let text = shown(View::All, 200, 100).join("\n");
        for want in [
            "mx.example  gatepost 0.1.0  up 1d02h  pid 7",
            "sessions 3 (peak 9, max 100)  queue 2, oldest 1m01s  disk 1.3G free",
            "ALARM login smarthost: 535 no",
            "tcp                 3  192.0.2.1:25\n",
            "certificate mx.example: 80 days  /c.pem  NOT RENEWED: no key",
            "smarthost                      12        0    1h01m  timed out",
            "192.0.2.7                       2        1  alice, a b",
        ] {
            assert_eq!(text.matches(want).count(), 1, "{want}\n{text}");
        }
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("smarthost         ") < at("lmtp"), "{text}");
        let text = shown(View::Clients, 200, 100).join("\n");
        assert!(text.contains("192.0.2.7") && !text.contains("DESTINATION"));
    }

    #[test]
    fn no_size_is_too_small_and_the_keys_stay() {
        for (columns, rows) in [(40, 10), (1, 1), (0, 0), (80, 24), (7, 3), (300, 2)] {
            for view in [View::All, View::Clients, View::Queue] {
                let lines = shown(view, columns, rows);
                assert!(lines.len() <= rows, "{columns} {rows}");
                assert!(lines.iter().all(|line| line.len() <= columns));
                if rows > 0 && columns > 5 {
                    assert!(lines.last().unwrap().starts_with("q quit"), "{lines:?}");
                }
            }
        }
        let rates = Rates::default();
        let nothing = Shown {
            snapshot: None,
            rates: Some(&rates),
            note: "no service answers".to_owned(),
        };
        let size = Size {
            columns: 40,
            rows: 10,
        };
        assert_eq!(
            lines(&nothing, View::All, size)[0],
            "** no service answers **"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (given, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "0.9K"),
            (10_240, "10K"),
            (1_500_000_000, "1.3G"),
            (u64::MAX, "16777215T"),
        ] {
            assert_eq!(octets(given), want, "{given}");
        }
        for (given, want) in [
            (59, "59s"),
            (60, "1m00s"),
            (3600, "1h00m"),
            (90_000, "1d01h"),
        ] {
            assert_eq!(span(given), want);
        }
    }
}
