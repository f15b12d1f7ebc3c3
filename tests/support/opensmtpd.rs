//! OpenSMTPD as a smarthost, in a root folder and a mount namespace of its own: its paths and accounts are
//! built in, and its package cannot be installed beside Postfix's. It offers STARTTLS; Debian's build of it
//! cannot use its key with OpenSSL 3 and fails the handshake, so nothing here needs TLS.

#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::postfix::{certificate, free_port, wait_for_port};

/// The unpacked package, relative to the project's folder.
const PACKAGE: &str = "target/opensmtpd";

/// A running OpenSMTPD.
pub struct OpenSmtpd {
    pub folder: PathBuf,
    pub port: u16,
    child: Child,
}

impl OpenSmtpd {
    /// Whether it can run here. In CI its package has to be there.
    pub fn is_there() -> bool {
        let found = package().join("usr/sbin/smtpd").is_file();
        if !found {
            assert!(
                std::env::var_os("CI").is_none(),
                "{PACKAGE} is missing, and CI needs it"
            );
            eprintln!("SKIPPED: OpenSMTPD's package is not unpacked in {PACKAGE}");
            return false;
        }
        let can = Command::new("unshare")
            .args(NAMESPACES)
            .arg("true")
            .status();
        let can = can.is_ok_and(|status| status.success());
        if !can {
            eprintln!("SKIPPED: OpenSMTPD needs root and a mount namespace");
        }
        can
    }

    /// Starts one that takes mail for `a` and `taker` at there.example.
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("gp-opensmtpd-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let port = free_port();
        prepare(&folder, port);
        let script = folder.join("start");
        let text = SCRIPT.replace("{root}", &folder.display().to_string());
        fs::write(&script, text).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("unshare")
            .args(NAMESPACES)
            .arg("sh")
            .arg(&script)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let opensmtpd = Self {
            folder,
            port,
            child,
        };
        wait_for_port(port, || opensmtpd.log());
        opensmtpd
    }

    /// The texts it has put into its mailbox.
    pub fn mail(&self) -> Vec<String> {
        let new = self.folder.join("home/taker/Maildir/new");
        let Ok(entries) = fs::read_dir(new) else {
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

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        // All of the namespace ends with its first process, which ends with this one.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(PACKAGE)
}

fn prepare(root: &Path, port: u16) {
    for part in [
        "dev",
        "proc",
        "tmp",
        "run",
        "usr/lib",
        "usr/bin",
        "etc",
        "var/spool/smtpd",
        "var/lib/opensmtpd/empty",
        "home/taker",
    ] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    for part in ["usr/sbin", "usr/libexec"] {
        let from = package().join(part);
        let to = root.join("usr");
        let copied = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(copied.unwrap().success());
    }
    for (link, to) in [
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("bin", "usr/bin"),
        ("var/run", "/run"),
    ] {
        std::os::unix::fs::symlink(to, root.join(link)).unwrap();
    }
    fs::create_dir_all(root.join("usr/lib64")).unwrap();
    std::os::unix::fs::chown(root.join("home/taker"), Some(7003), Some(7003)).unwrap();
    certificate(root);
    let write = |name: &str, text: &str| fs::write(root.join("etc").join(name), text).unwrap();
    write(
        "passwd",
        "root:x:0:0::/root:/bin/sh\n\
         opensmtpd:x:7001:7001::/var/lib/opensmtpd/empty:/bin/false\n\
         opensmtpq:x:7002:7002::/var/lib/opensmtpd/empty:/bin/false\n\
         taker:x:7003:7003::/home/taker:/bin/sh\n",
    );
    write(
        "group",
        "root:x:0:\nopensmtpd:x:7001:\nopensmtpq:x:7002:\ntaker:x:7003:\n",
    );
    write("mailname", "mx.there.example\n");
    write("hosts", "127.0.0.1 localhost mx.there.example\n");
    write(
        "smtpd.conf",
        &format!(
            "pki localhost cert \"/localhost.pem\"\n\
             pki localhost key \"/localhost.key\"\n\
             table takers {{ \"taker@there.example\" = taker, \"a@there.example\" = taker }}\n\
             listen on 127.0.0.1 port {port} tls pki localhost\n\
             action \"keep\" maildir \"/home/taker/Maildir\" virtual <takers>\n\
             match from any for domain \"there.example\" action \"keep\"\n"
        ),
    );
}

const NAMESPACES: [&str; 4] = ["--mount", "--pid", "--fork", "--kill-child"];
const SCRIPT: &str = "set -e
chmod 755 {root} {root}/var/lib/opensmtpd/empty
chmod 711 {root}/var/spool/smtpd
for part in usr/lib usr/bin dev; do mount --bind /$part {root}/$part; done
if [ -d /usr/lib64 ]; then mount --bind /usr/lib64 {root}/usr/lib64; fi
mount -t proc proc {root}/proc
exec chroot {root} /usr/sbin/smtpd -d
";
