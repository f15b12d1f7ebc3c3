//! Where log lines go, and what stands before them.
//!
//! Standard error: a UTC time and the level, or the `<N>` priority that systemd's journal reads when it
//! is the one listening. Syslog: a datagram with priority and tag. The journal by its own protocol: a
//! datagram with the line as its message, and each value as a field. JSON: one object a line.

use std::fmt::Arguments;
use std::io::{self, Write as _};

use env_logger::fmt::Formatter;
use env_logger::{Builder, Target};
use log::{Level, Record};

use crate::config::settings::{Log, LogFormat, LogTarget};
use crate::events::line;
use crate::mail::date;
use crate::sys::clock;
use crate::sys::log_socket::{self, JOURNAL, LogSocket, SYSLOG};

/// What stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// `2026-11-24T04:52:30.123Z info`.
    Time,
    /// `<6>`.
    Stream,
    /// `<22>gatepost[PID]:`.
    Syslog,
    /// The journal's own protocol.
    Journal,
}

/// Sets the process's logger. A second call changes nothing.
pub fn install(log: &Log) {
    if log.format == LogFormat::Json {
        line::write_json();
    }
    let prefix = match log.target {
        LogTarget::Syslog => Prefix::Syslog,
        LogTarget::Journal => Prefix::Journal,
        LogTarget::Stderr if log_socket::stderr_is_journal() => Prefix::Stream,
        LogTarget::Stderr => Prefix::Time,
    };
    if prefix == Prefix::Journal {
        line::add_fields();
    }
    let json = log.format == LogFormat::Json;
    let mut builder = Builder::new();
    // The level may change while the service runs, so the facade alone decides.
    builder.filter_level(log::LevelFilter::Trace);
    builder.format(move |buffer, record| write_line(buffer, record, prefix, json));
    builder.target(match socket(log) {
        None => Target::Stderr,
        Some(socket) => Target::Pipe(Box::new(LogSocket::new(socket))),
    });
    // A logger that is set already stays: tests run many servers in one process.
    if builder.try_init().is_ok() {
        set_level(log.level);
    }
}

/// The socket that log lines go to, if they do.
fn socket(log: &Log) -> Option<&'static str> {
    match log.target {
        LogTarget::Stderr => None,
        LogTarget::Syslog => Some(SYSLOG),
        LogTarget::Journal => Some(JOURNAL),
    }
}

/// Where log lines would be lost now, because nobody listens: the socket.
pub fn is_lost(log: &Log) -> Option<&'static str> {
    socket(log).filter(|socket| !log_socket::listens(socket))
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
) -> io::Result<()> {
    let severity = severity(record.level());
    let level = level_word(record.level());
    // Facility 2 is mail.
    match prefix {
        Prefix::Time if json => {}
        Prefix::Time => write!(buffer, "{} {level} ", date::rfc3339(clock::now()))?,
        Prefix::Stream => write!(buffer, "<{severity}>")?,
        Prefix::Syslog => {
            let (priority, pid) = ((2 << 3) | severity, std::process::id());
            write!(buffer, "<{priority}>gatepost[{pid}]: ")?;
        }
        Prefix::Journal => {
            write!(
                buffer,
                "PRIORITY={severity}\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=gatepost\nMESSAGE="
            )?;
            return write_fields(buffer, *record.args(), level, json);
        }
    }
    match json {
        true => write_object(buffer, *record.args(), level)?,
        false => write!(buffer, "{}", record.args())?,
    }
    writeln!(buffer)
}

/// The line, and behind it the fields that came with it.
fn write_fields(
    buffer: &mut Formatter,
    line: Arguments<'_>,
    level: &str,
    json: bool,
) -> io::Result<()> {
    let whole = line.to_string();
    let (text, fields) = whole.split_once('\n').unwrap_or((&whole, ""));
    match json {
        true => write_object(buffer, format_args!("{text}"), level)?,
        false => write!(buffer, "{text}")?,
    }
    // The last one needs its line end: it is what is cut off as the end of the datagram.
    write!(buffer, "\n{fields}\n\n")
}

fn write_object(buffer: &mut Formatter, members: Arguments<'_>, level: &str) -> io::Result<()> {
    let time = date::rfc3339(clock::now());
    write!(
        buffer,
        "{{\"time\":\"{time}\",\"level\":\"{level}\",{members}}}"
    )
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
