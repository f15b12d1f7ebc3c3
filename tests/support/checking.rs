//! Runs `gatepost check` and compares what it says, line by line.

#![allow(dead_code)]

use std::fs;

use super::{TempFolder, data, gatepost};

/// What one run of `check` gave: exit code, standard error, standard output.
pub struct Outcome {
    pub code: Option<i32>,
    pub problems: Vec<String>,
    pub table: Vec<String>,
}

/// Checks a configuration that lies beside a users file; `{data}` is the folder of the certificates.
pub fn check(ini: impl AsRef<[u8]>) -> Outcome {
    let folder = TempFolder::new("check");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    check_in(&folder, ini)
}

/// The same in this folder. What is said of the machine that the tests run on, and of the modes of their data,
/// is left out; tests of that use [`run_whole`].
pub fn check_in(folder: &TempFolder, ini: impl AsRef<[u8]>) -> Outcome {
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    run(folder, &["check", "--config", "f.ini"])
}

/// Whether a warning depends on where the tests run.
pub fn is_of_this_machine(line: &str) -> bool {
    let codes = ["(W-18)", "(W-19)", "(W-22)", "(W-26)"];
    codes.iter().any(|code| line.ends_with(code))
}

/// Runs a command in the folder, for what does not depend on the machine.
pub fn run(folder: &TempFolder, arguments: &[&str]) -> Outcome {
    let mut outcome = run_whole(folder, arguments);
    outcome.problems.retain(|line| !is_of_this_machine(line));
    outcome
}

pub fn run_whole(folder: &TempFolder, arguments: &[&str]) -> Outcome {
    let output = gatepost()
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let lines = |octets: &[u8]| {
        let text = String::from_utf8(octets.to_vec()).unwrap();
        let text = text.replace(&format!("{}/", folder.path().display()), "");
        text.lines().map(str::to_owned).collect()
    };
    Outcome {
        code: output.status.code(),
        problems: lines(&output.stderr),
        table: lines(&output.stdout),
    }
}

pub fn with_data(ini: &str) -> String {
    ini.replace("{data}/", &data("").display().to_string())
}

pub const TLS: &str = "[tls]\ncertificate = {data}/p256.crt\nprivate_key = {data}/p256.key\n";

/// One row of a table of rules: the INI file, and the beginnings of the lines wanted.
pub fn assert_problems(ini: &str, want: &[&str]) {
    let got = check(with_data(ini));
    let data = data("").display().to_string();
    let problems: Vec<String> = got
        .problems
        .iter()
        .map(|line| line.replace(&data, "{data}/"))
        .collect();
    assert_eq!(problems, want, "{ini}");
    let errors = want.iter().any(|line| !line.contains(" warning: "));
    assert_eq!(got.code, Some(if errors { 78 } else { 0 }), "{ini}");
    assert_eq!(got.table.is_empty(), errors, "{ini}");
}
