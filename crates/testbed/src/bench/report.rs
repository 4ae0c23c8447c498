//! Rounds into figures: medians of what was seen, and of ratios within a round.

use serde_json::{Value, json};

use super::load::Round;

/// One thing that was measured, round by round.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The row that it is compared with.
    pub base: Option<&'static str>,
    /// The rounds.
    pub rounds: Vec<Round>,
}

impl Row {
    /// A row without rounds.
    #[must_use]
    pub fn new(name: &str, base: Option<&'static str>) -> Self {
        Self { name: name.to_owned(), base, rounds: Vec::new() }
    }

    fn ratios(&self, base: &Self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().zip(&base.rounds).map(|(own, base)| figure(own) / figure(base)))
    }
}

/// The table for people.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<28} {:>10} {:>12} {:>9} {:>10} {:>12} {:>10} {:>10}\n",
        "", "answers/s", "of its base", "busy", "CPU µs", "of its base", "capacity", "not 2xx"
    );
    for row in rows {
        let base = row.base.and_then(|name| rows.iter().find(|row| row.name == name));
        let ratio = |figure: fn(&Round) -> f64| {
            base.map_or_else(|| "-".to_owned(), |base| format!("{:.2}", row.ratios(base, figure)))
        };
        let refused: u64 = row.rounds.iter().map(|round| round.refused).sum();
        let answers: u64 = row.rounds.iter().map(|round| round.answers).sum();
        let refused = match refused {
            0 => "0".to_owned(),
            all if all == answers => "all".to_owned(),
            some => format!("{some} of {answers}"),
        };
        text.push_str(&format!(
            "{:<28} {:>10.0} {:>12} {:>8.0}% {:>10.1} {:>12} {:>10} {:>10}\n",
            row.name,
            median(row.rounds.iter().map(|round| round.rate)),
            ratio(|round| round.rate),
            median(row.rounds.iter().map(Round::busy)) * 100.0,
            median(row.rounds.iter().map(|round| round.cpu)),
            ratio(|round| round.cpu),
            ratio(Round::capacity),
            refused,
        ));
    }
    text
}

/// The same for programs.
#[must_use]
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let base = row.base.and_then(|name| rows.iter().find(|row| row.name == name));
        json!({
            "name": row.name,
            "answers_per_s": median(row.rounds.iter().map(|round| round.rate)),
            "cpu_us": median(row.rounds.iter().map(|round| round.cpu)),
            "base": row.base,
            "rate_ratio": base.map(|base| row.ratios(base, |round| round.rate)),
            "cpu_ratio": base.map(|base| row.ratios(base, |round| round.cpu)),
            "capacity_ratio": base.map(|base| row.ratios(base, Round::capacity)),
            "busy": median(row.rounds.iter().map(Round::busy)),
            "rounds": row.rounds.len(),
            "answers": row.rounds.iter().map(|round| round.answers).sum::<u64>(),
            "not_2xx": row.rounds.iter().map(|round| round.refused).sum::<u64>(),
        })
    };
    rows.iter().map(row).collect()
}

/// The value in the middle.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let round = |rate| Round { rate, answers: 1, refused: 0, cpu: 80.0 / rate };
        let base = Row { rounds: vec![round(100.0), round(50.0), round(10.0)], ..Row::new("base", None) };
        let own = Row { rounds: vec![round(80.0), round(40.0), round(8.0)], ..Row::new("own", Some("base")) };
        assert!((own.ratios(&base, |round| round.rate) - 0.8).abs() < 1e-9);
        assert!((own.ratios(&base, Round::capacity) - 0.8).abs() < 1e-9);
        assert!(table(&[base, own]).contains("0.80"));
    }
}
