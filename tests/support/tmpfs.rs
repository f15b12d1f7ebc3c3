//! A small file system of a test's own.

#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Server;

/// A small file system that is unmounted when the test ends.
pub struct Tmpfs(pub PathBuf);

impl Tmpfs {
    pub fn at(folder: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        let mounted = mount.arg(&folder).output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(folder))
    }

    /// Mounts it anew with these options.
    pub fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{options}")]);
        assert!(mount.arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A server with one of its folders on a small file system; none where that cannot be had.
pub fn on_tmpfs(ini: &str, folder: &str, size: &str) -> Option<(Server, Tmpfs)> {
    let mut tmpfs = None;
    let server = Server::start_with(ini, |command| {
        let config = Path::new(command.get_args().last().unwrap());
        tmpfs = Tmpfs::at(config.parent().unwrap().join(folder), size);
    });
    if tmpfs.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI needs mount(8)");
        eprintln!("SKIPPED: no tmpfs can be mounted");
    }
    Some((server, tmpfs?))
}
