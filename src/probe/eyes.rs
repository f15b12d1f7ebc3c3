//! Whether the account that the service runs as can use the files and folders that the settings name.
//!
//! | who looks | when |
//! | --- | --- |
//! | the running service, asked over the control socket | `check`, where one runs with this configuration |
//! | a child that becomes the account, with its groups and none of root's powers | `check` and a start, as root |
//! | we ourselves | we are the account: a start as it, a refresh |
//! | nobody, and `check` says so | `check` of somebody else, where none runs |
//!
//! Promises: what is told has the path, its owner and mode, and the command that mends it. A file that is not
//! there is another rule's. Refuses to know: what a unit hides from a service, where none runs.

use std::io;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use super::certificates;
use super::unit;
use crate::config::Settings;
use crate::config::check::{Sight, Unusable};
use crate::config::local::Local;
use crate::control::{Outcome, client};
use crate::probe;
use crate::sys::machine;
use crate::sys::process::{self, Account};
use crate::sys::readable::{self, Need, Owner, Wish};

mod mend;

/// How long a running service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file or folder that a key names.
struct Look {
    /// The section, without brackets; empty for the configuration itself.
    section: String,
    key: &'static str,
    path: PathBuf,
    need: Need,
}

/// What cannot be used: which of the looks, what the kernel says, and of which path.
struct Refused {
    look: usize,
    errno: i32,
    at: PathBuf,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The process that starts.
    Start,
    /// The process that runs.
    Refresh,
    /// Whoever can be had.
    Check,
}

/// The account that will read the files.
struct Eyes {
    name: String,
    account: Account,
    groups: Vec<String>,
    /// Whether root reads certificates and makes folders before the account is taken on.
    root_first: bool,
}

impl Eyes {
    /// Of a service that is started as root.
    fn of_root(name: &str, account: Account) -> Self {
        Self {
            name: name.to_owned(),
            account,
            groups: Vec::new(),
            root_first: true,
        }
    }
}

/// What becomes of a spool and mail root that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folders {
    /// Nothing is to be said of them.
    AreThere,
    /// The account makes them.
    AreMade,
}

/// Looks at everything.
pub(crate) fn sight(settings: &Settings, by: By) -> Sight {
    let mut looks = looks(settings);
    if by == By::Refresh {
        // What root read at the start stays in use; whether others can be read, their own rule tells.
        looks.retain(|look| !is_of_pair(look));
    }
    match by {
        By::Refresh => ourselves(&looks, Folders::AreThere),
        By::Start if !process::is_root() => ourselves(&looks, Folders::AreMade),
        By::Start => match from_root(settings, &looks) {
            // The start itself says so.
            Sight::NoAccount(_) if !settings.lines.has("server", "user") => Sight::Seen(Vec::new()),
            // Only `check` was asked to look.
            Sight::NotLooked(_) => Sight::Seen(Vec::new()),
            seen @ (Sight::Seen(_) | Sight::NoAccount(_)) => seen,
        },
        By::Check => match by_service(settings, &looks) {
            Some(sight) => sight,
            None if process::is_root() => as_it_will_start(settings, &looks),
            None => match process::account(&settings.user) {
                Ok(account) if account.uid == process::user_id() => {
                    ourselves(&looks, Folders::AreMade)
                }
                Ok(_) | Err(_) => Sight::NotLooked(settings.user.clone()),
            },
        },
    }
}

/// What the running service says to whoever asks: a line for each path that it cannot use.
pub(crate) fn answer(settings: &Settings) -> String {
    let looks = looks(settings);
    let mut text = format!("account {}\n", process::user_id());
    let found = refused(&looks, Folders::AreThere, &readable::may);
    for refused in found.unwrap_or_default() {
        let at = refused.at.display();
        text.push_str(&format!("{} {} {at}\n", refused.look, refused.errno));
    }
    text
}

fn looks(settings: &Settings) -> Vec<Look> {
    let look = |section: &str, key, path: &Path, need| Look {
        section: section.to_owned(),
        key,
        path: absolute(path).unwrap_or_else(|_| path.to_owned()),
        need,
    };
    let mut looks = vec![look("", "", &settings.file, Need::Read)];
    let pairs: Vec<(&Path, &Path)> = certificates::files(settings).collect();
    for named in settings.named_files() {
        let is_pair = ["certificate", "private_key"].contains(&named.key);
        let in_use = |(file, key): &(&Path, &Path)| *file == named.path || *key == named.path;
        if !is_pair || pairs.iter().any(in_use) {
            looks.push(look(&named.section, named.key, named.path, Need::Read));
        }
    }
    looks.push(look("server", "spool", &settings.spool, Need::Change));
    if settings.local == Local::Maildir {
        looks.push(look(
            "delivery",
            "mail_root",
            &settings.mail_root,
            Need::Change,
        ));
    }
    for command in &settings.handlers.commands {
        let section = format!("command:{}", command.name);
        looks.push(look(&section, "program", &command.program, Need::Run));
    }
    looks
}

fn is_of_pair(look: &Look) -> bool {
    ["certificate", "private_key"].contains(&look.key)
}

type Asked<'a> = dyn Fn(&[Wish]) -> io::Result<Vec<Option<i32>>> + 'a;

/// What the kernel refuses; where a folder on the way is the cause, that folder.
fn refused(looks: &[Look], folders: Folders, ask: &Asked<'_>) -> io::Result<Vec<Refused>> {
    let wishes: Vec<Wish> = looks
        .iter()
        .map(|look| (look.path.clone(), look.need))
        .collect();
    let mut found = Vec::new();
    for (at, errno) in ask(&wishes)?.into_iter().enumerate() {
        let Some((errno, look)) = errno.zip(looks.get(at)) else {
            continue;
        };
        if errno == readable::MISSING && !look.path.exists() {
            if folders == Folders::AreMade && look.need == Need::Change {
                found.extend(unmakable(at, &look.path, ask)?);
            }
            continue;
        }
        let way = way_to(&look.path);
        let answers = ask(&way)?;
        let closed = way.iter().zip(answers).find(|(_, answer)| answer.is_some());
        let (path, errno) = match closed {
            Some(((folder, _), Some(errno))) => (folder.clone(), errno),
            Some((_, None)) | None => (look.path.clone(), errno),
        };
        found.push(Refused {
            look: at,
            errno,
            at: path,
        });
    }
    Ok(found)
}

/// The folders that lead to a path, from the root on, then those that its links lead through.
fn way_to(path: &Path) -> Vec<Wish> {
    let folders = |path: &Path| {
        let mut folders: Vec<Wish> = path
            .ancestors()
            .skip(1)
            .map(|folder| (folder.to_owned(), Need::Enter))
            .collect();
        folders.reverse();
        folders
    };
    let mut way = folders(path);
    if let Ok(real) = path.canonicalize() {
        way.extend(folders(&real));
    }
    way
}

/// The folder in which the account cannot make this one.
fn unmakable(look: usize, path: &Path, ask: &Asked<'_>) -> io::Result<Option<Refused>> {
    let Some(above) = path.ancestors().skip(1).find(|folder| folder.exists()) else {
        return Ok(None);
    };
    let answer = ask(&[(above.to_owned(), Need::Change)])?;
    let errno = answer.into_iter().next().flatten();
    Ok(errno.map(|errno| Refused {
        look,
        errno,
        at: above.to_owned(),
    }))
}

fn ourselves(looks: &[Look], folders: Folders) -> Sight {
    let account = readable::own_account();
    if account.uid == 0 {
        return Sight::Seen(Vec::new());
    }
    let name = process::account_name(account.uid).ok().flatten();
    let eyes = Eyes {
        name: name.unwrap_or_else(|| account.uid.to_string()),
        account,
        groups: Vec::new(),
        root_first: false,
    };
    let found = refused(looks, folders, &readable::may);
    Sight::Seen(told(looks, &found.unwrap_or_default(), &eyes))
}

fn by_child(looks: &[Look], eyes: &Eyes) -> Sight {
    if eyes.account.uid == 0 {
        return Sight::Seen(Vec::new());
    }
    let folders = match eyes.root_first {
        true => Folders::AreThere,
        false => Folders::AreMade,
    };
    let groups = readable::groups(&eyes.name, eyes.account).map(|mut groups| {
        groups.extend(
            eyes.groups
                .iter()
                .filter_map(|name| readable::group_id(name)),
        );
        groups
    });
    let found = groups.and_then(|groups| {
        refused(looks, folders, &|wishes| {
            readable::may_as(eyes.account, &groups, wishes)
        })
    });
    match found {
        Ok(found) => Sight::Seen(told(looks, &found, eyes)),
        Err(_) => Sight::NotLooked(eyes.name.clone()),
    }
}

/// As root, for a service that root starts.
fn from_root(settings: &Settings, looks: &[Look]) -> Sight {
    let name = &settings.user;
    match process::account(name) {
        Ok(account) => by_child(looks, &Eyes::of_root(name, account)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Sight::NoAccount(name.clone()),
        Err(_) => Sight::NotLooked(name.clone()),
    }
}

/// As root, for a service that does not run: as its unit starts it, else as it starts itself.
fn as_it_will_start(settings: &Settings, looks: &[Look]) -> Sight {
    let Some(unit) = unit::of(&settings.file) else {
        return from_root(settings, looks);
    };
    let Ok(mut account) = process::account(&unit.user) else {
        return Sight::NotLooked(unit.user);
    };
    let group = unit.group.as_deref().and_then(readable::group_id);
    account.gid = group.unwrap_or(account.gid);
    by_child(
        looks,
        &Eyes {
            name: unit.user,
            account,
            groups: unit.groups,
            root_first: false,
        },
    )
}

/// What the running service sees; none where none runs, or not one that can be asked.
fn by_service(settings: &Settings, looks: &[Look]) -> Option<Sight> {
    let (socket, file) = (&settings.control.socket, &settings.file);
    let answer = client::ask_within(socket, file, &["look"], PATIENCE).ok()?;
    if answer.outcome != Outcome::Done {
        return None;
    }
    let mut lines = answer.output.lines();
    let uid = lines.next()?.strip_prefix("account ")?.parse().ok()?;
    let found: Option<Vec<Refused>> = lines
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            Some(Refused {
                look: words.next()?.parse().ok()?,
                errno: words.next()?.parse().ok()?,
                at: PathBuf::from(words.next()?),
            })
        })
        .collect();
    let name = process::account_name(uid).ok().flatten();
    let name = name.unwrap_or_else(|| uid.to_string());
    let account = process::account(&name).ok()?;
    let dropped = process::account(&settings.user).is_ok_and(|own| own.uid == uid);
    let eyes = Eyes {
        root_first: dropped && unit::of(file).is_none(),
        groups: Vec::new(),
        account,
        name,
    };
    Some(Sight::Seen(told(looks, &found?, &eyes)))
}

/// The same in words.
fn told(looks: &[Look], found: &[Refused], eyes: &Eyes) -> Vec<Unusable> {
    let one = |refused: &Refused| {
        let look = looks.get(refused.look)?;
        let is_pair = is_of_pair(look);
        Some(Unusable {
            section: look.section.clone(),
            key: look.key,
            only_until_renewed: is_pair && eyes.root_first,
            reason: match is_pair && eyes.root_first {
                true => format!(
                    "{}: {}",
                    look.path.display(),
                    probe::cannot_read(&eyes.name)
                ),
                false => reason(look, refused, eyes),
            },
        })
    };
    found.iter().filter_map(one).collect()
}

fn reason(look: &Look, refused: &Refused, eyes: &Eyes) -> String {
    let (path, at, name) = (look.path.display(), refused.at.display(), &eyes.name);
    let what = match (refused.at == look.path, look.need) {
        (false, Need::Change) if !look.path.exists() => format!("make it in {at}"),
        (false, _) => format!("enter {at}"),
        (true, Need::Read) => "read it".to_owned(),
        (true, Need::Change | Need::Enter) => "make files in it".to_owned(),
        (true, Need::Run) => "run it".to_owned(),
    };
    let error = io::Error::from_raw_os_error(refused.errno);
    if error.kind() != io::ErrorKind::PermissionDenied {
        let why = machine::reason(&error);
        return format!(
            "{path}: the running service, as the account {name}, cannot {what}: {why}; its unit may hide \
             it or keep it from being changed"
        );
    }
    let owner = Owner::of(&refused.at);
    let seen = owner.as_ref().map(|owner| format!(" ({owner})"));
    let mend = mend::mend(look, refused, owner.as_ref(), eyes);
    format!(
        "{path}: the account {name} cannot {what}{}; {mend}",
        seen.unwrap_or_default()
    )
}
