//! A clock of the day that jumps, for programs under test: `fakeclock.c`, preloaded.

#![allow(dead_code)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::fakedns::build;

static OBJECT: OnceLock<Option<PathBuf>> = OnceLock::new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// By how much the clock is wrong. The file goes when this is dropped.
pub struct FakeClock {
    object: &'static Path,
    path: PathBuf,
    file: File,
}

impl FakeClock {
    /// A clock that is right; `None` where it cannot be built.
    pub fn new() -> Option<Self> {
        let object = OBJECT.get_or_init(|| build("fakeclock")).as_deref()?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fakeclock-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let file = File::create(&path).unwrap();
        let clock = Self { object, path, file };
        clock.set(0);
        Some(clock)
    }

    /// From now on the clock is wrong by so many seconds.
    pub fn set(&self, seconds: i64) {
        // In place: programs have it mapped.
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Has a command go by this clock.
    pub fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", self.object)
            .env("FAKECLOCK", &self.path);
    }
}

impl Drop for FakeClock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
