//! The rules over several keys, and over the files the keys name (DOMINO.md section 1.12).
//!
//! Where sites are loaded, W-01 to W-04 are judged on the site that serves each port, and name its keys.
//!
//! Promises: each rule names the key the contract says and reports at its line; a rule over a key
//! that is itself at fault stays silent. Refuses to know: how certificates, users and
//! aliases files look inside; a [`Probe`] tells.
//!
//! | rule | named | error or warning |
//! | --- | --- | --- |
//! | V-04 | `[server_access] enforce` | access is enforced where nobody can log in |
//! | V-02, V-03 | the port's `anonymous` | an enabled port that admits nobody |
//! | V-05 | the later `number` | two enabled listeners on one address and port |
//! | V-06 | `[tls] certificate`, or the key whose file fails | TLS without a usable certificate and key |
//! | W-01 | `[port:tls] name_and_password` | AUTH is gone after STARTTLS |
//! | W-02 | `[server_access] enforce` | strangers pass the access lists by not logging in |
//! | W-03 | the port's `anonymous` | no mail from other servers |
//! | W-04 | the port's `name_and_password` | passwords in clear text |
//! | W-05 | `[port:tcp] status` | no port is enabled |
//! | W-06 | `load_internet_sites`, or the site's header | nobody is served |
//! | W-07 | `[relay]`: the list at fault | an open relay |
//! | W-08 | `[server_access]`: the list | a user there is not |
//! | – | a list with `@group` | a group there is not |
//! | W-10 | `[smarthost] host` | nothing can send what may be relayed |
//! | W-09 | the certificate's key | the certificate is not valid today |
//! | W-11 | `[smarthost] password_file`, `[webhook:*] token_file` | everybody can read the password or token |
//! | W-12 | a smarthost's `plaintext_login` | a login may cross the network in clear text |
//! | W-13 | `[metrics] listen` | numbers that the network can read |
//! | W-14 | the port's `proxy_from` | more than proxies can claim to be any client |
//! | W-16 | the key of a file | a file that replaces it is out of the sandbox's reach |
//! | W-15 | the key whose file it is | a renewed certificate or key will not be taken up |
//! | – | `allow`, `deny` of `[senders]`, `[recipients]` | a user or alias without a domain: no address is meant by it |
//! | W-17 | `[tls] certificate` | the certificate is not for `hostname` |
//! | W-24 | `[auth] iterations`, `users` | passwords that are guessed too fast, logins that take too long here |
//! | W-18 | `[server] user` | it is root |
//! | W-19 | the key of a file | every account of the machine can read or write it |
//! | W-20 | the port's `proxy_from` | `[relay] internal` holds a proxy |
//! | W-27 | the key | it has no effect |
//! | W-25 | a line of the aliases file | the alias has a domain, and counts for every local one |
//! | W-22 | the port's `addresses` | an address that this machine lacks |
//! | W-26 | the file | nobody looked at the files as the account of the service |
//! | – | the key of a file or folder | the account of the service cannot use it; there is no such account |
//! | – | `[metrics] listen` | an address that a port listens on, or one that covers another |
//! | – | `[command:*]`, `[webhook:*]` keys | a program that cannot run, a token in clear text, files that cannot be used |
//! | – | `[smarthost]` keys | half a login, a password in clear text, files that cannot be used |
//! | – | `sender_domains` | a domain that another smarthost has |

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::mail::Domain;

use super::draft::Draft;
use super::problem::{Problem, Severity};
use super::settings::{LoginSecret, Port, Settings};

mod access;
mod account;
mod entries;
mod files;
mod handlers;
mod logins;
mod metrics;
mod ports;
mod proxy;
mod relay;
mod sites;
mod smarthost;
mod texts;

/// What a check must know of the world: answered by rooms above this one.
pub trait Probe {
    /// Loads a certificate and its key.
    ///
    /// # Errors
    /// Which of the two files fails, and why.
    fn certificate(
        &self,
        certificate: &Path,
        private_key: &Path,
    ) -> Result<Currency, CertificateFault>;

    /// Whether the certificate in this file is for this host name; none where the file cannot be used.
    fn certificate_is_for(&self, certificate: &Path, hostname: &Domain) -> Option<bool>;

    /// Looks at the files and folders that the settings name as the account that the service runs as.
    fn sight(&self, settings: &Settings) -> Sight;

    /// What accounts that are neither its owner nor in its group may do with a file: the last digit of its mode.
    fn others_may(&self, path: &Path) -> u32;

    /// Whether this machine has an address to listen on.
    fn has_address(&self, address: IpAddr) -> bool;

    /// Reads a users file.
    fn users(&self, path: &Path) -> UsersFacts;

    /// How long a login with a password of so many iterations takes here.
    fn login_takes(&self, iterations: NonZeroU32) -> Duration;

    /// Of each kind of password in a users file, the user whose login takes the longest here, and how long.
    fn dearest_logins(&self, users: &Path) -> Vec<(String, Duration)>;

    /// Reads the aliases file and holds it against the users file.
    fn aliases(&self, settings: &Settings) -> AliasesFacts;

    /// Looks at the file with a smarthost's password or token.
    fn login_secret(&self, secret: &LoginSecret) -> PasswordFacts;

    /// Loads this CA bundle, or the system's.
    ///
    /// # Errors
    /// Why it cannot be used, with the file's name.
    fn ca_bundle(&self, file: Option<&Path>) -> Result<(), String>;

    /// Whether there is a program here.
    ///
    /// # Errors
    /// Why it cannot be run.
    fn program(&self, path: &Path) -> Result<(), String>;

    /// The folder of a file, where the sandbox cannot grant it as a whole because many programs share it.
    fn shared_folder(&self, path: &Path) -> Option<PathBuf>;
}

/// Whether a certificate is valid today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Currency {
    /// It is.
    Valid,
    /// It is not, and why (`it expired on …`).
    NotNow(String),
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFault {
    /// Whether the fault is in the key's file alone.
    pub in_private_key: bool,
    /// Why, with the file's name.
    pub reason: String,
}

/// What stands in a users file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersFacts {
    /// There is no such file.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// The users' names in lower case, and the broken lines with why.
    Read(Vec<String>, Vec<(usize, String)>),
}

/// What stands in the aliases file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasesFacts {
    /// There is no `[aliases] file`.
    NotSet,
    /// It cannot be read, and why.
    Unreadable(String),
    /// Its aliases and its faults.
    Read {
        /// The names of all aliases, groups included, in lower case.
        names: Vec<String>,
        /// The names of the groups: aliases with several targets.
        groups: Vec<String>,
        /// The lines at fault, in their order, with why.
        faults: Vec<(usize, String)>,
        /// The aliases that are written with a domain, with their lines.
        with_domain: Vec<(usize, String)>,
    },
}

/// What the account of the service can use of what the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// All but these.
    Seen(Vec<Unusable>),
    /// It could not be looked at as this account.
    NotLooked(String),
    /// There is no account of this name, and the service would be started as root.
    NoAccount(String),
}

/// A file or folder that the account cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The section, without brackets; empty for the configuration itself.
    pub section: String,
    /// The key.
    pub key: &'static str,
    /// Whether root reads it at each start, so that only a renewed one is not read.
    pub only_until_renewed: bool,
    /// The path, what is wrong with it, and what helps.
    pub reason: String,
}

/// What the file of a password or token is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordFacts {
    /// It holds one.
    Good,
    /// The same, but every account of the machine can read it.
    WorldReadable,
    /// It cannot be used, and why.
    Unusable(String),
}

/// Applies every rule; problems go into the draft.
pub(super) fn check(draft: &mut Draft, settings: &Settings, probe: &dyn Probe) {
    let mut found = Found {
        draft,
        settings,
        problems: Vec::new(),
    };
    for port in settings.ports.iter().filter(|port| port.enabled) {
        found.somebody_is_admitted(port);
        found.auth_stays_after_starttls(port);
        found.passwords_are_not_in_clear(port);
    }
    found.listeners_do_not_meet();
    found.other_servers_can_send();
    found.a_port_is_enabled();
    found.few_are_proxies();
    found.sites_do_not_meet();
    found.sites_serve_somebody();
    found.access_needs_a_login();
    found.access_does_not_bind_strangers();
    found.access_lists_name_users(probe);
    found.lists_name_groups(probe);
    found.lists_hold_no_bare_names(probe);
    found.no_open_relay();
    found.relayed_mail_can_be_sent();
    found.the_certificate_is_usable(probe);
    found.site_certificates_are_usable(probe);
    found.the_users_are_known(probe);
    found.logins_take_a_fair_time(probe);
    found.the_aliases_are_good(probe);
    found.the_texts_fit_their_lines();
    found.the_smarthosts_can_be_used(probe);
    found.the_commands_can_run(probe);
    found.the_webhooks_can_be_used(probe);
    found.the_metrics_have_their_addresses();
    found.the_metrics_stay_on_this_machine();
    found.replaced_files_are_reached(probe);
    found.addresses_are_here(probe);
    found.root_is_not_the_account();
    found.others_are_kept_out(probe);
    found.proxies_are_not_internal();
    found.keys_have_an_effect();
    found.the_account_can_use_its_files(probe);
    let problems = found.problems;
    draft.problems.extend(problems);
}

struct Found<'a> {
    draft: &'a Draft,
    settings: &'a Settings,
    problems: Vec<Problem>,
}

impl Found<'_> {
    /// Records a warning about a section as a whole, at its header.
    fn at_section(
        &mut self,
        section: &str,
        depends_on: &[&str],
        warning: &'static str,
        reason: impl Into<String>,
    ) {
        let all: Vec<_> = depends_on.iter().map(|key| (section, *key)).collect();
        if !self.draft.is_intact(&all) {
            return;
        }
        self.problems.push(Problem {
            file: self.draft.file.clone(),
            line: self.draft.section_line(section),
            section: Some(section.to_owned()),
            key: None,
            reason: reason.into(),
            severity: Severity::Warning(warning),
        });
    }

    /// Records what a rule found, unless a key it depends on is itself at fault: an error, or a warning where
    /// there is a code.
    fn at(
        &mut self,
        (section, key): (&str, &str),
        depends_on: &[(&str, &str)],
        warning: Option<&'static str>,
        reason: impl Into<String>,
    ) {
        let mut all = vec![(section, key)];
        all.extend_from_slice(depends_on);
        if self.draft.is_intact(&all) {
            let line = self.draft.rule_line(section, key, depends_on);
            self.record(Some(line), (section, key), warning.into(), reason.into());
        }
    }

    /// Records an entry of a list that an earlier release took, at its own line ([`Severity::NewError`]).
    fn newly_wrong_entry(&mut self, (section, key): (&str, &str), entry: &str, reason: String) {
        if !self.draft.is_intact(&[(section, key)]) {
            return;
        }
        let line = self.draft.entry_line(section, key, entry);
        self.record(line, (section, key), Severity::NewError, reason);
    }

    fn record(
        &mut self,
        line: Option<usize>,
        (section, key): (&str, &str),
        severity: Severity,
        reason: String,
    ) {
        self.problems.push(Problem {
            file: self.draft.file.clone(),
            line,
            section: Some(section.to_owned()),
            key: Some(key.to_owned()),
            reason,
            severity,
        });
    }
}

fn section(port: &Port) -> String {
    format!("port:{}", port.name)
}
