//! Reading catalog files: forms of the text, plans that build on others, bounds, hostile bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use proptest::prelude::*;
use tariff::source::{self, FILE_BYTES_MAX, Problem};
use tariff::{Admission, Catalog, Expiry, Lost, Meter, Micros, Period, Plan, Ratio, Scope};

const MODELSTACK: &str = include_str!("../../../envoy/catalogs/modelstack.yaml");

/// A catalog with these plans.
fn with_plans(plans: &str) -> String {
    format!(
        "name: Test\nfeatures: {{beta: , sso: {{title: Single sign-on}}}}\n\
         pools: {{main: {{order: 1, expiry: cycle_end}}, wallet: {{order: 2, expiry: never}}}}\n\
         models: {{small: {{price: {{per_unit: {{input_tokens: 1}}}}}},\n\
         \x20        large: {{price: {{per_request: 1}}}}}}\n\
         plans:\n{plans}"
    )
}

fn load(text: &str) -> Catalog {
    source::load(text).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

fn refused(text: impl AsRef<[u8]>) -> Vec<Problem> {
    source::load(text).expect_err("refused")
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn what_is_left_out_has_its_default() {
    let catalog = load(&with_plans("  bare: {}\n"));
    let expected = Plan {
        title: "bare".into(),
        public: true,
        price_usd: None,
        cycle: Period::MONTH,
        models: vec!["*".into()],
        enforce: true,
        ..Plan::named("bare")
    };
    assert_eq!(catalog.plans, [expected]);
    assert_eq!(catalog.exhaustion.admission, Admission::Clip);
    assert_eq!(catalog.lost, Lost::Estimate);
    assert_eq!((catalog.max_charge_per_request, catalog.links.top_up.clone()), (None, None));
    assert_eq!(catalog.models[0].max_output_default, 4_096);
    let titles: Vec<&str> = catalog.gates.iter().map(|gate| gate.title.as_str()).collect();
    assert_eq!(titles, ["beta", "Single sign-on"]);
    assert_eq!(catalog.pool("wallet").unwrap().expiry, Expiry::Never);
}

#[test]
fn a_rate_is_read_with_all_that_it_states() {
    let catalog = load(&with_plans(
        "  p:
    rates:
      - {id: a, max: 10, per: PT30S, burst: 3, meter: requests, models: [sm*], scope: account}
      - {id: b, max: 7, per: hour}
",
    ));
    let [first, second] = catalog.plans[0].rates.as_slice() else { panic!("two rates") };
    assert_eq!((first.amount, first.per_ms, first.burst), (10, 30_000, 3));
    assert_eq!(
        (first.meter, first.scope, first.models[0].as_str()),
        (Meter::Requests, Scope::Account, "sm*")
    );
    assert_eq!((second.amount, second.per_ms, second.burst), (7, 3_600_000, 7));
    assert_eq!(
        (second.meter, second.scope, second.models[0].as_str()),
        (Meter::Requests, Scope::Account, "*")
    );
}

#[test]
fn a_plan_takes_from_the_one_it_extends_what_it_does_not_state() {
    let catalog = load(&with_plans(
        "  child:
    extends: parent
    grants: {wallet: 5}
    factors: {wallet: 0.5}
    resources: {keys: null}
  parent:
    extends: base
    title: Parent
    public: false
    grants: {main: 100}
    max_tokens: 1000
  base:
    price_usd: 9.99
    cycle: P7D
    enforce: false
    grants: {main: 1, wallet: 1}
    factors: {main: 0.9}
    rates: [{id: rpm, max: 1, per: minute}]
    models: [small]
    features: [beta, sso]
    resources: {keys: 3, seats: 2}
    request_limits: {batch: 4}
",
    ));
    let child = catalog.plan("child").unwrap();
    // A plan is what it says of itself: neither hidden nor titled because another one is.
    assert_eq!((child.title.as_str(), child.public), ("child", true));
    assert!(!catalog.plan("parent").unwrap().public);
    assert_eq!(
        (child.price_usd, child.cycle, child.enforce),
        (Some(Micros(9_990_000)), Period::parse("P7D").unwrap(), false)
    );
    let grants: Vec<(&str, i64)> =
        child.grants.iter().map(|grant| (grant.pool.as_str(), grant.amount.get())).collect();
    assert_eq!(grants, [("main", 100_000_000), ("wallet", 5_000_000)]);
    assert_eq!(
        (child.factor("main"), child.factor("wallet")),
        (Ratio::new(9, 10).unwrap(), Ratio::new(1, 2).unwrap())
    );
    assert_eq!(
        (child.rates.len(), child.models.as_slice(), child.features.len()),
        (1, ["small".to_owned()].as_slice(), 2)
    );
    assert_eq!((child.resource("keys"), child.resource("seats")), (None, Some(2)));
    assert_eq!((child.request_limits["batch"], child.max_tokens), (Some(4), Some(1_000)));
}

#[test]
fn m7_what_a_plan_states_replaces_and_is_never_combined() {
    let catalog = load(&with_plans(
        "  base:
    price_usd: 9.99
    grants: {main: 100}
    rates: [{id: rpm, max: 40, per: minute}]
    features: [beta]
    resources: {keys: null}
    max_tokens: 1000
  less:
    extends: base
    price_usd: null
    grants: {main: 0}
    rates: [{id: rps, max: 15, per: second}]
    features: []
    resources: {keys: 5}
    max_tokens: null
",
    ));
    let less = catalog.plan("less").unwrap();
    assert_eq!((less.price_usd, less.max_tokens, less.grants.len(), less.features.len()), (None, None, 0, 0));
    let rates: Vec<&str> = less.rates.iter().map(|rate| rate.id.as_str()).collect();
    assert_eq!((rates, less.resource("keys")), (vec!["rps"], Some(5)));
}

#[test]
fn prices_per_million_thousand_and_unit_are_the_same_scale() {
    let model = |price: &str| {
        let text = with_plans("  p: {}\n").replace("{per_unit: {input_tokens: 1}}", price);
        load(&text).model("small").unwrap().prices.clone()
    };
    let per_unit = model("{per_unit: {input_tokens: 0.0000028}}");
    assert_eq!(per_unit.unit(Meter::InputTokens), Ratio::new(14, 5));
    assert_eq!(model("{per_1k: {input_tokens: 0.0028}}"), per_unit);
    assert_eq!(model("{per_1m: {input_tokens: 2.8}}"), per_unit);
    assert_eq!(model("{per_request: 3}"), model("{per_1m: {requests: 3000000}}"));
    // Below a micro-credit per token, and still exact.
    let fine = model("{per_1m: {input_tokens: 0.000000000001}}");
    assert_eq!(fine.unit(Meter::InputTokens), Ratio::new(1, 1_000_000_000_000));
}

#[test]
fn numbers_are_the_files_text_whether_quoted_or_not() {
    let price = |text: &str| {
        let text = with_plans("  p: {}\n").replace("input_tokens: 1", &format!("input_tokens: {text}"));
        load(&text).model("small").unwrap().prices.unit(Meter::InputTokens).unwrap()
    };
    // No 64-bit float is 0.1 or 999999.999999999999.
    assert_eq!(price("0.1"), Ratio::whole(100_000));
    assert_eq!(price("999999.999999999999"), Ratio::new(999_999_999_999_999_999, 1_000_000).unwrap());
    assert_eq!(price("'2.8'"), price("2.80"));
    assert_eq!(price("\"2.8\""), price("2.8"));
}

#[test]
fn json_is_read_as_yaml_is() {
    let yaml = "name: Test
pools: {main: {order: 1, expiry: P12M}}
models:
  a/b:
    price: {per_1m: {input_tokens: 2.8}}
    aliases: [c]
plans:
  free: {price_usd: null, resources: {keys: null}, enforce: false}
";
    // Tabs, carriage returns and JSON's own escapes among them.
    let json = concat!(
        "{\n\t\"name\": \"Test\",\n\t\"pools\": {\"main\": {\"order\": 1, \"expiry\": \"P12M\"}},\n",
        "\t\"models\": ",
        "{\"a\\/b\": {\"price\":{\"per_1m\":{\"input_tokens\":2.8}},\"aliases\":[\"c\"]}},\r\n\"plans\":",
        "{\"free\":{\"price_usd\":null,\"resources\":{\"keys\":null},\"enforce\":false}}}",
    );
    assert_eq!(load(json), load(yaml));
    let problems = refused(json.replace("2.8", "-2.8"));
    assert_eq!(shown(&problems), "4:56: models[\"a/b\"].price.per_1m.input_tokens: must not be negative\n");
}

#[test]
fn line_ends_and_byte_order_marks_change_nothing() {
    let windows = format!("\u{feff}{}", MODELSTACK.replace('\n', "\r\n"));
    assert_eq!(load(&windows), load(MODELSTACK));
    let problems = refused(with_plans("  p: {}\n  q: {extra: 1}\n").replace('\n', "\r\n"));
    assert_eq!(shown(&problems).split(' ').next(), Some("8:7:"));
}

#[test]
fn columns_count_characters() {
    let problems = refused(with_plans("  p: {title: äöü€, extra: 1}\n"));
    assert_eq!((problems[0].line, problems[0].column), (7, 20));
}

#[test]
fn a_problem_shows_file_line_column_path_message_and_hint() {
    let problems = refused(with_plans("  p: {rates: [{id: rpm, max: 1, per: minute, brust: 2}]}\n"));
    let expected = "c.yaml:7:46: plans.p.rates[0].brust: unknown field (did you mean `burst`?)";
    assert_eq!(problems[0].in_file("c.yaml").to_string(), expected);
}

#[test]
fn hostile_text_in_a_message_is_escaped_and_cut() {
    let long = "x".repeat(5_000);
    let problems = refused(with_plans(&format!("  p: {{\"a\\e[31m\\n{long}\": 1}}\n")));
    let text = shown(&problems);
    assert!(text.len() < 500 && !text.contains('\u{1b}') && text.lines().count() == 1, "{text}");
}

#[test]
fn a_file_above_a_mebibyte_is_refused_unread() {
    let mut file = MODELSTACK.to_owned();
    file.push_str(&"#".repeat(FILE_BYTES_MAX - file.len()));
    assert_eq!(load(&file), load(MODELSTACK));
    file.push('#');
    assert_eq!(refused(&file)[0].message, "the file is larger than 1048576 bytes, which are the most");
}

#[test]
fn a_report_is_cut_off_after_a_hundred_problems() {
    let plans: String = (0..150).map(|index| format!("  p{index}: {{extra: 1}}\n")).collect();
    let problems = refused(with_plans(&plans));
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].message, "and 50 more problems");
}

#[test]
fn the_largest_files_of_one_kind_are_read_or_refused_and_never_crash() {
    let fill = |piece: &str| piece.repeat(FILE_BYTES_MAX / piece.len());
    for piece in [
        "[", "{", "- ", "? ", "a: ", "[a, ", "{a: ", "&a ", "*a ", "\"", "'", "|\n", ": ", "a\n", "a: b\n",
        "#", "%", "!", "\u{0}", "\t", "---\n",
    ] {
        assert!(!refused(fill(piece)).is_empty());
    }
    let many: String = (0..100_000).map(|index| format!("k{index}:\n")).collect();
    assert_eq!(refused(many).len(), 101);
    let models: String =
        (0..5_000).map(|index| format!("  m{index}: {{price: {{per_request: 1}}}}\n")).collect();
    let catalog = with_plans("  p: {}\n").replace("models:", "old:") + &format!("models:\n{models}");
    assert!(shown(&refused(catalog)).contains("models: needs 1 to 4096 entries, has 5000"));
}

proptest! {
    /// Whatever is done to a good file, the answer is a catalog or problems, and a catalog that is
    /// given out compiles.
    #[test]
    fn a_damaged_file_is_read_or_refused(
        at in 0..MODELSTACK.len(), taken in 0..40_usize, put in "[-a-z0-9:,.{}\\[\\]*&!#'\"|> \\n\\t]{0,6}",
    ) {
        let mut bytes = MODELSTACK.as_bytes().to_vec();
        let end = (at + taken).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        match source::load(&bytes) {
            Ok(catalog) => compiles(&catalog),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = source::load(&bytes);
    }
}

/// Everything that a catalog promises to those who read it.
fn compiles(catalog: &Catalog) {
    assert!(serde_json::to_string(&catalog.edge(1)).is_ok());
    for plan in &catalog.plans {
        let policy = catalog.policy(&plan.name, &tariff::Standing::default()).unwrap();
        assert!(
            policy.rates.len() <= tariff::policy::RATES_MAX
                && policy.buckets.len() <= tariff::policy::BUCKETS_MAX
        );
        for pool in &catalog.pools {
            let factor = catalog.factor(&plan.name, &pool.name);
            assert!(!factor.is_zero() && factor <= Ratio::ONE);
        }
        assert!(
            plan.grants
                .iter()
                .all(|grant| grant.amount > Micros::ZERO && catalog.pool(&grant.pool).is_some())
        );
    }
    assert!(catalog.models.iter().all(|model| !model.prices.is_empty()));
}
