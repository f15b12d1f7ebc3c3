//! `gatepost certificate`: a new self-signed certificate for `hostname`, with its key.
//!
//! Promises: one that somebody else has issued is replaced only by `--force`; each file is replaced in one step
//! and keeps its mode and owner; new ones belong to the account of the service, the key readable for it alone.
//! Limits: the two files cannot be replaced in one step. After a power cut between them `check` says that
//! they do not belong together, and the command mends it; a running service uses the old pair until both are there.

use std::io;
use std::path::{Path, PathBuf};

use crate::config;
use crate::mail::date;
use crate::sys::clock;
use crate::sys::replace::{self, New};
use crate::transport::{certificate, self_signed};

use super::arguments::Arguments;
use super::output::{CANNOT_CREATE, Failure, IO, say};
use super::passwd::server_account;

/// The flags the command takes.
pub(super) const FLAGS: &[&str] = &["--force"];

/// Runs the command.
///
/// # Errors
/// The configuration is at fault, somebody else has issued the certificate, or a file cannot be replaced.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings =
        config::parse(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    let beside = |name: &str| match arguments.config.parent() {
        Some(folder) => folder.join(name),
        None => PathBuf::from(name),
    };
    let tls = &settings.tls;
    let certificate = tls.certificate.clone();
    let certificate = certificate.unwrap_or_else(|| beside("certificate.pem"));
    let key = tls.private_key.clone();
    let key = key.unwrap_or_else(|| beside("private_key.pem"));
    if !arguments.flag("--force") {
        is_ours_to_replace(&certificate)?;
    }
    let no_random = |error: io::Error| Failure::files(IO, "no key can be made", &error);
    let made = self_signed::make(&settings.hostname, clock::now()).map_err(no_random)?;
    let owner = server_account(&settings);
    let write = |path: &Path, content: &str, mode: u32| {
        replace::replace(path, content.as_bytes(), New { mode, owner })
            .map_err(|error| Failure::files(CANNOT_CREATE, path.display(), &error))
    };
    match certificate == key {
        true => write(
            &key,
            &format!("{}{}", made.certificate, *made.private_key),
            0o600,
        )?,
        false => {
            write(&key, &made.private_key, 0o600)?;
            write(&certificate, &made.certificate, 0o644)?;
        }
    }
    let until = certificate::load(&certificate, &key)
        .map_err(|error| Failure::new(IO, error))?
        .validity
        .not_after;
    let mut text = format!(
        "A self-signed certificate for {} is in {}, its key in {}.\n\
         It is valid until {}. A running service takes it up by itself, or at once by gatepost reload.\n",
        settings.hostname,
        certificate.display(),
        key.display(),
        date::rfc5322(until),
    );
    if tls.certificate.is_none() || tls.private_key.is_none() {
        text.push_str(&format!(
            "The configuration does not name them yet. Add:\n\n[tls]\ncertificate = {}\nprivate_key = {}\n",
            certificate.display(),
            key.display()
        ));
    }
    say(&text)
}

/// That nothing is lost: there is no certificate, or one that its owner can make again.
fn is_ours_to_replace(path: &Path) -> Result<(), Failure> {
    match path.exists() && !certificate::is_self_signed(path).unwrap_or(false) {
        true => Err(Failure::new(
            CANNOT_CREATE,
            format!(
                "{}: this is no self-signed certificate, so it stays; --force replaces it",
                path.display()
            ),
        )),
        false => Ok(()),
    }
}
