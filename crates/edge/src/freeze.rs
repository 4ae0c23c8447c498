//! What a request leaves behind as bytes: the event for the ledger, frozen under its number, and the line for
//! the access log.

use std::rc::Rc;

use tariff::{Micros, Usage};
use wire::{Outcome, UsageSource, UsageStatus};

use crate::json::Writer;
use crate::metric::Ended;
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
}

/// Lane and number of an event.
pub(crate) type Place = (Rc<str>, u64);

/// Room for an event or a line without growing.
const ROOM: usize = 512;

/// The event of one settled request: a [`wire::Event`] as JSON.
pub(crate) fn event(
    seq: u64,
    request: &Request,
    hold: &Hold,
    bill: &Bill,
    takes: &[(u64, i64, i64)],
) -> Vec<u8> {
    let mut json = Writer::new(ROOM);
    let account = request.account.as_ref();
    json.object();
    json.number("seq", seq);
    json.object_member("body");
    json.object_member("settle");
    json.text("request", &request.id);
    json.text("account", account.map_or("", |account| &account.id));
    json.text("key", request.key.as_ref().map_or("", |key| &key.key_id));
    json.number("term", account.map_or(0, |account| account.term));
    json.text("model", &hold.model.name);
    if let Some(answered) = bill.answered_model.as_deref().filter(|answered| **answered != *hold.model.name) {
        json.text("answered_model", answered);
    }
    json.text("operation", request.operation.name());
    json.text("outcome", outcome_name(bill.outcome));
    how(&mut json, bill);
    json.number("lease", hold.epoch.unwrap_or(0));
    json.list_member("takes");
    for (held, (_, amount, used)) in hold.takes.iter().zip(takes) {
        json.object();
        json.text("bucket", &held.bucket);
        json.number("held", *amount);
        json.number("used", *used);
        json.end();
    }
    json.end_list();
    json.number("at", request.began.wall_ms);
    json.end();
    json.end();
    json.end();
    json.bytes()
}

/// The line for the access log; a bill where the request was admitted.
pub(crate) fn line(
    request: &Request,
    ended: Ended,
    bill: Option<(&Hold, &Bill)>,
    place: Option<Place>,
) -> String {
    let mut line = Writer::new(ROOM);
    line.object();
    line.text("request", &request.id);
    line.text("outcome", &ended.name());
    line.text("operation", request.operation.name());
    if let Some(account) = &request.account {
        line.text("account", &account.id);
    }
    if let Some(key) = &request.key {
        line.text("key", &key.key_id);
    }
    line.text("plan", request.plan());
    if let Some((hold, _)) = bill {
        line.text("model", &hold.model.name);
    }
    if let Ended::Refused(code) | Ended::Shadow(code) = ended {
        line.text("code", code.as_str());
    }
    if let Some((_, bill)) = bill {
        line.text("charge", &bill.used.to_string());
        how(&mut line, bill);
    }
    if let Some(account) = &request.account {
        line.number("term", account.term);
    }
    if let Some((lane, seq)) = place {
        line.text("lane", &lane);
        line.number("seq", seq);
    }
    line.end();
    // Every piece of it came from a `str`.
    String::from_utf8(line.bytes()).unwrap_or_default()
}

/// Where the usage comes from, how sure it is, and the counts.
fn how(object: &mut Writer, bill: &Bill) {
    if let Some(source) = bill.source {
        object.text(
            "source",
            match source {
                UsageSource::Reported => "reported",
                UsageSource::Counted => "counted",
                UsageSource::Estimated => "estimated",
            },
        );
    }
    if let Some(status) = bill.status {
        object.text(
            "status",
            match status {
                UsageStatus::Complete => "complete",
                UsageStatus::Partial => "partial",
                UsageStatus::Failed => "failed",
            },
        );
    }
    if !bill.usage.is_empty() {
        object.object_member("usage");
        for (meter, count) in bill.usage.iter() {
            object.number(meter.as_str(), count);
        }
        object.end();
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Settled => "settled",
        Outcome::Released => "released",
        Outcome::NoUpstream => "no_upstream",
        Outcome::Lost => "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tariff::Meter;
    use wire::{Event, EventBody};

    /// The wire's own serialiser is the oracle for the members that are spelled out here.
    #[test]
    fn names_are_the_wire_s() {
        let name = |value: &dyn erased::Name| value.name();
        for outcome in [Outcome::Settled, Outcome::Released, Outcome::NoUpstream, Outcome::Lost] {
            assert_eq!(name(&outcome), outcome_name(outcome));
        }
        for source in
            [None, Some(UsageSource::Reported), Some(UsageSource::Counted), Some(UsageSource::Estimated)]
        {
            for status in
                [None, Some(UsageStatus::Complete), Some(UsageStatus::Partial), Some(UsageStatus::Failed)]
            {
                let usage =
                    Usage::new().with(Meter::InputTokens, 3).with(Meter::CachedTokens, u64::MAX >> 11);
                let bill = Bill {
                    outcome: Outcome::Settled,
                    source,
                    status,
                    usage,
                    answered_model: None,
                    used: Micros(1),
                };
                let mut object = Writer::new(8);
                object.object();
                for (member, value) in
                    [("request", "r"), ("account", "a"), ("key", "k"), ("model", "m"), ("operation", "chat")]
                {
                    object.text(member, value);
                }
                object.number("term", 1);
                object.text("outcome", "settled");
                how(&mut object, &bill);
                object.number("lease", 2);
                object.list_member("takes");
                object.end_list();
                object.number("at", 3);
                object.end();
                let settle: wire::Settle = serde_json::from_slice(&object.bytes()).expect("a settlement");
                assert_eq!((settle.source, settle.status, &settle.usage), (source, status, &bill.usage));
                let event = Event { seq: 1, body: EventBody::Settle(Box::new(settle)) };
                assert!(serde_json::to_vec(&event).is_ok());
            }
        }
    }

    mod erased {
        /// A value's name on the wire.
        pub trait Name {
            fn name(&self) -> String;
        }

        impl<T: serde::Serialize> Name for T {
            fn name(&self) -> String {
                serde_json::to_value(self).expect("JSON").as_str().expect("a string").to_owned()
            }
        }
    }
}
