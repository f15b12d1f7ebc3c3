//! The house rules a machine can hold: rooms import only from lower layers, files and functions stay
//! readable, reply and log texts stay in their one place, only `sys/` asks the system.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

/// Layer of each room (ARCHITECTURE.md).
const RANKS: &[(&str, u8)] = &[
    ("mail", 0),
    ("sys", 0),
    ("stats", 0),
    ("proposals", 0),
    ("troubles", 1),
    ("protocol", 1),
    ("config", 1),
    ("events", 1),
    ("net", 1),
    ("directory", 2),
    ("policy", 2),
    ("spool", 2),
    ("transport", 2),
    ("control", 2),
    ("session", 3),
    ("delivery", 3),
    ("dns", 3),
    ("devices", 4),
    ("probe", 4),
    ("server", 5),
    ("admin", 6),
    ("maildrop", 6),
    ("service", 7),
    ("cli", 8),
];
const FILE_MAX_LINES: usize = 700;
const FUNCTION_MAX_LINES: usize = 70;

fn rank(room: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, rank)| *rank)
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Every source file: its name below `src`, its room, its text.
fn files() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    let files = paths.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let room = name.split(['/', '.']).next().unwrap().to_owned();
        (name, room, fs::read_to_string(path).unwrap())
    });
    files.collect()
}

/// The part of a file that ships: nothing of one that is all tests.
fn shipped<'a>(name: &str, text: &'a str) -> &'a str {
    if name.ends_with("/tests.rs") || name.contains("/tests/") {
        return "";
    }
    text.split("#[cfg(test)]\nmod").next().unwrap()
}

#[test]
fn rooms_import_only_from_lower_layers() {
    let mut wrong = Vec::new();
    let mut imports = 0;
    for (name, room, text) in files() {
        let Some(own) = rank(&room) else {
            assert!(
                ["lib", "main"].contains(&room.as_str()),
                "{room} has no rank"
            );
            continue;
        };
        for (number, line) in shipped(&name, &text).lines().enumerate() {
            let line = line.trim_start();
            let Some(at) = line.find("crate::") else {
                continue;
            };
            if line.starts_with("//") {
                continue;
            }
            let target = line[at + 7..]
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            let target = target.unwrap_or_default();
            imports += 1;
            let lower = target == room || rank(target).is_some_and(|rank| rank < own);
            if !lower {
                wrong.push(format!(
                    "src/{name}:{}: {room} imports {target}",
                    number + 1
                ));
            }
        }
    }
    assert!(imports > 50, "the test finds no imports any more");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_stay_readable() {
    let mut wrong = Vec::new();
    for (name, _, text) in files() {
        let lines = text.lines().count();
        if lines > FILE_MAX_LINES {
            wrong.push(format!("src/{name}: {lines} lines"));
        }
        if !text.trim_start().starts_with("//!") {
            wrong.push(format!("src/{name}: no module doc"));
        }
        wrong.extend(long_functions(&name, &text));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Functions by indentation: from the line with `fn` to the brace in the same column.
fn long_functions(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let head = line
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(super) ");
        let head = head
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("const ");
        if head.trim_start_matches("unsafe ").starts_with("fn ") {
            open = Some((number, indent));
        }
        let ends =
            |(_, column): &(usize, usize)| line.trim_start().starts_with('}') && indent == *column;
        if let Some((start, _)) = open.filter(ends) {
            let length = number - start;
            if length > FUNCTION_MAX_LINES {
                wrong.push(format!(
                    "src/{name}:{}: a function of {length} lines",
                    start + 1
                ));
            }
            open = None;
        }
    }
    wrong
}

#[test]
fn clocks_logs_and_unsafe_code_stay_in_their_rooms() {
    let rules: &[(&[&str], &str)] = &[
        (&["SystemTime::now", "Instant::now"], "sys"),
        (
            &["log::log!", "log::info!", "log::warn!", "log::error!"],
            "events",
        ),
        (&["unsafe {", "unsafe fn"], "sys"),
    ];
    let mut wrong = Vec::new();
    for (name, room, text) in files() {
        for (needles, home) in rules {
            for (number, line) in shipped(&name, &text).lines().enumerate() {
                let found = needles.iter().find(|needle| line.contains(**needle));
                let counts = room != *home && !line.trim_start().starts_with("//");
                if let Some(needle) = found.filter(|_| counts) {
                    wrong.push(format!(
                        "src/{name}:{}: {needle} outside {home}",
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_protocol_does_no_io() {
    let forbidden = [
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::fs",
        "std::thread",
        "std::process",
        "std::os",
        "std::io",
        // Whatever a group holds.
        "use std::{",
        "sys::",
        ".elapsed()",
    ];
    let mut wrong = Vec::new();
    for (name, room, text) in files() {
        if !["protocol", "policy", "session"].contains(&room.as_str()) {
            continue;
        }
        for (number, line) in shipped(&name, &text).lines().enumerate() {
            let line = line.trim_start();
            let found = forbidden.iter().find(|what| line.contains(**what));
            if let Some(what) = found.filter(|_| !line.starts_with("//")) {
                wrong.push(format!("src/{name}:{}: {what}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_proof_of_durability_is_made_where_the_sync_was() {
    let made = |(name, _, text): &(String, String, String)| {
        let shipped = shipped(name, text);
        let lines = shipped.lines().map(str::trim_start);
        let made = lines.filter(|line| line.contains("Committed {") && !line.contains("struct"));
        let made = made.filter(|line| !line.starts_with("impl") && !line.starts_with("//"));
        made.count()
    };
    let files = files();
    let makers = files.iter().filter(|file| made(file) > 0);
    let makers: Vec<_> = makers.map(|(name, ..)| name.as_str()).collect();
    assert_eq!(makers, ["spool/commit.rs"]);
}

#[test]
fn the_reactor_waits_for_no_file_and_no_tls() {
    let files = files();
    let reactor = files.iter().find(|(name, ..)| name == "net/reactor.rs");
    let (name, _, text) = reactor.unwrap();
    for needle in ["std::fs", "rustls", "transport::", "disk", ".write_all("] {
        assert!(!shipped(name, text).contains(needle), "{needle}");
    }
}

#[test]
fn sentences_for_clients_stay_in_one_place() {
    let is_reply = |text: &str| {
        let octets = text.as_bytes();
        octets.len() > 4
            && b"245".contains(&octets[0])
            && octets[1..3].iter().all(u8::is_ascii_digit)
            && b" -".contains(&octets[3])
    };
    assert!(is_reply("250 OK"));
    let mut wrong = Vec::new();
    for (name, room, text) in files() {
        if room != "session" || name == "session/replies.rs" {
            continue;
        }
        let shipped = shipped(&name, &text);
        for (_, literal) in literals(shipped).iter().filter(|(_, text)| is_reply(text)) {
            wrong.push(format!("src/{name}: {literal:?}"));
        }
        for made in [
            "Reply::new(",
            "Reply::bare(",
            "Reply::lines(",
            "Reply::list(",
        ] {
            if shipped.contains(made) {
                wrong.push(format!("src/{name}: {made}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_to_copy_are_made_in_one_place() {
    let mut wrong = Vec::new();
    let mut lines = 0;
    for (name, _, text) in files() {
        let text = shipped(&name, &text);
        for (before, literal) in literals(text) {
            let is_line = before.trim_end().ends_with("line(");
            lines += usize::from(is_line && literal.contains("gatepost "));
            if !is_line && fills_a_command(&literal) {
                wrong.push(format!("src/{name}: {literal:?}"));
            }
        }
    }
    assert!(lines >= 3, "the test finds no lines to copy any more");
    assert!(
        wrong.is_empty(),
        "made without proposals::line:\n{}",
        wrong.join("\n")
    );
}

/// The commands that take arguments.
const COMMANDS: &[&str] = &[
    "serve",
    "check",
    "init",
    "passwd",
    "tell",
    "reload",
    "status",
    "sessions",
    "queue",
    "explain",
    "devices",
    "unban",
    "health",
    "top",
    "try",
    "test-mail",
    "sendmail",
];

/// Whether a format string fills a place within a command of ours, or within a line for a file.
fn fills_a_command(literal: &str) -> bool {
    let commands = literal.match_indices("gatepost ").filter(|(at, _)| {
        let after = &literal[at + "gatepost ".len()..];
        let command = after.split([' ', ';', '\n']).next().unwrap();
        COMMANDS.contains(&command)
    });
    let mut commands = commands.map(|(at, _)| &literal[at..]);
    let up_to_end = |rest: &str| rest.split([';', '\n']).next().unwrap().contains('{');
    commands.any(up_to_end) || literal.contains("line \"{")
}

#[test]
fn a_filled_command_is_seen() {
    assert!(fills_a_command("gatepost passwd {name} makes the user"));
    assert!(fills_a_command("x; gatepost explain --from {}"));
    assert!(fills_a_command("a line \"{name}: USER\" in x"));
    assert!(!fills_a_command(
        "no session {id:?}; gatepost sessions lists them"
    ));
    assert!(!fills_a_command("gatepost passwd NAME; {x}"));
}

/// The string literals of a source, each with the text before it; escapes of quotes and lines are undone.
fn literals(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(['"', '\'', '/']).map(|next| at + next) {
        let rest = &text[next..];
        if rest.starts_with("//") {
            at = next + rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with('\\') {
            at = next + 2;
        } else if rest.starts_with("\"'") && text[..next].ends_with('\'') {
            at = next + 1;
        } else if let Some(inside) = rest.strip_prefix('"') {
            let end = end_of_literal(inside);
            let literal = rest[1..=end].replace("\\\"", "\"").replace("\\n", "\n");
            found.push((&text[..next], literal));
            at = next + end + 2;
        } else {
            at = next + 1;
        }
    }
    found
}

/// Where a literal ends that begins here.
fn end_of_literal(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len() - 1)
}
