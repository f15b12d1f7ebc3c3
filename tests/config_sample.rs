//! The sample configuration comes from the table of keys and is a good configuration.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use gatepost::config::{self, keys, sample};

use support::{TempFolder, assert_generated};

/// `GATEPOST_BLESS=1 cargo test --test config_sample` writes the file anew.
#[test]
fn the_sample_file_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/gatepost.ini");
    let want = sample::render();
    assert_generated(&path, &want);
}

/// Takes away every semicolon, so that each key stands at its default or its example.
#[test]
fn every_key_of_the_sample_can_be_uncommented() {
    let folder = TempFolder::new("sample");
    let file = folder.path().join("f.ini");
    fs::write(&file, sample::render()).unwrap();
    config::parse(&file).unwrap_or_else(|problems| panic!("{problems:?}"));
    let uncommented = sample::render()
        .replace("\n;", "\n")
        .replace(":NAME]", ":name]");
    fs::write(&file, &uncommented).unwrap();
    config::parse(&file).unwrap_or_else(|problems| panic!("{problems:?}"));
    let keys_set = uncommented
        .lines()
        .filter(|l| !l.starts_with('#') && l.contains(" ="))
        .count();
    assert_eq!(keys_set, keys::all().count());
}

/// A default that is written down means what leaving the key out means.
#[test]
fn a_written_default_is_the_default() {
    let folder = TempFolder::new("defaults");
    let file = folder.path().join("f.ini");
    fs::write(&file, "").unwrap();
    let without = config::parse(&file).unwrap();
    let mut ini = String::new();
    let mut section = "";
    for key in keys::all() {
        let Some(value) = key.default else {
            continue;
        };
        if key.section().ends_with(":NAME") || key.name == "addresses" {
            continue;
        }
        if key.section() != section {
            section = key.section();
            ini.push_str(&format!("[{section}]\n"));
        }
        ini.push_str(&format!("{} = {value}\n", key.name));
    }
    fs::write(&file, ini).unwrap();
    let mut with = config::parse(&file).unwrap();
    with.lines = without.lines.clone();
    with.stamp = without.stamp;
    assert_eq!(format!("{without:?}"), format!("{with:?}"));
    assert_eq!(without.auth.users, folder.path().join("users"));
}
