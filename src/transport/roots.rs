//! Whom a client trusts: the certificates of a PEM bundle.
//!
//! Promises: what is loaded holds at least one certificate that can vouch for others. Refuses to know:
//! servers. Limits: a bundle of at most 4 MiB; it is read anew for each connection, so that it needs no
//! memory between them and an update of the system's bundle counts at once.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;

use crate::sys::{machine, replace};

/// Where systems keep their bundle; the first that is there counts.
pub const SYSTEM_BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Certificates that are trusted to vouch for others.
#[derive(Debug, Clone)]
pub struct Roots(pub(super) Arc<RootCertStore>);

/// Loads a bundle: this file, else the system's.
///
/// # Errors
/// In plain words: there is none, it cannot be read, or there is no certificate in it.
pub fn load(file: Option<&Path>) -> Result<Roots, String> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => system_bundle().ok_or(NO_BUNDLE)?,
    };
    let named = |reason: &str| format!("{}: {reason}", path.display());
    let text = replace::read_limited(&path, FILE_MAX_OCTETS)
        .map_err(|error| named(&machine::reason(&error)))?;
    let certificates: Result<Vec<_>, _> =
        rustls_pemfile::certs(&mut BufReader::new(&*text)).collect();
    let certificates = certificates.map_err(|_| named("a damaged PEM file"))?;
    let mut store = RootCertStore::empty();
    let (good, _) = store.add_parsable_certificates(certificates);
    match good {
        0 => Err(named("there is no certificate in it")),
        _ => Ok(Roots(Arc::new(store))),
    }
}

fn system_bundle() -> Option<PathBuf> {
    let mut paths = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    paths.find(|path| path.exists())
}

const NO_BUNDLE: &str = "this system has no CA bundle: install the package ca-certificates, or name a bundle by ca_file";
const FILE_MAX_OCTETS: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_certificate_is_named() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let load = |name: &str| load(Some(&data.join(name)));
        assert_eq!(load("p256.crt").map(|roots| roots.0.len()), Ok(1));
        assert_eq!(load("chain.crt").map(|roots| roots.0.len()), Ok(2));
        for (name, why) in [
            ("nowhere.pem", "nowhere.pem: No such file or directory"),
            ("empty.pem", "empty.pem: there is no certificate in it"),
            ("p256.key", "p256.key: there is no certificate in it"),
            ("cut.crt", "cut.crt: a damaged PEM file"),
        ] {
            let reason = load(name).unwrap_err();
            assert!(reason.ends_with(why), "{reason}");
        }
    }
}
