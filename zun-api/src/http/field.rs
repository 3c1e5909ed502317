//! Declares the fields of requests. One table for each request drives its parser (`fields.rs`), the check of the
//! microversion, the permissions, and the OpenAPI document.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::microversion::Microversion;
use crate::app::{AppError, InvalidField};
use crate::auth::Permission;
use crate::settings::DefaultLimits;

/// A rule for a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Continues the sentence `It must be …`.
    pub(super) description: &'static str,
    /// Whether a string satisfies the rule.
    pub(super) is_valid: fn(&str) -> bool,
}

/// The size of the largest object of strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) entries: usize,
    /// Of all names and values together.
    pub(super) bytes: usize,
}

impl Most {
    fn check(self, name: &str, object: &Map<String, Value>) -> Result<(), InvalidField> {
        let Self { entries, bytes } = self;
        let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
        let total: usize = object.iter().map(size).sum();
        if object.len() <= entries && total <= bytes {
            return Ok(());
        }
        let given = format!("{} entries, {total} bytes", object.len());
        let rule = format!(
            "an object with at most {entries} entries, and {bytes} bytes of keys and values"
        );
        Err(InvalidField::new(name, &given, rule))
    }
}

/// A field of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it means.
    pub(super) about: &'static str,
    /// The first microversion that has it.
    pub(super) since: Microversion,
    /// The permission that a value with an effect needs.
    pub(super) permission: Option<Permission>,
    pub(super) is_required: bool,
    /// Whether OpenStack's clients send it in the query of a POST. zun-api accepts both places.
    pub(super) is_in_query: bool,
    /// The value that holds if it is absent, if the operator can change it.
    pub(super) default: Option<fn(&DefaultLimits) -> Value>,
}

/// The values of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A JSON boolean, or one of the usual strings and numbers for it.
    Boolean,
    /// A whole number, or its digits. The unit begins with a space, or is empty.
    Whole { least: u64, most: u64, unit: &'static str },
    /// A whole number from 1, or -1 for unlimited.
    Limit { most: u32 },
    /// A decimal number, or its digits.
    Decimal { least: f64, most: f64 },
    /// One of these words, in upper or lower case.
    Word(&'static [&'static str]),
    /// A string.
    Text(Rule),
    /// A list of strings.
    Texts(Rule),
    /// An object of strings.
    Pairs { names: Rule, values: Rule, most: Option<Most> },
    /// An object with these fields.
    Object(&'static [Field]),
    /// Anything that the reader of the request accepts. The function returns the JSON schema.
    Custom(fn() -> Value),
    /// Refused with the rule, unless the value has no effect.
    Unsupported { has_no_effect: fn(&Value) -> bool, rule: &'static str },
    /// Refused with 501 and the reason, unless the value has no effect. `rule` describes such values.
    NotOffered { has_no_effect: fn(&Value) -> bool, rule: &'static str, reason: &'static str },
}

impl Field {
    const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            since: Microversion::OLDEST,
            permission: None,
            is_required: false,
            is_in_query: false,
            default: None,
        }
    }

    /// The first microversion that has it, `1.MINOR`.
    pub(super) const fn since(self, minor: u16) -> Self {
        Self { since: Microversion::new(minor), ..self }
    }

    /// A value with an effect needs the permission.
    pub(super) const fn only(self, permission: Permission) -> Self {
        Self { permission: Some(permission), ..self }
    }

    /// With another meaning.
    pub(super) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// The value that holds if it is absent.
    pub(super) const fn defaults_to(self, default: fn(&DefaultLimits) -> Value) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    pub(super) const fn in_query(self) -> Self {
        Self { is_in_query: true, ..self }
    }

    /// Whether the value means the same as an absent field. Callers without the permission for the field may send such a
    /// value, because clients send it for fields that their user did not set.
    pub(super) fn has_no_effect(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (Kind::Boolean, value) => boolean(value) == Some(false),
            (_, Value::Bool(value)) => !value,
            (_, Value::String(text)) => text.is_empty(),
            (_, Value::Array(items)) => items.is_empty(),
            (_, Value::Object(items)) => items.is_empty(),
            (_, Value::Null) => true,
            (_, Value::Number(_)) => false,
        }
    }
}

pub(super) const fn boolean_field(name: &'static str, about: &'static str) -> Field {
    Field::new(name, Kind::Boolean, about)
}

/// A whole number in a range. `unit` continues `a whole number`, such as ` of MiB`.
pub(super) const fn whole_field(
    name: &'static str,
    (least, most, unit): (u64, u64, &'static str),
    about: &'static str,
) -> Field {
    Field::new(name, Kind::Whole { least, most, unit }, about)
}

pub(super) const fn text_field(name: &'static str, rule: Rule, about: &'static str) -> Field {
    Field::new(name, Kind::Text(rule), about)
}

pub(super) const fn texts_field(name: &'static str, rule: Rule, about: &'static str) -> Field {
    Field::new(name, Kind::Texts(rule), about)
}

pub(super) const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field::new(name, kind, about)
}

impl Kind {
    /// Continues the sentence `It must be …`.
    pub(super) fn rule(&self) -> Cow<'static, str> {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Whole { least: 1, most: u64::MAX, .. } => "a positive whole number".into(),
            Self::Whole { least, most, unit } => {
                format!("a whole number{unit} from {least} to {most}").into()
            }
            Self::Limit { most } => {
                format!("-1 (unlimited), or a whole number from 1 to {most}").into()
            }
            Self::Decimal { least, most } => format!("a number from {least} to {most}").into(),
            Self::Word(words) => one_of(words).into(),
            Self::Text(rule) => rule.description.into(),
            Self::Texts(rule) => {
                format!("a list of strings, each of them {}", rule.description).into()
            }
            Self::Pairs { .. } => "an object with string values".into(),
            Self::Object(_) => "an object".into(),
            Self::Custom(_) => "valid".into(),
            Self::Unsupported { rule, .. } | Self::NotOffered { rule, .. } => (*rule).into(),
        }
    }

    /// Checks a value. The error names it by `name`.
    pub(super) fn check(&self, name: &str, value: &Value) -> Result<(), AppError> {
        let is_valid = match self {
            Self::Boolean => boolean(value).is_some(),
            Self::Whole { least, most, .. } => {
                whole(value).is_some_and(|number| (*least..=*most).contains(&number))
            }
            Self::Limit { most } => limit(value)
                .is_some_and(|number| number == -1 || (1..=i64::from(*most)).contains(&number)),
            Self::Decimal { least, most } => {
                decimal(value).is_some_and(|number| (*least..=*most).contains(&number))
            }
            Self::Word(words) => word(words, value).is_some(),
            Self::Text(rule) => value.as_str().is_some_and(rule.is_valid),
            Self::Texts(rule) => return Ok(check_texts((name, rule), value)?),
            Self::Pairs { names, values, most } => {
                check_pairs(name, (names, values), value)?;
                if let (Some(most), Value::Object(object)) = (most, value) {
                    most.check(name, object)?;
                }
                return Ok(());
            }
            Self::Unsupported { has_no_effect, .. } => has_no_effect(value),
            Self::NotOffered { has_no_effect, reason, .. } if !has_no_effect(value) => {
                return Err(AppError::NotSupported(reason));
            }
            Self::Object(_) => value.is_object(),
            Self::NotOffered { .. } | Self::Custom(_) => true,
        };
        if is_valid { Ok(()) } else { Err(invalid_value(name, value, &self.rule()).into()) }
    }
}

pub(super) fn check_texts((name, rule): (&str, &Rule), value: &Value) -> Result<(), InvalidField> {
    let Value::Array(items) = value else {
        return Err(invalid_value(name, value, "a list of strings"));
    };
    match items.iter().find(|item| !item.as_str().is_some_and(rule.is_valid)) {
        None => Ok(()),
        Some(item) => {
            let rule = format!("a list of strings, each of them {}", rule.description);
            Err(invalid_value(name, item, &rule))
        }
    }
}

fn check_pairs(
    name: &str,
    (names, values): (&Rule, &Rule),
    value: &Value,
) -> Result<(), InvalidField> {
    let Value::Object(object) = value else {
        return Err(invalid_value(name, value, "an object with string values"));
    };
    for (key, value) in object {
        if !(names.is_valid)(key) {
            let rule = format!("an object whose keys are {}", names.description);
            return Err(InvalidField::new(name, key, rule));
        }
        if !value.as_str().is_some_and(values.is_valid) {
            return Err(invalid_value(&format!("{name}.{key}"), value, values.description));
        }
    }
    Ok(())
}

/// `a` or `b`, in words.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [others @ .., last] => {
            let others = others.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
            format!("{} or `{last}`", others.join(", "))
        }
    }
}

pub(super) fn boolean(value: &Value) -> Option<bool> {
    let text = match value {
        Value::Bool(value) => return Some(*value),
        Value::String(text) => text.to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    match text.as_str() {
        "true" | "t" | "1" | "on" | "yes" | "y" => Some(true),
        "false" | "f" | "0" | "off" | "no" | "n" => Some(false),
        _ => None,
    }
}

pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

pub(super) fn limit(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn decimal(value: &Value) -> Option<f64> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if is_plain(text) => text.parse().ok(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

pub(super) fn word(words: &'static [&'static str], value: &Value) -> Option<&'static str> {
    let text = value.as_str()?;
    words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied()
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
