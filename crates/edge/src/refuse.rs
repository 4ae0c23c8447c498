//! The texts of refusals: one function per reason.

use tariff::Gate;
use wire::AccountStatus;

use crate::account::Account;
use crate::credential::CredentialError;
use crate::record::{Denied, Why};
use crate::records::RecordError;
use crate::reply::{Code, Refusal, credits};
use crate::request::Hold;

/// Seconds after which a request that met an unreachable ledger may be tried again.
const LEDGER_RETRY_S: u64 = 2;

/// The credential is missing, doubled or cannot be a key.
pub fn credential(error: CredentialError) -> Refusal {
    let detail = match error {
        CredentialError::Missing => "No API key was sent. Send it as `Authorization: Bearer <key>`.",
        CredentialError::Several => "More than one API key was sent. Send exactly one.",
        CredentialError::Malformed => "The API key is malformed. Check that it was copied whole.",
    };
    Refusal::new(Code::InvalidApiKey, detail)
}

/// The key does not exist, was revoked or has expired.
pub fn no_such_key() -> Refusal {
    Refusal::new(Code::InvalidApiKey, "The API key is unknown, revoked or expired.")
}

/// The account is suspended or closed.
pub fn not_active(status: AccountStatus) -> Refusal {
    let detail = match status {
        AccountStatus::Closed => "The account is closed.",
        AccountStatus::Suspended | AccountStatus::Active => "The account is suspended. Contact its operator.",
    };
    Refusal::new(Code::AccountSuspended, detail)
}

/// The path is not offered.
pub fn route(detail: &str) -> Refusal {
    Refusal::new(Code::RouteDenied, detail)
}

/// The body is above the cap.
pub fn too_large(limit: u64) -> Refusal {
    Refusal::new(
        Code::RequestTooLarge,
        format!("The request body is larger than the limit of {limit} bytes."),
    )
}

/// The body cannot be read.
pub fn unreadable(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        Code::InvalidRequest,
        format!("The request body cannot be read: {}.", detail.to_string().trim_end_matches('.')),
    )
}

/// The model is unknown, or has no price.
pub fn unknown_model(model: &str) -> Refusal {
    let shown: String = model.chars().filter(|c| !c.is_control()).take(100).collect();
    let detail = match shown.as_str() {
        "" => "The request names no model.".to_owned(),
        shown => format!("The model `{shown}` is not offered."),
    };
    Refusal::new(Code::UnknownModel, detail)
}

/// The key may not use the model.
pub fn forbidden_model(model: &str) -> Refusal {
    let mut refusal =
        Refusal::new(Code::ForbiddenModel, format!("This API key may not use the model `{model}`."));
    refusal.help.limit_source = Some("key");
    refusal
}

/// The plan does not open the model (L3: names the cheapest plan that does).
pub fn plan_required(account: &Account, gate: &Gate, model: &str) -> Refusal {
    let plan = &account.policy.policy.plan;
    let unlock =
        gate.unlocks.first().map_or(String::new(), |unlock| format!(" The plan `{}` opens it.", unlock.plan));
    let mut refusal = Refusal::new(
        Code::PlanRequired,
        format!("The model `{model}` is not part of the plan `{plan}`.{unlock}"),
    );
    refusal.help.limit_source = Some("gate");
    refusal.help.unlocks.clone_from(&gate.unlocks);
    refusal
}

/// A rate is exceeded.
pub fn rate(id: &str, retry_us: u64) -> Refusal {
    let seconds = retry_us.div_ceil(1_000_000).max(1);
    let mut refusal =
        Refusal::new(Code::RateLimited, format!("Rate limit `{id}` exceeded. Try again in {seconds} s."));
    refusal.help.limit_source = Some("rate");
    refusal.help.violated_policies = vec![id.to_owned()];
    refusal.retry_after(seconds)
}

/// A bucket has run dry.
pub fn denied(account: &Account, denied: Denied, hold: Option<&Hold>) -> Refusal {
    let available = denied.available.max(0);
    let (code, source, what) = match denied.why {
        Why::Empty => (Code::InsufficientCredits, "pool", "Credits exhausted."),
        Why::InFlight => {
            (Code::InsufficientCredits, "in_flight", "The remaining credits are held by requests in flight.")
        }
        Why::Limit => (Code::LimitReached, "limit", "The plan's limit is reached."),
    };
    let mut detail = what.to_owned();
    if let Some(url) = &account.help.top_up_url {
        detail.push_str(&format!(" Top up at {url}."));
    }
    if let Some(at) = &account.help.resets_at {
        detail.push_str(&format!(" Included credits renew at {at}."));
    }
    let mut refusal = Refusal::new(code, detail);
    refusal.help.limit_source = Some(source);
    refusal.help.available = Some(credits(available));
    refusal.help.resets_at.clone_from(&account.help.resets_at);
    refusal.help.unlocks.clone_from(&account.help.unlocks);
    refusal.help.top_up_url.clone_from(&account.help.top_up_url);
    if let Some(hold) = hold {
        refusal.help.required = Some(credits(hold.credits));
        refusal.help.affordable_tokens = hold.model.affordable_tokens(tariff::Micros(available));
    }
    refusal
}

/// What is left is held by others, and stayed so while the request waited.
pub fn in_flight(account: Option<&Account>) -> Refusal {
    match account {
        Some(account) => {
            denied(account, Denied { tag: 0, why: Why::InFlight, until_us: 0, available: 0 }, None)
        }
        None => {
            Refusal::new(Code::InsufficientCredits, "The remaining credits are held by requests in flight.")
        }
    }
}

/// The ledger is needed and does not answer.
pub fn ledger_unavailable() -> Refusal {
    let detail =
        "Metering is unavailable and this request could not be covered without it. Try again shortly.";
    Refusal::new(Code::LedgerUnavailable, detail).retry_after(LEDGER_RETRY_S)
}

/// Nothing can be kept for the ledger any more.
pub fn ring_full() -> Refusal {
    let detail = "Too many settlements wait for the ledger. Try again shortly.";
    Refusal::new(Code::LedgerUnavailable, detail).retry_after(LEDGER_RETRY_S)
}

/// A table or queue of the edge is full.
pub fn overloaded() -> Refusal {
    Refusal::new(Code::Overloaded, "Too many requests wait for metering. Try again shortly.").retry_after(1)
}

/// The account's record could not be changed.
pub fn record(error: RecordError) -> Refusal {
    match error {
        RecordError::Missing | RecordError::Full | RecordError::Contended => overloaded(),
    }
}

/// The upstream answered with success before admission.
pub fn answered_early() -> Refusal {
    Refusal::new(Code::UpstreamAnsweredEarly, "The upstream answered before the request was admitted.")
        .retry_after(1)
}
