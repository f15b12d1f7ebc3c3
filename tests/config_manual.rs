//! The manual page of the configuration comes from the table of keys; its examples are good.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gatepost::config::manual;

use support::{TempFolder, assert_generated, checking, data};

/// `GATEPOST_BLESS=1 cargo test --test config_manual` writes the page anew.
#[test]
fn the_page_is_what_the_table_says() {
    let path = root().join("packaging/man/gatepost.ini.5");
    let want = manual::render();
    assert_generated(&path, &want);
}

/// The numbers that stand in the sources, with W or V in front.
#[test]
fn every_warning_and_every_numbered_error_is_explained() {
    let mut codes = BTreeSet::new();
    let mut files = vec![root().join("src/config")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            codes.extend(numbers(&fs::read_to_string(path).unwrap()));
        }
    }
    assert!(codes.len() >= 15, "{codes:?}");
    let page = manual::render();
    for code in codes {
        assert!(page.contains(&format!("\n.It {code}\n")), "{code}");
    }
}

#[test]
fn every_example_passes_the_check() {
    let page = manual::render();
    let (_, examples) = page.split_once(".Sh EXAMPLES\n").unwrap();
    let mut blocks = examples.split(".Bd -literal -offset indent\n").skip(1);
    for name in [
        "one domain",
        "printers",
        "providers",
        "sites",
        "alarms",
        "dovecot",
    ] {
        let (ini, _) = blocks.next().unwrap().split_once(".Ed\n").unwrap();
        let folder = TempFolder::new("manual");
        for file in ["certificate.pem", "public.pem", "staff.pem"] {
            fs::copy(data("p256.crt"), folder.path().join(file)).unwrap();
        }
        for file in ["private_key.pem", "public.key", "staff.key"] {
            fs::copy(data("p256.key"), folder.path().join(file)).unwrap();
        }
        fs::copy(data("users"), folder.path().join("users")).unwrap();
        for file in ["smarthost.password", "shop.token", "phone.token"] {
            let secret = folder.path().join(file);
            fs::write(&secret, "secret\n").unwrap();
            fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
        }
        // The certificates that the system trusts may not be there.
        let ini = ["[smarthost]\n", "[smarthost:shop]\n", "[webhook:phone]\n"]
            .iter()
            .fold(ini.to_owned(), |ini, header| {
                ini.replace(header, &format!("{header}ca_file = certificate.pem\n"))
            });
        let aliases = "alarm: alice, |keep, >phone\n";
        fs::write(folder.path().join("aliases"), aliases).unwrap();
        let ini = ini.replace("/usr/local/bin/keep-alarm", "/bin/true");
        fs::write(folder.path().join("f.ini"), &ini).unwrap();
        if ini.contains("\ncertificate = certificate.pem") {
            // The one that was laid out is for another name.
            let made = checking::run(&folder, &["certificate", "--force", "--config", "f.ini"]);
            assert_eq!(made.code, Some(0), "{name}: {:?}", made.problems);
        }
        let outcome = checking::check_in(&folder, ini);
        assert!(
            outcome.problems.is_empty(),
            "{name}: {:?}",
            outcome.problems
        );
        assert_eq!(outcome.code, Some(0), "{name}");
    }
    assert!(blocks.next().is_none(), "an example without a row here");
}

fn numbers(text: &str) -> Vec<String> {
    let octets = text.as_bytes();
    let windows = octets.windows(4).filter(|four| {
        [b"W-", b"V-"].iter().any(|start| four.starts_with(*start))
            && four[2..].iter().all(u8::is_ascii_digit)
    });
    windows
        .map(|four| String::from_utf8_lossy(four).into_owned())
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
