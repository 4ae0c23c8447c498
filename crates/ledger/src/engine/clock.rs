//! The ledger's clocks: wall time that never falls, and uptime that does not count its own stalls.

use std::time::Instant;

use book::Now;

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall clock, in milliseconds since 1970; may jump.
    fn wall(&self) -> i64;

    /// Monotonic clock from any origin, in milliseconds.
    fn monotonic(&self) -> i64;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

/// The instants of commands.
pub struct Timeline {
    wall: i64,
    monotonic: i64,
    up: i64,
}

/// The longest stretch between two commands that counts as uptime: ticks come every second, so a longer
/// one is a stall (a stopped process, a suspended machine) in which no node could call.
const STRETCH_MAX_MS: i64 = 5_000;

// === impl SystemClock ===

impl Default for SystemClock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    fn monotonic(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

// === impl Timeline ===

impl Timeline {
    /// A timeline that begins at the clock's present, not before the journal's last instant.
    pub fn new(clock: &dyn Clock, last_at: i64) -> Self {
        Self { wall: last_at, monotonic: clock.monotonic(), up: 0 }
    }

    /// The present.
    pub fn now(&mut self, clock: &dyn Clock) -> Now {
        self.wall = self.wall.max(clock.wall());
        let monotonic = clock.monotonic();
        let stretch = monotonic.saturating_sub(self.monotonic).clamp(0, STRETCH_MAX_MS);
        self.monotonic = monotonic;
        self.up = self.up.saturating_add(stretch);
        Now { wall: self.wall, up: self.up }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hands {
        wall: AtomicI64,
        monotonic: AtomicI64,
    }

    impl Clock for Hands {
        fn wall(&self) -> i64 {
            self.wall.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> i64 {
            self.monotonic.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn wall_time_never_falls_and_stalls_are_no_uptime() {
        let clock = Hands::default();
        let mut timeline = Timeline::new(&clock, 500);
        assert_eq!(timeline.now(&clock), Now { wall: 500, up: 0 });
        clock.wall.store(2_000, Ordering::Relaxed);
        clock.monotonic.store(1_000, Ordering::Relaxed);
        assert_eq!(timeline.now(&clock), Now { wall: 2_000, up: 1_000 });
        clock.wall.store(1_000, Ordering::Relaxed);
        clock.monotonic.store(101_000, Ordering::Relaxed);
        assert_eq!(timeline.now(&clock), Now { wall: 2_000, up: 6_000 });
    }
}
