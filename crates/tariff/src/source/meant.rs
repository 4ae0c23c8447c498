//! What a price page's own words may mean here: hints for numbers, times and words that are not read as they stand.
//!
//! Nothing is guessed when a file is read: `25%` is refused, and the hint says what to write for it.

use super::problem::{quoted, suggestion};
use crate::ratio::Ratio;

/// What to write for a decimal number such as `$10`, `2,000`, `10k` or `25%`.
pub(super) fn decimal(text: &str) -> Option<String> {
    let plain = text.trim().trim_start_matches('+').to_ascii_lowercase();
    if let Some(percent) = plain.strip_suffix('%') {
        let part = Ratio::parse_decimal(percent.trim()).ok()?.checked_div(Ratio::whole(100))?;
        return Some(format!("{} % is {part}", percent.trim()));
    }
    whole(text)
}

/// What to write for a part that is taken away, such as `25%` off.
pub(super) fn rest(text: &str) -> Option<String> {
    let percent = text.trim().strip_suffix('%')?.trim();
    let part = Ratio::parse_decimal(percent).ok()?.checked_div(Ratio::whole(100))?;
    Some(format!("{percent} % off is {}", Ratio::ONE.checked_sub(part)?))
}

/// What to write for a whole number, or for one with words around it.
pub(super) fn whole(text: &str) -> Option<String> {
    let plain = text.trim().to_ascii_lowercase();
    if let Some((_, hint)) = NO_NUMBER.iter().find(|(words, _)| words.contains(&&*plain)) {
        return Some((*hint).to_owned());
    }
    if plain.contains(['€', '£', '¥']) {
        return Some("money is in US dollars or in credits".to_owned());
    }
    let currencies = ["us$", "usd", "$"];
    let amount = currencies.iter().find_map(|sign| plain.strip_prefix(sign)).unwrap_or(&plain).trim_start();
    let digits =
        amount.find(|part: char| !(part.is_ascii_digit() || ".,_'".contains(part))).unwrap_or(amount.len());
    let (digits, unit) = amount.split_at_checked(digits)?;
    let unit = unit.trim();
    let exponent =
        unit.strip_prefix('e').is_some_and(|rest| rest.starts_with(|part: char| part.is_ascii_digit()));
    let times = MULTIPLES.iter().find(|(words, _)| words.contains(&unit)).map_or(1, |(_, times)| *times);
    let number = Ratio::parse_decimal(&grouped(digits)?).ok()?.checked_mul(Ratio::whole(times))?;
    (!exponent).then(|| format!("write {number}")).filter(|hint| hint.strip_prefix("write ") != Some(text))
}

/// Digits without separators of thousands, and with a point.
fn grouped(digits: &str) -> Option<String> {
    let plain = digits.replace(['_', '\''], "");
    let Some((first, rest)) = plain.split_once(',') else { return Some(plain) };
    let (groups, _) = rest.split_once('.').unwrap_or((rest, ""));
    if groups.split(',').all(|group| group.len() == 3) && (1..=3).contains(&first.len()) {
        return Some(plain.replace(',', ""));
    }
    (!rest.contains([',', '.'])).then(|| format!("{first}.{rest}"))
}

/// What to write for a length of time such as `30 days`, `monthly` or `per month`.
pub(super) fn period(text: &str) -> Option<String> {
    let (count, unit) = time(text)?;
    Some(format!("write {}", iso(count, unit)))
}

/// What to write for the window of a limit.
pub(super) fn window(text: &str) -> Option<String> {
    let plain = text.trim().to_ascii_lowercase();
    if let Some((_, hint)) = NO_WINDOW.iter().find(|(words, _)| words.contains(&&*plain)) {
        return Some((*hint).to_owned());
    }
    match time(text)? {
        (1, "D") => Some("write `day`".to_owned()),
        (7, "D") => Some("write `week` (from Monday), or P7D (from the cycle's start)".to_owned()),
        (1, "M") => Some("write `cycle` (from renewal to renewal), or `month` (the calendar's)".to_owned()),
        (1, "TM" | "TS") => Some("for times this short there are `rates`".to_owned()),
        (count, unit) => Some(format!("write {}", iso(count, unit))),
    }
}

/// What to write for the period of a rate.
pub(super) fn pace(text: &str) -> Option<String> {
    Some(match time(text)? {
        (1, "TS") => "write `second`".to_owned(),
        (1, "TM") => "write `minute`".to_owned(),
        (1, "TH") => "write `hour`".to_owned(),
        (1, "D") => "write `day`".to_owned(),
        (count, unit) if unit.starts_with('T') => format!("write {}", iso(count, unit)),
        _ => "for weeks and months there are `limits`".to_owned(),
    })
}

/// A number of units of time, by their letters in ISO 8601 (`T` before those of the clock).
fn time(text: &str) -> Option<(u32, &'static str)> {
    let plain = text.trim().to_ascii_lowercase();
    let bare = BEFORE_TIMES.iter().find_map(|word| plain.strip_prefix(word)).unwrap_or(&plain).trim();
    let digits = bare.find(|part: char| !part.is_ascii_digit()).unwrap_or(bare.len());
    let (count, unit) = bare.split_at_checked(digits)?;
    let count: u32 = if count.is_empty() { 1 } else { count.parse().ok()? };
    let unit = unit.trim_start_matches(['-', ' ']);
    let (_, units, letter) = TIMES.iter().find(|(words, _, _)| words.contains(&unit))?;
    Some((count.checked_mul(*units)?, letter))
}

fn iso(count: u32, unit: &str) -> String {
    match unit.strip_prefix('T') {
        Some(unit) => format!("PT{count}{unit}"),
        None => format!("P{count}{unit}"),
    }
}

/// What a word of a page is called here, as a hint; else what it may be a misspelling of.
pub(super) fn word<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let plain = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    if let Some((_, why)) = NOT_SAID.iter().find(|(words, _)| words.contains(&&*plain)) {
        return Some((*why).to_owned());
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("a comma separates entries: numbers are written without".to_owned());
    }
    let here = WORDS.iter().filter(|(words, _)| words.contains(&&*plain));
    let here = here.map(|(_, here)| *here).find(|here| known.contains(here));
    here.map(|here| format!("that is {} here", quoted(here))).or_else(|| suggestion(text, known))
}

/// What is written as a single value where a mapping is wanted: `1 api_keys`.
pub(super) fn entry(text: &str) -> Option<String> {
    let (count, name) = text.trim().split_once(' ')?;
    let sound = count.parse::<u64>().is_ok() && super::scalar::is_name(name);
    sound.then(|| format!("write {{ {name}: {count} }}"))
}

/// Words that are no numbers.
const NO_NUMBER: &[(&[&str], &str)] = &[
    (
        &["unlimited", "infinite", "infinity", "inf", ".inf", "∞", "no limit", "none", "-1", "n/a"],
        "unlimited is `null`; where there is no `null`, leave the field out",
    ),
    (&["free"], "what costs nothing is 0"),
    (&["custom", "contact", "contact us", "contact sales", "on request"], "on request is `null`"),
];
const MULTIPLES: &[(&[&str], u64)] = &[
    (&["k", "thousand"], 1_000),
    (&["m", "mn", "million"], 1_000_000),
    (&["b", "bn", "billion"], 1_000_000_000),
];
/// Times that no window is.
const NO_WINDOW: &[(&[&str], &str)] = &[
    (
        &["weekend", "weekends", "weekday", "weekdays", "night", "nights", "business hours"],
        "no limit is for some days of the week or hours of the day",
    ),
    (
        &["lifetime", "forever", "ever", "total", "once", "never", "all time"],
        "every window ends; what is given once is a grant with `once: true`",
    ),
    (&["rolling", "sliding"], "windows stand fixed: `day`, or PT24H from the cycle's start"),
];
const BEFORE_TIMES: &[&str] = &["per ", "/", "each ", "every ", "once a ", "a ", "an "];
/// Words, how many units they are, and of which.
const TIMES: &[(&[&str], u32, &str)] = &[
    (&["s", "sec", "second", "seconds"], 1, "TS"),
    (&["min", "mins", "minute", "minutes"], 1, "TM"),
    (&["h", "hr", "hour", "hours", "hourly"], 1, "TH"),
    (&["d", "day", "days", "daily"], 1, "D"),
    (&["w", "week", "weeks", "weekly"], 7, "D"),
    (&["mo", "month", "months", "monthly"], 1, "M"),
    (&["quarter", "quarters", "quarterly"], 3, "M"),
    (&["y", "yr", "year", "years", "yearly", "annual", "annually", "annum"], 1, "Y"),
];
/// What pages and other systems call things, and what they are called here, where that is among what is known.
const WORDS: &[(&[&str], &str)] = &[
    (&["price", "monthly_price", "price_monthly", "fee", "usd", "amount_usd", "cost"], "price_usd"),
    (&["credits", "credit", "included_credits", "monthly_credits", "allowance", "allowances"], "grants"),
    (&["quota", "quotas", "caps", "usage_limits", "usage"], "limits"),
    (&["rate_limits", "rate_limit", "throttle", "throttling", "rpm", "rps"], "rates"),
    (&["discount", "discounts", "multiplier", "multipliers"], "factors"),
    (&["off", "percent_off"], "discount"),
    (&["limit", "cap", "maximum", "most"], "max"),
    (&["interval", "period"], "window"),
    (&["interval", "period", "window", "seconds", "duration"], "per"),
    (&["billing", "interval", "period", "billing_cycle", "duration"], "cycle"),
    (&["interval", "period", "duration"], "billing"),
    (&["name", "display_name", "label"], "title"),
    (&["parent", "inherits", "inherit", "base"], "extends"),
    (&["expires", "expiration", "valid_for", "validity", "ttl", "lifetime"], "expiry"),
    (&["priority", "rank", "precedence"], "order"),
    (&["seats", "api_keys", "projects", "users"], "resources"),
    (&["overage", "on_empty", "at_zero"], "exhaustion"),
    (&["overage_cap_usd", "overage_limit"], "overage_cap"),
    (&["starts", "starting", "effective", "date", "since"], "from"),
    (&["expires", "ends", "end", "valid_until"], "until"),
    (&["tiers", "context", "over", "thresholds"], "above"),
    (&["input", "prompt", "prompt_tokens", "input_token", "tokens", "from", "context"], "input_tokens"),
    (&["output", "completion", "completion_tokens", "output_token"], "output_tokens"),
    (&["cached", "cached_input", "cache_read", "cached_input_tokens", "cache_read_tokens"], "cached_tokens"),
    (&["cache_write", "cache_creation"], "cache_write_tokens"),
    (&["chars", "char", "character", "letters"], "characters"),
    (
        &["service_tier", "tiers", "processing", "processing_tiers", "flex", "priority", "batch"],
        "service_tiers",
    ),
    (&["multiplier", "times", "rate"], "factor"),
    (&["charged_by", "charge_by", "bill", "billed_by", "priced_by"], "charge"),
    (&["minutes", "minute", "hours", "hour"], "seconds"),
    (&["calls", "call", "request", "api_calls"], "requests"),
    (&["dollars", "usd", "cost"], "cost_usd"),
];
/// What no catalog says.
const NOT_SAID: &[(&[&str], &str)] = &[
    (
        &[
            "concurrency",
            "concurrent_requests",
            "concurrent",
            "max_concurrency",
            "max_concurrent",
            "parallel",
            "in_flight",
        ],
        "how many requests may run at the same time cannot be said in a catalog",
    ),
    (
        &["price_per_seat", "per_seat", "seat_price", "price_per_user", "per_user"],
        "no price is for each seat: a plan for so many, or the billing system counts them and grants by the API",
    ),
    (&["currency", "currencies"], "prices are in US dollars; the billing system converts them"),
    (&["tax", "taxes", "vat"], "taxes are the billing system's"),
    (
        &["trial", "trial_days", "free_trial"],
        "a trial is a plan of its own, or a cadence with `renews: false`, or a grant with `once: true`",
    ),
    (
        &["volume", "volume_tiers", "graduated", "tiered", "price_tiers", "up_to"],
        "prices do not depend on what was used before: a pool for the first part, or `tiers` by what was bought",
    ),
    (
        &["long_context", "context_tiers", "long_context_price", "above_200k", "per_1m_above_200k"],
        "what requests with a long input cost is a part of the price: \
         `above: [{ input_tokens: 200000, per_1m: { ... } }]`",
    ),
];
