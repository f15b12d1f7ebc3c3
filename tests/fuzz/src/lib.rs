//! What the fuzz targets share: seeded random input, mutations of a corpus, and the loop.
//!
//! Each target is a program: `cargo run --release --bin TARGET -- SECONDS [SEED]`. It prints its seed,
//! stops at the first input that breaks a promise, and leaves that input in `artifacts/`. With
//! `--input FILE` it runs that one. An input that takes longer than [`INPUT_MAX_TIME`] breaks a promise
//! too. It needs no nightly compiler and no fuzzing engine.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest input that is made.
const INPUT_MAX_OCTETS: usize = 16 * 1024;
/// The longest that one input may take, on a machine with other things to do.
const INPUT_MAX_TIME: Duration = Duration::from_secs(20);

/// Pseudo-random numbers (xorshift64*): the same seed gives the same run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// `input` in pieces of random length, some of them empty.
    pub fn split<'a>(&mut self, input: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = [2, 3, 8, 80, 4_096][self.below(5)];
        let (mut pieces, mut rest) = (Vec::new(), input);
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(self.below(longest + 1).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces
    }
}

/// Runs a target as the arguments say. `tokens` are what its input is made of.
pub fn main(
    name: &str,
    corpus: Vec<Vec<u8>>,
    tokens: &[&[u8]],
    mut target: impl FnMut(&[u8], &mut Random),
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (first, second) = (arguments.first(), arguments.get(1));
    if let (Some("--input"), Some(file)) = (first.map(String::as_str), second) {
        let input = fs::read(file).expect("the input can be read");
        target(&input, &mut Random::new(1));
        return ExitCode::SUCCESS;
    }
    let number = |text: Option<&String>| text.map(|text| text.parse().expect("a number"));
    let seconds = number(first).unwrap_or(10);
    let seed = number(second).unwrap_or_else(clock_seed);
    println!(
        "{name}: seed {seed}, {seconds} s, {} inputs to begin with",
        corpus.len()
    );
    let mut random = Random::new(seed);
    let (mut corpus, mut runs) = (corpus, 0_u64);
    let watch = Watch::start(name, seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let input = make(&corpus, tokens, &mut random);
        watch.begin(&input);
        let tried = catch_unwind(AssertUnwindSafe(|| target(&input, &mut random)));
        watch.end();
        if tried.is_err() {
            let file = leave(name, seed, &input);
            println!(
                "{name}: broken after {runs} runs, seed {seed}: {}",
                file.display()
            );
            return ExitCode::FAILURE;
        }
        runs += 1;
        // Without a look inside, the best that can be done is to go on from inputs that were made.
        if random.below(50) == 0 && corpus.len() < 2_000 {
            corpus.push(input);
        }
    }
    println!("{name}: {runs} runs, nothing broken");
    ExitCode::SUCCESS
}

/// Ends the program where an input takes too long.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Option<(Instant, Vec<u8>)>>>);

impl Watch {
    fn start(name: &str, seed: u64) -> Self {
        let (watch, name) = (Self::default(), name.to_owned());
        let watched = watch.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(INPUT_MAX_TIME / 10);
                let running = watched.0.lock().unwrap_or_else(PoisonError::into_inner);
                let late = |since: &Instant| since.elapsed() > INPUT_MAX_TIME;
                if let Some((_, input)) = running.as_ref().filter(|(since, _)| late(since)) {
                    let file = leave(&name, seed, input);
                    println!(
                        "{name}: an input does not end, seed {seed}: {}",
                        file.display()
                    );
                    std::process::exit(1);
                }
            }
        });
        watch
    }

    fn begin(&self, input: &[u8]) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some((Instant::now(), input.to_vec()));
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A folder for files that a target has to write, gone with this value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let folder = format!("gatepost-fuzz-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("the folder can be made");
        Self(folder)
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, content).expect("the file can be written");
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A text for an operator is one line.
pub fn assert_one_line(text: &str) {
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\t'),
        "more than one line: {text:?}"
    );
}

fn clock_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_micros() as u64)
}

fn leave(name: &str, seed: u64, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    let file = folder.join(format!("{name}-{seed}"));
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(&file, input).expect("the input can be written");
    file
}

fn make(corpus: &[Vec<u8>], tokens: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = match corpus.get(random.below(corpus.len() + corpus.len() / 4 + 1)) {
        Some(known) => known.clone(),
        None => Vec::new(),
    };
    for _ in 0..=random.below(12) {
        let at = random.below(input.len() + 1);
        let end = at + random.below(input.len() - at + 1).min(200);
        match random.below(8) {
            0 | 1 => insert(&mut input, at, tokens[random.below(tokens.len())]),
            2 => insert(&mut input, at, &[random.next() as u8]),
            3 => drop(input.drain(at..end)),
            4 => {
                let again = input[at..end].to_vec();
                insert(&mut input, end, &again);
            }
            5 => {
                let token = tokens[random.below(tokens.len())];
                let end = (at + token.len()).min(input.len());
                input.splice(at..end, token.iter().copied());
            }
            6 => {
                if let Some(octet) = input.get_mut(at) {
                    *octet ^= 1 << random.below(8);
                }
            }
            _ => {
                let other = corpus.get(random.below(corpus.len()));
                let other = other.map_or(&[][..], Vec::as_slice);
                let from = random.below(other.len() + 1);
                insert(&mut input, at, &other[from..]);
            }
        }
    }
    input.truncate(INPUT_MAX_OCTETS);
    input
}

fn insert(input: &mut Vec<u8>, at: usize, octets: &[u8]) {
    input.splice(at..at, octets.iter().copied());
}

/// What the client says in each transcript.
pub fn transcripts() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../transcripts");
    let entries = fs::read_dir(folder).expect("the transcripts are there");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    texts.map(|text| said_by_client(&text)).collect()
}

fn said_by_client(text: &str) -> Vec<u8> {
    let mut said = Vec::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("C: ") {
            said.extend_from_slice(line.as_bytes());
            said.extend_from_slice(b"\r\n");
        }
        if let Some(octets) = line.strip_prefix("C-raw: ") {
            let octets = octets.replace("\\r", "\r").replace("\\n", "\n");
            said.extend_from_slice(octets.as_bytes());
        }
    }
    said
}
