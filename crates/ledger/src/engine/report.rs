//! Sums over the committed journal, read beside the writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use book::StoreError;
use tariff::Micros;

use super::view;
use crate::dto;
use crate::service::{ServiceError, UsageQuery};
use crate::store::Reader;

/// The most statement lines that one report reads.
const LINES_MAX: u64 = 1_000_000;

/// Sums over an account's charges.
pub async fn usage(
    reader: &Arc<Reader>,
    account: String,
    head: u64,
    query: UsageQuery,
) -> Result<dto::UsageReport, ServiceError> {
    let span = (query.from.as_millisecond(), query.to.as_millisecond());
    let (groups, whole) = read(reader, move |reader| {
        let mut groups: BTreeMap<String, dto::UsageGroup> = BTreeMap::new();
        let whole = reader.charges(head, span, LINES_MAX, |charge| {
            let name = match query.by {
                dto::UsageBy::Model => charge.model,
                dto::UsageBy::Key => charge.key,
                dto::UsageBy::Day => view::time(charge.at).strftime("%Y-%m-%d").to_string(),
            };
            let group = groups.entry(name.clone()).or_insert_with(|| dto::UsageGroup {
                group: name,
                requests: 0,
                usage: BTreeMap::new(),
                amount: Micros::ZERO.into(),
            });
            group.requests = group.requests.saturating_add(1);
            group.amount = Micros(group.amount.0.get().saturating_add(charge.amount.get())).into();
            for (meter, count) in view::usage(&charge.usage) {
                let sum = group.usage.entry(meter).or_default();
                *sum = sum.saturating_add(count);
            }
        })?;
        Ok((groups, whole))
    })
    .await?;
    if !whole {
        let detail =
            format!("more than {LINES_MAX} lines lie between it and the present: ask for a later span");
        return Err(ServiceError::invalid("from", detail));
    }
    let data = groups.into_values().collect();
    Ok(dto::UsageReport { account, by: query.by, from: query.from, to: query.to, data })
}

/// Runs a read where it may block.
pub async fn read<T: Send + 'static>(
    reader: &Arc<Reader>,
    read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ServiceError> {
    let reader = Arc::clone(reader);
    let done = tokio::task::spawn_blocking(move || read(&reader)).await;
    done.map_err(ServiceError::internal)?.map_err(ServiceError::internal)
}
