//! The shell completions are those of the program's own table of commands, and the shells take them.
//!
//! `GATEPOST_BLESS=1` writes `packaging/completions` anew.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command as its help has it.
struct Row {
    name: String,
    purpose: String,
    /// Options, each with whether it takes a value.
    options: Vec<(String, bool)>,
    /// Words that stand for themselves.
    words: BTreeSet<String>,
}

#[test]
fn the_files_are_those_of_the_table() {
    let rows = rows();
    assert!(rows.len() > 10);
    let files = [
        ("gatepost.bash", bash(&rows)),
        ("_gatepost", zsh(&rows)),
        ("gatepost.fish", fish(&rows)),
    ];
    for (name, wanted) in files {
        let path = folder().join(name);
        if std::env::var_os("GATEPOST_BLESS").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap();
        assert!(
            found == wanted,
            "{name} differs from the table of commands; GATEPOST_BLESS=1 writes it anew"
        );
    }
}

#[test]
fn bash_completes_commands_options_words_and_files() {
    let Some(complete) = bash_completer() else {
        eprintln!("SKIPPED: no bash here");
        return;
    };
    for row in rows() {
        let found = complete(&["gatepost", &row.name, "-"]);
        let wanted: BTreeSet<String> = row.options.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(found, wanted, "{}", row.name);
        let name = row.name.clone();
        assert!(complete(&["gatepost", &name[..2]]).contains(&name));
    }
    let set = |words: &[&str]| -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    };
    let behind_option = ["gatepost", "--config", "any", "ser"];
    assert_eq!(complete(&behind_option), set(&["serve"]));
    assert_eq!(complete(&["gatepost", "sessions", "k"]), set(&["kill"]));
    assert_eq!(complete(&["gatepost", "help", "che"]), set(&["check"]));
    let file = [
        "gatepost",
        "check",
        "--config",
        "packaging/systemd/gatepost.ser",
    ];
    let wanted = set(&["packaging/systemd/gatepost.service"]);
    assert_eq!(complete(&file), wanted);
}

#[test]
fn fish_and_zsh_take_their_files() {
    for (shell, file) in [("zsh", "_gatepost"), ("fish", "gatepost.fish")] {
        let path = folder().join(file);
        match Command::new(shell).arg("-n").arg(path).output() {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(_) => eprintln!("SKIPPED: no {shell} here"),
        }
    }
    let script = format!(
        "source {}; complete -C 'gatepost queue ret'; complete -C 'gatepost explain --rc'",
        folder().join("gatepost.fish").display()
    );
    let Ok(output) = Command::new("fish").args(["-N", "-c", &script]).output() else {
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let first: Vec<_> = said
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(first, ["retry", "--rcpt"], "{said}");
}

/// What bash offers for the last of some words.
fn bash_completer() -> Option<impl Fn(&[&str]) -> BTreeSet<String>> {
    Command::new("bash").arg("--version").output().ok()?;
    Some(|words: &[&str]| {
        let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _gatepost; \
                      printf '%s\\n' \"${COMPREPLY[@]}\"";
        let output = Command::new("bash")
            .args(["--norc", "-c", script, "bash"])
            .arg(folder().join("gatepost.bash"))
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().map(str::to_owned).collect()
    })
}

fn bash(rows: &[Row]) -> String {
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let cases = rows.iter().map(|row| {
        let options = row.options.iter().map(|(name, _)| name.as_str());
        let words = row.words.iter().map(String::as_str);
        let all: Vec<&str> = options.chain(words).collect();
        format!("    {}) words='{}' ;;\n", row.name, all.join(" "))
    });
    format!(
        "# Completion of gatepost(8) for bash; from the program's own table of commands.\n\n\
         _gatepost() {{\n\
         \x20 local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}\n\
         \x20 local command='' words i\n\
         \x20 COMPREPLY=()\n\
         \x20 case $previous in\n\
         \x20   --config) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n\
         \x20   {values}) return ;;\n\
         \x20 esac\n\
         \x20 for ((i = 1; i < COMP_CWORD; i++)); do\n\
         \x20   case ${{COMP_WORDS[i]}} in\n\
         \x20     --config) ((i++)) ;;\n\
         \x20     -*) ;;\n\
         \x20     *) command=${{COMP_WORDS[i]}}; break ;;\n\
         \x20   esac\n\
         \x20 done\n\
         \x20 case $command in\n\
         \x20   '') words='{names} --config --help --version' ;;\n\
         {cases}\
         \x20   *) return ;;\n\
         \x20 esac\n\
         \x20 COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n\
         }}\n\n\
         complete -o filenames -F _gatepost gatepost\n",
        values = with_values(rows).join("|"),
        names = names.join(" "),
        cases = cases.collect::<String>(),
    )
}

fn zsh(rows: &[Row]) -> String {
    let commands = rows
        .iter()
        .map(|row| format!("  '{}:{}'\n", row.name, quoted(&row.purpose)));
    let cases = rows.iter().map(|row| {
        let options = row.options.iter().map(|(name, _)| name.as_str());
        let words = row.words.iter().map(String::as_str);
        let all: Vec<&str> = options.chain(words).collect();
        format!("  {}) words_of=({}) ;;\n", row.name, all.join(" "))
    });
    format!(
        "#compdef gatepost\n\
         # Completion of gatepost(8) for zsh; from the program's own table of commands.\n\n\
         local -a commands words_of\n\
         local command='' i\n\
         commands=(\n{commands})\n\
         case $words[CURRENT-1] in\n\
         \x20 --config) _files; return ;;\n\
         \x20 {values}) return ;;\n\
         esac\n\
         for ((i = 2; i < CURRENT; i++)); do\n\
         \x20 case $words[i] in\n\
         \x20   --config) ((i++)) ;;\n\
         \x20   -*) ;;\n\
         \x20   *) command=$words[i]; break ;;\n\
         \x20 esac\n\
         done\n\
         case $command in\n\
         \x20 '') _describe command commands; words_of=(--config --help --version) ;;\n\
         {cases}\
         esac\n\
         compadd -- $words_of\n",
        commands = commands.collect::<String>(),
        values = with_values(rows).join("|"),
        cases = cases.collect::<String>(),
    )
}

fn fish(rows: &[Row]) -> String {
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let mut text = format!(
        "# Completion of gatepost(8) for fish; from the program's own table of commands.\n\n\
         set -l commands {}\n\
         complete -c gatepost -f\n\
         complete -c gatepost -l config -r -F\n",
        names.join(" ")
    );
    for row in rows {
        text.push_str(&format!(
            "complete -c gatepost -n \"not __fish_seen_subcommand_from $commands\" -a {} -d '{}'\n",
            row.name,
            row.purpose.replace('\'', "\\'")
        ));
    }
    for row in rows {
        let seen = format!(
            "complete -c gatepost -n '__fish_seen_subcommand_from {}'",
            row.name
        );
        for (option, takes_value) in &row.options {
            let value = if *takes_value { " -x" } else { "" };
            match (option.strip_prefix("--"), option.strip_prefix('-')) {
                (Some("config"), _) => {}
                (Some(long), _) => text.push_str(&format!("{seen} -l {long}{value}\n")),
                (None, Some(short)) => text.push_str(&format!("{seen} -s {short}{value}\n")),
                (None, None) => unreachable!("{option}"),
            }
        }
        if !row.words.is_empty() {
            let words: Vec<&str> = row.words.iter().map(String::as_str).collect();
            text.push_str(&format!("{seen} -a '{}'\n", words.join(" ")));
        }
    }
    text
}

/// Options, of whatever command, behind which a value stands that no shell can know.
fn with_values(rows: &[Row]) -> Vec<String> {
    let all = rows.iter().flat_map(|row| &row.options);
    let valued = all.filter(|(name, takes_value)| *takes_value && name != "--config");
    let names: BTreeSet<String> = valued.map(|(name, _)| name.clone()).collect();
    // An ID, or a word of the command, may stand behind --all and the like, which take none.
    names.into_iter().collect()
}

/// Inside single quotes of zsh.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''").replace(':', "\\:")
}

fn rows() -> Vec<Row> {
    let overview = help(&["--help"]);
    let (_, list) = overview.split_once("\nCommands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let mut rows: Vec<Row> = lines.map(row).collect();
    let names: BTreeSet<String> = rows.iter().map(|row| row.name.clone()).collect();
    let help = rows.iter_mut().find(|row| row.name == "help");
    help.unwrap().words = names;
    rows
}

fn row(line: &str) -> Row {
    let (name, purpose) = line.trim().split_once(' ').unwrap();
    let help = help(&[name, "--help"]);
    let usage = help.split("Usage: gatepost ").nth(1).unwrap();
    let usage = usage.lines().next().unwrap();
    let usage = usage.strip_prefix(name).unwrap();
    let tokens: Vec<&str> = usage
        .split([' ', '|', '[', ']', '.'])
        .filter(|token| !token.is_empty())
        .collect();
    let is_value = |token: &&str| token.starts_with(|c: char| c.is_ascii_uppercase());
    let mut options: Vec<(String, bool)> = Vec::new();
    let mut words = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            &"--" => {}
            option if option.starts_with('-') => {
                let takes_value = tokens.get(at + 1).is_some_and(is_value) && *option != "--all";
                options.push(((*option).to_owned(), takes_value));
            }
            value if is_value(value) => {}
            word => {
                words.insert((*word).to_owned());
            }
        }
    }
    // What the prose alone has takes a value.
    for option in prose_options(&help) {
        if !options.iter().any(|(known, _)| *known == option) {
            let takes_value = !["--help", "--version"].contains(&option.as_str());
            options.push((option, takes_value));
        }
    }
    Row {
        name: name.to_owned(),
        purpose: purpose.trim().to_owned(),
        options,
        words,
    }
}

fn prose_options(help: &str) -> BTreeSet<String> {
    let names = help.split("--").skip(1).map(|rest| {
        let name = rest
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-');
        format!("--{}", name.collect::<String>())
    });
    names.filter(|name| name != "--").collect()
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions")
}
