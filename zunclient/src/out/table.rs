//! Tables, in the shape that users of OpenStack's commands know.

use std::borrow::Cow;

use comfy_table::presets::ASCII_FULL_CONDENSED;
use comfy_table::{LineStyle, TableStyle};
use zun_common::api::v1::container::Container;
use zun_common::status::{Health, Status};

const STYLE: TableStyle = ASCII_FULL_CONDENSED.header_separator(LineStyle::new('+', '-', '+', '+'));

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Plain text.
    Text(String),
    /// A status, with what the health check says. It has a colour.
    Status(Status, Option<Health>),
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.unwrap_or_default())
    }
}

impl From<Status> for Cell {
    fn from(status: Status) -> Self {
        Self::Status(status, None)
    }
}

impl From<&Container> for Cell {
    /// The status, such as `Running (healthy)`.
    fn from(container: &Container) -> Self {
        Self::Status(container.status, container.health)
    }
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    header: Vec<Cow<'static, str>>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// With these columns.
    pub fn new(header: Vec<&'static str>) -> Self {
        Self { header: header.into_iter().map(Cow::Borrowed).collect(), rows: Vec::new() }
    }

    /// With columns whose names come from elsewhere, such as the output of `ps`.
    pub fn titled(header: &[String]) -> Self {
        Self {
            header: header.iter().map(|title| Cow::Owned(clean(title))).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The text. Colours come after the layout, which must not count them.
    pub fn render(&self, colours: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).set_header(self.header.iter().map(AsRef::<str>::as_ref));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| match cell {
                Cell::Text(text) => clean(text),
                Cell::Status(status, health) => words(*status, *health),
            }));
        }
        let text = table.trim_fmt();
        if colours { self.coloured(&text) } else { text }
    }

    /// Colours the status of each row.
    fn coloured(&self, text: &str) -> String {
        let statuses = self.rows.iter().map(|row| {
            row.iter().enumerate().find_map(|(column, cell)| match cell {
                Cell::Status(status, health) => Some((column, (*status, *health))),
                Cell::Text(_) => None,
            })
        });
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let top = lines.first().map(String::as_str).unwrap_or_default();
        let borders: Vec<usize> =
            top.chars().enumerate().filter(|(_, c)| *c == '+').map(|(index, _)| index).collect();
        let header_lines = 3;
        for (line, status) in lines.iter_mut().skip(header_lines).zip(statuses) {
            let Some((column, status)) = status else { continue };
            if let (Some(from), Some(to)) = (borders.get(column), borders.get(column + 1)) {
                *line = paint(line, (*from, *to), status);
            }
        }
        lines.join("\n")
    }
}

/// Colours the cell between these two borders in a rendered line. If wide characters have moved the borders, the line
/// stays plain.
fn paint(
    line: &str,
    borders: (usize, usize),
    (status, health): (Status, Option<Health>),
) -> String {
    let word = words(status, health);
    let part = |from: usize, to: usize| line.chars().skip(from).take(to - from).collect::<String>();
    let cell = part(borders.0, borders.1);
    if cell.trim_matches(['|', ' ']) != word.as_str() {
        return line.to_owned();
    }
    let painted = cell.replace(&word, &format!("\x1b[{}m{word}\x1b[0m", colour(status, health)));
    format!("{}{painted}{}", part(0, borders.0), part(borders.1, usize::MAX))
}

fn words(status: Status, health: Option<Health>) -> String {
    health.map_or_else(|| status.to_string(), |health| format!("{status} ({health})"))
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

/// Replaces control characters, because text from the service or a host must not control the terminal or break lines.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' => ' ',
            control if control.is_control() => '\u{fffd}',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec!["name", "status"]);
        table.row(vec!["Running".into(), Status::Running.into()]);
        table.row(vec!["a\x1b[2J|b\n".into(), Status::Error.into()]);
        table
    }

    #[test]
    fn a_table_looks_as_openstacks_do() {
        insta::assert_snapshot!(table().render(false), @r"
        +----------+---------+
        | name     | status  |
        +----------+---------+
        | Running  | Running |
        | a�[2J|b  | Error   |
        +----------+---------+
        ");
    }

    #[test]
    fn only_the_status_is_coloured() {
        let text = table().render(true);
        assert_eq!(text.matches("\x1b[").count(), 4, "{text}");
        assert!(text.contains("| Running  | \x1b[32mRunning\x1b[0m |"), "{text}");
    }

    #[test]
    fn a_status_is_followed_by_the_health_and_coloured_by_it() {
        let mut table = Table::new(vec!["status"]);
        for health in Health::ALL {
            table.row(vec![Cell::Status(Status::Running, Some(*health))]);
        }
        let text = table.render(true);
        for shown in [
            "\x1b[33mRunning (starting)\x1b[0m",
            "\x1b[32mRunning (healthy)\x1b[0m",
            "\x1b[31mRunning (unhealthy)\x1b[0m",
        ] {
            assert!(text.contains(shown), "{text}");
        }
    }
}
