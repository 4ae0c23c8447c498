//! For end-to-end tests alone: a request says where the VM shall trap.
//!
//! `x-bursar-trap: PHASE` or `PHASE:CALLS`, where the phase is `body`, `answer` or `log`: the VM ends when that phase
//! of the request is reached, or after so many more calls of shared data.

use std::cell::RefCell;
use std::process::abort;

const HEADER: &[u8] = b"x-bursar-trap";

/// Ends the VM. What it says is also what the module is known by.
fn trap() -> ! {
    crate::abi::log(crate::abi::Level::Error, "x-bursar-trap: this VM ends here, as a test wants");
    abort()
}

/// What a request does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A piece of its body has come.
    Body,
    /// A piece of its answer has come.
    Answer,
    /// It is logged.
    Log,
}

thread_local! {
    /// Where requests shall trap: their context, the phase, the calls after it.
    static MARKED: RefCell<Vec<(u32, Phase, usize)>> = const { RefCell::new(Vec::new()) };
    /// Calls that are left.
    static FUSE: RefCell<Option<usize>> = const { RefCell::new(None) };
}

/// A request has come.
pub fn begin<'a>(context: u32, mut pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let value =
        pairs.find(|(name, _)| *name == HEADER).and_then(|(_, value)| std::str::from_utf8(value).ok());
    let Some(value) = value else {
        return;
    };
    let (phase, calls) = value.split_once(':').unwrap_or((value, ""));
    let phase = match phase {
        "body" => Phase::Body,
        "answer" => Phase::Answer,
        _ => Phase::Log,
    };
    MARKED.with(|marked| marked.borrow_mut().push((context, phase, calls.parse().unwrap_or(0))));
}

/// A request has reached a phase.
pub fn reach(context: u32, phase: Phase) {
    let marked = MARKED.with(|marked| {
        let mut marked = marked.borrow_mut();
        let found = marked.iter().position(|(own, at, _)| (*own, *at) == (context, phase));
        found.map(|found| marked.swap_remove(found).2)
    });
    match marked {
        None => {}
        Some(0) => trap(),
        Some(calls) => FUSE.with(|fuse| *fuse.borrow_mut() = Some(calls)),
    }
}

/// Shared data is about to be called.
pub fn burn() {
    FUSE.with(|fuse| {
        let mut fuse = fuse.borrow_mut();
        match fuse.as_mut() {
            None => {}
            Some(0) => trap(),
            Some(calls) => *calls = calls.saturating_sub(1),
        }
    });
}
