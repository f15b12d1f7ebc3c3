//! The structure of a MIME message as it streams by (RFC 2045, RFC 2046): header sections, bodies, delimiters.
//!
//! Promises: what is handed to the visitor, in its order, is the content to the octet, whatever its structure; any
//! split of the content gives the same. Limits: a header section of [`HEADER_MAX_OCTETS`], [`DEPTH_MAX`] levels;
//! past them [`Walker::is_lost`] says so, and nothing more is told apart.

/// The largest header section of a part that is read, octets.
const HEADER_MAX_OCTETS: usize = 64 * 1024;
/// Levels of multiparts.
const DEPTH_MAX: usize = 16;
/// Octets of a line that are looked at: no delimiter is longer.
const LINE_MAX_OCTETS: usize = 1024;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part without others in it.
    Leaf,
    /// Parts between delimiters.
    Multipart,
    /// A message in a message.
    Message,
}

/// Sees the content in its order.
pub(super) trait Visitor {
    /// A header section with its empty line, which may be missing at the end of the content.
    fn header(&mut self, header: &Header<'_>, kind: Kind);
    /// Octets of a leaf's body, within a line.
    fn body(&mut self, octets: &[u8]);
    /// A line end within a leaf's body.
    fn line_end(&mut self);
    /// The body of a leaf is over.
    fn body_ends(&mut self);
    /// Octets that belong to no leaf.
    fn between(&mut self, octets: &[u8]);
}

/// A header section.
pub(super) struct Header<'a> {
    /// All of it.
    pub(super) octets: &'a [u8],
}

impl<'a> Header<'a> {
    /// The fields, each with its folds and line ends.
    pub(super) fn fields(&self) -> Vec<&'a [u8]> {
        let mut fields = Vec::new();
        let (mut begin, mut at) = (0, 0);
        for line in self.octets.split_inclusive(|octet| *octet == b'\n') {
            let is_fold = line.starts_with(b" ") || line.starts_with(b"\t");
            if at > begin && !is_fold {
                fields.extend(self.octets.get(begin..at));
                begin = at;
            }
            at += line.len();
        }
        fields.extend(self.octets.get(begin..at).filter(|field| !field.is_empty()));
        fields
    }

    /// The value of the first field of this name, unfolded, as text.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let field = self
            .fields()
            .into_iter()
            .find(|field| is_named(field, name))?;
        let colon = field.iter().position(|octet| *octet == b':')?;
        let value = String::from_utf8_lossy(field.get(colon + 1..).unwrap_or_default());
        Some(value.replace(['\r', '\n'], "").trim().to_owned())
    }
}

/// Whether a field has this name.
pub(super) fn is_named(field: &[u8], name: &str) -> bool {
    let end = field.iter().position(|octet| *octet == b':');
    let own = end.and_then(|end| field.get(..end)).unwrap_or_default();
    own.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
}

/// Follows the structure.
#[derive(Debug)]
pub(super) struct Walker {
    place: Place,
    /// The delimiters that may come, outermost first, each with its two hyphens; and whether its parts are those
    /// of a digest.
    delimiters: Vec<(Vec<u8>, bool)>,
    header: Vec<u8>,
    /// The line that has come so far, where it may still be a delimiter.
    line: Vec<u8>,
    /// Whether the beginning of the line was handed on.
    is_within_line: bool,
    /// Whether a line end waits: it belongs to a delimiter, if one follows.
    holds_line_end: bool,
    /// Whether the part is a message where nothing says what it is.
    is_in_digest: bool,
    is_lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Leaf,
    /// Before, behind and between parts.
    Between,
}

impl Walker {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Header,
            delimiters: Vec::new(),
            header: Vec::new(),
            line: Vec::new(),
            is_within_line: false,
            holds_line_end: false,
            is_in_digest: false,
            is_lost: false,
        }
    }

    /// Whether the structure is beyond the limits.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Looks at more content.
    pub(super) fn feed(&mut self, piece: &[u8], visitor: &mut impl Visitor) {
        for run in piece.split_inclusive(|octet| *octet == b'\n') {
            self.line.extend_from_slice(run);
            let is_whole = self.line.ends_with(b"\n");
            let is_enough = self.is_within_line || self.line.len() > LINE_MAX_OCTETS;
            // A CR at the end may be that of a line end.
            if is_whole || (is_enough && !self.line.ends_with(b"\r")) {
                let line = std::mem::take(&mut self.line);
                match self.is_within_line {
                    true => self.rest_of_line(&line, visitor),
                    false => self.whole_line(&line, visitor),
                }
            }
        }
    }

    /// The content is over.
    pub(super) fn end(&mut self, visitor: &mut impl Visitor) {
        let line = std::mem::take(&mut self.line);
        match self.is_within_line {
            _ if line.is_empty() => {}
            true => self.rest_of_line(&line, visitor),
            false => self.whole_line(&line, visitor),
        }
        if self.place == Place::Header {
            self.end_header(visitor);
        }
        self.give_line_end(visitor);
        if self.place == Place::Leaf {
            visitor.body_ends();
        }
    }

    fn whole_line(&mut self, line: &[u8], visitor: &mut impl Visitor) {
        if let Some((level, is_last)) = self.delimiter(line) {
            return self.at_delimiter(line, level, is_last, visitor);
        }
        match self.place {
            Place::Header => {
                self.header.extend_from_slice(line);
                self.is_within_line = !line.ends_with(b"\n");
                if line == b"\r\n" || self.header.len() > HEADER_MAX_OCTETS {
                    self.is_lost |= self.header.len() > HEADER_MAX_OCTETS;
                    self.end_header(visitor);
                }
            }
            Place::Leaf | Place::Between => {
                self.give_line_end(visitor);
                self.rest_of_line(line, visitor);
            }
        }
    }

    /// A line of which nothing is to be decided any more, or a part of it.
    fn rest_of_line(&mut self, run: &[u8], visitor: &mut impl Visitor) {
        self.is_within_line = !run.ends_with(b"\n");
        match self.place {
            Place::Header => {
                self.header.extend_from_slice(run);
                if self.header.len() > HEADER_MAX_OCTETS {
                    self.is_lost = true;
                    self.end_header(visitor);
                }
            }
            Place::Between => visitor.between(run),
            Place::Leaf => match run.strip_suffix(b"\r\n") {
                Some(text) => {
                    visitor.body(text);
                    self.holds_line_end = true;
                }
                None => visitor.body(run),
            },
        }
    }

    fn give_line_end(&mut self, visitor: &mut impl Visitor) {
        if std::mem::take(&mut self.holds_line_end) {
            visitor.line_end();
        }
    }

    fn end_header(&mut self, visitor: &mut impl Visitor) {
        let octets = std::mem::take(&mut self.header);
        let header = Header { octets: &octets };
        let media = media(&header, self.is_in_digest);
        let is_message = media == "message/rfc822" || media == "message/global";
        let boundary = header.value("content-type").and_then(|value| {
            let boundary = super::parameter(&value, "boundary");
            boundary.filter(|boundary| !boundary.is_empty() && media.starts_with("multipart/"))
        });
        self.is_lost |= boundary.is_some() && self.delimiters.len() >= DEPTH_MAX;
        let kind = match (is_message, &boundary) {
            (true, _) => Kind::Message,
            (false, Some(_)) => Kind::Multipart,
            (false, None) => Kind::Leaf,
        };
        visitor.header(&header, kind);
        self.is_in_digest = false;
        self.place = match (is_message, boundary) {
            (true, _) => Place::Header,
            (false, None) => Place::Leaf,
            (false, Some(boundary)) => {
                let is_digest = media == "multipart/digest";
                let delimiter = format!("--{boundary}").into_bytes();
                self.delimiters.push((delimiter, is_digest));
                Place::Between
            }
        };
        if self.is_lost {
            // What follows is passed on as it is.
            self.delimiters.clear();
            self.place = Place::Between;
        }
    }

    fn at_delimiter(
        &mut self,
        line: &[u8],
        level: usize,
        is_last: bool,
        visitor: &mut impl Visitor,
    ) {
        match self.place {
            Place::Header => {
                // A part without an empty line has no body.
                self.end_header_early(visitor);
            }
            Place::Leaf => visitor.body_ends(),
            Place::Between => {}
        }
        if std::mem::take(&mut self.holds_line_end) {
            visitor.between(b"\r\n");
        }
        visitor.between(line);
        self.delimiters.truncate(level + usize::from(!is_last));
        self.is_in_digest = self.delimiters.last().is_some_and(|(_, digest)| *digest);
        self.place = match is_last {
            true => Place::Between,
            false => Place::Header,
        };
    }

    fn end_header_early(&mut self, visitor: &mut impl Visitor) {
        let octets = std::mem::take(&mut self.header);
        if !octets.is_empty() {
            visitor.between(&octets);
        }
    }

    /// The level of the delimiter that a line is, and whether it is the last of its level.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let mut levels = self.delimiters.iter().enumerate().rev();
        levels.find_map(|(level, (delimiter, _))| {
            let behind = line.strip_prefix(delimiter.as_slice())?;
            let (behind, is_last) = match behind.strip_prefix(b"--") {
                Some(behind) => (behind, true),
                None => (behind, false),
            };
            let is_one = behind.trim_ascii().is_empty();
            is_one.then_some((level, is_last))
        })
    }
}

/// Type and subtype in lower case, with the default (RFC 2045 section 5.2, RFC 2046 section 5.1.5).
pub(super) fn media(header: &Header<'_>, is_in_digest: bool) -> String {
    let Some(value) = header.value("content-type") else {
        let media = if is_in_digest {
            "message/rfc822"
        } else {
            "text/plain"
        };
        return media.to_owned();
    };
    let media = value.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}
