//! The tick: heartbeats, adoption of silent lanes, idle leases, and deciding when to call the ledger.

use crate::config::Config;
use crate::edge::Edge;
use crate::effect::{CallKind, Effect};
use crate::lane::adopt;
use crate::limits::{EAGER_EVENTS, IDLE_US, LANE_SILENT_US, LEASE_IDLE_US, SYNC_US};
use crate::request::Reason;
use crate::shared::SharedData;
use crate::time::Now;

/// Accounts whose idle leases are looked for in one tick.
const IDLE_SCAN: usize = 64;
/// How often all known accounts are gone through for idle leases, in microseconds.
const IDLE_SCAN_US: u64 = 30_000_000;

impl Edge {
    /// The root's tick.
    pub fn tick(&mut self, shared: &dyn SharedData, config: &Config, now: Now) {
        self.beat(shared, now);
        if self.lane.is_some() && now.mono_us.saturating_sub(self.clock.last_adoption) >= LANE_SILENT_US {
            self.clock.last_adoption = now.mono_us;
            self.adopt_one(shared, now);
        }
        self.scan_idle(shared, now);
        self.retry_parked(shared, now);
        self.call_if_due(shared, config, now);
    }

    /// Something in this VM waits, or another worker's answer concerns it.
    pub fn woken(&mut self, shared: &dyn SharedData, config: &Config, now: Now) {
        if !self.parked.is_empty() {
            self.retry_parked(shared, now);
        }
        self.call_if_due(shared, config, now);
    }

    /// Calls the ledger where there is something to say or to ask.
    pub fn call_if_due(&mut self, shared: &dyn SharedData, config: &Config, now: Now) {
        if now.mono_us < self.clock.retry_after {
            return;
        }
        if self.catalog_flight.is_none() {
            if let Some(version) = self.catalog_wanted() {
                self.catalog_flight = Some(version);
                let path = format!("{}?version={version}", wire::CATALOG_PATH);
                self.effects.push(Effect::Call {
                    kind: CallKind::Catalog,
                    method: "GET",
                    path,
                    body: Vec::new(),
                });
            }
        }
        let parked = self.parked.iter().filter_map(|context| self.requests.get(context)?.wait.as_ref());
        let asks = parked.filter(|wait| match wait.reason {
            Reason::Refill => wait.ask_after_us <= now.mono_us,
            Reason::Liveness => true,
            Reason::Key | Reason::Snapshot | Reason::Catalog(_) => false,
        });
        let waits = asks.count() > 0;
        let active =
            now.mono_us.saturating_sub(self.clock.last_request) < IDLE_US && self.clock.last_request > 0;
        let due = now.mono_us.saturating_sub(self.clock.last_sync) >= SYNC_US;
        let depth = |lane: &crate::lane::LaneQueue| lane.depth();
        let own = self.lane.as_ref().map_or(0, depth);
        let events = own > 0 || self.adopted.iter().any(|lane| lane.depth() > 0);
        let regular = due && (active || events || !self.requests.is_empty());
        let asked = !self.lookups.wanted.is_empty() || !self.refresh.is_empty() || !self.returns.is_empty();
        if waits || asked || regular || own >= EAGER_EVENTS {
            self.send_sync(shared, &config.label, config.ledger.timeout_ms.saturating_mul(1_000), now);
        }
    }

    /// The catalog version that requests wait for, or that is in force and not here.
    fn catalog_wanted(&self) -> Option<u64> {
        let waited =
            self.parked.iter().find_map(|context| match self.requests.get(context)?.wait.as_ref()?.reason {
                Reason::Catalog(version) => Some(version),
                Reason::Key | Reason::Snapshot | Reason::Liveness | Reason::Refill => None,
            });
        let current = Some(self.ledger.catalog).filter(|version| *version > 0);
        let missing = |version: &u64| !self.catalogs.iter().any(|own| own.version == *version);
        waited.filter(missing).or(current.filter(missing))
    }

    fn beat(&mut self, shared: &dyn SharedData, now: Now) {
        if now.mono_us.saturating_sub(self.clock.last_beat) < SYNC_US {
            return;
        }
        self.clock.last_beat = now.mono_us;
        for lane in &self.adopted {
            lane.beat(shared, &self.keys_in_shared, now.mono_us);
        }
        let lost =
            self.lane.as_ref().is_some_and(|lane| !lane.beat(shared, &self.keys_in_shared, now.mono_us));
        if lost {
            // Another VM took the lane for silent. Both send what is left: numbers make that harmless.
            self.effects.push(Effect::Warn(
                "this worker was taken for silent; it goes on in another lane".to_owned(),
            ));
            self.adopted.extend(self.lane.take().map(|mut lane| {
                lane.adopted = true;
                lane
            }));
        }
    }

    fn adopt_one(&mut self, shared: &dyn SharedData, now: Now) {
        let own = self.lane.as_ref().map(|lane| lane.lane.slot);
        let Some(lane) = adopt(shared, &self.keys_in_shared, own, now.mono_us) else {
            return;
        };
        let text = format!("adopted lane {:?} with {} events", lane.lane, lane.depth());
        self.effects.push(Effect::Warn(text));
        if lane.depth() == 0 {
            lane.beat(shared, &self.keys_in_shared, now.mono_us);
        } else {
            self.adopted.push_back(lane);
        }
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
