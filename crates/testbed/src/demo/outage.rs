//! The last scenes: the ledger dies and comes back, and the books are compared.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::transcript::Transcript;
use crate::money::credits;
use crate::reconcile::reconcile;
use crate::request::Chat;
use crate::stack::Stack;
use crate::wait;
use crate::warm::lease;

/// Requests sent while the ledger is away, at most.
const REQUESTS_MAX: usize = 55;
/// How soon things are normal after the ledger is back.
const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// The ledger is killed under load and started again.
pub async fn outage(stack: &mut Stack, told: &mut Transcript) -> Result<()> {
    told.scene("The ledger is killed (kill -9) while a customer on Max works");
    let account = stack.account_named("busy", "max").await?;
    let ask = || Chat::new("claude-sonnet-4.5").max_tokens(4_000).takes(10_000, 4_000);
    lease(stack, &account, 3_000_000, ask).await?;
    let leased = stack.api().balance(&account.id).await?.leased;
    told.say(format!("Envoy has served it for a while and holds a lease of {} credits.", credits(leased)));
    stack.kill_ledger()?;
    told.say("The ledger is gone.");
    let mut served = 0_usize;
    let mut refused = None;
    let start = Instant::now();
    for _ in 0..REQUESTS_MAX {
        let answer = stack.chat(&account, ask()).await?;
        if answer.status == 200 {
            served = served.saturating_add(1);
        } else {
            refused = Some(answer);
            break;
        }
    }
    told.say(format!(
        "{served} requests were served from leased credits in {} ms.",
        start.elapsed().as_millis()
    ));
    told.check("leased credits still serve", served > 0, format!("{served} served"));
    let text =
        refused.as_ref().map(|answer| format!("{} {}", answer.status, answer.text())).unwrap_or_default();
    if let Some(answer) = &refused {
        told.refusal(answer);
        told.sum(format!("retry-after: {}", answer.header("retry-after").unwrap_or("(missing)")));
    }
    let held = refused.is_some_and(|answer| answer.status == 503 && answer.header("retry-after").is_some());
    told.check("then 503 with Retry-After, never a hanging request", held, text);

    stack.restart_ledger().await?;
    told.say("The ledger is back, on the same books.");
    let healed = wait::until_true("requests pass again", HEALED_WITHIN, || async {
        Ok(stack.chat(&account, ask()).await?.status == 200)
    })
    .await;
    told.check("requests pass again", healed.is_ok(), format!("{healed:?}"));
    let settled = stack.settled(HEALED_WITHIN).await;
    told.check("what was served meanwhile is settled", settled.is_ok(), format!("{settled:?}"));
    let balance = stack.api().balance(&account.id).await?;
    told.sum(format!(
        "{}: available {}, in flight {}",
        account.id,
        credits(balance.available),
        credits(balance.in_flight)
    ));
    Ok(())
}

/// The journal against the provider's own record.
pub async fn reconciled(stack: &mut Stack, told: &mut Transcript) -> Result<()> {
    told.scene("The books are compared with the provider's own record");
    let compared = reconcile(stack).await;
    if let Ok(sums) = &compared {
        told.say(format!(
            "{} requests reached the provider; {} charges, {} of them recomputed from its token counts: {} credits.",
            sums.provider_requests,
            sums.charges,
            sums.exact,
            credits(sums.charged)
        ));
    }
    let all = compared.as_ref().is_ok_and(|sums| sums.exact > 0 && sums.exact == sums.charges);
    told.check(
        "every charge equals the provider's record, to the micro-credit",
        all,
        format!("{compared:?}"),
    );
    for gateway in &stack.gateways {
        let healthy = gateway.healthy().await;
        told.check("no wasm VM has failed", healthy.is_ok(), format!("{healthy:?}"));
    }
    stack.stop().await?;
    let verified = stack.ledger.verify().await;
    told.check(
        "the journal verifies: postings sum to zero, balances are its fold",
        verified.is_ok(),
        format!("{verified:?}"),
    );
    Ok(())
}
