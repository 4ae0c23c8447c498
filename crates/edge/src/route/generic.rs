//! Metered routes of APIs that no dialect is known of: the configuration says where their answers state what they used.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tariff::Meter;
use usage::response::Pointers;

use crate::limits::COUNT_HEADERS_MAX;
use crate::route::dialect::Dialect;

/// How a metered route is read.
#[derive(Clone, Debug)]
pub enum Metering {
    /// By a dialect.
    Known(Dialect),
    /// As the configuration says.
    Generic(Rc<Generic>),
}

/// What the configuration says of an API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct Generic {
    /// JSON pointers (RFC 6901) to counts, in the document, each event or each line; the last value of each counts.
    pointers: BTreeMap<String, Meter>,
    /// Headers of the answer that are counts, in lower case.
    headers: BTreeMap<String, Meter>,
    /// The catalog's name of what is sold; without it the body names a model.
    pub price: Option<Box<str>>,
    /// What becomes of the request's body.
    body: Body,
    /// The pointers, once they are checked.
    #[serde(skip)]
    compiled: Option<Pointers>,
}

/// What becomes of the body of a generic request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    /// It is JSON or a form, and waits until it is read.
    #[default]
    Read,
    /// It passes as it comes, whatever it is.
    Pass,
}

/// Which of a configuration's routes a request is on, where that is a generic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericRoute {
    route: u16,
    /// Whether its body is read.
    pub reads_body: bool,
}

impl GenericRoute {
    /// The place of a route that says so.
    pub(crate) fn new(route: usize, generic: &Generic) -> Self {
        Self { route: u16::try_from(route).unwrap_or(u16::MAX), reads_body: generic.body == Body::Read }
    }

    pub(crate) fn route(self) -> usize {
        usize::from(self.route)
    }
}

impl Generic {
    /// Where answers state counts; nothing where no pointer leads into them.
    pub(crate) fn pointers(&self) -> Option<&Pointers> {
        self.compiled.as_ref()
    }

    /// The headers of an answer that are counts.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, Meter)> {
        self.headers.iter().map(|(name, meter)| (name.as_str(), *meter))
    }

    /// Checks it.
    fn check(mut self) -> Result<Self, String> {
        if self.pointers.is_empty() && self.headers.is_empty() && self.price.is_none() {
            return Err("needs pointers, headers or a price".to_owned());
        }
        if self.body == Body::Pass && self.price.is_none() {
            return Err("needs a price where the body passes: nothing else names a model".to_owned());
        }
        if self.headers.len() > COUNT_HEADERS_MAX {
            return Err(format!("may have at most {COUNT_HEADERS_MAX} headers"));
        }
        let mut seen = Vec::new();
        for (place, meter) in self.pointers.iter().chain(&self.headers) {
            if seen.contains(meter) {
                return Err(format!("{place}: the meter `{}` is stated twice", meter.as_str()));
            }
            seen.push(*meter);
        }
        for (name, meter) in &self.headers {
            let is_name =
                !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase() || byte <= b' ');
            if !is_name || Meter::counted(meter.as_str()).is_none_or(|meter| meter == Meter::Requests) {
                return Err(format!(
                    "{name}: must be a header in lower case, and of a meter that answers state"
                ));
            }
        }
        let pointers = self.pointers.iter().map(|(pointer, meter)| (pointer.as_str(), *meter));
        self.compiled =
            Some(Pointers::new(pointers).map_err(|(pointer, error)| format!("{pointer:?} {error}"))?);
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Metering {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Metering;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a dialect, or an object with pointers")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Metering, E> {
                Dialect::deserialize(StrDeserializer::new(name)).map(Metering::Known)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Metering, A::Error> {
                let generic = Generic::deserialize(MapAccessDeserializer::new(map))?;
                let checked =
                    generic.check().map_err(|error| A::Error::custom(format_args!("meter: {error}")))?;
                Ok(Metering::Generic(Rc::new(checked)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
