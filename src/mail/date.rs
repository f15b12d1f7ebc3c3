//! Dates as text: RFC 5322 for trace fields and replies, RFC 3339 for logs.
//!
//! Always UTC: a small box's time zone file is often missing, and `+0000` is never wrong. Time is an
//! argument. Times before 1970 print as 1970.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment as calendar fields, UTC.
struct Calendar {
    year: u64,
    month: u64,
    day: u64,
    weekday: &'static str,
    month_name: &'static str,
    seconds_of_day: u64,
    milliseconds: u32,
}

/// `Tue, 24 Nov 2026 04:52:30 +0000` (RFC 5322 section 3.3).
pub fn rfc5322(time: SystemTime) -> String {
    let c = calendar(time);
    let (h, m, s) = clock(c.seconds_of_day);
    format!(
        "{}, {} {} {} {h:02}:{m:02}:{s:02} +0000",
        c.weekday, c.day, c.month_name, c.year
    )
}

/// `2026-11-24T04:52:30.123Z` (RFC 3339).
pub fn rfc3339(time: SystemTime) -> String {
    let c = calendar(time);
    let (h, m, s) = clock(c.seconds_of_day);
    format!(
        "{:04}-{:02}-{:02}T{h:02}:{m:02}:{s:02}.{:03}Z",
        c.year, c.month, c.day, c.milliseconds
    )
}

/// Whole seconds since 1970, UTC.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn clock(seconds: u64) -> (u64, u64, u64) {
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Days to civil date by counting from 1 March 0000, in 400-year cycles of 146,097 days.
fn calendar(time: SystemTime) -> Calendar {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = since.as_secs() / 86_400;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    Calendar {
        year: era * 400 + year_of_era + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        weekday: DAYS.get((days % 7) as usize).copied().unwrap_or("Thu"),
        month_name: MONTHS.get((month - 1) as usize).copied().unwrap_or("Jan"),
        seconds_of_day: since.as_secs() % 86_400,
        milliseconds: since.subsec_millis(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_match_the_calendar() {
        // Each row was printed by `date -u -R -d @SECONDS`.
        let rows = [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 +0000"),
            (1_795_495_950, "Tue, 24 Nov 2026 04:52:30 +0000"),
            (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000"),
        ];
        for (seconds, want) in rows {
            assert_eq!(rfc5322(UNIX_EPOCH + Duration::from_secs(seconds)), want);
        }
        let time = UNIX_EPOCH + Duration::from_millis(1_795_495_950_123);
        assert_eq!(rfc3339(time), "2026-11-24T04:52:30.123Z");
        assert_eq!(unix_seconds(time), 1_795_495_950);
    }
}
