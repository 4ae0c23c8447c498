//! What breaks, and what the operator does.

use super::market;
use super::report::Broken;
use super::schedule::{Fault, Operation};
use super::traffic::Fate;
use super::{Cluster, Event};

impl Cluster {
    /// The operator does something.
    pub(super) fn operate(&mut self, operation: Operation) {
        let (now_us, ledger) = (self.now_us, &mut self.ledger);
        let id = |account: usize| format!("acct{account}");
        match operation {
            // A ledger that is down refuses.
            _ if ledger.down_until_us > now_us || ledger.frozen_until_us > now_us => {}
            Operation::TopUp { account, amount } => ledger.top_up(now_us, &id(account), amount),
            Operation::Switch { account, plan } => ledger.switch(now_us, &id(account), market::PLANS[plan].0),
            Operation::Publish => ledger.publish(),
            Operation::Suspend { account } => ledger.suspend(now_us, &id(account)),
            Operation::Revoke { account } => ledger.revoke(now_us, &id(account)),
        }
    }

    /// Something breaks.
    pub(super) fn break_down(&mut self, fault: Fault) -> Result<(), Broken> {
        self.counts.faults[fault.index()] += 1;
        let now_us = self.now_us;
        let until = |ms: u64| now_us + ms * 1_000;
        match fault {
            Fault::Cut { node, ms } => self.on(node, |site| site.cut_until_us = until(ms)),
            Fault::Slow { node, ms } => self.on(node, |site| site.slow_until_us = until(ms)),
            Fault::Stop { node, ms } => self.on(node, |site| site.stopped_until_us = until(ms)),
            Fault::Jump { node: Some(node), ms } => self.on(node, |site| site.wall_offset_ms += ms),
            Fault::Jump { node: None, ms } => self.ledger.wall_offset_ms += ms,
            Fault::Trap { node, worker } => self.trap(node, worker),
            Fault::Swap { node } => self.swap(node),
            Fault::Reconfigure { node } => self.forget_calls(node, None),
            Fault::Kill { node, back_ms } => self.kill(node, back_ms),
            Fault::Restart { ms } => {
                self.read_books()?;
                self.ledger.restart(now_us, ms);
            }
            Fault::Freeze { ms } => self.ledger.frozen_until_us = self.ledger.frozen_until_us.max(until(ms)),
            Fault::Garbage { ms } => self.garbage_until_us = self.garbage_until_us.max(until(ms)),
            Fault::Restore { ms, .. } => self.restore(ms)?,
        }
        Ok(())
    }

    fn on(&mut self, node: usize, act: impl FnOnce(&mut super::Site)) {
        if let Some(site) = self.sites[node].as_mut() {
            act(site);
        }
    }

    /// A VM traps: another one takes its place at the next request.
    fn trap(&mut self, node: usize, worker: usize) {
        let Some(site) = self.sites[node].as_mut() else { return };
        let vm = site.vms[worker];
        self.end_vm(node, vm, Fate::Trapped);
    }

    /// Another module: each worker gets another VM, the old one ends with its last stream.
    fn swap(&mut self, node: usize) {
        let Some(site) = self.sites[node].as_mut() else { return };
        for worker in 0..site.vms.len() {
            let next = site.node.add_vm();
            site.draining.push(std::mem::replace(&mut site.vms[worker], next));
        }
        self.touch(node);
    }

    /// Ends the VMs whose streams have all ended: in the very moment of the last one.
    pub(super) fn end_drained(&mut self, node: usize) {
        let Some(site) = self.sites[node].as_mut() else { return };
        let streams = &site.node.streams;
        let is_done = |vm: &&usize| !streams.iter().any(|stream| stream.worker == **vm && !stream.over);
        let ended: Vec<usize> = site.draining.iter().filter(is_done).copied().collect();
        site.draining.retain(|vm| !ended.contains(vm));
        for vm in ended {
            self.end_vm(node, vm, Fate::Trapped);
        }
    }

    fn end_vm(&mut self, node: usize, vm: usize, fate: Fate) {
        self.forget_calls(node, Some(vm));
        let Some(site) = self.sites[node].as_mut() else { return };
        let orphans = site.node.workers[vm].borrow().holdings();
        site.orphans.extend(orphans);
        // In the ended VM's place stands one that nobody knows of: nothing ticks or wakes it unless it is a worker's.
        site.node.replace_vm(vm);
        self.ledger.tamper.vm_ended(&site.node);
        site.admitted.retain(|(of, _), _| *of != vm);
        self.end_runs(node, Some(vm), &fate);
        self.touch(node);
    }

    fn end_runs(&mut self, node: usize, vm: Option<usize>, fate: &Fate) {
        let Some(process) = self.sites[node].as_ref().map(|site| site.process) else { return };
        for run in self.runs.iter_mut().filter(|run| run.process == process && run.fate == Fate::Open) {
            if vm.is_none_or(|vm| vm == run.vm) {
                (run.fate, run.ended_us) = (fate.clone(), self.now_us);
            }
        }
    }

    /// A process is killed, and another one starts in its place.
    fn kill(&mut self, node: usize, back_ms: u64) {
        if self.sites[node].is_none() {
            return;
        }
        self.forget_calls(node, None);
        self.end_runs(node, None, &Fate::Killed);
        self.sites[node] = None;
        let ticks = |event: &Event| !matches!(event, Event::Tick(of) if *of == node);
        self.events.retain(|_, event| ticks(event));
        self.at(back_ms * 1_000, Event::Boot(node));
    }

    /// The ledger comes back from an earlier copy: what it posted since is only where nodes still have it.
    fn restore(&mut self, ms: u64) -> Result<(), Broken> {
        let Some(copy) = self.ledger.copies.len().checked_sub(1) else { return Ok(()) };
        self.read_books()?;
        for run in &mut self.runs {
            let known =
                self.books.charged.contains_key(&run.request) || self.books.released.contains(&run.request);
            run.rolled_back |= known;
        }
        self.restores += 1;
        self.void.extend(self.sites.iter().flatten().flat_map(|site| site.ids.values().copied()));
        self.ledger.restore(self.now_us, ms, copy);
        (self.books, self.overshoot) = Default::default();
        self.read_books()?;
        Ok(())
    }
}
