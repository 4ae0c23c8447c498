//! What a request states beside its model, as the catalog names it: which prices count, how much it holds for,
//! and what its plan allows of it.

use std::rc::Rc;

use tariff::catalog::ParameterRead;
use tariff::{Meter, RequestLimit};
use usage::RequestFacts;
use usage::request::Member;

use crate::account::Account;
use crate::pricing::{Catalog, Conditions, Model, Priced};
use crate::refuse;
use crate::reply::Refusal;

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    /// A word.
    Text(&'a str),
    /// A number, or the number of a list's items.
    Count(u64),
    /// Something that no price or count can be stated by.
    Other,
}

/// The parameters of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    catalog: &'a Catalog,
    facts: Option<&'a RequestFacts>,
}

impl<'a> Parameters<'a> {
    pub fn new(catalog: &'a Catalog, facts: Option<&'a RequestFacts>) -> Self {
        Self { catalog, facts }
    }

    /// What a request for a model is priced by: as the first variant whose conditions it meets, else as the model
    /// (W3); by the plan's own prices of that variant, else of the model, where it has any (C12).
    ///
    /// # Errors
    /// A parameter of the variants cannot be read.
    pub fn priced(&self, model: &Model, card: Option<&str>) -> Result<Rc<Priced>, Refusal> {
        let mut listed = &model.base;
        for (conditions, priced) in &model.variants {
            if self.meet(conditions)? {
                listed = priced;
                break;
            }
        }
        let own = self.catalog.own(card, &listed.name).or_else(|| self.catalog.own(card, &model.base.name));
        Ok(Rc::clone(own.unwrap_or(listed)))
    }

    fn meet(&self, conditions: &Conditions) -> Result<bool, Refusal> {
        for (parameter, values) in conditions {
            let is_one = match self.value(parameter)? {
                // As lenient as upstreams may be: a dearer variant must not be missed by its spelling.
                Some(Value::Text(text)) => values.iter().any(|value| is_said(value, text)),
                Some(Value::Count(count)) => {
                    let mut digits = itoa::Buffer::new();
                    let count = digits.format(count);
                    values.iter().any(|value| value == count)
                }
                Some(Value::Other) | None => false,
            };
            if !is_one {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Refuses a request that asks for more of something than its plan allows (W4, W6, M6).
    ///
    /// # Errors
    /// The refusal.
    pub fn within(&self, account: &Account) -> Result<(), Refusal> {
        for limit in &account.policy.policy.request_limits {
            self.within_limit(account, limit)?;
        }
        Ok(())
    }

    fn within_limit(&self, account: &Account, limit: &RequestLimit) -> Result<(), Refusal> {
        match self.count(&limit.parameter)? {
            Some(asked) if asked > limit.max => Err(refuse::request_limit(account, limit, asked)),
            _ => Ok(()),
        }
    }

    /// How much of each meter the request states.
    ///
    /// # Errors
    /// It states no number, or more than is offered.
    pub fn stated(&self, priced: &Priced) -> Result<Vec<(Meter, u64)>, Refusal> {
        let mut all = Vec::with_capacity(priced.stated.len());
        for stated in &*priced.stated {
            let name = stated.parameter.as_deref();
            let asked = match name {
                Some(name) => self.count(name)?,
                None => None,
            };
            if let (Some(name), Some(0)) = (name, asked) {
                // Upstreams may read it as not said.
                return Err(refuse::parameter(name, "must be at least 1"));
            }
            let count = asked.unwrap_or(stated.default);
            if count > stated.max {
                return Err(refuse::parameter(
                    name.unwrap_or_default(),
                    format_args!("may be at most {}", stated.max),
                ));
            }
            // So many of them were asked for, of so many seconds each.
            let each = stated.meter != Meter::Images && !name.is_some_and(|name| self.is_choices(name));
            let times = self.facts.and_then(|facts| facts.n).filter(|_| each).unwrap_or(1);
            all.push((stated.meter, count.saturating_mul(times).min(tariff::meter::COUNT_MAX)));
        }
        Ok(all)
    }

    fn is_choices(&self, name: &str) -> bool {
        self.catalog.parameters.iter().any(|parameter| parameter.name == name && parameter.member == "n")
    }

    fn count(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Count(count)) => Ok(Some(count)),
            // Upstreams may read a number in quotes as the number.
            Some(Value::Text(text)) => match text.trim().parse() {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(refuse::parameter(name, "must be a whole number")),
            },
            Some(Value::Other) => Err(refuse::parameter(name, "must be a whole number")),
        }
    }

    /// The value of a parameter; nothing where the request does not state it.
    fn value(&self, name: &str) -> Result<Option<Value<'a>>, Refusal> {
        let parameter = self.catalog.parameters.iter().find(|parameter| parameter.name == name);
        let (Some(parameter), Some(facts)) = (parameter, self.facts) else {
            return Ok(None);
        };
        let member = facts
            .member(&parameter.member)
            .map_err(|unclear| refuse::parameter(&parameter.member, unclear))?;
        if parameter.read == ParameterRead::Characters {
            return match member {
                Member::Absent => Ok(None),
                Member::Text(text) => {
                    Ok(Some(Value::Count(text.chars().fold(0, |so_far, _| so_far.saturating_add(1)))))
                }
                Member::LongText(characters) => Ok(Some(Value::Count(characters))),
                Member::Whole(_)
                | Member::OtherNumber
                | Member::Flag(_)
                | Member::List(_)
                | Member::Object => Err(refuse::parameter(&parameter.member, "must be a text")),
            };
        }
        let items = parameter.read == ParameterRead::Items;
        Ok(Some(match member {
            Member::Absent => return Ok(None),
            Member::List(items_in_it) if items => Value::Count(items_in_it),
            _ if items => Value::Count(1),
            Member::Text(text) => Value::Text(text),
            Member::Whole(count) => Value::Count(count),
            Member::Flag(true) => Value::Text("true"),
            Member::Flag(false) => Value::Text("false"),
            Member::LongText(_) => Value::Other,
            Member::OtherNumber => {
                return Err(refuse::parameter(&parameter.member, "must be a whole number"));
            }
            Member::List(_) | Member::Object => {
                return Err(refuse::parameter(&parameter.member, "must be a single value"));
            }
        }))
    }
}

/// Whether a text says a value of the catalog: without regard to case and to space around it, and as a number where
/// both are one.
fn is_said(value: &str, text: &str) -> bool {
    let text = text.trim();
    if value.eq_ignore_ascii_case(text) {
        return true;
    }
    matches!((value.parse::<u64>(), text.parse::<u64>()), (Ok(value), Ok(text)) if value == text)
}
