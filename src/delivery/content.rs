//! The content of a message read back from the spool, piece by piece.
//!
//! Promises: memory does not depend on the size of the message; content in a file is checked against its
//! checksum, and the error comes before the reader is told that the content has ended.

use std::io;

use crate::protocol::mime::seven_bit::{Converter, Plan, Survey};
use crate::spool::Content;

/// Octets of a large message moved at once.
const PIECE_OCTETS: usize = 32 * 1024;

/// Content to be read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    content: &'a Content,
    buffer: &'a [u8],
}

impl<'a> Source<'a> {
    /// The content, and the buffer that the message was read into.
    pub(super) fn new(content: &'a Content, buffer: &'a [u8]) -> Self {
        Self { content, buffer }
    }

    /// Its length, octets.
    pub(super) fn octets(&self) -> u64 {
        match self.content {
            Content::Memory(range) => range.len() as u64,
            Content::File(_, length, _) => *length,
        }
    }

    /// Gives every piece to `take`, in order.
    ///
    /// # Errors
    /// The disk's, damage, or what `take` says.
    pub(super) fn each<E: From<io::Error>>(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (file, length, crc) = match self.content {
            Content::Memory(range) => {
                let octets = self.buffer.get(range.clone()).unwrap_or_default();
                return octets.chunks(PIECE_OCTETS).try_for_each(take);
            }
            Content::File(file, length, crc) => (file, *length, *crc),
        };
        let mut piece = vec![0; PIECE_OCTETS];
        let mut hasher = crc32fast::Hasher::new();
        let mut from = 0;
        while from < length {
            // The file may be longer: see the spool's `header`.
            piece.truncate(usize::try_from(length - from).unwrap_or(PIECE_OCTETS));
            let count = file.read_at(&mut piece, from)?;
            let octets = piece.get(..count).unwrap_or_default();
            if octets.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            hasher.update(octets);
            take(octets)?;
            from += count as u64;
        }
        if hasher.finalize() != crc {
            let text = "the content in the spool is damaged";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
        Ok(())
    }

    /// Its first octets, at most so many. Where that is not all of it, damage is not noticed.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub(super) fn first(&self, octets_max: usize) -> io::Result<Vec<u8>> {
        /// Enough was read, or it cannot be.
        enum End {
            Enough,
            Error(io::Error),
        }
        impl From<io::Error> for End {
            fn from(error: io::Error) -> Self {
                Self::Error(error)
            }
        }
        let mut first = Vec::new();
        let end = self.each(|piece| {
            let room = octets_max - first.len();
            first.extend_from_slice(piece.get(..room).unwrap_or(piece));
            match piece.len() > room {
                true => Err(End::Enough),
                false => Ok(()),
            }
        });
        match end {
            Ok(()) | Err(End::Enough) => Ok(first),
            Err(End::Error(error)) => Err(error),
        }
    }

    /// Whether all of it is ASCII.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub(super) fn is_ascii(&self) -> io::Result<bool> {
        let mut is_ascii = true;
        self.each(|piece| {
            is_ascii &= piece.is_ascii();
            Ok::<(), io::Error>(())
        })?;
        Ok(is_ascii)
    }

    /// How it is made seven-bit, and its length then; none where it cannot be, or need not.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub(super) fn seven_bit(&self) -> io::Result<Option<(Plan, u64)>> {
        let mut survey = Survey::default();
        self.each(|piece| {
            survey.feed(piece);
            Ok::<(), io::Error>(())
        })?;
        let Some(plan) = survey.finish() else {
            return Ok(None);
        };
        let mut octets = 0;
        self.each_converted(Some(&plan), |piece| {
            octets += piece.len() as u64;
            Ok::<(), io::Error>(())
        })?;
        Ok(Some((plan, octets)))
    }

    /// [`Source::each`], converted as a plan says where there is one.
    ///
    /// # Errors
    /// As there.
    pub(super) fn each_converted<E: From<io::Error>>(
        &self,
        plan: Option<&Plan>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(plan) = plan else {
            return self.each(take);
        };
        let mut converter = Converter::new(plan.clone());
        self.each(|piece| take(&converter.feed(piece)))?;
        take(&converter.finish())
    }

    /// Whether its header section is ASCII; of a huge one, its beginning.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub(super) fn has_ascii_header(&self) -> io::Result<bool> {
        let first = self.first(HEADER_MAX_OCTETS)?;
        let end = first.windows(4).position(|octets| octets == b"\r\n\r\n");
        let header = end.and_then(|end| first.get(..end));
        Ok(header.unwrap_or(&first).is_ascii())
    }
}

/// What is looked at of a header section, octets.
const HEADER_MAX_OCTETS: usize = 128 * 1024;
