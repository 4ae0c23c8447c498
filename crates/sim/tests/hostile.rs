//! Bytes and callbacks that mean harm: whatever comes in whatever order, nothing panics, nothing grows without
//! bound, and the next honest request is served.

use std::rc::Rc;

use edge::{AnswerHead, CallAnswer, CallKind, Edge, Effect, Origin, Waker};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sim::{CATALOG, Handle, World, ask, config, usage};

/// One callback, with whatever a client, an upstream or a broken host may put into it.
#[derive(Clone, Debug)]
enum Callback {
    Headers(u32, Vec<(Vec<u8>, Vec<u8>)>, bool),
    Body(u32, Vec<u8>, bool),
    Trailers(u32),
    AnswerHeaders(u32, u32, Vec<u8>, Vec<u8>),
    AnswerBody(u32, Vec<u8>, bool),
    Log(u32),
    Answer(bool, u16, Vec<u8>),
    Tick,
    Wake(bool),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = ["Bearer key-a", "key-a", "POST", "GET", "/v1/chat/completions", "/v1/search", "/v1/models"];
    let further = ["gzip", "18446744073709551616", "-1", "40", "websocket", "", "a,b", "text/event-stream"];
    let known: Vec<&'static str> = known.into_iter().chain(further).collect();
    prop_oneof![
        3 => proptest::sample::select(known).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        ":method",
        ":path",
        ":protocol",
        "authorization",
        "x-api-key",
        "content-length",
        "content-encoding",
        "upgrade",
        "x-bursar-credits-remaining",
        "accept-encoding",
    ];
    prop_oneof![
        4 => proptest::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let honest = |path: &'static str| {
        let pairs = [(":method", "POST"), (":path", path), ("authorization", "Bearer key-a")];
        pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec()
    };
    let begin =
        prop_oneof![Just(honest("/v1/chat/completions")), Just(honest("/v1/search")), Just(Vec::new())];
    (begin, proptest::collection::vec((name(), value()), 0..4)).prop_map(|(mut pairs, further)| {
        pairs.extend(further);
        pairs
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        ask("claude-sonnet-4.5", 10), sim::ask_stream("claude-sonnet-4.5", 9_007_199_254_740_991),
        usage(1, 2), "{".to_owned(), "data: {\"usage\":".to_owned(), "[DONE]\n\n".to_owned(),
        r#"{"v":1,"generation":"x","node_open":false,"cursor":0,"catalog":1}"#.to_owned(),
        r#"{"v":1,"generation":"y","node_open":true,"cursor":18446744073709551615,"feed_reset":true,"catalog":18446744073709551615,
            "changes":[{"recall":{"account":"a"}},{"account":{"account":"a","version":18446744073709551615}}],
            "ack":{"lane":{"node":"01010101010101010101010101010101","slot":0,"incarnation":1},"last":18446744073709551615,"expected":18446744073709551615},
            "grants":[{"account":"a","lease":1000000000,"bucket":"credits","granted":9223372036854775807,"unleased":-9223372036854775808,"exact":true}]}"#
            .to_owned(),
    ];
    prop_oneof![
        4 => proptest::sample::select(known.to_vec()).prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

fn callback() -> impl Strategy<Value = Callback> {
    let context = 1..6_u32;
    prop_oneof![
        3 => (context.clone(), headers(), any::<bool>()).prop_map(|(c, h, end)| Callback::Headers(c, h, end)),
        3 => (context.clone(), bytes(), any::<bool>()).prop_map(|(c, b, end)| Callback::Body(c, b, end)),
        1 => context.clone().prop_map(Callback::Trailers),
        2 => (context.clone(), any::<u32>(), value(), value())
            .prop_map(|(c, status, kind, coding)| Callback::AnswerHeaders(c, status % 700, kind, coding)),
        2 => (context.clone(), bytes(), any::<bool>()).prop_map(|(c, b, end)| Callback::AnswerBody(c, b, end)),
        2 => context.prop_map(Callback::Log),
        2 => (any::<bool>(), 0..600_u16, bytes()).prop_map(|(sync, status, b)| {
            Callback::Answer(sync, if status > 300 { 200 } else { status }, b)
        }),
        2 => Just(Callback::Tick),
        1 => any::<bool>().prop_map(Callback::Wake),
    ]
}

/// Calls the edge as a host might that does not keep to its own rules.
fn call(world: &World, edge: &mut Edge, callback: &Callback, last_call: CallKind) {
    let (shared, now) = (Handle(&world.shared), world.now());
    match callback {
        Callback::Headers(context, pairs, end) => {
            let pairs = pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
            drop(edge.request_headers(&shared, *context, &Rc::clone(&world.config), pairs, *end, now));
        }
        Callback::Body(context, bytes, end) => {
            let read = |start: usize, length: usize| bytes.iter().skip(start).take(length).copied().collect();
            drop(edge.request_body(&shared, *context, bytes.len(), *end, &read, || now));
        }
        Callback::Trailers(context) => drop(edge.request_trailers(&shared, *context, now)),
        Callback::AnswerHeaders(context, status, content_type, content_encoding) => {
            let head = |_| AnswerHead { status: *status, content_type, content_encoding };
            // Whatever header is asked for has the same value.
            drop(edge.response_headers(*context, head, &|_| Some(content_encoding.clone())));
        }
        Callback::AnswerBody(context, bytes, end) => {
            let read = |start: usize, length: usize| bytes.iter().skip(start).take(length).copied().collect();
            drop(edge.response_body(*context, bytes.len(), *end, &read));
        }
        Callback::Log(context) => drop(edge.log(&shared, *context, || Origin::Cut, now)),
        Callback::Answer(sync, status, body) => {
            let kind = if *sync { last_call } else { CallKind::Catalog(1) };
            let answer = CallAnswer { status: (*status).into(), marked: true, body };
            edge.call_answered(&shared, kind, Some(answer), now);
            edge.call_if_due(&shared, &world.config, now);
        }
        Callback::Tick => edge.tick(&shared, &world.config, now),
        Callback::Wake(other) => {
            let by = if *other { Waker::Other } else { Waker::Own };
            edge.woken(&shared, &world.config, by, now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_order_of_callbacks_panics(
        hold in any::<bool>(), enforce in any::<bool>(), known in any::<bool>(),
        callbacks in proptest::collection::vec(callback(), 1..80),
    ) {
        let further = if enforce { "" } else { r#","enforce":false"# };
        let mut world = World::with(1, &config(if hold { "hold" } else { "stream" }, further), CATALOG);
        world.account("a", "max");
        if known {
            let first = world.chat(0, "a", &ask("claude-sonnet-4.5", 10));
            world.answer(first, 200, &usage(1, 1));
        }
        let mut last_call = CallKind::Sync(1);
        for callback in &callbacks {
            world.now_us += 100_000;
            let mut edge = world.workers[0].borrow_mut();
            call(&world, &mut edge, callback, last_call);
            for effect in edge.take_effects() {
                if let Effect::Call { kind: kind @ CallKind::Sync(_), .. } = effect {
                    last_call = kind;
                }
            }
            prop_assert!(edge.open() <= 5);
        }
    }
}

#[test]
fn unknown_keys_leave_no_trace_in_shared_data() {
    let mut world = World::new(1, "hold");
    world.account("a", "max");
    let first = world.get(0, "a", "/v1/search");
    world.answer(first, 200, "{}");
    world.pass(2_000);
    let before = world.shared.keys();
    for n in 0..3_000 {
        world.get(0, &format!("nobody-{n}"), "/v1/search");
        if n % 100 == 0 {
            world.pass(250);
        }
    }
    world.pass(2_000);
    assert!(world.shared.keys() <= before + 1, "{} keys more", world.shared.keys() - before);
    let honest = world.get(0, "a", "/v1/search");
    assert_eq!(world.streams[honest].seen, Some(sim::Seen::Forwarded));
}
