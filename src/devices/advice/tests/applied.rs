//! Whatever is advised is what the configuration takes: each proposal is written into a file, which is parsed.

use std::collections::HashSet;

use super::*;

/// Settings under which what is advised differs.
pub(super) const WORLDS: [&str; 7] = [
    "",
    "[port:tls]\nstatus = disabled\n[extensions]\nstarttls = disabled\n",
    "[extensions]\nstarttls = required\n[auth]\nplaintext_from =\n[port:tcp]\nanonymous = no\n",
    "[server]\nload_internet_sites = yes\n[site:one]\n",
    "[server]\nload_internet_sites = yes\n[site:one]\naddresses = 10.9.9.9\n",
    "[connections]\nallow = 10.0.0.0/8\ndeny = 192.0.2.7\nverify_host_name = yes\n\
     [blacklist]\nhosts = 192.0.2.7\n[dnsbl]\nzones = list.example\n\
     [senders]\nallow = here.example\ndeny = there.example\nverify_domain = yes\n\
     [recipients]\ndeny_groups = yes\ndeny_ambiguous = yes\nallow = bob@here.example\n\
     [server_access]\nenforce = yes\nallow = bob\n[smarthost]\nhost = smart.example\n\
     [delivery]\nquota = 3M\n[relay]\nallow_hosts = 10.0.0.1\ndeny_hosts = 192.0.2.7\n",
    "[tls]\nmin_version = 1.3\n[auth]\nmechanisms = plain\n[limits]\nmessage_size = 1K\n\
     [extensions]\nsmtputf8 = disabled\n[port:old]\nkind = tcp\nnumber = 2526\nanonymous = no\n",
];

#[test]
fn whatever_is_advised_is_what_the_configuration_takes() {
    let mut applied = 0;
    for world in WORLDS {
        let settings = settings(world);
        // Most is advised again and again.
        let mut known = HashSet::new();
        for (kind, word, _, _) in KINDS {
            for (port, tls) in [PLAIN, STARTTLS, TLS, ("old", None), ("gone", None)] {
                for address in [V4, V6] {
                    let detail = detail_of(*kind);
                    let ways = ways(&settings, &device(address, port, tls), *kind, detail);
                    assert!(!ways.is_empty(), "{word} with {world:?}");
                    for way in ways.into_iter().filter(|way| known.insert(words(way))) {
                        applied += usize::from(apply(world, &way));
                    }
                }
            }
        }
    }
    assert!(applied > 100, "{applied}");
}

fn detail_of(kind: Kind) -> &'static str {
    match kind {
        Kind::TlsVersion => "TLS 1.2",
        Kind::Mechanism => "login",
        Kind::LoginFailed | Kind::LoginDenied => "scan",
        _ => "scan@there.example",
    }
}

/// Parses the configuration as advised; whether anything was to be set.
fn apply(world: &str, way: &[Step]) -> bool {
    let mut text = text(world);
    let before = text.clone();
    for step in way {
        let (setting, value) = match step {
            Step::Do(words) => {
                assert!(!words.contains("  ") && !words.ends_with('.'), "{words}");
                continue;
            }
            Step::Set(setting) => (setting, setting.value.to_string()),
            Step::Add(setting) => {
                let known = current(&text, setting);
                let gap = if known.is_empty() { "" } else { ", " };
                (setting, format!("{known}{gap}{}", setting.value))
            }
            Step::Take(setting) => {
                let known = current(&text, setting);
                let left: Vec<&str> = known
                    .split(", ")
                    .filter(|e| **e != setting.value.to_string())
                    .collect();
                assert!(
                    left.len() < known.split(", ").count(),
                    "{setting:?} of {known:?}"
                );
                (setting, left.join(", "))
            }
        };
        let line = format!("[{}]\n{} = {value}\n", setting.section, setting.key);
        text = ini::merge_ini(&text, &line);
    }
    if text == before {
        return false;
    }
    let folder = std::env::temp_dir().join(format!("gatepost-applied-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gatepost.ini");
    fs::write(&file, &text).unwrap();
    let parsed = config::parse(&file);
    fs::remove_dir_all(&folder).unwrap();
    assert!(parsed.is_ok(), "{way:?}: {:?}", parsed.err());
    true
}

/// What a list holds as it is written.
fn current(text: &str, setting: &Setting) -> String {
    let head = format!("[{}]", setting.section);
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    let line = lines.find_map(|line| line.strip_prefix(&format!("{} = ", setting.key)));
    line.unwrap_or_default().to_owned()
}
