//! The life of accounts, failing.

use jiff::Timestamp;
use ledger::dto;
use ledger::service::{Idempotency, Life, Page, PageRequest, Reply, Shop, Written};
use wire::Digest;

use super::{Failing, Fault};

macro_rules! fails {
    ($($name:ident($($argument:ty),*) -> $reply:ty;)*) => {
        $(fn $name(&self, $(_: $argument),*) -> Reply<'_, $reply> { self.fail() })*
    };
}

type Wish = Option<Idempotency>;

impl Life for Failing {
    fails! {
        change_settings(Wish, String, dto::AccountChange) -> Written<dto::Account>;
        change_plan(Wish, String, dto::PlanChangeRequest, bool) -> Written<dto::PlanChange>;
        pending_change(String) -> dto::ScheduledPlan;
        confirm_change(Wish, String, dto::ChangeConfirmation) -> Written<dto::Account>;
        drop_change(Wish, String, Option<String>) -> Written<dto::Account>;
        cancel_plan(Wish, String, dto::Cancellation) -> Written<dto::Account>;
        renew_plan(Wish, String, dto::RenewalPayment) -> Written<dto::Account>;
        enrol(Wish, String, String, Option<Timestamp>) -> Written<dto::Enrolment>;
        leave(Wish, String, String) -> Written<dto::Account>;
    }
}

impl Shop for Failing {
    fails! {
        purchase(Wish, String, dto::PurchaseRequest, bool) -> Written<dto::Purchase>;
        refund(Wish, String, dto::RefundRequest, bool) -> Written<dto::Refund>;
        recharge(String) -> dto::Recharge;
        set_recharge(Wish, String, Option<dto::RechargeRequest>) -> Written<dto::Recharge>;
        receivables(PageRequest<String>) -> Page<dto::Receivable, String>;
        settle_receivable(Wish, String, dto::Settlement) -> Written<dto::Receivable>;
        resources(String) -> Vec<dto::Resource>;
        change_resource(Wish, String, String, dto::ResourceChange) -> Written<dto::Resource>;
        quote(dto::QuoteRequest) -> dto::Quote;
        billing(String) -> dto::Billing;
        public_plans() -> Vec<dto::PublicPlan>;
    }

    fn customer(&self, digest: Digest) -> Reply<'_, Option<(String, String)>> {
        Box::pin(async move { Ok(Some((digest.to_string(), "key".to_owned()))) })
    }

    fn change_own_plan(
        &self,
        _: Wish,
        _: String,
        _: dto::OwnChange,
        _: bool,
    ) -> Reply<'_, Written<dto::PlanChange>> {
        Box::pin(async move {
            if let Fault::Together(calls) = self.0 {
                calls.wait().await;
            }
            self.fail().await
        })
    }

    fn upgrade_link(&self) -> Option<String> {
        None
    }
}
