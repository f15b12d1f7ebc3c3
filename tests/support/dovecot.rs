//! Dovecot's LMTP server with a configuration and a folder of its own, reading gatepost's users file.

#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// Where it listens besides its socket.
pub const LMTP_PORT: u16 = 2424;

/// A running Dovecot.
pub struct Dovecot {
    folder: PathBuf,
    child: Child,
}

impl Dovecot {
    /// Whether it is installed. In CI it has to be; elsewhere the test says what it skips.
    pub fn is_there() -> bool {
        let files = ["/usr/sbin/dovecot", "/usr/lib/dovecot/lmtp"];
        let found = files.iter().all(|file| Path::new(file).is_file());
        if !found {
            assert!(
                std::env::var_os("CI").is_none(),
                "Dovecot's LMTP server is missing, and CI needs it"
            );
            eprintln!("SKIPPED: dovecot-core and dovecot-lmtpd are not installed");
        }
        found
    }

    /// A folder whose path is short enough for sockets; `lmtp` is the socket's name in `run` below it.
    pub fn folder(number: u32) -> PathBuf {
        std::env::temp_dir().join(format!("gp-dovecot-{}-{number}", std::process::id()))
    }

    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("run/lmtp")
    }

    /// Starts it in `folder`, at its socket and at `address`.
    pub fn start(folder: &Path, users: &Path, address: IpAddr) -> Self {
        fs::create_dir_all(folder.join("mail")).unwrap();
        let config = folder.join("dovecot.conf");
        fs::write(&config, configuration(folder, users, address)).unwrap();
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dovecot = Self {
            folder: folder.to_owned(),
            child,
        };
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect((address, LMTP_PORT)).is_err() {
            assert!(Instant::now() < until, "{}", dovecot.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        dovecot
    }

    /// The texts in a user's mailbox or in a folder of it.
    pub fn mail(&self, user: &str, folder: &str) -> Vec<String> {
        let maildir = self.folder.join("mail").join(user).join("Maildir");
        let Ok(entries) = fs::read_dir(maildir.join(folder).join("new")) else {
            return Vec::new();
        };
        let files = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its parts end with it only where it is asked to.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn configuration(folder: &Path, users: &Path, address: IpAddr) -> String {
    let told = |flag: &str| {
        let output = Command::new("id").arg(flag).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (folder, users) = (folder.display(), users.display());
    // It gives no mailbox to root; and what it is without root it stays.
    let (owner, accounts) = match told("-u").as_str() {
        "0" => {
            let mail = format!("{folder}/mail");
            let owned = Command::new("chown").args(["nobody", &mail]).status();
            assert!(owned.unwrap().success());
            let reader = "service auth {\n  user = root\n}\n".to_owned();
            ("uid=nobody gid=nogroup".to_owned(), reader)
        }
        uid => {
            let name = told("-un");
            let accounts = format!(
                "default_internal_user = {name}\ndefault_login_user = {name}\n\
                 service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
            );
            (format!("uid={uid} gid={}", told("-g")), accounts)
        }
    };
    format!(
        "base_dir = {folder}/run\n\
         state_dir = {folder}/state\n\
         log_path = {folder}/log\n\
         protocols = lmtp\n\
         listen = {address}\n\
         ssl = no\n\
         first_valid_uid = 1\n\
         mail_location = maildir:~/Maildir\n\
         auth_username_format = %Ln\n\
         recipient_delimiter = +\n\
         lmtp_save_to_detail_mailbox = yes\n\
         lda_mailbox_autocreate = yes\n\
         passdb {{\n  driver = passwd-file\n  args = {users}\n}}\n\
         userdb {{\n  driver = static\n  args = {owner} home={folder}/mail/%n\n}}\n\
         service lmtp {{\n  unix_listener lmtp {{\n    mode = 0666\n  }}\n  \
         inet_listener lmtp {{\n    address = {address}\n    port = {LMTP_PORT}\n  }}\n}}\n\
         {accounts}"
    )
}
