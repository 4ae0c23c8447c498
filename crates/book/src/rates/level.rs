//! One rate's bucket at the ledger: the instant at which it would be full again.

use std::sync::Arc;

/// One rate's bucket.
#[derive(Clone, Debug)]
pub struct Level {
    /// The rate's id.
    pub rate: Arc<str>,
    /// Tokens per period.
    pub amount: u64,
    /// The period, in microseconds.
    pub per_us: u64,
    /// The most tokens in it.
    pub burst: u64,
    /// When it would be full again.
    pub full_us: i64,
}

impl Level {
    /// The time in which so many tokens are refilled, rounded up.
    pub fn time_of(&self, tokens: u64) -> i64 {
        let time =
            u128::from(self.per_us).saturating_mul(tokens.into()).div_ceil(u128::from(self.amount.max(1)));
        i64::try_from(time).unwrap_or(i64::MAX)
    }

    /// The time in which the whole bucket is refilled.
    ///
    /// As many tokens' time as it has, each rounded up: nodes take them one by one.
    pub fn depth_us(&self) -> i64 {
        self.time_of(1).saturating_mul(i64::try_from(self.burst).unwrap_or(i64::MAX))
    }

    /// Takes over what the rate is by another plan: the tokens that it lacks stay, not the time that they would
    /// have taken by the rate before.
    pub fn redefine(&mut self, up_us: i64, amount: u64, per_us: u64, burst: u64) {
        if (self.amount, self.per_us, self.burst) == (amount, per_us, burst) {
            return;
        }
        let owed = u128::try_from(self.full_us.saturating_sub(up_us)).unwrap_or(0);
        let lacking = owed.saturating_mul(self.amount.into()).div_ceil(u128::from(self.per_us.max(1)));
        (self.amount, self.per_us, self.burst) = (amount, per_us, burst);
        let owed = self.time_of(u64::try_from(lacking).unwrap_or(u64::MAX)).min(self.depth_us());
        self.full_us = up_us.saturating_add(owed);
    }

    /// Tokens that can be taken now.
    pub fn tokens(&self, up_us: i64, half: bool) -> u64 {
        let owed = self.full_us.saturating_sub(up_us).max(0);
        let room = u128::try_from(self.depth_us().saturating_sub(owed).max(0)).unwrap_or(0);
        let tokens = room.saturating_mul(self.amount.into()).checked_div(self.per_us.into()).unwrap_or(0);
        let tokens = u64::try_from(tokens).unwrap_or(u64::MAX).min(self.burst);
        if !half {
            return tokens;
        }
        // A bucket too small to be halved gives one when it is full, and is in debt then.
        (tokens / 2).max(u64::from(owed == 0))
    }

    /// Takes a chunk: what is needed, or a share that leaves something for the others (protocol §6).
    pub fn take(&mut self, up_us: i64, need: u64, sharers: u64, half: bool) -> u64 {
        let tokens = self.tokens(up_us, half);
        let share = tokens.checked_div(sharers.saturating_mul(2)).unwrap_or(0);
        let soon = self.amount.saturating_mul(500_000).checked_div(self.per_us).unwrap_or(0);
        let chunk = tokens.min(need.max(1).max(share).max(soon));
        let time = self.time_of(chunk).saturating_mul(if half { 2 } else { 1 });
        self.full_us = self.full_us.max(up_us).saturating_add(time);
        chunk
    }

    /// When it is worth asking again, in milliseconds, at least 1: when the next token is there; of fast rates,
    /// an eighth of a second's worth, so that refused nodes do not ask for each.
    pub fn retry_in_ms(&self, up_us: i64, half: bool) -> u64 {
        let owed = self.full_us.saturating_sub(up_us);
        let soon = self.amount.saturating_mul(125_000).checked_div(self.per_us).unwrap_or(0);
        let tokens = soon.clamp(1, self.burst.max(1));
        let small = half && self.burst < 2;
        let room = if small { 0 } else { self.depth_us() };
        let some = if small { 0 } else { self.time_of(tokens.saturating_mul(if half { 2 } else { 1 })) };
        let wait_us = owed.saturating_add(some).saturating_sub(room);
        u64::try_from(wait_us).unwrap_or(0).div_ceil(1_000).max(1)
    }
}
