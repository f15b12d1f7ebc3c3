//! Random octets from the operating system, fit for secrets.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

/// Fills `octets`; fails only where the system has no random source.
pub fn fill(octets: &mut [u8]) -> io::Result<()> {
    SystemRandom::new()
        .fill(octets)
        .map_err(|_| io::Error::other("the system gives no random numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut other) = ([0_u8; 16], [0_u8; 16]);
        fill(&mut one).unwrap();
        fill(&mut other).unwrap();
        assert_ne!(one, other);
    }
}
