//! The fields of a request, from its query and its JSON body (merged, as in OpenStack Zun). Each field is taken once
//! and validated. Fields that remain at the end are refused by name.

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

/// A rule for a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Continues the sentence `It must be …`.
    pub(super) description: &'static str,
    /// Whether a string satisfies the rule.
    pub(super) is_valid: fn(&str) -> bool,
}

/// The fields that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: BTreeMap<String, (Origin, Value)>,
    has_body: bool,
}

impl Fields {
    /// Merges a query and a body. Fields of the body take precedence.
    pub(super) fn new(query: Vec<(String, String)>, body: Option<Map<String, Value>>) -> Self {
        let has_body = body.as_ref().is_some_and(|body| !body.is_empty());
        let query =
            query.into_iter().map(|(name, text)| (name, (Origin::Query, Value::String(text))));
        let body = body.unwrap_or_default().into_iter();
        let body = body.map(|(name, value)| (name, (Origin::Body, value)));
        Self { values: query.chain(body).collect(), has_body }
    }

    /// Whether the body had any fields.
    pub(super) const fn has_body(&self) -> bool {
        self.has_body
    }

    /// Takes a field. JSON `null`, and Python's `None` in a query, count as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        match self.values.remove(name)? {
            (_, Value::Null) => None,
            (Origin::Query, Value::String(text)) if text == "None" => None,
            (_, value) => Some(value),
        }
    }

    /// Takes a string that satisfies a rule.
    pub(super) fn text(&mut self, name: &str, rule: &Rule) -> Result<Option<String>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_str() {
            Some(text) if (rule.is_valid)(text) => Ok(Some(text.to_owned())),
            Some(_) | None => Err(invalid_value(name, &value, rule.description)),
        }
    }

    /// Takes a string that parses as `T`.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        rule: &str,
    ) -> Result<Option<T>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| invalid_value(name, &value, rule))
    }

    /// Takes a boolean: a JSON boolean, or one of the usual strings and numbers.
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

    /// Takes a whole number in a range, as a number or a string.
    pub(super) fn whole(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, InvalidField> {
        let rule = format!("a whole number from {} to {}", range.start(), range.end());
        self.whole_number(name, range, &rule)
    }

    /// Takes a whole number in a range. `rule` describes the range in the error.
    pub(super) fn whole_number(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
        rule: &str,
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
        let number = number.filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| invalid_value(name, &value, rule))
    }

    /// Takes a decimal number in a range, as a number or a string.
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

    /// Takes a list of strings that all satisfy a rule.
    pub(super) fn texts(
        &mut self,
        name: &str,
        rule: &Rule,
    ) -> Result<Option<Vec<String>>, InvalidField> {
        let value = self.take(name);
        Self::texts_of(name, value, rule)
    }

    /// Does the same as [`Self::texts`] for a value that was already taken.
    pub(super) fn texts_of(
        name: &str,
        value: Option<Value>,
        rule: &Rule,
    ) -> Result<Option<Vec<String>>, InvalidField> {
        let Some(value) = value else { return Ok(None) };
        let Value::Array(items) = &value else {
            return Err(invalid_value(name, &value, "a list of strings"));
        };
        let texts = items.iter().map(|item| match item.as_str() {
            Some(text) if (rule.is_valid)(text) => Ok(text.to_owned()),
            _ => Err(invalid_value(
                name,
                item,
                &format!("a list of strings, each of them {}", rule.description),
            )),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Takes an object of strings. Its keys satisfy the rule `names`, and its values the rule `values`.
    pub(super) fn pairs(
        &mut self,
        name: &str,
        names: &Rule,
        values: &Rule,
    ) -> Result<BTreeMap<String, String>, InvalidField> {
        let Some(value) = self.take(name) else { return Ok(BTreeMap::new()) };
        let Value::Object(object) = value else {
            return Err(invalid_value(name, &value, "an object with string values"));
        };
        let pair = |(key, value): (String, Value)| {
            if !(names.is_valid)(&key) {
                return Err(InvalidField::new(
                    name,
                    &key,
                    format!("an object whose keys are {}", names.description),
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

    /// Refuses a field that is not supported, unless `has_no_effect` says that its value has no effect.
    pub(super) fn refuse_unsupported(
        &mut self,
        name: &str,
        has_no_effect: fn(&Value) -> bool,
        rule: &str,
    ) -> Result<(), InvalidField> {
        match self.take(name) {
            Some(value) if !has_no_effect(&value) => Err(invalid_value(name, &value, rule)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses the remaining fields by name.
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

/// Creates an error about a value.
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
    fn booleans_are_accepted_in_every_usual_form() {
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
    fn numbers_are_accepted_as_text_and_checked_against_their_range() {
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
    fn remaining_fields_are_refused_by_name() {
        let refusal = query(&[("foo", "1"), ("bar", "2")]).finish().unwrap_err();
        assert_eq!(refusal.to_string(), "Unknown parameters: bar,foo");
        let refusal = body(json!({"foo": 1})).finish().unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Additional properties are not allowed ('foo' was unexpected)"
        );
    }

    #[test]
    fn the_body_takes_precedence_over_the_query() {
        let Value::Object(object) = json!({"signal": "HUP"}) else { panic!("not an object") };
        let mut fields = Fields::new(vec![("signal".to_owned(), "TERM".to_owned())], Some(object));
        assert_eq!(fields.take("signal"), Some(json!("HUP")));
    }

    #[test]
    fn an_error_names_field_value_and_rule_and_truncates_the_value() {
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
