//! Changes of plan: asked for, waiting, confirmed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::balance::Lot;
use super::correction::LotState;
use super::{Period, Usd};

/// `POST /v1/accounts/{account}/plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanChangeRequest {
    /// The plan to go to, by its name or an alias.
    #[schema(example = "pro")]
    pub plan: String,
    /// The way to take it (`yearly`); absent = the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<String>,
    /// From when billing periods are counted; absent = from the switch. Not in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Timestamp>,
    /// The IANA zone of the account's days from then on; absent = as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// When; absent = as the catalog says for this step up or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<SwitchTime>,
    /// The coupon that the customer entered. It is redeemed with the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "NEW50")]
    pub coupon: Option<String>,
    /// What was paid for it already, where it takes effect at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentName>,
}

/// A payment, as its provider names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentName {
    /// Your name for who took it, 1 to 32 characters.
    #[schema(example = "creem", max_length = 32)]
    pub provider: String,
    /// The provider's name for it, 1 to 128 characters: unique within the account and the provider for ever.
    #[schema(example = "pay_9Yh2", max_length = 128)]
    pub reference: String,
}

/// When a change of plan takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SwitchTime {
    /// At once.
    Now,
    /// When the billing period that now runs ends.
    PeriodEnd,
    /// When its payment is confirmed; the old plan stays until then.
    PaymentConfirmed,
}

/// What a change of plan does, or would do. What depends on the day it comes is as things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanChange {
    /// The account.
    pub account: String,
    /// The plan it leaves.
    pub from: String,
    /// The plan it goes to.
    pub to: String,
    /// The way it is taken.
    pub cadence: String,
    /// When it comes; absent = once it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// True: this only shows what would happen.
    pub preview: bool,
    /// The change that waits: name it to confirm it or to take it back; absent = it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// What is to be paid, after the coupon; absent = on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<Usd>,
    /// What of the old price comes back as credits, where the catalog says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_usd: Option<Usd>,
    /// What of the old plan ends with it, lot by lot, as it stood before.
    pub voided: Vec<LotState>,
    /// What the switch grants.
    pub granted: Vec<Lot>,
    /// The cycle after the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

/// A change of plan that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduledPlan {
    /// Its name: a later change has another one.
    #[schema(example = "184")]
    pub change: String,
    /// The plan to come; the account's own where its renewal waits for payment.
    pub plan: String,
    /// The way to take it; absent = the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<String>,
    /// When it comes; absent = once it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What is to be paid; absent = on request, or nothing is known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<Usd>,
    /// The coupon in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// True: the customer ended the plan.
    #[serde(default)]
    pub cancels: bool,
}

/// `POST /v1/accounts/{account}/plan/change/confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeConfirmation {
    /// The change.
    #[schema(example = "184")]
    pub change: String,
    /// Your name for who took the payment.
    #[schema(example = "creem", max_length = 32)]
    pub provider: String,
    /// The provider's name for the payment.
    #[schema(example = "pay_9Yh2", max_length = 128)]
    pub reference: String,
    /// What was paid; absent = what the change asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<Usd>,
}

/// `POST /v1/accounts/{account}/plan/change/fail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeFailure {
    /// The change whose payment failed.
    #[schema(example = "184")]
    pub change: String,
}

/// `POST /v1/accounts/{account}/plan/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// The plan to follow; absent = the one below all tiers, else the first public one without a price to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// `POST /v1/accounts/{account}/renew`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewalPayment {
    /// Your name for who took the payment.
    #[schema(example = "creem", max_length = 32)]
    pub provider: String,
    /// The provider's name for the payment.
    #[schema(example = "in_0042", max_length = 128)]
    pub reference: String,
    /// What was paid; absent = the plan's price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<Usd>,
}
