//! An amount in the public API: a decimal string in credits.
//!
//! A JSON number is refused: most clients read it as a binary float and lose micro-credits.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tariff::Micros;
use utoipa::ToSchema;

/// Credits as a decimal string with up to six digits after the point, such as `"12.5"`; answers always
/// carry six digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "12.500000", pattern = r"^-?[0-9]+(\.[0-9]{1,6})?$")]
pub struct Credits(pub Micros);

// === impl Credits ===

impl From<Micros> for Credits {
    fn from(micros: Micros) -> Self {
        Self(micros)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CreditsVisitor)
    }
}

struct CreditsVisitor;

impl Visitor<'_> for CreditsVisitor {
    type Value = Credits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount in credits as a decimal string in quotes, such as \"12.5\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Credits, E> {
        Micros::parse(text).map(Credits).map_err(|error| E::custom(format_args!("\"{text}\" is {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strings_and_writes_six_digits() {
        let credits: Credits = serde_json::from_str("\"12.5\"").unwrap();
        assert_eq!(credits, Credits(Micros(12_500_000)));
        assert_eq!(serde_json::to_string(&credits).unwrap(), "\"12.500000\"");
    }

    #[test]
    fn refuses_numbers_with_a_hint_and_too_fine_amounts() {
        let number = serde_json::from_str::<Credits>("12.5").unwrap_err().to_string();
        assert!(number.contains("decimal string in quotes"), "{number}");
        let fine = serde_json::from_str::<Credits>("\"0.0000001\"").unwrap_err().to_string();
        assert!(fine.contains("more than 6 digits"), "{fine}");
    }
}
