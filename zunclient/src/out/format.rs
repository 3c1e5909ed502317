//! The formats of results.

use std::str::FromStr;
use std::sync::Arc;

use super::near::nearest;
use super::template::Template;

/// How results are shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people, with more columns, and nothing is shortened.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// For spreadsheets: all columns, with a line of their names.
    Csv,
    /// Only names.
    Name,
    /// Only values, with spaces between them.
    Value,
    /// As a template says.
    Template(Arc<Template>),
}

const NAMES: [(&str, Format); 7] = [
    ("table", Format::Table),
    ("wide", Format::Wide),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("csv", Format::Csv),
    ("name", Format::Name),
    ("value", Format::Value),
];

impl Format {
    /// Whether results are lines of text, and not data that a program parses as a whole.
    pub const fn is_text(&self) -> bool {
        match self {
            Self::Table | Self::Wide | Self::Csv | Self::Name | Self::Value => true,
            Self::Json | Self::Yaml | Self::Template(_) => false,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("{{") {
            return Ok(Self::Template(Arc::new(Template::parse(text)?)));
        }
        if let Some((_, format)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(format.clone());
        }
        let names = NAMES.map(|(name, _)| name);
        let near = nearest(text, names.into_iter());
        let hint = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Err(format!("{hint}use {}, or a template such as '{{{{.Name}}}}'", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_names_the_known_ones() {
        assert_eq!("json".parse(), Ok(Format::Json));
        let rule = "jsn".parse::<Format>().expect_err("unknown");
        assert_eq!(
            rule,
            "did you mean json? use table, wide, json, yaml, csv, name, value, or a template such as '{{.Name}}'"
        );
    }
}
