//! Waiting for something to become true, with a deadline and a reason when it does not.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

/// Within what settlements, access log and journal are waited for. I6 promises five seconds, which the simulator
/// checks on its own clock; on a busy machine the processes of a test may not get to run for that long.
pub const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

/// Waits until `probe` yields a value; an error of the probe counts as "not yet".
///
/// # Errors
/// The time is over; the error names `what` and the probe's last error.
pub async fn until<T, F, P>(what: &str, within: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> P,
    P: Future<Output = Result<Option<T>>>,
{
    let start = Instant::now();
    let mut last = None;
    loop {
        match probe().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if start.elapsed() >= within {
            break;
        }
        tokio::time::sleep(STEP).await;
    }
    let late = anyhow!("{what}: not within {} ms", within.as_millis());
    Err(match last {
        Some(error) => Err::<(), _>(error).context(late.to_string()).err().unwrap_or(late),
        None => late,
    })
}

/// Waits until `probe` says yes.
///
/// # Errors
/// As [`until`].
pub async fn until_true<F, P>(what: &str, within: Duration, mut probe: F) -> Result<()>
where
    F: FnMut() -> P,
    P: Future<Output = Result<bool>>,
{
    until(what, within, || {
        let answer = probe();
        async move { Ok(answer.await?.then_some(())) }
    })
    .await
}
