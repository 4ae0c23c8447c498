//! Money in the public API: a decimal string in US dollars.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tariff::Micros;
use utoipa::ToSchema;

use super::Credits;

/// US dollars as a decimal string such as `"49.90"`; answers carry two digits after the point, more only where they are
/// not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "49.90", pattern = r"^-?[0-9]+(\.[0-9]{1,6})?$")]
pub struct Usd(pub Micros);

// === impl Usd ===

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.0.to_string();
        // Six digits stand after the point: four of them may go.
        let short = full.trim_end_matches('0');
        let digits = short.len().max(full.len().saturating_sub(4));
        f.write_str(full.get(..digits).unwrap_or(&full))
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The same rules as for credits: a string, nothing rounded.
        Credits::deserialize(deserializer).map(|credits| Self(credits.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_have_two_digits_and_more_where_they_count() {
        for (micros, text) in [
            (20_000_000, "20.00"),
            (0, "0.00"),
            (9_990_000, "9.99"),
            (9_900_000, "9.90"),
            (5, "0.000005"),
            (1_005_000, "1.005"),
            (-100_000_000, "-100.00"),
        ] {
            assert_eq!(Usd(Micros(micros)).to_string(), text);
            assert_eq!(serde_json::from_str::<Usd>(&format!("\"{text}\"")).unwrap(), Usd(Micros(micros)));
        }
        assert!(serde_json::from_str::<Usd>("20").is_err());
    }
}
