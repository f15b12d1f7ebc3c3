//! The sample configuration: every key of the table, commented out at its default.

use super::keys::{self, ANY_NAME, Text};

/// The whole text of `conf/gatepost.ini`.
pub fn render() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for about in keys::explained() {
        if about.key.section() != section {
            section = about.key.section();
            text.push_str(&header(section));
        }
        text.push_str(&entry(about));
    }
    text
}

/// Sections with names are examples, so their headers are commented out as well.
fn header(section: &str) -> String {
    let mark = if section.ends_with(ANY_NAME) { ";" } else { "" };
    format!("\n\n{mark}[{section}]\n")
}

fn entry(about: &Text) -> String {
    let key = about.key;
    let mut text = "\n".to_owned();
    paragraph(&mut text, about.meaning);
    paragraph(&mut text, about.change);
    // A text that ends a sentence itself needs no second full stop.
    let default = about.default.in_words().trim_end_matches('.');
    let values = key.kind.values();
    paragraph(&mut text, &format!("Values: {values}. Default: {default}."));
    if let Some(field) = about.domino {
        paragraph(&mut text, &format!("Domino: {field}."));
    }
    let value = about.default.sample();
    let blank = if value.is_empty() { "" } else { " " };
    text.push_str(&format!(";{} ={blank}{value}\n", key.name));
    text
}

/// Adds a paragraph as comment lines of at most 78 columns.
fn paragraph(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > LINE_MAX_COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

const LINE_MAX_COLUMNS: usize = 78;
const HEAD: &str = "\
# The configuration of gatepost; see gatepost.ini(5).
#
# Every key stands here commented out at its default, or with an example where
# it has none. To set one, take away the semicolon. After a change, run
# `gatepost check`.
#
# A comment is a whole line that begins with # or ;. A list is separated by
# commas and may go on over indented lines. Names of sections and keys, yes/no
# and words know no upper and lower case.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_names_every_key_and_keeps_its_lines_short() {
        let text = render();
        for key in keys::all() {
            assert!(text.contains(&format!("\n;{} =", key.name)), "{}", key.name);
        }
        assert!(text.lines().all(|line| line.len() <= LINE_MAX_COLUMNS));
        assert!(!text.lines().any(|line| line.ends_with(' ')));
    }
}
