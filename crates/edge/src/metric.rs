//! Counts, gathered in the VM and handed to the host with the tick: no host call per request.

use std::borrow::Cow;
use std::rc::Rc;

use crate::limits::METRIC_PLANS_MAX;
use crate::reply::Code;

/// How a request ended, as metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Charged.
    Settled,
    /// Nothing to charge.
    Released,
    /// Envoy answered instead of the upstream.
    NoUpstream,
    /// Passed without metering.
    Exempt,
    /// Refused.
    Refused(Code),
    /// Shadow mode: would have been refused.
    Shadow(Code),
    /// The client left before it was decided.
    Abandoned,
    /// Another VM took this one for dead and has settled it.
    Lost,
}

impl Ended {
    /// The name in metrics and in the access log.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Settled => "settled".into(),
            Self::Released => "released".into(),
            Self::NoUpstream => "no_upstream".into(),
            Self::Exempt => "exempt".into(),
            Self::Abandoned => "abandoned".into(),
            Self::Lost => "lost".into(),
            Self::Refused(code) => code.as_str().into(),
            Self::Shadow(code) => format!("shadow_{}", code.as_str()).into(),
        }
    }
}

/// One change for the host's metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The metric's name.
    pub name: String,
    /// Whether it is a gauge (else a counter).
    pub gauge: bool,
    /// How much to add.
    pub by: i64,
}

/// Counts since the last flush.
#[derive(Debug, Default)]
pub struct Metrics {
    plans: Vec<Rc<str>>,
    requests: Vec<(usize, Ended, i64)>,
    /// Micro-credits charged.
    pub charged: i64,
    /// Micro-credits charged above holds.
    pub overshoot: i64,
    /// Calls to the ledger that were answered.
    pub calls_ok: i64,
    /// Calls to the ledger that failed.
    pub calls_failed: i64,
    /// Answers that should have carried usage and did not.
    pub unmetered: i64,
    /// Answers whose total is not the sum of its parts.
    pub mismatched: i64,
    /// Events that the ledger refused, or that could not be kept.
    pub rejected: i64,
    /// Requests of VMs that ended before them.
    pub lost: i64,
    /// Micro-credits held beyond leases while the ledger could not be reached.
    pub beyond: i64,
    gauges: Gauges,
}

/// What stands in the host's gauges: ring depth, parked, open requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges(pub [i64; 3]);

impl Gauges {
    /// From counts.
    #[must_use]
    pub fn new(counts: [usize; 3]) -> Self {
        Self(counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// Of a lane that nothing but events is left of.
    #[must_use]
    pub fn of_depth(depth: usize) -> Self {
        Self::new([depth, 0, 0])
    }

    /// These and others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut sum = self;
        sum.0.iter_mut().zip(other.0).for_each(|(own, other)| *own = own.saturating_add(other));
        sum
    }

    /// These less others.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        let mut left = self;
        left.0.iter_mut().zip(other.0).for_each(|(own, other)| *own = own.saturating_sub(other));
        left
    }
}

impl Metrics {
    /// Counts one request's end.
    pub fn ended(&mut self, plan: &str, ended: Ended) {
        let known = self.plans.iter().position(|own| &**own == plan);
        let place = known.unwrap_or_else(|| {
            if self.plans.len() < METRIC_PLANS_MAX {
                self.plans.push(plan.into());
                self.plans.len().saturating_sub(1)
            } else {
                METRIC_PLANS_MAX
            }
        });
        match self.requests.iter_mut().find(|(own, how, _)| *own == place && *how == ended) {
            Some((_, _, count)) => *count = count.saturating_add(1),
            None => self.requests.push((place, ended, 1)),
        }
    }

    /// Takes over what a VM that has ended left in the host's gauges: the next flush takes it off.
    pub fn inherit(&mut self, left: Gauges) {
        self.gauges = self.gauges.and(left);
    }

    /// Another VM takes this off the host's gauges; what of it is true still is told again.
    pub fn disown(&mut self, taken: Gauges) {
        self.gauges = self.gauges.less(taken);
    }

    /// What has changed since the last flush; gauges are given as they stand and told as differences, so that
    /// the host's process-wide sum over workers is right.
    pub fn flush(&mut self, now: Gauges) -> Vec<Delta> {
        let mut deltas = Vec::new();
        let mut add = |name: String, gauge: bool, by: i64| {
            if by != 0 {
                deltas.push(Delta { name, gauge, by });
            }
        };
        for (place, ended, count) in self.requests.drain(..) {
            let plan = self.plans.get(place).map_or("other".to_owned(), |plan| sanitised(plan));
            add(format!("bursar.requests.plan.{plan}.outcome.{}", ended.name()), false, count);
        }
        let take = std::mem::take::<i64>;
        add("bursar.charged_microcredits".to_owned(), false, take(&mut self.charged));
        add("bursar.overshoot_microcredits".to_owned(), false, take(&mut self.overshoot));
        add("bursar.ledger_calls.result.ok".to_owned(), false, take(&mut self.calls_ok));
        add("bursar.ledger_calls.result.failed".to_owned(), false, take(&mut self.calls_failed));
        add("bursar.lost".to_owned(), false, take(&mut self.lost));
        add("bursar.fail_open_microcredits".to_owned(), false, take(&mut self.beyond));
        add("bursar.unmetered_responses".to_owned(), false, take(&mut self.unmetered));
        add("bursar.total_mismatches".to_owned(), false, take(&mut self.mismatched));
        add("bursar.rejected_events".to_owned(), false, take(&mut self.rejected));
        let names = ["bursar.ring_depth", "bursar.parked", "bursar.open_requests"];
        for (name, by) in names.iter().zip(now.less(self.gauges).0) {
            add((*name).to_owned(), true, by);
        }
        self.gauges = now;
        deltas
    }
}

/// Metric names are dotted: a plan's name may not add parts of its own.
fn sanitised(plan: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = plan.chars().take(64).map(keep).collect();
    if name.is_empty() { "none".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_gauges_are_differences() {
        let mut metrics = Metrics::default();
        for n in 0..1_000 {
            metrics.ended(&format!("plan{n}"), Ended::Settled);
        }
        let names = metrics.flush(Gauges([5, 0, 2])).len();
        assert!(names <= METRIC_PLANS_MAX + 3, "{names}");
        let deltas = metrics.flush(Gauges([3, 0, 2]));
        assert_eq!(deltas, [Delta { name: "bursar.ring_depth".to_owned(), gauge: true, by: -2 }]);
    }

    #[test]
    fn a_plan_name_cannot_add_parts() {
        let mut metrics = Metrics::default();
        metrics.ended("a.b{c}", Ended::Refused(Code::RateLimited));
        let deltas = metrics.flush(Gauges::default());
        assert_eq!(
            deltas.first().map(|d| d.name.as_str()),
            Some("bursar.requests.plan.a_b_c_.outcome.rate_limited")
        );
    }
}
