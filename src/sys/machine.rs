//! The machine we run on, and its reasons in plain words.

use std::io;

/// The machine's own name, if it has one that is text.
pub fn host_name() -> Option<String> {
    let mut name = [0_u8; 256];
    // SAFETY: pointer and length describe `name`, which outlives the call.
    let outcome = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    if outcome != 0 {
        return None;
    }
    let name = name.split(|&octet| octet == 0).next()?;
    String::from_utf8(name.to_vec())
        .ok()
        .filter(|name| !name.is_empty())
}

/// The system's reason for a failure, without the error number that says nothing to an operator.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_plain_words() {
        let missing = std::fs::read("/nowhere/at/all").unwrap_err();
        assert_eq!(reason(&missing), "No such file or directory");
        assert_eq!(reason(&io::Error::other("plain")), "plain");
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(host_name().is_some_and(|name| !name.contains('\0')));
    }
}
