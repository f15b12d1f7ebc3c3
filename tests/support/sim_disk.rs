//! A disk in memory that knows what was synced, loses power at any step, and fails at any step.
//!
//! Promises: what a program sees before a power cut is what a file system shows; after one, there is
//! what was synced and a [`Survival`] of the rest, write by write, sector by sector, name by name. Only
//! `sync_data` makes content and length durable, only `sync_folder` of the folder that holds a name (or
//! `sync_file_system` of the file system that it is on) makes a name durable; a rename is one thing, durable
//! with its target's folder.
//! Every call that changes or syncs something is one step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use gatepost::sys::disk::{Disk, DiskFile, OpenMode};

/// What of the unsynced work is there after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    Nothing,
    Everything,
    /// A subset that this seed gives.
    Some(u64),
}

/// One sync call, as [`SimDisk::ignore`] sees it.
pub struct SyncCall<'a> {
    pub what: Synced,
    pub path: &'a Path,
    /// Whether what was written last is at the start of the file.
    pub start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    File,
    Folder,
    FileSystem,
}

/// Says which syncs are left out.
pub type Ignore = fn(&SyncCall<'_>) -> bool;

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending: Vec<NameChange>,
    steps: usize,
    trace: Vec<String>,
    cut_at: Option<usize>,
    fail_at: Option<(usize, io::ErrorKind)>,
    /// Whether all steps behind it fail too.
    fail_on: bool,
    off: bool,
    boot: usize,
    blocked: Option<PathBuf>,
    ignore: Option<Ignore>,
    locked: Arc<AtomicBool>,
    /// Folders that are file systems of their own.
    mounts: Vec<PathBuf>,
    /// Whether a page that is being rewritten may be lost with the power, and what it held before with it.
    tears_pages: bool,
    /// Whether a sync of a file system hides that writes failed, as Linux before 5.8 does.
    hides_failed_writes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Default)]
struct File {
    octets: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    device: u64,
    /// There as long as whoever locked it has it open.
    lock: Weak<()>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate,
}

#[derive(Clone)]
enum NameChange {
    Link(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

impl File {
    /// Only what was written since the last sync, failed or not, becomes durable.
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }
}

impl NameChange {
    /// The path whose folder makes it durable.
    fn path(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Rename(_, path, _) | Self::Remove(path) => path,
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Link(path, node) => {
                names.insert(path, node);
            }
            Self::Rename(from, to, node) => {
                if names.get(&from) == Some(&node) {
                    names.remove(&from);
                }
                names.insert(to, node);
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Truncate => octets.clear(),
            Self::Write(offset, data) => {
                let from = *offset as usize;
                if octets.len() < from + data.len() {
                    octets.resize(from + data.len(), 0);
                }
                octets[from..from + data.len()].copy_from_slice(data);
            }
        }
    }

    /// Some of the pages that it touches become rubbish as a whole.
    fn tear(&self, octets: &mut [u8], random: &mut Random) {
        let Self::Write(offset, data) = self else {
            return;
        };
        let first = *offset as usize / PAGE;
        let pages = octets.chunks_mut(PAGE).skip(first);
        let last = (*offset as usize + data.len()).div_ceil(PAGE);
        for page in pages.take(last - first) {
            if random.next() % 3 == 0 {
                page.fill_with(|| random.next() as u8);
            }
        }
    }

    /// The parts that reach the platter each by itself.
    fn sectors(&self) -> Vec<Self> {
        let Self::Write(offset, data) = self else {
            return vec![self.clone()];
        };
        let mut parts = Vec::new();
        let (mut at, mut rest) = (*offset, data.as_slice());
        while !rest.is_empty() {
            let room = (SECTOR - at % SECTOR) as usize;
            let (part, tail) = rest.split_at(room.min(rest.len()));
            parts.push(Self::Write(at, part.to_vec()));
            at += part.len() as u64;
            rest = tail;
        }
        parts
    }
}

/// Whether a step is to be carried out, or what happens instead.
enum Fate {
    Runs,
    /// It begins, and the power goes.
    Cut,
    Fails(io::ErrorKind),
}

impl Inner {
    fn check(&self) -> io::Result<()> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    fn step(&mut self, what: impl FnOnce() -> String) -> io::Result<Fate> {
        self.check()?;
        self.steps += 1;
        self.trace.push(what());
        if self.cut_at == Some(self.steps) {
            self.off = true;
            return Ok(Fate::Cut);
        }
        match self.fail_at {
            Some((step, kind)) if step == self.steps || self.fail_on && step < self.steps => {
                Ok(Fate::Fails(kind))
            }
            _ => Ok(Fate::Runs),
        }
    }

    /// A step that changes names.
    fn name_step(&mut self, what: impl FnOnce() -> String, change: NameChange) -> io::Result<()> {
        let fate = self.step(what)?;
        if let Fate::Fails(kind) = fate {
            return Err(kind.into());
        }
        change.clone().apply(&mut self.names);
        self.pending.push(change);
        self.check()
    }

    fn write(&mut self, file: usize, path: &Path, octets: &[u8], offset: u64) -> io::Result<()> {
        let fate = self.step(|| format!("write {} {offset} {}", path.display(), octets.len()))?;
        let written = match fate {
            Fate::Fails(_) => &octets[..octets.len() / 2],
            Fate::Runs | Fate::Cut => octets,
        };
        let change = Change::Write(offset, written.to_vec());
        let file = &mut self.files[file];
        change.apply(&mut file.octets);
        file.pending.push(change);
        match fate {
            Fate::Fails(kind) => Err(kind.into()),
            Fate::Runs | Fate::Cut => self.check(),
        }
    }

    /// Whether a sync call does its work.
    fn sync_step(&mut self, what: Synced, path: &Path, start: bool) -> io::Result<bool> {
        match self.step(|| format!("sync {what:?} {}", path.display()))? {
            Fate::Fails(kind) => {
                self.lose_unsynced(what, path);
                if what == Synced::FileSystem && self.hides_failed_writes {
                    return Ok(false);
                }
                return Err(kind.into());
            }
            Fate::Cut => return Err(io::Error::other("the power is off")),
            Fate::Runs => {}
        }
        let call = SyncCall { what, path, start };
        Ok(!self.ignore.is_some_and(|ignore| ignore(&call)))
    }

    /// The number of the file system that a path is on.
    fn device_of(&self, path: &Path) -> u64 {
        let above = |mount: &&PathBuf| path.starts_with(mount);
        let mounts = self.mounts.iter().filter(above);
        let nearest = mounts.max_by_key(|mount| mount.as_os_str().len());
        let number = nearest.and_then(|mount| self.mounts.iter().position(|one| one == mount));
        number.map_or(0, |number| number as u64 + 1)
    }

    /// What Linux does when a sync fails: some of it got to the disk, and what did not never will, though
    /// reads still show it.
    fn lose_unsynced(&mut self, what: Synced, path: &Path) {
        let mut random = Random(self.steps as u64);
        let device = self.device_of(path);
        for (number, file) in self.files.iter_mut().enumerate() {
            let meant = match what {
                Synced::File => self.names.get(path) == Some(&Node::File(number)),
                Synced::Folder => false,
                Synced::FileSystem => file.device == device,
            };
            if meant {
                for change in std::mem::take(&mut file.pending) {
                    survive(&change, &mut file.durable, false, Some(&mut random));
                }
            }
        }
    }

    fn settle_names(&mut self, is_wanted: impl Fn(&Path) -> bool) {
        let mut rest = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            if is_wanted(change.path()) {
                change.apply(&mut self.durable_names);
            } else {
                rest.push(change);
            }
        }
        self.pending = rest;
    }

    fn settle_file_system(&mut self, device: u64) {
        let mounts = Self {
            mounts: self.mounts.clone(),
            ..Self::default()
        };
        self.settle_names(|changed| mounts.device_of(changed) == device);
        for file in &mut self.files {
            if file.device == device {
                file.sync();
            }
        }
    }

    fn is_blocked(&self, path: &Path) -> bool {
        self.blocked
            .as_ref()
            .is_some_and(|blocked| path.starts_with(blocked))
    }

    fn has_folder(&self, path: Option<&Path>) -> bool {
        path.is_none_or(|path| {
            path == Path::new("/") || self.names.get(path) == Some(&Node::Folder)
        })
    }
}

impl SimDisk {
    /// An empty disk with these folders, durable.
    pub fn new(folders: &[&str]) -> Self {
        let disk = Self::default();
        let mut inner = disk.lock_inner();
        for folder in folders {
            for path in Path::new(folder).ancestors() {
                inner.names.insert(path.to_owned(), Node::Folder);
            }
        }
        inner.durable_names = inner.names.clone();
        drop(inner);
        disk
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Cuts the power within this step, counted from the last boot.
    pub fn cut_at(&self, step: usize) {
        self.lock_inner().cut_at = Some(step);
    }

    /// Lets this step fail alone.
    pub fn fail_at(&self, step: usize, kind: io::ErrorKind) {
        self.lock_inner().fail_at = Some((step, kind));
    }

    /// Lets this step and all behind it fail, until [`SimDisk::heal`].
    pub fn fail_from(&self, step: usize, kind: io::ErrorKind) {
        let mut inner = self.lock_inner();
        (inner.fail_at, inner.fail_on) = (Some((step, kind)), true);
    }

    /// Nothing fails from now on.
    pub fn heal(&self) {
        let mut inner = self.lock_inner();
        (inner.fail_at, inner.fail_on) = (None, false);
    }

    /// Leaves out the syncs this says.
    pub fn ignore(&self, ignore: Ignore) {
        self.lock_inner().ignore = Some(ignore);
    }

    /// Makes a folder that is there a file system of its own.
    pub fn mount(&self, folder: &str) {
        self.lock_inner().mounts.push(folder.into());
    }

    /// Pages that are being written when the power goes may hold rubbish from now on, also where they held
    /// something durable: an SD card that writes by pages.
    pub fn tear_pages(&self) {
        self.lock_inner().tears_pages = true;
    }

    /// Syncs of a file system hide from now on that writes failed.
    pub fn hide_failed_writes(&self) {
        self.lock_inner().hides_failed_writes = true;
    }

    /// Lets nothing be made below this folder.
    pub fn block(&self, folder: Option<&str>) {
        self.lock_inner().blocked = folder.map(PathBuf::from);
    }

    pub fn is_off(&self) -> bool {
        self.lock_inner().off
    }

    /// Steps since the last boot.
    pub fn steps(&self) -> usize {
        self.lock_inner().steps
    }

    /// What the steps since the last boot were.
    pub fn trace(&self) -> Vec<String> {
        self.lock_inner().trace.clone()
    }

    /// Another disk in the same state.
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock_inner().clone())))
    }

    /// The process was killed within its last step; the kernel lives on, and keeps what is unsynced.
    pub fn restart(&self) {
        let mut inner = self.lock_inner();
        (inner.steps, inner.boot, inner.off) = (0, inner.boot + 1, false);
        (inner.cut_at, inner.fail_at, inner.blocked) = (None, None, None);
        inner.fail_on = false;
        inner.trace.clear();
        inner.locked = Arc::default();
        inner
            .files
            .iter_mut()
            .for_each(|file| file.lock = Weak::new());
    }

    /// The power goes (if it has not), and comes again.
    pub fn reboot(&self, survival: Survival) {
        let mut guard = self.lock_inner();
        let inner = &mut *guard;
        let mut random = match survival {
            Survival::Some(seed) => Some(Random(seed)),
            Survival::Nothing | Survival::Everything => None,
        };
        let all = survival == Survival::Everything;
        let tears = inner.tears_pages;
        for change in std::mem::take(&mut inner.pending) {
            if random.as_mut().map_or(all, Random::coin) {
                change.apply(&mut inner.durable_names);
            }
        }
        for file in &mut inner.files {
            let pending = std::mem::take(&mut file.pending);
            for change in &pending {
                survive(change, &mut file.durable, all, random.as_mut());
            }
            if let Some(random) = random.as_mut().filter(|_| tears) {
                pending
                    .iter()
                    .for_each(|change| change.tear(&mut file.durable, random));
            }
            file.octets.clone_from(&file.durable);
        }
        let found = inner.durable_names.clone();
        inner.durable_names.retain(|path, _| {
            path.ancestors()
                .skip(1)
                .all(|above| found.get(above) == Some(&Node::Folder))
        });
        inner.names.clone_from(&inner.durable_names);
        drop(guard);
        self.restart();
    }

    /// The files below a folder and what is in them; no step.
    pub fn files_below(&self, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let inner = self.lock_inner();
        let below = inner.names.iter().filter_map(|(path, node)| match node {
            Node::File(file) if path.starts_with(folder) => {
                Some((path.clone(), inner.files[*file].octets.clone()))
            }
            Node::File(_) | Node::Folder => None,
        });
        below.collect()
    }

    /// Removes a file, durably: a reader took it long ago. No step.
    pub fn take(&self, path: &Path) {
        let mut inner = self.lock_inner();
        inner.settle_names(|changed| changed == path);
        inner.names.remove(path);
        inner.durable_names.remove(path);
    }

    /// Replaces what is in a file, durably; no step.
    pub fn put(&self, path: &Path, octets: &[u8]) {
        let mut inner = self.lock_inner();
        if let Some(Node::File(file)) = inner.names.get(path).copied() {
            let file = &mut inner.files[file];
            (file.octets, file.durable) = (octets.to_vec(), octets.to_vec());
            file.pending.clear();
        }
    }
}

fn survive(change: &Change, durable: &mut Vec<u8>, all: bool, random: Option<&mut Random>) {
    match random {
        None if all => change.apply(durable),
        None => {}
        Some(random) => match random.next() % 4 {
            0 => {}
            1 | 2 => change.apply(durable),
            _ => {
                let sectors = change.sectors();
                let kept = sectors.iter().filter(|_| random.coin());
                kept.for_each(|sector| sector.apply(durable));
            }
        },
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() % 2 == 0
    }
}

struct SimFile {
    disk: SimDisk,
    file: usize,
    boot: usize,
    path: PathBuf,
    lock: Mutex<Option<Arc<()>>>,
}

impl SimFile {
    fn inner(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.lock_inner();
        inner.check()?;
        if inner.boot != self.boot {
            return Err(io::Error::other("a file from before the power cut"));
        }
        Ok(inner)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.inner()?;
        let octets = &inner.files[self.file].octets;
        let rest = octets.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.inner()?.write(self.file, &self.path, octets, offset)
    }

    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        self.write_at(&slices.concat(), offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner()?;
        let last = inner.files[self.file].pending.last();
        let start = matches!(last, Some(Change::Write(0, _)));
        if inner.sync_step(Synced::File, &self.path, start)? {
            inner.files[self.file].sync();
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.inner()?.files[self.file].octets.len() as u64)
    }

    fn device(&self) -> io::Result<u64> {
        Ok(self.inner()?.files[self.file].device)
    }

    fn lock(&self) -> io::Result<()> {
        let mut inner = self.inner()?;
        let file = &mut inner.files[self.file];
        if file.lock.upgrade().is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let lock = Arc::new(());
        file.lock = Arc::downgrade(&lock);
        *self.lock.lock().unwrap() = Some(lock);
        Ok(())
    }
}

struct Lock(Arc<AtomicBool>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Disk for SimDisk {
    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        let mut inner = self.lock_inner();
        inner.check()?;
        if inner.names.get(path) == Some(&Node::Folder) {
            return Ok(false);
        }
        if inner.is_blocked(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut missing: Vec<_> = path.ancestors().map(Path::to_owned).collect();
        missing.retain(|folder| !inner.names.contains_key(folder));
        for folder in missing.into_iter().rev() {
            inner.name_step(
                || format!("folder {}", folder.display()),
                NameChange::Link(folder.clone(), Node::Folder),
            )?;
        }
        Ok(true)
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let inner = self.lock_inner();
        inner.check()?;
        if inner.locked.swap(true, Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock(Arc::clone(&inner.locked))))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.lock_inner();
        inner.check()?;
        let file = match (inner.names.get(path).copied(), mode) {
            (Some(Node::Folder), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (None, OpenMode::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (Some(_), OpenMode::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::File(file)), OpenMode::Existing) => file,
            _ if inner.is_blocked(path) => return Err(io::ErrorKind::PermissionDenied.into()),
            (Some(Node::File(file)), OpenMode::Replace) => {
                match inner.step(|| format!("empty {}", path.display()))? {
                    Fate::Fails(kind) => return Err(kind.into()),
                    Fate::Runs | Fate::Cut => {}
                }
                inner.files[file].octets.clear();
                inner.files[file].pending.push(Change::Truncate);
                file
            }
            (None, OpenMode::New | OpenMode::Replace) => {
                if !inner.has_folder(path.parent()) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let file = inner.files.len();
                let device = inner.device_of(path);
                inner.files.push(File {
                    device,
                    ..File::default()
                });
                inner.name_step(
                    || format!("make {}", path.display()),
                    NameChange::Link(path.to_owned(), Node::File(file)),
                )?;
                file
            }
        };
        inner.check()?;
        Ok(Box::new(SimFile {
            disk: self.clone(),
            file,
            boot: inner.boot,
            path: path.to_owned(),
            lock: Mutex::default(),
        }))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let inner = self.lock_inner();
        inner.check()?;
        if !inner.has_folder(Some(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = inner
            .names
            .keys()
            .filter(|path| path.parent() == Some(folder));
        let names = inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Ok(names.collect())
    }

    fn exists(&self, path: &Path) -> bool {
        let inner = self.lock_inner();
        !inner.off && inner.names.contains_key(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock_inner();
        inner.check()?;
        let node = inner.names.get(from).copied();
        let node = node.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        if !inner.has_folder(to.parent()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if inner.device_of(from) != inner.device_of(to) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        inner.name_step(
            || format!("rename {} {}", from.display(), to.display()),
            NameChange::Rename(from.to_owned(), to.to_owned(), node),
        )
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock_inner();
        inner.check()?;
        if !inner.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.name_step(
            || format!("remove {}", path.display()),
            NameChange::Remove(path.to_owned()),
        )
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock_inner();
        inner.check()?;
        if !inner.has_folder(Some(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if inner.sync_step(Synced::Folder, path, false)? {
            inner.settle_names(|changed| changed.parent() == Some(path));
        }
        Ok(())
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock_inner();
        if inner.sync_step(Synced::FileSystem, path, false)? {
            let device = inner.device_of(path);
            inner.settle_file_system(device);
        }
        Ok(())
    }

    fn tells_failed_writes(&self) -> bool {
        !self.lock_inner().hides_failed_writes
    }

    fn free_octets(&self, _path: &Path) -> io::Result<u64> {
        self.lock_inner().check()?;
        Ok(1 << 40)
    }
}

/// Octets of a page.
const PAGE: usize = 4096;
/// Octets that are written whole or not at all.
const SECTOR: u64 = 512;
