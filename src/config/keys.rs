//! The one table of keys: what the operator can set, how it is written, what it is when it is not.
//!
//! It drives parsing, the settings, the sample configuration and the manual, so that none of them can say what
//! another does not. A key is declared once, in `keys_table`, with its type: whoever asks for it gets a value
//! of that type. Every limit an operator can move stands here.

use std::marker::PhantomData;

use super::draft::Draft;
use super::keys_table::{KEYS, SECTIONS, TEXTS};
pub use super::kinds::Kind;
use super::kinds::{self, Read, Reader, Typed};
use super::values::Refused;

/// What the program needs of a key while it runs, whatever the type of its value.
pub struct KeyRule {
    /// The place of its section in the table.
    section: u8,
    /// The key.
    pub name: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// Its value where it is not written; none where there is none, or it is taken from elsewhere.
    pub default: Option<&'static str>,
    /// Whether it is a list, which may go on over indented lines.
    pub(super) is_list: bool,
    reader: Reader,
}

/// What is written about a key, for people. The program that runs does not have it: it is some 30 KB.
pub struct Text {
    /// The key.
    pub key: &'static KeyRule,
    /// What it is when it is not written.
    pub default: Default,
    /// What it means.
    pub meaning: &'static str,
    /// When to change it.
    pub change: &'static str,
    /// The field of a Domino server whose meaning it takes over; none where it is our own.
    pub domino: Option<&'static str>,
}

/// What a key is when it is not written.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// This value, as an operator would write it.
    Value(&'static str),
    /// The second, a value; the first is what it is in words.
    Worded(&'static str, &'static str),
    /// Taken from elsewhere; what is meant, and an example for the sample file.
    Derived(&'static str, &'static str),
    /// Nothing; an example for the sample file.
    Nothing(&'static str),
    /// It must be written; an example for the sample file.
    Required(&'static str),
}

/// A key that always has a value, of its kind's type.
pub(super) struct Key<K>(&'static KeyRule, PhantomData<K>);

/// A key that has no value where it is not written.
pub(super) struct Optional<K>(&'static KeyRule, PhantomData<K>);

/// A key that can be asked for.
pub(super) trait Ask: Copy {
    /// Its kind.
    type Kind: Read;
    /// What is answered.
    type Answer;

    /// What is known of the key.
    fn rule(self) -> &'static KeyRule;

    /// Its name.
    fn name(self) -> &'static str {
        self.rule().name
    }

    /// What is written in this section of a draft, or in the key's own; else the section's default.
    fn answer(self, draft: &Draft, section: Option<&str>) -> Self::Answer;
}

/// A line of a value with its number.
pub(super) type Line = (usize, String);

/// The section that stands for every `[port:NAME]` but `[port:tcp]` and `[port:tls]`.
pub const FURTHER_PORT: &str = "port:NAME";
/// The section that stands for every `[site:NAME]`.
pub const SITE: &str = "site:NAME";
/// The section that stands for every `[smarthost:NAME]`.
pub const SMARTHOST: &str = "smarthost:NAME";
/// The section that stands for every `[command:NAME]`.
pub const COMMAND: &str = "command:NAME";
/// The section that stands for every `[webhook:NAME]`.
pub const WEBHOOK: &str = "webhook:NAME";

/// How the name of a table's section ends that stands for many of a file.
pub(super) const ANY_NAME: &str = ":NAME";

/// A key that is being declared.
pub(super) struct Declared<K>(Typed<K>, Default);

impl<K> Typed<K> {
    /// Where it is not written, this value.
    pub(super) const fn or(self, value: &'static str) -> Declared<K> {
        Declared(self, Default::Value(value))
    }

    /// The same; what it is called in the sample and the manual.
    pub(super) const fn or_as(self, words: &'static str, value: &'static str) -> Declared<K> {
        Declared(self, Default::Worded(words, value))
    }

    /// Where it is not written, something that is taken from elsewhere.
    pub(super) const fn derived(self, words: &'static str, example: &'static str) -> Declared<K> {
        Declared(self, Default::Derived(words, example))
    }

    /// Where it is not written, nothing.
    pub(super) const fn or_nothing(self, example: &'static str) -> Declared<K> {
        Declared(self, Default::Nothing(example))
    }

    /// It has to be written.
    pub(super) const fn required(self, example: &'static str) -> Declared<K> {
        Declared(self, Default::Required(example))
    }
}

impl<K: Read> Declared<K> {
    /// The key at its place.
    const fn rule(self, section: u8, name: &'static str) -> KeyRule {
        KeyRule {
            section,
            name,
            kind: self.0.0,
            default: self.1.value(),
            is_list: K::IS_LIST,
            reader: K::READER,
        }
    }
}

impl KeyRule {
    /// The section: a name, or one such as [`FURTHER_PORT`].
    pub fn section(&self) -> &'static str {
        SECTIONS
            .get(usize::from(self.section))
            .copied()
            .unwrap_or_default()
    }

    /// Everything that is wrong with a value.
    pub(super) fn faults(&self, lines: &[Line]) -> Vec<Refused> {
        self.compare(lines, lines).err().unwrap_or_default()
    }

    /// Whether two values mean the same; none is the default.
    pub(super) fn is_same(&self, one: Option<&[Line]>, other: Option<&[Line]>) -> bool {
        let default = self.default_lines();
        match (one.or(default.as_deref()), other.or(default.as_deref())) {
            (Some(one), Some(other)) => self.compare(one, other) == Ok(true),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    fn compare(&self, one: &[Line], other: &[Line]) -> Result<bool, Vec<Refused>> {
        let kind = &self.kind;
        match self.reader {
            Reader::Number(read) => {
                Ok(kinds::one(kind, one, read)? == kinds::one(kind, other, read)?)
            }
            Reader::Text(read) => {
                Ok(kinds::one(kind, one, read)? == kinds::one(kind, other, read)?)
            }
            Reader::Other(are_same) => are_same(kind, one, other),
        }
    }

    /// The default as it would stand in a file.
    pub(super) fn default_lines(&self) -> Option<Vec<Line>> {
        self.default.map(|text| vec![(1, text.to_owned())])
    }
}

/// What a declaration makes: the rule, its default for people, and the key that is asked for.
macro_rules! made {
    ($key:ident, needs a default: $needed:literal) => {
        impl<K: Read> $key<K> {
            pub(super) const fn rule_of(
                declared: Declared<K>,
                section: u8,
                name: &'static str,
            ) -> KeyRule {
                declared.rule(section, name)
            }

            pub(super) const fn default_of(declared: Declared<K>) -> Default {
                declared.1
            }

            pub(super) const fn new(rule: &'static KeyRule) -> Self {
                assert!(rule.default.is_some() || !$needed, "this key is Optional");
                Self(rule, PhantomData)
            }
        }

        impl<K> Clone for $key<K> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<K> Copy for $key<K> {}
    };
}

made!(Key, needs a default: true);
made!(Optional, needs a default: false);

impl<K: Read> Ask for Key<K> {
    type Kind = K;
    type Answer = K::Value;

    fn rule(self) -> &'static KeyRule {
        self.0
    }

    fn answer(self, draft: &Draft, section: Option<&str>) -> K::Value {
        K::get(draft, section, self.0).expect("a good value is written, or the default is one")
    }
}

impl<K: Read> Ask for Optional<K> {
    type Kind = K;
    type Answer = Option<K::Value>;

    fn rule(self) -> &'static KeyRule {
        self.0
    }

    fn answer(self, draft: &Draft, section: Option<&str>) -> Option<K::Value> {
        K::get(draft, section, self.0)
    }
}

/// Reads a value of a key that stands elsewhere than in a file.
///
/// # Errors
/// It is none.
pub(super) fn read<K: Read>(key: impl Ask<Kind = K>, text: &str) -> Result<K::Value, Refused> {
    let read = K::read(&key.rule().kind, &[(1, text.to_owned())]);
    read.map_err(|mut faults| faults.swap_remove(0))
}

impl Default {
    /// The value; none where it is taken from elsewhere or there is none.
    const fn value(&self) -> Option<&'static str> {
        match self {
            Self::Value(value) | Self::Worded(_, value) => Some(value),
            Self::Derived(..) | Self::Nothing(_) | Self::Required(_) => None,
        }
    }

    /// The default in words, for the sample file and the manual.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Value("") => "empty",
            Self::Value(value) | Self::Worded(value, _) | Self::Derived(value, _) => value,
            Self::Nothing(_) => "none",
            Self::Required(_) => "none; it must be written",
        }
    }

    /// What stands behind the `=` in the sample file.
    pub fn sample(&self) -> &'static str {
        match self {
            Self::Value(value)
            | Self::Worded(_, value)
            | Self::Derived(_, value)
            | Self::Nothing(value)
            | Self::Required(value) => value,
        }
    }
}

/// The keys of a section as the operator names it; none where there is no such section.
pub(super) fn of_section(section: &str) -> Option<Vec<&'static KeyRule>> {
    let section = table_section(section);
    let keys: Vec<_> = all().filter(|key| key.section() == section).collect();
    (!keys.is_empty()).then_some(keys)
}

/// The key of a section as the operator names it.
pub(super) fn find(section: &str, name: &str) -> Option<&'static KeyRule> {
    let section = table_section(section);
    all().find(|key| key.section() == section && key.name == name)
}

/// The sections an operator can write, in the order of the table, for suggestions.
pub fn sections() -> Vec<&'static str> {
    SECTIONS.to_vec()
}

/// All keys, in the order of the sample file.
pub fn all() -> impl Iterator<Item = &'static KeyRule> {
    KEYS.iter().copied().flatten()
}

/// All keys with what is written about them, in the same order.
pub fn explained() -> impl Iterator<Item = &'static Text> {
    TEXTS.iter().copied().flatten()
}

/// The section of the table that rules a section of the file.
fn table_section(section: &str) -> &str {
    match section.split_once(':') {
        Some(("port", "tcp" | "tls")) | None => section,
        Some(("port", name)) if is_name(name) => FURTHER_PORT,
        Some(("site", name)) if is_name(name) => SITE,
        Some(("smarthost", name)) if is_name(name) => SMARTHOST,
        Some(("command", name)) if is_name(name) => COMMAND,
        Some(("webhook", name)) if is_name(name) => WEBHOOK,
        Some(_) => section,
    }
}

/// Whether a further port, a site, a smarthost, a command or a webhook can be called this, a name in lower case: it is printed in logs and tables as one word.
pub fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= 32 && name.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_and_every_example_is_a_good_value() {
        for about in explained() {
            let (key, text) = (about.key, about.default.sample());
            let faults = key.faults(&[(1, text.to_owned())]);
            let place = format!("[{}] {} = {text}", key.section(), key.name);
            assert!(faults.is_empty(), "{place}: {faults:?}");
        }
    }

    /// `[port:tcp] number` is read as `[port:NAME] number` is.
    #[test]
    fn keys_of_one_name_are_of_one_kind_where_sections_are_read_alike() {
        let kind_of = |section: &str| section.split(':').next().map(str::to_owned);
        let mut pairs = 0;
        for one in all() {
            for other in all().filter(|other| other.name == one.name) {
                if kind_of(one.section()) == kind_of(other.section()) {
                    assert_eq!(one.kind, other.kind, "[{}] {}", one.section(), one.name);
                    pairs += 1;
                }
            }
        }
        assert!(pairs > all().count() + 20, "{pairs}");
    }

    #[test]
    fn no_key_stands_twice_and_each_is_explained() {
        for (at, key) in all().enumerate() {
            let same =
                |other: &&KeyRule| other.section() == key.section() && other.name == key.name;
            assert_eq!(all().position(|k| same(&k)), Some(at), "{}", key.name);
        }
        for about in explained() {
            for text in [about.meaning, about.change] {
                assert!(
                    text.ends_with('.') && text.is_ascii(),
                    "{}: {text}",
                    about.key.name
                );
            }
        }
        let names = |key: &KeyRule| (key.section(), key.name);
        assert!(
            explained()
                .map(|about| names(about.key))
                .eq(all().map(names))
        );
        let mut sections = sections();
        let count = sections.len();
        sections.sort_unstable();
        sections.dedup();
        assert_eq!(sections.len(), count, "a section's keys stand together");
    }

    #[test]
    fn sections_of_further_ports_are_ruled_by_one() {
        for (section, known) in [
            ("port:tcp", true),
            ("port:submission", true),
            ("port:NAME", true),
            ("port:", false),
            ("port:a b", false),
            ("port", false),
            ("site:main", true),
            ("smarthost:bulk", true),
            ("smarthost:", false),
            ("site:NAME", true),
            ("site:", false),
            ("site:a b", false),
            ("command:scan", true),
            ("command:a/b", false),
            ("webhook:phone", true),
            ("webhook:", false),
            ("nope", false),
        ] {
            assert_eq!(of_section(section).is_some(), known, "{section}");
        }
        assert!(find("port:tcp", "kind").is_none());
        assert!(find("port:submission", "kind").is_some());
    }
}
