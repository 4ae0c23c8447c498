//! Amounts, times and lists as people say them.

use jiff::Timestamp;
use tariff::catalog::{Expiry, Measure, Model, Window};
use tariff::{Meter, Micros, Period, Ratio};

/// When a lot ends.
pub fn lasts(expiry: Expiry) -> String {
    match expiry {
        Expiry::CycleEnd => "what is left ends with the cycle".to_owned(),
        Expiry::CommitmentEnd => "what is left ends with the billing period".to_owned(),
        Expiry::After(period) => format!("each grant lasts {}", length(period)),
        Expiry::Never => "do not end".to_owned(),
    }
}

/// How often.
pub fn each(period: Period) -> String {
    match (period.months(), period.days(), period.seconds()) {
        (1, 0, 0) => "a month".to_owned(),
        (12, 0, 0) => "a year".to_owned(),
        (0, 1, 0) => "a day".to_owned(),
        (0, 7, 0) => "a week".to_owned(),
        _ => format!("every {}", length(period)),
    }
}

/// How long.
pub fn length(period: Period) -> String {
    let part = |count: u32, unit: &str| match count {
        0 => None,
        1 => Some(format!("1 {unit}")),
        count => Some(format!("{count} {unit}s")),
    };
    let parts =
        [part(period.months(), "month"), part(period.days(), "day"), part(period.seconds(), "second")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A rate's period.
pub fn every_ms(ms: u64) -> String {
    match ms {
        1_000 => "a second".to_owned(),
        60_000 => "a minute".to_owned(),
        3_600_000 => "an hour".to_owned(),
        86_400_000 => "a day".to_owned(),
        ms => format!("in {} s", Ratio::new(ms.into(), 1_000).unwrap_or(Ratio::ZERO)),
    }
}

/// In which time a limit counts.
pub fn window(window: Window) -> String {
    match window {
        Window::Cycle => "a billing cycle".to_owned(),
        Window::Day => "a day".to_owned(),
        Window::Week => "a week (from Monday)".to_owned(),
        Window::Month => "a calendar month".to_owned(),
        Window::Anchored(period) => format!("{} from the start of the billing cycle", each(period)),
    }
}

/// What a limit counts.
pub fn measure(measure: Measure) -> String {
    match measure {
        Measure::Credits => "credits".to_owned(),
        Measure::Cost => "USD of the provider's cost".to_owned(),
        Measure::Meter(meter) => meter_name(meter),
    }
}

/// A meter's name.
pub fn meter_name(meter: Meter) -> String {
    meter.as_str().replace('_', " ")
}

/// A date, or an instant where it is no midnight.
pub fn instant(ms: i64) -> String {
    let Ok(instant) = Timestamp::from_millisecond(ms) else { return ms.to_string() };
    let text = instant.to_string();
    text.strip_suffix("T00:00:00Z").map_or(text.clone(), str::to_owned)
}

/// A part of a whole, in percent.
pub fn percent(part: Ratio) -> String {
    part.checked_mul(Ratio::whole(100)).map_or_else(|| part.to_string(), |percent| format!("{percent} %"))
}

/// An amount without zeros at its end.
pub fn short(amount: Micros) -> String {
    let text = amount.to_string();
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Names, the last one after "and".
pub fn joined(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Of which models; nothing where it is all of them.
pub fn of_models(patterns: &[String]) -> String {
    if patterns.iter().any(|pattern| pattern == Model::ANY) {
        return String::new();
    }
    format!(" of {}", joined(patterns))
}
