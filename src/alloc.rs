//! The module's allocator: lists of freed places by size for what is small, the C library's for the rest.
//!
//! A request takes and frees some hundred small pieces; the C library's allocator, which looks for the best place
//! and joins neighbours, was a fifth of what the filter costs. Here a freed place goes on its size's list and
//! the next piece of that size takes it: a few instructions each. Places never change their size, so memory
//! is bounded by each size's own peak, which the tables' limits bound. One thread, as in every VM.
#![expect(
    unsafe_code,
    reason = "an allocator; every place comes from the system's and is of one size for ever"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{copy_nonoverlapping, null_mut};

/// Sizes differ by so many bytes, which is also what every place is aligned to.
const STEP: usize = 16;
/// How many sizes there are; what is larger than the last is the system's.
const SIZES: usize = 64;
/// Bytes taken from the system at a time.
const CHUNK: usize = 16 << 10;

/// The allocator.
pub struct Pools(UnsafeCell<State>);

struct State {
    /// The place freed last of each size; its first word is the one freed before.
    free: [*mut u8; SIZES],
    /// What is left of the chunk at hand.
    rest: *mut u8,
    left: usize,
}

// SAFETY: a VM has one thread.
unsafe impl Sync for Pools {}

impl Pools {
    /// Nothing is taken yet.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(State { free: [null_mut(); SIZES], rest: null_mut(), left: 0 }))
    }
}

/// The size's number; none where it is the system's.
const fn size_of(layout: Layout) -> Option<usize> {
    // Nothing is ever asked for with size 0; it would wrap to what is the system's.
    let number = layout.size().wrapping_sub(1) / STEP;
    if number < SIZES && layout.align() <= STEP { Some(number) } else { None }
}

impl State {
    /// A place that was never used.
    #[cold]
    fn carve(&mut self, number: usize) -> *mut u8 {
        let size = (number + 1) * STEP;
        if self.left < size {
            let Ok(layout) = Layout::from_size_align(CHUNK, STEP) else {
                return null_mut();
            };
            // SAFETY: the layout has a size. What is left of the last chunk, less than one place, is lost.
            let chunk = unsafe { System.alloc(layout) };
            if chunk.is_null() {
                return chunk;
            }
            (self.rest, self.left) = (chunk, CHUNK);
        }
        let place = self.rest;
        self.left -= size;
        // SAFETY: `size` bytes of the chunk were left; the end of the chunk may be pointed to.
        self.rest = unsafe { place.add(size) };
        place
    }
}

// SAFETY: a place is handed out once until it is freed; it is as large as its number says and aligned to `STEP`.
unsafe impl GlobalAlloc for Pools {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(number) = size_of(layout) else {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: one thread, and nothing below calls back.
        let state = unsafe { &mut *self.0.get() };
        let Some(first) = state.free.get_mut(number).filter(|first| !first.is_null()) else {
            return state.carve(number);
        };
        let place = *first;
        // SAFETY: the first word of a freed place is the one freed before it.
        *first = unsafe { place.cast::<*mut u8>().read() };
        place
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: one thread, and nothing below calls back.
        let state = unsafe { &mut *self.0.get() };
        let Some(first) = size_of(layout).and_then(|number| state.free.get_mut(number)) else {
            // SAFETY: as the caller promises; by its layout it came from the system.
            return unsafe { System.dealloc(place, layout) };
        };
        // SAFETY: a place has room for a word and is aligned for it; nobody else uses it any more.
        unsafe { place.cast::<*mut u8>().write(*first) };
        *first = place;
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return null_mut();
        };
        match (size_of(layout), size_of(wanted)) {
            // SAFETY: as the caller promises; by its layout it came from the system, and stays there.
            (None, None) => return unsafe { System.realloc(place, layout, size) },
            (before, after) if before == after => return place,
            _ => {}
        }
        // SAFETY: as the caller promises; the two places do not overlap.
        unsafe {
            let other = self.alloc(wanted);
            if !other.is_null() {
                copy_nonoverlapping(place, other, layout.size().min(size));
                self.dealloc(place, layout);
            }
            other
        }
    }
}
