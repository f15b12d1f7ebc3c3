//! Where log lines go, and what stands before them.
//!
//! Standard error: a UTC time and the level, or the `<N>` priority that systemd's journal reads when it
//! is the one listening. Syslog: a datagram with priority and tag. JSON: one object a line.

use std::io::Write as _;

use env_logger::fmt::Formatter;
use env_logger::{Builder, Target};
use log::{Level, Record};

use crate::config::settings::{Log, LogFormat, LogTarget};
use crate::events::line;
use crate::mail::date;
use crate::sys::clock;
use crate::sys::syslog::{self, Syslog};

/// What stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// `2026-11-24T04:52:30.123Z info`.
    Time,
    /// `<6>`.
    Journal,
    /// `<22>gatepost[PID]:`.
    Syslog,
}

/// Sets the process's logger. A second call changes nothing.
pub fn install(log: &Log) {
    if log.format == LogFormat::Json {
        line::write_json();
    }
    let prefix = match log.target {
        LogTarget::Syslog => Prefix::Syslog,
        LogTarget::Stderr if std::env::var_os("JOURNAL_STREAM").is_some() => Prefix::Journal,
        LogTarget::Stderr => Prefix::Time,
    };
    let json = log.format == LogFormat::Json;
    let mut builder = Builder::new();
    // The level may change while the service runs, so the facade alone decides.
    builder.filter_level(log::LevelFilter::Trace);
    builder.format(move |buffer, record| write_line(buffer, record, prefix, json));
    builder.target(match log.target {
        LogTarget::Stderr => Target::Stderr,
        LogTarget::Syslog => Target::Pipe(Box::new(Syslog::default())),
    });
    // A logger that is set already stays: tests run many servers in one process.
    if builder.try_init().is_ok() {
        set_level(log.level);
    }
}

/// Whether log lines would be lost now: syslog is wanted, and none listens.
pub fn is_lost(log: &Log) -> bool {
    log.target == LogTarget::Syslog && !syslog::listens()
}

/// The least important lines that are written from now on.
pub fn set_level(level: log::LevelFilter) {
    log::set_max_level(level);
}

fn write_line(
    buffer: &mut Formatter,
    record: &Record<'_>,
    prefix: Prefix,
    json: bool,
) -> std::io::Result<()> {
    let severity = severity(record.level());
    let level = level_word(record.level());
    match prefix {
        Prefix::Time if json => {}
        Prefix::Time => write!(buffer, "{} {level} ", date::rfc3339(clock::now()))?,
        Prefix::Journal => write!(buffer, "<{severity}>")?,
        // Facility 2 is mail.
        Prefix::Syslog => {
            write!(
                buffer,
                "<{}>gatepost[{}]: ",
                (2 << 3) | severity,
                std::process::id()
            )?;
        }
    }
    if json {
        let time = date::rfc3339(clock::now());
        return writeln!(
            buffer,
            "{{\"time\":\"{time}\",\"level\":\"{level}\",{}}}",
            record.args()
        );
    }
    writeln!(buffer, "{}", record.args())
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}
