//! Rates of a record: refilled by the node alone, or tokens that the ledger leases while other nodes use the
//! account too (protocol §6). Who refills is said with the ledger's grants and kept in the record, so that all
//! workers of the node change over in one compare-and-swap.

use tariff::{Meter, Rate};
use wire::id::{names_bucket, tag, tagged};
use wire::{RateGrant, RateLine, RateMode, RateState};

use crate::record::Record;
use crate::record::rate;

/// Tokens of one rate, leased under the record's turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Granted in all.
    pub granted: u64,
    /// Used in all.
    pub used: u64,
    /// Given back in all.
    pub returned: u64,
}

/// How far a node that refills by itself may trust that it still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// The ledger has answered lately.
    Fresh,
    /// It has not, and has not been asked: it must be.
    Stale,
    /// It has not, though it was asked: half of each rate is left to others.
    Lost,
}

/// What rates are taken by.
#[derive(Clone, Copy, Debug)]
pub struct Stance {
    /// Turns below this one are void: the ledger has begun to count anew since.
    pub since: u64,
    /// How the ledger was last heard.
    pub contact: Contact,
    /// The instant, in microseconds.
    pub now_us: u64,
}

/// Why a token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The rate is exceeded; it is not before this many microseconds.
    Wait {
        /// Until a token is there, in microseconds.
        retry_us: u64,
    },
    /// The ledger must be asked for tokens, or who refills.
    Ask,
    /// The ledger must be heard before the node goes on by itself.
    Stale,
}

/// Whether what a request takes of a rate is known at admission; else it is taken at settlement.
#[must_use]
pub fn is_counted_at_once(rate: &Rate) -> bool {
    rate.meter == Meter::Requests
}

// === impl Tokens ===

impl Tokens {
    /// What can be taken now.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.granted.saturating_sub(self.used).saturating_sub(self.returned)
    }

    /// What was used beyond what was granted: the next grants pay for it.
    #[must_use]
    pub const fn owed(&self) -> u64 {
        self.used.saturating_add(self.returned).saturating_sub(self.granted)
    }
}

// === impl Record ===

impl Record {
    /// Who refills; not known where the ledger has begun to count anew.
    #[must_use]
    pub fn refilled_by(&self, since: u64) -> RateMode {
        if self.turn < since { RateMode::Unknown } else { self.mode }
    }

    /// Takes a token of a rate; of a rate on what is known after the answer only looks that one is there.
    ///
    /// # Errors
    /// [`Refused`]; nothing was changed.
    pub fn take_token(&mut self, rate: &Rate, stance: Stance) -> Result<(), Refused> {
        let tag = tag(&rate.id);
        let mode = if rate.sole { RateMode::Sole } else { self.refilled_by(stance.since) };
        match mode {
            RateMode::Unknown => Err(Refused::Ask),
            RateMode::Sole => self.take_alone(rate, tag, stance),
            RateMode::Leased if self.handed_over => Err(Refused::Ask),
            RateMode::Leased => {
                let Some(at) = self.rate_place(tag) else { return Err(Refused::Ask) };
                let until_us = self.rate(tag);
                let Some(tokens) = self.tokens.get_mut(at) else { return Err(Refused::Ask) };
                if tokens.free() > 0 {
                    tokens.used = tokens.used.saturating_add(u64::from(is_counted_at_once(rate)));
                    return Ok(());
                }
                match until_us.checked_sub(stance.now_us) {
                    Some(retry_us) if retry_us > 0 => Err(Refused::Wait { retry_us }),
                    _ => Err(Refused::Ask),
                }
            }
        }
    }

    fn take_alone(&mut self, rate: &Rate, tag: u64, stance: Stance) -> Result<(), Refused> {
        let now_us = stance.now_us;
        let full_us = self.rate(tag);
        let half = match (rate.sole, stance.contact) {
            (true, _) | (false, Contact::Fresh) => false,
            (false, Contact::Stale) => return Err(Refused::Stale),
            (false, Contact::Lost) => true,
        };
        let units = if half && rate.burst > 1 { 2 } else { 1 };
        match rate::take(rate, full_us, units, now_us) {
            rate::Verdict::Pass { .. } if !is_counted_at_once(rate) => Ok(()),
            rate::Verdict::Pass { full_us: taken } => {
                // A bucket too small to be halved gives one when it is full, and is in debt then.
                let twice = rate::cost(rate, u64::from(half && units == 1));
                self.set_rate(tag, taken.saturating_add(twice), now_us);
                Ok(())
            }
            rate::Verdict::Wait { retry_us } => Err(Refused::Wait { retry_us }),
        }
    }

    /// Gives a token back that was taken under a turn.
    pub fn give_token_back(&mut self, rate: &Rate, turn: u64, now_us: u64) {
        if self.turn != turn || !is_counted_at_once(rate) {
            return;
        }
        let tag = tag(&rate.id);
        if rate.sole || self.mode == RateMode::Sole {
            let full_us = rate::give_back(rate, self.rate(tag), 1);
            self.set_rate(tag, full_us, now_us);
        } else if let Some(tokens) = self.rate_place(tag).and_then(|at| self.tokens.get_mut(at)) {
            tokens.used = tokens.used.saturating_sub(1);
        }
    }

    /// Takes what a request has used of a rate on amounts, though it may not be there: the rate then refuses until
    /// it is refilled (C3).
    pub fn take_units(&mut self, rate: &Rate, units: u64, now_us: u64) {
        let tag = tag(&rate.id);
        match if rate.sole { RateMode::Sole } else { self.mode } {
            RateMode::Sole => {
                let full_us = self.rate(tag).max(now_us).saturating_add(rate::cost(rate, units));
                self.set_rate(tag, full_us, now_us);
            }
            RateMode::Leased => {
                if let Some(tokens) = self.rate_place(tag).and_then(|at| self.tokens.get_mut(at)) {
                    tokens.used = tokens.used.saturating_add(units);
                }
            }
            // It was taken under an earlier turn, and the ledger has counted the worst.
            RateMode::Unknown => {}
        }
    }

    /// Under another policy a rate of requests may have kept its id and become a faster one: its bucket is then at
    /// most empty. What is owed of a rate on amounts stays.
    pub fn fit_rates<'r>(&mut self, rates: impl Iterator<Item = &'r Rate>, now_us: u64) {
        for rate in rates.filter(|rate| is_counted_at_once(rate)) {
            let (tag, latest_us) = (tag(&rate.id), rate::latest_us(rate, now_us));
            if (rate.sole || self.mode == RateMode::Sole) && self.rate(tag) > latest_us {
                self.set_rate(tag, latest_us, now_us);
            }
        }
    }

    /// What of a rate is left here, for clients.
    #[must_use]
    pub fn rate_left(&self, rate: &Rate, now_us: u64) -> u64 {
        let tag = tag(&rate.id);
        if rate.sole || self.mode == RateMode::Sole {
            return rate::remaining(rate, self.rate(tag), now_us);
        }
        self.rate_place(tag).and_then(|at| self.tokens.get(at)).map_or(0, Tokens::free)
    }

    /// Whether so few leased tokens are left that the next call should ask for more: less than is refilled from
    /// one call to the next.
    #[must_use]
    pub fn is_low(&self, rate: &Rate, now_us: u64) -> bool {
        if rate.sole || self.mode != RateMode::Leased {
            return false;
        }
        let refilled = rate.amount.saturating_mul(1_000).checked_div(rate.per_ms).unwrap_or(0);
        let tag = tag(&rate.id);
        let free = self.rate_place(tag).and_then(|at| self.tokens.get(at)).map_or(0, Tokens::free);
        free < refilled && (self.handed_over || self.rate(tag) <= now_us)
    }

    /// How it stands, for a want: `need` requests wait for tokens.
    #[must_use]
    pub fn rate_state<'r>(
        &self,
        rates: impl Iterator<Item = &'r Rate>,
        since: u64,
        need: u64,
        now_us: u64,
    ) -> RateState {
        let known = self.refilled_by(since);
        let lines = rates.map(|rate| {
            let own = tag(&rate.id);
            let tokens = self.rate_place(own).and_then(|at| self.tokens.get(at)).copied().unwrap_or_default();
            let leased = known == RateMode::Leased;
            let short = known == RateMode::Unknown
                || (leased
                    && tokens.free() < need
                    && (tokens.free() > 0 || self.handed_over || self.rate(own) <= now_us));
            RateLine {
                rate: rate.id.clone(),
                full_in_us: if self.mode == RateMode::Sole {
                    self.rate(own).saturating_sub(now_us)
                } else {
                    0
                },
                used: tokens.used,
                returned: tokens.returned,
                need: match (short, leased) {
                    (true, true) => need.saturating_sub(tokens.free()).saturating_add(tokens.owed()),
                    (true, false) => need,
                    (false, _) => 0,
                },
                more: leased && self.is_low(rate, now_us),
            }
        });
        RateState { turn: self.turn, mode: self.mode, lines: lines.collect() }
    }

    /// How it stands where the rates' names are not at hand.
    #[must_use]
    pub fn rate_report(&self, now_us: u64) -> RateState {
        let used = self.rates.iter().zip(&self.tokens).filter(|((tag, _), _)| *tag != 0);
        let lines = used.map(|((tag, moment_us), tokens)| RateLine {
            rate: tagged(*tag),
            full_in_us: moment_us.saturating_sub(now_us),
            used: tokens.used,
            returned: tokens.returned,
            ..RateLine::default()
        });
        RateState { turn: self.turn, mode: self.mode, lines: lines.collect() }
    }

    /// The node refills no more from this turn on. How full the rates were stays, until the ledger has leased
    /// the first token.
    pub fn withdraw(&mut self, turn: u64) {
        if turn > self.turn {
            (self.turn, self.mode, self.handed_over) = (turn, RateMode::Leased, true);
            self.tokens = Default::default();
        }
    }

    /// Brings in what the ledger has said of its rates; what is old changes nothing.
    pub fn hear_rates<'r>(
        &mut self,
        grant: &RateGrant,
        rates: impl Iterator<Item = &'r Rate> + Clone,
        now_us: u64,
    ) {
        if grant.turn == 0 || grant.turn < self.turn {
            return;
        }
        let begins = grant.turn > self.turn;
        if begins {
            let before = std::mem::take(&mut self.rates);
            let tokens = std::mem::take(&mut self.tokens);
            let was_leased = self.mode == RateMode::Leased;
            (self.turn, self.mode, self.handed_over) = (grant.turn, grant.mode, false);
            for line in grant.lines.iter().filter(|_| grant.mode == RateMode::Sole) {
                let own = tag(&line.rate);
                let place = before.iter().position(|(other, _)| *other == own);
                let free = place.and_then(|at| tokens.get(at)).filter(|_| was_leased).map_or(0, Tokens::free);
                let rate = rates.clone().find(|rate| names_bucket(&line.rate, &rate.id));
                // What the ledger has leased before and is still here was never taken.
                let unused_us = rate.map_or(0, |rate| rate::cost(rate, free));
                let full_us = now_us.saturating_add(line.full_in_us).saturating_sub(unused_us);
                self.set_rate(own, full_us.max(now_us), 0);
            }
        }
        if grant.mode == RateMode::Leased && self.mode == RateMode::Leased {
            if std::mem::replace(&mut self.handed_over, false) {
                self.rates = Default::default();
            }
            let tags: Vec<u64> = grant.lines.iter().map(|line| tag(&line.rate)).collect();
            self.reserve_rates(&tags);
            grant.lines.iter().for_each(|line| self.lease_tokens(line, now_us));
        }
    }

    /// Gives a plan's rates their places. Those of an earlier plan keep theirs as far as there is room, as it may
    /// come back; beyond, the one that is full first goes first.
    pub fn reserve_rates(&mut self, tags: &[u64]) {
        for own in tags {
            if self.rate_place(*own).is_some() {
                continue;
            }
            let places = self.rates.iter().enumerate().filter(|(_, (other, _))| !tags.contains(other));
            let Some((at, _)) = places.min_by_key(|(_, (other, until_us))| (*other != 0, *until_us)) else {
                return;
            };
            if let (Some(rate), Some(tokens)) = (self.rates.get_mut(at), self.tokens.get_mut(at)) {
                (*rate, *tokens) = ((*own, 0), Tokens::default());
            }
        }
    }

    fn lease_tokens(&mut self, line: &wire::RateTokens, now_us: u64) {
        let own = tag(&line.rate);
        let Some(at) = self.rate_place(own) else { return };
        if let (Some(rate), Some(tokens)) = (self.rates.get_mut(at), self.tokens.get_mut(at)) {
            *rate = (own, now_us.saturating_add(line.retry_in_ms.saturating_mul(1_000)));
            // Cumulative: an answer that was overtaken changes nothing.
            tokens.granted = tokens.granted.max(line.granted);
        }
    }

    /// Gives back what leased tokens are free; true where the ledger leases them at all.
    pub fn return_tokens(&mut self) -> bool {
        if self.mode != RateMode::Leased {
            return false;
        }
        for tokens in &mut self.tokens {
            tokens.returned = tokens.returned.saturating_add(tokens.free());
        }
        true
    }

    fn rate_place(&self, tag: u64) -> Option<usize> {
        self.rates.iter().position(|(other, _)| *other == tag)
    }
}

#[cfg(test)]
mod tests {
    use tariff::Scope;
    use wire::RateTokens;

    use super::*;

    fn rpm(amount: u64, burst: u64) -> Rate {
        Rate {
            id: "rpm".to_owned(),
            meter: Meter::Requests,
            models: vec!["*".to_owned()],
            amount,
            per_ms: 60_000,
            burst,
            scope: Scope::Account,
            sole: false,
        }
    }

    #[test]
    fn a_rate_that_becomes_faster_makes_nobody_wait_by_the_slow_one() {
        let now = 1_000_000_000;
        let by = |rate: &Rate, now_us: u64, record: &mut Record| {
            record.take_token(rate, stance(Contact::Fresh, now_us))
        };
        let (slow, fast) =
            (Rate { per_ms: 3_600_000, sole: true, ..rpm(1, 1) }, Rate { sole: true, ..rpm(60, 2) });
        let mut record = told(5, RateMode::Sole, 0);
        assert_eq!(by(&slow, now, &mut record), Ok(()));
        let mut as_it_was = record.clone();
        assert!(
            matches!(by(&fast, now, &mut as_it_was), Err(Refused::Wait { retry_us }) if retry_us > 3_500_000_000)
        );
        record.fit_rates(std::iter::once(&fast), now);
        // As an empty bucket: one of sixty a minute is there a second later.
        assert_eq!(by(&fast, now, &mut record), Err(Refused::Wait { retry_us: 1_000_000 }));
        assert_eq!(by(&fast, now + 1_000_000, &mut record), Ok(()));
        // What is within the new one's bucket stays as it is.
        let before = record.clone();
        record.fit_rates([&fast, &slow].into_iter(), now + 1_000_000);
        assert_eq!(record, before);
        // Of tokens, what was used beyond the rate is owed under any.
        let tokens = Rate { meter: Meter::Tokens, ..fast };
        record.take_units(&tokens, 600, now);
        let owed = record.rate(tag("rpm"));
        record.fit_rates(std::iter::once(&tokens), now);
        assert_eq!(record.rate(tag("rpm")), owed);
    }

    fn stance(contact: Contact, now_us: u64) -> Stance {
        Stance { since: 5, contact, now_us }
    }

    fn grant(turn: u64, mode: RateMode, granted: u64, full_in_us: u64, retry_in_ms: u64) -> RateGrant {
        let line = RateTokens { rate: "rpm".to_owned(), full_in_us, granted, retry_in_ms };
        RateGrant { account: "a".to_owned(), lease: 1, turn, mode, wait_ms: 0, keep_ms: 0, lines: vec![line] }
    }

    fn told(turn: u64, mode: RateMode, granted: u64) -> Record {
        let mut record = Record::new("a", 1, 1_000);
        record.hear_rates(&grant(turn, mode, granted, 0, 0), std::iter::once(&rpm(60, 60)), 1_000);
        record
    }

    fn passed(record: &mut Record, rate: &Rate, stance: Stance) -> u64 {
        (0..1_000).take_while(|_| record.take_token(rate, stance).is_ok()).count() as u64
    }

    #[test]
    fn nothing_is_taken_before_the_ledger_has_said_who_refills() {
        let mut record = Record::new("a", 1, 1_000);
        assert_eq!(record.take_token(&rpm(60, 60), stance(Contact::Fresh, 2_000)), Err(Refused::Ask));
        let mut old = told(4, RateMode::Sole, 0);
        assert_eq!(old.take_token(&rpm(60, 60), stance(Contact::Fresh, 2_000)), Err(Refused::Ask));
    }

    #[test]
    fn a_ledger_that_counts_no_rates_leaves_them_to_the_node() {
        let rate = Rate { sole: true, ..rpm(60, 60) };
        let mut record = Record::new("a", 1, 1_000);
        assert_eq!(passed(&mut record, &rate, stance(Contact::Lost, 2_000)), 60);
    }

    #[test]
    fn without_the_ledger_a_node_takes_half() {
        assert_eq!(passed(&mut told(9, RateMode::Sole, 0), &rpm(60, 60), stance(Contact::Fresh, 2_000)), 60);
        let mut record = told(9, RateMode::Sole, 0);
        let stale = record.take_token(&rpm(60, 60), stance(Contact::Stale, 2_000));
        assert_eq!(stale, Err(Refused::Stale));
        assert_eq!(passed(&mut record, &rpm(60, 60), stance(Contact::Lost, 2_000)), 30);
        assert_eq!(passed(&mut record, &rpm(60, 60), stance(Contact::Lost, 10_002_000)), 5, "of 10 refilled");
        let mut small = told(9, RateMode::Sole, 0);
        assert_eq!(passed(&mut small, &rpm(1, 1), stance(Contact::Lost, 2_000)), 1);
        assert_eq!(passed(&mut small, &rpm(1, 1), stance(Contact::Lost, 60_002_000)), 0);
        assert_eq!(passed(&mut small, &rpm(1, 1), stance(Contact::Lost, 120_002_000)), 1);
    }

    #[test]
    fn leased_tokens_are_taken_and_a_refusal_is_remembered() {
        let mut record = told(9, RateMode::Leased, 3);
        let at = |now_us| stance(Contact::Lost, now_us);
        assert_eq!(passed(&mut record, &rpm(60, 60), at(2_000)), 3, "leases serve on without the ledger");
        assert_eq!(record.take_token(&rpm(60, 60), at(2_000)), Err(Refused::Ask));
        record.hear_rates(&grant(9, RateMode::Leased, 3, 0, 7), std::iter::empty(), 2_000);
        assert_eq!(record.take_token(&rpm(60, 60), at(3_000)), Err(Refused::Wait { retry_us: 6_000 }));
        assert_eq!(record.take_token(&rpm(60, 60), at(9_000)), Err(Refused::Ask));
    }

    #[test]
    fn rates_of_an_earlier_plan_give_their_places_to_the_next_one_s() {
        let named = |n: usize| Rate { id: format!("r{n}"), ..rpm(60, 60) };
        let lines = |from: usize| {
            let line = |n| RateTokens { rate: named(n).id, full_in_us: 0, granted: 3, retry_in_ms: 9_000 };
            (from..from + 4).map(line).collect()
        };
        let mut record = Record::new("a", 1, 1_000);
        for from in [0, 4] {
            let told = RateGrant { lines: lines(from), ..grant(9, RateMode::Leased, 0, 0, 0) };
            record.hear_rates(&told, std::iter::empty(), 1_000);
            for rate in (from..from + 4).map(named) {
                assert_eq!(passed(&mut record, &rate, stance(Contact::Fresh, 2_000)), 3, "{}", rate.id);
            }
        }
    }

    #[test]
    fn what_is_old_changes_nothing() {
        let mut record = told(9, RateMode::Leased, 3);
        record.hear_rates(&grant(9, RateMode::Leased, 2, 0, 0), std::iter::empty(), 1_000);
        record.hear_rates(&grant(8, RateMode::Sole, 0, 0, 0), std::iter::empty(), 1_000);
        assert_eq!((record.turn, record.mode), (9, RateMode::Leased));
        assert_eq!(passed(&mut record, &rpm(60, 60), stance(Contact::Fresh, 2_000)), 3);
        record.withdraw(8);
        assert_eq!(record.turn, 9);
    }

    #[test]
    fn a_withdrawal_says_how_full_the_rates_were() {
        let mut record = told(9, RateMode::Sole, 0);
        let taken = passed(&mut record, &rpm(60, 60), stance(Contact::Fresh, 1_000));
        record.withdraw(10);
        let state = record.rate_report(11_001_000);
        assert_eq!((taken, state.turn, state.mode), (60, 10, RateMode::Leased));
        assert_eq!(state.lines.first().map(|line| line.full_in_us), Some(49_000_000));
        assert_eq!(
            record.take_token(&rpm(60, 60), stance(Contact::Fresh, 61_001_000)),
            Err(Refused::Ask),
            "no token of its own any more"
        );
    }

    #[test]
    fn another_plan_s_rates_take_the_place_of_those_before() {
        let mut record = told(9, RateMode::Leased, 3);
        for plan in ["a", "b"] {
            let ids = (0..4).map(|n| format!("{plan}{n}"));
            let lines = ids.map(|rate| RateTokens { rate, granted: 1, ..RateTokens::default() }).collect();
            record.hear_rates(
                &RateGrant { lines, ..grant(9, RateMode::Leased, 0, 0, 0) },
                std::iter::empty(),
                1_000,
            );
            let last = Rate { id: format!("{plan}3"), ..rpm(60, 60) };
            assert_eq!(record.take_token(&last, stance(Contact::Fresh, 2_000)), Ok(()), "{plan}");
        }
    }

    #[test]
    fn who_is_alone_again_keeps_what_it_had_leased() {
        let mut record = told(9, RateMode::Leased, 10);
        record.take_token(&rpm(60, 60), stance(Contact::Fresh, 2_000)).expect("leased");
        let alone = grant(12, RateMode::Sole, 0, 30_000_000, 0);
        record.hear_rates(&alone, std::iter::once(&rpm(60, 60)), 2_000);
        record.hear_rates(&alone, std::iter::once(&rpm(60, 60)), 9_000_000);
        assert_eq!(passed(&mut record, &rpm(60, 60), stance(Contact::Fresh, 2_000)), 30 + 9);
    }

    #[test]
    fn what_is_given_back_is_given_back_once() {
        let mut record = told(9, RateMode::Leased, 10);
        record.take_token(&rpm(60, 60), stance(Contact::Fresh, 2_000)).expect("leased");
        record.give_token_back(&rpm(60, 60), 9, 2_000);
        record.give_token_back(&rpm(60, 60), 9, 2_000);
        assert!(record.return_tokens() && record.return_tokens());
        assert_eq!(record.rate_report(0).lines.first().map(|line| (line.used, line.returned)), Some((0, 10)));
    }
}
