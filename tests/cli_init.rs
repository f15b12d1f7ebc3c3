//! `gatepost init` from outside.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use gatepost::cli::init::{InitOptions, Layout, set_up};
use gatepost::config::Loaded;
use gatepost::config::settings::StartTls;
use gatepost::directory::{Directory, Found, LoginOutcome, Lookup};
use gatepost::mail::{Domain, ForwardPath, Target};
use gatepost::probe;

use support::{TempFolder, data, gatepost};

fn init(folder: &Path, arguments: &[&str]) -> Output {
    gatepost()
        .arg("init")
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap()
}

/// What a start warns of, but that root's own set-up runs as root.
fn warnings(loaded: &Loaded) -> Vec<String> {
    let lines = loaded.warnings.iter().map(ToString::to_string);
    lines.filter(|line| !line.ends_with("(W-18)")).collect()
}

#[test]
fn a_set_up_passes_check_and_its_password_is_right() {
    let folder = TempFolder::new("init");
    let site = folder.path().join("deep/site");
    let arguments = [
        "--hostname",
        "mx.here.example",
        "--tcp-port",
        "2525",
        "--tls-port",
        "4465",
    ];
    let made = init(&site, &arguments);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    let config = site.join("gatepost.ini");
    assert!(
        text.contains(&format!("gatepost serve --config {}", config.display())),
        "{text}"
    );
    let check = gatepost()
        .arg("check")
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    // Root's own set-up runs as root, and says so.
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    let said: Vec<&str> = said
        .lines()
        .filter(|line| !line.ends_with("(W-18)"))
        .collect();
    assert_eq!((check.status.code(), said.len()), (Some(0), 0), "{check:?}");
    let password = text
        .lines()
        .find_map(|line| line.strip_prefix("password"))
        .unwrap()
        .trim();
    let loaded = probe::load(&config).unwrap();
    assert_eq!(warnings(&loaded), [""; 0]);
    let directory = Directory::new(&loaded.settings);
    let want = LoginOutcome::Accepted("postmaster".to_owned());
    assert_eq!(
        directory.verify("postmaster@mx.here.example", password.as_bytes()),
        want
    );
    let want = Lookup::Found(Found::one(Target::User("postmaster".to_owned())));
    assert_eq!(directory.find(&ForwardPath::Postmaster), want);
    for (name, mode) in [
        ("users", 0o600),
        ("private_key.pem", 0o600),
        ("spool", 0o700),
        ("mail", 0o700),
    ] {
        let got = fs::metadata(site.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(got, mode, "{name}");
    }
}

#[test]
fn the_settings_let_real_clients_in() {
    let folder = TempFolder::new("init-settings");
    let wishes = InitOptions {
        hostname: Domain::parse("mx.here.example").unwrap(),
        tcp_port: 2525,
        tls_port: 4465,
        addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        layout: Layout::Folder,
    };
    let made = set_up(folder.path(), &wishes).unwrap();
    let settings = probe::load(&made.config).unwrap().settings;
    assert_eq!(settings.extensions.starttls, StartTls::Enabled);
    let (tcp, tls) = (settings.port("tcp").unwrap(), settings.port("tls").unwrap());
    assert!(tcp.enabled && tcp.anonymous && !tcp.name_and_password);
    assert!(tls.enabled && tls.anonymous && tls.name_and_password);
    assert_eq!(
        (&tcp.addresses, &tls.addresses),
        (&wishes.addresses, &wishes.addresses)
    );
    assert_eq!((tcp.number, tls.number), (2525, 4465));
    assert!(settings.is_local_domain(&wishes.hostname));
    assert_eq!(settings.mail_root.join("postmaster/Maildir"), made.maildir);
}

#[test]
fn openssl_finds_the_certificate_good() {
    let long = format!(
        "{}.example",
        ["a".repeat(60).as_str(), &"b".repeat(60)].join(".")
    );
    for hostname in ["mx.here.example", "localhost", &long] {
        let folder = TempFolder::new("init-openssl");
        let made = init(folder.path(), &["--hostname", hostname]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        let certificate = folder.path().join("certificate.pem");
        let openssl = Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                "-verify_hostname",
                hostname,
            ])
            .arg("-CAfile")
            .arg(&certificate)
            .arg(&certificate)
            .output();
        match openssl {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => eprintln!("SKIPPED: openssl cannot be run: {error}"),
        }
    }
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let folder = TempFolder::new("init-full");
    fs::write(folder.path().join("mine"), "").unwrap();
    let made = init(folder.path(), &["--hostname", "mx.here.example"]);
    assert_eq!(made.status.code(), Some(73));
    assert!(
        String::from_utf8(made.stderr)
            .unwrap()
            .contains("the folder is not empty")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let made = init(
        &folder.path().join("mine"),
        &["--hostname", "mx.here.example"],
    );
    assert_eq!(made.status.code(), Some(73));
}

fn certificate(config: &Path, arguments: &[&str]) -> Output {
    gatepost()
        .args(["certificate", "--config"])
        .arg(config)
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_self_signed_certificate_is_made_anew_for_another_name() {
    let folder = TempFolder::new("certificate");
    let made = init(folder.path(), &["--hostname", "mx.here.example"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let config = folder.path().join("gatepost.ini");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("mx.here.example", "mail.there.example");
    fs::write(&config, text).unwrap();
    let files = ["certificate.pem", "private_key.pem"].map(|name| folder.path().join(name));
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    fs::set_permissions(&files[1], fs::Permissions::from_mode(0o640)).unwrap();

    let warnings = || warnings(&probe::load(&config).unwrap());
    let before_it = warnings();
    assert!(
        before_it.len() == 1
            && before_it[0].contains("[tls] certificate:")
            && before_it[0].contains("(W-17)"),
        "{before_it:?}"
    );
    let made = certificate(&config, &[]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(warnings(), [""; 0]);
    for (file, before) in files.iter().zip(&before) {
        assert_ne!(&fs::read(file).unwrap(), before, "{}", file.display());
    }
    let mode = fs::metadata(&files[1]).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o640, "the mode stays");
}

#[test]
fn a_certificate_that_somebody_has_issued_stays_unless_forced() {
    let folder = TempFolder::new("certificate-issued");
    let (file, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    fs::copy(data("chain.crt"), &file).unwrap();
    fs::copy(data("chain.key"), &key).unwrap();
    let config = folder.path().join("f.ini");
    let ini =
        "[server]\nhostname = mx.here.example\n[tls]\ncertificate = c.pem\nprivate_key = k.pem\n";
    fs::write(&config, ini).unwrap();
    let refused = certificate(&config, &[]);
    assert_eq!(refused.status.code(), Some(73), "{refused:?}");
    assert_eq!(
        fs::read(&file).unwrap(),
        fs::read(data("chain.crt")).unwrap()
    );
    assert_eq!(
        fs::read(&key).unwrap(),
        fs::read(data("chain.key")).unwrap()
    );
    assert_eq!(certificate(&config, &["--force"]).status.code(), Some(0));
    assert_ne!(
        fs::read(&file).unwrap(),
        fs::read(data("chain.crt")).unwrap()
    );
}

#[test]
fn without_tls_a_certificate_is_made_beside_the_file_and_the_lines_are_told() {
    let folder = TempFolder::new("certificate-new");
    let config = folder.path().join("f.ini");
    fs::write(&config, "[server]\nhostname = mx.here.example\n").unwrap();
    let made = certificate(&config, &[]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    let lines = text.split_once("Add:\n\n").unwrap().1;
    fs::write(
        &config,
        format!("[server]\nhostname = mx.here.example\n{lines}"),
    )
    .unwrap();
    let settings = probe::load(&config);
    let mode = fs::metadata(folder.path().join("private_key.pem")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o600);
    // No users file: that is all that is missing.
    let problems = settings.unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn one_file_for_both_stays_one() {
    let folder = TempFolder::new("certificate-both");
    let config = folder.path().join("f.ini");
    fs::write(
        &config,
        "[server]\nhostname = mx.here.example\n[tls]\ncertificate = b.pem\nprivate_key = b.pem\n\
         [extensions]\nstarttls = enabled\n[recipients]\nverify = no\n",
    )
    .unwrap();
    let made = certificate(&config, &[]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert!(probe::load(&config).is_ok());
}

#[test]
fn wrong_arguments_are_usage() {
    let folder = TempFolder::new("init-usage");
    let rows: &[&[&str]] = &[
        &[],
        &["--hostname", "192.0.2.1"],
        &["--hostname", "a b"],
        &["--hostname", "a.example", "--tcp-port", "0"],
        &["--hostname", "a.example", "--tcp-port", "65536"],
        &["--hostname", "a.example", "--tls-port", "+1"],
        &["--hostname", "a.example", "--tls-port", "25"],
        &["--hostname", "a.example", "extra"],
    ];
    for arguments in rows {
        let made = init(&folder.path().join("new"), arguments);
        assert_eq!(made.status.code(), Some(64), "{arguments:?}");
        assert!(!folder.path().join("new").exists(), "{arguments:?}");
    }
}

#[test]
fn a_package_has_the_short_file_written_once_and_no_password_told() {
    let folder = TempFolder::new("init-system");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let [taken, tls] = [&held, &free].map(|port| port.local_addr().unwrap().port().to_string());
    drop(free);
    let arguments = [
        "--hostname",
        "mx.here.example",
        "--system",
        "--tcp-port",
        &taken,
        "--tls-port",
        &tls,
    ];
    fs::write(folder.path().join("users"), "anna:{SHA256-CRYPT}x\n").unwrap();
    let made = init(folder.path(), &arguments);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.contains("gatepost passwd postmaster"), "{said}");
    assert!(
        said.contains(&format!("Another program holds port {taken} of 127.0.0.1")),
        "{said}"
    );
    assert_eq!(said.matches("Another program").count(), 1, "{said}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(
        read("users"),
        "anna:{SHA256-CRYPT}x\n",
        "what was there stays"
    );
    let ini = read("gatepost.ini");
    assert!(
        ini.contains("addresses = 127.0.0.1\n") && !ini.contains("\nspool"),
        "{ini}"
    );
    assert!(ini.lines().count() < 50, "{ini}");
    assert!(read("aliases").contains("\nroot: postmaster\n"));
    assert!(!folder.path().join("spool").exists());

    // Whatever stands there now is the operator's.
    fs::write(folder.path().join("gatepost.ini"), "[server]\n").unwrap();
    fs::remove_file(folder.path().join("aliases")).unwrap();
    let again = init(folder.path(), &arguments);
    assert_eq!(
        (again.status.code(), again.stdout.len()),
        (Some(0), 0),
        "{again:?}"
    );
    assert_eq!(read("gatepost.ini"), "[server]\n");
    assert!(!folder.path().join("aliases").exists());
}

#[test]
fn nobody_knows_the_password_that_a_package_makes() {
    let folder = TempFolder::new("init-locked");
    let made = init(
        folder.path(),
        &["--hostname", "mx.here.example", "--system"],
    );
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let said = [made.stdout, made.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let directory = Directory::new(
        &probe::load(&folder.path().join("gatepost.ini"))
            .unwrap()
            .settings,
    );
    for word in said.split_whitespace().chain(["", "postmaster", "!", "*"]) {
        let outcome = directory.verify("postmaster", word.as_bytes());
        assert!(!matches!(outcome, LoginOutcome::Accepted(_)), "{word}");
    }
}

#[test]
fn root_makes_nothing_in_a_folder_of_another_account() {
    let folder = TempFolder::new("theirs");
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root gives files away");
        return;
    }
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(65534), None).unwrap();
    let done = init(&theirs, &["--hostname", "mx.here.example"]);
    assert_eq!(done.status.code(), Some(77), "{done:?}");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        said.contains("the folder belongs to another account (user id 65534)"),
        "{said}"
    );
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
}
