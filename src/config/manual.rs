//! The manual page gatepost.ini(5) in mdoc: keys and Domino fields from the table, prose around them.
//!
//! Promises: a key stands in the page as it stands in the table; no text of the table can become a
//! macro. The prose is in `manual/*.mdoc`; what begins a section stands in `manual/sections.mdoc` behind a
//! line `.\" [SECTION]`. Refuses to know: how a page is shown.

use std::collections::BTreeMap;

use super::keys::{self, Default, KeyRule, Text};

/// The whole text of `packaging/man/gatepost.ini.5`.
pub fn render() -> String {
    let mut page = String::from(GENERATED);
    page.push_str(HEAD);
    for section in keys::sections() {
        page.push_str(&section_text(section));
    }
    page.push_str(DOMINO);
    page.push_str(&domino_fields());
    page.push_str(PROXIES);
    page.push_str(TAIL);
    page
}

fn section_text(name: &'static str) -> String {
    let mut text = format!(".Ss [{name}]\n");
    text.push_str(&introduction(name).unwrap_or_default());
    text.push_str(".Bl -tag -width Ds\n");
    for about in keys::explained().filter(|about| about.key.section() == name) {
        text.push_str(&entry(about));
    }
    text.push_str(".El\n");
    text
}

/// The prose at the beginning of a section, where there is some.
fn introduction(section: &str) -> Option<String> {
    let mark = format!("{MARK}{section}]");
    let lines = SECTIONS.lines().skip_while(|line| *line != mark).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with(MARK)).collect();
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

fn entry(about: &Text) -> String {
    let key = about.key;
    let mut text = format!(".It Cm {}\n", key.name);
    text.push_str(&prose(about.meaning));
    text.push_str(".Pp\n.Bl -tag -width \"Default\" -compact\n");
    text.push_str(&format!(".It Change\n{}", prose(about.change)));
    text.push_str(&format!(".It Values\n{}", prose(&key.kind.values())));
    text.push_str(&format!(".It Default\n{}", default(&about.default)));
    if let Some(field) = about.domino {
        text.push_str(&format!(".It Domino\n{}", prose(field)));
    }
    text.push_str(".El\n");
    text
}

fn default(default: &Default) -> String {
    match default {
        Default::Value(value) if !value.is_empty() => format!(".Ql {}\n", quoted(value)),
        Default::Value(_)
        | Default::Worded(..)
        | Default::Derived(..)
        | Default::Nothing(_)
        | Default::Required(_) => prose(default.in_words()),
    }
}

/// Each field once, with every key that takes it over, without regard to case and to a leading article.
fn domino_fields() -> String {
    let mut fields: BTreeMap<(String, &str), Vec<&KeyRule>> = BTreeMap::new();
    for about in keys::explained() {
        if let Some(field) = about.domino {
            let field = field.strip_prefix("the ").unwrap_or(field);
            fields
                .entry((field.to_lowercase(), field))
                .or_default()
                .push(about.key);
        }
    }
    let mut text = String::new();
    for ((_, field), keys) in fields {
        text.push_str(&format!(".It {}\n", quoted(field)));
        let mut left = keys.len();
        for key in keys {
            left -= 1;
            let comma = if left > 0 { " ," } else { "" };
            text.push_str(&format!(
                ".Sx [{}]\n.Cm {}{comma}\n",
                key.section(),
                key.name
            ));
        }
    }
    text.push_str(".El\n");
    text
}

/// Text as lines of mdoc: each sentence on lines of its own, as mdoc wants it.
fn prose(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = word.replace('\\', "\\e");
        let line = lines.last().map_or("", String::as_str);
        let is_sentence_over = line.ends_with(['.', '?', '!']);
        let is_full = line.len() + 1 + word.len() > LINE_MAX_COLUMNS;
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&at_start(&word)),
            Some(line) if !is_sentence_over && !is_full => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(at_start(&word)),
        }
    }
    lines.join("\n") + "\n"
}

/// A word at the beginning of a line must not be taken for a macro.
fn at_start(word: &str) -> String {
    match word.starts_with(['.', '\'']) {
        true => format!("\\&{word}"),
        false => word.to_owned(),
    }
}

/// Text as one argument of a macro, whose words are not taken for macros themselves.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('"', "\\(dq");
    format!("\"{}\"", text.replace('-', "\\-"))
}

const GENERATED: &str = ".\\\" Generated from the table of keys: see src/config/manual.rs.\n";
const HEAD: &str = include_str!("manual/head.mdoc");
const SECTIONS: &str = include_str!("manual/sections.mdoc");
const DOMINO: &str = include_str!("manual/domino.mdoc");
const PROXIES: &str = include_str!("manual/proxies.mdoc");
const TAIL: &str = include_str!("manual/tail.mdoc");
const MARK: &str = ".\\\" [";
const LINE_MAX_COLUMNS: usize = 78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_every_field_is_in_the_page() {
        let page = render();
        for about in keys::explained() {
            let key = about.key;
            let entry = format!("\n.It Cm {}\n{}", key.name, prose(about.meaning));
            assert!(page.contains(&entry), "[{}] {}", key.section(), key.name);
            let place = format!("\n.Sx [{}]\n.Cm {}", key.section(), key.name);
            assert_eq!(page.contains(&place), about.domino.is_some(), "{place}");
        }
        let is_long = |line: &&str| !line.starts_with('.') && line.len() > LINE_MAX_COLUMNS + 2;
        assert_eq!(page.lines().find(is_long), None);
        assert!(page.is_ascii());
    }

    #[test]
    fn every_introduction_belongs_to_a_section() {
        let known = keys::sections();
        let marks = SECTIONS.lines().filter_map(|line| line.strip_prefix(MARK));
        let mut count = 0;
        for name in marks.map(|mark| mark.trim_end_matches(']')) {
            assert!(known.contains(&name), "{name}");
            assert!(introduction(name).is_some(), "{name}");
            count += 1;
        }
        assert_eq!(introduction("no such"), None);
        assert!(count > 10);
    }

    #[test]
    fn text_of_the_table_cannot_become_a_macro() {
        for (text, want) in [
            ("One. Two: a.b c.", "One.\nTwo: a.b c.\n"),
            (".Sh X", "\\&.Sh X\n"),
            ("a. 'x' \\fB", "a.\n\\&'x' \\efB\n"),
        ] {
            assert_eq!(prose(text), want);
        }
        assert_eq!(quoted("a \"b\" \\ c-d"), "\"a \\(dqb\\(dq \\e c\\-d\"");
        let long = "word ".repeat(40);
        let lines = prose(long.trim());
        assert!(lines.lines().all(|line| line.len() <= LINE_MAX_COLUMNS));
    }
}
