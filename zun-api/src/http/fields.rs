//! The values of a request by name, from its query and its JSON body alike (as Zun merges them). Each is
//! taken out once, by its rule; what is left at the end is refused by name.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::app::{AppError, InvalidField};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Query,
    Body,
}

/// What a text must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The words behind `It must be …`.
    pub(super) description: &'static str,
    /// Whether a text is so.
    pub(super) is_valid: fn(&str) -> bool,
}

/// The values that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: BTreeMap<String, (Origin, Value)>,
    has_body: bool,
}

impl Fields {
    /// From a query and, where there is one, a body. The body's value wins.
    pub(super) fn new(query: Vec<(String, String)>, body: Option<Map<String, Value>>) -> Self {
        let has_body = body.as_ref().is_some_and(|body| !body.is_empty());
        let query =
            query.into_iter().map(|(name, text)| (name, (Origin::Query, Value::String(text))));
        let body = body.unwrap_or_default().into_iter();
        let body = body.map(|(name, value)| (name, (Origin::Body, value)));
        Self { values: query.chain(body).collect(), has_body }
    }

    /// Whether anything came in a body.
    pub(super) const fn has_body(&self) -> bool {
        self.has_body
    }

    /// Takes a value; null is none, and so is Python's `None` in a query.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        match self.values.remove(name)? {
            (_, Value::Null) => None,
            (Origin::Query, Value::String(text)) if text == "None" => None,
            (_, value) => Some(value),
        }
    }

    /// A text that keeps a rule.
    pub(super) fn text(&mut self, name: &str, rule: &Rule) -> Result<Option<String>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_str() {
            Some(text) if (rule.is_valid)(text) => Ok(Some(text.to_owned())),
            Some(_) | None => Err(invalid_value(name, &value, rule.description)),
        }
    }

    /// A text that parses.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        rule: &str,
    ) -> Result<Option<T>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| invalid_value(name, &value, rule))
    }

    /// A boolean, also in Python's and in people's words.
    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = match &value {
            Value::Bool(value) => return Ok(Some(*value)),
            Value::String(text) => text.to_ascii_lowercase(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        };
        match text.as_str() {
            "true" | "t" | "1" | "on" | "yes" | "y" => Ok(Some(true)),
            "false" | "f" | "0" | "off" | "no" | "n" => Ok(Some(false)),
            _ => Err(invalid_value(name, &value, "true or false")),
        }
    }

    /// A whole number in a range, also as text.
    pub(super) fn whole(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok()
            }
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let rule = format!("a whole number from {} to {}", range.start(), range.end());
            invalid_value(name, &value, &rule)
        })
    }

    /// A decimal number in a range, also as text.
    pub(super) fn decimal(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if plain(text) => text.parse().ok(),
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let rule = format!("a number from {} to {}", range.start(), range.end());
            invalid_value(name, &value, &rule)
        })
    }

    /// A list of texts that each keep a rule.
    pub(super) fn texts(
        &mut self,
        name: &str,
        rule: &Rule,
    ) -> Result<Option<Vec<String>>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(items) = &value else {
            return Err(invalid_value(name, &value, "a list of texts"));
        };
        let texts = items.iter().map(|item| match item.as_str() {
            Some(text) if (rule.is_valid)(text) => Ok(text.to_owned()),
            _ => Err(invalid_value(
                name,
                item,
                &format!("a list of texts, each {}", rule.description),
            )),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Texts by name; names and values each keep a rule.
    pub(super) fn pairs(
        &mut self,
        name: &str,
        names: &Rule,
        values: &Rule,
    ) -> Result<BTreeMap<String, String>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(BTreeMap::new()) };
        let Value::Object(object) = value else {
            return Err(invalid_value(name, &value, "an object of texts"));
        };
        let pair = |(key, value): (String, Value)| {
            if !(names.is_valid)(&key) {
                return Err(InvalidField::new(
                    name,
                    &key,
                    format!("an object whose names are {}", names.description),
                ));
            }
            match value.as_str() {
                Some(text) if (values.is_valid)(text) => Ok((key, text.to_owned())),
                Some(_) | None => {
                    Err(invalid_value(&format!("{name}.{key}"), &value, values.description))
                }
            }
        };
        object.into_iter().map(pair).collect()
    }

    /// Refuses what is not offered, unless its value says that it is not wanted either.
    pub(super) fn refuse_unsupported(
        &mut self,
        name: &str,
        unwanted: fn(&Value) -> bool,
        rule: &str,
    ) -> Result<(), InvalidField> {
        match self.take(name) {
            Some(value) if !unwanted(&value) => Err(invalid_value(name, &value, rule)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses what nobody took, by name.
    pub(super) fn finish(self) -> Result<(), AppError> {
        let named = |origin: Origin| {
            let of = self.values.iter().filter(move |(_, (from, _))| *from == origin);
            of.map(|(name, _)| name.chars().take(80).collect::<String>()).collect::<Vec<_>>()
        };
        let (query, body) = (named(Origin::Query), named(Origin::Body));
        if !query.is_empty() {
            return Err(AppError::UnknownParameters(query.join(",")));
        }
        if body.is_empty() { Ok(()) } else { Err(AppError::UnknownField(body.join("', '"))) }
    }
}

/// A refusal of a value, shown as its text or as JSON.
pub(super) fn invalid_value(name: &str, value: &Value, rule: &str) -> InvalidField {
    match value {
        Value::String(text) => InvalidField::new(name, text, rule),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            InvalidField::new(name, &value.to_string(), rule)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Fields {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Fields::new(pairs.iter().map(owned).collect(), None)
    }

    fn body(value: Value) -> Fields {
        let Value::Object(object) = value else { panic!("not an object") };
        Fields::new(Vec::new(), Some(object))
    }

    #[test]
    fn booleans_are_read_in_every_usual_form() {
        for (text, value) in [
            ("True", true),
            ("yes", true),
            ("1", true),
            ("ON", true),
            ("False", false),
            ("no", false),
        ] {
            assert_eq!(query(&[("run", text)]).boolean("run"), Ok(Some(value)), "{text}");
        }
        assert_eq!(body(json!({"run": true})).boolean("run"), Ok(Some(true)));
        assert!(query(&[("run", "maybe")]).boolean("run").is_err());
        assert_eq!(query(&[("run", "None")]).boolean("run"), Ok(None));
    }

    #[test]
    fn numbers_are_read_also_as_text_and_stay_in_their_range() {
        assert_eq!(body(json!({"memory": "512"})).whole("memory", 4..=8192), Ok(Some(512)));
        for bad in [json!("+5"), json!(5.5), json!(-5), json!(3), json!(true), json!("")] {
            assert!(body(json!({"memory": bad})).whole("memory", 4..=8192).is_err());
        }
        assert_eq!(body(json!({"cpu": "0.5"})).decimal("cpu", 0.1..=16.0), Ok(Some(0.5)));
        for bad in [json!("1e1"), json!("inf"), json!(0.01), json!("."), json!([1])] {
            assert!(body(json!({"cpu": bad})).decimal("cpu", 0.1..=16.0).is_err());
        }
    }

    #[test]
    fn what_nobody_took_is_named() {
        let refusal = query(&[("foo", "1"), ("bar", "2")]).finish().unwrap_err();
        assert_eq!(refusal.to_string(), "Unknown parameters: bar,foo");
        let refusal = body(json!({"foo": 1})).finish().unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Additional properties are not allowed ('foo' was unexpected)"
        );
    }

    #[test]
    fn the_body_wins_over_the_query() {
        let Value::Object(object) = json!({"signal": "HUP"}) else { panic!("not an object") };
        let mut fields = Fields::new(vec![("signal".to_owned(), "TERM".to_owned())], Some(object));
        assert_eq!(fields.take("signal"), Some(json!("HUP")));
    }

    #[test]
    fn a_refusal_names_field_value_and_rule_and_cuts_the_value() {
        let long = "x".repeat(200);
        let refusal = body(json!({"cpu": long})).decimal("cpu", 0.1..=16.0).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!(
                "Invalid input for field 'cpu'. Value: '{}'. It must be a number from 0.1 to 16.",
                "x".repeat(80)
            )
        );
    }
}
