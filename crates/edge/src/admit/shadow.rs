//! Shadow mode: what would be refused goes on, metered under a hold that need not be covered wherever there is an
//! account to charge, a body that can be read and a price.

use crate::admit::estimate::planned;
use crate::admit::opening::Opening;
use crate::admit::{Progress, asked_model};
use crate::edge::Edge;
use crate::limits::SWAP_TRIES;
use crate::record::records::Fate;
use crate::reply::Code;
use crate::request::parameter::Parameters;
use crate::request::{Hold, Request, Stage};
use crate::route::Operation;
use crate::shared::SharedData;
use crate::time::Now;

impl Edge {
    /// In shadow mode lets a request go on that would be refused, where it can be metered; what cannot be passes
    /// as the refusal is carried out ([`Edge::refuse`]). The first reason counts.
    pub(crate) fn overrule(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        progress: Progress,
        now: Now,
    ) -> Progress {
        let Progress::Refuse(refusal) = progress else {
            return progress;
        };
        if request.enforced() {
            return Progress::Refuse(refusal);
        }
        request.shadow.get_or_insert(refusal.code);
        let metered =
            if refusal.code == Code::InvalidApiKey { None } else { self.uncovered(shared, request, now) };
        match metered {
            Some(hold) => {
                request.hold = Some(hold);
                request.stage = Stage::Admission;
                Progress::Go
            }
            None => Progress::Refuse(refusal),
        }
    }

    /// A hold that need not be covered; nothing where the request cannot be priced, or is not whole.
    fn uncovered(&mut self, shared: &dyn SharedData, request: &Request, now: Now) -> Option<Hold> {
        let whole = request.body.facts.is_some() || matches!(request.operation, Operation::Flat(_));
        let (Some(key), Some(account)) = (&request.key, request.account.as_ref().filter(|_| whole)) else {
            return None;
        };
        let catalog = self.catalog(shared, account.catalog)?;
        let model = catalog.model(asked_model(&request.operation, request.body.facts.as_ref()))?;
        let parameters = Parameters::lenient(&catalog, request.body.facts.as_ref());
        let card = account.policy.policy.card.as_deref();
        let (priced, stated) = parameters.sold(model, card).ok()?;
        let mut hold = planned(request, key, account, priced, stated)?;
        hold.node = self.node(shared).generation;
        if !self.has_ring_room(shared, now) {
            // Places are kept for what is admitted: this one will stand in the access log alone.
            return Some(hold);
        }
        let Some(mut opening) = Opening::begin(&mut self.lane, &self.keys_in_shared, request, &hold) else {
            return Some(hold);
        };
        let needs = hold.needs();
        let held = self.records.change(shared, &account.id, hold.node, SWAP_TRIES, |record| {
            record.hold(&needs, now.mono_us);
            opening.note(shared, Some(record));
            (record.epoch, Fate::Store)
        });
        if held.is_err() {
            opening.note(shared, None);
        }
        hold.open = opening.end(shared, true);
        hold.epoch = held.ok();
        Some(hold)
    }
}
