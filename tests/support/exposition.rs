//! A strict reader of Prometheus' text format, version 0.0.4: what it takes, Prometheus takes.

use std::collections::BTreeMap;

/// Every sample by its name with its labels, as it is written.
pub struct Scrape {
    pub samples: BTreeMap<String, f64>,
    /// The families in their order: name, type, help.
    pub families: Vec<(String, String, String)>,
}

impl Scrape {
    /// The value of a sample.
    pub fn value(&self, sample: &str) -> f64 {
        let found = self.samples.get(sample);
        *found.unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }

    /// Reads a text; panics at the first thing that is not as it has to be.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut scrape = Self {
            samples: BTreeMap::new(),
            families: Vec::new(),
        };
        let mut help: Option<(String, String)> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').unwrap();
                assert!(help.is_none() && !words.is_empty(), "{line}");
                help = Some((name.to_owned(), words.to_owned()));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let (helped, words) = help.take().unwrap();
                assert_eq!(helped, name);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let is_new = scrape.families.iter().all(|(other, ..)| other != name);
                assert!(is_new, "{name} stands twice");
                scrape
                    .families
                    .push((name.to_owned(), kind.to_owned(), words));
            } else {
                assert!(help.is_none(), "{line}");
                scrape.sample(line);
            }
        }
        for (name, kind, _) in &scrape.families {
            let of_it = |sample: &&String| sample.starts_with(name.as_str());
            assert!(scrape.samples.keys().any(|s| of_it(&s)), "{name} is empty");
            if kind == "histogram" {
                scrape.histogram(name);
            }
        }
        scrape
    }

    fn sample(&mut self, line: &str) {
        let (name, labels, value) = parts(line);
        let (family, kind, _) = self.families.last().expect("a sample before any family");
        let suffix = name.strip_prefix(family.as_str()).unwrap_or("?");
        let allowed: &[&str] = match kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(allowed.contains(&suffix), "{line}: not of {family}");
        let is_label = |name: &str| {
            let mut octets = name.bytes();
            let first = octets
                .next()
                .is_some_and(|o| o.is_ascii_alphabetic() || o == b'_');
            first && octets.all(|o| o.is_ascii_alphanumeric() || o == b'_')
        };
        assert!(labels.iter().all(|(name, _)| is_label(name)), "{line}");
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite(), "{line}");
        if kind != "gauge" {
            assert!(value >= 0.0, "{line}");
        }
        let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
        let key = match labels.is_empty() {
            true => name,
            false => format!("{name}{{{}}}", labels.join(",")),
        };
        assert!(self.samples.insert(key, value).is_none(), "{line}: twice");
    }

    fn histogram(&self, name: &str) {
        let bucket = format!("{name}_bucket{{le=\"");
        let buckets = self.samples.iter().filter_map(|(sample, value)| {
            let bound = sample.strip_prefix(&bucket)?.strip_suffix("\"}").unwrap();
            let bound = bound.replace("+Inf", "inf").parse::<f64>().unwrap();
            Some((bound, *value))
        });
        let mut buckets: Vec<(f64, f64)> = buckets.collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{buckets:?}");
        let (last, all) = *buckets.last().unwrap();
        assert!(last.is_infinite());
        assert_eq!(all, self.value(&format!("{name}_count")));
        assert!(self.samples.contains_key(&format!("{name}_sum")));
    }
}

/// A sample's name, its labels with their values, and its value.
fn parts(line: &str) -> (String, Vec<(String, String)>, String) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, rest) = line.split_at(end);
    let is_plain = |o: u8| o.is_ascii_lowercase() || o == b'_';
    assert!(name.bytes().all(is_plain), "{line}");
    let mut labels = Vec::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap();
            let (value, behind) = quoted(behind);
            labels.push((label.to_owned(), value));
            match behind.strip_prefix(',') {
                Some(behind) => rest = behind,
                None => {
                    rest = behind.strip_prefix('}').unwrap();
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "{line}");
    (name.to_owned(), labels, value.to_owned())
}

/// A label's value up to its closing quote, and what follows that.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => match letters.next().unwrap().1 {
                'n' => value.push('\n'),
                other @ ('\\' | '"') => value.push(other),
                other => panic!("\\{other}"),
            },
            letter => value.push(letter),
        }
    }
    panic!("no closing quote: {text}");
}
