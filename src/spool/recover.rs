//! Start-up: what is in the folder becomes the state. Starting is recovering; there is no other way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::format::{self, Age, Found, HEADER, Header, Kind};
use super::log::{
    Log, Segment, Use, create_segment, lock_segment, make_folders, segment_name, segment_path,
    write_header,
};
use super::meta::Meta;
use super::store::{Changed, Entry, Place, parse_payload, read_whole};
use super::{Refusal, Spool, SpoolError, SpoolOptions};
use crate::events;
use crate::mail::{MessageId, Progress};
use crate::sys::disk::{Disk, OpenMode};
use crate::sys::random;

/// A good record of any segment.
struct Good {
    segment: u32,
    offset: u64,
    header: Header,
    payload: Payload,
}

enum Payload {
    Message(MessageId, u64),
    Done(Vec<(MessageId, Vec<Progress>)>),
}

impl Spool {
    /// Opens the spool and recovers all that an earlier run left undelivered.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it. Damage inside is no error: it is set
    /// aside in `bad/` and logged.
    pub fn open(disk: Arc<dyn Disk>, options: SpoolOptions) -> Result<Self, SpoolError> {
        let spool = Self::open_log(disk, options)?;
        spool.read_queue()?;
        Ok(spool)
    }

    /// Opens the spool and recovers its log; messages in files of their own are known once the queue is read.
    ///
    /// # Errors
    /// As for [`Spool::open`].
    pub fn open_log(disk: Arc<dyn Disk>, mut options: SpoolOptions) -> Result<Self, SpoolError> {
        // Nothing at a start needs space: mail goes on being delivered, and none is taken.
        tolerate_full(make_folders(&*disk, &options))?;
        let path = options.folder.join("lock");
        let lock = match disk.lock(&path) {
            Ok(lock) => Some(lock),
            // The segments are locked as well.
            Err(error) if Refusal::from(&error) == Refusal::NoSpace => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(SpoolError::InUse(options.folder.clone()));
            }
            Err(error) => return Err(SpoolError::io("cannot lock", &path)(error)),
        };
        // An earlier run may have been killed between a write and its sync. What is read from here on
        // is built upon, so it has to be durable: records, names in all folders, the folders themselves.
        let synced = disk.sync_file_system(&options.folder);
        synced.map_err(SpoolError::io("cannot sync", &options.folder))?;
        while options.secret == 0 {
            options.secret = draw().map_err(SpoolError::io("no random numbers for", &path))?;
        }
        let recovery = Recovery {
            disk: &*disk,
            options: &options,
        };
        let (log, entries) = recovery.run()?;
        Ok(Self::assemble(disk, options, lock, log, entries))
    }
}

/// What a full disk does not let be done is done later, or not at all.
pub(super) fn tolerate_full(result: Result<(), SpoolError>) -> Result<(), SpoolError> {
    match result {
        Err(error) if error.refusal() == Refusal::NoSpace => {
            events::spool_failed(&error);
            Ok(())
        }
        result => result,
    }
}

/// The names in a folder; none where a full disk has kept it from being made.
pub(super) fn names_in(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, SpoolError> {
    match disk.names(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(SpoolError::io("cannot list", folder)),
    }
}

fn draw() -> io::Result<u64> {
    let mut octets = [0; 8];
    random::fill(&mut octets)?;
    Ok(u64::from_le_bytes(octets))
}

pub(super) struct Recovery<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) options: &'a SpoolOptions,
}

impl Recovery<'_> {
    fn run(&self) -> Result<(Log, BTreeMap<MessageId, Entry>), SpoolError> {
        // First, for it locks them.
        let (mut segments, mut records) = self.read_segments()?;
        let mut entries = self.read_moved(&records);
        records.sort_by_key(|good| good.header.sequence);
        for good in &records {
            self.replay(good, &mut entries);
        }
        entries.retain(|id, entry| !entry.is_finished() && self.has_content(*id, entry));
        for entry in entries.values() {
            let Place::Log { segment, .. } = entry.place else {
                continue;
            };
            let segment = segments.iter_mut().find(|other| other.number == segment);
            if let Some(segment) = segment {
                segment.live += 1;
            }
        }
        let next_sequence = records.last().map_or(1, |good| good.header.sequence + 1);
        let mut log = Log {
            segments,
            next_sequence,
        };
        self.release_empty(&mut log)?;
        Ok((log, entries))
    }

    /// Messages of the log that have moved to files of their own.
    fn read_moved(&self, records: &[Good]) -> BTreeMap<MessageId, Entry> {
        let mut entries = BTreeMap::new();
        for good in records {
            if let Payload::Message(id, _) = &good.payload {
                if self.disk.exists(&self.options.queue_file(*id, "env")) {
                    entries.extend(self.read_envelope(&id.to_string()));
                }
            }
        }
        entries
    }

    /// A message in files of its own; what cannot be read is set aside.
    pub(super) fn read_envelope(&self, name: &str) -> Option<(MessageId, Entry)> {
        let folder = self.options.queue_folder();
        let path = folder.join(format!("{name}.env"));
        let meta = read_whole(self.disk, &path)
            .ok()
            .and_then(|text| Meta::parse(std::str::from_utf8(&text).ok()?))
            .filter(|meta| meta.id.to_string() == name);
        let Some(meta) = meta else {
            self.set_aside_file(&path, "its envelope cannot be read");
            self.set_aside_file(&folder.join(format!("{name}.eml")), "its envelope is lost");
            return None;
        };
        if !self.content_is_there(&meta) {
            self.set_aside_file(&path, "its content is missing or too short");
            return None;
        }
        let entry = Entry::found(Place::Queue, meta.received, meta.held);
        Some((meta.id, entry))
    }

    /// A file goes only after its message is durably finished; the record outlives it when the message
    /// was evicted and its segment could not be let go. It could never be read again.
    fn has_content(&self, id: MessageId, entry: &Entry) -> bool {
        let in_file = matches!(
            entry.place,
            Place::Log {
                kind: Kind::MessageFile,
                ..
            }
        );
        let path = self.options.queue_file(id, "eml");
        if in_file && !self.disk.exists(&path) {
            events::spool_message_set_aside(path.display(), "its content is missing", None);
            return false;
        }
        true
    }

    fn content_is_there(&self, meta: &Meta) -> bool {
        let path = self.options.queue_file(meta.id, "eml");
        let length = self
            .disk
            .open(&path, OpenMode::Existing)
            .and_then(|file| file.length());
        match (length, meta.file) {
            (Ok(length), Some((wanted, _))) => length >= wanted,
            (Ok(_), None) => true,
            (Err(_), _) => false,
        }
    }

    /// All segments and their good records.
    fn read_segments(&self) -> Result<(Vec<Segment>, Vec<Good>), SpoolError> {
        let folder = self.options.log_folder();
        let names = names_in(self.disk, &folder)?;
        // A copy under a name of another form is somebody's own.
        let numbers = names.iter().filter_map(|name| {
            let number = name.strip_suffix(".seg")?.parse().ok()?;
            (*name == segment_name(number)).then_some(number)
        });
        let numbers: BTreeSet<u32> = numbers.collect();
        let mut segments = Vec::new();
        let mut records = Vec::new();
        for number in numbers {
            segments.push(self.read_segment(number, &mut records)?);
        }
        if segments.is_empty() {
            let made = create_segment(self.disk, self.options, 0);
            tolerate_full(made.map(|made| segments.push(made)))?;
        }
        Ok((segments, records))
    }

    fn read_segment(&self, number: u32, records: &mut Vec<Good>) -> Result<Segment, SpoolError> {
        let path = segment_path(self.options, number);
        let file = self.disk.open(&path, OpenMode::Existing);
        let file = file.map_err(SpoolError::io("cannot open", &path))?;
        lock_segment(&*file, self.options, &path)?;
        let octets = read_whole(self.disk, &path)?;
        let age = format::parse_segment_header(&octets);
        let is_whole = octets.len() as u64 >= self.options.segment_octets;
        if age.is_some() && !is_whole {
            let missing = self.options.segment_octets - octets.len() as u64;
            events::spool_segment_truncated(path.display(), octets.len(), missing);
            // So that it is told once; where there is no room, at the next start as well.
            let _ = file.write_at(&[0], self.options.segment_octets - 1);
        }
        let packing = format::parse_batch_align(&octets);
        let mut fit = age.is_some() && is_whole && packing == Some(self.options.batch_align);
        let age = age.unwrap_or_else(|| self.adopt_headless(&octets, &path));
        let mut first_sequence = u64::MAX;
        for found in format::scan(&octets, age) {
            match found {
                Found::Record(offset, header) => {
                    first_sequence = first_sequence.min(header.sequence);
                    match good_record(number, offset, header, &octets) {
                        Some(good) => records.push(good),
                        None => self.set_aside(&octets, offset, header.span() as u64, &path),
                    }
                }
                Found::Bad {
                    offset,
                    octets: count,
                } => {
                    fit = false;
                    self.set_aside(&octets, offset, count, &path);
                }
            }
        }
        let empty = first_sequence == u64::MAX;
        Ok(Segment {
            number,
            path,
            file: Arc::from(file),
            age,
            end: octets.len() as u64,
            live: 0,
            first_sequence: if empty { 0 } else { first_sequence },
            use_: if empty { Use::Free } else { Use::Full },
            fit,
        })
    }

    /// A segment without a header that checks out: new and never used, or damaged.
    fn adopt_headless(&self, octets: &[u8], path: &Path) -> Age {
        if let Some(age) = format::age_of_first_record(octets) {
            self.set_aside(octets, 0, format::BLOCK, path);
            return age;
        }
        if octets.iter().any(|octet| *octet != 0) {
            self.set_aside(octets, 0, octets.len() as u64, path);
        }
        Age {
            generation: 0,
            salt: 0,
        }
    }

    fn replay(&self, good: &Good, entries: &mut BTreeMap<MessageId, Entry>) {
        match &good.payload {
            Payload::Message(id, received) => {
                let place = Place::Log {
                    segment: good.segment,
                    offset: good.offset,
                    length: good.header.length,
                    kind: good.header.kind,
                };
                // An `.env` has the later state and wins.
                let found = || Entry::found(place, *received, false);
                entries.entry(*id).or_insert_with(found);
            }
            Payload::Done(done) => {
                for (id, progress) in done {
                    let Some(entry) = entries.get_mut(id) else {
                        continue;
                    };
                    if matches!(entry.place, Place::Log { .. }) {
                        // A list of another length is ignored later.
                        let progress = progress.clone();
                        entry.changed = Some(Box::new(Changed {
                            progress,
                            ..Changed::default()
                        }));
                    }
                }
            }
        }
    }

    /// Frees the oldest segments as long as nothing in them is undelivered, and renews those that are
    /// free but not fit to be written: without a whole header, too short, of another packing, or with torn
    /// records in them.
    fn release_empty(&self, log: &mut Log) -> Result<(), SpoolError> {
        let secret = self.options.secret;
        for segment in std::mem::take(&mut log.segments) {
            log.segments.extend(self.renewed(segment)?);
        }
        while let Some(oldest) = log.oldest_full() {
            if oldest.live > 0 {
                break;
            }
            let age = oldest.age.next(secret, oldest.number);
            let written = write_header(&*oldest.file, age, self.options, &oldest.path);
            match written {
                // The deliverer tries again.
                Err(error) if error.refusal() == Refusal::NoSpace => break,
                written => written?,
            }
            oldest.age = age;
            oldest.use_ = Use::Free;
        }
        Ok(())
    }

    /// A segment that can be written where it is free. On a full disk one that is not fit for it is let
    /// go: nothing in it counts, and what the others hold can go out.
    fn renewed(&self, mut segment: Segment) -> Result<Option<Segment>, SpoolError> {
        if segment.use_ != Use::Free || segment.fit {
            return Ok(Some(segment));
        }
        match self.renew(&mut segment) {
            Ok(()) => Ok(Some(segment)),
            Err(error) if error.refusal() == Refusal::NoSpace => {
                let removed = self.disk.remove(&segment.path);
                removed.map_err(SpoolError::io("cannot remove", &segment.path))?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn renew(&self, segment: &mut Segment) -> Result<(), SpoolError> {
        if segment.end < self.options.segment_octets {
            let last = self.options.segment_octets - 1;
            let grown = segment.file.write_at(&[0], last);
            grown.map_err(SpoolError::io("cannot write", &segment.path))?;
        }
        segment.age = segment.age.next(self.options.secret, segment.number);
        write_header(&*segment.file, segment.age, self.options, &segment.path)
    }

    fn set_aside(&self, octets: &[u8], offset: u64, count: u64, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let target = self.options.bad_folder().join(format!("{name}-{offset}"));
        let from = offset as usize;
        let bad = octets.get(from..from + count as usize).unwrap_or_default();
        let kept = self.disk.open(&target, OpenMode::Replace).and_then(|file| {
            file.write_at(bad, 0)?;
            file.sync_data()
        });
        events::spool_damage_set_aside(path.display(), offset, count, kept.err());
    }

    fn set_aside_file(&self, path: &Path, reason: &str) {
        if !self.disk.exists(path) {
            return;
        }
        let name = path.file_name().unwrap_or_default();
        let moved = self
            .disk
            .rename(path, &self.options.bad_folder().join(name));
        events::spool_message_set_aside(path.display(), reason, moved.err());
    }
}

/// The record as what it means; `None` where it checks out but makes no sense.
fn good_record(segment: u32, offset: u64, header: Header, octets: &[u8]) -> Option<Good> {
    let from = offset as usize + HEADER;
    let payload = octets.get(from..from + header.length as usize)?;
    let payload = match header.kind {
        Kind::Message | Kind::MessageFile => {
            let (meta, _) = parse_payload(payload)?;
            Payload::Message(meta.id, meta.received)
        }
        Kind::Done => Payload::Done(format::parse_done(payload)),
    };
    Some(Good {
        segment,
        offset,
        header,
        payload,
    })
}
