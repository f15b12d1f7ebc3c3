//! The configuration that tests begin with, and the files it names.

#![allow(dead_code)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

pub const TCP_PORT: u16 = 2525;
pub const TLS_PORT: u16 = 4465;

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The certificate of the base INI.
pub fn certificate() -> CertificateDer<'static> {
    let pem = std::fs::read(data("p256.crt")).unwrap();
    rustls_pemfile::certs(&mut pem.as_slice())
        .next()
        .unwrap()
        .unwrap()
}

/// The INI that every server of the tests begins with; `extra` is appended.
pub fn base_ini(address: IpAddr, folder: &Path, extra: &str) -> String {
    // A section may stand only once: what the extra lines bring replaces the base's keys.
    let base = format!(
        "[server]\nhostname = mx.here.example\nlocal_domains = here.example\nspool = {spool}\nuser = root\n\
         [delivery]\nmail_root = {mail}\n\
         [control]\nsocket = {socket}\n\
         [auth]\nusers = {users}\n\
         [tls]\ncertificate = {certificate}\nprivate_key = {key}\n\
         [port:tcp]\nnumber = {TCP_PORT}\naddresses = {address}\n\
         [port:tls]\nnumber = {TLS_PORT}\naddresses = {address}\nstatus = enabled\n\
         [extensions]\nstarttls = enabled\n",
        spool = folder.join("spool").display(),
        mail = folder.join("mail").display(),
        socket = folder.join("control").display(),
        users = folder.join("users").display(),
        certificate = data("p256.crt").display(),
        key = data("p256.key").display(),
    );
    merge_ini(&base, extra)
}

/// Two INI texts as one: a key of the second replaces the first's.
pub fn merge_ini(base: &str, extra: &str) -> String {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for text in [base, extra] {
        let mut section = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with('[') {
                section = line.to_owned();
                if !sections.iter().any(|(name, _)| *name == section) {
                    sections.push((section.clone(), Vec::new()));
                }
                continue;
            }
            let (key, value) = line.split_once('=').expect("key = value");
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            let (_, entries) = sections
                .iter_mut()
                .find(|(name, _)| *name == section)
                .unwrap();
            match entries.iter_mut().find(|(name, _)| *name == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
    }
    let mut text = String::new();
    for (section, entries) in sections {
        text.push_str(&format!("{section}\n"));
        for (key, value) in entries {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}
