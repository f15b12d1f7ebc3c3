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

/// The first two numbers of the kernel's version; those of no kernel where it does not tell.
pub fn kernel() -> (u32, u32) {
    let mut facts = std::mem::MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: `facts` is read only when the call has filled it; its texts end with a NUL.
    let release = unsafe {
        if libc::uname(facts.as_mut_ptr()) != 0 {
            return (0, 0);
        }
        let facts = facts.assume_init();
        std::ffi::CStr::from_ptr(facts.release.as_ptr())
            .to_string_lossy()
            .into_owned()
    };
    numbers(&release)
}

fn numbers(release: &str) -> (u32, u32) {
    let mut parts = release.split(|other: char| !other.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (next(), next())
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
    fn a_kernel_is_told_by_its_first_two_numbers() {
        for (release, want) in [
            ("5.8.0-rc1", (5, 8)),
            ("4.19.325", (4, 19)),
            ("6.1", (6, 1)),
            ("7", (7, 0)),
            ("x", (0, 0)),
        ] {
            assert_eq!(numbers(release), want, "{release}");
        }
        assert!(kernel() > (2, 6));
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(host_name().is_some_and(|name| !name.contains('\0')));
    }
}
