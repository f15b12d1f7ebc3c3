//! What the helper process may run: the `[command:NAME]` sections, as it reads them itself.
//!
//! Promises: the service can name a section, and nothing else; whoever takes over a service in its sandbox
//! runs no program that the operator has not written down, and no other with its arguments. The file is read
//! when the service says so, and only taken up whole: with an error the last good reading goes on. Of
//! the variables that programs find, all names and some values are fixed. Refuses to know: how it is asked
//! ([`crate::sys::helper`]).

use std::path::PathBuf;

use crate::admin::alarm;
use crate::config::handlers::Handlers;
use crate::config::{self, Settings};
use crate::delivery::command;
use crate::sys::helper::{self, Catalogue, Entry};
use crate::sys::only_thread::OnlyThread;

/// Forks the helper process, which knows what these settings name.
///
/// # Errors
/// See [`helper::start`].
pub(crate) fn start(settings: &Settings, alone: &OnlyThread) -> std::io::Result<()> {
    helper::start(Box::new(Programs::of(settings)), alone)
}

struct Programs {
    file: PathBuf,
    handlers: Handlers,
}

impl Programs {
    fn of(settings: &Settings) -> Self {
        Self {
            file: settings.file.clone(),
            handlers: settings.handlers.clone(),
        }
    }
}

impl Catalogue for Programs {
    fn reload(&mut self) -> Result<(), String> {
        match config::parse(&self.file) {
            Ok(settings) => {
                self.handlers = settings.handlers;
                Ok(())
            }
            Err(problems) => Err(problems
                .first()
                .map_or_else(String::new, ToString::to_string)),
        }
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        let command = self.handlers.command(name)?;
        Some(Entry {
            program: command.program.clone(),
            arguments: command.arguments.clone(),
        })
    }

    fn allows(&self, variable: &str, value: &str) -> bool {
        command::allows(variable, value) || alarm::allows(variable, value)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_the_file_names_is_known_and_only_a_good_file_is_taken_up() {
        let name = format!("gatepost-programs-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(
            &file,
            "[command:scan]\nprogram = /bin/scan\narguments = -x, y\n",
        )
        .unwrap();
        let settings = config::parse(&file).unwrap();
        let mut programs = Programs::of(&settings);
        let scan = Entry {
            program: "/bin/scan".into(),
            arguments: vec!["-x".to_owned(), "y".to_owned()],
        };
        assert_eq!(programs.entry("scan"), Some(scan));
        for other in ["", "Scan", "/bin/sh", "command:scan", "log"] {
            assert_eq!(programs.entry(other), None, "{other}");
        }
        fs::write(&file, "[command:log]\nprogram = bin/log\n").unwrap();
        let why = programs.reload().unwrap_err();
        assert!(why.contains("is not the absolute path"), "{why}");
        assert!(programs.entry("scan").is_some() && programs.entry("log").is_none());
        fs::write(&file, "[command:log]\nprogram = /bin/log\n").unwrap();
        programs.reload().unwrap();
        assert!(programs.entry("scan").is_none() && programs.entry("log").is_some());
        fs::remove_file(&file).unwrap();
        assert!(programs.reload().is_err());
        assert!(programs.entry("log").is_some());
    }
}
