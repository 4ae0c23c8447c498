//! The filter's shell: Envoy's callbacks become calls of the edge core, its verdicts and effects become host
//! calls. No decision is taken here.
//!
//! What outlives a root context (the edge's state, calls in flight) is static in the VM; a root holds its
//! configuration only, because two generations of configuration run side by side while one drains.

mod abi;
#[cfg(target_family = "wasm")]
mod alloc;
mod exports;
mod host;
mod pairs;
mod root;
mod stream;
#[cfg(feature = "trap-for-tests")]
mod trap;

use std::cell::RefCell;
use std::rc::Rc;

use edge::{CallKind, Edge, Tables};
use hashbrown::HashMap;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: alloc::Pools = alloc::Pools::new();

/// What lives as long as the VM.
pub(crate) struct Vm {
    /// The edge's state.
    pub edge: RefCell<Edge>,
    /// Calls to the ledger that are on their way, by the host's token.
    pub calls: RefCell<HashMap<u32, CallKind>>,
    /// The host's ids of metrics, by name.
    pub metrics: RefCell<HashMap<String, u32>>,
    /// Wall clock less monotonic clock, in milliseconds.
    pub wall_offset_ms: std::cell::Cell<i64>,
}

thread_local! {
    /// The VM's state by shared-data prefix: plugins with one prefix share it.
    static VMS: RefCell<HashMap<String, Rc<Vm>>> = RefCell::new(HashMap::new());
}

/// The VM's state for a prefix; the root that asks takes over its wake-up queue.
pub(crate) fn vm(prefix: &str, tables: Tables) -> Rc<Vm> {
    let known = VMS.with(|vms| vms.borrow().get(prefix).cloned());
    let vm = known.unwrap_or_else(|| {
        let seed = abi::random();
        let agreed = tables.agreed(&host::Shared, prefix);
        if agreed != tables {
            abi::log(
                abi::Level::Warn,
                &format!("keys_max and accounts_max stay as they are until this Envoy ends: {agreed:?}"),
            );
        }
        let queue = abi::register_queue(&queue_name(prefix, seed)).unwrap_or(0);
        let vm = Rc::new(Vm {
            edge: RefCell::new(Edge::new(prefix, agreed, queue, seed)),
            calls: RefCell::default(),
            metrics: RefCell::default(),
            wall_offset_ms: std::cell::Cell::new(host::wall_offset_ms()),
        });
        VMS.with(|vms| vms.borrow_mut().insert(prefix.to_owned(), Rc::clone(&vm)));
        vm
    });
    let seed = vm.edge.borrow().seed();
    // Registering again moves the queue to the root that is being configured.
    abi::register_queue(&queue_name(prefix, seed));
    vm
}

fn queue_name(prefix: &str, seed: [u8; 16]) -> String {
    format!("{prefix}/queue/{:032x}", u128::from_be_bytes(seed))
}
