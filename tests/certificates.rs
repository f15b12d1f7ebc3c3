//! Certificates that are renewed while the binary runs, in every way in which tools replace them: taken up
//! by itself, kept while they are bad, and told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use gatepost::mail::Domain;
use gatepost::transport::self_signed;
use support::{Client, PATIENCE, Server, TempFolder, data, has_program, is_root};

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    private_key: String,
}

impl Pair {
    fn new() -> Self {
        let domain = Domain::parse("mx.here.example").unwrap();
        let made = self_signed::make(&domain, SystemTime::now()).unwrap();
        Self {
            certificate: made.certificate,
            private_key: made.private_key.to_string(),
        }
    }

    fn of_data(name: &str) -> Self {
        let read = |end| fs::read_to_string(data(&format!("{name}.{end}"))).unwrap();
        Self {
            certificate: read("crt"),
            private_key: read("key"),
        }
    }

    fn write(&self, certificate: &Path, private_key: &Path) {
        fs::write(certificate, &self.certificate).unwrap();
        fs::write(private_key, &self.private_key).unwrap();
    }
}

/// A server whose certificate is at these places in a folder of its own, `prepare`d there.
struct Watched {
    server: Server,
    _folder: TempFolder,
    certificate: PathBuf,
    private_key: PathBuf,
}

impl Watched {
    fn start(names: [&str; 2], prepare: impl FnOnce(&Path)) -> Self {
        Self::start_with(names, "watch = 1s\n", prepare)
    }

    fn start_with(names: [&str; 2], extra: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = TempFolder::new("certificates");
        prepare(folder.path());
        let [certificate, private_key] = names.map(|name| folder.path().join(name));
        let server = Server::start(&format!(
            "[tls]\ncertificate = {}\nprivate_key = {}\n{extra}",
            certificate.display(),
            private_key.display()
        ));
        Self {
            server,
            _folder: folder,
            certificate,
            private_key,
        }
    }

    /// Two plain files that hold this pair.
    fn plain(pair: &Pair) -> Self {
        Self::start(["c.pem", "k.pem"], |folder| {
            pair.write(&folder.join("c.pem"), &folder.join("k.pem"));
        })
    }

    fn folder(&self) -> &Path {
        self._folder.path()
    }

    fn install(&self, pair: &Pair) {
        pair.write(&self.certificate, &self.private_key);
    }

    /// Waits until clients are shown this pair, without anybody telling the service.
    fn shows(&mut self, pair: &Pair) {
        let until = Instant::now() + PATIENCE;
        while shown(self.server.tls()) != bare(&pair.certificate) {
            let log = self.server.log_text();
            assert!(Instant::now() < until, "it is not taken up:\n{log}");
        }
    }

    fn count(&self, event: &str) -> usize {
        self.server.log_text().matches(event).count()
    }
}

/// The first certificate of a PEM file, its base64 alone.
fn bare(pem: &str) -> String {
    let begin = pem.find("-----BEGIN CERTIFICATE-----").unwrap_or(0);
    let end = pem.find("-----END CERTIFICATE").unwrap_or(begin);
    let lines = pem[begin..end].lines().skip(1);
    lines.collect()
}

/// What a client is shown now.
fn shown(address: SocketAddr) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    bare(&String::from_utf8_lossy(&output.stdout))
}

fn has_openssl() -> bool {
    let there = has_program("openssl");
    if !there {
        eprintln!("SKIPPED: no openssl here");
    }
    there
}

/// A link that takes the place of another in one step, as `ln -sfn` and certbot do.
fn relink(to: &str, link: &Path) {
    let next = PathBuf::from(format!("{}-next", link.display()));
    symlink(to, &next).unwrap();
    fs::rename(&next, link).unwrap();
}

#[test]
fn certbots_links_are_followed_one_by_one() {
    if !has_openssl() {
        return;
    }
    let (old, new) = (Pair::new(), Pair::new());
    let archive = "archive/mx.here.example";
    let link = |folder: &Path, number: u8| {
        for name in ["fullchain", "privkey"] {
            let to = format!("../../{archive}/{name}{number}.pem");
            relink(
                &to,
                &folder.join(format!("live/mx.here.example/{name}.pem")),
            );
        }
    };
    let write = |folder: &Path, pair: &Pair, number: u8| {
        let file = |name| folder.join(format!("{archive}/{name}{number}.pem"));
        pair.write(&file("fullchain"), &file("privkey"));
    };
    let names = [
        "live/mx.here.example/fullchain.pem",
        "live/mx.here.example/privkey.pem",
    ];
    let mut watched = Watched::start(names, |folder| {
        fs::create_dir_all(folder.join(archive)).unwrap();
        fs::create_dir_all(folder.join("live/mx.here.example")).unwrap();
        write(folder, &old, 1);
        link(folder, 1);
    });
    assert_eq!(shown(watched.server.tls()), bare(&old.certificate));
    // Whoever is there goes on with what was shown before.
    let mut session = Client::greeted(watched.server.tcp());
    write(watched.folder(), &new, 2);
    link(watched.folder(), 2);
    watched.shows(&new);
    session.command("NOOP", "250");
    let file = watched.certificate.display().to_string();
    watched
        .server
        .wait_for_log(&format!("event=certificate_loaded file={file}"));
    assert_eq!(watched.count("event=certificate_loaded"), 1);
    assert_eq!(watched.count("event=certificate_kept"), 0);
    assert_eq!(watched.count("event=refresh_begun"), 0);
}

#[test]
fn files_written_in_place_renamed_and_folders_switched_are_taken_up() {
    if !has_openssl() {
        return;
    }
    let pairs = [Pair::new(), Pair::new(), Pair::new(), Pair::new()];
    // lego and dehydrated switch links, kubernetes the link of the folder.
    let mut watched = Watched::start(["tls.crt", "tls.key"], |folder| {
        for (number, pair) in pairs.iter().take(2).enumerate() {
            let own = folder.join(format!("..{number}"));
            fs::create_dir(&own).unwrap();
            pair.write(&own.join("tls.crt"), &own.join("tls.key"));
        }
        symlink("..0", folder.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    });
    relink("..1", &watched.folder().join("..data"));
    watched.shows(&pairs[1]);
    // Renamed over the links.
    let [chain, key] = ["c.new", "k.new"].map(|name| watched.folder().join(name));
    pairs[2].write(&chain, &key);
    fs::rename(&key, &watched.private_key).unwrap();
    fs::rename(&chain, &watched.certificate).unwrap();
    watched.shows(&pairs[2]);
    // acme.sh writes into the files, and is seen in the middle.
    let (head, tail) = pairs[3].certificate.split_at(300);
    let mut file = fs::File::create(&watched.certificate).unwrap();
    file.write_all(head.as_bytes()).unwrap();
    fs::write(&watched.private_key, &pairs[3].private_key).unwrap();
    file.write_all(tail.as_bytes()).unwrap();
    watched.shows(&pairs[3]);
    assert_eq!(watched.count("event=certificate_loaded"), 3);
    assert_eq!(watched.count("event=certificate_kept"), 0);
}

#[test]
fn a_bad_pair_is_told_once_and_taken_up_when_it_is_mended() {
    if !has_openssl() {
        return;
    }
    let (old, new, other) = (Pair::new(), Pair::new(), Pair::new());
    let mut watched = Watched::plain(&old);
    fs::write(&watched.certificate, &new.certificate).unwrap();
    let line = watched.server.wait_for_event("certificate_kept");
    assert!(line.contains("not the certificate of the key"), "{line}");
    assert!(line.contains(" warning "), "{line}");
    watched.server.wait_for_log("event=alarm cause=certificate");
    assert_eq!(shown(watched.server.tls()), bare(&old.certificate));
    let status = watched.server.command(&["status"]).output;
    let told = status.lines().find(|line| line.starts_with("certificate "));
    let told = told.unwrap();
    assert!(
        told.contains("days_left=") && told.contains(" watch=on problem=\""),
        "{told}"
    );
    // It is looked at some more times.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(watched.count("event=certificate_kept"), 1);
    // Another change, another line.
    fs::write(&watched.certificate, "").unwrap();
    watched.server.wait_for_log("the file is empty");
    assert_eq!(watched.count("event=certificate_kept"), 2);
    assert_eq!(shown(watched.server.tls()), bare(&old.certificate));
    watched.install(&other);
    watched.shows(&other);
    watched
        .server
        .wait_for_log("event=alarm_over cause=certificate");
    let status = watched.server.command(&["status"]).output;
    assert!(!status.contains("problem="), "{status}");
}

#[test]
fn a_pair_that_has_ended_is_taken_with_a_warning() {
    if !has_openssl() {
        return;
    }
    let (old, ended) = (Pair::new(), Pair::of_data("expired"));
    let mut watched = Watched::plain(&old);
    watched.install(&ended);
    watched.shows(&ended);
    let line = watched.server.wait_for_event("certificate_not_valid");
    assert!(
        line.contains("the certificate expired on Sat, 29 Feb 2020"),
        "{line}"
    );
    assert_eq!(watched.count("event=certificate_kept"), 0);
}

#[test]
fn a_site_with_a_bad_pair_holds_up_no_other() {
    if !has_openssl() {
        return;
    }
    let (old, new) = (Pair::new(), Pair::new());
    let sites = TempFolder::new("site");
    let [chain, key] = ["c.pem", "k.pem"].map(|name| sites.path().join(name));
    old.write(&chain, &key);
    let extra = format!(
        "watch = 1s\n[server]\nload_internet_sites = yes\n[site:one]\ncertificate = {}\nprivate_key = {}\n\
         tcp_anonymous = yes\ntls_anonymous = yes\n",
        chain.display(),
        key.display()
    );
    let mut watched = Watched::start_with(["c.pem", "k.pem"], &extra, |folder| {
        old.write(&folder.join("c.pem"), &folder.join("k.pem"));
    });
    // The site serves every address; that of [tls] is bad now.
    fs::remove_file(&watched.private_key).unwrap();
    new.write(&chain, &key);
    watched.shows(&new);
    let line = watched.server.wait_for_event("certificate_kept");
    assert!(line.contains("No such file"), "{line}");
    let loaded = format!("event=certificate_loaded file={}", chain.display());
    watched.server.wait_for_log(&loaded);
}

#[test]
fn nobody_looks_where_the_operator_wants_none() {
    if !has_openssl() {
        return;
    }
    let (old, new) = (Pair::new(), Pair::new());
    let mut watched = Watched::start_with(["c.pem", "k.pem"], "watch = 0\n", |folder| {
        old.write(&folder.join("c.pem"), &folder.join("k.pem"));
    });
    watched.install(&new);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(shown(watched.server.tls()), bare(&old.certificate));
    let status = watched.server.command(&["status"]).output;
    assert!(status.contains(" watch=off"), "{status}");
    assert_eq!(watched.server.command(&["reload"]).code, Some(0));
    watched.shows(&new);
}

/// The service reads a key as root at its start, and cannot as its account later.
#[test]
fn a_key_that_only_root_may_read_is_told_ahead_and_when_it_is_renewed() {
    if !is_root() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("gatepost-certs-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&folder, 0o755);
    let [chain, key] = ["own.crt", "own.key"].map(|name| folder.join(name));
    let install = |pair: &Pair, key_mode| {
        pair.write(&chain, &key);
        mode(&chain, 0o644);
        mode(&key, key_mode);
    };
    let (old, new) = (Pair::new(), Pair::new());
    install(&old, 0o600);
    let extra = format!(
        "[server]\nuser = nobody\nspool = {0}/spool\n[control]\nsocket = {0}/run/control\n\
         [tls]\ncertificate = {0}/own.crt\nprivate_key = {0}/own.key\nwatch = 1s\n\
         [auth]\nusers = {0}/users\n[delivery]\nmail_root = {0}/mail\n",
        folder.display()
    );
    fs::copy(data("users"), folder.join("users")).unwrap();
    mode(&folder.join("users"), 0o644);
    let mut server = Server::start_elsewhere(&folder.join("gatepost.ini"), &extra);
    let warned = server.wait_for_log("(W-15)");
    assert!(
        warned.contains("event=configuration_warning") && warned.contains("the account nobody"),
        "{warned}"
    );
    let said = server.command(&["check"]);
    let line = said.complaint.lines().find(|line| line.contains("(W-15)"));
    let line = line.unwrap();
    assert!(line.contains("[tls] private_key: "), "{line}");
    assert!(
        line.contains("own.key: the account nobody cannot read it"),
        "{line}"
    );
    assert!(
        server
            .command(&["status"])
            .output
            .contains(" watch=unreadable")
    );
    install(&new, 0o600);
    let kept = server.wait_for_event("certificate_kept");
    let why = format!(
        "{}: Permission denied: the account nobody cannot read it",
        key.display()
    );
    assert!(kept.contains(&why), "{kept}");
    server.wait_for_log("event=alarm cause=certificate");
    // Its group may: no other write is needed.
    mode(&key, 0o644);
    server.wait_for_event("certificate_loaded");
    server.wait_for_log("event=alarm_over cause=certificate");
    let said = server.command(&["check"]);
    assert!(!said.complaint.contains("W-15"), "{said:?}");
    // Where not even the folder can be looked into, root is asked ahead as well.
    mode(&folder, 0o700);
    let said = server.command(&["check"]);
    assert!(said.complaint.contains("W-15"), "{said:?}");
    mode(&folder, 0o755);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn certbots_hook_hands_over_what_was_renewed() {
    let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/certbot/gatepost-deploy");
    let live = TempFolder::new("live");
    let (old, new) = (Pair::new(), Pair::new());
    let place = |pair: &Pair| {
        pair.write(
            &live.path().join("fullchain.pem"),
            &live.path().join("privkey.pem"),
        )
    };
    place(&new);
    let mut watched = Watched::start_with(
        ["certificate.pem", "private_key.pem"],
        "watch = 0\n",
        |folder| {
            old.write(
                &folder.join("certificate.pem"),
                &folder.join("private_key.pem"),
            );
        },
    );
    let group = fs::metadata(watched.folder()).unwrap().gid().to_string();
    let reload = format!(
        "{} reload --config {}",
        env!("CARGO_BIN_EXE_gatepost"),
        watched.server.config().display()
    );
    let run = |reload: &str, domains: &str, lineage: Option<&Path>, words: &[&str]| {
        let mut command = Command::new(&hook);
        command.env("GATEPOST_FOLDER", watched.folder());
        command
            .env("GATEPOST_GROUP", &group)
            .env("GATEPOST_RELOAD", reload);
        command.env("RENEWED_DOMAINS", domains).args(words);
        if let Some(lineage) = lineage {
            command.env("RENEWED_LINEAGE", lineage);
        }
        command.output().unwrap().status.code()
    };
    let lineage = Some(live.path());
    assert_eq!(run(&reload, "mx.here.example", None, &[]), Some(64));
    // Another name's.
    assert_eq!(
        run(&reload, "www.here.example", lineage, &["mx.here.example"]),
        Some(0)
    );
    assert_eq!(
        fs::read_to_string(&watched.certificate).unwrap(),
        old.certificate
    );
    let both = "www.here.example mx.here.example";
    assert_eq!(run(&reload, both, lineage, &["mx.here.example"]), Some(0));
    assert_eq!(
        fs::read_to_string(&watched.certificate).unwrap(),
        new.certificate
    );
    for file in [&watched.certificate, &watched.private_key] {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o640);
    }
    let left = fs::read_dir(watched.folder()).unwrap().count();
    assert_eq!(left, 2);
    // A service that does not run is none of its business, one that refuses is.
    let nothing_runs = format!("sh {}", live.path().join("nobody").display());
    fs::write(live.path().join("nobody"), "exit 69\n").unwrap();
    assert_eq!(run(&nothing_runs, both, lineage, &[]), Some(0));
    assert_eq!(run("false", both, lineage, &[]), Some(1));
    watched.server.wait_for_event("certificate_loaded");
    if has_openssl() {
        watched.shows(&new);
    }
    let mut text = String::new();
    fs::File::open(&hook)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    for name in [
        "RENEWED_LINEAGE",
        "RENEWED_DOMAINS",
        "/usr/lib/gatepost/certbot-deploy",
    ] {
        assert!(text.contains(name), "{name}");
    }
}
