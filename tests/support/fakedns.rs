//! A resolver that answers from a file, for programs under test: `fakedns.c`, preloaded.

#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// What a program is to find in DNS; see `fakedns.c` for the lines. The file goes when this is dropped.
pub struct FakeDns {
    shim: &'static Path,
    file: PathBuf,
}

impl FakeDns {
    /// `None` where the library cannot be built; then the test says that it is skipped.
    pub fn new(lines: &[&str]) -> Option<Self> {
        let library = LIBRARY.get_or_init(|| build("fakedns")).as_deref()?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fakedns-{}-{number}.txt", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let dns = Self {
            shim: library,
            file,
        };
        dns.set(lines);
        Some(dns)
    }

    /// From now on a program finds this, and nothing of before.
    pub fn set(&self, lines: &[&str]) {
        // A look-up reads the old lines or the new ones, never half of them.
        let new = self.file.with_extension("new");
        fs::write(&new, lines.join("\n") + "\n").unwrap();
        fs::rename(&new, &self.file).unwrap();
    }

    /// Makes a command's look-ups come here.
    pub fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", self.shim)
            .env("FAKEDNS", &self.file);
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Builds a library of `tests/support` that programs load before all others. `GATEPOST_CC` names the compiler where the binary
/// under test is for another machine.
pub fn build(name: &str) -> Option<PathBuf> {
    let compiler = std::env::var("GATEPOST_CC").unwrap_or("cc".to_owned());
    if !cfg!(target_env = "gnu") || !super::has_program(&compiler) {
        eprintln!("SKIPPED: {name} for tests needs cc and glibc");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/support/{name}.c"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = folder.join(format!("{name}-{compiler}.so"));
    // Test programs run side by side: each builds its own and moves it into place.
    let new = folder.join(format!("{name}-{}.so", std::process::id()));
    let built = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&new)
        .arg(source)
        .status()
        .unwrap();
    assert!(built.success(), "{compiler} cannot build {name}.c");
    fs::rename(&new, &library).unwrap();
    Some(library)
}
