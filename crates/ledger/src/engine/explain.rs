//! Why a request would be refused: the edge's own admission and the book's own answer, asked without a request.
//!
//! What the ledger sees is not all: rates are counted at the Envoys, and what is held there was stated a moment
//! ago. So the answer is about plan, key, limits and credits.

use book::funds::Funds;
use book::snapshot::snapshot;
use book::sync::{Foreseen, foresee};
use book::{Account, Error, Now, Refusal, StoreError, Tx as _, command};
use edge::admit::trial::{Imagined, Taking, Trial};
use edge::route::Operation;
use edge::route::dialect::Dialect;
use serde_json::{Map, Value};
use tariff::catalog::{Parameter, ParameterRead};
use tariff::{Admission, EdgeCatalog, EdgeModel, Meter, Micros, Unit, Unlock, Usage};
use wire::{Digest, KeyEntry, Need, Snapshot, VerdictKind};

use crate::dto;
use crate::store::SqliteTx;

/// What the writer knows of an account at one moment.
pub struct Known {
    account: Account,
    snapshot: Snapshot,
    /// Absent where the key opens nothing.
    key: Option<KeyEntry>,
    admission: Admission,
    now: Now,
}

/// The most items that a parameter's number stands for.
const ITEMS_MAX: u64 = 10_000;

// === impl Known ===

impl Known {
    /// Reads what is known.
    ///
    /// # Errors
    /// Where the account or its key does not exist.
    pub fn read(tx: &mut SqliteTx<'_>, now: Now, id: &str, key: Option<&str>) -> Result<Self, Error> {
        let account = command::touched(tx, id, now)?.clone();
        let key = match key {
            Some(key) => {
                let found = tx.key_by_id(id, key)?.ok_or_else(|| Refusal::UnknownKey(key.to_owned()))?;
                found.is_live(now.wall).then(|| found.entry())
            }
            None => Some(any_key(id)),
        };
        let version = account.term().map_or(0, |term| term.catalog);
        let catalog = tx.catalog(version)?.ok_or_else(|| StoreError::new("the term's catalog is gone"))?;
        let snapshot = snapshot(&account, &catalog, now.wall)
            .ok_or_else(|| StoreError::new("the term's catalog lacks its plan"))?;
        Ok(Self { account, snapshot, key, admission: catalog.exhaustion.admission, now })
    }

    /// The catalog version that the account's requests are priced by.
    pub fn catalog(&self) -> u64 {
        self.snapshot.catalog
    }

    /// Says what would become of a request.
    ///
    /// # Errors
    /// Where it cannot be imagined.
    pub fn explain(
        self,
        catalog: &EdgeCatalog,
        request: &dto::ExplainRequest,
    ) -> Result<dto::Explanation, Refusal> {
        let (operation, body) = imagined(catalog, request)?;
        let in_path = matches!(&operation, Operation::Meter(dialect) if dialect.is_named_in_path());
        let model = request.model.as_deref().filter(|_| in_path);
        let mut usage = Usage::new();
        for (name, count) in &request.usage {
            let unknown = || Refusal::invalid("usage", format!("no meter \"{name}\""));
            usage.set(Meter::counted(name).ok_or_else(unknown)?, *count);
        }
        let imagined = Imagined {
            operation: &operation,
            body: &body,
            path_model: model,
            sold_tier: request.service_tier.as_deref(),
            usage: &usage,
        };
        let policy = &self.snapshot.policy;
        let mut answer = dto::Explanation {
            account: self.account.id.to_string(),
            plan: policy.plan.clone(),
            allowed: false,
            enforced: policy.enforce,
            refusal: None,
            charged_as: None,
            clipped_to: None,
            buckets: Vec::new(),
            rates: Vec::new(),
        };
        let trial = Trial::new(self.key.as_ref(), self.snapshot, catalog, &imagined);
        answer.charged_as = trial.charged_as().map(str::to_owned);
        answer.rates = trial.rates().map(rate).collect();
        let takes: Vec<Taking<'_>> = trial.takes().collect();
        let foreseen = foresee(&self.account, self.admission, &needs(&takes));
        answer.buckets = buckets(&self.account, &takes, &foreseen);
        let now = edge::Now { mono_us: 0, wall_ms: self.now.wall };
        let denied = match &foreseen.verdict {
            Some(VerdictKind::Deny(denial)) => Some(trial.denied(denial, now)),
            Some(VerdictKind::Clip(clip)) => {
                answer.clipped_to = Some(clip.need.into());
                None
            }
            Some(VerdictKind::Wait(_)) | None => None,
        };
        answer.refusal = trial.refusal().or(denied.as_ref()).map(refused);
        answer.allowed = answer.refusal.is_none();
        Ok(answer)
    }
}

/// A key that may use whatever the plan opens.
fn any_key(account: &str) -> KeyEntry {
    KeyEntry {
        digest: Digest([0; 32]),
        account: account.into(),
        key_id: "".into(),
        auth_class: book::key::AUTH_CLASS_API.into(),
        models: None,
        expires_at: None,
    }
}

/// What the request is, and its body as a client would send it.
fn imagined(catalog: &EdgeCatalog, request: &dto::ExplainRequest) -> Result<(Operation, Vec<u8>), Refusal> {
    if request.model.is_none() && request.body.is_none() {
        return Err(Refusal::invalid("model", "is needed: name it, or give a body that does"));
    }
    let mut body = request.body.clone().unwrap_or_default();
    if let Some(model) = &request.model {
        body.entry("model").or_insert_with(|| model.as_str().into());
    }
    let name = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let bare = request.body.is_none() && request.parameters.is_empty();
    let operation = match request.operation.unwrap_or_else(|| usual(catalog.model(&name), bare)) {
        dto::ExplainedOperation::OpenaiChat => Operation::Meter(Dialect::OpenaiChat),
        dto::ExplainedOperation::OpenaiCompletions => Operation::Meter(Dialect::OpenaiCompletions),
        dto::ExplainedOperation::OpenaiResponses => Operation::Meter(Dialect::OpenaiResponses),
        dto::ExplainedOperation::Embeddings => Operation::Meter(Dialect::Embeddings),
        dto::ExplainedOperation::AnthropicMessages => Operation::Meter(Dialect::AnthropicMessages),
        dto::ExplainedOperation::Gemini => Operation::Meter(Dialect::Gemini),
        dto::ExplainedOperation::GeminiEmbed => Operation::Meter(Dialect::GeminiEmbed),
        dto::ExplainedOperation::Items => Operation::Meter(Dialect::Items),
        dto::ExplainedOperation::Transcription => Operation::Meter(Dialect::Transcription),
        dto::ExplainedOperation::Speech => Operation::Meter(Dialect::Speech),
        dto::ExplainedOperation::Moderation => Operation::Meter(Dialect::Moderation),
        dto::ExplainedOperation::Rerank => Operation::Meter(Dialect::Rerank),
        dto::ExplainedOperation::BedrockConverse => Operation::Meter(Dialect::BedrockConverse),
        dto::ExplainedOperation::BedrockInvoke => Operation::Meter(Dialect::BedrockInvoke),
        dto::ExplainedOperation::CohereChat => Operation::Meter(Dialect::CohereChat),
        dto::ExplainedOperation::CohereEmbed => Operation::Meter(Dialect::CohereEmbed),
        dto::ExplainedOperation::OllamaChat => Operation::Meter(Dialect::OllamaChat),
        dto::ExplainedOperation::OllamaEmbed => Operation::Meter(Dialect::OllamaEmbed),
        dto::ExplainedOperation::Flat => Operation::Flat(name),
    };
    for (name, value) in &request.parameters {
        state(&mut body, &catalog.parameters, name, value)?;
    }
    let body = serde_json::to_vec(&body).map_err(|error| Refusal::invalid("body", error.to_string()))?;
    Ok((operation, body))
}

/// What requests for a model usually are.
fn usual(model: Option<&EdgeModel>, bare: bool) -> dto::ExplainedOperation {
    let has = |meter: Meter| model.is_none_or(|model| model.prices.unit(meter).is_some());
    match model {
        _ if has(Meter::OutputTokens) => dto::ExplainedOperation::OpenaiChat,
        _ if has(Meter::InputTokens) => dto::ExplainedOperation::Embeddings,
        Some(model) if model.prices.is_flat() && bare => dto::ExplainedOperation::Flat,
        _ => dto::ExplainedOperation::Items,
    }
}

/// Puts a parameter where the catalog looks for it; one that the catalog does not know is a member of that name.
fn state(
    body: &mut Map<String, Value>,
    parameters: &[Parameter],
    name: &str,
    value: &Value,
) -> Result<(), Refusal> {
    let invalid = |detail: &str| Refusal::invalid("parameters", format!("`{name}` {detail}"));
    let known = parameters.iter().find(|parameter| parameter.name == name);
    let path = known.map_or(name, |parameter| &parameter.member);
    let counts_items = known.is_some_and(|parameter| parameter.read == ParameterRead::Items);
    let value = match value.as_u64().filter(|_| counts_items) {
        Some(count) if count > ITEMS_MAX => return Err(invalid("has too many items")),
        Some(count) => (0..count).map(Value::from).collect(),
        None => value.clone(),
    };
    let mut steps: Vec<&str> = path.split('.').collect();
    let last = steps.pop().unwrap_or_default();
    let mut within = body;
    for step in steps {
        let inner = within.entry(step).or_insert_with(|| Map::new().into());
        within = inner.as_object_mut().ok_or_else(|| invalid("lies in a member that is no object"))?;
    }
    within.insert(last.to_owned(), value);
    Ok(())
}

/// What is asked for of buckets that can run dry.
fn needs(takes: &[Taking<'_>]) -> Vec<Need> {
    let rationed = takes.iter().filter(|take| !take.unlimited);
    rationed.map(|take| Need { bucket: take.bucket.to_owned(), need: Micros(take.amount) }).collect()
}

fn buckets(account: &Account, takes: &[Taking<'_>], foreseen: &Foreseen) -> Vec<dto::ExplainedBucket> {
    let funds = Funds::unleased(account);
    let mut had = foreseen.available.iter().copied();
    let shown = takes.iter().map(|take| {
        let available = if take.unlimited { None } else { had.next() };
        dto::ExplainedBucket {
            bucket: take.bucket.to_owned(),
            unit: match take.unit {
                Unit::Credits => funds.asset(take.bucket).unwrap_or_default().to_owned(),
                Unit::Count(meter) => meter.as_str().to_owned(),
                Unit::Cost => "usd".to_owned(),
            },
            required: Micros(take.amount).into(),
            available: available.map(Into::into),
            enough: available.is_none_or(|available| take.amount <= available.get()),
        }
    });
    shown.collect()
}

fn rate(rate: &tariff::Rate) -> dto::ExplainedRate {
    dto::ExplainedRate {
        id: rate.id.clone(),
        meter: rate.meter.as_str().to_owned(),
        amount: rate.amount,
        per_ms: rate.per_ms,
        burst: rate.burst,
    }
}

/// A refusal as the client would read it.
fn refused(refusal: &edge::reply::Refusal) -> dto::Refused {
    let help = &refusal.help;
    let unlock = |unlock: &Unlock| dto::PlanUnlock { plan: unlock.plan.clone(), url: unlock.url.clone() };
    dto::Refused {
        status: refusal.code.status(),
        code: refusal.code.as_str().to_owned(),
        detail: refusal.detail.clone(),
        limit_source: help.limit_source.map(str::to_owned),
        limit: help.limit.clone(),
        required: help.required.clone(),
        available: help.available.clone(),
        affordable_tokens: help.affordable_tokens,
        resets_at: help.resets_at.clone(),
        unlocks: help.unlocks.iter().map(unlock).collect(),
        top_up_url: help.top_up_url.clone(),
        contact_url: help.contact_url.clone(),
    }
}
