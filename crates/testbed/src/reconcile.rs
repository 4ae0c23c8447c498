//! The journal against the provider's own record, request by request, with an independent pricer.
//!
//! The provider's record and Envoy's access log are joined by the test's tag, the access log and the
//! journal by the request id in the filter's report. What the provider reported in full must be charged
//! to the micro-credit; every request that it served must be charged once; nothing else may be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::gateway::Line;
use crate::ledger::Entry;
use crate::mock::{Seen, Tokens};
use crate::prices::{Purse, price};
use crate::stack::{Account, Stack};
use crate::wait::{self, SETTLED_WITHIN};

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Requests that reached the provider.
    pub provider_requests: usize,
    /// Charges in the journals.
    pub charges: usize,
    /// Of these: by the provider's full report, compared to the micro-credit.
    pub exact: usize,
    /// The sum of all charges, in micro-credits.
    pub charged: i64,
    /// Requests at the provider that no access log has: a killed Envoy took them with it.
    pub unseen: usize,
}

/// Compares all that the stack has done.
///
/// # Errors
/// The first difference.
pub async fn reconcile(stack: &Stack) -> Result<Summary> {
    stack.settled(SETTLED_WITHIN).await?;
    let seen: BTreeMap<String, Vec<Seen>> = by_tag(stack.mock.record.all());
    let lines = complete_access_log(stack, &seen).await?;
    check_forwarding(&seen, &lines)?;
    let unseen = seen.iter().filter(|(tag, _)| !tag.is_empty() && !lines.contains_key(*tag));
    let unseen = unseen.map(|(_, seen)| seen.len()).sum();
    let provider_requests = seen.values().map(Vec::len).sum();
    let mut summary = Summary { provider_requests, unseen, ..Summary::default() };
    let mut charged = BTreeSet::new();
    for account in stack.accounts() {
        let entries = delivered(stack, &account, &lines).await?;
        let sums = check_account(stack, &account, &entries, &seen, &lines, &mut charged).await?;
        summary.charges = summary.charges.saturating_add(sums.charges);
        summary.exact = summary.exact.saturating_add(sums.exact);
        summary.charged = summary.charged.saturating_add(sums.charged);
    }
    for line in lines.values().filter(|line| line.report("outcome") == Some("settled")) {
        let request = line.report("request").unwrap_or_default();
        ensure!(charged.contains(request), "served but not in any journal: {}", line.json);
    }
    Ok(summary)
}

fn by_tag(all: Vec<Seen>) -> BTreeMap<String, Vec<Seen>> {
    let mut seen: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for line in all {
        seen.entry(line.tag.clone().unwrap_or_default()).or_default().push(line);
    }
    seen
}

/// The access log's lines by tag, once there is one for every request that the provider saw.
async fn complete_access_log(
    stack: &Stack,
    seen: &BTreeMap<String, Vec<Seen>>,
) -> Result<BTreeMap<String, Line>> {
    let read = || -> Result<BTreeMap<String, Line>> {
        let mut lines = BTreeMap::new();
        for gateway in stack.gateways.iter().chain(&stack.killed) {
            for line in gateway.access_log()? {
                lines.extend(line.text("tag").map(str::to_owned).map(|tag| (tag, line)));
            }
        }
        Ok(lines)
    };
    let complete = wait::until("the access log is written", SETTLED_WITHIN, || async {
        let lines = read()?;
        let missing = seen.keys().filter(|tag| !tag.is_empty()).find(|tag| !lines.contains_key(*tag));
        match missing {
            Some(tag) => bail!("no line for {tag}"),
            None => Ok(Some(lines)),
        }
    });
    match complete.await {
        // What an Envoy had not written when it was killed will never be.
        Err(_) if !stack.killed.is_empty() => read(),
        other => other,
    }
}

/// No request that was refused may have reached the provider whole (I4).
fn check_forwarding(seen: &BTreeMap<String, Vec<Seen>>, lines: &BTreeMap<String, Line>) -> Result<()> {
    for (tag, line) in lines {
        let reached = seen.get(tag).is_some_and(|seen| seen.iter().any(|one| one.complete));
        let refused = line.text("details").is_some_and(|details| details.starts_with("bursar_"));
        ensure!(
            !(reached && refused),
            "refused, but whole at the provider: {} {:?}",
            line.json,
            seen.get(tag)
        );
    }
    Ok(())
}

/// The account's journal, once it has a charge for each of its settled requests.
async fn delivered(stack: &Stack, account: &Account, lines: &BTreeMap<String, Line>) -> Result<Vec<Entry>> {
    let own = |line: &&Line| line.report("account") == Some(&account.id);
    let settled = |line: &&Line| line.report("outcome") == Some("settled");
    let expected: BTreeSet<&str> =
        lines.values().filter(own).filter(settled).filter_map(|line| line.report("request")).collect();
    wait::until("the journal is complete", SETTLED_WITHIN, || async {
        let balance = stack.api().balance(&account.id).await?;
        ensure!(balance.in_flight == 0, "{} still has {} in flight", account.id, balance.in_flight);
        let entries = stack.api().entries(&account.id).await?;
        let found: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.request.as_deref()).collect();
        match expected.iter().find(|request| !found.contains(*request)) {
            Some(request) => bail!("{} has no charge for {request}", account.id),
            None => Ok(Some(entries)),
        }
    })
    .await
}

async fn check_account(
    stack: &Stack,
    account: &Account,
    entries: &[Entry],
    seen: &BTreeMap<String, Vec<Seen>>,
    lines: &BTreeMap<String, Line>,
    charged: &mut BTreeSet<String>,
) -> Result<Summary> {
    let mut purse = Purse::default();
    let mut summary = Summary::default();
    let mut plan = account.plan.clone();
    for entry in entries {
        match (entry.kind.as_str(), &entry.request) {
            ("charge", Some(request)) => {
                ensure!(charged.insert(request.clone()), "charged twice: {}", entry.json);
                let served = lines.iter().find(|(_, line)| line.report("request") == Some(request));
                let (tag, line) =
                    served.with_context(|| format!("charged but never served: {}", entry.json))?;
                let exact = check_charge(entry, line, seen.get(tag), &plan, &mut purse)?;
                summary.charges = summary.charges.saturating_add(1);
                summary.exact = summary.exact.saturating_add(usize::from(exact));
                summary.charged = summary.charged.saturating_sub(entry.amount);
            }
            ("charge", None) => bail!("a charge without a request: {}", entry.json),
            ("plan", _) => plan = entry.text("plan").unwrap_or(&plan).to_owned(),
            _ => follow(entry, &mut purse)?,
        }
    }
    let pools = stack.api().balance_json(&account.id).await?;
    for (pool, expected) in [("included", purse.included), ("topup", purse.top_up)] {
        let stated = pool_available(&pools, pool)?;
        ensure!(stated == expected, "{}: {pool} should have {expected}, the ledger says {pools}", account.id);
    }
    Ok(summary)
}

/// Checks one charge; true where the provider's report decides it to the micro-credit.
fn check_charge(
    entry: &Entry,
    line: &Line,
    seen: Option<&Vec<Seen>>,
    plan: &str,
    purse: &mut Purse,
) -> Result<bool> {
    let outcome = entry.text("outcome").unwrap_or("settled");
    if outcome != "settled" {
        ensure!(entry.amount == 0 && entry.debt == 0, "charged although {outcome}: {}", entry.json);
        return Ok(false);
    }
    let seen = seen.with_context(|| format!("charged, but the provider saw nothing: {}", entry.json))?;
    let Some(tokens) = seen.last().and_then(|seen| seen.reported) else {
        ensure!(
            entry.text("usage_source") != Some("reported") || malformed(entry),
            "not reported: {}",
            entry.json
        );
        follow(entry, purse)?;
        return Ok(false);
    };
    // The last value that passed may have been one of several; a stream that the client left early
    // is charged by what had been delivered to the filter, which this side cannot know.
    if entry.text("usage_source") != Some("reported") {
        let cut = line.text("flags").is_some_and(|flags| flags != "-");
        ensure!(cut, "the provider reported {tokens:?}, but: {}", entry.json);
        follow(entry, purse)?;
        return Ok(false);
    }
    check_usage(entry, tokens)?;
    let model = entry.text("model").context("a charge without a model")?;
    let (price, excess) = price(model, tokens)?.bounded();
    let disputed = entry.text("disputed").and_then(crate::money::micros).unwrap_or(0);
    ensure!(disputed == excess, "{excess} should be disputed: {}", entry.json);
    let expected = purse.draw(plan, price);
    let drawn = |pool: &str| -> i64 {
        entry.pools.iter().filter(|(own, _)| own == pool).map(|(_, amount)| amount.saturating_neg()).sum()
    };
    let found = (drawn("included"), drawn("topup"), entry.debt);
    ensure!(
        found == (expected.included, expected.top_up, expected.debt),
        "the provider reported {tokens:?}, which is {expected:?}; the journal says {}",
        entry.json
    );
    Ok(true)
}

fn check_usage(entry: &Entry, tokens: Tokens) -> Result<()> {
    let used = |meters: &[&str]| meters.iter().map(|meter| entry.used(meter)).sum::<u64>();
    let input = used(&["input_tokens", "cached_tokens", "cache_write_tokens", "audio_input_tokens"]);
    let output = used(&["output_tokens", "reasoning_tokens", "audio_output_tokens"]);
    ensure!(
        (input, output) == (tokens.prompt, tokens.completion),
        "the provider reported {tokens:?}, the journal says {}",
        entry.json
    );
    Ok(())
}

/// Usage of which only a part could be believed is marked so.
fn malformed(entry: &Entry) -> bool {
    entry.text("usage_status").is_some_and(|status| status != "complete")
}

/// Takes an entry's own word for what it did.
fn follow(entry: &Entry, purse: &mut Purse) -> Result<()> {
    for (pool, amount) in &entry.pools {
        match pool.as_str() {
            "included" => purse.included = purse.included.saturating_add(*amount),
            "topup" => purse.top_up = purse.top_up.saturating_add(*amount),
            other => bail!("an entry of the pool {other}: {}", entry.json),
        }
    }
    purse.debt = purse.debt.saturating_add(entry.debt);
    Ok(())
}

fn pool_available(balance: &Value, name: &str) -> Result<i64> {
    let pools = balance.get("pools").and_then(Value::as_array).context("a balance without pools")?;
    let own = pools.iter().find(|pool| pool.get("pool").and_then(Value::as_str) == Some(name));
    let Some(own) = own else { return Ok(0) };
    let amount = own.get("available").and_then(Value::as_str).and_then(crate::money::micros);
    amount.with_context(|| format!("no amount in {own}"))
}
