//! Buying credits: what it brings, what it brought, giving it back, buying again and again, paying what was used.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::balance::Lot;
use super::{Credits, Usd};

/// `POST /v1/accounts/{account}/purchases`: a payment for credits that was confirmed, or (`preview`) is thought of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseRequest {
    /// What was, or would be, paid.
    pub amount_usd: Usd,
    /// Your name for who took the payment, 1 to 32 characters; a preview may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "creem", max_length = 32)]
    pub provider: Option<String>,
    /// The provider's name for the payment; a preview leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "pay_9Yh2", max_length = 128)]
    pub reference: Option<String>,
    /// The cadence of the commitment, where tiers follow from purchases; absent = the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "monthly")]
    pub cadence: Option<String>,
    /// True: the customer agreed to the refund policy.
    #[serde(default)]
    pub consent: bool,
    /// The request of the schedule that it pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What a purchase brought, or would bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purchase {
    /// The account.
    pub account: String,
    /// True: this only shows what would happen.
    pub preview: bool,
    /// The payment: provider and reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "creem/pay_9Yh2")]
    pub payment: Option<String>,
    /// What was, or is to be, paid.
    pub amount_usd: Usd,
    /// Credits bought.
    pub credits: Credits,
    /// Credits that come on top.
    pub bonus: Credits,
    /// When the bonus ends; absent = never, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bonus_expires_at: Option<Timestamp>,
    /// The plan after it, where tiers follow from purchases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// True: the customer must agree to the refund policy first.
    #[serde(default)]
    pub needs_consent: bool,
    /// The lots that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lots: Vec<Lot>,
}

/// `POST /v1/accounts/{account}/refunds`: a purchase that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// Who took the payment.
    #[schema(example = "creem", max_length = 32)]
    pub provider: String,
    /// The provider's name for the payment.
    #[schema(example = "pay_9Yh2", max_length = 128)]
    pub purchase: String,
    /// The provider's name for the refund; needed unless this is a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "re_77", max_length = 128)]
    pub reference: Option<String>,
}

/// A purchase that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refund {
    /// The account.
    pub account: String,
    /// True: this only shows what would happen.
    pub preview: bool,
    /// The payment that gives it back: provider and reference; absent in a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
    /// What is given back.
    pub amount_usd: Usd,
    /// Credits taken back, bonus included.
    pub credits: Credits,
}

/// `PUT /v1/accounts/{account}/recharge`: purchases on a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RechargeRequest {
    /// What each is for.
    pub amount_usd: Usd,
    /// How often, as an ISO 8601 duration that the catalog offers.
    #[schema(value_type = String, example = "P1M")]
    pub every: tariff::Period,
    /// The first one's instant: the chosen billing date; absent = now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// Purchases on a schedule: what is asked for and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recharge {
    /// The account.
    pub account: String,
    /// What each is for; absent = there is no schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<Usd>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "P1M")]
    pub every: Option<String>,
    /// When the next one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// What was asked for and waits to be paid.
    pub requested: Vec<RechargeDue>,
}

/// A purchase that the schedule asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RechargeDue {
    /// Its name: the purchase that pays it says so.
    #[schema(example = "184")]
    pub request: String,
    /// When it was due.
    pub at: Timestamp,
    /// What is to be paid.
    pub amount_usd: Usd,
}

/// `POST /v1/accounts/{account}/receivable/settle`: a payment for usage beyond the credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// Who took the payment.
    #[schema(example = "stripe", max_length = 32)]
    pub provider: String,
    /// The provider's name for it.
    #[schema(example = "in_0042", max_length = 128)]
    pub reference: String,
    /// What was paid.
    pub amount_usd: Usd,
    /// How much of the usage it pays; absent = as much as it buys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<Credits>,
}

/// What an account used beyond its credits and has not paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receivable {
    /// The account.
    pub account: String,
    /// How much, at base price.
    pub owed: Credits,
    /// The same in money, where the catalog prices credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed_usd: Option<Usd>,
    /// What of it was paid so far, over the account's life.
    pub settled: Credits,
}

/// How many of a thing there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// What.
    #[schema(example = "projects")]
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// How many there may be; absent = unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// `PUT` or `POST /v1/accounts/{account}/resources/{name}`: exactly one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceChange {
    /// So many there are, whatever the cap: what is there is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u64>,
    /// So many are made; refused with 402 above the cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<u64>,
    /// So many are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<u64>,
}

/// `POST /v1/quote`: what would this cost?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// The plan; absent = that of `account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "starter")]
    pub plan: Option<String>,
    /// The account, with its own terms; absent = anyone on `plan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The model, by any name that clients use; `MODEL@VARIANT` for a variant.
    #[schema(example = "claude-sonnet-4.5")]
    pub model: String,
    /// What is used, by meter.
    #[schema(example = json!({"input_tokens": 100_000, "output_tokens": 20_000}))]
    pub usage: BTreeMap<String, u64>,
}

/// What a usage would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// The plan.
    pub plan: String,
    /// The catalog's name of the model.
    pub model: String,
    /// Whether the plan opens it.
    pub open: bool,
    /// What it is paid in.
    pub asset: String,
    /// The price at base price, rounded once.
    pub base: Credits,
    /// What each meter comes to at base price, exact as a decimal.
    pub lines: Vec<QuoteLine>,
    /// What it would take of one pool or of the other: each as though that pool paid all of it, no sum; in draw order.
    pub paid_by: Vec<QuotePool>,
}

/// One meter's part of a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuoteLine {
    /// The meter.
    #[schema(example = "input_tokens")]
    pub meter: String,
    /// How many.
    pub count: u64,
    /// What they come to in the asset, as a decimal.
    #[schema(example = "3")]
    pub amount: String,
}

/// One pool's part of a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotePool {
    /// The pool.
    #[schema(example = "topup")]
    pub pool: String,
    /// What it would give if it paid all of it.
    pub amount: Credits,
}
