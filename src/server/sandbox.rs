//! What the running service keeps when it walls itself off (`[server] sandbox`).
//!
//! | what | may be |
//! | --- | --- |
//! | the folders of the configuration, and of every file it names | read |
//! | the system's CA bundles | read |
//! | the spool, mail folders, and mailboxes that links in them lead to | changed |
//! | the control socket's folder | removed from |
//!
//! Sockets that are open stay open, and new ones need no file. Where a folder is one that many programs
//! share, a file in it is granted alone ([`reach`]). A refresh that names a file out of reach leaves its section as it was
//! ([`hold_back`]). Refuses to know: the walls themselves (`sys/sandbox`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::events;
use crate::sys::manager;
use crate::sys::only_thread::OnlyThread;
use crate::sys::sandbox::{self, Access, Part, Plan, Scope, Walls, reach};
use crate::transport::roots;

/// Walls off this thread and those it starts.
pub(crate) fn enter(settings: &Settings, alone: OnlyThread) -> Walls {
    let walls = sandbox::enter(&plan(settings), alone);
    for (part, reason) in &walls.lack {
        events::sandbox::partial(part, reason);
    }
    events::sandbox::entered(&words(Some(&walls)));
    walls
}

/// What holds, in words without blanks.
pub(crate) fn words(walls: Option<&Walls>) -> String {
    let Some(walls) = walls else {
        return "no".to_owned();
    };
    let word = |part: &Part| match part {
        Part::NoNewPrivileges => "no_new_privs".to_owned(),
        Part::NoDumps => "no_dumps".to_owned(),
        Part::Landlock(version) => format!("landlock:{version}"),
        Part::Seccomp => "seccomp".to_owned(),
    };
    let words: Vec<String> = walls.hold.iter().map(word).collect();
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(","),
    }
}

/// What is missing of it, in words without blanks; none where nothing is.
pub(crate) fn lacks(walls: Option<&Walls>) -> Option<String> {
    let lacks: Vec<&str> = walls?.lack.iter().map(|(part, _)| *part).collect();
    (!lacks.is_empty()).then(|| lacks.join(","))
}

/// Tells of system calls that were refused since it was called last.
pub(crate) fn tell_refused() {
    for refused in sandbox::take_refused() {
        let name = refused.name.unwrap_or("unknown");
        events::sandbox::refused(name, refused.number, refused.times);
    }
}

/// What a service with these settings keeps.
fn plan(settings: &Settings) -> Plan {
    let mut grants = Vec::new();
    let bundles = roots::SYSTEM_BUNDLES.iter().map(Path::new);
    let bundles = bundles.filter(|bundle| bundle.exists());
    let named = settings.named_files();
    let files = named.iter().map(|named| named.path);
    for file in [settings.file.as_path()]
        .into_iter()
        .chain(files)
        .chain(bundles)
    {
        let reached = reach::of_file(file);
        let alone = reached.alone.and_then(|(_, file)| file);
        grants.extend(
            reached
                .folders
                .into_iter()
                .chain(alone)
                .map(|path| (path, Access::Read)),
        );
    }
    let kept = [settings.spool.clone(), settings.mail_root.clone()];
    let mailboxes = linked_mailboxes(&settings.mail_root);
    let changed = kept.into_iter().chain(mailboxes);
    grants.extend(changed.map(|path| (path, Access::Change)));
    // Where many share it the socket stays behind, and the next start takes it for what it is.
    let of_socket = settings.control.socket.parent();
    if let Some(folder) = of_socket.filter(|folder| !reach::is_wide(folder)) {
        grants.push((folder.to_owned(), Access::Remove));
    }
    // What the numbers of the process are made of.
    grants.push(("/proc/self".into(), Access::Read));
    grants.sort();
    grants.dedup();
    let scope = match manager::is_abstract() {
        true => Scope::Signals,
        false => Scope::SignalsAndSockets,
    };
    Plan { grants, scope }
}

/// Where users' folders, or the Maildirs in them, are links, what they lead to.
fn linked_mailboxes(mail_root: &Path) -> Vec<PathBuf> {
    let users = fs::read_dir(mail_root).into_iter().flatten().flatten();
    let leads_to = |entry: fs::DirEntry| {
        let (user, maildir) = (entry.path(), entry.path().join("Maildir"));
        let is_link = |path: &Path| path.is_symlink();
        if !is_link(&user) && !is_link(&maildir) {
            return None;
        }
        let made = fs::canonicalize(maildir).or_else(|_| fs::canonicalize(user));
        made.ok().filter(|folder| !reach::is_wide(folder))
    };
    users.filter_map(leads_to).collect()
}

/// A section, or a key of it, that stays as it is because of a file out of reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// The section, without brackets.
    pub section: String,
    /// The key of the file.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// The keys that stay; none = all of the section.
    keys: &'static [&'static str],
}

impl HeldBack {
    /// Whether this key stays as it is.
    pub fn covers(&self, section: &str, key: &str) -> bool {
        self.section == section && (self.keys.is_empty() || self.keys.contains(&key))
    }
}

const PAIR: &[&str] = &["certificate", "private_key"];

/// Leaves what the running service had where the next settings name a file out of its reach. What it did not have
/// stays in them: then the check says why it cannot be used.
pub fn hold_back(next: &mut Settings, current: &Settings) -> Vec<HeldBack> {
    let mut held: Vec<HeldBack> = Vec::new();
    for named in next.named_files() {
        let is_new = !current.named_files().contains(&named);
        if is_new && reach::is_out_of_reach(named.path) {
            held.push(HeldBack {
                keys: match (named.section.as_ref(), named.key) {
                    ("auth", _) => &["users"],
                    ("aliases", _) => &["file"],
                    (section, _) if section == "tls" || section.starts_with("site:") => PAIR,
                    _ => &[],
                },
                section: named.section.into_owned(),
                key: named.key,
                file: named.path.to_owned(),
            });
        }
    }
    held.retain(|one| keep(next, current, &one.section));
    held
}

/// Whether there is something to keep of this section; it is then what the next settings have.
fn keep(next: &mut Settings, current: &Settings, section: &str) -> bool {
    match section.split_once(':') {
        None if section == "auth" => next.auth.users.clone_from(&current.auth.users),
        None if section == "aliases" && current.aliases.is_some() => {
            next.aliases.clone_from(&current.aliases);
        }
        None if section == "tls" && current.tls.certificate.is_some() => {
            next.tls.certificate.clone_from(&current.tls.certificate);
            next.tls.private_key.clone_from(&current.tls.private_key);
        }
        Some(("site", name)) => return keep_site(next, current, name),
        Some(("webhook", name)) => return keep_webhook(next, current, name),
        Some(("smarthost", name)) => return keep_smarthost(next, current, Some(name)),
        None if section == "smarthost" => return keep_smarthost(next, current, None),
        None | Some(_) => return false,
    }
    true
}

fn keep_site(next: &mut Settings, current: &Settings, name: &str) -> bool {
    let before = current.sites.iter().find(|site| site.name == name);
    let now = next.sites.iter_mut().find(|site| site.name == name);
    let Some((before, now)) = before.zip(now) else {
        return false;
    };
    if before.certificate.is_none() {
        return false;
    }
    now.certificate.clone_from(&before.certificate);
    now.private_key.clone_from(&before.private_key);
    true
}

fn keep_webhook(next: &mut Settings, current: &Settings, name: &str) -> bool {
    let Some(before) = current.handlers.webhook(name) else {
        return false;
    };
    let everywhere = next
        .handlers
        .webhooks
        .iter_mut()
        .chain(&mut next.alarm.webhook);
    for webhook in everywhere.filter(|webhook| webhook.name == name) {
        webhook.clone_from(before);
    }
    true
}

fn keep_smarthost(next: &mut Settings, current: &Settings, name: Option<&str>) -> bool {
    let before = current
        .smarthosts
        .iter()
        .find(|one| one.name.as_deref() == name);
    let now = next
        .smarthosts
        .iter_mut()
        .find(|one| one.name.as_deref() == name);
    let Some((before, now)) = before.zip(now) else {
        return false;
    };
    now.clone_from(before);
    true
}
