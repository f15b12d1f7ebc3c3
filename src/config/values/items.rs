//! Lists of a value: cut at their commas, each item parsed, with every mistake at its line.

use super::Refused;

/// A list as it is written, with the numbers of its lines.
pub(super) struct Written<'a> {
    pub(super) lines: &'a [(usize, &'a str)],
}

impl<'a> Written<'a> {
    /// Cuts the list at its commas. The end of a line separates as a comma does.
    pub(super) fn items(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let lines = self.lines.iter().map(|&(line, text)| {
            let text = text.strip_suffix(',').unwrap_or(text).trim();
            (line, text)
        });
        let lines = lines.filter(|(_, text)| !text.is_empty());
        lines.flat_map(|(line, text)| text.split(',').map(move |item| (line, item.trim())))
    }

    /// Parses every item; the same one twice is a slip of the pen, and refused.
    pub(super) fn each<T: PartialEq>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        self.parsed(parse, <[T]>::contains)
    }

    /// As `each`; more than a few are refused.
    pub(super) fn few<T: PartialEq>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let list = self.each(parse)?;
        if list.len() > FEW_MAX {
            let line = self.lines.last().map_or(1, |(line, _)| *line);
            let reason = format!("more than {FEW_MAX} are listed");
            return Err(vec![Refused { line, reason }]);
        }
        Ok(list)
    }

    /// Parses every item of a list whose order counts: the same one may come again. A few are enough.
    pub(super) fn in_order<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let list = self.parsed(parse, |_, _| false)?;
        let (line, reason) = match list.len() {
            0 => (self.lines.first(), "at least one is needed".to_owned()),
            1..=IN_ORDER_MAX => return Ok(list),
            _ => (
                self.lines.last(),
                format!("more than {IN_ORDER_MAX} are listed"),
            ),
        };
        let line = line.map_or(1, |(line, _)| *line);
        Err(vec![Refused { line, reason }])
    }

    /// The same, and none is well too.
    pub(super) fn as_written<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Vec<Refused>> {
        match self.items().next() {
            None => Ok(Vec::new()),
            Some(_) => self.in_order(parse),
        }
    }

    fn parsed<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
        is_twice: impl Fn(&[T], &T) -> bool,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let (mut list, mut faults) = (Vec::new(), Vec::new());
        for (line, text) in self.items() {
            let parsed = match text {
                "" => Err("nothing between two commas".to_owned()),
                text => parse(text),
            };
            let reason = match parsed {
                Ok(item) if is_twice(&list, &item) => format!("{text:?} is listed twice"),
                Ok(item) => {
                    list.push(item);
                    continue;
                }
                Err(reason) => format!("{reason}{}", comma_hint(text)),
            };
            faults.push(Refused { line, reason });
        }
        match faults.is_empty() {
            true => Ok(list),
            false => Err(faults),
        }
    }

    /// As `each`; an empty list is refused for this reason.
    pub(super) fn some_of<T: PartialEq>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
        reason: &str,
    ) -> Result<Vec<T>, Vec<Refused>> {
        let list = self.each(parse)?;
        if list.is_empty() {
            let line = self.lines.first().map_or(1, |(line, _)| *line);
            let reason = reason.to_owned();
            return Err(vec![Refused { line, reason }]);
        }
        Ok(list)
    }
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
