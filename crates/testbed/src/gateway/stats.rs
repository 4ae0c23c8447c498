//! Envoy's counters and gauges.

use std::collections::BTreeMap;

/// Counters and gauges by full name.
#[derive(Clone, Debug, Default)]
pub struct Stats(BTreeMap<String, i64>);

impl Stats {
    /// Reads the text of `/stats`; histograms are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// One value; 0 where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The sum of all whose name begins so.
    #[must_use]
    pub fn sum(&self, prefix: &str) -> i64 {
        self.starting(prefix).map(|(_, value)| value).sum()
    }

    /// The sum of all whose name begins and ends so.
    #[must_use]
    pub fn sum_of(&self, prefix: &str, suffix: &str) -> i64 {
        self.starting(prefix).filter(|(name, _)| name.ends_with(suffix)).map(|(_, value)| value).sum()
    }

    /// All whose name begins so.
    pub fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, i64)> + 'a {
        let own = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        own.map(|(name, value)| (name.as_str(), *value))
    }

    /// How many connections each worker has accepted, on all listeners.
    #[must_use]
    pub fn accepted_by_worker(&self) -> BTreeMap<&str, i64> {
        let mut accepted = BTreeMap::new();
        for (name, value) in self.starting("listener.") {
            let worker = name.strip_suffix(".downstream_cx_total").and_then(|name| name.rsplit('.').next());
            if let Some(worker) = worker.filter(|worker| worker.starts_with("worker_")) {
                let count: &mut i64 = accepted.entry(worker).or_default();
                *count = count.saturating_add(value);
            }
        }
        accepted
    }

    /// Counters that say that a VM has failed: reloads of any kind, and requests that found none.
    #[must_use]
    pub fn vm_failures(&self) -> BTreeMap<&str, i64> {
        let failure = |name: &str| {
            let wasm = name.starts_with("wasm.") || name.starts_with("wasm_");
            wasm && ["reload", "fail", "error", "crash"].iter().any(|word| name.contains(word))
        };
        let failed = self.0.iter().filter(|(name, value)| **value != 0 && failure(name));
        failed.map(|(name, value)| (name.as_str(), *value)).collect()
    }

    /// How many V8 VMs have been made; constant while none fails and no configuration changes.
    #[must_use]
    pub fn vms_created(&self) -> i64 {
        self.get("wasm.envoy.wasm.runtime.v8.created")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_and_healthy_counters_are_not() {
        let stats = Stats::parse(
            "wasm.envoy.wasm.runtime.v8.created: 4\nwasm.bursar.vm_reload_success: 1\n\
             wasm.bursar.vm_reload_backoff: 0\nhttp.x.downstream_rq_time: No recorded values\n",
        );
        assert_eq!(stats.vms_created(), 4);
        let listener = Stats::parse(
            "listener.127.0.0.1_1.worker_0.downstream_cx_total: 3\n\
             listener.admin.main_thread.downstream_cx_total: 9\n",
        );
        assert_eq!(listener.accepted_by_worker().into_iter().collect::<Vec<_>>(), [("worker_0", 3)]);
        assert_eq!(
            stats.vm_failures().into_iter().collect::<Vec<_>>(),
            [("wasm.bursar.vm_reload_success", 1)]
        );
    }
}
