//! The filter's report of one request, as it stands in Envoy's access log: what the log line's filter state
//! holds. `bursar reconcile` charges from it what no sync has brought.

use serde::{Deserialize, Serialize};
use tariff::Usage;

use crate::event::{Outcome, Settle, Take, UsageSource, UsageStatus};
use crate::id::{Lane, NodeId};

/// One report. Members that the filter writes for people alone (`plan`, `charge`, `code`) are not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The request's id, unique for ever.
    pub request: String,
    /// How it ended, as metrics name it: `settled`, `released`, `no_upstream`, `exempt`, `shadow_<code>`, `<code>` …
    pub outcome: String,
    /// The operation.
    #[serde(default)]
    pub operation: String,
    /// The account, where it is known.
    #[serde(default)]
    pub account: Option<String>,
    /// The key's id, where it is known.
    #[serde(default)]
    pub key: Option<String>,
    /// The model or flat-price operation that it is charged as, where it was admitted.
    #[serde(default)]
    pub model: Option<String>,
    /// The model that answered, where it was another.
    #[serde(default)]
    pub answered_model: Option<String>,
    /// The tier of service that it is charged by.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// What the provider says that it cost.
    #[serde(default)]
    pub provider_cost: Option<u64>,
    /// Where the usage comes from; absent = nothing is charged.
    #[serde(default)]
    pub source: Option<UsageSource>,
    /// How sure the usage is.
    #[serde(default)]
    pub status: Option<UsageStatus>,
    /// What was used.
    #[serde(default)]
    pub usage: Usage,
    /// The term of its admission.
    #[serde(default)]
    pub term: Option<u64>,
    /// The record's epoch.
    #[serde(default)]
    pub lease: u64,
    /// What it held and used of each bucket.
    #[serde(default)]
    pub takes: Vec<Take>,
    /// The node's wall clock when it began, in milliseconds since 1970.
    #[serde(default)]
    pub at: i64,
    /// The node; absent where the lane names it.
    #[serde(default)]
    pub node: Option<NodeId>,
    /// The lane that its settlement went to, as `node/slot/incarnation`; absent = the ring had no room for it.
    #[serde(default)]
    pub lane: Option<String>,
    /// Its number there.
    #[serde(default)]
    pub seq: u64,
}

/// Why a report cannot be charged from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A member without which nothing can be charged.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The lane is no `node/slot/incarnation`.
    #[error("its lane is none")]
    Lane,
}

/// A settlement as a report tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The node that served it.
    pub node: NodeId,
    /// Lane and number; absent = the ring had no room for it.
    pub place: Option<(Lane, u64)>,
    /// What the lane's event says too.
    pub settle: Settle,
}

// === impl Report ===

impl Report {
    /// Whether the request was charged: only such reports have a [`Reported`]. A request that was settled as lost
    /// by another VM is reported by that one.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        let is_shadow = self.outcome.starts_with("shadow_");
        self.outcome == "settled" || (is_shadow && self.source.is_some())
    }

    /// The settlement; nothing where the request was not charged.
    ///
    /// # Errors
    /// [`ReportError`] for the first thing that it lacks.
    pub fn settlement(self) -> Result<Option<Reported>, ReportError> {
        if !self.is_charged() {
            return Ok(None);
        }
        let missing = |name| move || ReportError::Missing(name);
        let place = match &self.lane {
            Some(lane) => Some((Lane::parse(lane).ok_or(ReportError::Lane)?, self.seq)),
            None => None,
        };
        if place.is_some_and(|(_, seq)| seq == 0) {
            return Err(ReportError::Missing("seq"));
        }
        let node = place.map(|(lane, _)| lane.node).or(self.node).ok_or_else(missing("node"))?;
        Ok(Some(Reported {
            node,
            place,
            settle: Settle {
                request: self.request,
                account: self.account.ok_or_else(missing("account"))?,
                key: self.key.ok_or_else(missing("key"))?,
                term: self.term.ok_or_else(missing("term"))?,
                model: self.model.ok_or_else(missing("model"))?,
                answered_model: self.answered_model,
                service_tier: self.service_tier,
                provider_cost: self.provider_cost,
                operation: self.operation,
                outcome: Outcome::Settled,
                source: self.source,
                status: self.status,
                usage: self.usage,
                lease: self.lease,
                takes: self.takes,
                at: self.at,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: &str = r#"{"request":"req_1","outcome":"settled","operation":"chat","account":"acme","key":"k",
        "plan":"pro","model":"m","charge":"0.5","source":"reported","status":"complete","usage":{"input_tokens":3},
        "term":2,"lease":7,"takes":[{"bucket":"credits","held":9,"used":5}],"at":11,
        "lane":"07070707070707070707070707070707/1/2","seq":4}"#;

    fn read(text: &str) -> Result<Option<Reported>, ReportError> {
        serde_json::from_str::<Report>(text).unwrap().settlement()
    }

    #[test]
    fn a_settled_report_has_all_that_a_settlement_has() {
        let reported = read(SETTLED).unwrap().unwrap();
        let (lane, seq) = reported.place.unwrap();
        assert_eq!((lane.node.0, lane.slot, lane.incarnation, seq), ([7; 16], 1, 2, 4));
        assert_eq!(reported.settle.takes.len(), 1);
        assert_eq!((reported.settle.term, reported.settle.lease, reported.settle.at), (2, 7, 11));
    }

    #[test]
    fn what_was_served_is_told_to_the_settlement() {
        let served =
            SETTLED.replace(r#""model":"m""#, r#""model":"m","service_tier":"flex","provider_cost":7"#);
        let settle = |text: &str| read(text).unwrap().unwrap().settle;
        assert_eq!(
            (settle(&served).service_tier.as_deref(), settle(&served).provider_cost),
            (Some("flex"), Some(7))
        );
        assert_eq!((settle(SETTLED).service_tier, settle(SETTLED).provider_cost), (None, None));
    }

    #[test]
    fn what_was_not_charged_has_no_settlement() {
        for outcome in [
            "released",
            "no_upstream",
            "exempt",
            "invalid_api_key",
            "abandoned",
            "lost",
            "shadow_rate_limited",
        ] {
            let text = format!(r#"{{"request":"r","outcome":"{outcome}","plan":"","operation":"chat"}}"#);
            assert_eq!(read(&text), Ok(None), "{outcome}");
        }
        let shadow = SETTLED.replace("\"settled\"", "\"shadow_insufficient_credits\"");
        assert!(read(&shadow).unwrap().is_some(), "admitted in shadow mode, and charged");
    }

    #[test]
    fn what_it_lacks_is_said() {
        for (cut, error) in [
            ("\"account\":\"acme\",", ReportError::Missing("account")),
            ("\"key\":\"k\",", ReportError::Missing("key")),
            ("\"term\":2,", ReportError::Missing("term")),
            ("\"model\":\"m\",", ReportError::Missing("model")),
            (",\"seq\":4", ReportError::Missing("seq")),
            ("/1/2", ReportError::Lane),
        ] {
            assert!(SETTLED.contains(cut));
            assert_eq!(read(&SETTLED.replace(cut, "")), Err(error), "{cut}");
        }
        let lane = "\"lane\":\"07070707070707070707070707070707/1/2\"";
        let unplaced = SETTLED.replace(lane, "\"node\":\"07070707070707070707070707070707\"");
        let unplaced = read(&unplaced).unwrap().unwrap();
        assert_eq!((unplaced.place, unplaced.node.0), (None, [7; 16]));
        assert_eq!(read(&SETTLED.replace(lane, "\"x\":1")), Err(ReportError::Missing("node")));
    }
}
