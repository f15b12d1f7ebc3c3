//! The options of sendmail(8), as far as scripts pass them.
//!
//! Promises: letters may stand together (`-ti`), a value behind its letter or as the next argument
//! (`-fa@b`, `-f a@b`), what follows `--` or the first word is a recipient.

use std::path::PathBuf;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// The configuration file: `-C FILE` or `--config FILE`.
    pub(super) config: PathBuf,
    /// `-t`: recipients stand in the header section too.
    pub(super) from_header: bool,
    /// `-i`, `-oi`: a line with a dot alone is one like any other.
    pub(super) ignore_dots: bool,
    /// `-v`: say what is done.
    pub(super) verbose: bool,
    /// `-f` or `-r`: the reverse-path.
    pub(super) sender: Option<String>,
    /// `-F`: the sender's full name.
    pub(super) full_name: Option<String>,
    /// The recipients.
    pub(super) recipients: Vec<String>,
}

/// Letters that take a value.
const WITH_VALUE: &str = "ABCFLNOPRVXbdefhopr";
/// Letters that stand alone.
const ALONE: &str = "GUimntv";

impl Options {
    /// Sorts the arguments behind the command's name.
    ///
    /// # Errors
    /// What is wrong, or not served, in words for the caller.
    pub(super) fn parse(arguments: &[String], config: &str) -> Result<Self, String> {
        let mut options = Self {
            config: PathBuf::from(config),
            from_header: false,
            ignore_dots: false,
            verbose: false,
            sender: None,
            full_name: None,
            recipients: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                break;
            }
            // Unlike the letters it stands anywhere, as with every command.
            if argument == "--config" {
                let value = rest.next().ok_or("--config needs a value")?;
                options.config = PathBuf::from(value);
            } else if let Some(value) = argument.strip_prefix("--config=") {
                options.config = PathBuf::from(value);
            } else if !options.recipients.is_empty() {
                options.recipients.push(argument.clone());
            } else if let Some(letters) = argument.strip_prefix('-').filter(|l| !l.is_empty()) {
                options.letters(letters, &mut rest)?;
            } else {
                options.recipients.push(argument.clone());
            }
        }
        options.recipients.extend(rest.cloned());
        Ok(options)
    }

    fn letters<'a>(
        &mut self,
        letters: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            if ALONE.contains(letter) {
                self.alone(letter);
                continue;
            }
            if letter == 'I' || letter == 'q' {
                return Err(not_served(&format!("-{letter}")));
            }
            if !WITH_VALUE.contains(letter) {
                return Err(format!("there is no option -{letter}"));
            }
            let attached = letters.get(at + 1..).filter(|value| !value.is_empty());
            let value = match attached {
                Some(value) => value.to_owned(),
                None => rest
                    .next()
                    .cloned()
                    .ok_or_else(|| format!("-{letter} needs a value"))?,
            };
            return self.valued(letter, value);
        }
        Ok(())
    }

    fn alone(&mut self, letter: char) {
        match letter {
            't' => self.from_header = true,
            'i' => self.ignore_dots = true,
            'v' => self.verbose = true,
            // Group expansion, initial submission, aliases, me too: nothing of the kind is done here.
            _ => {}
        }
    }

    fn valued(&mut self, letter: char, value: String) -> Result<(), String> {
        match letter {
            'b' if value != "m" => return Err(not_served(&format!("-b{value}"))),
            'C' => self.config = PathBuf::from(value),
            'F' => self.full_name = Some(value),
            'f' | 'r' => self.sender = Some(value),
            'o' if value == "i" => self.ignore_dots = true,
            // Delivery mode, error mode, hop count, body type, notifications, logs: ours are fixed.
            _ => {}
        }
        Ok(())
    }
}

fn not_served(option: &str) -> String {
    let instead = match option {
        "-bp" => "gatepost status shows how much mail waits",
        "-bs" => "speak SMTP to the port, or use gatepost serve",
        "-bd" | "-bD" => "use gatepost serve",
        "-bi" | "-I" => "gatepost reads the aliases file by itself when it changes",
        "-bv" | "-bt" => "use gatepost explain",
        option if option.starts_with("-q") => "gatepost sends what waits by itself",
        _ => "gatepost sendmail only takes a message to send",
    };
    format!("{option} is not served: {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Options::parse(&words, "/default")
    }

    #[test]
    fn options_come_in_every_shape_that_scripts_use() {
        let rows: &[(&str, bool, bool, Option<&str>, &[&str])] = &[
            ("-t -i", true, true, None, &[]),
            ("-ti", true, true, None, &[]),
            ("-oi -f a@b c@d", false, true, Some("a@b"), &["c@d"]),
            (
                "-oem -odb -oi -fa@b -- -c d",
                false,
                true,
                Some("a@b"),
                &["-c", "d"],
            ),
            (
                "-r a -B8BITMIME -N never -h 3 c",
                false,
                false,
                Some("a"),
                &["c"],
            ),
            (
                "-FCronDaemon -i -odi -oem -oi -t -f root",
                true,
                true,
                Some("root"),
                &[],
            ),
            ("-bm -v -itf a c d", true, true, Some("a"), &["c", "d"]),
            ("-C /x c -t", false, false, None, &["c", "-t"]),
            ("-t --config /y", true, false, None, &[]),
            ("-V id -R hdrs -G -U -L tag c", false, false, None, &["c"]),
        ];
        for (line, from_header, ignore_dots, sender, recipients) in rows {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.from_header, *from_header, "{line}");
            assert_eq!(parsed.ignore_dots, *ignore_dots, "{line}");
            assert_eq!(parsed.sender.as_deref(), *sender, "{line}");
            assert_eq!(parsed.recipients, *recipients, "{line}");
        }
        for line in [
            "-C /x c",
            "c d --config /x",
            "c --config=/x -- d",
            "--config /x -t",
        ] {
            assert_eq!(parse(line).unwrap().config, PathBuf::from("/x"), "{line}");
        }
    }

    #[test]
    fn what_is_not_served_is_named() {
        let rows = [
            ("-bp", "status"),
            ("-bs", "SMTP"),
            ("-bd", "serve"),
            ("-bi", "aliases"),
            ("-I", "aliases"),
            ("-q", "by itself"),
            ("-q30m", "by itself"),
            ("-bv x", "explain"),
            ("-Z", "no option -Z"),
            ("--dry-run", "no option --"),
            ("-f", "needs a value"),
        ];
        for (line, words) in rows {
            let reason = parse(line).unwrap_err();
            assert!(reason.contains(words), "{line}: {reason}");
        }
    }
}
