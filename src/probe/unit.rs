//! The account that systemd starts the service as: `User=`, `Group=` and `SupplementaryGroups=` of its unit, with
//! the pieces of `systemctl edit`.
//!
//! Refuses to know: specifiers, templates, and what else a unit hides from a service; a running one tells.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "gatepost.service";
/// Where systemd looks for units; the first that has one wins.
pub(crate) const FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// As whom a unit starts the service.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// `User=`.
    pub(crate) user: String,
    /// `Group=`.
    pub(crate) group: Option<String>,
    /// `SupplementaryGroups=`.
    pub(crate) groups: Vec<String>,
}

/// The unit that starts a service with this configuration, where it starts it as another account than root.
pub(crate) fn of(config: &Path) -> Option<Unit> {
    let runs = Path::new("/run/systemd/system").is_dir();
    let folders = FOLDERS.iter().map(PathBuf::from);
    runs.then(|| in_folders(&folders.collect::<Vec<_>>(), config))?
}

fn in_folders(folders: &[PathBuf], config: &Path) -> Option<Unit> {
    let mut units = folders.iter().map(|folder| folder.join(NAME));
    let mut texts = vec![units.find_map(|unit| fs::read_to_string(unit).ok())?];
    texts.extend(
        pieces(folders)
            .iter()
            .map(|piece| fs::read_to_string(piece).unwrap_or_default()),
    );
    let mut unit = Unit::default();
    let mut command = String::new();
    for (key, value) in texts.iter().flat_map(|text| service_keys(text)) {
        let value = value.trim();
        match key.trim() {
            "User" => unit.user = value.to_owned(),
            "Group" => unit.group = (!value.is_empty()).then(|| value.to_owned()),
            "SupplementaryGroups" if value.is_empty() => unit.groups.clear(),
            "SupplementaryGroups" => {
                unit.groups
                    .extend(value.split_whitespace().map(str::to_owned));
            }
            "ExecStart" => command = value.to_owned(),
            _ => {}
        }
    }
    let names = command.split_whitespace().any(|word| {
        let word = word.strip_prefix("--config=").unwrap_or(word);
        is_same(Path::new(word), config)
    });
    let is_default = !command.contains("--config") && is_same(Path::new(DEFAULT_CONFIG), config);
    let is_root = ["", "root", "0"].contains(&unit.user.as_str());
    ((names || is_default) && !is_root).then_some(unit)
}

/// The pieces beside the unit, by name; one of an earlier folder hides those of its name in later ones.
fn pieces(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<(OsString, PathBuf)> = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder.join(format!("{NAME}.d")));
        for entry in entries.into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_piece = path
                .extension()
                .is_some_and(|extension| extension == "conf");
            if is_piece && found.iter().all(|(known, _)| *known != name) {
                found.push((name, path));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn service_keys(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut inside = false;
    text.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.trim_end() == "[Service]";
        }
        let is_comment = line.starts_with(['#', ';']);
        line.split_once('=').filter(|_| inside && !is_comment)
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

const DEFAULT_CONFIG: &str = "/etc/gatepost/gatepost.ini";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_and_its_pieces_say_as_whom_the_service_starts() {
        let root = std::env::temp_dir().join(format!("gatepost-unit-{}", std::process::id()));
        let folders = [root.join("etc"), root.join("lib")];
        let ours = Path::new(DEFAULT_CONFIG);
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let unit = |config: &Path| in_folders(&folders, config);
        assert_eq!(unit(ours), None);
        let shipped = include_str!("../../packaging/systemd/gatepost.service");
        write("lib/gatepost.service", shipped);
        let user = |user: &str, groups: &[&str]| {
            Some(Unit {
                user: user.to_owned(),
                group: Some("gatepost".to_owned()),
                groups: groups.iter().map(|&group| group.to_owned()).collect(),
            })
        };
        assert_eq!(unit(ours), user("gatepost", &[]));
        assert_eq!(unit(Path::new("/srv/other.ini")), None);
        let piece = "[Unit]\nUser=nobody\n[Service]\n# User=me\nUser=mail\nSupplementaryGroups=ssl-cert a\n";
        write("etc/gatepost.service.d/override.conf", piece);
        assert_eq!(unit(ours), user("mail", &["ssl-cert", "a"]));
        write(
            "lib/gatepost.service.d/override.conf",
            "[Service]\nUser=hidden\n",
        );
        assert_eq!(unit(ours), user("mail", &["ssl-cert", "a"]));
        write(
            "lib/gatepost.service.d/z.conf",
            "[Service]\nSupplementaryGroups=\nSupplementaryGroups=b\n",
        );
        assert_eq!(unit(ours), user("mail", &["b"]));
        let elsewhere =
            "[Service]\nExecStart=\nExecStart=/usr/sbin/gatepost serve --config /srv/other.ini\n";
        write("etc/gatepost.service.d/z.conf", elsewhere);
        assert_eq!(
            unit(Path::new("/srv/other.ini")),
            user("mail", &["ssl-cert", "a"])
        );
        assert_eq!(unit(ours), None);
        // One that starts as root drops to [server] user by itself.
        write(
            "etc/gatepost.service",
            "[Service]\nExecStart=/usr/sbin/gatepost serve\n",
        );
        write("etc/gatepost.service.d/override.conf", "");
        write("etc/gatepost.service.d/z.conf", "");
        assert_eq!(unit(ours), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
