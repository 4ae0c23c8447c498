//! What a request leaves behind as bytes: the event for the ledger, frozen under its number, and the line for
//! the access log.

use std::rc::Rc;

use tariff::{Meter, Micros, Usage};
use wire::{NodeId, Outcome, UsageSource, UsageStatus};

use crate::json::Writer;
use crate::metric::Ended;
use crate::pricing::Priced;
use crate::reply::credits;
use crate::request::{Hold, Request};

/// What a request comes to.
#[derive(Debug)]
pub(crate) struct Bill {
    pub outcome: Outcome,
    pub source: Option<UsageSource>,
    pub status: Option<UsageStatus>,
    pub usage: Usage,
    pub answered_model: Option<String>,
    pub used: Micros,
    /// What it is charged by; absent where nothing is charged.
    pub sale: Option<Sale>,
    /// What was counted and has no price of its own: told in the access log alone.
    pub unpriced: Vec<(Meter, u64)>,
}

/// By which prices an answer is charged, and what its provider says that it cost.
#[derive(Debug)]
pub(crate) struct Sale {
    pub model: Rc<Priced>,
    /// The tier of service, unless it is the usual one.
    pub tier: Option<Box<str>>,
    /// In millionths of millionths of a US dollar.
    pub provider_cost: Option<u64>,
    /// Whether the provider's total is not the sum of its parts.
    pub total_mismatch: bool,
}

/// What a request took of one bucket: its tag, held, used.
pub(crate) type Took = (u64, i64, i64);

/// Lane and number of an event.
pub(crate) type Place = (Rc<str>, u64);

/// Room for an event without growing.
pub(crate) const ROOM: usize = 512;
/// Room for a line without growing.
const LINE_ROOM: usize = 768;

/// The event of one settled request: a [`wire::Event`] as JSON, written behind what is in `out`.
pub(crate) fn event(
    out: &mut Vec<u8>,
    seq: u64,
    request: &Request,
    hold: &Hold,
    bill: &Bill,
    members: &[u8],
) {
    let mut json = Writer::new(out);
    let account = request.account.as_ref();
    json.raw(r#"{"seq":"#).number(seq);
    json.raw(r#","body":{"settle":{"request":"#).text(&request.id);
    json.raw(r#","account":"#).text(account.map_or("", |account| &account.id));
    json.raw(r#","key":"#).text(request.key.as_ref().map_or("", |key| &key.key_id));
    json.raw(r#","term":"#).number(account.map_or(0, |account| account.term));
    json.raw(r#","model":"#).text(&hold.model.name);
    if let Some(answered) = bill.answered_model.as_deref().filter(|answered| **answered != *hold.model.name) {
        json.raw(r#","answered_model":"#).text(answered);
    }
    json.raw(r#","operation":"#).text(request.operation.name());
    json.raw(outcome_member(bill.outcome)).members(members).raw("}}}");
}

/// The line for the access log, a [`wire::Report`] as JSON; hold, bill and [`members`] where the request was admitted.
/// All that its event has is here too: the ledger can be told from the log what the ring could not deliver.
pub(crate) fn line(
    request: &Request,
    ended: Ended,
    bill: Option<(&Hold, &Bill, &[u8])>,
    place: Option<Result<Place, NodeId>>,
) -> String {
    let mut line = Vec::with_capacity(LINE_ROOM);
    let mut json = Writer::new(&mut line);
    json.raw(r#"{"request":"#).text(&request.id);
    json.raw(r#","outcome":"#).text(&ended.name());
    json.raw(r#","operation":"#).text(request.operation.name());
    if let Some(account) = &request.account {
        json.raw(r#","account":"#).text(&account.id);
    }
    if let Some(key) = &request.key {
        json.raw(r#","key":"#).text(&key.key_id);
    }
    json.raw(r#","plan":"#).text(request.plan());
    if let Some((hold, bill, _)) = bill {
        json.raw(r#","model":"#).text(&hold.model.name);
        if let Some(answered) = bill.answered_model.as_deref().filter(|name| **name != *hold.model.name) {
            json.raw(r#","answered_model":"#).text(answered);
        }
    }
    if let Ended::Refused(code) | Ended::Shadow(code) = ended {
        json.raw(r#","code":"#).text(code.as_str());
    }
    if let Some((_, bill, members)) = bill {
        json.raw(r#","charge":"#).text(&credits(bill.used.get())).members(members);
        if bill.sale.as_ref().is_some_and(|sale| sale.total_mismatch) {
            json.raw(r#","total_mismatch":true"#);
        }
        counts(&mut json, r#","unpriced":{""#, bill.unpriced.iter().copied());
    }
    if let Some(account) = &request.account {
        json.raw(r#","term":"#).number(account.term);
    }
    match place {
        Some(Ok((lane, seq))) => {
            json.raw(r#","lane":"#).text(&lane).raw(r#","seq":"#).number(seq);
        }
        // Without room in the ring: the ledger charges only what a node that it knows has served.
        Some(Err(node)) => {
            json.raw(r#","node":"#).text(&node.to_string());
        }
        None => {}
    }
    json.raw("}");
    // Every piece of it came from a `str`.
    String::from_utf8(line).unwrap_or_default()
}

/// Where the usage comes from, how sure it is, and the counts: members behind others.
fn how(json: &mut Writer<'_>, bill: &Bill) {
    if let Some(source) = bill.source {
        json.raw(match source {
            UsageSource::Reported => r#","source":"reported""#,
            UsageSource::Counted => r#","source":"counted""#,
            UsageSource::Estimated => r#","source":"estimated""#,
        });
    }
    if let Some(status) = bill.status {
        json.raw(match status {
            UsageStatus::Complete => r#","status":"complete""#,
            UsageStatus::Partial => r#","status":"partial""#,
            UsageStatus::Failed => r#","status":"failed""#,
        });
    }
    if let Some(sale) = &bill.sale {
        if let Some(tier) = &sale.tier {
            json.raw(r#","service_tier":"#).text(tier);
        }
        if let Some(cost) = sale.provider_cost {
            json.raw(r#","provider_cost":"#).number(cost);
        }
    }
    counts(json, r#","usage":{""#, bill.usage.iter());
}

/// A member with counts by meter, where there are any: `open` is its name with what opens it.
fn counts(json: &mut Writer<'_>, open: &'static str, counts: impl Iterator<Item = (Meter, u64)>) {
    let mut before = open;
    for (meter, count) in counts {
        json.raw(before).raw(meter.as_str()).raw(r#"":"#).number(count);
        before = r#",""#;
    }
    if before != open {
        json.raw("}");
    }
}

/// The members that an event and its line share, each behind a comma: written once for both.
pub(crate) fn members(request: &Request, hold: &Hold, bill: &Bill, takes: &[Took]) -> Vec<u8> {
    let mut members = Vec::with_capacity(ROOM);
    let mut json = Writer::new(&mut members);
    how(&mut json, bill);
    taken(&mut json, request, hold, takes);
    members
}

/// What was held and used of which leases, and when the request began: members behind others.
fn taken(json: &mut Writer<'_>, request: &Request, hold: &Hold, takes: &[Took]) {
    json.raw(r#","lease":"#).number(hold.epoch.unwrap_or(0)).raw(r#","takes":["#);
    for (place, (held, (_, amount, used))) in hold.takes.iter().zip(takes).enumerate() {
        json.raw(if place == 0 { r#"{"bucket":"# } else { r#",{"bucket":"# }).text(&held.bucket);
        json.raw(r#","held":"#).number(*amount).raw(r#","used":"#).number(*used).raw("}");
    }
    json.raw(r#"],"at":"#).number(request.began.wall_ms);
}

fn outcome_member(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Settled => r#","outcome":"settled""#,
        Outcome::Released => r#","outcome":"released""#,
        Outcome::NoUpstream => r#","outcome":"no_upstream""#,
        Outcome::Lost => r#","outcome":"lost""#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::Catalog;
    use tariff::{EdgeCatalog, EdgeModel, Prices, Ratio};

    /// The wire's own reader is the oracle for the members that are spelled out here.
    #[test]
    fn what_is_written_is_what_the_wire_reads() {
        let sources =
            [None, Some(UsageSource::Reported), Some(UsageSource::Counted), Some(UsageSource::Estimated)];
        let statuses =
            [None, Some(UsageStatus::Complete), Some(UsageStatus::Partial), Some(UsageStatus::Failed)];
        let outcomes = [Outcome::Settled, Outcome::Released, Outcome::NoUpstream, Outcome::Lost];
        let usages = [
            Usage::new(),
            Usage::new().with(Meter::InputTokens, 3).with(Meter::CachedTokens, u64::MAX >> 11),
        ];
        for ((outcome, source), (status, usage)) in outcomes
            .into_iter()
            .flat_map(|outcome| sources.map(|source| (outcome, source)))
            .flat_map(|first| statuses.map(|status| (first, status)))
            .flat_map(|(first, status)| usages.clone().map(|usage| (first, (status, usage))))
        {
            let bill = Bill { source, status, usage, used: Micros(1), ..Bill::nothing(outcome) };
            let mut bytes =
                br#"{"request":"r","account":"a","key":"k","term":1,"model":"m","operation":"chat""#.to_vec();
            let mut json = Writer::new(&mut bytes);
            json.raw(outcome_member(outcome));
            how(&mut json, &bill);
            json.raw(r#","lease":2,"takes":[],"at":3}"#);
            let settle: wire::Settle = serde_json::from_slice(&bytes).expect("a settlement");
            let read = (settle.outcome, settle.source, settle.status, settle.usage);
            assert_eq!(read, (outcome, source, status, bill.usage));
        }
    }

    #[test]
    fn what_was_served_is_what_the_wire_reads() {
        let catalog = Catalog::new(&EdgeCatalog {
            models: vec![EdgeModel {
                name: "m".to_owned(),
                prices: Prices::new([(Meter::Requests, Ratio::ONE)]),
                ..EdgeModel::default()
            }],
            ..EdgeCatalog::default()
        });
        let model = &catalog.model("m").expect("listed").base;
        for (tier, cost) in [(None, None), (Some("flex"), Some(0)), (Some("a\"b"), Some(u64::MAX >> 11))] {
            let sale = Sale {
                model: Rc::clone(model),
                tier: tier.map(Box::from),
                provider_cost: cost,
                total_mismatch: false,
            };
            let bill = Bill { sale: Some(sale), ..Bill::nothing(Outcome::Settled) };
            let mut bytes = br#"{"request":"r","account":"a","key":"k","term":1,"model":"m","operation":"chat","outcome":"settled""#.to_vec();
            let mut json = Writer::new(&mut bytes);
            how(&mut json, &bill);
            json.raw(r#","lease":2,"takes":[],"at":3}"#);
            let settle: wire::Settle = serde_json::from_slice(&bytes).expect("a settlement");
            assert_eq!((settle.service_tier.as_deref(), settle.provider_cost), (tier, cost));
            // The ledger writes what the edge did.
            let again = serde_json::to_string(&settle).expect("JSON");
            let members =
                |text: &str| text.matches("service_tier").count() + text.matches("provider_cost").count();
            assert_eq!(members(&again), members(str::from_utf8(&bytes).expect("UTF-8")));
        }
    }
}
