//! Draws the screen of a terminal as an SVG picture.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// The size of a character, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 19.0;
/// The space around the text, in pixels.
const MARGIN: f64 = 16.0;

/// The colours of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Colours {
    background: &'static str,
    text: &'static str,
    /// The eight colours of terminals.
    palette: [&'static str; 8],
}

/// For pages with a light background.
pub const LIGHT: Colours = Colours {
    background: "#f6f8fa",
    text: "#1f2328",
    palette: [
        "#24292f", "#cf222e", "#116329", "#7d4e00", "#0550ae", "#8250df", "#1b7c83", "#57606a",
    ],
};

/// For pages with a dark background.
pub const DARK: Colours = Colours {
    background: "#161b22",
    text: "#e6edf3",
    palette: [
        "#6e7681", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#b1bac4",
    ],
};

/// Returns the picture of the rows that have text, of these screens below each other. All have the same width.
pub fn svg(screens: &[&Screen], colours: Colours) -> String {
    let columns = screens.first().map_or(0, |screen| screen.size().1);
    let used: u16 = screens.iter().map(|screen| used_rows(screen)).sum();
    let (width, height) = (
        f64::from(columns).mul_add(WIDTH, 2.0 * MARGIN),
        f64::from(used).mul_add(HEIGHT, 2.0 * MARGIN),
    );
    let Colours { background, text, palette: _ } = colours;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{background}\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" font-size=\"14\" \
         fill=\"{text}\">\n"
    );
    let mut above = 0;
    for screen in screens {
        for row in 0..used_rows(screen) {
            for run in runs(screen, row, columns) {
                draw(&mut svg, (above + row, &run), colours);
            }
        }
        above += used_rows(screen);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn used_rows(screen: &Screen) -> u16 {
    let (rows, columns) = screen.size();
    let text: Vec<String> = screen.rows(0, columns).collect();
    let used = text.iter().rposition(|row| !row.trim().is_empty()).map_or(1, |last| last + 1);
    u16::try_from(used).unwrap_or(rows)
}

/// Characters of one row that look the same.
struct Run {
    column: u16,
    text: String,
    colour: Color,
    bold: bool,
}

fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation())
        else {
            continue;
        };
        let (text, colour, bold) = (character(cell), cell.fgcolor(), cell.bold());
        match runs.last_mut() {
            Some(run) if (run.colour, run.bold) == (colour, bold) => run.text.push_str(text),
            _ => runs.push(Run { column, text: text.to_owned(), colour, bold }),
        }
    }
    runs.retain(|run| !run.text.trim().is_empty());
    runs
}

fn character(cell: &Cell) -> &str {
    if cell.has_contents() { cell.contents() } else { " " }
}

fn draw(svg: &mut String, (row, run): (u16, &Run), colours: Colours) {
    let text = run.text.trim_end();
    let x = f64::from(run.column).mul_add(WIDTH, MARGIN);
    let y = (f64::from(row) + 0.75).mul_add(HEIGHT, MARGIN);
    let count = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let length = f64::from(count) * WIDTH;
    let fill = match run.colour {
        Color::Idx(index) => {
            let colour =
                colours.palette.get(usize::from(index % 8)).copied().unwrap_or(colours.text);
            format!(" fill=\"{colour}\"")
        }
        Color::Default | Color::Rgb(..) => String::new(),
    };
    let bold = if run.bold { " font-weight=\"bold\"" } else { "" };
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Browsers make one space of several, and drop the first.
    let escaped = escaped.replace(' ', "\u{a0}");
    let line = format_args!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{fill}{bold}>{escaped}</text>\n"
    )
    .to_string();
    // Writing to a string cannot fail.
    svg.write_str(&line).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_text_and_the_colours_of_the_screen() {
        let mut parser = vt100::Parser::new(5, 40, 0);
        parser.process(b"$ a <b>  & c\r\n\x1b[1;31mError\x1b[m done\r\n");
        let light = svg(&[parser.screen()], LIGHT);
        let line = ">$\u{a0}a\u{a0}&lt;b&gt;\u{a0}\u{a0}&amp;\u{a0}c</text>";
        assert!(light.contains(line) && light.contains(">\u{a0}done</text>"), "{light}");
        assert!(light.contains("fill=\"#cf222e\" font-weight=\"bold\">Error</text>"), "{light}");
        assert_eq!(light.matches("<text ").count(), 3, "{light}");
        assert!(light.contains("viewBox=\"0 0 368 70\""), "only rows with text: {light}");
        let both = svg(&[parser.screen(), parser.screen()], DARK);
        assert!(both.contains("#ff7b72") && both.contains("viewBox=\"0 0 368 108\""), "{both}");
    }
}
