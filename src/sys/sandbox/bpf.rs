//! Questions about a system call, as a program of the kernel's packet filter (seccomp(2)).
//!
//! Promises: a program only jumps forward and always ends in a verdict, because it is made from a tree:
//! each question is followed by what a yes leads to, then by what a no leads to. Refuses to know: which
//! calls are good. Limits: [`PROGRAM_MAX`] instructions, the kernel's.

use std::mem::offset_of;

/// The longest program the kernel takes.
pub(super) const PROGRAM_MAX: usize = 4096;

/// What is looked at of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Its number.
    Number,
    /// The processor's way of calling, one of `AUDIT_ARCH_*`.
    Architecture,
    /// The lower half of an argument: all of it that the kernel reads of an `int`.
    Low(u32),
    /// The upper half of an argument; nothing where words have 32 bits.
    High(u32),
}

/// What is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// It is this.
    Is(u32),
    /// It is this or more.
    AtLeast(u32),
    /// It has any of these bits.
    HasAnyOf(u32),
}

/// A tree of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// What the kernel shall do: one of `SECCOMP_RET_*`.
    Verdict(u32),
    /// A question, what a yes leads to, and what a no leads to.
    Ask(Word, Test, Box<(Tree, Tree)>),
}

impl Tree {
    pub(super) fn ask(word: Word, test: Test, yes: Self, no: Self) -> Self {
        Self::Ask(word, test, Box::new((yes, no)))
    }

    /// The program.
    pub(super) fn program(&self) -> Vec<libc::sock_filter> {
        match self {
            Self::Verdict(verdict) => vec![instruction(RETURN, *verdict, 0)],
            Self::Ask(word, test, branches) => {
                let (yes, no) = (branches.0.program(), branches.1.program());
                let (code, operand) = match *test {
                    Test::Is(value) => (JUMP_IF_EQUAL, value),
                    Test::AtLeast(value) => (JUMP_IF_AT_LEAST, value),
                    Test::HasAnyOf(bits) => (JUMP_IF_ANY_BIT, bits),
                };
                // A yes steps over the jump to what a no leads to, which may be farther away than
                // the question itself can reach.
                let far = u32::try_from(yes.len()).unwrap_or(u32::MAX);
                let head = [
                    instruction(LOAD, word.offset(), 0),
                    instruction(code, operand, 1),
                    instruction(JUMP, far, 0),
                ];
                head.into_iter().chain(yes).chain(no).collect()
            }
        }
    }
}

impl Word {
    /// Where it stands in the kernel's `struct seccomp_data`, on processors that put the lower half first.
    fn offset(self) -> u32 {
        let arguments = offset_of!(libc::seccomp_data, args) as u32;
        match self {
            Self::Number => offset_of!(libc::seccomp_data, nr) as u32,
            Self::Architecture => offset_of!(libc::seccomp_data, arch) as u32,
            Self::Low(argument) => arguments + argument * 8,
            Self::High(argument) => arguments + argument * 8 + 4,
        }
    }
}

fn instruction(code: u32, operand: u32, over_if_yes: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: over_if_yes,
        jf: 0,
        k: operand,
    }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const JUMP_IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// What the kernel would do with a call; for tests.
#[cfg(test)]
pub(super) fn verdict(
    program: &[libc::sock_filter],
    architecture: u32,
    call: (u32, [u64; 6]),
) -> u32 {
    let (number, arguments) = call;
    let (mut at, mut loaded) = (0, 0);
    loop {
        let step = program[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
        match u32::from(step.code) {
            RETURN => return step.k,
            JUMP => at += step.k as usize,
            JUMP_IF_EQUAL => at += jump(loaded == step.k),
            JUMP_IF_AT_LEAST => at += jump(loaded >= step.k),
            JUMP_IF_ANY_BIT => at += jump(loaded & step.k != 0),
            LOAD => {
                loaded = match step.k {
                    0 => number,
                    4 => architecture,
                    offset => {
                        let argument = arguments[(offset as usize - 16) / 8];
                        (argument >> (offset % 8 * 8)) as u32
                    }
                }
            }
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_leads_to_its_own_answer() {
        let leaf = Tree::Verdict;
        let argument = Tree::ask(Word::Low(1), Test::HasAnyOf(0x30), leaf(3), leaf(4));
        let upper = Tree::ask(Word::High(5), Test::Is(7), argument, leaf(5));
        let number = Tree::ask(Word::Number, Test::AtLeast(10), upper, leaf(2));
        let program = Tree::ask(Word::Architecture, Test::Is(1), number, leaf(1)).program();
        let upper_seven = 7 << 32;
        for (architecture, number, second, sixth, want) in [
            (0, 10, 0x30, upper_seven, 1),
            (1, 9, 0x30, upper_seven, 2),
            (1, 10, 0x20, upper_seven, 3),
            (1, u32::MAX, 0x10, upper_seven | 9, 3),
            (1, 10, 0xcf, upper_seven, 4),
            (1, 10, 0x30 << 32, upper_seven, 4),
            (1, 10, 0x30, 7, 5),
        ] {
            let call = (number, [0, second, 0, 0, 0, sixth]);
            let got = verdict(&program, architecture, call);
            assert_eq!(got, want, "{architecture} {number} {second:#x} {sixth:#x}");
        }
    }

    #[test]
    fn a_branch_may_be_longer_than_a_question_can_jump() {
        let mut long = Tree::Verdict(1000);
        for number in 0..300 {
            long = Tree::ask(Word::Number, Test::Is(number), Tree::Verdict(number), long);
        }
        let program =
            Tree::ask(Word::Architecture, Test::Is(1), long, Tree::Verdict(2000)).program();
        for (architecture, number, want) in [(1, 0, 0), (1, 299, 299), (1, 300, 1000), (0, 5, 2000)]
        {
            assert_eq!(verdict(&program, architecture, (number, [0; 6])), want);
        }
    }
}
