//! Tables: columns without borders. On a terminal they fit its width: long values are shortened, and no line wraps.

use std::borrow::Cow;

use chrono::{NaiveDateTime, SecondsFormat};
use serde::Serialize;
use zun_common::status::{Health, Status};

use super::fit::{Yield, fit};
use super::template::text_of;
use super::text::{clean, short_id, shorten, width};
use super::values::normal;

/// The spaces between two columns.
const GAP: usize = 2;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    title: Cow<'static, str>,
    yields: Yield,
    only_wide: bool,
}

impl Column {
    /// Its values are never shortened, such as IDs.
    pub const fn whole(title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), yields: Yield::Never, only_wide: false }
    }

    /// Its values are shortened only if shortening the other columns is not enough, such as names.
    pub const fn firm(title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), yields: Yield::Last, only_wide: false }
    }

    /// Its values are shortened first. It is left out on a terminal that is too narrow for it, the last such column
    /// first.
    pub const fn optional(title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), yields: Yield::Optional, only_wide: false }
    }

    /// It is shown only in wide tables.
    pub const fn wide(title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), yields: Yield::First, only_wide: true }
    }
}

impl From<&'static str> for Column {
    /// Its values are shortened first.
    fn from(title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), yields: Yield::First, only_wide: false }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    /// The SGR parameter of its colour.
    colour: Option<u8>,
    /// What programs read; the text if `None`.
    exact: Option<String>,
}

impl Cell {
    /// Text about a container, in the colour of its status.
    pub const fn of_status(text: String, status: Status, health: Option<Health>) -> Self {
        Self { text, colour: Some(colour(status, health)), exact: None }
    }

    /// An ID, shortened for people.
    pub fn id(id: &impl ToString) -> Self {
        Self::from(short_id(id)).exact(id.to_string())
    }

    /// A point in time, in these words for people.
    pub fn time(words: impl Fn(NaiveDateTime) -> String, time: Option<NaiveDateTime>) -> Self {
        let Some(time) = time else { return Self::from("") };
        let exact = time.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true);
        Self::from(words(time)).exact(exact)
    }

    /// Sets what programs read.
    #[must_use]
    pub fn exact(self, exact: String) -> Self {
        Self { exact: Some(exact), ..self }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, colour: None, exact: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.unwrap_or_default().into()
    }
}

/// How a table is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableStyle {
    /// Whether statuses have colours.
    pub colours: bool,
    /// Whether the columns for wide tables are shown.
    pub wide: bool,
    /// The width to fit, in columns; `None` shortens nothing.
    pub width: Option<usize>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// Whether it has a row for each property of one thing. Such a table has no titles and is never shortened.
    properties: bool,
}

impl Table {
    /// With these columns. A plain title is a column whose values are shortened first.
    pub fn new(columns: Vec<impl Into<Column>>) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self { columns, rows: Vec::new(), properties: false }
    }

    /// With columns whose names come from elsewhere, such as the output of `ps`. The last one is shortened.
    pub fn titled(header: &[String]) -> Self {
        let last = header.len().saturating_sub(1);
        let column = |(index, title): (usize, &String)| Column {
            title: Cow::Owned(clean(title)),
            yields: if index == last { Yield::First } else { Yield::Last },
            only_wide: false,
        };
        Self {
            columns: header.iter().enumerate().map(column).collect(),
            rows: Vec::new(),
            properties: false,
        }
    }

    /// With a row for each property of one thing: its name and its value.
    pub fn properties() -> Self {
        Self { properties: true, ..Self::new(vec!["property", "value"]) }
    }

    /// With a row for each field of a response, without its links.
    pub fn of_fields(response: &impl Serialize) -> Self {
        let mut table = Self::properties();
        let mut fields = serde_json::to_value(response).unwrap_or_default();
        normal(&mut fields);
        for (name, value) in fields.as_object().into_iter().flatten() {
            table.row(vec![name.clone().into(), text_of(value).into()]);
        }
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Replaces the value of a property.
    pub fn set_property(&mut self, name: &str, value: &Cell) {
        for row in &mut self.rows {
            if let [key, held] = row.as_mut_slice()
                && key.text == name
            {
                held.clone_from(value);
            }
        }
    }

    /// Returns the text, without a line break at the end.
    pub fn render(&self, style: TableStyle) -> String {
        let shown: Vec<usize> = self.shown(style.wide);
        let titles = shown.iter().filter_map(|index| self.columns.get(*index));
        let titles: Vec<Cell> = titles.map(|column| title(&column.title).into()).collect();
        let header = (!self.properties).then_some(titles);
        let rows = self.rows.iter().map(|row| {
            let cells = shown.iter().map(|index| row.get(*index));
            cells.map(|cell| cell.map_or_else(|| "".into(), cleaned)).collect()
        });
        let lines: Vec<Vec<Cell>> = header.into_iter().chain(rows).collect();
        let widths = self.widths(&shown, &lines, style);
        let limit = style.width.filter(|_| !self.properties);
        let lines: Vec<String> =
            lines.iter().map(|cells| line(cells, &widths, (style.colours, limit))).collect();
        lines.join("\n")
    }

    /// Returns the cells of each row with the names of their columns, also of those for wide tables.
    pub(super) fn records(&self) -> Vec<Vec<(String, String)>> {
        let titles = self.columns.iter().map(|column| column.title.to_string());
        let titles: Vec<String> = titles.collect();
        let cells = |row: &Vec<Cell>| {
            titles.iter().cloned().zip(row.iter().map(|cell| cell.text.clone())).collect()
        };
        self.rows.iter().map(cells).collect()
    }

    /// Returns the table as CSV of RFC 4180, with a line of titles, and with whole IDs and exact times.
    pub(super) fn csv(&self, safe: impl Fn(&str) -> String) -> String {
        let titles = self.columns.iter().map(|column| quoted(&column.title));
        let titles = titles.collect::<Vec<_>>().join(",");
        let line = |row: &Vec<Cell>| {
            let texts = row.iter().map(|cell| cell.exact.as_ref().unwrap_or(&cell.text));
            texts.map(|text| quoted(&safe(text))).collect::<Vec<_>>().join(",")
        };
        std::iter::once(titles).chain(self.rows.iter().map(line)).collect::<Vec<_>>().join("\n")
    }

    /// Returns the values of each row with a space between them, without those for wide tables. Of properties, returns
    /// only the values.
    pub(super) fn values(&self, safe: impl Fn(&str) -> String) -> String {
        let shown = self.shown(false);
        let line = |row: &Vec<Cell>| {
            let cells = shown.iter().filter_map(|index| row.get(*index));
            let cells = cells.skip(usize::from(self.properties));
            cells.map(|cell| safe(&cell.text)).collect::<Vec<_>>().join(" ")
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn shown(&self, wide: bool) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| wide || !column.only_wide).map(|(index, _)| index).collect()
    }

    /// Whether a column has no values.
    fn is_empty(&self, index: usize) -> bool {
        self.rows.iter().all(|row| row.get(index).is_none_or(|cell| cell.text.is_empty()))
    }

    /// Returns the width of each column; 0 for one that is left out.
    fn widths(&self, shown: &[usize], lines: &[Vec<Cell>], style: TableStyle) -> Vec<usize> {
        let natural = |place: usize| {
            lines.iter().filter_map(|cells| Some(width(&cells.get(place)?.text))).max()
        };
        let mut columns: Vec<(usize, Yield)> = shown
            .iter()
            .enumerate()
            .filter_map(|(place, index)| {
                let own = self.columns.get(*index)?.yields;
                let is_spare = own == Yield::Optional && self.is_empty(*index);
                let yields = if is_spare { Yield::Empty } else { own };
                Some((natural(place).unwrap_or(0), yields))
            })
            .collect();
        if let Some(total) = style.width.filter(|_| !self.properties) {
            fit(&mut columns, total, GAP);
        }
        columns.into_iter().map(|(width, _)| width).collect()
    }
}

fn title(name: &str) -> String {
    name.to_uppercase().replace('_', " ")
}

/// Quotes a field of CSV if it needs that.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn cleaned(cell: &Cell) -> Cell {
    Cell { text: clean(&cell.text), colour: cell.colour, exact: None }
}

/// One line. The colours come after the layout, which must not count them.
fn line(cells: &[Cell], widths: &[usize], (colours, limit): (bool, Option<usize>)) -> String {
    let mut text = String::new();
    let mut used = 0;
    let shown = cells.iter().zip(widths).filter(|(_, column)| **column > 0);
    for (index, (cell, column)) in shown.enumerate() {
        let gap = if index == 0 { 0 } else { GAP };
        let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(used + gap));
        let shown = shorten(&cell.text, room.min(*column));
        let shown_width = width(&shown);
        if room == 0 {
            break;
        }
        text.extend(std::iter::repeat_n(' ', gap));
        let colour = cell.colour.filter(|_| colours && !shown.is_empty());
        text.push_str(&colour.map_or_else(String::new, |colour| format!("\x1b[{colour}m")));
        text.push_str(&shown);
        text.push_str(colour.map_or("", |_| "\x1b[0m"));
        let padding = room.min(*column).saturating_sub(shown_width);
        text.extend(std::iter::repeat_n(' ', padding));
        used += gap + shown_width + padding;
    }
    text.truncate(text.trim_end().len());
    text
}

const fn colour(status: Status, health: Option<Health>) -> u8 {
    match status {
        Status::Running if matches!(health, Some(Health::Unhealthy)) => 31,
        Status::Running if matches!(health, Some(Health::Starting)) => 33,
        Status::Running => 32,
        Status::Error | Status::Dead => 31,
        Status::Creating
        | Status::Restarting
        | Status::Rebuilding
        | Status::Deleting
        | Status::Paused
        | Status::Unknown => 33,
        Status::Created | Status::Stopped | Status::Deleted => 36,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns =
            vec![Column::whole("id"), Column::firm("name"), "command".into(), Column::wide("more")];
        let mut table = Table::new(columns);
        for (name, command) in
            [("web", "sleep 1000"), ("a\x1b[2J|b\n", "sh -c 'echo a long command; sleep 1000'")]
        {
            let status = Cell::of_status(name.to_owned(), Status::Error, None);
            table.row(vec!["5bb9ee06-1b6".into(), status, command.into(), "x".into()]);
        }
        table
    }

    #[test]
    fn a_table_has_titles_and_no_borders() {
        insta::assert_snapshot!(table().render(TableStyle::default()), @r"
        ID            NAME      COMMAND
        5bb9ee06-1b6  web       sleep 1000
        5bb9ee06-1b6  a�[2J|b   sh -c 'echo a long command; sleep 1000'
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 1..60 {
            let text = table().render(TableStyle { width: Some(columns), ..TableStyle::default() });
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
        }
        let text = table().render(TableStyle { width: Some(40), ..TableStyle::default() });
        insta::assert_snapshot!(text, @r"
        ID            NAME      COMMAND
        5bb9ee06-1b6  web       sleep 1000
        5bb9ee06-1b6  a�[2J|b   sh -c 'echo a l…
        ");
    }

    #[test]
    fn a_wide_table_has_all_columns() {
        let text = table().render(TableStyle { wide: true, ..TableStyle::default() });
        assert!(text.starts_with("ID            NAME      COMMAND "), "{text}");
        assert!(text.lines().next().is_some_and(|line| line.ends_with("  MORE")), "{text}");
    }

    #[test]
    fn csv_has_whole_ids_and_exact_times() {
        let mut table = Table::new(vec!["id", "created", "name"]);
        let id = "5bb9ee06-1b68-4b58-a5cd-2b9a4e6f5a11".to_owned();
        let time = chrono::DateTime::from_timestamp(1_700_000_000, 5000).expect("a time");
        let ago = Cell::time(|_| "2 minutes ago".to_owned(), Some(time.naive_utc()));
        table.row(vec![Cell::id(&id), ago, "web".into()]);
        let csv = table.csv(str::to_owned);
        assert_eq!(csv, format!("id,created,name\n{id},2023-11-14T22:13:20.000005Z,web"));
        let text = table.render(TableStyle::default());
        assert!(text.ends_with("5bb9ee06-1b6  2 minutes ago  web"), "{text}");
    }

    #[test]
    fn only_the_status_is_coloured() {
        let text = table().render(TableStyle { colours: true, ..TableStyle::default() });
        assert_eq!(text.matches("\x1b[").count(), 4, "{text}");
        assert!(text.contains("  \x1b[31mweb\x1b[0m       sleep 1000"), "{text}");
    }

    #[test]
    fn properties_are_never_shortened() {
        let mut table = Table::of_fields(&serde_json::json!({ "a": "long value", "links": [] }));
        table.set_property("a", &"a longer value".into());
        let text = table.render(TableStyle { width: Some(5), ..TableStyle::default() });
        assert_eq!(text, "a  a longer value");
    }
}
