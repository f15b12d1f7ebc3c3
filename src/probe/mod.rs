//! What the configuration check asks of the world: certificates, users, aliases, password and token files as
//! they are on disk now. Shared by `check` and by every start.
//!
//! | file | purpose |
//! | --- | --- |
//! | `certificates` | those of `[tls]` and of sites |
//! | `eyes` | the same files with the eyes of the account that will read them |
//! | `unit` | the account that a systemd unit names |

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::check::{
    AliasesFacts, CertificateFault, Currency, PasswordFacts, Probe, Sight, UsersFacts,
};
use crate::config::settings::LoginSecret;
use crate::config::{self, Loaded, Occasion, Problem, Settings};
use crate::delivery::login;
use crate::directory::aliases::{self, AliasFile};
use crate::directory::effort;
use crate::directory::graph::{Aliases, Names};
use crate::directory::users::{self, FILE_MAX_OCTETS, Users};
use crate::mail::{Domain, date};
use crate::sys::sandbox::reach;
use crate::sys::{clock, machine, process, replace, socket};
use crate::transport::certificate::{self, CertificateError, Culprit, Validity};
use crate::transport::roots;
use eyes::By;

pub mod certificates;
pub(crate) mod eyes;
mod unit;

/// Looks at the files themselves.
#[derive(Debug)]
pub struct Files {
    /// Who looks as the account of the service.
    by: By,
    /// Certificates and keys that a running service uses: they are good even where the account it runs as
    /// may not read them, for root did. None where no service runs yet.
    in_use: Option<Vec<(PathBuf, PathBuf)>>,
}

/// Reads and checks a configuration file together with the files it names, as a start does.
///
/// # Errors
/// Every problem, in file order.
pub fn load(file: &Path) -> Result<Loaded, Vec<Problem>> {
    config::load(file, Occasion::Start, &Files::seen(By::Start))
}

/// The same as `gatepost check` does it: what is an error only since this release is one here.
///
/// # Errors
/// Every problem, in file order.
pub fn check(file: &Path) -> Result<Loaded, Vec<Problem>> {
    config::load(file, Occasion::Edit, &Files::seen(By::Check))
}

/// The same for a refresh of a service that runs with these settings; `adapt` leaves in the next ones what has
/// to stay.
///
/// # Errors
/// Every problem, in file order.
pub fn load_again(
    file: &Path,
    current: &Settings,
    adapt: impl FnOnce(&mut Settings),
) -> Result<Loaded, Vec<Problem>> {
    let in_use = certificates::files(current);
    let owned = |(file, key): (&Path, &Path)| (file.to_owned(), key.to_owned());
    let in_use = Some(in_use.map(owned).collect());
    let files = Files {
        by: By::Refresh,
        in_use,
    };
    config::load_adapted(file, Occasion::Edit, &files, adapt)
}

/// Whether the files are there and only the account may not read one of them.
pub fn is_kept_from_us(certificate: &Path, private_key: &Path) -> bool {
    kept_from_us(certificate, private_key).is_some()
}

fn kept_from_us<'a>(certificate: &'a Path, private_key: &'a Path) -> Option<&'a Path> {
    [certificate, private_key].into_iter().find(|path| {
        let opened = reach::open(path);
        opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
}

/// Why a pair cannot be used; where the account may not read it, with what helps.
pub fn why(error: &CertificateError, certificate: &Path, private_key: &Path) -> String {
    let Some(path) = kept_from_us(certificate, private_key) else {
        return error.to_string();
    };
    // What a link leads to is what has the mode.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if reach::is_out_of_reach(&path) {
        return format!("{}: {}", path.display(), reach::OUT_OF_REACH);
    }
    let us = process::account_name(process::user_id());
    let us = us.ok().flatten();
    let us = us.unwrap_or_else(|| process::user_id().to_string());
    format!(
        "{}: Permission denied: {}",
        path.display(),
        cannot_read(&us)
    )
}

/// That an account cannot read a file, and what helps.
pub(crate) fn cannot_read(account: &str) -> String {
    format!(
        "the account {account} cannot read it, only root may read it; let a deploy hook copy it, or give it \
         a group and mode 0640 (RENEWED CERTIFICATES in gatepost(8))"
    )
}

/// That a certificate is not valid today.
pub fn not_now(file: &Path, validity: Validity) -> Option<String> {
    match currency(file, validity) {
        Currency::Valid => None,
        Currency::NotNow(why) => Some(why),
    }
}

impl Probe for Files {
    fn certificate(
        &self,
        certificate: &Path,
        private_key: &Path,
    ) -> Result<Currency, CertificateFault> {
        match certificate::load(certificate, private_key) {
            Ok(loaded) => Ok(currency(certificate, loaded.validity)),
            Err(_) if self.is_in_use(certificate, private_key) => Ok(Currency::Valid),
            Err(error) => Err(CertificateFault {
                in_private_key: error.culprit == Culprit::PrivateKey,
                reason: error.to_string(),
            }),
        }
    }

    fn certificate_is_for(&self, certificate: &Path, hostname: &Domain) -> Option<bool> {
        certificate::is_for(certificate, hostname).ok()
    }

    fn sight(&self, settings: &Settings) -> Sight {
        eyes::sight(settings, self.by)
    }

    fn others_may(&self, path: &Path) -> u32 {
        std::fs::metadata(path).map_or(0, |facts| facts.permissions().mode() & 0o007)
    }

    fn has_address(&self, address: IpAddr) -> bool {
        socket::has_address(address)
    }

    fn users(&self, path: &Path) -> UsersFacts {
        match replace::read_limited(path, FILE_MAX_OCTETS).map(zeroize::Zeroizing::new) {
            Ok(content) => {
                let (users, faults) = Users::parse(&content);
                let names = users.names().map(str::to_owned).collect();
                let faults = faults.into_iter().map(|fault| (fault.line, fault.reason));
                UsersFacts::Read(names, faults.collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => UsersFacts::Missing,
            Err(error) => UsersFacts::Unreadable(machine::reason(&error)),
        }
    }

    fn login_takes(&self, iterations: NonZeroU32) -> Duration {
        effort::login_takes(iterations)
    }

    fn dearest_logins(&self, users: &Path) -> Vec<(String, Duration)> {
        let Ok(content) = replace::read_limited(users, FILE_MAX_OCTETS) else {
            return Vec::new();
        };
        let (users, _) = Users::parse(&zeroize::Zeroizing::new(content));
        let dearest = users.dearest_logins().into_iter();
        dearest
            .map(|(name, taken)| (name.to_owned(), taken))
            .collect()
    }

    fn aliases(&self, settings: &Settings) -> AliasesFacts {
        let Some(path) = &settings.aliases else {
            return AliasesFacts::NotSet;
        };
        let content = match replace::read_limited(path, aliases::FILE_MAX_OCTETS) {
            Ok(content) => content,
            Err(error) => return AliasesFacts::Unreadable(machine::reason(&error)),
        };
        let (file, mut faults) = AliasFile::parse(&content, &settings.local_domains);
        // A user whose line is broken is not unknown: one mistake, one line.
        let users = replace::read_limited(&settings.auth.users, FILE_MAX_OCTETS).ok();
        let users = users.map(|content| users::names_written(&zeroize::Zeroizing::new(content)));
        let is_user = users.map(|users| move |name: &str| users.contains(name));
        let names = Names {
            is_user: is_user.as_ref().map(|is_user| is_user as _),
            subaddress: settings.recipients.subaddress,
            handlers: &settings.handlers,
        };
        let (aliases, more) = Aliases::resolve(&file, names);
        faults.extend(more);
        faults.sort_by_key(|fault| fault.line);
        let named = |only_groups: bool| {
            let names = aliases
                .names()
                .filter(|(_, is_group)| *is_group || !only_groups);
            names.map(|(name, _)| name.to_owned()).collect()
        };
        AliasesFacts::Read {
            names: named(false),
            groups: named(true),
            with_domain: file.with_domain().collect(),
            faults: faults
                .into_iter()
                .map(|fault| (fault.line, fault.reason))
                .collect(),
        }
    }

    fn login_secret(&self, secret: &LoginSecret) -> PasswordFacts {
        let path = secret.file();
        if let Err(reason) = login::read_secret(secret) {
            return PasswordFacts::Unusable(reason);
        }
        let mode = std::fs::metadata(path).map_or(0, |facts| facts.permissions().mode());
        match mode & 0o004 {
            0 => PasswordFacts::Good,
            _ => PasswordFacts::WorldReadable,
        }
    }

    fn ca_bundle(&self, file: Option<&Path>) -> Result<(), String> {
        roots::load(file).map(drop)
    }

    fn program(&self, path: &Path) -> Result<(), String> {
        let facts = std::fs::metadata(path).map_err(|error| machine::reason(&error))?;
        match facts.is_file() && facts.permissions().mode() & 0o111 != 0 {
            true => Ok(()),
            false => Err("it is no program".to_owned()),
        }
    }

    fn shared_folder(&self, path: &Path) -> Option<PathBuf> {
        reach::of_file(path).alone.map(|(folder, _)| folder)
    }
}

impl Files {
    fn seen(by: By) -> Self {
        Self { by, in_use: None }
    }

    fn is_in_use(&self, certificate: &Path, private_key: &Path) -> bool {
        let same = |(used, key): &(PathBuf, PathBuf)| used == certificate && key == private_key;
        self.in_use.iter().flatten().any(same) && is_kept_from_us(certificate, private_key)
    }
}

fn currency(file: &Path, validity: Validity) -> Currency {
    let now = clock::now();
    let file = file.display();
    if now > validity.not_after {
        let when = date::rfc5322(validity.not_after);
        return Currency::NotNow(format!("{file}: the certificate expired on {when}"));
    }
    if now < validity.not_before {
        let when = date::rfc5322(validity.not_before);
        return Currency::NotNow(format!(
            "{file}: the certificate is not valid before {when}"
        ));
    }
    Currency::Valid
}
