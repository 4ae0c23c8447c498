//! The texts of refusals: one function per reason.

use tariff::{Bucket, Gate, LimitHelp, RequestLimit, Unit, Unlock};
use wire::AccountStatus;

use crate::account::Account;
use crate::instant;
use crate::record::records::RecordError;
use crate::record::{Denied, Why};
use crate::reply::{Code, Refusal, credits};
use crate::request::Hold;
use crate::request::credential::CredentialError;
use crate::time::Now;

/// Seconds after which a request that met an unreachable ledger may be tried again.
const LEDGER_RETRY_S: u64 = 2;
/// Milliseconds after which a request may be tried again that met the end of a window nobody knows.
const WINDOW_RETRY_MS: i64 = 60_000;

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
    let detail = format!("The model `{model}` is not part of the plan `{plan}`.");
    let mut refusal = Refusal::new(Code::PlanRequired, detail);
    refusal.help.limit_source = Some("gate");
    unlocked_by(&mut refusal, account, &gate.unlocks, "opens it");
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

/// A parameter cannot be read, or is out of range.
pub fn parameter(name: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("\"{name}\" {what}."))
}

/// The request asks for more of something than its plan allows in one request.
pub fn request_limit(account: &Account, limit: &RequestLimit, asked: u64) -> Refusal {
    let (plan, parameter, max) = (&account.policy.policy.plan, &limit.parameter, limit.max);
    let detail = format!("The plan `{plan}` allows a `{parameter}` of {max}, and {asked} was asked for.");
    let mut refusal = Refusal::new(Code::LimitReached, detail);
    refusal.help.limit_source = Some("request");
    refusal.help.limit = Some(parameter.clone());
    unlocked_by(&mut refusal, account, &limit.unlocks, "allows more");
    refusal
}

/// Says which plan would help, the cheapest first, or whom to ask where no public one does (L3).
fn unlocked_by(refusal: &mut Refusal, account: &Account, unlocks: &[Unlock], how: &str) {
    match unlocks.first() {
        Some(unlock) => refusal.detail.push_str(&format!(" The plan `{}` {how}.", unlock.plan)),
        None => refusal.help.contact_url.clone_from(&account.help.contact_url),
    }
    refusal.help.unlocks = unlocks.to_vec();
}

/// A bucket has run dry; `resets_at` is when waiting would help, where the ledger has said so.
pub fn denied(
    account: &Account,
    denied: Denied,
    resets_at: Option<String>,
    hold: Option<&Hold>,
    now: Now,
) -> Refusal {
    let take = hold.and_then(|hold| hold.takes.iter().find(|take| take.tag == denied.tag));
    let mut refusal = match account.policy.bucket(denied.tag) {
        Some(Bucket { limit: Some(limit), waits, .. }) => {
            cap(account, (limit, *waits), denied.why, resets_at, now)
        }
        _ => out_of_credits(account, denied.why, resets_at),
    };
    let available = denied.available.max(0);
    refusal.help.available = Some(credits(available));
    if let Some(hold) = hold {
        refusal.help.required = Some(credits(take.map_or(hold.credits, |take| take.amount)));
        if take.is_none_or(|take| take.unit == Unit::Credits) {
            refusal.help.affordable_tokens = hold.model.affordable_tokens(tariff::Micros(available));
        }
    }
    refusal
}

/// A limit of the plan is reached. Money lifts it, so it is 402, unless the catalog says that only time does (P5).
fn cap(
    account: &Account,
    (limit, waits): (&LimitHelp, bool),
    why: Why,
    resets_at: Option<String>,
    now: Now,
) -> Refusal {
    let (id, plan, max) = (&limit.id, &account.policy.policy.plan, shown(limit.max));
    let resets_at = resets_at.or_else(|| limit.resets_at.clone());
    let how = match why {
        Why::Empty | Why::Limit => "is reached",
        // By what was used, and by what requests in flight hold.
        Why::InFlight => "leaves no room for this request",
    };
    let mut detail = format!("The limit `{id}` of the plan `{plan}`, {max}, {how}.");
    if let Some(at) = &resets_at {
        detail.push_str(&format!(" It begins anew at {at}."));
    }
    let code = if waits { Code::RateLimited } else { Code::LimitReached };
    let mut refusal = Refusal::new(code, detail);
    refusal.help.limit_source = Some("limit");
    refusal.help.limit = Some(id.clone());
    unlocked_by(&mut refusal, account, &limit.unlocks, "has more");
    if waits {
        refusal.help.violated_policies = vec![id.clone()];
        let ends_ms = resets_at.as_deref().and_then(instant::millis);
        let wait_ms = ends_ms.map_or(WINDOW_RETRY_MS, |ends_ms| ends_ms.saturating_sub(now.wall_ms));
        refusal = refusal.retry_after(u64::try_from(wait_ms).unwrap_or(0).div_ceil(1_000));
    }
    refusal.help.resets_at = resets_at;
    refusal
}

/// Nothing that may pay for the request has enough.
fn out_of_credits(account: &Account, why: Why, resets_at: Option<String>) -> Refusal {
    let (code, source, what) = match why {
        Why::Empty => (Code::InsufficientCredits, "pool", "Credits exhausted."),
        Why::InFlight => {
            (Code::InsufficientCredits, "in_flight", "The remaining credits are held by requests in flight.")
        }
        Why::Limit => (Code::LimitReached, "limit", "The plan's limit is reached."),
    };
    let help = &account.help;
    let mut detail = what.to_owned();
    if let Some(url) = &help.top_up_url {
        detail.push_str(&format!(" Top up at {url}."));
    }
    let renewed = |at: &String| help.resets_at.as_ref() == Some(at);
    match resets_at.as_ref().or(help.resets_at.as_ref()) {
        Some(at) if renewed(at) => detail.push_str(&format!(" Included credits renew at {at}.")),
        Some(at) => detail.push_str(&format!(" More can be spent from {at} on.")),
        None => {}
    }
    let mut refusal = Refusal::new(code, detail);
    refusal.help.limit_source = Some(source);
    refusal.help.resets_at = resets_at.or_else(|| help.resets_at.clone());
    refusal.help.unlocks.clone_from(&help.unlocks);
    refusal.help.top_up_url.clone_from(&help.top_up_url);
    refusal
}

/// A limit's maximum: whole units as such.
fn shown(max: tariff::Micros) -> String {
    let text = credits(max.get());
    text.strip_suffix(".000000").map_or_else(|| text.clone(), str::to_owned)
}

/// What is left is held by others, and stayed so while the request waited.
pub fn in_flight(account: Option<&Account>) -> Refusal {
    match account {
        Some(account) => {
            let mut refusal = out_of_credits(account, Why::InFlight, None);
            refusal.help.available = Some(credits(0));
            refusal
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
