//! What requests state beside the model: named parameters, prices by them, counts from them.

use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::price::Prices;

/// A member of request bodies that the catalog refers to by a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name in the catalog and in refusals (`batch`).
    pub name: String,
    /// The path of the member, names joined by dots (`n`, `input.size`).
    pub member: String,
    /// How its value is read.
    pub read: ParameterRead,
}

/// How a parameter's value is read from the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterRead {
    /// The scalar as it stands: a text, a number, true or false.
    #[default]
    Value,
    /// The number of items of a list; a scalar is one item.
    Items,
    /// The number of characters (code points) of a text.
    Characters,
}

/// Other prices of a model, for requests with certain parameters (W3).
///
/// Its charges stand in the journal under `MODEL@NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The name, unique in its model.
    pub name: String,
    /// Parameters and the values that each may have; all must match. The first variant that matches
    /// prices the request; where none does, the model's own prices do.
    pub when: Vec<(String, Vec<String>)>,
    /// Unit prices at base price.
    pub prices: Prices,
}

/// A meter that requests state themselves: so many images, so many seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// What is counted.
    pub meter: Meter,
    /// The parameter that says how much; absent: `default` always.
    pub parameter: Option<String>,
    /// How much where the request does not say.
    pub default: u64,
    /// The most that a request may state; above it the request is invalid.
    pub max: u64,
}
