//! The tick: heartbeats, adoption of silent lanes, idle leases, and deciding when to call the ledger.

use wire::REFRESH_MAX;

use crate::config::Config;
use crate::edge::Edge;
use crate::effect::{CallKind, Effect};
use crate::lane::LaneQueue;
use crate::limits::{
    ADOPTION_US, EAGER_EVENTS, FLIGHT_SLACK_US, IDLE_US, LEASE_IDLE_US, REFRESH_US, SYNC_US,
};
use crate::request::Reason;
use crate::shared::SharedData;
use crate::sync::CatalogFlight;
use crate::time::Now;

/// Accounts whose idle leases are looked for in one tick.
const IDLE_SCAN: usize = 64;
/// How often all known accounts are gone through for idle leases, in microseconds.
const IDLE_SCAN_US: u64 = 30_000_000;

/// Who wakes a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waker {
    /// It did so itself: something waits for a root.
    Own,
    /// Another worker's answer concerns it.
    Other,
}

impl Edge {
    /// The root's tick.
    pub fn tick(&mut self, shared: &dyn SharedData, config: &Config, now: Now) {
        if self.told() != self.gauges() || now.mono_us.saturating_sub(self.clock.last_beat) >= SYNC_US {
            self.beat(shared, now);
        }
        // A worker without a lane of its own looks as well: after a swap of VMs there may be no other.
        if now.mono_us.saturating_sub(self.clock.last_adoption) >= ADOPTION_US {
            self.clock.last_adoption = now.mono_us;
            self.adopt_silent(shared, now);
        }
        self.settle_lost(shared, now);
        self.scan_idle(shared, now);
        self.return_idle_tokens(shared, now);
        self.retry_parked(shared, now);
        self.call_if_due(shared, config, now);
    }

    /// Something in this VM waits for a root, or another worker's answer concerns it.
    pub fn woken(&mut self, shared: &dyn SharedData, config: &Config, by: Waker, now: Now) {
        match by {
            // What was parked a moment ago is none the wiser for its own wake-up.
            Waker::Own => self.retry_ready(shared, now),
            Waker::Other => {
                self.unblock_parked();
                self.retry_parked(shared, now);
                // Somebody may wait for what this worker has not reported.
                self.hasty |= self.lane.as_ref().is_some_and(|lane| lane.depth() > 0);
            }
        }
        self.call_if_due(shared, config, now);
    }

    /// Calls the ledger where there is something to say or to ask.
    pub fn call_if_due(&mut self, shared: &dyn SharedData, config: &Config, now: Now) {
        self.give_up_lost(shared, now);
        if now.mono_us < self.clock.retry_after {
            return;
        }
        let timeout_us = config.ledger.timeout_ms.saturating_mul(1_000);
        if let Some(version) = self.catalog_wanted().filter(|_| self.catalog_flight.is_none()) {
            let until_us = now.mono_us.saturating_add(timeout_us).saturating_add(FLIGHT_SLACK_US);
            self.catalog_flight = Some(CatalogFlight { version, until_us });
            self.effects.push(Effect::Call {
                kind: CallKind::Catalog(version),
                method: "GET",
                path: format!("{}?version={version}", wire::CATALOG_PATH),
                body: Vec::new(),
            });
        }
        if self.flight.is_none() && self.sync_is_due(now) {
            self.send_sync(shared, &config.label, timeout_us, now);
        }
    }

    /// Whether somebody waits for the ledger, or it is time to tell it what there is.
    fn sync_is_due(&self, now: Now) -> bool {
        let wait = |context| self.requests.get(&context)?.wait.as_ref();
        let own = self.lane.as_ref().map_or(0, LaneQueue::depth);
        if own >= EAGER_EVENTS || self.hasty || !self.returns.is_empty() || !self.recalled.is_empty() {
            return true;
        }
        let since_us = now.mono_us.saturating_sub(self.clock.last_refresh);
        if self.changed && (since_us >= REFRESH_US || self.refresh.len() >= REFRESH_MAX) {
            return true;
        }
        if self.parked.iter().filter_map(wait).any(|wait| wait.asks(now)) {
            return true;
        }
        let last_request = self.clock.last_request;
        let active = last_request > 0 && now.mono_us.saturating_sub(last_request) < IDLE_US;
        let events = own > 0 || self.adopted.iter().any(|lane| lane.depth() > 0);
        let due = now.mono_us.saturating_sub(self.clock.last_sync) >= SYNC_US;
        due && (active || events || !self.requests.is_empty())
    }

    /// Gives up calls that nobody will answer any more: the host tells only the root that made a call, and that
    /// one may have gone with its configuration.
    fn give_up_lost(&mut self, shared: &dyn SharedData, now: Now) {
        if self.catalog_flight.is_some_and(|flight| flight.until_us <= now.mono_us) {
            self.catalog_flight = None;
        }
        if self.flight.as_ref().is_some_and(|flight| flight.until_us <= now.mono_us) {
            self.sync_failed(shared, None, now);
        }
    }

    /// The catalog version that requests wait for, or that is in force and not here.
    fn catalog_wanted(&self) -> Option<u64> {
        let waited =
            self.parked.iter().find_map(|context| match self.requests.get(&context)?.wait.as_ref()?.reason {
                Reason::Catalog(version) => Some(version),
                Reason::Key
                | Reason::Snapshot
                | Reason::Liveness
                | Reason::Refill
                | Reason::Tokens(_)
                | Reason::Edit => None,
            });
        let current = Some(self.ledger.catalog).filter(|version| *version > 0);
        let missing = |version: &u64| !self.catalogs.iter().any(|own| own.version == *version);
        waited.filter(missing).or(current.filter(missing))
    }

    /// Returns leases that have not been used for long, a few accounts per tick.
    fn scan_idle(&mut self, shared: &dyn SharedData, now: Now) {
        if self.ledger.idle_scan.is_empty() {
            if now.mono_us.saturating_sub(self.clock.last_idle_scan) < IDLE_SCAN_US {
                return;
            }
            self.clock.last_idle_scan = now.mono_us;
            self.ledger.idle_scan = self.accounts.ids();
        }
        let node = self.node(shared).generation;
        let rest = self.ledger.idle_scan.len().saturating_sub(IDLE_SCAN);
        for account in self.ledger.idle_scan.split_off(rest) {
            let idle = |record: &crate::record::Record| {
                now.mono_us.saturating_sub(record.touched_us) > LEASE_IDLE_US
            };
            let record = self.records.read(shared, &account, node).filter(idle);
            if record.is_some_and(|record| record.cells.iter().any(|cell| cell.free() > 0)) {
                self.return_free(shared, &account, node);
            }
        }
    }
}
