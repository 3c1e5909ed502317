//! Templates of `--format`: the part of Go's templates that Docker's users type.
//!
//! A template is text with actions such as `{{.Name}}`, `{{json .Labels}}` and `{{.Image | upper}}`. The prefix `table `
//! prints a table with a column for each tab. `\t` and `\n` in the text are a tab and a line break.

use serde_json::Value;

use super::record::Record;
use super::text::clean;

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Whether it prints a table.
    pub(super) table: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The result of the first call is an argument of the next one.
    Action(Vec<Call>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    function: Function,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    /// The value itself.
    Value,
    Json,
    Join,
    Lower,
    Upper,
    Length,
    Index,
}

/// The functions, by name.
const FUNCTIONS: [(&str, Function); 7] = [
    ("json", Function::Json),
    ("join", Function::Join),
    ("lower", Function::Lower),
    ("upper", Function::Upper),
    ("len", Function::Length),
    ("index", Function::Index),
    ("print", Function::Value),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    /// A path of fields, such as `.Labels.tier`; empty for `.`.
    Field(Vec<String>),
    Text(String),
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (table, text) = match text.strip_prefix("table ") {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, after) = after
                .split_once("}}")
                .ok_or_else(|| format!("`{{{{{after}` has no }}}} in the template"))?;
            parts.push(Part::Text(escapes(before)));
            parts.push(Part::Action(pipeline(action)?));
            rest = after;
        }
        parts.push(Part::Text(escapes(rest)));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(Self { table, parts })
    }

    /// Returns the text for a record. Control characters of values are replaced if `safe`.
    pub(super) fn render(&self, record: &Record, safe: bool) -> Result<String, String> {
        let part = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Action(calls) => {
                let text = text_of(&evaluate(calls, record)?);
                Ok(if safe { clean(&text) } else { text })
            }
        };
        self.parts.iter().map(part).collect()
    }

    /// Returns the titles of the columns of a table: the names of the fields.
    pub(super) fn titles(&self) -> Vec<String> {
        let titles = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Action(calls) => {
                let fields = calls.iter().flat_map(|call| &call.arguments);
                let names = fields.filter_map(|argument| match argument {
                    Argument::Field(path) => path.last().map(|name| spaced(name)),
                    Argument::Text(_) => None,
                });
                names.collect::<Vec<_>>().join(" ")
            }
        });
        titles.collect::<String>().split('\t').map(str::to_owned).collect()
    }
}

/// `CreatedAt` is `created_at`, and `ID` is `id`.
fn spaced(name: &str) -> String {
    let mut spaced = String::new();
    let mut was_lower = false;
    for character in name.chars() {
        if character.is_uppercase() && was_lower {
            spaced.push('_');
        }
        was_lower = character.is_lowercase();
        spaced.extend(character.to_lowercase());
    }
    spaced
}

fn escapes(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn pipeline(action: &str) -> Result<Vec<Call>, String> {
    let action = action.trim().trim_matches('-').trim();
    let words = words(action)?;
    let calls: Vec<Call> =
        words.split(|word| *word == Word::Pipe).map(call).collect::<Result<_, _>>()?;
    Ok(calls)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Name(String),
    Text(String),
    Pipe,
}

fn words(action: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '`' => {
                let text = rest.get(1..).and_then(|text| text.split_once(first));
                let (text, after) =
                    text.ok_or_else(|| format!("unterminated string in `{{{{{action}}}}}`"))?;
                (Word::Text(escapes(text)), after)
            }
            '|' => (Word::Pipe, rest.get(1..).unwrap_or_default()),
            _ => {
                let end = rest.find(|one: char| one.is_whitespace() || one == '|');
                let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
                (Word::Name(name.to_owned()), after)
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn call(words: &[Word]) -> Result<Call, String> {
    let (function, arguments) = match words {
        [] => return Err("an action `{{}}` in the template is empty".to_owned()),
        // Docker's form for one label.
        [Word::Name(label), Word::Text(key)] if label == ".Label" => {
            let path = vec!["Labels".to_owned(), key.clone()];
            return Ok(Call { function: Function::Value, arguments: vec![Argument::Field(path)] });
        }
        [Word::Name(name), arguments @ ..] if !name.starts_with('.') => {
            let found = FUNCTIONS.iter().find(|(known, _)| known == name);
            let function = found.map(|(_, function)| *function).ok_or_else(|| {
                let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
                format!("the template has no function `{name}`; it has {}", names.join(", "))
            })?;
            (function, arguments)
        }
        value => (Function::Value, value),
    };
    let arguments = arguments.iter().map(argument).collect::<Result<_, _>>()?;
    Ok(Call { function, arguments })
}

fn argument(word: &Word) -> Result<Argument, String> {
    match word {
        Word::Text(text) => Ok(Argument::Text(text.clone())),
        Word::Name(name) => match name.strip_prefix('.') {
            Some(path) => {
                let path = path.split('.').filter(|name| !name.is_empty());
                Ok(Argument::Field(path.map(str::to_owned).collect()))
            }
            None => Err(format!("`{name}` is not a field; write .{name}")),
        },
        Word::Pipe => Err("`|` in the template has no action before it".to_owned()),
    }
}

fn evaluate(calls: &[Call], record: &Record) -> Result<Value, String> {
    let mut piped = None;
    for call in calls {
        let mut arguments = Vec::new();
        for argument in &call.arguments {
            arguments.push(match argument {
                Argument::Field(path) => record.field(path)?,
                Argument::Text(text) => Value::String(text.clone()),
            });
        }
        arguments.extend(piped.take());
        piped = Some(apply(call.function, &arguments)?);
    }
    Ok(piped.unwrap_or_default())
}

fn apply(function: Function, arguments: &[Value]) -> Result<Value, String> {
    let text = |text: String| Ok(Value::String(text));
    match (function, arguments) {
        (Function::Value, [value]) => Ok(value.clone()),
        (Function::Json, [value]) => text(value.to_string()),
        (Function::Lower, [value]) => text(text_of(value).to_lowercase()),
        (Function::Upper, [value]) => text(text_of(value).to_uppercase()),
        (Function::Length, [value]) => Ok(length(value).into()),
        (Function::Join, [Value::Array(values), Value::String(separator)]) => {
            text(values.iter().map(text_of).collect::<Vec<_>>().join(separator))
        }
        (Function::Join, [Value::Null, _]) => text(String::new()),
        (Function::Index, [Value::Object(fields), Value::String(key)]) => {
            Ok(fields.get(key).cloned().unwrap_or_default())
        }
        _ => {
            let name = FUNCTIONS.iter().find(|(_, known)| *known == function);
            let name = name.map_or("print", |(name, _)| name);
            Err(format!("`{name}` in the template has arguments that it cannot use"))
        }
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.len(),
        Value::Object(fields) => fields.len(),
        Value::String(text) => text.chars().count(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Returns what is printed for a value: nothing for null, and JSON for lists and objects.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(template: &str) -> Result<String, String> {
        let value = json!({ "name": "web\u{1b}", "created_at": "now", "exit_code": null,
            "labels": { "tier": "web" }, "command": ["sh", "-c"] });
        Template::parse(template)?.render(&Record::new(value), true)
    }

    #[test]
    fn fields_and_functions_are_as_in_dockers_templates() {
        for (template, text) in [
            ("{{.Name}} {{ .CreatedAt }}", "web\u{fffd} now"),
            (r"{{.created_at}}\t{{.ExitCode}}|", "now\t|"),
            ("{{json .Labels}}", r#"{"tier":"web"}"#),
            ("{{.Labels.tier | upper}}", "WEB"),
            (r#"{{.Label "tier"}}{{.Label "none"}}"#, "web"),
            (r#"{{index .Labels "tier"}}"#, "web"),
            (r#"{{join .Command " "}} {{len .Command}}"#, "sh -c 2"),
            ("no action", "no action"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn a_wrong_template_says_what_is_wrong() {
        for (template, words) in [
            ("{{.Nmae}}", "did you mean .Name?"),
            ("{{.Other}}", ".Command, .CreatedAt, .ExitCode, .Labels, .Name"),
            ("{{.Name", "has no }}"),
            ("{{}}", "is empty"),
            ("{{range .Labels}}", "no function `range`"),
            ("{{json Name}}", "write .Name"),
            ("{{join .Name}}", "`join`"),
            (r#"{{index .Labels "a}}"#, "unterminated"),
        ] {
            let rule = rendered(template).expect_err(template);
            assert!(rule.contains(words), "{template}: {rule}");
        }
    }
}
