//! Templates of `--format`: the part of Go's templates that Docker's users type.
//!
//! A template is text with actions such as `{{.Name}}`, `{{json .Labels}}` and `{{range .Mounts}}{{.Source}} {{end}}`.
//! The prefix `table ` prints a table with a column for each tab. `\t` and `\n` in the text are a tab and a line break.

mod expression;
mod functions;
mod tokens;

use serde_json::Value;

use self::expression::{Pipeline, Scope};
pub(super) use self::functions::text_of;
use super::record::Record;
use super::text::clean;

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Whether it prints a table.
    pub(super) table: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Action(Pipeline),
    Block(Block),
}

/// A part that ends with `{{end}}`.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    kind: Kind,
    over: Pipeline,
    /// The variables that `range` or `with` sets.
    variables: Vec<String>,
    body: Vec<Part>,
    /// What comes after `{{else}}`.
    otherwise: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    If,
    With,
    Range,
}

const KINDS: [(&str, Kind); 3] = [("if", Kind::If), ("with", Kind::With), ("range", Kind::Range)];

/// Blocks in blocks, at most.
const DEEPEST: usize = 16;

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (table, text) = match text.strip_prefix("table ") {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let mut pieces = pieces(text)?.into_iter();
        let (parts, end) = parts(&mut pieces, 0)?;
        match end {
            Closing::Text => Ok(Self { table, parts }),
            Closing::End | Closing::Else(_) => {
                Err("the template has an {{end}} or {{else}} without its beginning".to_owned())
            }
        }
    }

    /// Returns the text for a record. Control characters of values are replaced if `safe`.
    pub(super) fn render(&self, record: &Record, safe: bool) -> Result<String, String> {
        let mut text = String::new();
        render(&self.parts, &Scope::of(record), (&mut text, safe))?;
        Ok(text)
    }

    /// Returns the titles of the columns of a table: the names of the fields.
    pub(super) fn titles(&self) -> Vec<String> {
        titles(&self.parts).split('\t').map(str::to_owned).collect()
    }
}

/// A text, or what is between `{{` and `}}`.
enum Piece<'a> {
    Text(String),
    Action(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after
            .split_once("}}")
            .ok_or_else(|| format!("`{{{{{after}` has no }}}} in the template"))?;
        // As in Go, `{{-` and `-}}` remove the white space around an action.
        let before = if trims { before.trim_start() } else { before };
        let own = action.strip_prefix('-').filter(|rest| rest.starts_with(char::is_whitespace));
        let before = if own.is_some() { before.trim_end() } else { before };
        let action = own.unwrap_or(action);
        let end = action.strip_suffix('-').filter(|rest| rest.ends_with(char::is_whitespace));
        trims = end.is_some();
        pieces.push(Piece::Text(escapes(before)));
        pieces.push(Piece::Action(end.unwrap_or(action).trim()));
        rest = after;
    }
    pieces.push(Piece::Text(escapes(if trims { rest.trim_start() } else { rest })));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    Ok(pieces)
}

fn escapes(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// How a list of parts ends.
enum Closing<'a> {
    /// The text has ended.
    Text,
    End,
    /// With what follows `else`, such as `if .Name`, or nothing.
    Else(&'a str),
}

fn parts<'a>(
    pieces: &mut std::vec::IntoIter<Piece<'a>>,
    depth: usize,
) -> Result<(Vec<Part>, Closing<'a>), String> {
    let mut parts = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                parts.push(Part::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        match (word, KINDS.iter().find(|(name, _)| *name == word)) {
            ("end", _) => return Ok((parts, Closing::End)),
            ("else", _) => return Ok((parts, Closing::Else(rest.trim()))),
            (_, Some((_, kind))) => {
                parts.push(Part::Block(block(pieces, (*kind, rest), depth + 1)?));
            }
            (_, None) => parts.push(Part::Action(Pipeline::parse(action)?)),
        }
    }
    Ok((parts, Closing::Text))
}

fn block(
    pieces: &mut std::vec::IntoIter<Piece<'_>>,
    (kind, text): (Kind, &str),
    depth: usize,
) -> Result<Block, String> {
    if depth > DEEPEST {
        return Err("the template has blocks that are nested too deeply".to_owned());
    }
    let (variables, over) = match text.split_once(":=") {
        Some((names, over)) => (variables(names)?, over),
        None => (Vec::new(), text),
    };
    let over = Pipeline::parse(over.trim())?;
    let (body, end) = parts(pieces, depth)?;
    let otherwise = match end {
        Closing::End => Vec::new(),
        Closing::Text => return Err("the template has a block without {{end}}".to_owned()),
        Closing::Else("") => match parts(pieces, depth)? {
            (otherwise, Closing::End) => otherwise,
            (_, Closing::Text | Closing::Else(_)) => {
                return Err("the template has an {{else}} without {{end}}".to_owned());
            }
        },
        Closing::Else(next) => {
            let (word, rest) = next.split_once(char::is_whitespace).unwrap_or((next, ""));
            let kind = KINDS.iter().find(|(name, _)| *name == word);
            let (_, kind) = kind.ok_or_else(|| {
                format!("the template has `else {next}`; use {{{{else}}}} or {{{{else if …}}}}")
            })?;
            vec![Part::Block(block(pieces, (*kind, rest), depth + 1)?)]
        }
    };
    Ok(Block { kind, over, variables, body, otherwise })
}

fn variables(names: &str) -> Result<Vec<String>, String> {
    let name = |name: &str| match name.trim().strip_prefix('$') {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err(format!("`{}` is not a variable; write $name", name.trim())),
    };
    names.split(',').map(name).collect()
}

fn render(parts: &[Part], scope: &Scope<'_>, out: (&mut String, bool)) -> Result<(), String> {
    let (text, safe) = out;
    for part in parts {
        match part {
            Part::Text(own) => text.push_str(own),
            Part::Action(pipeline) => {
                let value = text_of(&pipeline.evaluate(scope)?);
                text.push_str(&if safe { clean_lines(&value) } else { value });
            }
            Part::Block(block) => block.render(scope, (text, safe))?,
        }
    }
    Ok(())
}

/// `println` and `printf` may break lines.
fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

impl Block {
    fn render(&self, scope: &Scope<'_>, (text, safe): (&mut String, bool)) -> Result<(), String> {
        let over = self.over.evaluate(scope)?;
        if !functions::is_true(&over) {
            return render(&self.otherwise, scope, (text, safe));
        }
        match self.kind {
            Kind::If => render(&self.body, scope, (text, safe)),
            Kind::With => {
                let inner = scope.with(over.clone(), self.variables.first().zip(Some(over)));
                render(&self.body, &inner, (text, safe))
            }
            Kind::Range => {
                for (key, value) in elements(over)? {
                    render(&self.body, &self.iteration(scope, key, value), (text, safe))?;
                }
                Ok(())
            }
        }
    }

    /// With one variable it is the element; with two, the first is its key.
    fn iteration<'a>(&self, scope: &Scope<'a>, key: Value, value: Value) -> Scope<'a> {
        match self.variables.as_slice() {
            [] => scope.with(value, None),
            [element] => scope.with(value.clone(), Some((element, value))),
            [first, second, ..] => {
                let scope = scope.with(value.clone(), Some((first, key)));
                scope.with(value.clone(), Some((second, value)))
            }
        }
    }
}

/// The elements of a list, or the values of an object, with their places or names.
fn elements(value: Value) -> Result<Vec<(Value, Value)>, String> {
    match value {
        Value::Array(values) => {
            Ok(values.into_iter().enumerate().map(|(at, value)| (at.into(), value)).collect())
        }
        Value::Object(fields) => {
            Ok(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("`range` in the template needs a list or an object".to_owned())
        }
    }
}

fn titles(parts: &[Part]) -> String {
    let title = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Action(pipeline) => {
            pipeline.fields().iter().map(|name| spaced(name)).collect::<Vec<_>>().join(" ")
        }
        Part::Block(block) => match block.kind {
            Kind::Range => block.over.fields().iter().map(|name| spaced(name)).collect(),
            Kind::If | Kind::With => titles(&block.body),
        },
    };
    parts.iter().map(title).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(template: &str) -> Result<String, String> {
        let value = json!({ "name": "web\u{1b}", "created_at": "now", "exit_code": null,
            "labels": { "tier": "web", "zone": "a" }, "command": ["sh", "-c"], "attached": 2,
            "mounts": [{ "source": "data", "ro": false }, { "source": "logs", "ro": true }],
            "ports": { "80/tcp": [{ "HostPort": "8080" }] }, "tty": true, "empty": [] });
        Template::parse(template)?.render(&Record::new(value), true)
    }

    #[test]
    fn fields_and_functions_are_as_in_dockers_templates() {
        for (template, text) in [
            ("{{.Name}} {{ .CreatedAt }}", "web\u{fffd} now"),
            (r"{{.created_at}}\t{{.ExitCode}}|", "now\t|"),
            ("{{json .Command}}", r#"["sh","-c"]"#),
            ("{{.Labels.tier | upper}}", "WEB"),
            (r#"{{.Label "tier"}}{{.Label "none"}}"#, "web"),
            (r#"{{index .Labels "tier"}} {{index .Command 1}}"#, "web -c"),
            (r#"{{join .Command " "}} {{len .Command}}"#, "sh -c 2"),
            (r#"{{(index (index .Ports "80/tcp") 0).HostPort}}"#, "8080"),
            (r#"{{index .Ports "80/tcp" 0 "HostPort"}}"#, "8080"),
            (
                r#"{{printf "%-6s|%3d|%q %v%%" .CreatedAt .Attached .CreatedAt .Tty}}"#,
                "now   |  2|\"now\" true%",
            ),
            (r#"{{printf "%.1f" 2.25}} {{print "a" 1}} {{title "abc"}}"#, "2.2 a1 Abc"),
            (r#"{{range split "a,b" ","}}<{{.}}>{{end}}"#, "<a><b>"),
            (r#"{{truncate .CreatedAt 2}} {{pad "x" 1 2}}|"#, "no  x  |"),
            ("no action", "no action"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn blocks_are_as_in_gos_templates() {
        for (template, text) in [
            ("{{range .Mounts}}{{.Source}} {{end}}", "data logs "),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{range $key, $value := .Labels}}{{$key}}={{$value}} {{end}}", "tier=web zone=a "),
            ("{{range $at, $it := .Command}}{{if $at}},{{end}}{{$it}}{{end}}", "sh,-c"),
            (
                "{{range .Mounts}}{{$.CreatedAt}}:{{if .ro}}ro{{else}}rw{{end}} {{end}}",
                "now:rw now:ro ",
            ),
            ("{{if .ExitCode}}a{{else if .Tty}}b{{else}}c{{end}}", "b"),
            (r#"{{if eq .CreatedAt "now"}}y{{end}}{{if ne .Attached 2}}n{{end}}"#, "y"),
            ("{{if and .Tty (gt .Attached 1) (not .Empty)}}y{{end}}", "y"),
            (r#"{{or .ExitCode "none"}}"#, "none"),
            ("{{with .Labels}}{{.tier}}{{end}}{{with .Empty}}x{{end}}", "web"),
            ("{{with $it := index .Mounts 1}}{{$it.Source}}{{end}}", "logs"),
            ("a  {{- .CreatedAt -}}  b{{/* nothing */}}", "anowb"),
            ("{{range .Mounts}}{{println .Source}}{{end}}", "data\nlogs\n"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(text), "{template}");
        }
        let template = Template::parse(
            r"table {{.ID}}\t{{if .Host}}{{.Host}}{{end}}\t{{range .Ports}}{{.}}{{end}}",
        );
        assert_eq!(template.expect("a template").titles(), ["id", "host", "ports"]);
    }

    #[test]
    fn a_wrong_template_says_what_is_wrong() {
        for (template, words) in [
            ("{{.Nmae}}", "did you mean .Name?"),
            ("{{.Other}}", ".Attached, .Command, .CreatedAt"),
            ("{{.Name", "has no }}"),
            ("{{}}", "is empty"),
            ("{{range .Labels}}", "without {{end}}"),
            ("{{end}}", "without its beginning"),
            ("{{if .Tty}}a{{else}}b", "without {{end}}"),
            ("{{if .Tty}}a{{else for}}b{{end}}", "use {{else}}"),
            ("{{range .Tty}}a{{end}}", "needs a list"),
            ("{{template .Name}}", "no function `template`"),
            ("{{json Name}}", "write .Name"),
            ("{{join .Name}}", "`join`"),
            ("{{$nothing}}", "no variable `$nothing`"),
            ("{{(.Name}}", "`(`"),
            (r#"{{index .Labels "a}}"#, "unterminated"),
            (r#"{{printf "%z" .Name}}"#, "%z"),
            ("{{.Name | }}", "nothing after"),
        ] {
            let rule = rendered(template).expect_err(template);
            assert!(rule.contains(words), "{template}: {rule}");
        }
        let deep = "{{if .Tty}}".repeat(40);
        assert!(rendered(&deep).expect_err("deep").contains("too deeply"));
        let deep = format!("{{{{{}.Name}}}}", "(".repeat(4000));
        assert!(rendered(&deep).is_err());
    }
}
