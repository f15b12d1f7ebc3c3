//! Numbers for tests that have to be repeatable: the same seed gives the same run.

/// A generator (xorshift64) and its state, which is never zero.
pub struct Random(pub u64);

#[allow(dead_code, reason = "each test takes what it needs")]
impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of these.
    pub fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let place = self.below(choices.len() as u64) as usize;
        choices.get(place).copied().expect("below the length")
    }

    /// About a third of these, as a list in the configuration.
    pub fn some_of(&mut self, choices: &[&str]) -> String {
        let chosen = choices.iter().filter(|_| self.below(3) == 0);
        chosen.copied().collect::<Vec<_>>().join(", ")
    }

    /// Between `min` and `max` octets.
    pub fn octets(&mut self, min: u64, max: u64) -> Vec<u8> {
        let count = min + self.below(max - min + 1);
        (0..count).map(|_| self.next() as u8).collect()
    }
}
