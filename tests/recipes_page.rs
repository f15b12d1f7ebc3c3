//! The files of `conf/recipes` are good as they lie there, and gatepost-recipes(7) shows what is in them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

// Of what recipes share, this needs no servers.
#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/recipe.rs"]
mod recipe;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use gatepost::config::keys;
use recipe::{expected_warnings, lay_out, names, recipes, run, warnings};
use support::{TempFolder, gatepost, has_program};

/// As many lines as an operator can be asked to look at in one file.
const CHANGES_MAX: usize = 9;

#[test]
fn every_recipe_passes_the_check_unchanged() {
    let folder = TempFolder::new("recipes");
    lay_out(folder.path());
    assert!(names().len() >= 9, "{:?}", names());
    for name in names() {
        let file = format!("{name}.ini");
        let text = fs::read_to_string(recipes().join(&file)).unwrap();
        let run = |arguments: &[&str]| {
            let mut gatepost = gatepost();
            gatepost.args(arguments).args(["--config", &file]);
            run(gatepost.current_dir(folder.path()), "")
        };
        // The certificates that were laid out are for another name.
        if text.contains("\ncertificate = ") {
            assert_eq!(run(&["certificate", "--force"]).code, Some(0), "{file}");
        }
        let said = run(&["check"]);
        let mut got = warnings(&file, &said);
        // This machine has neither the account, so nothing was looked at as it, nor the addresses.
        got.retain(|code| !["W-22", "W-26"].contains(&code.as_str()));
        assert_eq!(got, expected_warnings(&text), "{file}");
    }
}

/// Two files that an operator gets without looking: the sample, and what packages install.
#[test]
fn the_sample_passes_the_check() {
    let folder = TempFolder::new("recipes");
    lay_out(folder.path());
    let sample = recipes().with_file_name("gatepost.ini");
    fs::copy(sample, folder.path().join("sample.ini")).unwrap();
    let installed = folder.path().join("installed");
    let made = run(
        gatepost()
            .args(["init", "--system", "--hostname", "mx.example.org"])
            .arg(&installed),
        "",
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    for file in ["sample.ini", "installed/gatepost.ini"] {
        let mut check = gatepost();
        check
            .args(["check", "--config", file])
            .current_dir(folder.path());
        assert_eq!(run(&mut check, "").code, Some(0), "{file}");
    }
}

/// Each mark is its own line or begins a comment, which ends at the line that is to be changed.
#[test]
fn what_is_to_be_changed_is_marked_the_same_way_everywhere() {
    for name in names() {
        let text = fs::read_to_string(recipes().join(format!("{name}.ini"))).unwrap();
        assert!(text.starts_with(&format!("# {name}.ini: ")), "{name}");
        let mut changes = 0;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
            if !line.contains("CHANGE") || line.contains("\"# CHANGE:\"") {
                continue;
            }
            assert!(line.starts_with("# CHANGE: "), "{name}: {line}");
            changes += 1;
            while lines.next_if(|next| next.starts_with('#')).is_some() {}
            let key = lines.peek().and_then(|next| next.split_once(" = "));
            assert!(key.is_some(), "{name}: nothing stands below {line:?}");
        }
        assert!((1..=CHANGES_MAX).contains(&changes), "{name}: {changes}");
    }
}

#[test]
fn the_page_and_the_folder_name_each_other() {
    let page = page();
    let heads = page
        .lines()
        .filter_map(|line| line.strip_prefix(".Sh ")?.strip_suffix(')'));
    let told: BTreeSet<String> = heads
        .flat_map(|head| head.rsplit_once('(').unwrap().1.split(", "))
        .map(|file| file.strip_suffix(".ini").unwrap().to_owned())
        .collect();
    assert_eq!(told, names());
    let texts = || {
        let entries = fs::read_dir(recipes()).unwrap();
        entries.map(|entry| {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            (file, fs::read_to_string(path).unwrap())
        })
    };
    for (file, text) in texts() {
        assert!(!text.contains('\t') && text.ends_with('\n'), "{file}");
        // What a recipe needs is named by it, or by the page.
        let named = texts().any(|(other, text)| other != file && text.contains(&file));
        assert!(named || page.contains(&file), "nothing names {file}");
    }
}

/// `.\" FILE` before a literal block: its lines stand in the file, in this order.
#[test]
fn the_lines_shown_are_those_of_the_files() {
    let page = page();
    let mut shown = 0;
    for block in page.split("\n.Bd -literal").skip(1) {
        let (_, block) = block.split_once('\n').unwrap();
        let (block, _) = block.split_once("\n.Ed").unwrap();
        let before = &page[..block.as_ptr() as usize - page.as_ptr() as usize];
        let mark = before.lines().rev().nth(1).unwrap();
        let Some(file) = mark.strip_prefix(".\\\" ") else {
            assert!(!block.starts_with('['), "an INI without its file:\n{block}");
            continue;
        };
        shown += 1;
        let text = fs::read_to_string(recipes().join(file)).unwrap();
        let mut lines = text.lines();
        for line in block.lines().filter(|line| !line.is_empty()) {
            let line = line.replace("\\e", "\\").replace("\\&", "");
            assert!(
                lines.any(|own| own == line),
                "{file} lacks in its place: {line}"
            );
        }
    }
    assert!(shown >= names().len(), "{shown}");
}

/// `.Cm KEY` and `[section] key` in the page's tables are keys of the program.
#[test]
fn every_key_in_the_page_exists() {
    let known: BTreeSet<String> = keys::all()
        .map(|key| format!("[{}] {}", key.section(), key.name))
        .collect();
    let page = page();
    let mut found = 0;
    for line in page.lines().filter(|line| line.starts_with(".Ql [")) {
        let words = line
            .trim_start_matches(".Ql ")
            .trim_end_matches([' ', '.', ',', ';', ')', ':']);
        let Some((section, rest)) = words.split_once("] ") else {
            continue;
        };
        let key = rest.split([' ', '=']).next().unwrap();
        let section = match section.split_once(':') {
            Some(("[port", "tcp" | "tls")) => section.to_owned(),
            Some((kind, _)) => format!("{kind}:NAME"),
            None => section.to_owned(),
        };
        found += 1;
        assert!(known.contains(&format!("{section}] {key}")), "{line}");
    }
    assert!(found >= 60, "{found}");
}

/// What the page calls a parameter of Postfix is one.
#[test]
fn every_parameter_of_postfix_exists() {
    if !has_program("postconf") {
        return;
    }
    let page = page();
    let (_, moving) = page.split_once("\n.Sh MOVING FROM POSTFIX").unwrap();
    let (_, table) = moving.split_once("\n.\\\" postconf\n").unwrap();
    let (table, _) = table.split_once("\n.El\n").unwrap();
    let lines = table.lines().filter_map(|line| line.strip_prefix(".It "));
    let names: Vec<&str> = lines.flat_map(|line| line.split(" , ")).collect();
    assert!(names.len() >= 50, "{names:?}");
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut postconf = Command::new("postconf");
    let said = run(postconf.env("PATH", path).arg("-d").args(&names), "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let unknown = said
        .complaint
        .lines()
        .filter(|line| line.contains("unknown parameter"));
    assert_eq!(unknown.count(), 0, "{}", said.complaint);
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man/gatepost-recipes.7");
    fs::read_to_string(path).unwrap()
}
