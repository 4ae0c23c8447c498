//! An account's rates as the ledger keeps them: who refills them, and tokens leased to several nodes
//! (protocol §6).
//!
//! Part of [`crate::Soft`]: in memory alone, lost with the process. The only node that uses an account is
//! *sole*: it refills by itself, and no tokens are counted here. When a second one asks, the first is told to
//! stop; from its answer on tokens are leased in chunks out of one bucket per rate. A bucket is the instant at
//! which it would be full again, as on the nodes. Time is ledger uptime in microseconds.

mod level;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tariff::catalog::PlanRate;
use wire::id::names_bucket;
use wire::{NODE_OPEN_MS, NodeId, RateGrant, RateLine, RateMode, RateState, RateTokens};

use self::level::Level;
use crate::limits::{
    RATE_ANSWER_MS, RATE_FORGOTTEN_MS, RATE_KEEP_MS, RATE_SOLE_AFTER_MS, RATE_TURN_AHEAD_MAX, RATE_USERS_MAX,
    WAIT_MS,
};

/// Who takes tokens of an account's rates.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// Rises whenever somebody else may take tokens without asking; 0 = nothing has been decided.
    turn: u64,
    holder: Holder,
    /// Nodes that tokens are leased to, under the turn that runs.
    users: Vec<User>,
    levels: Vec<Level>,
    /// When somebody last asked.
    asked_us: i64,
}

/// Who may refill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Holder {
    #[default]
    Nobody,
    /// One node, by itself.
    Sole { node: NodeId, epoch: u64 },
    /// The ledger, as soon as that node has answered. True: it has fallen silent, and keeps half.
    Withdrawn { node: NodeId, half: bool, since_us: i64 },
    /// The ledger.
    Shared,
    /// The ledger, beside a node that refilled before the process began and has not called since: it keeps half.
    Unclaimed,
}

/// A node that tokens are leased to.
#[derive(Clone, Debug)]
struct User {
    node: NodeId,
    epoch: u64,
    /// Since when it has asked without a long break.
    since_us: i64,
    /// When it last asked.
    seen_us: i64,
    lines: Vec<Line>,
}

/// What a node has had of one rate under this turn.
#[derive(Clone, Debug)]
struct Line {
    rate: Arc<str>,
    granted: u64,
    used: u64,
    returned: u64,
}

/// What an ask is decided by, beside what is known of the account.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The ledger's uptime, in microseconds.
    pub up_us: i64,
    /// Its wall clock, in milliseconds.
    pub wall: i64,
    /// When the process began, in microseconds of uptime.
    pub began_us: i64,
    /// Nodes of before that moment are open, beside the asker: they may use the account.
    pub inherited: bool,
    /// One of them has not called since: it may refill by itself, and takes half.
    pub unheard: bool,
    /// What such nodes know by themselves may still be on its way.
    pub early: bool,
    /// The node that must be heard has fallen silent.
    pub silent: bool,
}

/// What becomes of an ask.
#[derive(Debug)]
pub struct Decision {
    /// What the asker is told.
    pub grant: RateGrant,
    /// A node that must be told that it refills no more, and the turn that begins.
    pub withdrawn: Option<(NodeId, u64)>,
}

// === impl Rates ===

impl Rates {
    /// The node that may take tokens without asking, or did so until it answers.
    #[must_use]
    pub const fn holder(&self) -> Option<NodeId> {
        match self.holder {
            Holder::Sole { node, .. } | Holder::Withdrawn { node, .. } => Some(node),
            Holder::Nobody | Holder::Shared | Holder::Unclaimed => None,
        }
    }

    /// Whether a node must still say that it has stopped to refill.
    #[must_use]
    pub fn waits_for(&self, waited: NodeId) -> bool {
        matches!(self.holder, Holder::Withdrawn { node, .. } if node == waited)
    }

    /// Every node that may take tokens.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.users.iter().map(|user| user.node).chain(self.holder()).collect()
    }

    /// Whether forgetting it would let more through than a rate allows.
    #[must_use]
    pub fn is_needed(&self, up_us: i64, is_open: impl Fn(NodeId) -> bool) -> bool {
        let used = self.users.iter().any(|user| is_open(user.node));
        let lately = up_us.saturating_sub(self.asked_us) < RATE_FORGOTTEN_MS.saturating_mul(1_000);
        self.holder().is_some_and(&is_open)
            || (lately && (used || matches!(self.holder, Holder::Shared | Holder::Unclaimed)))
    }

    /// Forgets nodes that are closed. What they had not used by then counts as used.
    pub fn forget_closed(&mut self, up_us: i64, is_open: impl Fn(NodeId) -> bool) {
        self.clip(up_us);
        self.users.retain(|user| is_open(user.node));
        match self.holder {
            Holder::Sole { node, .. } if !is_open(node) => {
                // Like one that fell silent: half of what it could have used is given out again.
                let open_us = i64::try_from(NODE_OPEN_MS.saturating_mul(1_000)).unwrap_or(i64::MAX);
                for level in &mut self.levels {
                    let debt = level.depth_us().checked_div(2).unwrap_or(0).saturating_sub(open_us);
                    level.full_us = up_us.saturating_add(debt.max(0));
                }
                self.holder = Holder::Nobody;
            }
            Holder::Withdrawn { node, .. } if !is_open(node) => self.holder = Holder::Shared,
            _ => {}
        }
    }

    /// A node says how its record stands: tokens used and given back, or the answer that a withdrawal waits for.
    pub fn report(&mut self, up_us: i64, node: NodeId, state: &RateState) {
        if state.turn != self.turn || state.turn == 0 {
            return;
        }
        self.clip(up_us);
        match self.holder {
            Holder::Withdrawn { node: waited, half, .. }
                if waited == node && state.mode != RateMode::Sole =>
            {
                for level in &mut self.levels {
                    let stated = state.lines.iter().find(|line| names_bucket(&line.rate, &level.rate));
                    let owed = stated.map_or(0, |line| i64::try_from(line.full_in_us).unwrap_or(i64::MAX));
                    let owed = owed.min(level.depth_us());
                    let own = if half { level.full_us.saturating_sub(up_us).max(0) } else { 0 };
                    level.full_us = up_us.saturating_add(own.saturating_add(owed).min(level.depth_us()));
                }
                self.holder = Holder::Shared;
            }
            Holder::Sole { node: sole, .. } if sole == node && state.mode == RateMode::Unknown => {
                // Its record is gone, and was at rest.
                self.holder = Holder::Nobody;
            }
            _ if state.mode == RateMode::Unknown => self.users.retain(|user| user.node != node),
            _ => self.count(node, &state.lines),
        }
    }

    /// A record asks for tokens, or who refills.
    pub fn ask(
        &mut self,
        at: Moment,
        (node, epoch): (NodeId, u64),
        state: &RateState,
        plan: &[PlanRate],
    ) -> Decision {
        self.asked_us = at.up_us;
        self.pass_turn(at, node, state.turn);
        self.follow(at, state, plan);
        self.report(at.up_us, node, state);
        if self.holder == Holder::Unclaimed && !at.unheard {
            self.holder = Holder::Shared;
        }
        let mut withdrawn = None;
        let grant = match self.holder {
            Holder::Nobody if state.mode == RateMode::Leased => {
                self.begin_turn(at, Holder::Shared);
                self.lease(at, (node, epoch), state)
            }
            Holder::Nobody if at.early && state.mode == RateMode::Unknown => wait(),
            Holder::Nobody if at.unheard && state.mode == RateMode::Unknown => {
                self.begin_turn(at, Holder::Unclaimed);
                self.lease(at, (node, epoch), state)
            }
            Holder::Nobody => {
                self.begin_turn(at, Holder::Sole { node, epoch });
                self.be_sole(at)
            }
            Holder::Sole { node: sole, epoch: known } if sole == node => {
                let goes_on = state.turn == self.turn && state.mode == RateMode::Sole;
                if known != epoch && !goes_on {
                    // Another record of the account, which makes room only at rest.
                    self.levels.iter_mut().for_each(|level| level.full_us = at.up_us);
                    self.begin_turn(at, Holder::Sole { node, epoch });
                } else {
                    self.holder = Holder::Sole { node, epoch };
                }
                self.be_sole(at)
            }
            Holder::Sole { node: sole, .. } => {
                self.begin_turn(at, Holder::Withdrawn { node: sole, half: false, since_us: at.up_us });
                withdrawn = Some((sole, self.turn));
                self.lease_if_silent(at, (node, epoch), state)
            }
            Holder::Withdrawn { node: waited, .. } if waited == node => wait(),
            Holder::Withdrawn { .. } => self.lease_if_silent(at, (node, epoch), state),
            Holder::Shared | Holder::Unclaimed => self.lease(at, (node, epoch), state),
        };
        Decision { grant, withdrawn }
    }

    /// A node knows a higher turn: of a process before this one, whose clock was ahead. It hears only what is of
    /// a later turn, so one begins.
    fn pass_turn(&mut self, at: Moment, node: NodeId, turn: u64) {
        let believed = u64::try_from(at.wall).unwrap_or(0).saturating_add(RATE_TURN_AHEAD_MAX);
        if turn <= self.turn || turn > believed {
            return;
        }
        let holder = match self.holder {
            Holder::Sole { node: sole, .. } if sole != node => return,
            Holder::Withdrawn { .. } => return,
            own => own,
        };
        self.turn = turn;
        if holder != Holder::Nobody {
            self.begin_turn(at, holder);
        }
    }

    /// Takes over the plan's rates. What is not known of a bucket is reckoned from the worst.
    fn follow(&mut self, at: Moment, state: &RateState, plan: &[PlanRate]) {
        self.levels.retain(|level| plan.iter().any(|rate| *rate.id == *level.rate));
        for rate in plan {
            let (amount, burst) = (rate.amount.max(1), rate.burst);
            let per_us = rate.per_ms.saturating_mul(1_000).max(1);
            if let Some(level) = self.levels.iter_mut().find(|level| *level.rate == *rate.id) {
                level.redefine(at.up_us, amount, per_us, burst);
                continue;
            }
            let mut level =
                Level { rate: Arc::from(rate.id.as_str()), amount, per_us, burst, full_us: at.up_us };
            let stated = state.lines.iter().find(|line| *line.rate == *rate.id);
            level.full_us = match (state.mode, stated) {
                (RateMode::Sole, Some(line)) => {
                    let owed = i64::try_from(line.full_in_us).unwrap_or(i64::MAX);
                    at.up_us.saturating_add(owed.min(level.depth_us()))
                }
                (RateMode::Leased, _) => at.up_us.saturating_add(level.depth_us()),
                _ if at.inherited => at.began_us.saturating_add(level.depth_us()),
                _ => at.up_us,
            };
            self.levels.push(level);
        }
    }

    fn begin_turn(&mut self, at: Moment, holder: Holder) {
        self.turn = self.turn.saturating_add(1).max(u64::try_from(at.wall).unwrap_or(0));
        self.users.clear();
        self.holder = holder;
    }

    fn be_sole(&self, at: Moment) -> RateGrant {
        let lines = self.levels.iter().map(|level| RateTokens {
            rate: level.rate.to_string(),
            full_in_us: u64::try_from(level.full_us.saturating_sub(at.up_us)).unwrap_or(0),
            ..RateTokens::default()
        });
        decided(self.turn, RateMode::Sole, lines.collect())
    }

    fn lease_if_silent(&mut self, at: Moment, asker: (NodeId, u64), state: &RateState) -> RateGrant {
        let Holder::Withdrawn { node, half, since_us } = self.holder else { return wait() };
        // One that calls and never answers must not starve the others either.
        let waited_us = at.up_us.saturating_sub(since_us);
        let silent = at.silent || waited_us >= RATE_ANSWER_MS.saturating_mul(1_000);
        if !half && silent {
            for level in &mut self.levels {
                level.full_us = at.up_us;
            }
            self.holder = Holder::Withdrawn { node, half: true, since_us };
        }
        if half || silent { self.lease(at, asker, state) } else { wait() }
    }

    /// Leases tokens, or hands the rates over to the only node that still uses them.
    fn lease(&mut self, at: Moment, (node, epoch): (NodeId, u64), state: &RateState) -> RateGrant {
        self.clip(at.up_us);
        let after_us = RATE_SOLE_AFTER_MS.saturating_mul(1_000);
        let is_late = |seen_us: i64| at.up_us.saturating_sub(seen_us) >= after_us;
        self.users.retain(|user| user.node == node || !is_late(user.seen_us) || user.outstanding() > 0);
        let Some(own) = self.user(at, (node, epoch), state) else { return wait() };
        let since_us = self.users.get(own).map_or(at.up_us, |user| user.since_us);
        if self.holder == Holder::Shared && self.users.len() == 1 && is_late(since_us) {
            self.begin_turn(at, Holder::Sole { node, epoch });
            return self.be_sole(at);
        }
        let half = matches!(self.holder, Holder::Withdrawn { .. } | Holder::Unclaimed);
        let sharers = self.users.iter().filter(|user| !is_late(user.seen_us)).count();
        let sharers = u64::try_from(sharers).unwrap_or(1).max(1);
        let mut lines = Vec::new();
        for level in &mut self.levels {
            let asked = state.lines.iter().find(|line| *line.rate == *level.rate);
            let (need, more) = asked.map_or((0, false), |line| (line.need, line.more));
            let got = if need > 0 || more { level.take(at.up_us, need, sharers, half) } else { 0 };
            let line = self.users.get_mut(own).map(|user| user.line(&level.rate));
            let granted = line.map_or(0, |line| {
                line.granted = line.granted.saturating_add(got);
                // What requests wait for is used as soon as it arrives.
                line.used = line.used.saturating_add(got.min(need));
                line.granted
            });
            let short = got < need || (more && got == 0);
            let retry_in_ms = if short { level.retry_in_ms(at.up_us, half) } else { 0 };
            lines.push(RateTokens { rate: level.rate.to_string(), full_in_us: 0, granted, retry_in_ms });
        }
        // What is not missed elsewhere need not be asked for again so soon.
        let plenty = self.levels.iter().all(|level| level.tokens(at.up_us, half) >= level.burst.div_ceil(2));
        let keep_ms = if plenty { RATE_KEEP_MS } else { 0 };
        RateGrant { keep_ms, ..decided(self.turn, RateMode::Leased, lines) }
    }

    /// The asker among the users; nothing where it is not the record that is known, or where there is no room.
    fn user(&mut self, at: Moment, (node, epoch): (NodeId, u64), state: &RateState) -> Option<usize> {
        if let Some(index) = self.users.iter().position(|user| user.node == node) {
            let user = self.users.get_mut(index)?;
            if user.epoch != epoch && state.turn != self.turn {
                if epoch < user.epoch {
                    return None;
                }
                // Another record of the account: what the one before had not used counts as used.
                user.lines.clear();
            }
            let break_us = at.up_us.saturating_sub(user.seen_us);
            if break_us >= RATE_SOLE_AFTER_MS.saturating_mul(1_000) {
                user.since_us = at.up_us;
            }
            (user.epoch, user.seen_us) = (epoch, at.up_us);
            return Some(index);
        }
        if self.users.len() >= RATE_USERS_MAX {
            // Whoever has rested longest and has nothing left makes room.
            let idle = self.users.iter().enumerate().filter(|(_, user)| user.outstanding() == 0);
            let (longest, _) = idle.min_by_key(|(_, user)| user.seen_us)?;
            self.users.remove(longest);
        }
        // A record that was forgotten after a rest goes on counting: all that it had was used or given back.
        let stated = if state.turn == self.turn { &*state.lines } else { &[] };
        let lines = stated.iter().map(|line| Line {
            rate: Arc::from(line.rate.as_str()),
            granted: line.used.saturating_add(line.returned),
            used: line.used,
            returned: line.returned,
        });
        let lines = lines.filter(|line| self.levels.iter().any(|level| level.rate == line.rate)).collect();
        self.users.push(User { node, epoch, since_us: at.up_us, seen_us: at.up_us, lines });
        self.users.len().checked_sub(1)
    }

    /// Notes what a node has used and given back; what came back can be leased again.
    fn count(&mut self, node: NodeId, lines: &[RateLine]) {
        let Some(user) = self.users.iter_mut().find(|user| user.node == node) else { return };
        for stated in lines {
            let level = self.levels.iter_mut().find(|level| names_bucket(&stated.rate, &level.rate));
            let Some(level) = level else { continue };
            let line = user.line(&level.rate);
            // No more can come back or be used than was granted, whatever the node says.
            let returned = stated.returned.min(line.granted).max(line.returned);
            let back = returned.saturating_sub(line.returned);
            line.returned = returned;
            line.used = stated.used.min(line.granted.saturating_sub(returned)).max(line.used);
            level.full_us = level.full_us.saturating_sub(level.time_of(back));
        }
    }

    /// A bucket is never fuller than what nodes may still take leaves room for: in no window do they take more
    /// than the burst and what is refilled.
    fn clip(&mut self, up_us: i64) {
        for level in &mut self.levels {
            let of_rate = |user: &User| {
                let line = user.lines.iter().find(|line| line.rate == level.rate);
                line.map_or(0, Line::outstanding)
            };
            let outstanding = self.users.iter().map(of_rate).fold(0, u64::saturating_add);
            // Of a rate that was larger more may be out than there is room for.
            let floor = up_us.saturating_add(level.time_of(outstanding).min(level.depth_us()));
            level.full_us = level.full_us.max(floor);
        }
    }
}

// === impl User ===

impl User {
    fn outstanding(&self) -> u64 {
        self.lines.iter().map(Line::outstanding).fold(0, u64::saturating_add)
    }

    fn line(&mut self, rate: &Arc<str>) -> &mut Line {
        let index = self.lines.iter().position(|line| line.rate == *rate);
        let index = index.unwrap_or(self.lines.len());
        if index == self.lines.len() {
            self.lines.push(Line { rate: Arc::clone(rate), granted: 0, used: 0, returned: 0 });
        }
        #[expect(clippy::indexing_slicing, reason = "found, or pushed a line ago")]
        &mut self.lines[index]
    }
}

// === impl Line ===

impl Line {
    const fn outstanding(&self) -> u64 {
        self.granted.saturating_sub(self.used).saturating_sub(self.returned)
    }
}

/// What an asker is told; whom it is told is for the caller to fill in.
const fn decided(turn: u64, mode: RateMode, lines: Vec<RateTokens>) -> RateGrant {
    RateGrant { account: String::new(), lease: 0, turn, mode, wait_ms: 0, keep_ms: 0, lines }
}

/// What an asker is told while another node must be heard.
fn wait() -> RateGrant {
    RateGrant { wait_ms: WAIT_MS, ..decided(0, RateMode::Unknown, Vec::new()) }
}
