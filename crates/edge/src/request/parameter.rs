//! What a request states beside its model, as the catalog names it: which prices count, how much it holds for,
//! and what its plan allows of it.

use std::rc::Rc;

use tariff::catalog::ParameterRead;
use tariff::{Meter, RequestLimit};
use usage::RequestFacts;
use usage::request::Member;

use crate::account::Account;
use crate::pricing::{Catalog, Conditions, Model, Priced};
use crate::reply::Refusal;
use crate::reply::refuse;

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

/// What a request is priced by, and how much of which meters it states itself.
pub(crate) type Sold = (Rc<Priced>, Vec<(Meter, u64)>);

/// The parameters of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    catalog: &'a Catalog,
    facts: Option<&'a RequestFacts>,
    /// What cannot be read counts as not said, and nothing is too much.
    lenient: bool,
}

impl<'a> Parameters<'a> {
    pub fn new(catalog: &'a Catalog, facts: Option<&'a RequestFacts>) -> Self {
        Self { catalog, facts, lenient: false }
    }

    /// Of a request that is not refused whatever it says (`shadow`).
    pub fn lenient(catalog: &'a Catalog, facts: Option<&'a RequestFacts>) -> Self {
        Self { lenient: true, ..Self::new(catalog, facts) }
    }

    /// What a request for a model is priced by, and how much of each meter it states.
    ///
    /// # Errors
    /// It cannot be read, or states more than is offered.
    pub fn sold(&self, model: &Model, card: Option<&str>) -> Result<Sold, Refusal> {
        let priced = self.priced(model, card)?;
        let stated = self.stated(&priced)?;
        Ok((priced, stated))
    }

    /// What a request for a model is priced by: as the first variant whose conditions it meets, else as the model
    /// (W3); by the plan's own prices of that variant, else of the model, where it has any (C12).
    ///
    /// # Errors
    /// A parameter of the variants cannot be read.
    fn priced(&self, model: &Model, card: Option<&str>) -> Result<Rc<Priced>, Refusal> {
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
            let is_one = match self.forgive(self.value(parameter))? {
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
    fn stated(&self, priced: &Priced) -> Result<Vec<(Meter, u64)>, Refusal> {
        let mut all = Vec::with_capacity(priced.stated.len());
        for stated in &*priced.stated {
            let name = stated.parameter.as_deref();
            let asked = match name {
                Some(name) => self.count(name)?,
                None => None,
            };
            let asked = asked.filter(|asked| *asked > 0 || !self.lenient);
            if let (Some(name), Some(0)) = (name, asked) {
                // Upstreams may read it as not said.
                return Err(refuse::parameter(name, "must be at least 1"));
            }
            let count = asked.unwrap_or(stated.default);
            if count > stated.max && !self.lenient {
                return Err(refuse::parameter(
                    name.unwrap_or_default(),
                    format_args!("may be at most {}", stated.max),
                ));
            }
            // Where the catalog says that `n` counts, so many of them were asked for, of so many seconds each.
            let each = stated.meter != Meter::Images && !name.is_some_and(|name| self.is_choices(name));
            let counts = each && self.catalog.parameters.iter().any(|parameter| parameter.member == "n");
            let times = self.facts.and_then(|facts| facts.n).filter(|_| counts).unwrap_or(1);
            all.push((stated.meter, count.saturating_mul(times).min(tariff::meter::COUNT_MAX)));
        }
        Ok(all)
    }

    fn is_choices(&self, name: &str) -> bool {
        self.catalog.parameters.iter().any(|parameter| parameter.name == name && parameter.member == "n")
    }

    fn count(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let no_count = || Err(refuse::parameter(name, "must be a whole number"));
        self.forgive(match self.value(name) {
            Err(refusal) => Err(refusal),
            Ok(None) => Ok(None),
            Ok(Some(Value::Count(count))) => Ok(Some(count)),
            // Upstreams may read a number in quotes as the number.
            Ok(Some(Value::Text(text))) => text.trim().parse().map(Some).or_else(|_| no_count()),
            Ok(Some(Value::Other)) => no_count(),
        })
    }

    fn forgive<T>(&self, read: Result<Option<T>, Refusal>) -> Result<Option<T>, Refusal> {
        read.or_else(|refusal| if self.lenient { Ok(None) } else { Err(refusal) })
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
