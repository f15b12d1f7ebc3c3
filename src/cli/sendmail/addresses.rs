//! Address lists of header fields (RFC 5322 section 3.4), as far as their mailboxes are wanted.
//!
//! Promises: display names, quoted strings, comments and groups are passed over; what is left is one text
//! for each mailbox. Refuses to know: whether it is a good address (its user does).

/// The addresses of a list. Text without a comma is one address.
pub(super) fn addresses(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut one = One::default();
    let mut characters = list.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => {
                one.push('"');
                quoted(&mut characters, &mut one);
            }
            '(' if !one.in_angle => comment(&mut characters),
            '<' => {
                one.in_angle = true;
                one.angle = Some(String::new());
            }
            '>' => one.in_angle = false,
            // What stood before was the name of a group, unless it is an address-literal's.
            ':' if one.angle.is_none() && !one.in_literal() => one = One::default(),
            ',' | ';' if !one.in_angle => one.end(&mut found),
            c => one.push(c),
        }
    }
    one.end(&mut found);
    found
}

/// An address as far as it was read.
#[derive(Default)]
struct One {
    plain: String,
    angle: Option<String>,
    in_angle: bool,
}

impl One {
    fn push(&mut self, c: char) {
        match &mut self.angle {
            Some(angle) if self.in_angle => angle.push(c),
            Some(_) => {}
            None => self.plain.push(c),
        }
    }

    fn in_literal(&self) -> bool {
        let open = self.plain.rfind('[');
        open.is_some_and(|open| !self.plain.get(open..).unwrap_or_default().contains(']'))
    }

    fn end(&mut self, found: &mut Vec<String>) {
        let one = std::mem::take(self);
        let text = one.angle.unwrap_or(one.plain);
        let text = text.trim();
        if !text.is_empty() {
            found.push(text.to_owned());
        }
    }
}

/// The rest of a quoted string.
fn quoted(characters: &mut impl Iterator<Item = char>, one: &mut One) {
    while let Some(c) = characters.next() {
        one.push(c);
        match c {
            '"' => return,
            '\\' => {
                if let Some(next) = characters.next() {
                    one.push(next);
                }
            }
            _ => {}
        }
    }
}

/// The rest of a comment; comments nest.
fn comment(characters: &mut impl Iterator<Item = char>) {
    let mut depth = 1_usize;
    while let Some(c) = characters.next() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => {
                characters.next();
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_found_in_every_form_of_a_list() {
        let rows: &[(&str, &[&str])] = &[
            ("", &[]),
            ("a@b", &["a@b"]),
            (" a@b , c ", &["a@b", "c"]),
            ("A <a@b>, \"C, D\" <c@d>", &["a@b", "c@d"]),
            ("a@b (Al, (the) one), c@d", &["a@b", "c@d"]),
            ("a@b (\\) x), c@d", &["a@b", "c@d"]),
            ("team: a@b, C <c@d>;, e@f", &["a@b", "c@d", "e@f"]),
            ("undisclosed-recipients:;", &[]),
            ("\"big boss\"@b", &["\"big boss\"@b"]),
            ("\"a\\\"b, c\"@d", &["\"a\\\"b, c\"@d"]),
            ("<>", &[]),
            ("a@[IPv6:::1], b", &["a@[IPv6:::1]", "b"]),
            ("A <a@b", &["a@b"]),
            ("A <a@b> Cc: c@d", &["a@b"]),
            ("<@x,@y:a@b>, c", &["@x,@y:a@b", "c"]),
            ("\"open", &["\"open"]),
            ("(open", &[]),
            (",,;", &[]),
        ];
        for (list, want) in rows {
            assert_eq!(addresses(list), *want, "{list:?}");
        }
    }
}
