//! The account's record: what all workers of a node share of one account, as a fixed binary layout.
//!
//! A record holds, per bucket, the cumulative lease (`granted`, `returned`), what was used and what is held;
//! free = granted - returned - used - held. It is read and written whole, under compare-and-swap
//! (`records.rs`); nothing here knows of shared data. Amounts are micro-units.

pub mod rate;
pub mod records;
pub mod tokens;

use wire::RateMode;

use crate::pricing::narrow::product;
use crate::record::tokens::Tokens;

/// The longest account id.
pub const ACCOUNT_BYTES: usize = 64;
/// Buckets of one record.
pub const CELLS: usize = tariff::policy::BUCKETS_MAX;
/// Rates of one record.
pub const RATES: usize = tariff::policy::RATES_MAX;
/// Bytes of one encoded record.
pub const RECORD_BYTES: usize =
    ACCOUNT_BYTES + 8 * HEADER_WORDS + 8 * (2 + TOKEN_WORDS) * RATES + 8 * CELL_WORDS * CELLS;
const HEADER_WORDS: usize = 15;
const TOKEN_WORDS: usize = 3;
const CELL_WORDS: usize = 9;
/// How long it is remembered what an account at rest was admitted in an outage, in microseconds.
const BEYOND_KEPT_US: u64 = 3_600_000_000;
/// Horizon of the mean use, in microseconds (protocol: EWMA 30 s).
const FLOW_US: u64 = 30_000_000;

/// One account as a node holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The account's id.
    pub account: String,
    /// The node generation it belongs to; another one's records are void.
    pub node: u64,
    /// Names its leases: the instant of its creation, unique in the node.
    pub epoch: u64,
    /// The highest snapshot version applied.
    pub version: u64,
    /// When it was last used, in microseconds.
    pub touched_us: u64,
    /// Requests that hold something.
    pub open: u64,
    /// What is known to be gone.
    pub denial: Option<Denied>,
    /// Until when a refill is under way, in microseconds.
    pub refill_us: u64,
    /// Slots of the workers that wait for it.
    pub waiting: u64,
    /// One bit per worker slot, turned over by each hold and settlement of that slot's lane: whether the last
    /// operation of a VM that ended in its midst was carried out.
    pub marks: u64,
    /// What was admitted beyond the lease in one outage of the ledger: when a call was last answered before it, in
    /// microseconds, and what holds came to.
    pub beyond: (u64, i64),
    /// True: near zero; what a request leaves over goes back at once.
    pub exact: bool,
    /// True: the ledger was told of holds, and has not been told since that none are left.
    pub told_held: bool,
    /// Rises whenever the ledger says who else takes tokens of its rates; 0 = it has not said.
    pub turn: u64,
    /// Who refills them.
    pub mode: RateMode,
    /// True: it has stopped to refill and has not been leased any tokens yet; its rates' instants are still when
    /// they would be full.
    pub handed_over: bool,
    /// Rates in use: id's tag, and an instant: when it would be full again, or where the ledger leases its
    /// tokens, until when it gives none.
    pub rates: [(u64, u64); RATES],
    /// The leased tokens of each, where they are leased.
    pub tokens: [Tokens; RATES],
    /// Buckets in use.
    pub cells: [Cell; CELLS],
}

/// One bucket of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Tag of the bucket's id; 0 = unused.
    pub tag: u64,
    /// Granted in all.
    pub granted: i64,
    /// Given back in all.
    pub returned: i64,
    /// Used in all.
    pub used: i64,
    /// Held now.
    pub held: i64,
    /// Left at the ledger, as last stated.
    pub unleased: i64,
    /// Mean hold (EWMA 0.1 a request).
    pub mean_hold: i64,
    /// Mean use per second (EWMA 30 s).
    pub flow: i64,
    /// When `flow` was last brought up to date, in microseconds.
    pub flow_us: u64,
}

/// A remembered refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Tag of the bucket.
    pub tag: u64,
    /// Why.
    pub why: Why,
    /// Until when it is remembered, in microseconds; `u64::MAX` = until a higher snapshot version.
    pub until_us: u64,
    /// What can still be spent, as stated.
    pub available: i64,
}

/// Why a bucket gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is left.
    Empty,
    /// What is left is held by other requests.
    InFlight,
    /// A window's cap is reached.
    Limit,
}

/// What one request takes of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Tag of the bucket.
    pub tag: u64,
    /// How much, at least 0.
    pub amount: i64,
    /// True: there is always enough of it.
    pub unlimited: bool,
}

/// Why a take did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// The node does not have enough free.
    Lease,
    /// A remembered denial answers alone.
    Denied(Denied),
}

impl Cell {
    /// What can be taken now; negative where charges exceeded their holds.
    #[must_use]
    pub fn free(&self) -> i64 {
        self.granted.saturating_sub(self.returned).saturating_sub(self.used).saturating_sub(self.held)
    }

    /// What clients see as remaining: the ledger's rest and the node's, less the node's spend since.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.unleased
            .saturating_add(self.granted)
            .saturating_sub(self.returned)
            .saturating_sub(self.used)
            .max(0)
    }

    /// How much the node likes to have free: 4 mean holds and 30 s of use.
    #[must_use]
    pub fn target(&self, now_us: u64) -> i64 {
        let flow = decayed(self.flow, self.flow_us, now_us);
        self.mean_hold.saturating_mul(4).saturating_add(flow.saturating_mul(30))
    }

    fn note_hold(&mut self, amount: i64, now_us: u64) {
        let step = amount.saturating_sub(self.mean_hold) / 10;
        self.mean_hold = if self.mean_hold == 0 { amount } else { self.mean_hold.saturating_add(step) };
        self.flow = decayed(self.flow, self.flow_us, now_us).saturating_add(amount / 30);
        self.flow_us = now_us;
    }
}

impl Record {
    /// An empty record.
    #[must_use]
    pub fn new(account: &str, node: u64, now_us: u64) -> Self {
        Self {
            account: account.to_owned(),
            node,
            epoch: now_us,
            version: 0,
            touched_us: now_us,
            open: 0,
            denial: None,
            refill_us: 0,
            waiting: 0,
            marks: 0,
            beyond: (0, 0),
            exact: false,
            told_held: false,
            turn: 0,
            mode: RateMode::Unknown,
            handed_over: false,
            rates: [(0, 0); RATES],
            tokens: [Tokens::default(); RATES],
            cells: [Cell::default(); CELLS],
        }
    }

    /// The bucket of that tag.
    #[must_use]
    pub fn cell(&self, tag: u64) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.tag == tag && tag != 0)
    }

    /// The bucket of that tag, taken into use where there is room.
    pub fn cell_mut(&mut self, tag: u64) -> Option<&mut Cell> {
        let at = self.cells.iter().position(|cell| cell.tag == tag);
        let at = at.or_else(|| self.cells.iter().position(|cell| cell.tag == 0 || cell.is_spent()))?;
        let cell = self.cells.get_mut(at)?;
        if cell.tag != tag {
            *cell = Cell { tag, ..Cell::default() };
        }
        Some(cell)
    }

    /// When the rate of that tag would be full again.
    #[must_use]
    pub fn rate(&self, tag: u64) -> u64 {
        self.rates.iter().find(|(own, _)| *own == tag).map_or(0, |(_, full_us)| *full_us)
    }

    /// Stores when the rate of that tag would be full again; an unused or rested place is taken.
    pub fn set_rate(&mut self, tag: u64, full_us: u64, now_us: u64) {
        let own = self.rates.iter().position(|(other, _)| *other == tag);
        let place =
            own.or_else(|| self.rates.iter().position(|(other, full)| *other == 0 || *full <= now_us));
        if let Some(cell) = place.and_then(|at| self.rates.get_mut(at)) {
            *cell = (tag, full_us);
        }
    }

    /// Takes all needs together, or none.
    ///
    /// # Errors
    /// [`Short`] says what stands in the way; nothing was changed.
    pub fn take(&mut self, needs: &[Need], now_us: u64) -> Result<(), Short> {
        let fits = |need: &Need| self.cell(need.tag).is_some_and(|cell| cell.free() >= need.amount);
        if !needs.iter().all(|need| need.amount == 0 || need.unlimited || fits(need)) {
            // A denial spares the question; it takes nothing away that the node has.
            return Err(self.denied(needs, now_us).map_or(Short::Lease, Short::Denied));
        }
        self.hold(needs, now_us);
        Ok(())
    }

    /// Notes a hold whether or not it is covered (shadow mode, clips).
    pub fn hold(&mut self, needs: &[Need], now_us: u64) {
        for need in needs {
            if let Some(cell) = self.cell_mut(need.tag) {
                cell.held = cell.held.saturating_add(need.amount);
                cell.note_hold(need.amount, now_us);
            }
        }
        self.open = self.open.saturating_add(1);
        self.touched_us = now_us;
    }

    /// Ends a hold: `held` goes, `used` stays.
    pub fn settle(&mut self, takes: &[(u64, i64, i64)], now_us: u64) {
        let exact = self.exact;
        for (tag, held, used) in takes {
            if let Some(cell) = self.cell_mut(*tag) {
                cell.held = cell.held.saturating_sub(*held).max(0);
                cell.used = cell.used.saturating_add(*used);
                if exact {
                    cell.give_back();
                }
            }
        }
        self.open = self.open.saturating_sub(1);
        self.touched_us = now_us;
    }

    /// Begins leases anew where more was used than granted and nothing is held: gives the record as it ended.
    ///
    /// The ledger has charged the excess already; a lease that owes would only swallow the next grants.
    pub fn end_overdrawn(&mut self, now_us: u64) -> Option<Self> {
        if self.open > 0 || self.cells.iter().all(|cell| cell.free() >= 0) {
            return None;
        }
        let ended = self.clone();
        self.epoch = now_us.max(self.epoch.saturating_add(1));
        self.told_held = false;
        for cell in &mut self.cells {
            (cell.granted, cell.returned, cell.used, cell.held) = (0, 0, 0, 0);
        }
        Some(ended)
    }

    /// How a slot's mark stands once its lane's next operation is done.
    #[must_use]
    pub fn next_mark(&self, slot: u32) -> bool {
        self.marks & slot_bit(slot) == 0
    }

    /// Sets a slot's mark.
    pub fn set_mark(&mut self, slot: u32, mark: bool) {
        self.marks = if mark { self.marks | slot_bit(slot) } else { self.marks & !slot_bit(slot) };
    }

    /// Holds what the lease does not cover, up to a sum for each outage of the ledger; false where that is spent,
    /// and nothing was changed.
    pub fn hold_beyond(
        &mut self,
        needs: &[Need],
        credits: i64,
        allowance: i64,
        since_us: u64,
        now_us: u64,
    ) -> bool {
        let before = if self.beyond.0 == since_us { self.beyond.1 } else { 0 };
        let after = before.saturating_add(credits);
        if after > allowance {
            return false;
        }
        self.beyond = (since_us, after);
        self.hold(needs, now_us);
        true
    }

    /// A remembered denial that speaks about one of the needs.
    #[must_use]
    pub fn denied(&self, needs: &[Need], now_us: u64) -> Option<Denied> {
        let denied = self.denial.filter(|denied| denied.until_us > now_us)?;
        needs.iter().any(|need| need.tag == denied.tag && need.amount > 0).then_some(denied)
    }

    /// Whether it may make room: nothing held, nobody waiting, all rate times past.
    #[must_use]
    pub fn evictable(&self, now_us: u64) -> bool {
        let held = self.cells.iter().any(|cell| cell.held > 0);
        self.open == 0
            && !held
            && self.refill_us <= now_us
            // What it may still admit in this outage is known here alone.
            && (self.beyond.1 == 0 || now_us.saturating_sub(self.touched_us) >= BEYOND_KEPT_US)
            && self.rates.iter().all(|(_, full)| *full <= now_us)
    }
}

impl Cell {
    /// Returns what is free to the ledger; true where something was.
    pub fn give_back(&mut self) -> bool {
        let free = self.free();
        if free > 0 {
            self.returned = self.returned.saturating_add(free);
        }
        free > 0
    }

    fn is_spent(&self) -> bool {
        self.held == 0 && self.granted == 0 && self.used == 0
    }
}

fn slot_bit(slot: u32) -> u64 {
    1_u64.checked_shl(slot).unwrap_or(0)
}

fn decayed(flow: i64, since_us: u64, now_us: u64) -> i64 {
    let left = FLOW_US.saturating_sub(now_us.saturating_sub(since_us));
    // All but the largest flows fit 64 bits, where a division is ten times cheaper.
    let narrow = u64::try_from(flow).ok().and_then(|flow| product(flow, left));
    if let Some(decayed) = narrow.and_then(|product| product.checked_div(FLOW_US)) {
        return i64::try_from(decayed).unwrap_or(i64::MAX);
    }
    let product = i128::from(flow).saturating_mul(left.into());
    i64::try_from(product.checked_div(FLOW_US.into()).unwrap_or(0)).unwrap_or(i64::MAX)
}

// === encoding ===

impl Record {
    /// The fixed binary form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD_BYTES);
        out.extend_from_slice(self.account.as_bytes());
        out.resize(RECORD_BYTES, 0);
        self.encode_over(&mut out);
        out
    }

    /// Writes the fixed binary form over that of the same account: all but the id, and no word behind the last
    /// cell in use, which nothing reads.
    pub fn encode_over(&self, bytes: &mut [u8]) {
        let (words, _) = bytes.get_mut(ACCOUNT_BYTES..).unwrap_or_default().as_chunks_mut::<8>();
        let mut places = words.iter_mut();
        let denied = self.denial;
        let why = denied.map_or(0, |denied| match denied.why {
            Why::Empty => 1,
            Why::InFlight => 2,
            Why::Limit => 3,
        });
        let mut word = |value: u64| {
            if let Some(place) = places.next() {
                *place = value.to_le_bytes();
            }
        };
        word(self.node);
        word(self.epoch);
        word(self.version);
        word(self.touched_us);
        let mode = match self.mode {
            RateMode::Unknown => 0,
            RateMode::Sole => 1,
            RateMode::Leased => 2,
        };
        let handed_over = u64::from(self.handed_over);
        let told_held = u64::from(self.told_held);
        word(
            self.open << 8 | u64::from(self.exact) << 7 | handed_over << 6 | mode << 4 | told_held << 3 | why,
        );
        word(denied.map_or(0, |denied| denied.tag));
        word(denied.map_or(0, |denied| denied.until_us));
        word(denied.map_or(0, |denied| denied.available.cast_unsigned()));
        word(self.refill_us);
        word(self.waiting);
        word(self.marks);
        word(self.beyond.0);
        word(self.beyond.1.cast_unsigned());
        // Most records use one bucket: the others are neither written nor read word by word.
        let used = self.cells.iter().rposition(|cell| cell.tag != 0).map_or(0, |last| last.saturating_add(1));
        word(u64::try_from(used).unwrap_or_default());
        word(self.turn);
        for (tag, full_us) in self.rates {
            word(tag);
            word(full_us);
        }
        if self.mode == RateMode::Leased {
            for tokens in self.tokens {
                word(tokens.granted);
                word(tokens.used);
                word(tokens.returned);
            }
        }
        for cell in self.cells.iter().take(used) {
            word(cell.tag);
            for amount in
                [cell.granted, cell.returned, cell.used, cell.held, cell.unleased, cell.mean_hold, cell.flow]
            {
                word(amount.cast_unsigned());
            }
            word(cell.flow_us);
        }
    }

    /// Reads the fixed binary form; nothing where the bytes are not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (account, rest) = bytes.split_at_checked(ACCOUNT_BYTES)?;
        let (words, tail) = rest.as_chunks::<8>();
        if !tail.is_empty() || bytes.len() != RECORD_BYTES {
            return None;
        }
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next();
        let account = account.split(|b| *b == 0).next().and_then(|id| std::str::from_utf8(id).ok())?;
        let (node, epoch, version, touched_us) = (word()?, word()?, word()?, word()?);
        let flags = word()?;
        let (tag, until_us, available) = (word()?, word()?, word()?.cast_signed());
        let denial = |why| Some(Denied { tag, why, until_us, available });
        let mode = match flags >> 4 & 0x3 {
            1 => RateMode::Sole,
            2 => RateMode::Leased,
            _ => RateMode::Unknown,
        };
        let denial = match flags & 0x7 {
            1 => denial(Why::Empty),
            2 => denial(Why::InFlight),
            3 => denial(Why::Limit),
            _ => None,
        };
        let (refill_us, waiting, marks) = (word()?, word()?, word()?);
        let beyond = (word()?, word()?.cast_signed());
        let used = usize::try_from(word()?).ok().filter(|used| *used <= CELLS)?;
        let turn = word()?;
        let mut rates = [(0, 0); RATES];
        for rate in &mut rates {
            *rate = (word()?, word()?);
        }
        let mut tokens = [Tokens::default(); RATES];
        if mode == RateMode::Leased {
            for own in &mut tokens {
                *own = Tokens { granted: word()?, used: word()?, returned: word()? };
            }
        }
        let mut cells = [Cell::default(); CELLS];
        for cell in cells.iter_mut().take(used) {
            *cell = Cell {
                tag: word()?,
                granted: word()?.cast_signed(),
                returned: word()?.cast_signed(),
                used: word()?.cast_signed(),
                held: word()?.cast_signed(),
                unleased: word()?.cast_signed(),
                mean_hold: word()?.cast_signed(),
                flow: word()?.cast_signed(),
                flow_us: word()?,
            };
        }
        let (open, exact, handed_over) = (flags >> 8, flags & 0x80 != 0, flags & 0x40 != 0);
        let told_held = flags & 0x8 != 0;
        let account = account.to_owned();
        Some(Self {
            account,
            node,
            epoch,
            version,
            touched_us,
            open,
            denial,
            refill_us,
            waiting,
            marks,
            beyond,
            exact,
            told_held,
            turn,
            mode,
            handed_over,
            rates,
            tokens,
            cells,
        })
    }
}

/// Whether encoded bytes are the record of that account and node generation, without decoding them.
#[must_use]
pub fn is_of(bytes: &[u8], account: &str, node: u64) -> bool {
    let id = account.as_bytes();
    let named = bytes.get(..id.len()) == Some(id)
        && bytes.get(id.len()).is_none_or(|b| *b == 0 || id.len() == ACCOUNT_BYTES);
    named && bytes.get(ACCOUNT_BYTES..ACCOUNT_BYTES + 8) == Some(node.to_le_bytes().as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAG: u64 = 7;

    fn with(granted: i64) -> Record {
        let mut record = Record::new("acct", 1, 1_000);
        record.cell_mut(TAG).expect("room").granted = granted;
        record
    }

    fn of(tag: u64, amount: i64) -> Need {
        Need { tag, amount, unlimited: false }
    }

    #[test]
    fn it_survives_its_encoding() {
        let mut record = with(i64::MAX);
        record.denial = Some(Denied { tag: 9, why: Why::InFlight, until_us: 5, available: -3 });
        (record.exact, record.told_held) = (true, true);
        record.open = 3;
        record.set_rate(4, 99, 0);
        let bytes = record.encode();
        assert_eq!(bytes.len(), RECORD_BYTES);
        assert_eq!(Record::decode(&bytes), Some(record));
        assert!(
            is_of(&bytes, "acct", 1)
                && !is_of(&bytes, "acc", 1)
                && !is_of(&bytes, "acct2", 1)
                && !is_of(&bytes, "acct", 2)
        );
    }

    #[test]
    fn all_buckets_are_taken_or_none() {
        let mut record = with(100);
        record.cell_mut(8).expect("room").granted = 5;
        let before = record.clone();
        let needs = [of(TAG, 50), of(8, 6)];
        assert_eq!(record.take(&needs, 2_000), Err(Short::Lease));
        assert_eq!(record, before);
    }

    #[test]
    fn a_denial_speaks_only_of_its_bucket_and_time() {
        let mut record = with(100);
        record.denial = Some(Denied { tag: TAG, why: Why::InFlight, until_us: 5_000, available: 0 });
        let need = [of(TAG, 101)];
        assert!(matches!(record.take(&need, 4_999), Err(Short::Denied(_))));
        assert_eq!(record.take(&need, 5_000), Err(Short::Lease));
        assert_eq!(record.take(&[of(8, 1)], 4_999), Err(Short::Lease));
        assert_eq!(record.take(&[of(TAG, 100)], 4_999), Ok(()), "what is here can be taken");
    }

    #[test]
    fn an_overdrawn_lease_ends_when_nothing_is_held() {
        let mut record = with(100);
        record.take(&[of(TAG, 60)], 2_000).expect("covered");
        record.take(&[of(TAG, 40)], 2_000).expect("covered");
        record.settle(&[(TAG, 60, 160)], 3_000);
        assert_eq!(record.end_overdrawn(3_000), None, "another request is open");
        record.settle(&[(TAG, 40, 10)], 4_000);
        let ended = record.end_overdrawn(4_000).expect("overdrawn");
        assert_eq!((ended.epoch, ended.cell(TAG).map(|cell| cell.used)), (1_000, Some(170)));
        assert_eq!((record.epoch, record.cell(TAG).map(Cell::free)), (4_000, Some(0)));
        assert_eq!(record.end_overdrawn(5_000), None);
    }

    proptest! {
        #[test]
        fn decode_never_fails_badly(bytes in proptest::collection::vec(any::<u8>(), 0..RECORD_BYTES + 2)) {
            let _ = Record::decode(&bytes);
            let _ = is_of(&bytes, "acct", 1);
        }

        /// I1 of the node: granted = free + held + used + returned, whatever happens in whatever order.
        #[test]
        fn granted_is_always_accounted_for(steps in proptest::collection::vec((0..4_u8, 0..1_000_i64, 0..1_500_i64), 0..200)) {
            let mut record = with(0);
            let mut open: Vec<i64> = Vec::new();
            let mut now = 1_000;
            for (kind, amount, used) in steps {
                now += 1_000;
                match kind {
                    0 => record.cell_mut(TAG).expect("room").granted += amount,
                    1 => {
                        if record.take(&[of(TAG, amount)], now).is_ok() {
                            open.push(amount);
                        }
                    }
                    2 => {
                        if let Some(held) = open.pop() {
                            record.settle(&[(TAG, held, used.min(held))], now);
                        }
                    }
                    _ => { record.cell_mut(TAG).expect("room").give_back(); }
                }
                let cell = record.cell(TAG).copied().unwrap_or_default();
                prop_assert!(cell.free() >= 0);
                prop_assert_eq!(cell.held, open.iter().sum::<i64>());
                prop_assert_eq!(cell.granted, cell.free() + cell.held + cell.used + cell.returned);
                prop_assert_eq!(record.open, open.len() as u64);
            }
        }
    }
}
