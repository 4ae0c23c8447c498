//! Entries: the journal's lines, append-only. Nothing else changes an account.
//!
//! Those that a customer's statement shows are chained by [`Entry::prev`]; leases, terms and cycles
//! stand between them unchained. Amounts are micro-credits of the lots, not at base price, where
//! nothing else is said.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::{Micros, Usage};
use wire::{AccountStatus, Lane, NodeId, Outcome, Take, UsageSource, UsageStatus, Used};

use crate::account::{Clip, Cycle, LotEnd, Term, credits, is_credits, is_zero};
use crate::correction::{Adjusted, Extended, Reversed};
use crate::counts::Count;
use crate::id::AccountId;
use crate::payment::{Payment, Recharge, Requested};
use crate::pending::{Lapse, Pending};
use crate::rules::Rules;
use crate::settings::Settings;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Rises with time, over all accounts.
    pub id: u64,
    /// The account.
    pub account: AccountId,
    /// The account's statement line before this one; 0 = none, or this is no statement line.
    pub prev: u64,
    /// When the ledger posted it.
    pub at: i64,
    /// What happened.
    pub kind: EntryKind,
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntryKind {
    /// The account began.
    Opened {
        /// When the customer joined.
        created_at: i64,
        /// The plan.
        plan: Arc<str>,
    },
    /// The plan changed.
    Plan {
        /// The plan that was left.
        from: Arc<str>,
        /// The plan in force.
        to: Arc<str>,
    },
    /// The standing changed.
    Status {
        /// The standing in force.
        status: AccountStatus,
    },
    /// Settings changed.
    Settings {
        /// The settings in force.
        settings: Box<Settings>,
    },
    /// A change of plan waits, or (absent) none does.
    Pending {
        /// The change; its number is the entry's.
        change: Option<Box<Pending>>,
    },
    /// A billing period ended without the next one being paid, or (absent) that is over.
    Lapsed {
        /// The lapse.
        lapse: Option<Box<Lapse>>,
    },
    /// Money was paid or given back.
    Payment(Box<Payment>),
    /// The schedule of purchases was set, or (absent) ended (C7).
    Recharge {
        /// The schedule.
        schedule: Option<Recharge>,
    },
    /// The schedule asks for a purchase.
    RechargeDue {
        /// What is to be paid; its number is the entry's.
        request: Requested,
    },
    /// A request of the schedule was dropped: paid otherwise, or not at all.
    RechargeDropped {
        /// Its number.
        request: u64,
    },
    /// The customer agreed to the refund policy (C10).
    Consent,
    /// Things that are kept: how many there are from then on (L10).
    Resource {
        /// What.
        name: Arc<str>,
        /// How many.
        count: u64,
    },
    /// A term began.
    Term {
        /// The term.
        term: Box<Term>,
        /// What binds it, where that is not what bound the term before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rules: Option<Arc<Rules>>,
    },
    /// A billing cycle began, or (absent) there is none.
    Cycle {
        /// The cycle.
        cycle: Option<Cycle>,
    },
    /// Credits came.
    Grant(Granted),
    /// A lot ended; settlements of earlier terms may still draw it.
    LotClosed {
        /// The lot.
        lot: u64,
        /// Why.
        end: LotEnd,
    },
    /// What a closed lot still had is gone.
    LotEnded {
        /// The lot.
        lot: u64,
        /// Its pool.
        pool: Arc<str>,
        /// What it held.
        #[serde(default = "credits", skip_serializing_if = "is_credits")]
        asset: Arc<str>,
        /// Why.
        end: LotEnd,
        /// What it still had.
        rest: Micros,
    },
    /// A lot lost what was too much to be carried over into the next cycle.
    LotTrimmed {
        /// The lot.
        lot: u64,
        /// Its pool.
        pool: Arc<str>,
        /// What it holds.
        #[serde(default = "credits", skip_serializing_if = "is_credits")]
        asset: Arc<str>,
        /// What it lost.
        amount: Micros,
    },
    /// A request was charged.
    Charge(Box<Charge>),
    /// A request ended without a charge.
    Release(Box<Release>),
    /// A node may take more.
    Leased {
        /// The node.
        node: NodeId,
        /// The record's epoch.
        epoch: u64,
        /// The bucket.
        bucket: Arc<str>,
        /// The asset whose pools pay; empty where the bucket is a limit's.
        #[serde(default = "credits", skip_serializing_if = "is_credits")]
        asset: Arc<str>,
        /// How much more.
        amount: Micros,
        /// The earliest term that the node may yet admit under; 0 = the one in force.
        #[serde(default, skip_serializing_if = "is_in_force")]
        term: u64,
    },
    /// A node gave back what it had not used.
    Returned {
        /// The node.
        node: NodeId,
        /// The record's epoch.
        epoch: u64,
        /// The bucket.
        bucket: Arc<str>,
        /// In all, under this lease.
        returned: Micros,
    },
    /// A node gave a record up.
    LeaseClosed {
        /// The node.
        node: NodeId,
        /// The record's epoch.
        epoch: u64,
        /// Used in all, by bucket; absent = nothing.
        used: Vec<Used>,
    },
    /// A node was closed: its leases came home.
    NodeClosed {
        /// The node.
        node: NodeId,
        /// What it could still have taken of the credits, at base price.
        lost: Micros,
    },
    /// A request was admitted below its need.
    Clipped(Clip),
    /// An operator added or took back credits.
    Adjusted(Box<Adjusted>),
    /// An operator gave a charge back.
    Reversed(Box<Reversed>),
    /// An operator moved a lot's end.
    Extended(Extended),
}

/// Credits that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The pool.
    pub pool: Arc<str>,
    /// What the pool holds.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
    /// Where they come from.
    pub source: GrantSource,
    /// How many.
    pub amount: Micros,
    /// What of them repaid debt at once (rule 15).
    pub repaid: Micros,
    /// When the lot ends; absent = never.
    pub expires_at: Option<i64>,
    /// Unique within the account and the source, for ever.
    pub reference: String,
    /// True: the plan grants it once and never again (W1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// Where granted credits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantSource {
    /// The plan's cycle.
    Plan,
    /// The public API: a purchase, a gift.
    Api,
    /// A plan that was left before its end (P12).
    Switch,
    /// Credits that were bought through the ledger.
    Purchase,
    /// What came on top of them (C4).
    Bonus,
}

/// A request that was charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The lane that reported it.
    pub lane: Lane,
    /// Its number there.
    pub seq: u64,
    /// The request.
    pub request: String,
    /// The key's id.
    pub key: String,
    /// The key's class, where limits leave some out (L11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_class: Option<Arc<str>>,
    /// The term of its admission.
    pub term: u64,
    /// The model or flat-price operation it was charged as.
    pub model: String,
    /// The model that answered, where it was another.
    pub answered_model: Option<String>,
    /// The tier of service that it was charged by, where that was told apart from the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// What the provider said that it cost, in millionths of millionths of a US dollar: evidence beside `cost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_cost: Option<u64>,
    /// The operation.
    pub operation: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the usage comes from.
    pub source: Option<UsageSource>,
    /// How sure the usage is.
    pub status: Option<UsageStatus>,
    /// What was used.
    pub usage: Usage,
    /// When it began, by the ledger's clock.
    pub began_at: i64,
    /// The node whose leases it took from.
    pub holder: NodeId,
    /// The record's epoch there.
    pub epoch: u64,
    /// What it took, as the node says; leases account with this.
    pub takes: Vec<Take>,
    /// What it is paid in.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
    /// The charge at base price.
    pub base: Micros,
    /// What it cost the operator, in millionths of a US dollar, by the model's cost card (P8).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cost: Micros,
    /// What of the price was not charged.
    pub disputed: Micros,
    /// What each lot paid, in draw order.
    pub slices: Vec<Slice>,
    /// What no lot could pay, and is owed.
    pub debt: Micros,
    /// What no lot could pay, and goes to the account's payment method (C8).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub receivable: Micros,
    /// The sum of the slices, the debt and the receivable (rule 9).
    pub amount: Micros,
    /// What it counts towards the limits of its term.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    /// True: told by the access log, not by the lane.
    #[serde(default)]
    pub recovered: bool,
}

/// What one lot paid of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The lot.
    pub lot: u64,
    /// Its pool.
    pub pool: Arc<str>,
    /// How much.
    pub amount: Micros,
}

/// A request that ended without a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The lane that reported it.
    pub lane: Lane,
    /// Its number there.
    pub seq: u64,
    /// The request.
    pub request: String,
    /// The key's id.
    pub key: String,
    /// The key's class, where limits leave some out (L11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_class: Option<Arc<str>>,
    /// The term of its admission; 0 where entries did not state it.
    #[serde(default)]
    pub term: u64,
    /// The model or flat-price operation it would have been charged as.
    pub model: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The node whose leases it took from.
    pub holder: NodeId,
    /// The record's epoch there.
    pub epoch: u64,
    /// What it took, as the node says; leases account with this.
    pub takes: Vec<Take>,
    /// True: the request was charged before (I3).
    pub duplicate: bool,
    /// What it counts towards the limits of its term that count what was admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
}

// === impl EntryKind ===

impl EntryKind {
    /// Whether a statement shows it.
    #[must_use]
    pub fn is_line(&self) -> bool {
        match self {
            Self::Opened { .. }
            | Self::Plan { .. }
            | Self::Status { .. }
            | Self::Grant(_)
            | Self::Payment(_)
            | Self::Charge(_)
            | Self::Adjusted(_)
            | Self::Reversed(_)
            | Self::Extended(_) => true,
            Self::LotEnded { rest, .. } => *rest > Micros::ZERO,
            Self::LotTrimmed { .. } => true,
            Self::Term { .. }
            | Self::Settings { .. }
            | Self::Pending { .. }
            | Self::Lapsed { .. }
            | Self::Recharge { .. }
            | Self::RechargeDue { .. }
            | Self::RechargeDropped { .. }
            | Self::Consent
            | Self::Resource { .. }
            | Self::Cycle { .. }
            | Self::LotClosed { .. }
            | Self::Release(_)
            | Self::Leased { .. }
            | Self::Returned { .. }
            | Self::LeaseClosed { .. }
            | Self::NodeClosed { .. }
            | Self::Clipped(_) => false,
        }
    }

    /// The name in the store.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Plan { .. } => "plan",
            Self::Status { .. } => "status",
            Self::Settings { .. } => "settings",
            Self::Pending { .. } => "pending",
            Self::Lapsed { .. } => "lapsed",
            Self::Payment(_) => "payment",
            Self::Recharge { .. } => "recharge",
            Self::RechargeDue { .. } => "recharge_due",
            Self::RechargeDropped { .. } => "recharge_dropped",
            Self::Consent => "consent",
            Self::Resource { .. } => "resource",
            Self::Term { .. } => "term",
            Self::Cycle { .. } => "cycle",
            Self::Grant(_) => "grant",
            Self::LotClosed { .. } => "lot_closed",
            Self::LotEnded { .. } => "lot_ended",
            Self::LotTrimmed { .. } => "lot_trimmed",
            Self::Charge(_) => "charge",
            Self::Release(_) => "release",
            Self::Leased { .. } => "leased",
            Self::Returned { .. } => "returned",
            Self::LeaseClosed { .. } => "lease_closed",
            Self::NodeClosed { .. } => "node_closed",
            Self::Clipped(_) => "clipped",
            Self::Adjusted(_) => "adjusted",
            Self::Reversed(_) => "reversed",
            Self::Extended(_) => "extended",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that the serialiser calls")]
const fn is_in_force(term: &u64) -> bool {
    *term == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_show_what_moves_credits_and_says_why() {
        let ended = |rest| EntryKind::LotEnded {
            lot: 1,
            pool: Arc::from("topup"),
            asset: credits(),
            end: LotEnd::Expired,
            rest: Micros(rest),
        };
        let node = NodeId([1; 16]);
        let kinds = [
            (EntryKind::Opened { created_at: 0, plan: Arc::from("pro") }, "opened", true),
            (EntryKind::Plan { from: Arc::from("pro"), to: Arc::from("max") }, "plan", true),
            (EntryKind::Status { status: AccountStatus::Active }, "status", true),
            (EntryKind::Settings { settings: Box::default() }, "settings", false),
            (EntryKind::Cycle { cycle: None }, "cycle", false),
            (EntryKind::LotClosed { lot: 1, end: LotEnd::Void }, "lot_closed", false),
            (ended(1), "lot_ended", true),
            (ended(0), "lot_ended", false),
            (
                EntryKind::Leased {
                    node,
                    epoch: 1,
                    bucket: Arc::from("credits"),
                    asset: credits(),
                    amount: Micros(1),
                    term: 0,
                },
                "leased",
                false,
            ),
            (EntryKind::LeaseClosed { node, epoch: 1, used: Vec::new() }, "lease_closed", false),
            (EntryKind::NodeClosed { node, lost: Micros(1) }, "node_closed", false),
        ];
        for (kind, name, is_line) in kinds {
            assert_eq!((kind.name(), kind.is_line()), (name, is_line));
            // The store's name is the journal's.
            assert!(serde_json::to_string(&kind).unwrap().contains(&format!(r#""kind":"{name}""#)));
        }
    }
}
