//! Facts for the operator, as a line of `key=value` or as a JSON object.

use std::fmt::Write as _;

use crate::events::line::escape;
use crate::protocol::json::quoted;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    Text(String),
    Number(i64),
    YesNo(bool),
    /// Not known, or there is none.
    Nothing,
    /// An object; in a line there is no place for it.
    Object(Facts),
    /// Objects in a list; no place for them either.
    List(Vec<Facts>),
}

/// Values with their names, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts(Vec<(&'static str, Fact)>);

impl Facts {
    pub(crate) fn text(self, key: &'static str, value: impl ToString) -> Self {
        self.add(key, Fact::Text(value.to_string()))
    }

    pub(crate) fn maybe(self, key: &'static str, value: Option<impl ToString>) -> Self {
        let fact = value.map_or(Fact::Nothing, |value| Fact::Text(value.to_string()));
        self.add(key, fact)
    }

    pub(crate) fn number(self, key: &'static str, value: impl TryInto<i64>) -> Self {
        let number = value.try_into().unwrap_or(i64::MAX);
        self.add(key, Fact::Number(number))
    }

    pub(crate) fn add(mut self, key: &'static str, fact: Fact) -> Self {
        self.0.push((key, fact));
        self
    }

    /// `key=value key=value`; what is not there is left out, what a peer said is escaped.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for (key, fact) in &self.0 {
            let value = match fact {
                Fact::Text(text) => escape(text),
                Fact::Number(number) => number.to_string(),
                Fact::YesNo(true) => "yes".to_owned(),
                Fact::YesNo(false) => "no".to_owned(),
                Fact::Nothing | Fact::Object(_) | Fact::List(_) => continue,
            };
            let gap = if line.is_empty() { "" } else { " " };
            let _ = write!(line, "{gap}{key}={value}");
        }
        line
    }

    /// A JSON object (RFC 8259).
    pub(crate) fn json(&self) -> String {
        let mut object = "{".to_owned();
        for (at, (key, fact)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(object, "{comma}\"{key}\":");
            match fact {
                Fact::Text(text) => object.push_str(&quoted(text)),
                Fact::Number(number) => object.push_str(&number.to_string()),
                Fact::YesNo(yes) => object.push_str(if *yes { "true" } else { "false" }),
                Fact::Nothing => object.push_str("null"),
                Fact::Object(facts) => object.push_str(&facts.json()),
                Fact::List(list) => object.push_str(&array(list)),
            }
        }
        object.push('}');
        object
    }
}

/// A JSON array of objects.
fn array(list: &[Facts]) -> String {
    let objects: Vec<String> = list.iter().map(Facts::json).collect();
    format!("[{}]", objects.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_lines_and_objects_that_nobody_can_forge() {
        let facts = Facts::default()
            .text("id", "1")
            .number("seconds", 12_u64)
            .maybe("helo", Some("a\" b=c\n\u{e9}"))
            .maybe("user", None::<String>)
            .add("auth", Fact::YesNo(true))
            .add("list", Fact::List(vec![Facts::default().number("n", 1_u8)]))
            .add("one", Fact::Object(Facts::default()));
        assert_eq!(
            facts.line(),
            "id=1 seconds=12 helo=\"a\\\" b=c\\x0a\\xc3\\xa9\" auth=yes"
        );
        assert_eq!(
            facts.json(),
            "{\"id\":\"1\",\"seconds\":12,\"helo\":\"a\\\" b=c\\u000a\u{e9}\",\"user\":null,\
             \"auth\":true,\"list\":[{\"n\":1}],\"one\":{}}"
        );
    }
}
