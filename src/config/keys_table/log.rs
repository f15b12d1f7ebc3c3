//! The log.

use super::*;

words! { Level: LevelFilter {
    "error" => LevelFilter::Error,
    "warn" => LevelFilter::Warn,
    "warning" => LevelFilter::Warn,
    "info" => LevelFilter::Info,
    "debug" => LevelFilter::Debug,
    "trace" => LevelFilter::Trace,
} }
words! { Target: LogTarget {
    "stderr" => LogTarget::Stderr, "syslog" => LogTarget::Syslog, "journal" => LogTarget::Journal,
} }
words! { Format: LogFormat { "text" => LogFormat::Text, "json" => LogFormat::Json } }

keys! { "log":
    LEVEL: Key<Word<Level>> = "level", word().or("info"),
        "The least important lines that are logged; warn and warning are the same. debug tells \
         the dialogue, never passwords or content.",
        "Set debug to find out what a client does.",
        "log level";
    DEBUG_FOR: Key<Networks> = "debug_for", networks().or(""),
        "The networks whose dialogue level = debug tells: each command, each reply, and how much \
         mail data came. Empty: everybody's. Sessions that have begun stay as they are.",
        "Name the client that you look at, so that others stay out of the log.",
        "SMTPDebugIO";
    TARGET: Key<Word<Target>> = "target", word().or("stderr"),
        "Where log lines go: to standard error, which the service manager collects, to the local \
         syslog, or to systemd's journal with each value as a field. A change needs a restart.",
        "Set syslog where nothing collects standard error; journal to search by journalctl \
         EVENT=login_failed.";
    FORMAT: Key<Word<Format>> = "format", word().or("text"),
        "How log lines look: key=value, or a JSON object. A change needs a restart.",
        "Set json for a log collector.";
}
