//! gatepost(8) names every command and option, gatepost-log(7) every event with its level and keys.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatepost::config::values::USER_NAME_MAX_OCTETS;
use gatepost::control::console::CLIENTS_MAX;
use gatepost::control::pages;
use gatepost::directory::aliases::ALIASES_MAX;
use gatepost::directory::graph::TARGETS_MAX;
use gatepost::directory::secret::{ITERATIONS_MAX, PASSWORD_MAX_OCTETS, ROUNDS_MAX};
use gatepost::events::limit::LINES_A_WINDOW;
use gatepost::events::line::VALUE_MAX_OCTETS;
use gatepost::policy::throttle::{ACCOUNTS_MAX, ADDRESSES_MAX};
use gatepost::protocol::http_request::HEAD_MAX_OCTETS;
use gatepost::protocol::line::{AUTH_LINE_MAX_OCTETS, COMMAND_LINE_MAX_OCTETS};
use gatepost::spool::INLINE_MAX_OCTETS;

#[test]
fn every_command_and_option_is_in_the_page() {
    let page = page("gatepost.8");
    let commands = commands();
    assert!(commands.len() >= 6, "{commands:?}");
    // A long synopsis stands on several lines.
    let entries = page.replace("\n.It Xo\n.Ic ", "\n.It Ic ");
    for command in &commands {
        let entry = entries.lines().any(|line| {
            let name = line.strip_prefix(".It Ic ");
            name.and_then(|name| name.split(' ').next()) == Some(command)
        });
        assert!(entry, "no entry for {command}");
        for option in options(&help(&[command, "--help"])) {
            let words = format!("Fl -{option}");
            let known = page
                .match_indices(&words)
                .any(|(at, _)| !page[at + words.len()..].starts_with(is_of_a_name));
            assert!(known, "{command}: --{option}");
        }
    }
}

#[test]
fn the_page_has_no_command_that_is_not_there() {
    let known = commands();
    for line in page("gatepost.8").lines() {
        let Some(entry) = line.strip_prefix(".It Ic ") else {
            continue;
        };
        let name = entry.split(' ').next().unwrap();
        assert!(known.iter().any(|command| command == name), "{name}");
    }
}

#[test]
fn every_event_is_explained_with_its_level_and_keys() {
    let (known, told) = (events(), explained());
    assert!(known.len() > 40, "{}", known.len());
    for (name, event) in &known {
        let told = told.get(name);
        let told = told.unwrap_or_else(|| panic!("gatepost-log.7 lacks {name}"));
        assert_eq!(told, event, "{name}");
    }
    let gone: Vec<_> = told
        .keys()
        .filter(|name| !known.contains_key(*name))
        .collect();
    assert!(
        gone.is_empty(),
        "gatepost-log.7 has what is not there: {gone:?}"
    );
}

/// The list of metrics is written anew with GATEPOST_BLESS.
#[test]
fn every_metric_is_told_with_what_it_means() {
    let page = page("gatepost.8");
    let section = page.find("\n.Ss Prometheus\n").unwrap();
    let list = ".Bl -tag -width Ds -compact\n";
    let begin = section + page[section..].find(list).unwrap() + list.len();
    let end = begin + page[begin..].find(".El\n").unwrap();
    let entry = |(name, meaning): &(&str, &str)| {
        let lines = wrapped(meaning, 80);
        format!(".It Va {name}\n{lines}\n")
    };
    let want: String = gatepost::admin::metrics::families()
        .iter()
        .map(entry)
        .collect();
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        let blessed = [&page[..begin], &want, &page[end..]].concat();
        fs::write(root().join("packaging/man/gatepost.8"), blessed).unwrap();
        return;
    }
    let told = &page[begin..end];
    assert!(told == want, "GATEPOST_BLESS=1 writes it anew:\n{want}");
}

fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let gap = if lines.is_empty() { "" } else { " " };
        // A sentence ends with its line, as mandoc wants it.
        let breaks = width + gap.len() + word.len() > columns || lines.ends_with('.');
        if breaks && !lines.is_empty() {
            lines.push('\n');
            width = 0;
        } else {
            lines.push_str(gap);
            width += gap.len();
        }
        lines.push_str(word);
        width += word.len();
    }
    lines
}

#[test]
fn the_fixed_limits_are_those_of_the_program() {
    let ini = fs::read_to_string(root().join("packaging/man/gatepost.ini.5")).unwrap();
    let rows = [
        (
            page("gatepost.8"),
            format!("{COMMAND_LINE_MAX_OCTETS} octets; {AUTH_LINE_MAX_OCTETS} in"),
        ),
        (
            page("gatepost.8"),
            format!("{}K octets; a larger", INLINE_MAX_OCTETS / 1024),
        ),
        (
            page("gatepost.8"),
            format!("{LINES_A_WINDOW} a minute of one event"),
        ),
        (
            page("gatepost.8"),
            format!("values of {VALUE_MAX_OCTETS} octets"),
        ),
        (
            page("gatepost.8"),
            format!("{CLIENTS_MAX} clients at a time"),
        ),
        (
            page("gatepost.8"),
            format!(
                "{} connections at a time, {}K octets and {} seconds a request",
                pages::CLIENTS_MAX,
                HEAD_MAX_OCTETS / 1024,
                pages::PATIENCE.as_secs()
            ),
        ),
        (
            page("gatepost.8"),
            format!("of {ADDRESSES_MAX} addresses and of {ACCOUNTS_MAX} users"),
        ),
        (
            page("gatepost-log.7"),
            format!("cut to {VALUE_MAX_OCTETS} octets"),
        ),
        (
            page("gatepost-log.7"),
            format!("limited to {LINES_A_WINDOW} a minute"),
        ),
        (
            ini.clone(),
            format!("{ALIASES_MAX} aliases, {TARGETS_MAX} targets"),
        ),
        (
            ini.clone(),
            format!("most {ROUNDS_MAX} rounds, one of SCRAM {ITERATIONS_MAX} iterations"),
        ),
        (
            ini.clone(),
            format!("password has at most {PASSWORD_MAX_OCTETS} octets"),
        ),
        (ini, format!("up to {USER_NAME_MAX_OCTETS} octets, without")),
    ];
    for (page, words) in rows {
        assert!(page.contains(&words), "{words}");
    }
}

/// Levels and keys.
type Event = (BTreeSet<String>, BTreeSet<String>);

/// What the sources log.
fn events() -> BTreeMap<String, Event> {
    let mut known = BTreeMap::new();
    let mut files = vec![root().join("src/events.rs")];
    files.extend(
        fs::read_dir(root().join("src/events"))
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        // A function is an event: from its name to its end.
        for function in text.split("\npub fn ").skip(1) {
            let names: BTreeSet<_> = ["Line::new(", "limited("]
                .iter()
                .flat_map(|call| literals(function, call))
                .collect();
            for name in names {
                known.insert(name, event(function));
            }
        }
    }
    for (name, event) in refusals() {
        known.insert(name, event);
    }
    known
}

fn event(function: &str) -> Event {
    let keys = [".text(", ".octets(", ".maybe(", ".words("];
    let keys = keys.iter().flat_map(|call| literals(function, call));
    let levels = [
        ("Level::Error", "error"),
        ("Level::Warn", "warning"),
        ("Level::Info", "info"),
        ("Level::Debug", "debug"),
    ];
    let levels = levels.iter().filter(|(level, _)| function.contains(level));
    (
        levels.map(|(_, word)| (*word).to_owned()).collect(),
        keys.collect(),
    )
}

/// What goes through `events::refused`, whose names come from the notes of sessions.
fn refusals() -> BTreeMap<String, Event> {
    let log = fs::read_to_string(root().join("src/events.rs")).unwrap();
    let (_, function) = log.split_once("\npub fn refused(").unwrap();
    let (levels, keys) = event(function.split("\npub fn ").next().unwrap());
    let notes = fs::read_to_string(root().join("src/server/notes.rs")).unwrap();
    let (_, notes) = notes.split_once("fn log_refused(").unwrap();
    let mut known: BTreeMap<String, Event> = BTreeMap::new();
    for line in notes.lines().filter(|line| line.contains("Subject::")) {
        let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let &[name, key, ..] = words.as_slice() else {
            continue;
        };
        let event = known.entry(name.to_owned());
        let event = event.or_insert_with(|| (levels.clone(), keys.clone()));
        event.1.insert(key.to_owned());
    }
    assert!(known.len() >= 5, "{known:?}");
    known
}

/// What the page explains: `.It Cm NAME`, then `.Em LEVELS :`, then `.Va KEYS`.
fn explained() -> BTreeMap<String, Event> {
    let page = page("gatepost-log.7");
    let (_, events) = page.split_once("\n.Sh EVENTS\n").unwrap();
    let mut told = BTreeMap::new();
    for entry in events.split("\n.It Cm ").skip(1) {
        let (name, rest) = entry.split_once('\n').unwrap();
        let head: Vec<&str> = rest.lines().take_while(|line| *line != ".Pp").collect();
        let after = |macro_name: &str| -> BTreeSet<String> {
            let lines = head.iter().filter_map(|line| line.strip_prefix(macro_name));
            let words = lines.flat_map(|line| line.split([' ', ',', ':']));
            words
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let text = rest.lines().nth(head.len() + 1);
        assert!(text.is_some_and(|line| !line.starts_with(".It")), "{name}");
        told.insert(name.to_owned(), (after(".Em "), after(".Va ")));
    }
    told
}

/// The string literals that begin the arguments of these calls.
fn literals(text: &str, call: &str) -> Vec<String> {
    let calls = text
        .match_indices(call)
        .map(|(at, _)| &text[at + call.len()..]);
    let literals = calls.filter_map(|rest| rest.trim_start().strip_prefix('"'));
    literals
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

fn commands() -> Vec<String> {
    let help = help(&["--help"]);
    let (_, list) = help.split_once("\nCommands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// The names behind `--`.
fn options(help: &str) -> BTreeSet<String> {
    let names = help.split("--").skip(1);
    names
        .map(|rest| rest.chars().take_while(|c| is_of_a_name(*c)).collect())
        .collect()
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c == '-'
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("packaging/man").join(name)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
