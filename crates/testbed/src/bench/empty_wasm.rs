//! The least filter that a host accepts: every callback that a metering filter needs, doing nothing.
//!
//! What it costs is the price of being a wasm filter at all.

use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// The name, its number of parameters, and what it returns if it returns.
type Callback = (&'static str, u32, Option<i32>);

/// Continue.
const CONTINUE: i32 = 0;

/// The callbacks of the ABI, version 0.2.1.
const CALLBACKS: &[Callback] = &[
    ("proxy_abi_version_0_2_1", 0, None),
    ("_initialize", 0, None),
    ("proxy_on_context_create", 2, None),
    ("proxy_on_vm_start", 2, Some(1)),
    ("proxy_on_configure", 2, Some(1)),
    ("proxy_on_tick", 1, None),
    ("proxy_on_request_headers", 3, Some(CONTINUE)),
    ("proxy_on_request_body", 3, Some(CONTINUE)),
    ("proxy_on_response_headers", 3, Some(CONTINUE)),
    ("proxy_on_response_body", 3, Some(CONTINUE)),
    ("proxy_on_log", 1, None),
    ("proxy_on_done", 1, Some(1)),
    ("proxy_on_delete", 1, None),
];

/// The module's bytes.
#[must_use]
pub fn module() -> Vec<u8> {
    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (number, (name, parameters, returns)) in (0..).zip(CALLBACKS) {
        let parameters = (0..*parameters).map(|_| ValType::I32);
        types.ty().function(parameters, returns.map(|_| ValType::I32));
        functions.function(number);
        exports.export(name, ExportKind::Func, number);
        let mut body = Function::new([]);
        if let Some(value) = returns {
            body.instruction(&Instruction::I32Const(*value));
        }
        body.instruction(&Instruction::End);
        code.function(&body);
    }
    let allocate = u32::try_from(CALLBACKS.len()).unwrap_or(0);
    types.ty().function([ValType::I32], [ValType::I32]);
    functions.function(allocate);
    exports.export("proxy_on_memory_allocate", ExportKind::Func, allocate);
    exports.export("memory", ExportKind::Memory, 0);
    code.function(&allocator());

    let mut memories = MemorySection::new();
    let pages =
        MemoryType { minimum: 2, maximum: None, memory64: false, shared: false, page_size_log2: None };
    memories.memory(pages);
    let mut globals = GlobalSection::new();
    let place = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(place, &wasm_encoder::ConstExpr::i32_const(ARENA));

    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&globals);
    module.section(&exports).section(&code);
    module.finish()
}

/// Where the host's bytes are put.
const ARENA: i32 = 1 << 10;
/// Where it begins anew: nothing that was given out is ever read.
const ARENA_END: i32 = 1 << 16;

/// Gives out the next bytes of the arena.
fn allocator() -> Function {
    let mut body = Function::new([]);
    for instruction in [
        // if arena + size > end { arena = start }
        Instruction::GlobalGet(0),
        Instruction::LocalGet(0),
        Instruction::I32Add,
        Instruction::I32Const(ARENA_END),
        Instruction::I32GtU,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::I32Const(ARENA),
        Instruction::GlobalSet(0),
        Instruction::End,
        // given = arena; arena += size; return given
        Instruction::GlobalGet(0),
        Instruction::GlobalGet(0),
        Instruction::LocalGet(0),
        Instruction::I32Add,
        Instruction::GlobalSet(0),
        Instruction::End,
    ] {
        body.instruction(&instruction);
    }
    body
}
