//! The functions of templates: those of Go and of Docker's command that make sense for results.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// The value itself.
    Value,
    Json,
    Join,
    Split,
    Lower,
    Upper,
    Title,
    Truncate,
    Pad,
    Length,
    Index,
    Print,
    Println,
    Printf,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Not,
}

/// The functions, by name.
const FUNCTIONS: [(&str, Function); 22] = [
    ("json", Function::Json),
    ("join", Function::Join),
    ("split", Function::Split),
    ("lower", Function::Lower),
    ("upper", Function::Upper),
    ("title", Function::Title),
    ("truncate", Function::Truncate),
    ("pad", Function::Pad),
    ("len", Function::Length),
    ("index", Function::Index),
    ("print", Function::Print),
    ("println", Function::Println),
    ("printf", Function::Printf),
    ("eq", Function::Equal),
    ("ne", Function::NotEqual),
    ("lt", Function::Less),
    ("le", Function::LessOrEqual),
    ("gt", Function::Greater),
    ("ge", Function::GreaterOrEqual),
    ("and", Function::And),
    ("or", Function::Or),
    ("not", Function::Not),
];

/// The widest that `pad` and `printf` make a text.
const WIDEST: usize = 1000;

impl Function {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
        found.map(|(_, function)| *function).ok_or_else(|| {
            let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            format!("the template has no function `{name}`; it has {}", names.join(", "))
        })
    }

    fn name(self) -> &'static str {
        let found = FUNCTIONS.iter().find(|(_, known)| *known == self);
        found.map_or("the field", |(name, _)| name)
    }
}

pub(super) fn apply(function: Function, arguments: &[Value]) -> Result<Value, String> {
    let text = |text: String| Ok(Value::String(text));
    let ordered = |fits: fn(Ordering) -> bool| match arguments {
        [one, other] => order(one, other).map(|order| Value::Bool(fits(order))),
        _ => None,
    };
    let wrong =
        || format!("`{}` in the template has arguments that it cannot use", function.name());
    match (function, arguments) {
        (Function::Value, [value]) => Ok(value.clone()),
        (Function::Json, [value]) => text(value.to_string()),
        (Function::Lower, [value]) => text(text_of(value).to_lowercase()),
        (Function::Upper, [value]) => text(text_of(value).to_uppercase()),
        (Function::Title, [value]) => text(title(&text_of(value))),
        (Function::Length, [value]) => Ok(length(value).into()),
        (Function::Join, [Value::Array(values), Value::String(separator)]) => {
            text(values.iter().map(text_of).collect::<Vec<_>>().join(separator))
        }
        (Function::Join, [Value::Null, _]) => text(String::new()),
        (Function::Split, [value, Value::String(separator)]) => {
            Ok(text_of(value).split(separator.as_str()).map(Value::from).collect())
        }
        (Function::Truncate, [value, width]) => {
            let width = size(width).ok_or_else(wrong)?;
            text(text_of(value).chars().take(width).collect())
        }
        (Function::Pad, [value, before, after]) => {
            let (before, after) = (size(before).ok_or_else(wrong)?, size(after).ok_or_else(wrong)?);
            text(format!("{0:before$}{1}{0:after$}", "", text_of(value)))
        }
        (Function::Index, [value, keys @ ..]) => {
            Ok(keys.iter().fold(value.clone(), |value, key| element(&value, key)))
        }
        (Function::Print, values) => text(values.iter().map(text_of).collect()),
        (Function::Println, values) => {
            text(values.iter().map(text_of).collect::<Vec<_>>().join(" ") + "\n")
        }
        (Function::Printf, [Value::String(format), values @ ..]) => text(printf(format, values)?),
        (Function::Equal, [one, others @ ..]) if !others.is_empty() => {
            Ok(others.iter().any(|other| is_equal(one, other)).into())
        }
        (Function::NotEqual, [one, other]) => Ok((!is_equal(one, other)).into()),
        (Function::Less, _) => ordered(Ordering::is_lt).ok_or_else(wrong),
        (Function::LessOrEqual, _) => ordered(Ordering::is_le).ok_or_else(wrong),
        (Function::Greater, _) => ordered(Ordering::is_gt).ok_or_else(wrong),
        (Function::GreaterOrEqual, _) => ordered(Ordering::is_ge).ok_or_else(wrong),
        (Function::And, [.., last]) => {
            Ok(arguments.iter().find(|value| !is_true(value)).unwrap_or(last).clone())
        }
        (Function::Or, [.., last]) => {
            Ok(arguments.iter().find(|value| is_true(value)).unwrap_or(last).clone())
        }
        (Function::Not, [value]) => Ok((!is_true(value)).into()),
        _ => Err(wrong()),
    }
}

/// As in Go: what is empty, zero or missing is false.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// A number is equal to its text: columns of tables are texts.
fn is_equal(one: &Value, other: &Value) -> bool {
    one == other || (!one.is_null() && !other.is_null() && text_of(one) == text_of(other))
}

fn order(one: &Value, other: &Value) -> Option<Ordering> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_f64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.partial_cmp(&other),
        (_, _) => Some(one.as_str()?.cmp(other.as_str()?)),
    }
}

fn size(value: &Value) -> Option<usize> {
    let size = usize::try_from(value.as_u64()?).ok()?;
    Some(size.min(WIDEST))
}

fn element(value: &Value, key: &Value) -> Value {
    let found = match (value, key) {
        (Value::Object(fields), Value::String(key)) => fields.get(key),
        (Value::Array(values), Value::Number(place)) => {
            place.as_u64().and_then(|place| values.get(usize::try_from(place).ok()?))
        }
        _ => None,
    };
    found.cloned().unwrap_or_default()
}

fn title(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    first.into_iter().chain([characters.collect()]).collect()
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.len(),
        Value::Object(fields) => fields.len(),
        Value::String(text) => text.chars().count(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Go's format: `%s`, `%v`, `%d`, `%q`, `%t` and `%f`, with a width and a precision.
fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut values = values.iter();
    let mut printed = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        printed.push_str(before);
        let end = after.find(|one: char| one.is_alphabetic() || one == '%').unwrap_or(after.len());
        let (flags, tail) = after.split_at(end);
        let verb = tail.chars().next();
        rest = tail.get(verb.map_or(0, char::len_utf8)..).unwrap_or_default();
        if verb == Some('%') {
            printed.push('%');
            continue;
        }
        let value = values.next().unwrap_or(&Value::Null);
        let (width, precision) = flags.split_once('.').unwrap_or((flags, ""));
        let precision: Option<usize> = precision.parse().ok();
        let text = match verb {
            Some('s' | 'v' | 'd' | 't') => text_of(value),
            Some('q') => Value::String(text_of(value)).to_string(),
            Some('f') => {
                let precision = precision.unwrap_or(6).min(WIDEST);
                format!("{:.precision$}", value.as_f64().unwrap_or_default())
            }
            Some(_) | None => {
                let verb = verb.map(String::from).unwrap_or_default();
                return Err(format!(
                    "`printf` in the template has no %{verb}; use %s, %v, %d, %q, %t or %f"
                ));
            }
        };
        let (is_left, width) = width.strip_prefix('-').map_or((false, width), |rest| (true, rest));
        let width = width.parse::<usize>().unwrap_or(0).min(WIDEST);
        let padded = if is_left {
            write!(printed, "{text:<width$}")
        } else {
            write!(printed, "{text:>width$}")
        };
        // Writing to a string cannot fail.
        padded.unwrap_or_default();
    }
    printed.push_str(rest);
    Ok(printed)
}

/// Returns what is printed for a value: nothing for null, and JSON for lists and objects.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}
