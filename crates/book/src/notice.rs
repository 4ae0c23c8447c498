//! Notices: what people and their programs are told of, as it happens.
//!
//! A notice is written in the transaction of what it tells, so that none is lost and none is told of what
//! did not happen. The ledger keeps them as events and delivers them as webhooks. Some are told once only
//! ([`Event::once`]): a threshold that stays crossed is not told anew with each request.

mod limit;
mod watch;

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;
use tariff::Micros;
use wire::AccountStatus;

use crate::calendar;
use crate::error::StoreError;
use crate::id::AccountId;
use crate::tx::{Now, Tx};

pub use self::watch::append;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: i64,
    /// Of which account.
    pub account: AccountId,
    /// What happened.
    pub event: Event,
}

/// What happened. The names and members are a contract with receivers: they are added to, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// An account was opened.
    #[serde(rename = "account.opened")]
    AccountOpened {
        /// The plan.
        plan: String,
    },
    /// An account's standing changed.
    #[serde(rename = "account.status_changed")]
    StatusChanged {
        /// The standing in force.
        status: AccountStatus,
    },
    /// The plan changed.
    #[serde(rename = "plan.changed")]
    PlanChanged {
        /// The plan that was left.
        from: String,
        /// The plan in force.
        to: String,
    },
    /// Few credits are left; once per cycle and per sum of what the account had for it (W8).
    #[serde(rename = "credits.low")]
    CreditsLow {
        /// What is left in lots.
        #[serde(serialize_with = "decimal")]
        left: Micros,
        /// The warning is given from here on.
        #[serde(serialize_with = "decimal")]
        threshold: Micros,
        /// When the cycle began; absent where there is none.
        #[serde(serialize_with = "maybe_time", skip_serializing_if = "Option::is_none")]
        cycle: Option<i64>,
    },
    /// Nothing is left in lots; once each time.
    #[serde(rename = "credits.exhausted")]
    CreditsExhausted {
        /// When the next included credits come; absent where the plan includes none.
        #[serde(serialize_with = "maybe_time", skip_serializing_if = "Option::is_none")]
        resets_at: Option<i64>,
    },
    /// The use of a limit crossed a percentage of it; once per percentage, value of the limit and window (L8).
    #[serde(rename = "limit.threshold")]
    LimitThreshold {
        /// The limit's id.
        limit: String,
        /// The window's key.
        window: String,
        /// The percentage; 100 = the limit is reached.
        percent: u8,
        /// Used in the window.
        #[serde(serialize_with = "decimal")]
        used: Micros,
        /// The limit.
        #[serde(serialize_with = "decimal")]
        max: Micros,
    },
    /// A lot's time was up and something was left of it.
    #[serde(rename = "lot.expired")]
    LotExpired {
        /// The lot's id.
        lot: String,
        /// Its pool.
        pool: String,
        /// What was left.
        #[serde(serialize_with = "decimal")]
        rest: Micros,
    },
    /// A key was made.
    #[serde(rename = "key.created")]
    KeyCreated {
        /// Its id.
        key: String,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The id of the key that it replaces.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    /// A key was revoked.
    #[serde(rename = "key.revoked")]
    KeyRevoked {
        /// Its id.
        key: String,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A purchase was confirmed: its credits are there.
    #[serde(rename = "purchase.confirmed")]
    PurchaseConfirmed {
        /// The purchase's id.
        purchase: String,
        /// The pool.
        pool: String,
        /// Credits bought, bonus included.
        #[serde(serialize_with = "decimal")]
        amount: Micros,
    },
    /// The schedule of purchases asks for one: charge it, then confirm it (C7).
    #[serde(rename = "recharge.requested")]
    RechargeRequested {
        /// The request's name: the purchase that pays it says so.
        request: String,
        /// What is to be paid, in US dollars.
        #[serde(serialize_with = "decimal")]
        amount_usd: Micros,
    },
    /// A billing period ended and the next one is to be paid: charge it, then confirm it (P11).
    #[serde(rename = "renewal.requested")]
    RenewalRequested {
        /// The change's number: the confirmation says so.
        change: String,
        /// The plan.
        plan: String,
        /// What is to be paid, in US dollars; absent where the plan's price is on request.
        #[serde(serialize_with = "maybe_decimal", skip_serializing_if = "Option::is_none")]
        amount_usd: Option<Micros>,
    },
    /// Asked for by an operator, to see whether a receiver works.
    #[serde(rename = "webhook.test")]
    Test {},
}

/// Every event's name, in the order of the documentation.
pub const EVENT_NAMES: &[&str] = &[
    "account.opened",
    "account.status_changed",
    "plan.changed",
    "credits.low",
    "credits.exhausted",
    "limit.threshold",
    "lot.expired",
    "key.created",
    "key.revoked",
    "purchase.confirmed",
    "recharge.requested",
    "renewal.requested",
    "webhook.test",
];

/// Tells of something that happens to an account, in the transaction of what happens.
///
/// # Errors
/// Where the store fails.
pub fn notice(tx: &mut impl Tx, now: Now, account: &AccountId, event: Event) -> Result<(), StoreError> {
    tx.notice(Notice { at: now.wall, account: account.clone(), event })
}

// === impl Notice ===

impl Notice {
    /// What receivers read: `{type, timestamp, data}`, as Standard Webhooks recommends, with the account in the
    /// data.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = serde_json::to_value(&self.event).unwrap_or_default();
        if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
            data.insert("account".to_owned(), self.account.as_str().into());
        }
        if let Some(body) = body.as_object_mut() {
            body.insert("timestamp".to_owned(), calendar::rfc3339(self.at).into());
        }
        body
    }
}

// === impl Event ===

impl Event {
    /// Its name, as receivers see it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountOpened { .. } => "account.opened",
            Self::StatusChanged { .. } => "account.status_changed",
            Self::PlanChanged { .. } => "plan.changed",
            Self::CreditsLow { .. } => "credits.low",
            Self::CreditsExhausted { .. } => "credits.exhausted",
            Self::LimitThreshold { .. } => "limit.threshold",
            Self::LotExpired { .. } => "lot.expired",
            Self::KeyCreated { .. } => "key.created",
            Self::KeyRevoked { .. } => "key.revoked",
            Self::PurchaseConfirmed { .. } => "purchase.confirmed",
            Self::RechargeRequested { .. } => "recharge.requested",
            Self::RenewalRequested { .. } => "renewal.requested",
            Self::Test {} => "webhook.test",
        }
    }

    /// What makes it one of a kind within its account, where it is told once only.
    #[must_use]
    pub fn once(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::CreditsLow { threshold, cycle, .. } => {
                Some(format!("credits.low/{}/{threshold}", cycle.unwrap_or(0)).into())
            }
            Self::LimitThreshold { limit, window, percent, max, .. } => {
                Some(format!("limit.threshold/{limit}/{window}/{max}/{percent}").into())
            }
            _ => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn decimal<S: Serializer>(amount: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

fn maybe_decimal<S: Serializer>(amount: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
    amount.map(|amount| amount.to_string()).serialize(serializer)
}

fn maybe_time<S: Serializer>(time: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(calendar::rfc3339).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_as_receivers_know_them() {
        let name = String::new;
        let all = [
            Event::AccountOpened { plan: name() },
            Event::StatusChanged { status: AccountStatus::Suspended },
            Event::PlanChanged { from: name(), to: name() },
            Event::CreditsLow { left: Micros(1), threshold: Micros(2), cycle: Some(0) },
            Event::CreditsExhausted { resets_at: None },
            Event::LimitThreshold {
                limit: "requests/day".to_owned(),
                window: "2026-11-20".to_owned(),
                percent: 80,
                used: Micros(800_000_000),
                max: Micros(1_000_000_000),
            },
            Event::LotExpired { lot: name(), pool: name(), rest: Micros(1) },
            Event::KeyCreated { key: name(), name: None, replaces: None },
            Event::KeyRevoked { key: name(), name: None },
            Event::PurchaseConfirmed { purchase: name(), pool: name(), amount: Micros(1) },
            Event::RechargeRequested { request: name(), amount_usd: Micros(1) },
            Event::RenewalRequested { change: name(), plan: name(), amount_usd: Some(Micros(1)) },
            Event::Test {},
        ];
        let names: Vec<&str> = all.iter().map(Event::name).collect();
        assert_eq!(names, EVENT_NAMES);
        for event in &all {
            assert_eq!(serde_json::to_value(event).unwrap()["type"], event.name());
        }
        let low = serde_json::to_value(&all[3]).unwrap();
        assert_eq!(low["data"]["left"], "0.000001");
        assert_eq!(low["data"]["cycle"], "1970-01-01T00:00:00Z");
        assert_eq!(all[5].once().as_deref(), Some("limit.threshold/requests/day/2026-11-20/1000.000000/80"));
    }
}
