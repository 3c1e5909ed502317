//! What is in an action: calls of functions on fields, variables and constants.

use serde_json::Value;

use super::super::record::{Record, inner};
use super::functions::{Function, apply};
use super::tokens::{Token, tokens};

/// Calls that pass their results on: the result of each is the last argument of the next one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pipeline(Vec<Call>);

#[derive(Debug, Clone, PartialEq)]
struct Call {
    function: Function,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq)]
enum Argument {
    /// Fields of the current value, such as `.Labels.tier`; none for `.`.
    Field(Vec<String>),
    /// Fields of a variable, such as `$it.Source`. Without a name, it is the whole record.
    Variable(String, Vec<String>),
    Constant(Value),
    /// Calls in parentheses, and the fields of their result.
    Group(Pipeline, Vec<String>),
}

/// Groups in groups, at most.
const DEEPEST: usize = 16;

/// What fields and variables mean at a place of the template.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    record: &'a Record,
    /// The current value; the record if `None`.
    dot: Option<Value>,
    variables: Vec<(String, Value)>,
}

impl<'a> Scope<'a> {
    pub(super) const fn of(record: &'a Record) -> Self {
        Self { record, dot: None, variables: Vec::new() }
    }

    /// A scope within it, with another current value and perhaps one more variable.
    pub(super) fn with(&self, dot: Value, variable: Option<(&String, Value)>) -> Self {
        let mut variables = self.variables.clone();
        variables.extend(variable.map(|(name, value)| (name.clone(), value)));
        Self { record: self.record, dot: Some(dot), variables }
    }

    fn value(&self, argument: &Argument) -> Result<Value, String> {
        match argument {
            Argument::Constant(value) => Ok(value.clone()),
            Argument::Field(path) => match &self.dot {
                Some(dot) => inner(dot.clone(), ".", path),
                None => self.record.field(path),
            },
            Argument::Variable(name, path) if name.is_empty() => self.record.field(path),
            Argument::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) =
                    found.ok_or_else(|| format!("the template has no variable `${name}`"))?;
                inner(value.clone(), &format!("${name}"), path)
            }
            Argument::Group(pipeline, path) => inner(pipeline.evaluate(self)?, "(…)", path),
        }
    }
}

impl Pipeline {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("/*") && text.ends_with("*/") {
            return Ok(Self(vec![Call {
                function: Function::Value,
                arguments: vec![Argument::Constant(Value::Null)],
            }]));
        }
        let mut tokens = tokens(text)?.into_iter();
        let (pipeline, close) = Self::of(&mut tokens, 0)?;
        match close {
            None => Ok(pipeline),
            Some(_) => Err("the template has a `)` without `(`".to_owned()),
        }
    }

    /// Parses up to the end or a `)`, and returns the fields after that.
    fn of(
        tokens: &mut std::vec::IntoIter<Token>,
        depth: usize,
    ) -> Result<(Self, Option<Vec<String>>), String> {
        if depth > DEEPEST {
            return Err("the template has `(` that are nested too deeply".to_owned());
        }
        let mut calls = Vec::new();
        let mut words = Vec::new();
        let close = loop {
            match tokens.next() {
                None => break None,
                Some(Token::Close(path)) => break Some(fields(&path)),
                Some(Token::Pipe) if words.is_empty() => {
                    return Err("`|` in the template has no action before it".to_owned());
                }
                Some(Token::Pipe) => calls.push(call(std::mem::take(&mut words))?),
                Some(Token::Open) => {
                    let (inside, close) = Self::of(tokens, depth + 1)?;
                    let path = close.ok_or("the template has a `(` without `)`")?;
                    words.push(Word::Argument(Argument::Group(inside, path)));
                }
                Some(Token::Text(text)) => {
                    words.push(Word::Argument(Argument::Constant(Value::String(text))));
                }
                Some(Token::Name(name)) => words.push(word(name)),
            }
        };
        if words.is_empty() {
            return Err(if calls.is_empty() {
                "an action `{{}}` in the template is empty".to_owned()
            } else {
                "`|` in the template has nothing after it".to_owned()
            });
        }
        calls.push(call(words)?);
        Ok((Self(calls), close))
    }

    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let mut piped = None;
        for call in &self.0 {
            let arguments = call.arguments.iter().map(|argument| scope.value(argument));
            let mut arguments = arguments.collect::<Result<Vec<_>, _>>()?;
            arguments.extend(piped.take());
            piped = Some(apply(call.function, &arguments)?);
        }
        Ok(piped.unwrap_or_default())
    }

    /// The names of the fields in it.
    pub(super) fn fields(&self) -> Vec<&str> {
        let arguments = self.0.iter().flat_map(|call| &call.arguments);
        let names = arguments.flat_map(|argument| match argument {
            Argument::Field(path) | Argument::Variable(_, path) => {
                path.last().map(String::as_str).into_iter().collect()
            }
            Argument::Group(pipeline, path) => match path.last() {
                Some(name) => vec![name.as_str()],
                None => pipeline.fields(),
            },
            Argument::Constant(_) => Vec::new(),
        });
        names.collect()
    }
}

enum Word {
    Argument(Argument),
    /// A name that is no field, variable or constant.
    Function(String),
}

fn word(name: String) -> Word {
    let constant = |value| Word::Argument(Argument::Constant(value));
    if let Some(path) = name.strip_prefix('.') {
        return Word::Argument(Argument::Field(fields(path)));
    }
    if let Some(variable) = name.strip_prefix('$') {
        let (name, path) = variable.split_once('.').unwrap_or((variable, ""));
        return Word::Argument(Argument::Variable(name.to_owned(), fields(path)));
    }
    match name.as_str() {
        "true" | "false" => return constant((name == "true").into()),
        "nil" => return constant(Value::Null),
        _ => {}
    }
    let is_number = name.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let number: Option<Value> = is_number.then(|| serde_json::from_str(&name).ok()).flatten();
    number.map_or(Word::Function(name), constant)
}

fn fields(path: &str) -> Vec<String> {
    path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn call(words: Vec<Word>) -> Result<Call, String> {
    let mut words = words.into_iter();
    let mut arguments = Vec::new();
    let function = match words.next() {
        Some(Word::Function(name)) => Function::named(&name)?,
        Some(Word::Argument(argument)) => {
            arguments.push(argument);
            Function::Value
        }
        None => Function::Value,
    };
    for word in words {
        match word {
            Word::Argument(argument) => arguments.push(argument),
            Word::Function(name) => {
                return Err(format!("`{name}` is not a field; write .{name}"));
            }
        }
    }
    // Docker's form for one label.
    if let [Argument::Field(path), Argument::Constant(Value::String(key))] = arguments.as_slice()
        && function == Function::Value
        && matches!(path.as_slice(), [label] if label == "Label")
    {
        arguments = vec![Argument::Field(vec!["Labels".to_owned(), key.clone()])];
    }
    Ok(Call { function, arguments })
}
