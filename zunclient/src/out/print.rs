//! Prints results in every format.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::Value;

use super::format::Format;
use super::record::{Record, normal};
use super::table::{Table, TableStyle};
use super::template::{Template, text_of};
use super::text::{clean, escape_controls};
use super::values;
use crate::tty::size::size_of;

/// Why a result is not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The reader of stdout is gone.
    #[error("the output is closed")]
    Closed,
    /// Writing failed, such as on a full disk.
    #[error("cannot write the output: {0}")]
    Failed(std::io::Error),
    /// The template or a column asks for what the result does not have.
    #[error("cannot print in this format: {0}")]
    BadField(String),
}

impl From<Option<std::io::Error>> for PrintError {
    /// Without a cause, the reader is gone.
    fn from(cause: Option<std::io::Error>) -> Self {
        cause.map_or(Self::Closed, Self::Failed)
    }
}

/// Prints results.
#[derive(Debug, Clone)]
pub struct Printer {
    format: Format,
    /// The columns to show; all if empty.
    columns: Vec<String>,
    /// Whether long values of tables on a terminal are shortened.
    shortens: bool,
    stdout: Stdout,
}

/// What results are printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdout {
    /// A pipe or a file.
    Pipe,
    /// A terminal that cannot move its cursor.
    Dumb,
    /// A terminal without colours.
    Plain,
    /// A terminal with colours.
    Coloured,
}

impl Stdout {
    fn of_process() -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match (std::io::stdout().is_terminal(), super::is_dumb(), is_plain) {
            (false, _, _) => Self::Pipe,
            (true, true, _) => Self::Dumb,
            (true, false, true) => Self::Plain,
            (true, false, false) => Self::Coloured,
        }
    }
}

/// Whether stdout is a terminal with colours. Decided here for all output, since clap's own rule is another: if `CI` is
/// set, it colours dumb terminals too.
pub(crate) fn stdout_has_colours() -> bool {
    Stdout::of_process() == Stdout::Coloured
}

impl Printer {
    /// For this process.
    pub fn new(format: Format) -> Self {
        Self { format, columns: Vec::new(), shortens: true, stdout: Stdout::of_process() }
    }

    /// Returns a printer that also shows the columns for wide tables.
    #[must_use]
    pub fn wide(&self, wide: bool) -> Self {
        let is_plain = self.format == Format::Table;
        let format = if wide && is_plain { Format::Wide } else { self.format.clone() };
        Self { format, ..self.clone() }
    }

    /// Returns a printer that does not shorten values.
    #[must_use]
    pub fn unshortened(&self, whole: bool) -> Self {
        Self { shortens: self.shortens && !whole, ..self.clone() }
    }

    /// Returns a printer for another format, if there is one, that shows only these columns, if there are any.
    #[must_use]
    pub fn select(&self, format: Option<&Format>, columns: &[String]) -> Self {
        let format = format.unwrap_or(&self.format).clone();
        Self { format, columns: columns.to_vec(), ..self.clone() }
    }

    /// The format.
    pub const fn format(&self) -> &Format {
        &self.format
    }

    /// Whether a program reads the output and no format was chosen: what identifies a new thing is enough, as in Docker.
    pub fn is_for_scripts(&self) -> bool {
        self.stdout == Stdout::Pipe && self.format == Format::Table && self.columns.is_empty()
    }

    fn is_terminal(&self) -> bool {
        self.stdout != Stdout::Pipe
    }

    /// Whether results are tables on a terminal that can redraw them in place.
    pub fn is_live(&self) -> bool {
        matches!(self.stdout, Stdout::Plain | Stdout::Coloured)
            && matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints a value, or the table that shows it. The table has a row for each element of the value if it is a list,
    /// else a row for each property.
    pub fn show<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce() -> Table,
    ) -> Result<(), PrintError> {
        self.text(&self.rendered(value, table())?)
    }

    /// Prints a value, or `text` if the format is lines of text.
    pub fn value<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), PrintError> {
        if self.format.is_text() {
            return self.text(&text());
        }
        self.show(value, Table::default)
    }

    /// Prints only what identifies each thing of a list: a line for each, or a list in other formats.
    pub fn keys(&self, keys: &[impl AsRef<str> + Serialize]) -> Result<(), PrintError> {
        let lines = || keys.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("\n");
        self.value(&keys, lines)
    }

    /// Prints an item of a list whose end is not known: text or JSON in one line, a document of YAML, or what the
    /// template says.
    pub fn item<T: Serialize>(
        &self,
        item: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), PrintError> {
        if self.format.is_text() {
            return self.line(&clean(&text()));
        }
        if self.format == Format::Json {
            let mut value = serde_json::to_value(item).unwrap_or_default();
            values::normal(&mut value);
            return self.line(&escape_controls(&value.to_string()));
        }
        if self.format == Format::Yaml {
            self.line("---")?;
        }
        self.show(item, Table::default)
    }

    /// Returns what [`Self::show`] prints, without a line break at the end.
    pub fn rendered<T: Serialize>(
        &self,
        value: &T,
        mut table: Table,
    ) -> Result<String, PrintError> {
        let is_plain = matches!(self.format, Format::Table | Format::Wide);
        if is_plain && self.columns.is_empty() {
            return Ok(table.render(self.style()));
        }
        let mut value = serde_json::to_value(value).unwrap_or_default();
        values::normal(&mut value);
        let is_list = value.is_array();
        if !self.columns.is_empty() {
            (value, table) = self.selected(value, &table)?;
        }
        let text = match &self.format {
            Format::Table | Format::Wide => table.render(self.style()),
            Format::Json => {
                escape_controls(&serde_json::to_string_pretty(&value).unwrap_or_default())
            }
            Format::Yaml => self.safe(&serde_saphyr::to_string(&value).unwrap_or_default()),
            Format::Csv => table.csv(|text| self.safe(text)),
            Format::Value => table.values(|text| self.safe(text)),
            Format::Name => self.names(&value, &table),
            Format::Template(template) => self.filled(template, (value, is_list), &table)?,
        };
        Ok(text)
    }

    /// Keeps the selected columns of a result: columns of the table, or fields of the value.
    fn selected(&self, value: Value, table: &Table) -> Result<(Value, Table), PrintError> {
        let is_list = value.is_array();
        let mut values = Vec::new();
        let mut titles = Vec::new();
        let mut rows = Vec::new();
        let records = Record::all(value, if is_list { table.records() } else { Vec::new() });
        for record in &records {
            let mut fields = serde_json::Map::new();
            let mut row = Vec::new();
            titles.clear();
            for column in &self.columns {
                let field = record.field(std::slice::from_ref(column));
                let field = field.map_err(PrintError::BadField)?;
                row.push(text_of(&field));
                titles.push(column.clone());
                fields.insert(column.clone(), field);
            }
            values.push(Value::Object(fields));
            rows.push(row);
        }
        if records.is_empty() {
            titles.clone_from(&self.columns);
        }
        if is_list {
            let mut table = Table::titled(&titles);
            for row in rows {
                table.row(row.into_iter().map(Into::into).collect());
            }
            return Ok((Value::Array(values), table));
        }
        let mut table = Table::properties();
        for (title, text) in titles.into_iter().zip(rows.pop().unwrap_or_default()) {
            table.row(vec![title.into(), text.into()]);
        }
        Ok((values.pop().unwrap_or_default(), table))
    }

    /// The name of each thing: its name, or what the first column shows.
    fn names(&self, value: &Value, table: &Table) -> String {
        let records = table.records();
        let is_name = |title: &str| matches!(normal(title).as_str(), "name" | "hostname");
        if value.is_array() {
            let name = |row: &Vec<(String, String)>| {
                let named = row.iter().find(|(title, _)| is_name(title)).or(row.first());
                named.map(|(_, text)| self.safe(text)).unwrap_or_default()
            };
            return records.iter().map(name).collect::<Vec<_>>().join("\n");
        }
        let named = ["name", "hostname", "uuid"].iter().find_map(|name| value.get(name));
        self.safe(&named.map(text_of).unwrap_or_default())
    }

    fn filled(
        &self,
        template: &Template,
        (value, is_list): (Value, bool),
        table: &Table,
    ) -> Result<String, PrintError> {
        let rows = if is_list { table.records() } else { Vec::new() };
        let lines: Vec<String> = Record::all(value, rows)
            .iter()
            .map(|record| template.render(record, self.is_terminal()))
            .collect::<Result<_, _>>()
            .map_err(PrintError::BadField)?;
        if !template.table {
            return Ok(lines.join("\n"));
        }
        let mut table = Table::titled(&template.titles());
        for line in lines {
            table.row(line.split('\t').map(Into::into).collect());
        }
        Ok(table.render(self.style()))
    }

    /// Returns the text of a table that is a part of a screen.
    pub fn table(&self, table: &Table) -> String {
        table.render(self.style())
    }

    fn style(&self) -> TableStyle {
        let wide = self.format == Format::Wide;
        let fits = self.is_terminal() && self.shortens && !wide;
        let size = if fits { size_of(std::io::stdout()) } else { None };
        let width = size.map(|size| usize::from(size.columns));
        TableStyle { colours: self.stdout == Stdout::Coloured, wide, width }
    }

    /// On a terminal, control characters are replaced.
    fn safe(&self, text: &str) -> String {
        if !self.is_terminal() {
            return text.to_owned();
        }
        text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
    }

    /// Prints text, if there is any, with a line break at its end.
    fn text(&self, text: &str) -> Result<(), PrintError> {
        let text = text.trim_end_matches('\n');
        if text.is_empty() { Ok(()) } else { self.line(text) }
    }

    /// Prints one line.
    pub fn line(&self, line: &str) -> Result<(), PrintError> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), PrintError> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|cause| {
            if cause.kind() == ErrorKind::BrokenPipe {
                PrintError::Closed
            } else {
                PrintError::Failed(cause)
            }
        })
    }
}
