//! Time as the edge sees it: handed in with every event, never read.

/// The moment of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The host's monotonic clock, in microseconds; one base for all workers of the process.
    pub mono_us: u64,
    /// The wall clock, in milliseconds since 1970; only stamps events.
    pub wall_ms: i64,
}
