//! Why a request would be refused: the edge's questions, in its order and words, asked of the ledger's state.
//!
//! What the ledger sees is not all: rates are counted at the Envoys, and what is held there was stated a moment
//! ago. So the answer is about plan, key, limits and credits.

use book::funds::Funds;
use book::snapshot::snapshot;
use book::{Account, Error, Key, Now, Refusal, StoreError, Tx as _, command};
use tariff::catalog::ParameterRead;
use tariff::{Bucket, EdgeCatalog, EdgeModel, Meter, Micros, Policy, Prices, Unit, Unlock, Usage, glob};
use wire::AccountStatus;

use crate::dto::{self, Refused};
use crate::store::SqliteTx;

/// What became of the questions so far.
struct Asked<'a> {
    account: &'a Account,
    policy: &'a Policy,
    edge: &'a EdgeCatalog,
    request: &'a dto::ExplainRequest,
    answer: dto::Explanation,
}

/// Millionths in one.
const ONE: i64 = 1_000_000;

/// Asks the edge's questions.
///
/// # Errors
/// Where the account, its key or a meter does not exist.
pub fn explain(
    tx: &mut SqliteTx<'_>,
    now: Now,
    id: &str,
    request: &dto::ExplainRequest,
) -> Result<dto::Explanation, Error> {
    let account = command::touched(tx, id, now)?.clone();
    let key = match &request.key {
        Some(key) => {
            let found = tx.key_by_id(id, key)?;
            Some(found.ok_or_else(|| Refusal::UnknownKey(key.clone()))?)
        }
        None => None,
    };
    let version = account.term().map_or(0, |term| term.catalog);
    let catalog = tx.catalog(version)?.ok_or_else(|| StoreError::new("the term's catalog is gone"))?;
    let snapshot = snapshot(&account, &catalog, now.wall);
    let policy = snapshot.ok_or_else(|| StoreError::new("the term's catalog lacks its plan"))?.policy;
    let edge = catalog.edge(version);
    let answer = dto::Explanation {
        account: account.id.to_string(),
        plan: policy.plan.clone(),
        allowed: true,
        enforced: policy.enforce,
        refusal: None,
        charged_as: None,
        buckets: Vec::new(),
        rates: Vec::new(),
    };
    let mut asked = Asked { account: &account, policy: &policy, edge: &edge, request, answer };
    asked.ask(key.as_ref(), now)?;
    asked.answer.allowed = asked.answer.refusal.is_none();
    Ok(asked.answer)
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn ask(&mut self, key: Option<&Key>, now: Now) -> Result<(), Error> {
        if key.is_some_and(|key| !key.is_live(now.wall)) {
            self.refuse(401, "invalid_api_key", "The API key is unknown, revoked or expired.");
        }
        match self.account.status {
            AccountStatus::Active => {}
            AccountStatus::Suspended => {
                self.refuse(403, "account_suspended", "The account is suspended. Contact its operator.");
            }
            AccountStatus::Closed => self.refuse(403, "account_suspended", "The account is closed."),
        }
        let edge = self.edge;
        let Some(model) = edge.model(&self.request.model) else {
            let detail = format!("The model `{}` is not offered.", self.request.model);
            self.refuse(400, "unknown_model", &detail);
            return Ok(());
        };
        if key
            .and_then(|key| key.models.as_ref())
            .is_some_and(|models| !glob::matches_any(models, &model.name))
        {
            let detail = format!("This API key may not use the model `{}`.", self.request.model);
            let source = Some("key".to_owned());
            self.refuse_with(Refused { limit_source: source, ..refused(403, "forbidden_model", &detail) });
        }
        self.gate(&model.name);
        self.request_limits();
        self.answer.rates = self.rates(&model.name);
        let (name, prices) = self.prices(model);
        self.answer.charged_as = Some(name);
        let usage = self.usage(model)?;
        let auth_class = key.map_or(book::key::AUTH_CLASS_API, |key| &*key.auth_class);
        self.buckets(model, prices, &usage, auth_class);
        Ok(())
    }

    fn gate(&mut self, model: &str) {
        let Some(gate) = self.policy.gates.iter().find(|gate| glob::matches_any(&gate.models, model)) else {
            return;
        };
        let plan = &self.policy.plan;
        let mut detail = format!("The model `{}` is not part of the plan `{plan}`.", self.request.model);
        if let Some(unlock) = gate.unlocks.first() {
            detail.push_str(&format!(" The plan `{}` opens it.", unlock.plan));
        }
        let (source, unlocks) = (Some("gate".to_owned()), unlocks(&gate.unlocks));
        self.refuse_with(Refused { limit_source: source, unlocks, ..refused(402, "plan_required", &detail) });
    }

    fn request_limits(&mut self) {
        for limit in &self.policy.request_limits {
            let Some(asked) = self.count(&limit.parameter).filter(|asked| *asked > limit.max) else {
                continue;
            };
            let (plan, parameter, max) = (&self.policy.plan, &limit.parameter, limit.max);
            let detail =
                format!("The plan `{plan}` allows a `{parameter}` of {max}, and {asked} was asked for.");
            self.refuse_with(Refused {
                limit_source: Some("request".to_owned()),
                limit: Some(parameter.clone()),
                unlocks: unlocks(&limit.unlocks),
                ..refused(402, "limit_reached", &detail)
            });
        }
    }

    fn rates(&self, model: &str) -> Vec<dto::ExplainedRate> {
        let counted = self
            .policy
            .rates
            .iter()
            .filter(|rate| !self.policy.bypass_rates && glob::matches_any(&rate.models, model));
        let shown = counted.map(|rate| dto::ExplainedRate {
            id: rate.id.clone(),
            meter: rate.meter.as_str().to_owned(),
            amount: rate.amount,
            per_ms: rate.per_ms,
            burst: rate.burst,
        });
        shown.collect()
    }

    /// What the request is charged as, and by which prices: the plan's card, else the variant's, else the model's.
    fn prices(&self, model: &'a EdgeModel) -> (String, &'a Prices) {
        let (policy, edge) = (self.policy, self.edge);
        let matches = |(name, values): &(String, Vec<String>)| {
            let given = self.request.parameters.get(name).map(|given| match given {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            given.is_some_and(|given| values.contains(&given))
        };
        let variant = model.variants.iter().find(|variant| variant.when.iter().all(matches));
        let name =
            variant.map_or_else(|| model.name.clone(), |variant| format!("{}@{}", model.name, variant.name));
        let card = policy.card.as_ref().and_then(|card| edge.cards.get(card));
        let card = card.and_then(|card| card.get(&name).or_else(|| card.get(&model.name)));
        (name, card.or(variant.map(|variant| &variant.prices)).unwrap_or(&model.prices))
    }

    /// The number that a parameter states; of a text that is read for its length, how long it is.
    fn count(&self, name: &str) -> Option<u64> {
        let given = self.request.parameters.get(name)?;
        let read = self.edge.parameters.iter().find(|own| own.name == name).map(|own| own.read);
        match given.as_str() {
            Some(text) if read == Some(ParameterRead::Characters) => u64::try_from(text.chars().count()).ok(),
            _ => given.as_u64(),
        }
    }

    fn usage(&self, model: &EdgeModel) -> Result<Usage, Refusal> {
        let mut usage = Usage::new().with(Meter::Requests, 1);
        if model.prices.unit(Meter::OutputTokens).is_some() && !model.prices.is_flat() {
            let default = model.max_output_default;
            usage = usage
                .with(Meter::OutputTokens, self.policy.max_tokens.map_or(default, |max| default.min(max)));
        }
        for stated in &model.stated {
            let given = stated.parameter.as_ref().and_then(|name| self.count(name));
            usage = usage.with(stated.meter, given.unwrap_or(stated.default));
        }
        for (name, count) in &self.request.usage {
            let meter = Meter::counted(name)
                .ok_or_else(|| Refusal::invalid("usage", format!("no meter \"{name}\"")))?;
            usage = usage.with(meter, *count);
        }
        Ok(usage)
    }

    fn buckets(&mut self, model: &EdgeModel, prices: &Prices, usage: &Usage, auth_class: &str) {
        let Some(class) =
            self.policy.classes.iter().find(|class| glob::matches_any(&class.models, &model.name))
        else {
            return;
        };
        let funds = Funds::unleased(self.account);
        let (mut buckets, mut short) = (Vec::new(), None);
        for bucket in self.policy.buckets.iter().filter(|bucket| class.buckets.contains(&bucket.id)) {
            if bucket.unless_auth_class.iter().any(|class| class == auth_class) {
                continue;
            }
            let required = match bucket.unit {
                Unit::Credits => prices.charge(usage).map_or(Micros::ZERO, |charge| charge.rounded),
                Unit::Count(meter) => Micros(whole(usage.get(meter)).saturating_mul(ONE)),
                Unit::Cost => {
                    let cost = model.cost.as_ref().and_then(|cost| cost.charge(usage).ok());
                    cost.map_or(Micros::ZERO, |cost| cost.rounded)
                }
            };
            let left = funds.left(&bucket.id).filter(|_| !bucket.unlimited);
            let available = left
                .map(|left| Micros(left.get().saturating_sub(self.account.held(&bucket.id).get()).max(0)));
            let enough = available.is_none_or(|available| required <= available);
            if !enough && short.is_none() {
                short = Some(bucket);
            }
            buckets.push(dto::ExplainedBucket {
                bucket: bucket.id.clone(),
                required: required.into(),
                available: available.map(Into::into),
                enough,
            });
        }
        self.answer.buckets = buckets;
        if let Some(bucket) = short {
            self.dry(bucket);
        }
    }

    fn dry(&mut self, bucket: &Bucket) {
        let help = &self.policy.help;
        let refusal = match &bucket.limit {
            Some(limit) => {
                let (status, code) =
                    if bucket.waits { (429, "rate_limited") } else { (402, "limit_reached") };
                let detail =
                    format!("The limit `{}` of the plan `{}` is reached.", limit.id, self.policy.plan);
                Refused {
                    limit_source: Some("limit".to_owned()),
                    limit: Some(limit.id.clone()),
                    resets_at: limit.resets_at.clone(),
                    unlocks: unlocks(&limit.unlocks),
                    ..refused(status, code, &detail)
                }
            }
            None => Refused {
                limit_source: Some("pool".to_owned()),
                resets_at: help.resets_at.clone(),
                unlocks: unlocks(&help.unlocks),
                top_up_url: help.top_up_url.clone(),
                ..refused(402, "insufficient_credits", "Credits exhausted.")
            },
        };
        self.refuse_with(refusal);
    }

    fn refuse(&mut self, status: u16, code: &str, detail: &str) {
        self.refuse_with(refused(status, code, detail));
    }

    /// Only the first thing that refuses is told, as at the edge.
    fn refuse_with(&mut self, refusal: Refused) {
        self.answer.refusal.get_or_insert(refusal);
    }
}

fn refused(status: u16, code: &str, detail: &str) -> Refused {
    Refused { status, code: code.to_owned(), detail: detail.to_owned(), ..Refused::default() }
}

fn unlocks(unlocks: &[Unlock]) -> Vec<dto::PlanUnlock> {
    let shown = |unlock: &Unlock| dto::PlanUnlock { plan: unlock.plan.clone(), url: unlock.url.clone() };
    unlocks.iter().map(shown).collect()
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
