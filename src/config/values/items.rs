//! Lists of a value: cut at their commas, each item parsed, with every mistake at its line.

use super::Refused;
use crate::config::keys::Line;
use crate::config::kinds::{Kind, place};

/// A list as it is written, with the numbers of its lines.
pub(in crate::config) struct List<'a> {
    pub(in crate::config) lines: &'a [Line],
}

impl<'a> List<'a> {
    /// Cuts the list at its commas. The end of a line separates as a comma does.
    pub(in crate::config) fn items(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let lines = self.lines.iter().map(|(line, text)| {
            let text = text.strip_suffix(',').unwrap_or(text).trim();
            (*line, text)
        });
        let lines = lines.filter(|(_, text)| !text.is_empty());
        lines.flat_map(|(line, text)| text.split(',').map(move |item| (line, item.trim())))
    }

    /// Parses every item; the same one twice is a slip of the pen, and refused.
    pub(in crate::config) fn each<T: PartialEq>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let mut list = Vec::new();
        self.gather(&mut |text| {
            let item = parse(text)?;
            let is_new = !list.contains(&item);
            if is_new {
                list.push(item);
            }
            Ok(is_new)
        })?;
        Ok(list)
    }

    /// As `each`; more than a few are refused.
    pub(in crate::config) fn few<T: PartialEq>(
        &self,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let list = self.each(parse)?;
        self.is_at_most(FEW_MAX, list.len())?;
        Ok(list)
    }

    /// As `each`; an empty list is refused for this reason.
    pub(in crate::config) fn some_of<T: PartialEq>(
        &self,
        parse: fn(&str) -> Result<T, String>,
        reason: &str,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let list = self.each(parse)?;
        self.is_something(list.len(), reason)?;
        Ok(list)
    }

    /// The places of at least one word, each once.
    pub(in crate::config) fn some_words(&self, kind: &Kind) -> Result<Vec<u64>, Vec<Refused>> {
        let list = self.each(|text| place(kind, text))?;
        self.is_something(list.len(), "at least one is needed")?;
        Ok(list)
    }

    /// Parses every item of a list whose order counts: the same one may come again. A few are enough.
    pub(in crate::config) fn in_order<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let list = self.as_written(parse)?;
        self.is_something(list.len(), "at least one is needed")?;
        Ok(list)
    }

    /// The same, and none is well too.
    pub(in crate::config) fn as_written<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let mut list = Vec::new();
        self.gather(&mut |text| {
            list.push(parse(text)?);
            Ok(true)
        })?;
        self.is_at_most(IN_ORDER_MAX, list.len())?;
        Ok(list)
    }

    /// Hands every item over, with every mistake at its line; `take` says whether an item is a new one.
    fn gather(
        &self,
        take: &mut dyn FnMut(&str) -> Result<bool, String>,
    ) -> Result<(), Vec<Refused>> {
        let mut faults = Vec::new();
        for (line, text) in self.items() {
            let taken = match text {
                "" => Err("nothing between two commas".to_owned()),
                text => take(text),
            };
            let reason = match taken {
                Ok(true) => continue,
                Ok(false) => format!("{text:?} is listed twice"),
                Err(reason) => format!("{reason}{}", comma_hint(text)),
            };
            faults.push(Refused { line, reason });
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults),
        }
    }

    fn is_at_most(&self, most: usize, count: usize) -> Result<(), Vec<Refused>> {
        match count > most {
            true => Err(refused(
                self.lines.last(),
                format!("more than {most} are listed"),
            )),
            false => Ok(()),
        }
    }

    fn is_something(&self, count: usize, reason: &str) -> Result<(), Vec<Refused>> {
        match count {
            0 => Err(refused(self.lines.first(), reason.to_owned())),
            _ => Ok(()),
        }
    }
}

fn refused(line: Option<&Line>, reason: String) -> Vec<Refused> {
    let line = line.map_or(1, |(line, _)| *line);
    vec![Refused { line, reason }]
}

/// What to write where blanks stand between entries.
fn comma_hint(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    // A comment is another hint's.
    let is_comment = words.iter().any(|word| word.starts_with([';', '#']));
    match words.len() > 1 && !is_comment {
        true => format!("; commas stand between entries: write {}", words.join(", ")),
        false => String::new(),
    }
}

/// Items of a list each of which may cost time.
const FEW_MAX: usize = 8;
/// Items of a list whose order counts.
const IN_ORDER_MAX: usize = 32;
