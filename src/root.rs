//! A root context: one generation of configuration. Ticks, wake-ups and the answers of calls come here.

use std::rc::Rc;

use edge::limits::TICK_MS;
use edge::{Config, Waker};

use crate::Vm;
use crate::abi::{self, Level};
use crate::host::{Shared, WOKEN_BY_OTHER, configuration, wall_offset_ms};
use crate::stream::Stream;

/// A root context.
pub struct Root {
    id: u32,
    configured: Option<(Rc<Config>, Rc<Vm>)>,
}

impl Root {
    /// A root that is not configured yet.
    pub fn new(id: u32) -> Self {
        Self { id, configured: None }
    }

    /// A stream under this configuration.
    pub fn stream(&self, context: u32) -> Stream {
        Stream::new(context, self.configured.clone())
    }

    /// The answer of a call has come.
    pub fn on_http_call_response(&mut self, token: u32, body_size: usize) {
        if let Some((config, vm)) = &self.configured {
            vm.answered(token, body_size);
            vm.edge.borrow_mut().call_if_due(&Shared, config, vm.now());
            vm.after_root(self.id, config);
        }
    }

    /// Reads the configuration; false where it is not one.
    pub fn on_configure(&mut self, size: usize) -> bool {
        match configuration(size) {
            Ok(config) => {
                let vm = crate::vm(&config.prefix, config.tables());
                self.configured = Some((config, vm));
                abi::tick_every(TICK_MS)
            }
            Err(error) => {
                abi::log(Level::Error, &error);
                false
            }
        }
    }

    /// The period has passed.
    pub fn on_tick(&mut self) {
        if let Some((config, vm)) = &self.configured {
            vm.wall_offset_ms.set(wall_offset_ms());
            vm.edge.borrow_mut().tick(&Shared, config, vm.now());
            vm.after_root(self.id, config);
            vm.flush_metrics();
        }
    }

    /// A message woke this VM.
    pub fn on_queue_ready(&mut self, queue: u32) {
        if let Some((config, vm)) = &self.configured {
            // One call comes per message; what the first of them did need not be done again.
            let mut by = None;
            while let Some(message) = abi::dequeue(queue) {
                let other = message == WOKEN_BY_OTHER || by == Some(Waker::Other);
                by = Some(if other { Waker::Other } else { Waker::Own });
            }
            if let Some(by) = by {
                vm.edge.borrow_mut().woken(&Shared, config, by, vm.now());
                vm.after_root(self.id, config);
            }
        }
    }
}
