//! Postfix as a smarthost, with a configuration, a queue and a log of its own; Dovecot checks its logins.

#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use gatepost::mail::Domain;
use gatepost::transport::self_signed;

use crate::support::has_program;

const PATIENCE: Duration = Duration::from_secs(30);

/// A port of loopback that nobody has now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until somebody listens on a port of loopback.
pub fn wait_for_port(port: u16, log: impl Fn() -> String) {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(
            Instant::now() < until,
            "nobody listens on {port}:\n{}",
            log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Makes `localhost.pem` and `localhost.key` in `folder`.
pub fn certificate(folder: &Path) {
    let name = Domain::parse("localhost").unwrap();
    let made = self_signed::make(&name, SystemTime::now()).unwrap();
    fs::write(folder.join("localhost.pem"), &made.certificate).unwrap();
    let key = folder.join("localhost.key");
    fs::write(&key, made.private_key.as_str()).unwrap();
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A running Postfix.
pub struct Postfix {
    pub folder: PathBuf,
    /// STARTTLS.
    pub port: u16,
    /// TLS from the first octet.
    pub tls_port: u16,
    dovecot: Child,
}

impl Postfix {
    /// Whether it can run here. In CI its programs have to be installed.
    pub fn is_there() -> bool {
        let found = has_program("postfix") && has_program("dovecot");
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if found && !root {
            eprintln!("SKIPPED: Postfix starts as root only");
        }
        found && root
    }

    /// Starts one that knows the login `box` with this password.
    pub fn start(label: &str, password: &str) -> Self {
        let name = format!("gp-postfix-{label}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        for part in ["etc", "queue", "mail", "data", "dovecot"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        certificate(&folder);
        chown(folder.join("mail"), Some(5000), Some(5000)).unwrap();
        let data = folder.join("data");
        let owned = Command::new("chown").arg("postfix").arg(data).status();
        assert!(owned.unwrap().success());
        let (port, tls_port) = (free_port(), free_port());
        let dovecot = start_dovecot(&folder.join("dovecot"), password);
        let main = main_cf(&folder);
        fs::write(folder.join("etc/main.cf"), main).unwrap();
        let master = MASTER
            .replace("{port}", &port.to_string())
            .replace("{tls_port}", &tls_port.to_string());
        fs::write(folder.join("etc/master.cf"), master).unwrap();
        let postfix = Self {
            folder,
            port,
            tls_port,
            dovecot,
        };
        assert!(postfix.command("start"), "{}", postfix.log());
        for port in [port, tls_port] {
            wait_for_port(port, || postfix.log());
        }
        postfix
    }

    fn command(&self, word: &str) -> bool {
        let status = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(self.folder.join("etc"))
            .arg(word)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    }

    /// The texts it has put into its mailbox.
    pub fn mail(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join("mail/box/new")) else {
            return Vec::new();
        };
        let files = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .collect()
    }

    pub fn log(&self) -> String {
        let dovecot = fs::read_to_string(self.folder.join("dovecot/log")).unwrap_or_default();
        fs::read_to_string(self.folder.join("log")).unwrap_or_default() + &dovecot
    }

    /// Waits until its log holds this.
    pub fn wait_for_log(&self, needle: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.log().contains(needle) {
            assert!(Instant::now() < until, "no {needle:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("stop");
        let pid = self.dovecot.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.dovecot.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start_dovecot(folder: &Path, password: &str) -> Child {
    let users = folder.join("users");
    fs::write(&users, format!("box:{{PLAIN}}{password}\n")).unwrap();
    let (shown, config) = (folder.display(), folder.join("dovecot.conf"));
    let text = format!(
        "base_dir = {shown}/run\nstate_dir = {shown}/state\nlog_path = {shown}/log\n\
         protocols =\nssl = no\nauth_mechanisms = plain login scram-sha-256\n\
         passdb {{\n  driver = passwd-file\n  args = {shown}/users\n}}\n\
         service auth {{\n  user = root\n  unix_listener {shown}/login {{\n    mode = 0666\n  }}\n}}\n"
    );
    fs::write(&config, text).unwrap();
    let dovecot = Command::new("/usr/sbin/dovecot")
        .args(["-F", "-c"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while !folder.join("login").exists() {
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < until, "{}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
    dovecot
}

fn main_cf(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/queue\n\
         data_directory = {folder}/data\n\
         command_directory = /usr/sbin\n\
         daemon_directory = /usr/lib/postfix/sbin\n\
         mail_owner = postfix\n\
         setgid_group = postdrop\n\
         maillog_file = {folder}/log\n\
         maillog_file_prefixes = {folder}\n\
         myhostname = mx.there.example\n\
         mydestination =\n\
         mynetworks =\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         disable_dns_lookups = yes\n\
         smtpd_peername_lookup = no\n\
         smtputf8_enable = yes\n\
         message_size_limit = 100000\n\
         virtual_mailbox_domains = there.example\n\
         virtual_mailbox_base = {folder}/mail\n\
         virtual_mailbox_maps = static:box/\n\
         virtual_uid_maps = static:5000\n\
         virtual_gid_maps = static:5000\n\
         smtpd_tls_cert_file = {folder}/localhost.pem\n\
         smtpd_tls_key_file = {folder}/localhost.key\n\
         smtpd_tls_security_level = encrypt\n\
         smtpd_tls_loglevel = 1\n\
         smtpd_sasl_auth_enable = yes\n\
         smtpd_sasl_type = dovecot\n\
         smtpd_sasl_path = {folder}/dovecot/login\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
         smtpd_recipient_restrictions = check_recipient_access inline:{{ \
         {{later@there.example = 450 4.2.1 come again}} {{never@there.example = 550 5.1.1 nobody}} }}\n"
    )
}

const MASTER: &str = "\
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
pickup unix n - n 60 1 pickup
tlsmgr unix - - n 1000 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
";
