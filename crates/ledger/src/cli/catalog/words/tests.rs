//! The words of the shipped catalogs, by what a customer would ask.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use super::*;

const UPSTAGE: &str = include_str!("../../../../../../envoy/catalogs/upstage.yaml");
const POOLS: &str = include_str!("../../../../../../envoy/catalogs/pools-and-wallet.yaml");
const MODELUX: &str = include_str!("../../../../../../envoy/catalogs/modelux.yaml");
const IMAGES: &str = include_str!("../../../../../../envoy/catalogs/image-credits.yaml");
const MODELSTACK: &str = include_str!("../../../../../../envoy/catalogs/modelstack.yaml");

fn shown(file: &str, plan: &str) -> String {
    let catalog = tariff::source::load(file).unwrap();
    let text = section(&catalog, catalog.plan(plan).unwrap());
    // One space where there are several: columns are for the eye.
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn says(file: &str, plan: &str, lines: &[&str]) {
    let text = shown(file, plan);
    for line in lines {
        assert!(text.lines().any(|own| own == *line), "{line}\nis missing in\n{text}");
    }
}

#[test]
fn a_subscription_says_its_prices_grants_and_switches() {
    says(
        MODELSTACK,
        "starter",
        &[
            "price 20 USD a month",
            "grant included 500 credits a month",
            "taken yearly 192 USD a year; 500 credits a month in included",
            "discount of topup use worth 1 credit takes 0.85",
            "pool included what is left ends with the cycle",
            "pool topup each grant lasts 12 months",
            "switch up at once; a billing cycle begins; what the old plan granted is void",
            "switch down at the end of the billing period; until then it can be replaced",
            "coupon NEW50 takes 50 % off the first payment; valid before 2027-01-01",
            "models_per_stack (a request) at most 2",
            "deepseek-v3.2 2.8 for 1M input tokens, 4.2 for 1M output tokens (credits)",
        ],
    );
}

#[test]
fn a_tier_says_rates_overage_bonus_and_cohorts() {
    says(
        UPSTAGE,
        "scale",
        &[
            "rate solar-pro-2 80 requests of solar-pro-2 a second",
            "pool bonus what is left ends with the billing period",
            "at zero served on and billed to the payment method, without a bound but the account's own; 402 without one; \
             the last credits can be spent, on one request at a time",
            "bonus from 5000 USD 10 % on top in bonus",
            "given back while nothing was ever used; the customer agrees to that first",
            "recharge a month or a year where it is set up",
            "plan by purchases no_tier below all steps",
            "plan by purchases (monthly) explore from 100 USD, build from 500 USD and scale from 5000 USD bought monthly \
             within 1 month",
            "cohort legacy accounts created before 2025-11-04; hold before 2026-01-06; rates solar-pro-2 20 requests of \
             solar-pro-2 a second, information-extract 5 requests of information-extract a second",
            "programme education free solar-pro and document-parse; lasts at most 12 months",
            "document-parse 0.01 for a page (credits)",
        ],
    );
}

#[test]
fn pools_say_caps_bonus_pass_bypass_and_the_formula() {
    says(
        POOLS,
        "starter",
        &[
            "grant main 1000 credits a month and 20 % of it on top",
            "taken pass 10 USD once, for 30 days; 1000 credits once and 20 % of it on top in main; 3000 credits once in backup",
            "limit credits/day 100 credits out of main a day, then nothing more comes from main until it ends",
            "limit credits/week 300 credits out of main a week from the start of the billing cycle, then nothing more comes from main \
             until it ends",
            "limit cost/cycle 100 USD of the provider's cost out of main and backup a billing cycle, then nothing more comes from main \
             and backup until it ends",
            "pool wallet do not end; only by accounts that opt in",
            "with anything in wallet rates are not enforced; every model is open (paid from it alone where the plan has it not)",
            "switch once it is paid; a billing cycle begins; what the old plan granted is void; the unused part of the old price \
             goes to wallet: used is the time of 28 days, or 75 % of the use of main and 25 % of the use of backup where that is \
             more, 10 % at least, never more than the new plan costs more",
            "a purchase by nowpayments 10 USD at least",
        ],
    );
}

#[test]
fn limits_and_features_say_notices_resources_and_what_is_not_counted() {
    says(
        MODELUX,
        "team",
        &[
            "limit requests/cycle 2000000 requests a billing cycle, then 402; told at 80 % and 100 %",
            "features Custom routing rules, Ensembles, Audit log, Warehouse export",
            "api_keys at most 200",
            "not counted requests of keys of class dashboard, management and mcp",
            "switch at once; the billing cycle goes on; what the old plan granted stays",
        ],
    );
    says(
        MODELUX,
        "enterprise",
        &[
            "limit requests/cycle unlimited requests a billing cycle",
            "price on request",
            "offered on request only",
        ],
    );
}

#[test]
fn image_plans_say_levels_headers_variants_and_trainings() {
    says(
        IMAGES,
        "pro",
        &[
            "also called creator",
            "grant train_week 1 training a week",
            "taken yearly 430 USD a year; 23400 credits a year in yearly; 12 training a year in train_year",
            "Generation speed priority (told upstream as x-generation-speed)",
            "batch (a request) at most 8",
            "flux-schnell (xlarge) 25 for an image (credits), with size 2048x2048",
            "flux-training 1 for a request (training)",
        ],
    );
    says(
        IMAGES,
        "free",
        &[
            "grant welcome 50 credits once",
            "limit video/day 1 requests of video-* a day, then 402",
            "FLUX.1 Dev limited",
        ],
    );
}

#[test]
fn long_inputs_tiers_of_service_and_routers_are_said() {
    let file = "name: t
pools: { main: { order: 1, expiry: never } }
models:
  m:
    price:
      per_1m: { input_tokens: 1, output_tokens: 2 }
      above: [{ input_tokens: 200000, per_1m: { input_tokens: 2, output_tokens: 3 } }]
    service_tiers:
      priority: { factor: 1.75 }
      flex: { price: { per_1m: { input_tokens: 0.5, output_tokens: 1 } }, cost: { per_1m: { input_tokens: 0.1, output_tokens: 0.2 } } }
  auto: { price: { per_1m: { input_tokens: 1, output_tokens: 2 } }, charge: answered }
plans:
  p: { grants: { main: 5 } }
";
    let long = "1 for 1M input tokens, 2 for 1M output tokens; above 200000 input tokens 2 for 1M input tokens, \
                3 for 1M output tokens (credits)";
    let flex = "0.5 for 1M input tokens, 1 for 1M output tokens (credits), \
                the provider takes 0.1 for 1M input tokens, 0.2 for 1M output tokens (USD)";
    says(
        file,
        "p",
        &[
            &format!("m {long}"),
            "m served as priority 1.75 times the price",
            &format!("m served as flex {flex}"),
        ],
    );
    let catalog = tariff::source::load(file).unwrap();
    let router = model(catalog.model("auto").unwrap());
    assert!(
        router.contains(&("charged by".to_owned(), "the model that answers, where it is listed".to_owned()))
    );
}
