//! The engine as [`Shop`]: each method a job for the writer, or a read beside it.

use book::command::home::Before;
use book::command::purchase::{self, NewPurchase, NewRecharge, Wanted};
use book::command::receivable::{self, Settlement};
use book::command::resource::{self, Count};
use book::command::{plan, touched};
use book::entry::EntryKind;
use book::standing::plan_of;
use book::{Account, Error, Now, Refusal, Tx as _};
use jiff::Timestamp;
use tariff::catalog::Tiers;
use tariff::{Catalog, Meter, Micros, QuoteError, SwitchAt, Usage};
use wire::Digest;

use super::{Engine, report, view};
use crate::dto;
use crate::service::{Idempotency, Page, PageRequest, Reply, Shop, Written};
use crate::store::SqliteTx;

impl Shop for Engine {
    fn purchase(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::PurchaseRequest,
        preview: bool,
    ) -> Reply<'_, Written<dto::Purchase>> {
        self.write(write, move |tx, now| {
            let usd = request.amount_usd.0;
            if preview {
                let wanted = Wanted { usd, provider: request.provider, cadence: request.cadence };
                let brings = purchase::preview(tx, now, &account, &wanted)?;
                return Ok(Written::Existing(view::shop::preview(&account, &brings)));
            }
            let named =
                |value: Option<String>, member| value.ok_or_else(|| Refusal::invalid(member, "is needed"));
            let new = NewPurchase {
                usd,
                provider: named(request.provider, "provider")?,
                reference: named(request.reference, "reference")?,
                cadence: request.cadence,
                consent: request.consent,
                request: request.request.as_deref().map(number).transpose()?,
            };
            let posted = purchase::confirm(tx, now, &account, &new)?;
            let shown = view::shop::purchase(touched(tx, &account, now)?, &posted);
            Ok(if posted.is_new { Written::Done(shown) } else { Written::Existing(shown) })
        })
    }

    fn refund(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::RefundRequest,
        preview: bool,
    ) -> Reply<'_, Written<dto::Refund>> {
        Box::pin(async move {
            if !preview {
                self.leases_home(&account, Before::Reckoning).await;
            }
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let of = (request.provider.as_str(), request.purchase.as_str());
                if preview {
                    let (usd, credits) = purchase::refund_preview(tx, now, &account, of)?;
                    return Ok(Written::Existing(view::shop::refund(&account, None, (usd, credits))));
                }
                let reference =
                    request.reference.as_deref().ok_or_else(|| Refusal::invalid("reference", "is needed"))?;
                let done = purchase::refund(tx, now, &account, of, reference)?;
                let (payment, usd) = match &done.payment.kind {
                    EntryKind::Payment(payment) => (payment.name(), payment.usd),
                    _ => (String::new(), Micros::ZERO),
                };
                let given_back = (Micros(usd.get().saturating_neg()), done.credits);
                let shown = view::shop::refund(&account, Some(payment), given_back);
                Ok(if done.is_new { Written::Done(shown) } else { Written::Existing(shown) })
            };
            self.write(write, job).await
        })
    }

    fn recharge(&self, account: String) -> Reply<'_, dto::Recharge> {
        self.look(move |tx, now| Ok(view::shop::recharge(touched(tx, &account, now)?)))
    }

    fn set_recharge(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: Option<dto::RechargeRequest>,
    ) -> Reply<'_, Written<dto::Recharge>> {
        self.write(write, move |tx, now| {
            match request {
                Some(request) => {
                    let from = request.from.map(Timestamp::as_millisecond);
                    let new = NewRecharge { usd: request.amount_usd.0, every: request.every, from };
                    purchase::schedule(tx, now, &account, &new)?;
                }
                None => {
                    purchase::end_recharge(tx, now, &account)?;
                }
            }
            Ok(Written::Done(view::shop::recharge(touched(tx, &account, now)?)))
        })
    }

    fn receivables(&self, page: PageRequest<String>) -> Reply<'_, Page<dto::Receivable, String>> {
        Box::pin(async move {
            let (after, limit) = (page.after.unwrap_or_default(), page.limit);
            let read =
                report::read(&self.reader, move |reader| reader.receivables(&after, limit.saturating_add(1)));
            let Page { data: ids, next } = Page::cut(read.await?, limit, String::clone);
            let catalog = self.shelf.in_force();
            let data = self.look(move |tx, now| {
                let shown = ids.iter().map(|id| {
                    let account = touched(tx, id, now)?;
                    Ok(view::shop::receivable(account, catalog.as_deref()))
                });
                shown.collect::<Result<Vec<_>, Error>>()
            });
            // What is written down may lie behind: an account that has paid since is left out.
            let owes = |row: &dto::Receivable| row.owed.0 > Micros::ZERO;
            Ok(Page { data: data.await?.into_iter().filter(owes).collect(), next })
        })
    }

    fn settle_receivable(
        &self,
        write: Option<Idempotency>,
        account: String,
        settlement: dto::Settlement,
    ) -> Reply<'_, Written<dto::Receivable>> {
        let catalog = self.shelf.in_force();
        self.write(write, move |tx, now| {
            let new = Settlement {
                provider: settlement.provider,
                reference: settlement.reference,
                usd: settlement.amount_usd.0,
                credits: settlement.credits.map(|credits| credits.0),
            };
            let is_new = receivable::settle(tx, now, &account, &new)?;
            let shown = view::shop::receivable(touched(tx, &account, now)?, catalog.as_deref());
            Ok(if is_new { Written::Done(shown) } else { Written::Existing(shown) })
        })
    }

    fn resources(&self, account: String) -> Reply<'_, Vec<dto::Resource>> {
        self.look(move |tx, now| {
            let kept = resource::list(tx, now, &account)?;
            Ok(kept.iter().map(view::shop::resource).collect())
        })
    }

    fn change_resource(
        &self,
        write: Option<Idempotency>,
        account: String,
        name: String,
        change: dto::ResourceChange,
    ) -> Reply<'_, Written<dto::Resource>> {
        self.write(write, move |tx, now| {
            let change = match (change.set, change.add, change.remove) {
                (Some(count), None, None) => Count::Set(count),
                (None, Some(more), None) => Count::Add(more),
                (None, None, Some(less)) => Count::Remove(less),
                _ => return Err(Refusal::invalid("set", "exactly one of set, add, remove").into()),
            };
            let kept = resource::change(tx, now, &account, &name, change)?;
            Ok(Written::Done(view::shop::resource(&kept)))
        })
    }

    fn quote(&self, request: dto::QuoteRequest) -> Reply<'_, dto::Quote> {
        self.look(move |tx, now| {
            let mut usage = Usage::default();
            for (name, count) in &request.usage {
                let unknown = || Refusal::invalid("usage", format!("no meter \"{name}\""));
                usage.set(Meter::counted(name).ok_or_else(unknown)?, *count);
            }
            let mut own = tariff::Overrides::default();
            let mut wanted = request.plan;
            if let Some(account) = &request.account {
                let account = touched(tx, account, now)?;
                own = account.settings.overrides.clone();
                wanted = wanted.or_else(|| Some(account.plan().to_owned()));
            }
            let version = tx.catalog_version();
            let catalog =
                tx.catalog(version)?.ok_or_else(|| Refusal::invalid("plan", "there is no catalog"))?;
            let wanted = wanted.ok_or_else(|| Refusal::invalid("plan", "name a plan or an account"))?;
            let plan = plan::plan_named(&catalog, &wanted)?;
            let plan = catalog.overridden(&plan.name, &own).ok_or(Refusal::UnknownPlan(wanted))?;
            let quote = catalog.quote(&plan, &request.model, &usage).map_err(|error| match error {
                QuoteError::Price(_) => Refusal::invalid("usage", error.to_string()),
                _ => Refusal::invalid("model", error.to_string()),
            })?;
            Ok(view::shop::quote(&plan, &quote))
        })
    }

    fn customer(&self, digest: Digest) -> Reply<'_, Option<(String, String)>> {
        Box::pin(async move {
            let key = self.customers.key(digest).await?;
            let key = key.filter(|key| key.is_live(Timestamp::now().as_millisecond()));
            Ok(key.map(|key| (key.account.to_string(), key.id.to_string())))
        })
    }

    fn billing(&self, account: String) -> Reply<'_, dto::Billing> {
        self.look(move |tx, now| {
            let kept = resource::list(tx, now, &account)?;
            let version = tx.catalog_version();
            let catalog = tx.catalog(version)?;
            let account = touched(tx, &account, now)?;
            let plan = catalog.as_deref();
            let plan = plan.and_then(|catalog| plan_of(account, catalog, account.plan()));
            Ok(view::shop::billing(account, plan.as_deref(), &kept))
        })
    }

    fn public_plans(&self) -> Reply<'_, Vec<dto::PublicPlan>> {
        let in_force = self.shelf.in_force();
        let plans = in_force.iter().flat_map(|catalog| &catalog.plans).filter(|plan| plan.public);
        let shown: Vec<dto::PublicPlan> = plans.map(view::shop::public_plan).collect();
        Box::pin(async move { Ok(shown) })
    }

    fn change_own_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::OwnChange,
        checkout: bool,
    ) -> Reply<'_, Written<dto::PlanChange>> {
        let at_once = !checkout && self.gives_back(|rule| rule.at == SwitchAt::Now);
        Box::pin(async move {
            if at_once {
                self.leases_home(&account, Before::Reckoning).await;
            }
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let version = tx.catalog_version();
                let unknown = || Refusal::UnknownPlan(request.plan.clone());
                let catalog = tx.catalog(version)?.ok_or_else(unknown)?;
                if !plan::plan_named(&catalog, &request.plan)?.public {
                    return Err(unknown().into());
                }
                let own = touched(tx, &account, now)?;
                if let Some(detail) = not_for_customers(&catalog, own, &request.plan) {
                    return Err(Refusal::conflict("not_yours_to_change", detail).into());
                }
                let can_pay = own.settings.card_on_file;
                let new = plan::NewSwitch {
                    to: request.plan.clone(),
                    cadence: request.cadence.clone(),
                    coupon: request.coupon.clone(),
                    when: checkout.then_some(SwitchAt::PaymentConfirmed),
                    preview: true,
                    ..plan::NewSwitch::default()
                };
                let foreseen = plan::change(tx, now, &account, &new)?;
                let Some(usd) = foreseen.usd else {
                    let detail = "the plan's price is on request";
                    return Err(Refusal::conflict("on_request", detail).into());
                };
                // Also where it comes with the period: nobody would ask for its price.
                if foreseen.at.is_some() && usd > Micros::ZERO && !can_pay {
                    let detail = "no payment method is registered: use /manage/v1/billing/checkout";
                    return Err(Refusal::conflict("payment_needed", detail).into());
                }
                let switch = plan::change(tx, now, &account, &plan::NewSwitch { preview: false, ..new })?;
                Ok(Written::Done(view::plan_change(&account, &switch, now.wall, false)))
            };
            self.write(write, job).await
        })
    }

    fn upgrade_link(&self) -> Option<String> {
        self.shelf.in_force().and_then(|catalog| catalog.links.upgrade.clone())
    }
}

/// Why a customer may not change its plan by itself.
fn not_for_customers(catalog: &Catalog, account: &Account, to: &str) -> Option<&'static str> {
    let is_tier = |plan: &str| {
        let tiers = catalog.tiers.as_ref();
        let steps =
            |tiers: &Tiers| tiers.by.iter().any(|rule| rule.steps.iter().any(|(_, step)| step == plan));
        tiers.is_some_and(|tiers| tiers.none == plan || steps(tiers))
    };
    if is_tier(to) || is_tier(account.plan()) {
        return Some("the plan follows from what is bought");
    }
    if account.pending.as_ref().is_some_and(|pending| pending.cancels) || account.lapsed.is_some() {
        return Some("the plan has ended, or ends with its period");
    }
    None
}

/// The number of a request of the schedule.
fn number(text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| Refusal::invalid("request", "is no request's name"))
}
