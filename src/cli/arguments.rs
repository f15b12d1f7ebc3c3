//! The arguments of one command: options with a value, and words.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::config::suggest;

/// What stands on the command line besides the command's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `--config`, or the default.
    pub config: PathBuf,
    /// The words, as many as the command takes.
    pub words: Vec<OsString>,
    options: Vec<(&'static str, OsString)>,
    flags: Vec<&'static str>,
}

impl Arguments {
    /// Sorts the arguments. `--name value` and `--name=value` are the same; what follows `--` is a word.
    ///
    /// # Errors
    /// What is wrong with them, in words for the operator.
    pub fn parse(
        arguments: impl Iterator<Item = OsString>,
        options: &[&'static str],
        flags: &[&'static str],
        words: usize,
    ) -> Result<Self, String> {
        let mut parsed = Self {
            config: PathBuf::from(DEFAULT_CONFIG),
            words: Vec::new(),
            options: Vec::new(),
            flags: Vec::new(),
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                parsed.words.extend(arguments.by_ref());
            } else if let Some(flag) = flags.iter().find(|flag| argument == **flag) {
                parsed.flags.push(flag);
            } else if is_option(&argument) {
                parsed.option(&argument, &mut arguments, options, flags)?;
            } else {
                parsed.words.push(argument);
            }
        }
        if let Some(config) = parsed.value(CONFIG) {
            parsed.config = PathBuf::from(config);
        }
        if words == ANY_WORDS {
            return Ok(parsed);
        }
        match parsed.words.get(words) {
            Some(extra) => Err(format!("{extra:?} is one word too many")),
            None if parsed.words.len() < words => Err("an argument is missing".to_owned()),
            None => Ok(parsed),
        }
    }

    fn option(
        &mut self,
        argument: &OsStr,
        rest: &mut impl Iterator<Item = OsString>,
        options: &[&'static str],
        flags: &[&'static str],
    ) -> Result<(), String> {
        let (name, value) = split(argument);
        let known = options
            .iter()
            .chain(&[CONFIG])
            .find(|option| name == **option);
        let Some(known) = known.copied() else {
            let every = options.iter().chain(flags).chain(&EVERYWHERE);
            return Err(no_option(&name, every.copied()));
        };
        let value = value.or_else(|| rest.next());
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| format!("{known} needs a value"))?;
        if self.value(known).is_some() {
            return Err(format!("{known} stands twice"));
        }
        self.options.push((known, value));
        Ok(())
    }

    /// Whether an option without a value was given.
    pub fn flag(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// The value of an option, if it was given.
    pub fn value(&self, option: &str) -> Option<&OsStr> {
        let found = self.options.iter().find(|(name, _)| *name == option);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// The place of the command's name: the first word that is not the value of `--config`.
pub fn command_at(arguments: &[OsString]) -> Option<usize> {
    let mut is_value = false;
    arguments.iter().position(|argument| {
        let is_command = !is_value && !is_option(argument);
        is_value = argument == CONFIG;
        is_command
    })
}

fn is_option(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-") && argument != "-"
}

fn no_option(name: &OsStr, every: impl Iterator<Item = &'static str>) -> String {
    let why = format!("there is no option {name:?} here");
    match suggest::nearest(&name.to_string_lossy(), every) {
        Some(near) => format!("{why}; did you mean {near}?"),
        None => why,
    }
}

/// Cuts `--name=value`.
fn split(argument: &OsStr) -> (OsString, Option<OsString>) {
    use std::os::unix::ffi::OsStrExt;
    let octets = argument.as_bytes();
    match octets.iter().position(|&octet| octet == b'=') {
        Some(end) => {
            let (name, value) = octets.split_at(end);
            let value = value.strip_prefix(b"=").unwrap_or(value);
            (
                OsStr::from_bytes(name).to_owned(),
                Some(OsStr::from_bytes(value).to_owned()),
            )
        }
        None => (argument.to_owned(), None),
    }
}

/// For a command that counts its words itself.
pub const ANY_WORDS: usize = usize::MAX;
const CONFIG: &str = "--config";
/// The options of every command.
const EVERYWHERE: [&str; 3] = [CONFIG, "--help", "--version"];
/// Where the configuration is where nothing else is said.
pub(super) const DEFAULT_CONFIG: &str = "/etc/gatepost/gatepost.ini";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = line.split_whitespace().map(OsString::from);
        Arguments::parse(words, &["--hostname"], &["--keep"], 1)
    }

    #[test]
    fn options_may_stand_anywhere_and_in_both_forms() {
        for line in [
            "dir --hostname a --config f",
            "--config=f dir --hostname=a",
            "--hostname a --config f -- dir",
        ] {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.config, PathBuf::from("f"), "{line}");
            assert_eq!(parsed.value("--hostname"), Some(OsStr::new("a")), "{line}");
            assert_eq!(parsed.words, ["dir"], "{line}");
        }
        assert!(parse("dir --keep").unwrap().flag("--keep"));
        assert!(!parse("dir").unwrap().flag("--keep"));
        assert_eq!(parse("-- --dir").unwrap().words, ["--dir"]);
        assert_eq!(parse("dir").unwrap().config, PathBuf::from(DEFAULT_CONFIG));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, want) in [
            ("", "an argument is missing"),
            ("a b", "\"b\" is one word too many"),
            ("a --nope", "there is no option \"--nope\" here"),
            (
                "a --confg f",
                "there is no option \"--confg\" here; did you mean --config?",
            ),
            (
                "a --hostnmae=b",
                "there is no option \"--hostnmae\" here; did you mean --hostname?",
            ),
            (
                "a --kepe",
                "there is no option \"--kepe\" here; did you mean --keep?",
            ),
            ("a --config", "--config needs a value"),
            ("a --config=", "--config needs a value"),
            ("a --config f --config g", "--config stands twice"),
        ] {
            assert_eq!(parse(line), Err(want.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_command_is_the_first_word() {
        for (line, want) in [
            ("check", Some(0)),
            ("--config f check", Some(2)),
            ("--config=f check", Some(1)),
            ("--config f", None),
            ("", None),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(command_at(&words), want, "{line}");
        }
    }
}
