//! The five price pages as the book is asked to keep them: their catalogs, requests of their models, nodes that hold
//! several buckets.

use tariff::{Catalog, Meter, Micros, Usage};
use wire::{
    Ask, Denial, Need, Outcome, ParkedRequest, Settle, Snapshot, SyncRequest, SyncResponse, Take,
    UsageSource, UsageStatus, VerdictKind, Want,
};

use super::world::{ACCOUNT, Command, Subject, Worker, World, settled};
use crate::entry::{Charge, EntryKind};

fn page(text: &str) -> Catalog {
    tariff::source::load(text).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

/// M.
pub fn modelstack() -> Catalog {
    page(include_str!("../../../../envoy/catalogs/modelstack.yaml"))
}

/// C.
pub fn upstage() -> Catalog {
    page(include_str!("../../../../envoy/catalogs/upstage.yaml"))
}

/// P.
pub fn pools() -> Catalog {
    page(include_str!("../../../../envoy/catalogs/pools-and-wallet.yaml"))
}

/// L.
pub fn modelux() -> Catalog {
    page(include_str!("../../../../envoy/catalogs/modelux.yaml"))
}

/// W.
pub fn images() -> Catalog {
    page(include_str!("../../../../envoy/catalogs/image-credits.yaml"))
}

/// A plan of a catalog, to be changed.
pub fn plan<'c>(catalog: &'c mut Catalog, name: &str) -> &'c mut tariff::Plan {
    catalog.plans.iter_mut().find(|plan| plan.name == name).unwrap()
}

/// A request that took nothing of any lease, delivered.
pub fn settlement<S: Subject>(world: &mut World<S>, request: &str, model: &str, usage: Usage) -> Settle {
    Settle {
        request: request.to_owned(),
        account: ACCOUNT.to_owned(),
        key: "key_1".to_owned(),
        term: world.term(),
        model: model.to_owned(),
        answered_model: None,
        service_tier: None,
        provider_cost: None,
        operation: "chat".to_owned(),
        outcome: Outcome::Settled,
        source: Some(UsageSource::Reported),
        status: Some(UsageStatus::Complete),
        usage,
        lease: 1,
        takes: Vec::new(),
        at: world.now.wall,
    }
}

/// Uses a model; gives the charge.
pub fn use_model<S: Subject>(
    world: &mut World<S>,
    worker: &mut Worker,
    model: &str,
    (meter, count): (Meter, u64),
) -> Charge {
    // The node that admits it has asked for the account before.
    world.call(Command::Touch(ACCOUNT.to_owned())).unwrap();
    let request = format!("r{}", world.subject.journal().len());
    let settle = settlement(world, &request, model, Usage::new().with(meter, count));
    deliver(world, worker, settle)
}

/// Delivers a settlement; gives the charge.
pub fn deliver<S: Subject>(world: &mut World<S>, worker: &mut Worker, settle: Settle) -> Charge {
    let request = settle.request.clone();
    let ack = world.deliver(worker, vec![settled(settle)]);
    assert_eq!(ack.rejected, Vec::new());
    charge_of(world, &request)
}

pub fn charge_of<S: Subject>(world: &mut World<S>, request: &str) -> Charge {
    let journal = world.subject.journal();
    let charges = journal.into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Charge(charge) => Some(*charge),
        _ => None,
    });
    charges.into_iter().find(|charge| charge.request == request).unwrap()
}

/// What each pool paid of a charge, in whole micro-credits, in draw order.
pub fn paid(charge: &Charge) -> Vec<(&str, i64)> {
    charge.slices.iter().map(|slice| (&*slice.pool, slice.amount.get())).collect()
}

/// What a node is told when it asks for the account.
pub fn snapshot<S: Subject>(world: &mut World<S>, worker: &Worker) -> Snapshot {
    let call = SyncRequest { refresh: vec![ACCOUNT.to_owned()], ..worker.call(world.now) };
    world.send(call).snapshots.remove(0)
}

/// The bucket of a limit, with its window.
pub fn cap<S: Subject>(world: &mut World<S>, limit: &str) -> String {
    let buckets = snapshot(world, &Worker::new(9)).policy.buckets;
    let is_it = |bucket: &tariff::Bucket| bucket.limit.as_ref().is_some_and(|help| help.id == limit);
    buckets.into_iter().find(is_it).map(|bucket| bucket.id).unwrap_or_default()
}

/// A request that waits on a node: what it needs of which buckets.
pub fn want<S: Subject>(
    world: &mut World<S>,
    worker: &Worker,
    request: &str,
    needs: &[(&str, i64)],
) -> SyncResponse {
    let asks = needs.iter().map(|(bucket, _)| Ask {
        bucket: (*bucket).to_owned(),
        ask: Micros::ZERO,
        free: Micros::ZERO,
        held: Micros::ZERO,
        returned: Micros::ZERO,
    });
    let needs = needs.iter().map(|(bucket, need)| Need { bucket: (*bucket).to_owned(), need: Micros(*need) });
    let parked = ParkedRequest { request: request.to_owned(), needs: needs.collect() };
    let want = Want {
        account: ACCOUNT.to_owned(),
        lease: 1,
        term: 0,
        asks: asks.collect(),
        rates: None,
        requests: vec![parked],
    };
    world.send(SyncRequest { wants: vec![want], ..worker.call(world.now) })
}

/// Why a request is refused.
pub fn denial(answer: &SyncResponse) -> Denial {
    match &answer.verdicts[0].kind {
        VerdictKind::Deny(denial) => denial.clone(),
        other => unreachable!("{other:?}"),
    }
}

/// What a request took of buckets, all of it used.
pub fn takes(used: &[(&str, i64)]) -> Vec<Take> {
    let take = |(bucket, amount): &(&str, i64)| Take {
        bucket: (*bucket).to_owned(),
        held: Micros(*amount),
        used: Micros(*amount),
    };
    used.iter().map(take).collect()
}
