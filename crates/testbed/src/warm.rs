//! Bringing an Envoy to the state in which it needs no ledger for an account.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::request::Chat;
use crate::stack::{Account, Stack};

/// Connections made at most until each worker has had one.
const REQUESTS_MAX: usize = 25;
/// How often all workers are met at most.
const ROUNDS_MAX: usize = 4;
/// One tick, with room to spare: what was used is reported, what is wanted is granted.
const TICK: Duration = Duration::from_millis(1_300);

/// Sends requests until every worker knows the account and its node holds a lease of at least so many
/// micro-credits.
///
/// # Errors
/// A request is refused, or no such lease comes.
pub async fn lease(stack: &Stack, account: &Account, least: i64, ask: impl Fn() -> Chat) -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        meet_workers(stack, account, &ask).await?;
        tokio::time::sleep(TICK).await;
        if stack.api().balance(&account.id).await?.leased >= least {
            return Ok(());
        }
    }
    bail!("no lease of {least}: {:?}", stack.api().balance(&account.id).await?)
}

/// Sends requests until each worker has had one.
async fn meet_workers(stack: &Stack, account: &Account, ask: &impl Fn() -> Chat) -> Result<()> {
    let before = stack.gateway()?.stats().await?;
    let before = before.accepted_by_worker();
    for _ in 0..REQUESTS_MAX {
        stack.chat(account, ask()).await?.expect(200)?;
        let after = stack.gateway()?.stats().await?;
        let met = |(worker, count): (&&str, &i64)| before.get(worker).copied().unwrap_or(0) < *count;
        if after.accepted_by_worker().iter().all(met) {
            return Ok(());
        }
    }
    bail!("{REQUESTS_MAX} connections, and not one to each worker")
}
